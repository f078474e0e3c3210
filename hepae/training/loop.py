"""What describes a training, the loop, and what is known of each epoch."""

from __future__ import annotations

import json
import math
import os
import time
import tomllib
from dataclasses import asdict, dataclass, field, fields
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from hepae.errors import CodecError, ConfigError, InputError
from hepae.kinematics import CENTRAL, column_residual
from hepae.latent.autoencoder import AutoencoderConfig
from hepae.latent.features import BASES
from hepae.training.processes import check_agreement, rank_and_world, summed
from hepae.training.rows import BUFFER, batches, shuffled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from hepae.latent.autoencoder import Autoencoder
    from hepae.latent.features import FeatureMap
    from hepae.training.runs import Run

OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
SCHEDULES = ("one-cycle", "steps", "constant")
PRECISIONS = ("auto", "float32", "bfloat16")
CACHED_JETS = 4096
"""Jets that go through the network at a time on a processor: what they take fits into the cache, a quarter faster than more."""
_BFLOAT16_PAYS = 2**24
"""Products of a batch forwards from which bfloat16 is faster: below, turning numbers into it takes longer than it saves."""
_RESIDUALS = 10_000
"""About how many validation jets have their residuals recorded each epoch."""
_REPORT_EVERY = 0.2  # seconds


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """All that describes a training run.

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
        ``adam`` or ``adamw``.
    schedule
        ``one-cycle`` (warm-up, then cosine to zero), ``steps`` (a fifth of it after each eighth of the training, as the
        original experiment had it) or ``constant``.
    precision
        Of the products of matrices: ``float32``, ``bfloat16`` (sums, latents, outputs and weights stay in float32), or
        ``auto``, which is ``bfloat16`` where the device multiplies it faster and a step has enough to multiply. The last
        tenth of the epochs is in float32 in any case: three digits would drown its small steps.
    standardized_start
        Whether the first layer begins as if the features were standardised, and the last one gives them back so.
    patience
        Epochs without a better validation loss after which training stops; None never stops early.
    validation_fraction
        Share of the jets that is set aside for validation, where no validation input is given.
    fraction
        Share of the training jets that is used.
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
    precision: str = "auto"
    standardized_start: bool = False
    patience: int | None = None
    validation_fraction: float = 0.1
    fraction: float = 1.0
    seed: int = 0
    device: str = "auto"
    runs_dir: Path | None = None

    def __post_init__(self) -> None:
        """Check the options.

        Raises
        ------
        ConfigError
            If one makes no sense.
        """
        checks = {
            f"no basis {self.basis!r}: it is one of {', '.join(BASES)}": self.basis in BASES,
            f"no optimizer {self.optimizer!r}: it is one of {', '.join(OPTIMIZERS)}": self.optimizer
            in OPTIMIZERS,
            f"no schedule {self.schedule!r}: it is one of {', '.join(SCHEDULES)}": self.schedule in SCHEDULES,
            f"no precision {self.precision!r}: it is one of {', '.join(PRECISIONS)}": self.precision
            in PRECISIONS,
            f"epochs and batch size are whole and positive, not {self.epochs} and {self.batch_size}": all(
                type(number) is int and number > 0 for number in (self.epochs, self.batch_size)
            ),
            "batch norm needs batches of two jets": self.batch_size > 1 or not self.network.batch_norm,
            f"the weight decay is not below zero, as {self.weight_decay} is": self.weight_decay >= 0,
            f"the seed is whole and in [0, 2^32), not {self.seed}": type(self.seed) is int
            and 0 <= self.seed < 2**32,
            f"the learning rate is positive, not {self.learning_rate}": 0 < self.learning_rate < math.inf,
            f"patience is at least one epoch, not {self.patience}": self.patience is None
            or self.patience > 0,
            f"the validation fraction lies in (0, 1), not at {self.validation_fraction}": (
                0 < self.validation_fraction < 1
            ),
            f"the fraction lies in (0, 1], not at {self.fraction}": 0 < self.fraction <= 1,
            f"columns are names such as pt and eta, not {self.columns!r}": len(self.columns) > 0
            and not isinstance(self.columns, str)
            and all(isinstance(name, str) for name in self.columns),
        }
        for message, holds in checks.items():
            if not holds:
                raise ConfigError(message)

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
            raise ConfigError(
                f"a training option has a value of another type than its own: {error}"
            ) from None

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
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"cannot read the configuration {path}: {error}") from None

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

    def in_bfloat16(self, device: torch.device) -> bool:
        """Whether matrices are multiplied in bfloat16 on this device."""
        if self.precision != "auto":
            return self.precision == "bfloat16"
        widths = [len(self.columns), *self.network.hidden, self.network.latent]
        if self.batch_size * 2 * sum(a * b for a, b in pairwise(widths)) < _BFLOAT16_PAYS:
            return False
        if device.type == "cuda":
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
        found = torch.cpu.get_capabilities()
        return device.type == "cpu" and bool(found.get("avx512_bf16") or found.get("amx_bf16"))


def _as_tuple(config: Mapping[str, Any], name: str) -> dict[str, tuple[Any, ...]]:
    return {name: tuple(config[name])} if name in config else {}


@dataclass(frozen=True)
class EpochMetrics:
    """What is known of an epoch: mean squared errors of the features, the step size at its end, and the speed.

    ``p68`` is of the residuals of validation jets, by column: half the width of their central 68 %, relative for pt,
    mass and E.
    """

    epoch: int
    train_loss: float
    validation_loss: float
    test_loss: float | None
    learning_rate: float
    jets_per_s: float
    p68: dict[str, float] = field(default_factory=dict)

    def numbers(self) -> dict[str, float | None]:
        """All numbers by name, as metrics.csv and TensorBoard have them."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "p68"}
        return {**own, **{f"{name}_p68": value for name, value in self.p68.items()}}


@dataclass(frozen=True)
class Progress:
    """Where a training stands: jets seen of all to be seen, and the last epoch's metrics."""

    jets: int
    total: int
    metrics: EpochMetrics | None


def _squared_error(model: Autoencoder, features: torch.Tensor) -> tuple[float, torch.Tensor, torch.Tensor]:
    """Sum over jets and columns of (restored − original)², and some jets from all over, original and restored."""
    model.eval()
    device = next(model.parameters()).device
    total, some = torch.zeros((), dtype=torch.float64, device=device), [(features[:0], features[:0])]
    every = math.ceil(len(features) / _RESIDUALS) or 1
    with torch.inference_mode():
        for batch in batches(features, CACHED_JETS):
            original = batch.to(device)
            restored = model(original)
            total += functional.mse_loss(restored, original, reduction="sum").double()
            some.append((batch[::every], restored[::every].cpu()))
    before, after = zip(*some, strict=True)
    return float(total), torch.cat(before), torch.cat(after)


def _residuals(
    columns: FeatureMap, original: torch.Tensor, restored: torch.Tensor
) -> dict[str, NDArray[np.floating[Any]]]:
    """Residuals of jets by column, of features before and after; what is not finite is left out."""
    before, after = columns.inverse(original.numpy()), columns.inverse(restored.numpy())
    found = {name: column_residual(name, before[name], after[name]) for name in columns.columns}
    return {name: values[np.isfinite(values)] for name, values in found.items()}


def _p68(values: NDArray[np.floating[Any]]) -> float:
    """Half the width of the central 68 %: σ for a Gaussian."""
    if not values.size:
        return math.nan
    low, high = np.quantile(values, [(1 - CENTRAL) / 2, (1 + CENTRAL) / 2])
    return float(high - low) / 2


def fit(
    model: Autoencoder,
    train: torch.Tensor,
    validation: torch.Tensor,
    test: torch.Tensor | None,
    config: TrainingConfig,
    *,
    run: Run | None = None,
    progress: Callable[[Progress], None] | None = None,
    fingerprint: str = "",
    columns: FeatureMap | None = None,
    buffer: int = BUFFER,
) -> list[EpochMetrics]:
    """Train a model; it ends with the weights of the best validation loss.

    Inside a `process_group`, all processes train it together, on the same features: each takes its share of every batch.

    Parameters
    ----------
    model
        Changed in place, and moved to the configuration's device.
    train, validation, test
        Features of shape (jets, columns), float32, on the CPU; they may be memory-mapped.
    config
        How to train.
    run
        Where to record it; the first process alone does. A run that was stopped goes on after its last complete epoch,
        and ends in the weights of an unbroken one.
    progress
        Called a few times a second.
    fingerprint
        Says what was trained on, so that a run is not resumed on other jets.
    columns
        What the features mean: then residuals of validation jets are recorded as well.
    buffer
        Jets that are shuffled among each other, and in memory at a time.

    Returns
    -------
    list of EpochMetrics
        One an epoch.

    Raises
    ------
    InputError
        If the run to resume was trained on other jets, or its checkpoints are damaged.
    ConfigError
        If several processes train a network with batch norm.
    CodecError
        If no epoch has a finite validation loss.
    """
    device = config.torch_device()
    model.to(device)
    rank, world = rank_and_world()
    if world > 1 and model.config.batch_norm:
        raise ConfigError("batch norm is over the jets of one process; train it without torchrun")
    optimizer = OPTIMIZERS[config.optimizer](
        model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    scheduler = _scheduler(config, optimizer, config.epochs * math.ceil(len(train) / config.batch_size))
    in_bfloat16 = config.in_bfloat16(device)
    history, best = _checkpoint(run, fingerprint, model, optimizer, scheduler)
    if world > 1:
        check_agreement(f"{fingerprint} {len(history)} {best['epoch']}", device)
    recorded = run if rank == 0 else None
    network = DistributedDataParallel(model) if world > 1 else model

    def report(jets: int) -> None:
        if progress is not None and rank == 0:
            progress(Progress(jets, config.epochs * len(train), history[-1] if history else None))

    reported = time.monotonic()
    for epoch in range(len(history), config.epochs):
        if config.patience is not None and epoch - best["epoch"] > config.patience:
            break
        if history and not math.isfinite(history[-1].validation_loss):
            break  # weights that are no numbers stay so
        # Everything random is drawn from the seed and the epoch, so a resumed run needs no state of generators. The
        # order of the jets is the same in all processes, dropout is not.
        seed = config.seed * 1_000_003 + epoch
        order = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed + (rank << 53))
        coarse = in_bfloat16 and epoch < 0.9 * config.epochs
        total, seen = torch.zeros((), device=device), 0
        whole = model.config.batch_norm or device.type != "cpu"  # a GPU is the faster the more it has to do
        started = time.monotonic()
        model.train()
        pieces = shuffled(train, config.batch_size, order, buffer=buffer)
        for batch in (batch for piece in pieces for batch in batches(piece.to(device), config.batch_size)):
            if model.config.batch_norm and len(batch) == 1:
                continue  # batch norm cannot take a batch of one jet
            optimizer.zero_grad()
            with torch.autocast(device.type, torch.bfloat16, enabled=coarse):
                loss = _add_gradient(network, batch, whole=whole)
            optimizer.step()
            scheduler.step()
            total += loss * len(batch)
            seen += len(batch)
            if time.monotonic() - reported > _REPORT_EVERY:
                reported = time.monotonic()
                report(epoch * len(train) + seen)
        seconds = time.monotonic() - started
        error, *some = _squared_error(model, validation.tensor_split(world)[rank])
        tested = 0.0 if test is None else _squared_error(model, test.tensor_split(world)[rank])[0]
        losses = summed([float(total) / world, error, tested], device)
        found = {} if columns is None else _residuals(columns, *some)
        history.append(
            EpochMetrics(
                epoch,
                losses[0] / max(seen, 1),
                losses[1] / validation.numel() if len(validation) else math.nan,
                losses[2] / test.numel() if test is not None and len(test) else None,
                float(scheduler.get_last_lr()[0]),
                round(len(train) / max(seconds, 1e-9)),
                {name: _p68(values) for name, values in found.items()},
            )
        )
        if history[-1].validation_loss < best["loss"]:
            weights = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
            best = {"loss": history[-1].validation_loss, "epoch": epoch, "model": weights}
            if recorded is not None:
                recorded.save("best.pt", best)
        if recorded is not None:
            recorded.log(history, found)
            recorded.save(
                "last.pt",
                {
                    "model": model.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "scheduler": scheduler.state_dict(),
                    "history": json.dumps([asdict(row) for row in history]),
                    "fingerprint": fingerprint,
                },
            )
        report((epoch + 1) * len(train))
    if recorded is not None:
        recorded.close()
    if best["epoch"] < 0:
        raise CodecError("no epoch has a finite validation loss; lower --learning-rate or validate on jets")
    model.load_state_dict(best["model"])
    model.to("cpu").eval()
    return history


def _scheduler(
    config: TrainingConfig, optimizer: torch.optim.Optimizer, steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """What says the size of each of so many steps."""
    if config.schedule == "one-cycle":
        return torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, total_steps=steps)
    if config.schedule == "steps":
        return torch.optim.lr_scheduler.StepLR(optimizer, math.ceil(steps / 8), gamma=0.2)
    return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)


def _checkpoint(
    run: Run | None,
    fingerprint: str,
    model: Autoencoder,
    optimizer: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LRScheduler,
) -> tuple[list[EpochMetrics], dict[str, Any]]:
    """Put a training where its run stands, and give the epochs so far and the best weights, of epoch −1 at its beginning.

    Raises
    ------
    InputError
        If the run was trained on other jets, or its checkpoints are damaged.
    """
    last = None if run is None else run.load("last.pt")
    if run is None or last is None:
        return [], {"loss": math.inf, "epoch": -1, "model": model.state_dict()}
    try:
        if last["fingerprint"] != fingerprint:
            raise InputError(
                f"the run {run.path} was trained on other jets; resume it with the inputs, --validation and --test "
                "that it began with"
            )
        history = [EpochMetrics(**row) for row in json.loads(last["history"])]
        best = run.load("best.pt")
        if best is None:
            if any(math.isfinite(row.validation_loss) for row in history):
                raise InputError(f"the run {run.path} has lost its best.pt; train anew")
            best = {"loss": math.inf, "epoch": -1, "model": last["model"]}
        best = {"loss": float(best["loss"]), "epoch": int(best["epoch"]), "model": best["model"]}
        model.load_state_dict(best["model"])  # these fit, too
        model.load_state_dict(last["model"])
        optimizer.load_state_dict(last["optimizer"])
        scheduler.load_state_dict(last["scheduler"])
    except (AttributeError, LookupError, TypeError, ValueError, RuntimeError):
        raise InputError(f"the checkpoints in {run.path} do not fit its run; train anew") from None
    return history, best


def _add_gradient(network: torch.nn.Module, batch: torch.Tensor, *, whole: bool) -> torch.Tensor:
    """Add the gradient of this process's share of a batch to that of the weights, and give its loss.

    Both are weighted so that their mean over the processes is that of the batch. Unless the share is to be taken as a whole,
    it is taken in pieces, as many in all processes.
    """
    rank, world = rank_and_world()
    # Of a batch with fewer jets than processes some take a jet of others', with weight 0.
    own = batch.tensor_split(world)[rank]
    share, weight = own if len(own) else batch[:1], world * len(own) / len(batch)
    number = 1 if whole else math.ceil(len(batch) / (world * CACHED_JETS))
    total = torch.zeros((), device=batch.device)
    for piece in share.tensor_split(number):
        loss = functional.mse_loss(network(piece), piece) * (weight * len(piece) / len(share))
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.detach()
    return total
