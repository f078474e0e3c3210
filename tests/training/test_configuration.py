from __future__ import annotations

import tomllib

import pytest

import hepae
from hepae.errors import ConfigError
from hepae.training.configuration import TrainingConfig


@pytest.mark.parametrize(
    "options",
    [
        {"epochs": 0},
        {"epochs": 7.5},
        {"batch_size": 0},
        {"learning_rate": -1.0},
        {"optimizer": "sgd9"},
        {"schedule": "x"},
        {"precision": "float16"},
        {"precision": "auto"},
        {"fraction": 0.0},
        {"validation_fraction": 1.0},
        {"patience": 0},
        {"seed": -1},
        {"seed": 2**40},
        {"seed": 1.5},
        {"weight_decay": -1.0},
        {"batch_size": 1, "network": hepae.AutoencoderConfig(batch_norm=True)},
        {"columns": ()},
        {"columns": "pt"},
        {"columns": (1, 2)},
        {"basis": "nope"},
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
    for wrong in (
        'columns = "pt,eta,phi,E"',
        "columns = 4",
        'learning_rate = "fast"',
        "network = 4",
        "optimizer = []",
    ):
        path.write_text(f"{wrong}\n")
        with pytest.raises(ConfigError):
            TrainingConfig.from_toml(path)
        with pytest.raises(ConfigError):
            TrainingConfig.from_config(tomllib.loads(wrong))
    path.write_text("epocs = 7\n")
    with pytest.raises(ConfigError, match="'epocs'"):
        TrainingConfig.from_toml(path)
    with pytest.raises(ConfigError, match="cannot read"):
        TrainingConfig.from_toml(tmp_path / "none.toml")
