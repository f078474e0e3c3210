from __future__ import annotations

import csv
import os
import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

import hepae
from hepae.errors import CodecError, InputError
from hepae.training.configuration import TrainingConfig
from hepae.training.runs import Run
from hepae.training.train import train


def test_the_loss_falls(small, jets):
    losses = [row.validation_loss for row in train(jets, replace(small, epochs=8)).history]
    assert losses[-1] < 0.2 * losses[0]


def test_the_weights_of_the_best_epoch_are_kept(columns_of, small, jets):
    config = replace(small, epochs=200, patience=2, learning_rate=0.5, schedule="constant")
    result = train(jets[:1500], config, validation=jets[1500:])
    losses = [row.validation_loss for row in result.history]
    features = torch.from_numpy(result.codec.features.forward(columns_of(jets[1500:])))
    assert min(losses) < losses[-1]
    with torch.inference_mode():
        loss = torch.nn.functional.mse_loss(result.codec.network(features), features)
    assert float(loss) == pytest.approx(min(losses), rel=1e-5)


def test_a_test_input_is_logged_and_decides_nothing(small, jets):
    without, with_test = train(jets, small), train(jets, small, test=jets[:100])
    assert all(row.test_loss is None for row in without.history)
    assert all(row.test_loss > 0 for row in with_test.history)
    for name, tensor in without.codec.network.state_dict().items():
        assert torch.equal(tensor, with_test.codec.network.state_dict()[name])


def test_training_stops_when_patience_ends(small, jets):
    config = replace(small, epochs=200, patience=2, learning_rate=0.5, schedule="constant")
    losses = [row.validation_loss for row in train(jets, config).history]
    assert len(losses) < 200
    assert losses.index(min(losses)) == len(losses) - 1 - 2


def test_schedules(small, jets):
    constant = [row.learning_rate for row in train(jets, replace(small, schedule="constant")).history]
    assert constant == [small.learning_rate] * 4
    cycle = [row.learning_rate for row in train(jets, replace(small, epochs=10)).history]
    peak = cycle.index(max(cycle))
    assert 0 < peak < 9
    assert small.learning_rate * 0.9 < cycle[peak] <= small.learning_rate
    assert cycle[-1] < 1e-4 * small.learning_rate
    steps = [row.learning_rate for row in train(jets, replace(small, epochs=8, schedule="steps")).history]
    np.testing.assert_allclose(steps, [small.learning_rate * 0.2**n for n in range(1, 9)])


def _precisions_seen(train_once):
    """Whether matrix products were made under autocast, in any layer of what was trained."""
    seen = set()
    hook = torch.nn.modules.module.register_module_forward_pre_hook(
        lambda module, _: seen.add(torch.is_autocast_enabled("cpu")) if module.training else None
    )
    try:
        losses = [row.train_loss for row in train_once().history]
    finally:
        hook.remove()
    return losses, seen


@pytest.mark.parametrize("basis", ["physics", "minmax", "standard"])
def test_the_default_is_float32_on_every_processor(jets, basis):
    """In the basis minmax a training in bfloat16 ends at 168 times the loss, so no processor may choose it by itself."""
    config = TrainingConfig(basis=basis, epochs=2, columns=("pt", "eta", "phi", "E"), device="cpu")
    default = _precisions_seen(lambda: train(jets[:500], config))
    assert default == _precisions_seen(lambda: train(jets[:500], replace(config, precision="float32")))
    assert default[1] == {False}
    losses, seen = _precisions_seen(lambda: train(jets[:500], replace(config, precision="bfloat16")))
    assert True in seen
    assert losses != default[0]


def test_bfloat16_trains_where_it_is_asked_for(small, jets):
    both = [replace(small, epochs=20, precision=precision) for precision in ("float32", "bfloat16")]
    first, second = (train(jets, config) for config in both)
    assert second.codec.summary["config"]["precision"] == "bfloat16"
    assert first.history[-1].validation_loss != second.history[-1].validation_loss
    assert second.history[-1].validation_loss == pytest.approx(first.history[-1].validation_loss, rel=0.1)


def test_large_batches_go_in_pieces_to_the_same_weights(small, jets, monkeypatch):
    config = replace(small, batch_size=2000, learning_rate=1e-2)
    whole = train(jets, config)
    monkeypatch.setattr("hepae.training.loop.CACHED_JETS", 300)
    pieces = train(jets, config)
    assert whole.codec.to_bytes() != pieces.codec.to_bytes()  # sums in another order, and nothing else
    for first, second in zip(whole.history, pieces.history, strict=True):
        assert second.train_loss == pytest.approx(first.train_loss, rel=1e-4)
        assert second.validation_loss == pytest.approx(first.validation_loss, rel=1e-4)


def test_the_last_epochs_are_in_float32(small, jets):
    """Of ten epochs one: the nine before are those of a training in bfloat16 alone."""
    config = replace(small, epochs=10, schedule="constant", precision="bfloat16")
    both = [train(jets, replace(config, epochs=epochs)).history for epochs in (10, 20)]
    losses = [[row.train_loss for row in history[:10]] for history in both]
    assert losses[0][:9] == losses[1][:9]
    assert losses[0][9] != losses[1][9]


def test_a_training_that_diverges_is_said(small, jets):
    with pytest.raises(CodecError, match="--learning-rate"):
        train(jets, replace(small, learning_rate=1e30))
    with pytest.raises(CodecError, match="check the validation jets"):
        train(jets, small, validation=jets[:0])


def test_batch_norm_takes_a_last_batch_of_one_jet(columns_of, small, jets):
    flat = hepae.kinematics.momenta({name: values[:101] for name, values in columns_of(jets).items()})
    config = replace(small, batch_size=50, network=replace(small.network, batch_norm=True))
    assert len(train(flat, config, validation=jets).history) == 4


DRIVER = """
import contextlib, os, pathlib, signal, sys, hepae
from hepae.training.train import train
from hepae.training.runs import Run
from hepae.training.configuration import TrainingConfig
with contextlib.suppress(ImportError):
    import torch.utils.tensorboard  # once, not in every child
sample, folder, out = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]
jets = hepae.read_jets(sample)[:3000]
torch.optim.Adam([torch.zeros(1, requires_grad=True)])
network = hepae.AutoencoderConfig(hidden=(16, 8), dropout=0.1)
config = TrainingConfig(epochs=10, network=network, batch_size=64, runs_dir=folder)

def work(moment):
    "Begin or go on, and die before the n-th file of the run gets its name, or after so many seconds."
    if isinstance(moment, int):
        left = iter(range(moment - 1))
        def kill(event, arguments):
            if event == "os.rename" and folder in pathlib.Path(arguments[1]).parents and next(left, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(kill)
    elif moment:
        signal.setitimer(signal.ITIMER_REAL, moment)  # whose signal ends a process as SIGKILL does
    runs = [path.parent for path in folder.glob("*/config.toml")]
    resumed, same = Run.resume(runs[0]) if runs else (None, config)
    train(jets, same, resume=resumed).codec.save(out)

for moment in eval(sys.argv[4]):
    child = os.fork()
    if child == 0:
        work(moment)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == {int: signal.SIGKILL, float: signal.SIGALRM}[type(moment)], moment
work(None)
"""


BEGINNING = (1, 2, 3, 4)  # before config.toml, best.pt, metrics.csv and last.pt of the first epoch


GOING_ON = (0.01, 1, 2, 3, 0.15, 4, 5, 1, 6)


def _drive(*arguments):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", DRIVER, *map(str, arguments)], env=environment, check=False)
    assert done.returncode == 0


@pytest.mark.long
def test_a_run_killed_at_any_moment_ends_in_the_weights_of_an_unbroken_one(sample, tmp_path):
    _drive(sample, tmp_path / "killed", tmp_path / "resumed", repr((*BEGINNING, *GOING_ON)))
    _drive(sample, tmp_path / "unbroken", tmp_path / "expected", "()")
    assert (tmp_path / "resumed").read_bytes() == (tmp_path / "expected").read_bytes()
    empty, run = sorted((tmp_path / "killed").iterdir(), key=lambda path: len([*path.iterdir()]))
    with pytest.raises(InputError, match="not a run that can be resumed"):
        Run.resume(empty)
    (unbroken,) = (tmp_path / "unbroken").iterdir()
    columns = []
    for folder in (run, unbroken):
        with (folder / "metrics.csv").open() as file:
            columns.append([{**row, "jets_per_s": ""} for row in csv.DictReader(file)])
    assert columns[0] == columns[1]
    assert [int(row["epoch"]) for row in columns[0]] == [*range(10)]


def test_a_run_stopped_by_patience_resumes_to_the_same_codec(small, jets, tmp_path):
    config = replace(small, epochs=200, patience=2, learning_rate=0.5, schedule="constant", runs_dir=tmp_path)
    result = train(jets, config)
    run, config = Run.resume(result.run_dir)
    assert train(jets, config, resume=run).codec.to_bytes() == result.codec.to_bytes()


def test_a_folded_run_that_was_stopped_resumes_to_the_same_codec(small, jets, tmp_path):
    config = replace(small, epochs=9).with_preset("folded")

    def stop(progress):
        if progress.metrics is not None and progress.metrics.epoch == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(jets, replace(config, runs_dir=tmp_path), progress=stop)
    (folder,) = tmp_path.iterdir()
    run, stopped = Run.resume(folder)
    resumed = train(jets, stopped, resume=run)
    assert len(resumed.history) == 9
    weights = train(jets, config).codec.network.state_dict()
    for name, tensor in resumed.codec.network.state_dict().items():
        assert torch.equal(tensor, weights[name])


class _Hostile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("write", [lambda x: pickle.dumps(x), None])
@pytest.mark.parametrize("name", ["last.pt", "best.pt"])
def test_a_hostile_checkpoint_is_not_run(small, jets, tmp_path, write, name):
    result = train(jets[:100], replace(small, epochs=1, runs_dir=tmp_path / "runs"))
    path, hostile = result.run_dir / name, _Hostile(tmp_path / "ran")
    torch.save(hostile, path) if write is None else path.write_bytes(write(hostile))
    run, config = Run.resume(result.run_dir)
    with pytest.raises(InputError, match=rf"{name} is damaged"):
        train(jets[:100], config, resume=run)
    assert not (tmp_path / "ran").exists()
    (torch.load(path, weights_only=False) if write is None else pickle.loads(path.read_bytes()))
    assert (tmp_path / "ran").exists()  # the test's own bait does bite


def _without(checkpoint, key):
    return {name: value for name, value in checkpoint.items() if name != key}


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        *(
            (name, lambda _, content=content: content)
            for name in ("last.pt", "best.pt")
            for content in ({}, [1], 5)
        ),
        ("last.pt", lambda last: {**last, "fingerprint": None}),
        *(
            ("last.pt", lambda last, key=key: {**last, key: 5})
            for key in ("model", "optimizer", "scheduler", "history")
        ),
        ("last.pt", lambda last: {**last, "history": '[{"epoch": 0}]'}),
        *(("best.pt", lambda best, key=key: _without(best, key)) for key in ("model", "loss", "epoch")),
        ("best.pt", lambda best: {**best, "model": {}}),
        ("best.pt", lambda best: {**best, "loss": None}),
    ],
)
def test_a_checkpoint_of_something_else_is_refused(small, jets, tmp_path, name, spoil):
    result = train(jets[:100], replace(small, epochs=1, runs_dir=tmp_path))
    path = result.run_dir / name
    torch.save(spoil(torch.load(path, weights_only=True)), path)
    run, config = Run.resume(result.run_dir)
    with pytest.raises(InputError):
        train(jets[:100], config, resume=run)


def test_a_run_that_lost_its_best_weights_is_refused(small, jets, tmp_path):
    result = train(jets[:100], replace(small, epochs=1, runs_dir=tmp_path))
    (result.run_dir / "best.pt").unlink()
    run, config = Run.resume(result.run_dir)
    with pytest.raises(InputError, match="any more; start a new training"):
        train(jets[:100], replace(config, epochs=2), resume=run)


ON_ANY_PROCESSOR = """
import sys
import hepae
jets = hepae.read_jets(sys.argv[1])[:2000]
for basis in ("physics", "minmax", "standard"):
    config = hepae.TrainingConfig(
        basis=basis, epochs=10, batch_size=128, network=hepae.AutoencoderConfig(hidden=(32, 16)), device="cpu"
    )
    result = hepae.train(jets[:1500], config, test=jets[1500:2000])
    print(result.history[-1].test_loss)
"""


@pytest.mark.long
def test_losses_are_the_same_without_the_instructions_of_this_processor(sample):
    """With AVX2 alone, as on older machines, the losses are within 10 % of those with whatever this processor has."""
    older = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
    losses = []
    for environment in ({}, older):
        done = subprocess.run(
            [sys.executable, "-c", ON_ANY_PROCESSOR, sample],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=True,
        )
        losses.append([float(line) for line in done.stdout.split()])
    assert len(losses[0]) == 3
    assert losses[1] == pytest.approx(losses[0], rel=0.1)
