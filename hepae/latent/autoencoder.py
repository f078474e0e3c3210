"""The network: a fully connected autoencoder, its widths, activation and latent size as options."""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from hepae.errors import ConfigError
from hepae.latent.batches import batches

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "leaky_relu": partial(nn.LeakyReLU, inplace=True),  # in place: a tenth faster in training
    "relu": partial(nn.ReLU, inplace=True),
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}
CACHED_JETS = 4096
"""Jets that go through the network at a time on a processor: what they take fits into the cache, a quarter faster than more."""
PRESETS = ("original", "AE_3D_200", "AE_3D_100", "connections-N", "folded")


@dataclass(frozen=True, kw_only=True)
class AutoencoderConfig:
    """Shape of an `Autoencoder`.

    ``hidden`` are the layer widths of the encoder; the decoder has them in reverse. ``latent_activation`` applies the activation
    to the latents too, as the original experiment did. With ``octaves``, encoder and decoder also see sines and cosines of their
    inputs at that many octaves of frequency; the latents can then describe fine detail, such as a surface with folds.
    """

    hidden: tuple[int, ...] = (512, 256, 128)
    latent: int = 3
    activation: str = "leaky_relu"
    latent_activation: bool = False
    batch_norm: bool = False
    dropout: float = 0.0
    octaves: int = 0

    def __post_init__(self) -> None:
        """Check the options.

        Raises
        ------
        ConfigError
            If one is invalid.
        """
        if self.activation not in ACTIVATIONS:
            raise ConfigError(f"no activation {self.activation!r}; choose one of {', '.join(ACTIVATIONS)}")
        if any(type(width) is not int or width < 1 for width in (*self.hidden, self.latent)):
            raise ConfigError(
                f"hidden and latent widths must be integers above 0, got {list(self.hidden)} and {self.latent}"
            )
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout must be at least 0 and below 1, got {self.dropout}")
        if type(self.octaves) is not int or not 0 <= self.octaves <= 12:
            raise ConfigError(f"octaves must be an integer from 0 to 12, got {self.octaves}")

    @classmethod
    def preset(cls, name: str) -> AutoencoderConfig:
        """Give a configuration by name.

        ``original`` is the first experiment's 512-256-128 with LeakyReLU on the latents too, ``connections-N`` the
        same with widths 4N-2N-N; ``AE_3D_200`` and ``AE_3D_100`` are the predecessors' 200-100-50 and 100-100-50 with
        tanh; ``folded`` is narrow and has octaves, and so finds surfaces with many folds.

        >>> AutoencoderConfig.preset("connections-128") == AutoencoderConfig.preset("original")
        True
        """
        connections = re.fullmatch(r"connections-([1-9]\d*)", name)
        if name == "original" or connections:
            n = int(connections[1]) if connections else 128
            return cls(hidden=(4 * n, 2 * n, n), latent_activation=True)
        if name in ("AE_3D_200", "AE_3D_100"):
            return cls(hidden=(200 if name == "AE_3D_200" else 100, 100, 50), activation="tanh")
        if name == "folded":
            return cls(hidden=(64, 64, 64), octaves=4)
        raise ConfigError(f"no preset {name!r}; choose one of {', '.join(PRESETS)}")

    def to_config(self) -> dict[str, Any]:
        """Give the configuration as JSON; the inverse is `from_config`."""
        config = asdict(self)
        if not self.octaves:  # as models were written before there were any
            del config["octaves"]
        return config

    def layer_shapes(self, columns: int) -> dict[str, list[tuple[int, int]]]:
        """Outputs and inputs of each layer's weights, for encoder and decoder, with this number of columns."""
        widths = (columns, *self.hidden, self.latent)
        shapes = {}
        for part, ordered in (("encoder", widths), ("decoder", widths[::-1])):
            shapes[part] = [(outputs, inputs) for inputs, outputs in pairwise(ordered)]
            outputs, inputs = shapes[part][0]
            shapes[part][0] = outputs, inputs * (1 + 2 * self.octaves)
        return shapes

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> AutoencoderConfig:
        """Rebuild a configuration from what `to_config` gave."""
        return cls(**{**config, "hidden": tuple(config["hidden"])})


class Autoencoder(nn.Module):
    """Features of shape (jets, columns) to latents of shape (jets, latent) and back.

    Parameters
    ----------
    columns
        Number of features.
    config
        Widths, latent size, activation.
    """

    def __init__(self, columns: int, config: AutoencoderConfig):
        super().__init__()
        self.config = config
        shapes = config.layer_shapes(columns)
        encoder = _layers(shapes["encoder"], config, last_activation=config.latent_activation)
        decoder = _layers(shapes["decoder"], config, last_activation=False)
        if config.octaves:
            encoder = [Scaling(columns), Sinusoids(config.octaves), *encoder]
            decoder = [Sinusoids(config.octaves), *decoder, Scaling(columns)]
        self.encoder, self.decoder = nn.Sequential(*encoder), nn.Sequential(*decoder)

    def start_standardized(self, mean: torch.Tensor, std: torch.Tensor) -> None:
        """Let the network begin as if the features had mean 0 and standard deviation 1, and restore them on their own scale.

        Features that fill little of [0, 1], as pt and mass do with their long tails, are else learnt last. A network with
        octaves has layers for that; of others the initial weights change.

        Parameters
        ----------
        mean, std
            Of the features on the training jets, shape (columns,).
        """
        first, last = self.encoder[0], self.decoder[-1]
        std = torch.where(std > 0, std, 1.0)  # of a column that never changes
        with torch.no_grad():
            if isinstance(first, Scaling) and isinstance(last, Scaling):
                first.set(1 / std, -mean / std)
                last.set(std, mean)
                return
            assert isinstance(first, nn.Linear)
            assert isinstance(last, nn.Linear)
            first.weight.div_(std)
            first.bias.sub_(first.weight @ mean)
            last.weight.mul_(std[:, None])
            last.bias.copy_(mean)

    def forward(self, features: torch.Tensor, latents: torch.Tensor | None = None) -> torch.Tensor:
        """Features through the latents to restored features.

        Where latents are given, both halves work apart: the encoder's latents of the features and, beside them, the
        features that the decoder restores of the given latents.
        """
        encoded = self.encoder(features)
        if latents is not None:
            return torch.cat([encoded, self.decoder(latents)], dim=1)
        restored: torch.Tensor = self.decoder(encoded)
        return restored


class Scaling(nn.Module):
    """Each column times a scale, plus an offset."""

    scale: torch.Tensor
    offset: torch.Tensor

    def __init__(self, columns: int):
        super().__init__()
        self.register_buffer("scale", torch.ones(columns))
        self.register_buffer("offset", torch.zeros(columns))

    def set(self, scale: torch.Tensor, offset: torch.Tensor) -> None:
        """Set both, of shape (columns,)."""
        self.scale.copy_(scale)
        self.offset.copy_(offset)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Inputs and outputs have shape (jets, columns)."""
        return inputs * self.scale + self.offset


class Sinusoids(nn.Module):
    """Inputs, and the sines and cosines of π/2 times the inputs, in octaves (Tancik et al. 2020, arXiv:2006.10739)."""

    def __init__(self, octaves: int):
        super().__init__()
        self.octaves = octaves

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Inputs of shape (jets, n) to outputs of shape (jets, n (1 + 2 octaves))."""
        angles = torch.cat([inputs * (math.pi / 2 * 2**octave) for octave in range(self.octaves)], dim=1)
        return torch.cat([inputs, angles.sin(), angles.cos()], dim=1)


class Float32Linear(nn.Linear):
    """A layer that stays in float32 where those before it are in bfloat16, whose three digits are too few for latents and outputs."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Inputs of shape (jets, inputs) to outputs of shape (jets, outputs)."""
        if not torch.is_autocast_enabled(inputs.device.type):
            return super().forward(inputs)
        with torch.autocast(inputs.device.type, enabled=False):
            return super().forward(inputs.float())


def evaluate(layers: torch.nn.Module, inputs: torch.Tensor, outputs: int) -> NDArray[Any]:
    """What layers make of inputs, shape (jets, outputs), in their type."""
    result = np.empty((len(inputs), outputs), np.float64 if inputs.dtype == torch.float64 else np.float32)
    done = 0
    with torch.inference_mode():
        for batch in batches(inputs, CACHED_JETS):
            result[done : done + len(batch)] = layers(batch).numpy()
            done += len(batch)
    return result


def _layers(
    shapes: list[tuple[int, int]], config: AutoencoderConfig, *, last_activation: bool
) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for i, (outputs, inputs) in enumerate(shapes):
        inner = i < len(shapes) - 1
        layers.append((nn.Linear if inner else Float32Linear)(inputs, outputs))
        if inner and config.batch_norm:
            layers.append(nn.BatchNorm1d(outputs))
        if inner or last_activation:
            layers.append(ACTIVATIONS[config.activation]())
        if inner and config.dropout:
            layers.append(nn.Dropout(config.dropout))
    return layers
