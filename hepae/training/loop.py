"""The training loop: `fit` trains a network epoch by epoch."""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from hepae.errors import CodecError, ConfigError, InputError
from hepae.latent.autoencoder import CACHED_JETS
from hepae.latent.batches import BUFFER, batches
from hepae.training.configuration import OPTIMIZERS, TrainingConfig
from hepae.training.folds import FoldedStart
from hepae.training.metrics import EpochMetrics, p68, residuals, squared_error
from hepae.training.processes import check_agreement, rank_and_world, summed
from hepae.training.rows import shuffled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hepae.latent.autoencoder import Autoencoder
    from hepae.latent.features import FeatureMap
    from hepae.training.runs import Run

_REPORT_EVERY = 0.2  # seconds
_START = 0.125
"""Share of the epochs that a folded start takes."""


@dataclass(frozen=True)
class Progress:
    """Where a training stands: jets seen of all to be seen, and the last epoch's metrics."""

    jets: int
    total: int
    metrics: EpochMetrics | None


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
        Called a few times per second.
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
        raise ConfigError(
            "a network with batch normalisation cannot be trained in several processes; start it without torchrun"
        )
    state = _State.begin(model, config, config.epochs * math.ceil(len(train) / config.batch_size))
    if run is not None:
        state.load(run, fingerprint)
    if world > 1:
        check_agreement(f"{fingerprint} {len(state.history)} {state.best['epoch']}", device)
    network = DistributedDataParallel(model) if world > 1 else model
    recorded = run if rank == 0 else None
    folds = config.folded_start and model.config.latent < train.shape[1]
    start = FoldedStart.fit(train, model.config.latent).to(device) if folds else None
    reporter = _Reporter(progress if rank == 0 else None, config.epochs * len(train), state.history)
    while (epoch := len(state.history)) < config.epochs and not state.ends_early(config.patience):
        guide = start if epoch < _START * config.epochs else None
        trained = _train_epoch(network, state, train, config, guide, reporter, buffer)
        losses, sample = _losses(model, trained, validation, test)
        values = {} if columns is None else residuals(columns, *sample)
        state.history.append(
            EpochMetrics(
                epoch,
                *losses,
                float(state.scheduler.get_last_lr()[0]),
                round(len(train) / max(trained.seconds, 1e-9)),
                {name: p68(residual) for name, residual in values.items()},
            )
        )
        improved = state.keep_best()
        if recorded is not None:
            if improved:
                recorded.save("best.pt", state.best)
            recorded.log(state.history, values)
            recorded.save("last.pt", state.checkpoint(fingerprint))
        reporter.report((epoch + 1) * len(train))
    if recorded is not None:
        recorded.close()
    if state.best["epoch"] < 0:
        raise CodecError(
            "no epoch has a finite validation loss; lower --learning-rate, or check the validation jets"
        )
    model.load_state_dict(state.best["model"])
    model.to("cpu").eval()
    return state.history


@dataclass
class _State:
    """What changes during a training, and is kept in its checkpoints.

    ``best`` holds the weights of the smallest validation loss so far, their loss and their epoch (-1 before the first epoch).
    """

    model: Autoencoder
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler
    history: list[EpochMetrics]
    best: dict[str, Any]

    @classmethod
    def begin(cls, model: Autoencoder, config: TrainingConfig, steps: int) -> _State:
        """Start a training of so many steps."""
        optimizer = OPTIMIZERS[config.optimizer](
            model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        best = {"loss": math.inf, "epoch": -1, "model": model.state_dict()}
        return cls(model, optimizer, _scheduler(config, optimizer, steps), [], best)

    def load(self, run: Run, fingerprint: str) -> None:
        """Continue where a run was stopped; a run without a complete epoch changes nothing. The inverse is `checkpoint`.

        Raises
        ------
        InputError
            If the run was trained on other jets, or its checkpoints are damaged.
        """
        last = run.load("last.pt")
        if last is None:
            return
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
                    raise InputError(f"the run {run.path} has no best.pt any more; start a new training")
                best = {"loss": math.inf, "epoch": -1, "model": last["model"]}
            best = {"loss": float(best["loss"]), "epoch": int(best["epoch"]), "model": best["model"]}
            self.model.load_state_dict(best["model"])  # checks that the best weights fit the network too
            self.model.load_state_dict(last["model"])
            self.optimizer.load_state_dict(last["optimizer"])
            self.scheduler.load_state_dict(last["scheduler"])
        except (AttributeError, LookupError, TypeError, ValueError, RuntimeError):
            raise InputError(
                f"the checkpoints in {run.path} do not belong to this run; start a new training"
            ) from None
        self.history, self.best = history, best

    def checkpoint(self, fingerprint: str) -> dict[str, Any]:
        """Give the content of ``last.pt``; the inverse is `load`."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "history": json.dumps([asdict(row) for row in self.history]),
            "fingerprint": fingerprint,
        }

    def ends_early(self, patience: int | None) -> bool:
        """Whether the loss has not improved for too many epochs, or is not finite (and so stays)."""
        if patience is not None and len(self.history) - self.best["epoch"] > patience:
            return True
        return bool(self.history) and not math.isfinite(self.history[-1].validation_loss)

    def keep_best(self) -> bool:
        """Keep the weights if the last epoch has the smallest validation loss so far; tell whether it has."""
        last = self.history[-1]
        if not last.validation_loss < self.best["loss"]:
            return False
        weights = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}
        self.best = {"loss": last.validation_loss, "epoch": last.epoch, "model": weights}
        return True


class _Reporter:
    """Calls ``progress`` with the jets seen so far, a few times a second."""

    def __init__(
        self, progress: Callable[[Progress], None] | None, total: int, history: Sequence[EpochMetrics]
    ):
        self._progress, self._total, self._history = progress, total, history
        self._reported = time.monotonic()

    def report(self, jets: int) -> None:
        """Report now."""
        if self._progress is not None:
            self._progress(Progress(jets, self._total, self._history[-1] if self._history else None))

    def report_sometimes(self, jets: int) -> None:
        """Report if the last report is long enough ago."""
        if time.monotonic() - self._reported > _REPORT_EVERY:
            self._reported = time.monotonic()
            self.report(jets)


@dataclass(frozen=True)
class _TrainedEpoch:
    """Sum of the losses of this process's jets in an epoch, the jets of all processes, and the time it took."""

    total_loss: float
    jets: int
    seconds: float


def _train_epoch(
    network: torch.nn.Module,
    state: _State,
    train: torch.Tensor,
    config: TrainingConfig,
    guide: FoldedStart | None,
    reporter: _Reporter,
    buffer: int,
) -> _TrainedEpoch:
    """Take an optimizer step for each batch of the training jets, in random order."""
    epoch = len(state.history)
    model, device = state.model, next(state.model.parameters()).device
    # Everything random is drawn from the seed and the epoch, so a resumed run needs no state of generators. The
    # order of the jets is the same in all processes, dropout is not.
    seed = config.seed * 1_000_003 + epoch
    order = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed + (rank_and_world()[0] << 53))
    bfloat16 = config.precision == "bfloat16" and epoch < 0.9 * config.epochs
    whole = model.config.batch_norm or device.type != "cpu"  # a GPU is faster with larger pieces
    total, seen = torch.zeros((), device=device), 0
    started = time.monotonic()
    model.train()
    pieces = shuffled(train, config.batch_size, order, buffer=buffer)
    for batch in (batch for piece in pieces for batch in batches(piece.to(device), config.batch_size)):
        if model.config.batch_norm and len(batch) == 1:
            continue  # batch norm cannot take a batch of one jet
        state.optimizer.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            loss = _add_gradient(network, batch, guide, whole=whole)
        state.optimizer.step()
        state.scheduler.step()
        total += loss * len(batch)
        seen += len(batch)
        reporter.report_sometimes(epoch * len(train) + seen)
    seconds = time.monotonic() - started
    return _TrainedEpoch(float(total), seen, seconds)


def _losses(
    model: Autoencoder, trained: _TrainedEpoch, validation: torch.Tensor, test: torch.Tensor | None
) -> tuple[tuple[float, float, float | None], tuple[torch.Tensor, torch.Tensor]]:
    """Training, validation and test loss over all processes; a sample of this one's validation jets, original and restored."""
    rank, world = rank_and_world()
    error, *sample = squared_error(model, validation.tensor_split(world)[rank])
    test_error = 0.0 if test is None else squared_error(model, test.tensor_split(world)[rank])[0]
    device = next(model.parameters()).device
    train_sum, validation_sum, test_sum = summed([trained.total_loss / world, error, test_error], device)
    losses = (
        train_sum / max(trained.jets, 1),
        validation_sum / validation.numel() if len(validation) else math.nan,
        test_sum / test.numel() if test is not None and len(test) else None,
    )
    return losses, (sample[0], sample[1])


def _scheduler(
    config: TrainingConfig, optimizer: torch.optim.Optimizer, steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """What says the size of each of so many steps."""
    if config.schedule == "one-cycle":
        return torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, total_steps=steps)
    if config.schedule == "steps":
        return torch.optim.lr_scheduler.StepLR(optimizer, math.ceil(steps / 8), gamma=0.2)
    return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)


def _add_gradient(
    network: torch.nn.Module, batch: torch.Tensor, guide: FoldedStart | None, *, whole: bool
) -> torch.Tensor:
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
        error = guide.loss(network, piece) if guide else functional.mse_loss(network(piece), piece)
        loss = error * (weight * len(piece) / len(share))
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.detach()
    return total
