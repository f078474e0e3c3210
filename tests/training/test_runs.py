from __future__ import annotations

import csv
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from hepae.errors import InputError, OutputError
from hepae.training.configuration import TrainingConfig
from hepae.training.runs import Run
from hepae.training.train import train


def test_a_run_is_recorded(small, jets, tmp_path):
    result = train(jets, replace(small, runs_dir=tmp_path / "runs"), test=jets[:100])
    run = result.run_dir
    assert TrainingConfig.from_toml(run / "config.toml") == replace(small, runs_dir=tmp_path / "runs")
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [0, 1, 2, 3]
    for row, metrics in zip(rows, result.history, strict=True):
        assert float(row["train_loss"]) == metrics.train_loss
        assert float(row["test_loss"]) == metrics.test_loss
    names = {path.name for path in run.iterdir() if "tfevents" not in path.name}
    assert names == {"config.toml", "metrics.csv", "best.pt", "last.pt", ".lock"}
    best = torch.load(run / "best.pt", weights_only=True)
    assert best["epoch"] == result.codec.summary["best"]["epoch"]
    for name, tensor in result.codec.network.state_dict().items():
        assert torch.equal(best["model"][name], tensor)


def test_two_runs_in_one_second_have_folders_of_their_own(small, jets, tmp_path):
    config = replace(small, epochs=1, runs_dir=tmp_path)
    assert len({train(jets[:100], config).run_dir for _ in range(3)}) == 3


def test_a_run_that_cannot_be_recorded_is_said(small, jets, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="run folder"):
        train(jets, replace(small, runs_dir=tmp_path / "file"))


def test_tensorboard_has_the_same_losses(small, jets, tmp_path):
    pytest.importorskip("tensorboard")
    result = train(jets, replace(small, runs_dir=tmp_path))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(result.run_dir), size_guidance={"histograms": 0}).Reload()
    logged = [scalar.value for scalar in events.Scalars("validation_loss")]
    np.testing.assert_allclose(logged, [row.validation_loss for row in result.history], rtol=1e-6)
    assert [scalar.step for scalar in events.Scalars("train_loss")] == [0, 1, 2, 3]
    (config,) = events.Tensors("configuration/text_summary")
    assert b"batch_size = 256" in config.tensor_proto.string_val[0]
    for name in ("pt", "eta", "phi", "mass"):
        logged = [scalar.value for scalar in events.Scalars(f"{name}_p68")]
        np.testing.assert_allclose(logged, [row.p68[name] for row in result.history], rtol=1e-6)
        histograms = [event.histogram_value for event in events.Histograms(f"residual/{name}")]
        assert len(histograms) == 4
        assert all(histogram.num == histograms[0].num > 500 for histogram in histograms)


class _Stopped(Exception):
    """What a training is stopped by."""


def _stop_after(epochs):
    def progress(done):
        if done.metrics is not None and done.metrics.epoch + 1 == epochs:
            raise _Stopped

    return progress


def test_tensorboard_shows_each_epoch_of_a_resumed_run_once(small, jets, tmp_path):
    pytest.importorskip("tensorboard")
    with pytest.raises(_Stopped):
        train(jets, replace(small, epochs=8, runs_dir=tmp_path), progress=_stop_after(3))
    (folder,) = tmp_path.iterdir()
    checkpoint = (folder / "last.pt").read_bytes()
    for stop in (5, 6):
        run, config = Run.resume(folder)
        time.sleep(1.1)  # TensorBoard orders its files by the second that they were begun in
        with pytest.raises(_Stopped):
            train(jets, config, resume=run, progress=_stop_after(stop))
        (folder / "last.pt").write_bytes(checkpoint)  # as if it was killed before an epoch's checkpoint
    time.sleep(1.1)
    result = train(jets, config, resume=Run(folder))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"histograms": 0}).Reload()
    assert len(events.Tensors("configuration/text_summary")) == 1
    for name in ("train_loss", "pt_p68"):
        assert [scalar.step for scalar in events.Scalars(name)] == [*range(8)]
    assert [histogram.step for histogram in events.Histograms("residual/mass")] == [*range(8)]
    np.testing.assert_allclose(
        [scalar.value for scalar in events.Scalars("train_loss")],
        [row.train_loss for row in result.history],
        rtol=1e-6,
    )


def test_a_run_that_goes_on_is_not_resumed(small, jets, tmp_path):
    result = train(jets, replace(small, epochs=1, runs_dir=tmp_path))
    run, config = Run.resume(result.run_dir)
    with run.locked(), pytest.raises(InputError, match="another process is training"):
        train(jets, config, resume=run)
    assert len(train(jets, config, resume=run).history) == 1


HOLDER = """
import pathlib, sys, hepae
from hepae.training.runs import Run
with Run(pathlib.Path(sys.argv[1])).locked():
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_the_lock_of_a_killed_process_is_gone(small, jets, tmp_path):
    result = train(jets, replace(small, epochs=1, runs_dir=tmp_path))
    run, config = Run.resume(result.run_dir)
    command = [sys.executable, "-c", HOLDER, str(result.run_dir)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"locked\n"
        with pytest.raises(InputError, match="another process is training"):
            train(jets, config, resume=run)
        holder.kill()
    assert len(train(jets, config, resume=run).history) == 1


def test_training_needs_no_module_that_windows_lacks():
    """A stand-in for Windows, where `fcntl` cannot be imported: modules that need it get an ImportError there."""
    code = "import sys; sys.modules['fcntl'] = None; import hepae.training.runs"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
