"""train: jets to a trained LatentCodec."""

from __future__ import annotations

import contextlib
import hashlib
import math
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np
import torch

from hepae import kinematics
from hepae.errors import CodecError, ConfigError, listed
from hepae.latent.autoencoder import CACHED_JETS, Autoencoder, evaluate
from hepae.latent.batches import BUFFER, batches
from hepae.latent.codec import LatentCodec
from hepae.latent.features import FeatureMap, basis_columns
from hepae.latent.spectra import Spectra
from hepae.training.configuration import TrainingConfig
from hepae.training.loop import Progress, fit
from hepae.training.processes import is_first_process, process_group
from hepae.training.rows import Rows
from hepae.training.runs import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from hepae.training.metrics import EpochMetrics


@dataclass(frozen=True)
class TrainingResult:
    """A trained codec, the losses of each epoch, and the run's folder where one was kept."""

    codec: LatentCodec
    history: list[EpochMetrics]
    run_dir: Path | None


def train(
    jets: ak.Array | Iterable[ak.Array],
    config: TrainingConfig | None = None,
    *,
    validation: ak.Array | Iterable[ak.Array] | None = None,
    test: ak.Array | Iterable[ak.Array] | None = None,
    resume: Run | None = None,
    progress: Callable[[Progress], None] | None = None,
    buffer: int = BUFFER,
) -> TrainingResult:
    """Train an autoencoder on jets.

    Features are fitted on the training jets only, after the validation jets are set aside.

    Jets that come in steps, as from ``hepae.iterate_jets(...)``, may be larger than memory. If there are more jets than
    ``buffer``, their features go to a temporary file (in ``runs_dir``, if given); every epoch reads its blocks in random order
    and shuffles the jets in a buffer.

    When torchrun starts several processes, they train one model together: each reads all jets and takes its share of
    every batch, and the first one writes the run's folder.

    Parameters
    ----------
    jets
        Training jets in GeV, flat or one list per event; one array, or several that are read in order.
    config
        Training options; the defaults if None.
    validation
        Jets whose loss decides which weights are kept; by default a part of the training jets is set aside.
    test
        Jets whose loss is recorded every epoch; it does not influence the training.
    resume
        A run that was stopped and continues here.
    progress
        Called a few times per second.
    buffer
        Number of jets that are in memory and shuffled at the same time.

    Raises
    ------
    CodecError
        If the jets do not have a column, or are too few to split.
    ConfigError
        If the columns do not define a jet or are fewer than the latents, the device does not exist, or the network does not fit into memory.
    InputError
        If the run to resume was trained on other jets.
    """
    config = config or TrainingConfig()
    device = config.torch_device()  # a device that does not exist is an error before the run's folder is made
    with process_group(device):
        prepared = _prepare(jets, validation, test, config, buffer)
        network = _new_network(prepared, config)
        first = is_first_process()
        run = resume or (Run.create(config) if first else None)
        with run.locked() if run and first else contextlib.nullcontext():
            history = fit(
                network,
                prepared.training,
                prepared.validation,
                prepared.test,
                config,
                run=run,
                progress=progress,
                fingerprint=prepared.fingerprint(),
                columns=prepared.features,
                buffer=buffer,
            )
    summary = _summary(prepared, history, config)
    spectra = None
    if config.spectra:
        pt = prepared.features.columns.index("pt")
        spectra = _spectra(network, prepared.training, pt, buffer)
        summary["spectra_mse_factor"] = _price(network, spectra, prepared.validation, buffer)
    codec = LatentCodec(
        prepared.features,
        network,
        latent_range=_latent_range(network, prepared.training, buffer),
        summary=summary,
        spectra=spectra,
    )
    return TrainingResult(codec, history, run.path if run else None)


@dataclass(frozen=True)
class _Prepared:
    """Features of the jets, each of shape (jets, columns), and the map that made them.

    ``replaced`` counts, by column, the values of training jets that the features cannot represent.
    """

    features: FeatureMap
    replaced: dict[str, int]
    training: torch.Tensor
    validation: torch.Tensor
    test: torch.Tensor | None

    def fingerprint(self) -> str:
        """Digest of all features, which tells whether a run is resumed on the jets that it began with."""
        digest = hashlib.sha256()
        for tensor in (self.training, self.validation, *(() if self.test is None else (self.test,))):
            digest.update(str(tuple(tensor.shape)).encode())
            for block in batches(tensor, CACHED_JETS):
                digest.update(block.numpy().data)
        return digest.hexdigest()


def _prepare(
    jets: ak.Array | Iterable[ak.Array],
    validation: ak.Array | Iterable[ak.Array] | None,
    test: ak.Array | Iterable[ak.Array] | None,
    config: TrainingConfig,
    buffer: int,
) -> _Prepared:
    """Read the jets, split off the validation jets, fit the features on the training jets and compute them for all.

    Raises
    ------
    CodecError
        If the jets do not have a column, or are too few to split.
    ConfigError
        If the columns do not make a jet, or are fewer than the latents.
    """
    names = basis_columns(config.columns, config.basis)
    if config.network.latent > len(names):
        raise ConfigError(
            f"{config.network.latent} latents of {len(names)} columns ({listed(names)}) make jets larger: "
            f"give --latent a number below {len(names)}"
        )
    new_rows = partial(Rows, len(names), buffer=buffer, folder=config.runs_dir)
    tables = [*_split(_table(jets, names, new_rows), config, validation is None, new_rows)]
    if validation is not None:
        tables[1] = _table(validation, names, new_rows)
    if test is not None:
        tables.append(_table(test, names, new_rows))
    features = FeatureMap.fit(_by_name(tables[0], names), config.basis, buffer=buffer)
    counts = [features.replaced(_by_name(block, names)) for block in batches(tables[0], buffer)]
    replaced = {name: sum(count[name] for count in counts) for name in names}
    inputs = []
    while tables:  # frees each table, and its temporary file, as soon as its features are computed
        inputs.append(_inputs(tables.pop(0), features, new_rows))
    return _Prepared(features, replaced, inputs[0], inputs[1], None if test is None else inputs[2])


def _new_network(prepared: _Prepared, config: TrainingConfig) -> Autoencoder:
    """Make the network with its initial weights.

    Raises
    ------
    ConfigError
        If it does not fit into memory.
    """
    torch.manual_seed(config.seed)
    try:
        network = Autoencoder(len(prepared.features.columns), config.network)
    except RuntimeError:  # torch raises this where memory is too small
        raise ConfigError(
            f"a network with hidden widths {'-'.join(map(str, config.network.hidden))} does not fit into memory: "
            "choose smaller ones with --hidden"
        ) from None
    if config.standardized_start or config.network.octaves:
        network.start_standardized(prepared.training.mean(dim=0), prepared.training.std(dim=0))
    return network


def _summary(prepared: _Prepared, history: list[EpochMetrics], config: TrainingConfig) -> dict[str, Any]:
    """Record of the training in the model file: jets, losses of the best epoch, options, replaced values."""
    best = min(history, key=lambda row: row.validation_loss)
    losses = {name: value for name, value in asdict(best).items() if name not in ("jets_per_s", "p68")}
    options = {
        name: value for name, value in config.to_config().items() if name not in ("network", "runs_dir")
    }
    return {
        "jets": len(prepared.training),
        "best": losses,
        "config": options,
        "replaced": prepared.replaced,
    }


def _table(
    jets: ak.Array | Iterable[ak.Array], names: tuple[str, ...], new_rows: Callable[..., Rows]
) -> NDArray[np.float64]:
    """Columns of jets in one array or several, shape (jets, columns)."""
    rows = new_rows(np.float64)
    for step in [jets] if isinstance(jets, ak.Array) else jets:
        rows.append(np.stack([*_columns(step, names).values()], axis=1))
    return rows.array()


def _split(
    table: NDArray[np.float64], config: TrainingConfig, hold_out: bool, new_rows: Callable[..., Rows]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Training jets in random order, and those that are held out for validation, if any."""
    training, held_out = new_rows(np.float64), new_rows(np.float64)
    rng = np.random.default_rng(config.seed)
    for block in batches(table, training.buffer):
        order = rng.permutation(len(block))
        if hold_out:
            cut = max(1, round(len(block) * config.validation_fraction))
            held_out.append(block[order[:cut]])
            order = order[cut:]
        training.append(block[order[: max(1, round(len(order) * config.fraction))]])
    if len(training) < 2:
        raise CodecError(f"{len(table)} jets are too few to train on")
    return training.array(), held_out.array()


def _inputs(table: NDArray[np.float64], features: FeatureMap, new_rows: Callable[..., Rows]) -> torch.Tensor:
    """Features of a table's jets, shape (jets, columns)."""
    rows = new_rows(np.float32)
    for block in batches(table, rows.buffer):
        rows.append(features.forward(_by_name(block, features.columns)))
    return torch.from_numpy(rows.array())


def _latent_range(
    network: Autoencoder, features: torch.Tensor, buffer: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Smallest and largest value of each latent."""
    lows, highs = [], []
    for block in batches(features, buffer):
        latents = evaluate(network.encoder, block, network.config.latent)
        lows.append(latents.min(axis=0))
        highs.append(latents.max(axis=0))
    return tuple(np.min(lows, axis=0).tolist()), tuple(np.max(highs, axis=0).tolist())


def _spectra(network: Autoencoder, training: torch.Tensor, pt: int, buffer: int) -> Spectra:
    """Learn the map of spectra from the training jets, evenly spaced ones if there are more than ``buffer``.

    They are ten times as many as the validation jets, whose number alone would leave deviations of 10 % a bin.
    """
    features = training[:: math.ceil(len(training) / buffer)].contiguous()
    return Spectra.fit(_restored(network, features), features.numpy(), pt)


def _price(network: Autoencoder, spectra: Spectra, validation: torch.Tensor, buffer: int) -> float | None:
    """Squared error with the map over that without, on the validation jets, from which it was not learnt."""
    moved = plain = 0.0
    for block in batches(validation, buffer):
        restored, original = _restored(network, block).astype(np.float64), block.numpy()
        plain += float(np.square(restored - original).sum())
        moved += float(np.square(spectra(restored) - original).sum())
    return moved / plain if plain else None


def _restored(network: Autoencoder, features: torch.Tensor) -> NDArray[np.float32]:
    latents = torch.from_numpy(evaluate(network.encoder, features, network.config.latent))
    return evaluate(network.decoder, latents, features.shape[1])


def _by_name(table: NDArray[np.float64], names: tuple[str, ...]) -> dict[str, NDArray[np.float64]]:
    return dict(zip(names, table.T, strict=True))


def _columns(jets: ak.Array, names: tuple[str, ...]) -> dict[str, NDArray[np.generic]]:
    missing = [name for name in names if name not in {*jets.fields, *kinematics.MOMENTUM}]
    if missing:
        raise CodecError(
            f"the jets have no column {missing[0]!r}, only {listed(jets.fields)}; choose with --columns"
        )
    return {name: kinematics.flat_column(jets, name) for name in names}
