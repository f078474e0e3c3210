"""Training by two processes that torchrun starts."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import hepae
from hepae.training.configuration import TrainingConfig

# Batches of odd size that end in one of a single jet: shares are uneven, and one process has none.
CONFIG = TrainingConfig(
    epochs=10, network=hepae.AutoencoderConfig(hidden=(32, 16)), batch_size=2143, learning_rate=5e-3
)
OPTIONS = ("--epochs", 10, "--hidden", "32-16", "--batch-size", 2143, "--learning-rate", 5e-3)


def _start(*arguments):
    """Start ``hepae train`` in two processes."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 2]
    command += ["-m", "hepae", "train", *arguments]
    return subprocess.Popen(
        [*map(str, command)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _kill(pid):
    """Kill torchrun and then its processes, which it keeps in groups of their own."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for each in (pid, *map(int, children)):
        os.kill(each, signal.SIGKILL)


def _run(*arguments):
    process = _start(*arguments)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def _rows(folder):
    tables = [*folder.glob("*/metrics.csv")]
    assert len(tables) <= 1  # one folder, not one a process
    return [*csv.DictReader(tables[0].read_text().splitlines())] if tables else []


@pytest.fixture(scope="module")
def trained(sample, tmp_path_factory):
    """Folder with the model and the run of two processes, and what they printed."""
    folder = tmp_path_factory.mktemp("two")
    code, out, err = _run(
        sample, "-o", folder / "m.safetensors", "--test", sample, *OPTIONS, "--runs-dir", folder / "runs"
    )
    assert code == 0, err
    return folder, out


def test_two_processes_train_as_one(sample, trained):
    folder, out = trained
    jets = hepae.read_jets(sample)
    alone = hepae.train(jets, CONFIG, test=jets)
    assert alone.codec.summary["jets"] % CONFIG.batch_size == 1
    together = hepae.load_codec(folder / "m.safetensors")
    assert out.count("m.safetensors: model") == 1
    assert {path.name for path in folder.iterdir()} == {"m.safetensors", "runs"}
    for name in ("train_loss", "validation_loss", "test_loss", "learning_rate"):
        curve = [float(row[name]) for row in _rows(folder / "runs")]
        expected = [getattr(row, name) for row in alone.history]
        # sums of two halves round otherwise, and each step makes more of the difference
        np.testing.assert_allclose(curve[:5], expected[:5], rtol=1e-3)
        np.testing.assert_allclose(curve, expected, rtol=0.2)
    assert together.features == alone.codec.features
    for name, tensor in alone.codec.network.state_dict().items():
        torch.testing.assert_close(together.network.state_dict()[name], tensor, rtol=0, atol=0.05)


@pytest.mark.long
def test_killed_processes_go_on_to_the_same_weights(sample, trained, tmp_path):
    killed = _start(
        sample, "-o", tmp_path / "m.safetensors", "--test", sample, *OPTIONS, "--runs-dir", tmp_path / "runs"
    )
    deadline = time.monotonic() + 300
    while len(_rows(tmp_path / "runs")) < 2 and time.monotonic() < deadline:
        time.sleep(0.005)
    _kill(killed.pid)
    killed.communicate()
    assert 2 <= len(_rows(tmp_path / "runs")) < 10
    (run,) = (tmp_path / "runs").iterdir()
    code, _, err = _run(sample, "-o", tmp_path / "m.safetensors", "--test", sample, "--resume", run)
    assert code == 0, err
    expected = (trained[0] / "m.safetensors").read_bytes()
    assert (tmp_path / "m.safetensors").read_bytes() == expected


def test_an_error_ends_all_processes(sample, tmp_path):
    """Only the first process makes the run's folder; the other one must not wait for it forever."""
    (tmp_path / "file").touch()
    code, _, err = _run(
        sample, "-o", tmp_path / "m.safetensors", *OPTIONS, "--runs-dir", tmp_path / "file" / "runs"
    )
    assert code == 1
    assert "Error: cannot make a run folder" in err
    assert not (tmp_path / "m.safetensors").exists()


def test_batch_norm_is_refused(sample, tmp_path):
    (tmp_path / "c.toml").write_text("[network]\nbatch_norm = true\n")
    code, _, err = _run(sample, "-o", tmp_path / "m.safetensors", "--config", tmp_path / "c.toml")
    assert code == 1
    assert "Error: a network with batch normalisation" in err
