"""The network: a fully connected autoencoder, its widths, activation and latent size as options."""

from __future__ import annotations

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
PRESETS = ("original", "AE_3D_200", "AE_3D_100", "connections-N")


@dataclass(frozen=True, kw_only=True)
class AutoencoderConfig:
    """Shape of an `Autoencoder`.

    ``hidden`` are the encoder's widths from the input inwards, mirrored by the decoder; ``latent_activation`` puts the
    activation on the latents too, as the original experiment had it.
    """

    hidden: tuple[int, ...] = (512, 256, 128)
    latent: int = 3
    activation: str = "leaky_relu"
    latent_activation: bool = False
    batch_norm: bool = False
    dropout: float = 0.0

    def __post_init__(self) -> None:
        """Check the options.

        Raises
        ------
        ConfigError
            If one makes no sense.
        """
        if self.activation not in ACTIVATIONS:
            raise ConfigError(f"no activation {self.activation!r}: it is one of {', '.join(ACTIVATIONS)}")
        if any(type(width) is not int or width < 1 for width in (*self.hidden, self.latent)):
            raise ConfigError(
                f"hidden and latent widths must be integers above 0, got {list(self.hidden)} and {self.latent}"
            )
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout must be at least 0 and below 1, got {self.dropout}")

    @classmethod
    def preset(cls, name: str) -> AutoencoderConfig:
        """Give a configuration by name.

        ``original`` is the first experiment's 512-256-128 with LeakyReLU on the latents too, ``connections-N`` the
        same with widths 4N-2N-N; ``AE_3D_200`` and ``AE_3D_100`` are the predecessors' 200-100-50 and 100-100-50 with
        tanh.

        >>> AutoencoderConfig.preset("connections-128") == AutoencoderConfig.preset("original")
        True
        """
        connections = re.fullmatch(r"connections-([1-9]\d*)", name)
        if name == "original" or connections:
            n = int(connections[1]) if connections else 128
            return cls(hidden=(4 * n, 2 * n, n), latent_activation=True)
        if name in ("AE_3D_200", "AE_3D_100"):
            return cls(hidden=(200 if name == "AE_3D_200" else 100, 100, 50), activation="tanh")
        raise ConfigError(f"no preset {name!r}: it is one of {', '.join(PRESETS)}")

    def to_config(self) -> dict[str, Any]:
        """Say the configuration as JSON; the inverse is `from_config`."""
        return asdict(self)

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
        widths = [columns, *config.hidden, config.latent]
        self.encoder = _layers(widths, config, last_activation=config.latent_activation)
        self.decoder = _layers(widths[::-1], config, last_activation=False)

    def start_standardized(self, mean: torch.Tensor, std: torch.Tensor) -> None:
        """Change the initial weights: to the first layer features look as if they had mean 0 and standard deviation 1.

        The last layer gives them back on their own scale. Features that fill little of [0, 1], as pt and mass do with
        their long tails, are else learnt last.

        Parameters
        ----------
        mean, std
            Of the features on the training jets, shape (columns,).
        """
        first, last = self.encoder[0], self.decoder[-1]
        assert isinstance(first, nn.Linear)
        assert isinstance(last, nn.Linear)
        std = torch.where(std > 0, std, 1.0)  # of a column that never changes
        with torch.no_grad():
            first.weight.div_(std)
            first.bias.sub_(first.weight @ mean)
            last.weight.mul_(std[:, None])
            last.bias.copy_(mean)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Features through the latents to restored features."""
        restored: torch.Tensor = self.decoder(self.encoder(features))
        return restored


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


def _layers(widths: list[int], config: AutoencoderConfig, *, last_activation: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    pairs = list(pairwise(widths))
    for i, (inputs, outputs) in enumerate(pairs):
        inner = i < len(pairs) - 1
        layers.append((nn.Linear if inner else Float32Linear)(inputs, outputs))
        if inner and config.batch_norm:
            layers.append(nn.BatchNorm1d(outputs))
        if inner or last_activation:
            layers.append(ACTIVATIONS[config.activation]())
        if inner and config.dropout:
            layers.append(nn.Dropout(config.dropout))
    return nn.Sequential(*layers)
