from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from hepae.errors import ConfigError
from hepae.models.autoencoder import Autoencoder, AutoencoderConfig


def _shape(layers):
    return [(layer.in_features, layer.out_features) for layer in layers if isinstance(layer, nn.Linear)]


def test_the_original_network():
    network = Autoencoder(4, AutoencoderConfig.preset("original"))
    assert _shape(network.encoder) == [(4, 512), (512, 256), (256, 128), (128, 3)]
    assert _shape(network.decoder) == [(3, 128), (128, 256), (256, 512), (512, 4)]
    assert [type(layer) for layer in network.encoder] == [nn.Linear, nn.LeakyReLU] * 4
    assert [type(layer) for layer in network.decoder] == [*[nn.Linear, nn.LeakyReLU] * 3, nn.Linear]
    assert network(torch.rand(7, 4)).shape == (7, 4)
    assert network.encoder(torch.rand(7, 4)).shape == (7, 3)


def test_the_default_network_has_free_latents():
    network = Autoencoder(4, AutoencoderConfig())
    assert isinstance(network.encoder[-1], nn.Linear)
    assert _shape(network.encoder) == [(4, 512), (512, 256), (256, 128), (128, 3)]


@pytest.mark.parametrize(
    ("preset", "hidden", "activation"),
    [
        ("connections-200", (800, 400, 200), "leaky_relu"),
        ("AE_3D_200", (200, 100, 50), "tanh"),
        ("AE_3D_100", (100, 100, 50), "tanh"),
    ],
)
def test_presets(preset, hidden, activation):
    config = AutoencoderConfig.preset(preset)
    assert (config.hidden, config.activation, config.latent) == (hidden, activation, 3)


def test_options_become_layers():
    config = AutoencoderConfig(hidden=(8,), latent=2, activation="gelu", batch_norm=True, dropout=0.1)
    kinds = [type(layer) for layer in Autoencoder(4, config).encoder]
    assert kinds == [nn.Linear, nn.BatchNorm1d, nn.GELU, nn.Dropout, nn.Linear]


def test_a_configuration_is_rebuilt_from_json():
    config = AutoencoderConfig(hidden=(8, 4), latent=2, activation="silu")
    assert AutoencoderConfig.from_config(json.loads(json.dumps(config.to_config()))) == config


@pytest.mark.parametrize(
    "options", [{"activation": "sin"}, {"latent": 0}, {"hidden": (0,)}, {"dropout": 1.0}]
)
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(ConfigError):
        AutoencoderConfig(**options)
    with pytest.raises(ConfigError, match="original"):
        AutoencoderConfig.preset("nope")
