from __future__ import annotations

import csv
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

import hepae
from hepae.codecs.latent import train
from hepae.errors import ConfigError, InputError
from hepae.models.training import Run, TrainingConfig

SMALL = hepae.AutoencoderConfig(hidden=(16, 8))
CONFIG = TrainingConfig(epochs=4, network=SMALL, batch_size=256)


@pytest.fixture(scope="module")
def jets(sample):
    return hepae.read_jets(sample)[:3000]


def test_the_loss_falls(jets):
    losses = [row.validation_loss for row in train(jets, replace(CONFIG, epochs=8)).history]
    assert losses[-1] < 0.2 * losses[0]


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(jets):
    first, second = (train(jets, CONFIG).codec.to_bytes() for _ in range(2))
    assert first == second
    assert train(jets, replace(CONFIG, seed=1)).codec.to_bytes() != first


def test_features_are_fitted_without_the_validation_jets(jets):
    result = train(jets, replace(CONFIG, validation_fraction=0.5, basis="minmax", epochs=1))
    pt = np.sort(np.asarray(hepae.kinematics.flat_column(jets, "pt")))
    assert result.codec.summary["jets"] == len(pt) - round(len(pt) / 2)
    outside = train(jets[:1500], replace(CONFIG, epochs=1), validation=jets[1500:])
    again = train(jets[:1500], replace(CONFIG, epochs=1), validation=jets[1500:1600])
    assert outside.codec.features == again.codec.features
    assert outside.history[0].validation_loss != again.history[0].validation_loss


def test_a_test_input_is_logged_and_decides_nothing(jets):
    without, with_test = train(jets, CONFIG), train(jets, CONFIG, test=jets[:100])
    assert all(row.test_loss is None for row in without.history)
    assert all(row.test_loss > 0 for row in with_test.history)
    for name, tensor in without.codec.network.state_dict().items():
        assert torch.equal(tensor, with_test.codec.network.state_dict()[name])


def test_training_stops_when_patience_ends(jets):
    config = replace(CONFIG, epochs=200, patience=2, learning_rate=0.5, schedule="constant")
    history = train(jets, config).history
    losses = [row.validation_loss for row in history]
    assert len(history) < 200
    assert min(losses) == losses[-3 - 0] or losses.index(min(losses)) == len(losses) - 3


def test_a_fraction_of_the_jets_is_used(jets):
    whole, tenth = (
        train(jets, replace(CONFIG, epochs=1, fraction=f)).codec.summary["jets"] for f in (1, 0.1)
    )
    assert tenth == round(whole / 10)


def test_a_run_is_recorded(jets, tmp_path):
    result = train(jets, replace(CONFIG, runs_dir=tmp_path / "runs"), test=jets[:100])
    run = result.run_dir
    assert TrainingConfig.from_toml(run / "config.toml") == replace(CONFIG, runs_dir=tmp_path / "runs")
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [0, 1, 2, 3]
    for row, metrics in zip(rows, result.history, strict=True):
        assert float(row["train_loss"]) == metrics.train_loss
        assert float(row["test_loss"]) == metrics.test_loss
    assert (run / "best.pt").exists()
    assert (run / "last.pt").exists()


def test_tensorboard_has_the_same_losses(jets, tmp_path):
    pytest.importorskip("tensorboard")
    result = train(jets, replace(CONFIG, runs_dir=tmp_path))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(result.run_dir)).Reload()
    logged = [scalar.value for scalar in events.Scalars("validation_loss")]
    np.testing.assert_allclose(logged, [row.validation_loss for row in result.history], rtol=1e-6)


SCRIPT = """
import sys, pathlib, hepae
from hepae.codecs.latent import train
from hepae.models.training import Run, TrainingConfig
jets = hepae.read_jets(sys.argv[1])[:3000]
network = hepae.AutoencoderConfig(hidden=(16, 8), dropout=0.1)
if sys.argv[3] == "new":
    config = TrainingConfig(epochs=30, network=network, batch_size=64, runs_dir=pathlib.Path(sys.argv[2]))
    result = train(jets, config)
else:
    run, config = Run.resume(pathlib.Path(sys.argv[2]))
    result = train(jets, config, resume=run)
sys.stdout.buffer.write(result.codec.to_bytes())
"""


def _start(*arguments):
    return subprocess.Popen([sys.executable, "-c", SCRIPT, *map(str, arguments)], stdout=subprocess.PIPE)


def test_a_killed_run_ends_in_the_weights_of_an_unbroken_one(sample, tmp_path):
    unbroken = _start(sample, tmp_path / "unbroken", "new")
    expected = unbroken.communicate()[0]
    killed = _start(sample, tmp_path / "killed", "new")
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("killed/*/last.pt")) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.2)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    killed.stdout.close()
    (run,) = (tmp_path / "killed").iterdir()
    epochs = len((run / "metrics.csv").read_text().splitlines()) - 1
    assert 0 < epochs < 30
    resumed = _start(sample, run, "resume")
    found = resumed.communicate()[0]
    assert len(expected) > 1000
    assert found == expected


def test_a_run_is_resumed_only_on_its_own_jets(jets, tmp_path):
    result = train(jets, replace(CONFIG, runs_dir=tmp_path))
    run, config = Run.resume(result.run_dir)
    with pytest.raises(InputError, match="other jets"):
        train(jets[:2000], config, resume=run)
    with pytest.raises(InputError, match="no run to resume"):
        Run.resume(tmp_path)
    (result.run_dir / "last.pt").write_bytes(b"damaged")
    with pytest.raises(InputError, match="damaged"):
        train(jets, config, resume=run)


@pytest.mark.parametrize(
    "options",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"learning_rate": -1.0},
        {"optimizer": "sgd9"},
        {"schedule": "x"},
        {"fraction": 0.0},
        {"validation_fraction": 1.0},
        {"patience": 0},
        {"columns": ()},
    ],
)
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(ConfigError):
        TrainingConfig(**options)


def test_a_configuration_of_toml(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text('epochs = 7\ncolumns = ["m", "pt"]\n[network]\nhidden = [8, 4]\n')
    config = TrainingConfig.from_toml(path)
    assert (config.epochs, config.columns, config.network.hidden) == (7, ("m", "pt"), (8, 4))
    path.write_text("epocs = 7\n")
    with pytest.raises(ConfigError, match="'epocs'"):
        TrainingConfig.from_toml(path)
    with pytest.raises(ConfigError, match="cannot read"):
        TrainingConfig.from_toml(tmp_path / "none.toml")
