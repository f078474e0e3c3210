from __future__ import annotations

import json
import math

import pytest
import torch
from torch import nn

from hepae.errors import ConfigError
from hepae.latent.autoencoder import Autoencoder, AutoencoderConfig, Sinusoids


def _shape(layers):
    return [(layer.in_features, layer.out_features) for layer in layers if isinstance(layer, nn.Linear)]


def _kinds(layers):
    return [nn.Linear if isinstance(layer, nn.Linear) else type(layer) for layer in layers]


def test_latents_and_outputs_stay_in_float32_where_the_rest_is_in_bfloat16():
    network, jets = Autoencoder(4, AutoencoderConfig()), torch.rand(7, 4)
    with torch.autocast("cpu", torch.bfloat16):
        inner, latents, restored = network.encoder[0](jets), network.encoder(jets), network(jets)
    assert inner.dtype == torch.bfloat16
    assert latents.dtype == restored.dtype == torch.float32
    assert 0 < (latents - network.encoder(jets)).abs().max() < 0.01


def test_the_original_network():
    network = Autoencoder(4, AutoencoderConfig.preset("original"))
    assert _shape(network.encoder) == [(4, 512), (512, 256), (256, 128), (128, 3)]
    assert _shape(network.decoder) == [(3, 128), (128, 256), (256, 512), (512, 4)]
    assert _kinds(network.encoder) == [nn.Linear, nn.LeakyReLU] * 4
    assert _kinds(network.decoder) == [*[nn.Linear, nn.LeakyReLU] * 3, nn.Linear]
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
    network = Autoencoder(4, config)
    first, second, third = hidden
    assert _shape(network.encoder) == [(4, first), (first, second), (second, third), (third, 3)]
    assert _shape(network.decoder) == [(3, third), (third, second), (second, first), (first, 4)]
    assert isinstance(network.encoder[-1], nn.Linear) == preset.startswith("AE")


def test_without_hidden_layers_it_is_linear():
    network = Autoencoder(4, AutoencoderConfig(hidden=(), latent=2))
    assert _kinds([*network.encoder, *network.decoder]) == [nn.Linear, nn.Linear]


def test_dropout_only_acts_in_training():
    torch.manual_seed(0)
    network, features = Autoencoder(4, AutoencoderConfig(hidden=(64,), dropout=0.5)), torch.rand(9, 4)
    assert not torch.equal(network(features), network(features))
    network.eval()
    assert torch.equal(network(features), network(features))


def test_options_become_layers():
    config = AutoencoderConfig(hidden=(8,), latent=2, activation="gelu", batch_norm=True, dropout=0.1)
    kinds = _kinds(Autoencoder(4, config).encoder)
    assert kinds == [nn.Linear, nn.BatchNorm1d, nn.GELU, nn.Dropout, nn.Linear]


def test_a_configuration_is_rebuilt_from_json():
    config = AutoencoderConfig(hidden=(8, 4), latent=2, activation="silu")
    assert AutoencoderConfig.from_config(json.loads(json.dumps(config.to_config()))) == config


@pytest.mark.parametrize(
    "options",
    [
        {"activation": "sin"},
        {"latent": 0},
        {"latent": True},
        {"hidden": (0,)},
        {"hidden": (8.5,)},
        {"hidden": ("8",)},
        {"dropout": 1.0},
        {"dropout": -0.1},
        {"octaves": -1},
        {"octaves": 1.0},
    ],
)
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(ConfigError):
        AutoencoderConfig(**options)


@pytest.mark.parametrize("name", ["nope", "connections-0", "connections-", "connections-1.5", "Original"])
def test_unknown_presets_are_refused(name):
    with pytest.raises(ConfigError, match="original, AE_3D_200, AE_3D_100, connections-N"):
        AutoencoderConfig.preset(name)


def test_a_standardized_start_sees_features_of_any_scale_alike():
    scale, shift = torch.tensor([0.01, 1.0, 30.0]), torch.tensor([0.5, -2.0, 100.0])
    standard = torch.randn(1000, 3)
    standard = (standard - standard.mean(dim=0)) / standard.std(dim=0)
    torch.manual_seed(1)
    plain = Autoencoder(3, AutoencoderConfig(hidden=(16,)))
    torch.manual_seed(1)
    network = Autoencoder(3, AutoencoderConfig(hidden=(16,)))
    features = standard * scale + shift
    network.start_standardized(features.mean(dim=0), features.std(dim=0))
    torch.testing.assert_close(network.encoder(features), plain.encoder(standard), atol=1e-4, rtol=1e-4)
    expected = (plain(standard) - plain.decoder[-1].bias) * scale + shift
    torch.testing.assert_close(network(features), expected, atol=1e-2, rtol=1e-4)


def test_a_network_with_octaves_sees_features_of_any_scale_alike():
    scale, shift = torch.tensor([0.01, 1.0, 30.0]), torch.tensor([0.5, -2.0, 100.0])
    standard = torch.randn(1000, 3)
    standard = (standard - standard.mean(dim=0)) / standard.std(dim=0)
    torch.manual_seed(1)
    plain = Autoencoder(3, AutoencoderConfig(hidden=(16,), octaves=3))
    torch.manual_seed(1)
    network = Autoencoder(3, AutoencoderConfig(hidden=(16,), octaves=3))
    features = standard * scale + shift
    network.start_standardized(features.mean(dim=0), features.std(dim=0))
    torch.testing.assert_close(network.encoder(features), plain.encoder(standard), atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(network(features), plain(standard) * scale + shift, atol=2e-2, rtol=1e-3)
    network.start_standardized(features[0], torch.zeros(3))  # columns that never change
    assert torch.isfinite(network(features)).all()


def test_octaves_are_sines_and_cosines_of_the_inputs():
    inputs = torch.tensor([[0.5, -1.0]])
    quarter = math.sqrt(0.5)
    expected = [0.5, -1.0, quarter, -1.0, 1.0, 0.0, quarter, 0.0, 0.0, -1.0]
    torch.testing.assert_close(Sinusoids(2)(inputs), torch.tensor([expected]), atol=1e-6, rtol=0)


def test_models_without_octaves_are_written_as_ever():
    assert "octaves" not in AutoencoderConfig().to_config()
    config = AutoencoderConfig(octaves=4)
    assert AutoencoderConfig.from_config(config.to_config()) == config
