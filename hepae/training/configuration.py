"""TrainingConfig: the options of a training."""

from __future__ import annotations

import math
import os
import tomllib
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from hepae.errors import ConfigError
from hepae.latent.autoencoder import AutoencoderConfig
from hepae.latent.features import BASES
from hepae.training.soap import SOAP

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": partial(torch.optim.Adam, fused=True),
    "adamw": partial(torch.optim.AdamW, fused=True),
    "soap": SOAP,
}
SCHEDULES = ("one-cycle", "steps", "constant")
PRECISIONS = ("float32", "bfloat16")
PRESET_OPTIONS: dict[str, dict[str, Any]] = {
    "folded": {"optimizer": "soap", "learning_rate": 0.01, "folded_start": True}
}
"""What a preset brings besides its network."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """All options of a training run.

    Parameters
    ----------
    columns
        Columns of a jet to code, by canonical or own name.
    basis
        How columns become features: ``physics``, ``minmax`` or ``standard``.
    network
        Shape of the autoencoder.
    epochs, batch_size, learning_rate
        Passes over the training jets, jets a step, and the largest step size of the schedule.
    optimizer, weight_decay
        ``adam``, ``adamw`` or ``soap``.
    schedule
        ``one-cycle`` (warm-up, then cosine to zero), ``steps`` (a fifth of it after each eighth of the training, as the
        original experiment had it) or ``constant``.
    precision
        Of the matrix products: ``float32``, or ``bfloat16`` (sums, latents, outputs and weights stay in float32, and so
        does the last tenth of the epochs). bfloat16 is faster where the processor has instructions for it, but its three
        digits can make the loss many times larger, above all in the basis ``minmax``.
    standardized_start
        Whether the first layer begins as if the features were standardised, and the last one gives them back so; a network
        with octaves always does.
    folded_start
        Whether encoder and decoder first learn latents with folds (`hepae.training.folds`), each on its own, in an eighth of
        the epochs; it needs fewer latents than columns, and is left out where there are as many.
    patience
        Epochs without a better validation loss after which training stops; None never stops early.
    validation_fraction
        Share of the jets that is set aside for validation, where no validation input is given.
    fraction
        Share of the training jets that is used.
    spectra
        Whether restored jets keep the spectrum of each column (`hepae.latent.spectra`). The squared error grows; the codec's
        summary has the factor.
    seed
        Of the split, the initial weights, the order of the jets and dropout.
    device
        ``auto`` takes a GPU where there is one.
    runs_dir
        Where the run's folder is made; None keeps no record.
    """

    columns: tuple[str, ...] = ("pt", "eta", "phi", "E")
    basis: str = "physics"
    network: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    epochs: int = 50
    batch_size: int = 1024
    learning_rate: float = 2e-3
    optimizer: str = "adam"
    weight_decay: float = 0.0
    schedule: str = "one-cycle"
    precision: str = "float32"
    standardized_start: bool = False
    folded_start: bool = False
    patience: int | None = None
    validation_fraction: float = 0.1
    fraction: float = 1.0
    spectra: bool = False
    seed: int = 0
    device: str = "auto"
    runs_dir: Path | None = None

    def __post_init__(self) -> None:
        """Check the options.

        Raises
        ------
        ConfigError
            If one is invalid.
        """
        checks = {
            f"no basis {self.basis!r}; choose one of {', '.join(BASES)}": self.basis in BASES,
            f"no optimizer {self.optimizer!r}; choose one of {', '.join(OPTIMIZERS)}": self.optimizer
            in OPTIMIZERS,
            f"no schedule {self.schedule!r}; choose one of {', '.join(SCHEDULES)}": self.schedule
            in SCHEDULES,
            f"no precision {self.precision!r}; choose one of {', '.join(PRECISIONS)}": self.precision
            in PRECISIONS,
            f"epochs and batch size must be integers above 0, got {self.epochs} and {self.batch_size}": all(
                type(number) is int and number > 0 for number in (self.epochs, self.batch_size)
            ),
            "batch norm needs batches of two jets": self.batch_size > 1 or not self.network.batch_norm,
            f"weight_decay must be >= 0, got {self.weight_decay}": self.weight_decay >= 0,
            f"the seed must be an integer from 0 to 4294967295, got {self.seed}": type(self.seed) is int
            and 0 <= self.seed < 2**32,
            f"the learning rate must be above 0, got {self.learning_rate}": 0 < self.learning_rate < math.inf,
            f"patience must be at least one epoch, got {self.patience}": self.patience is None
            or self.patience > 0,
            f"the validation fraction must be above 0 and below 1, got {self.validation_fraction}": (
                0 < self.validation_fraction < 1
            ),
            f"the fraction must be above 0 and at most 1, got {self.fraction}": 0 < self.fraction <= 1,
            f"spectra must be true or false, got {self.spectra!r}": type(self.spectra) is bool,
            f"columns must be names such as pt and eta, got {self.columns!r}": len(self.columns) > 0
            and not isinstance(self.columns, str)
            and all(isinstance(name, str) for name in self.columns),
        }
        for message, holds in checks.items():
            if not holds:
                raise ConfigError(message)

    def with_preset(self, name: str) -> TrainingConfig:
        """Give these options with the network of a preset, and what else it brings.

        Raises
        ------
        ConfigError
            If there is no such preset.
        """
        network = AutoencoderConfig.preset(name)
        return replace(self, network=network, **PRESET_OPTIONS.get(name, {}))

    def to_config(self) -> dict[str, Any]:
        """Say the configuration as TOML or JSON can hold it; the inverse is `from_config`."""
        config = {
            **asdict(self),
            "columns": list(self.columns),
            "runs_dir": self.runs_dir and str(self.runs_dir),
        }
        config["network"]["hidden"] = list(self.network.hidden)
        return {name: value for name, value in config.items() if value is not None}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> TrainingConfig:
        """Rebuild a configuration from what `to_config` gave, or from a part of it.

        Raises
        ------
        ConfigError
            If it has an option that does not exist, or a value that is none of the option's.
        """
        try:
            return cls._of(config)
        except TypeError as error:
            raise ConfigError(f"a training option has a value of the wrong type: {error}") from None

    @classmethod
    def _of(cls, config: Mapping[str, Any]) -> TrainingConfig:
        options = dict(config)
        network = options.pop("network", {})
        known = {f.name for f in fields(cls)}, {f.name for f in fields(AutoencoderConfig)}
        unknown = [*({*options} - known[0]), *({*network} - known[1])]
        if unknown:
            raise ConfigError(
                f"no training option {unknown[0]!r}: there are {', '.join(sorted(known[0] | known[1]))}"
            )
        if isinstance(options.get("columns"), list):
            options["columns"] = tuple(options["columns"])
        if options.get("runs_dir"):
            options["runs_dir"] = Path(options["runs_dir"])
        return cls(network=AutoencoderConfig(**{**network, **_as_tuple(network, "hidden")}), **options)

    @classmethod
    def from_toml(cls, path: Path) -> TrainingConfig:
        """Read a configuration from a TOML file.

        Raises
        ------
        ConfigError
            If there is none, it is no TOML, or has an option that does not exist.
        """
        try:
            return cls.from_config(tomllib.loads(path.read_text()))
        except (OSError, ValueError, RecursionError) as error:
            raise ConfigError(
                f"cannot read the configuration {path}: {getattr(error, 'strerror', None) or error}"
            ) from None

    def torch_device(self) -> torch.device:
        """Device to train on.

        Raises
        ------
        ConfigError
            If torch does not know it, or the machine does not have it.
        """
        name = ("cuda" if torch.cuda.is_available() else "cpu") if self.device == "auto" else self.device
        if name == "cuda" and "LOCAL_RANK" in os.environ:  # torchrun: a GPU for each process
            name = f"cuda:{os.environ['LOCAL_RANK']}"
        try:
            return torch.empty(0, device=name).device
        except (RuntimeError, AssertionError):
            raise ConfigError(f"no device {self.device!r} on this machine; leave --device at auto") from None


def _as_tuple(config: Mapping[str, Any], name: str) -> dict[str, tuple[Any, ...]]:
    return {name: tuple(config[name])} if name in config else {}
