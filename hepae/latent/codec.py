"""LatentCodec: jets to the latents of an autoencoder and back, and the training that makes one."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import zlib
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np
import torch

from hepae import kinematics
from hepae.bounded.cluster import Guess
from hepae.bounded.codec import Compressed, compress_clusters, flat_columns, resolve
from hepae.bounds import ENERGIES, Bounds
from hepae.errors import CodecError, ConfigError
from hepae.files import header as container
from hepae.io.writers import atomic_output
from hepae.latent.autoencoder import Autoencoder, AutoencoderConfig
from hepae.latent.features import FeatureMap, basis_columns
from hepae.training.loop import CACHED_JETS, EpochMetrics, Progress, TrainingConfig, fit
from hepae.training.processes import is_first_process, process_group
from hepae.training.rows import BUFFER, Rows, batches
from hepae.training.runs import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray

    from hepae.bounds import Bound, Edges

BOUNDED_BITS = 6
"""Bits of a latent where corrections are stored as well."""

_PARTNER = {"mass": "E", "E": "mass"}


@dataclass(frozen=True)
class LatentIntegers:
    """Latents as n-bit integers: a uniform grid over the range that each latent had in training.

    Latents outside that range are put at its ends.
    """

    bits: int
    low: tuple[float, ...]
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check the number of bits.

        Raises
        ------
        ConfigError
            If it is not from 2 to 16.
        """
        if not 2 <= self.bits <= 16:
            raise ConfigError(f"latents have 2 to 16 bits as integers, not {self.bits}")

    @property
    def dtype(self) -> np.dtype[Any]:
        """The unsigned integer type that holds them."""
        return np.dtype(np.uint8 if self.bits <= 8 else np.uint16)

    @property
    def _grid(self) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
        low, last = np.array(self.low), 2**self.bits - 1
        return low, np.maximum(np.array(self.high) - low, 1e-30) / last, last

    def forward(self, latents: NDArray[np.float32]) -> NDArray[Any]:
        """Latents of shape (jets, latent) to integers; the inverse is `inverse`."""
        low, step, last = self._grid
        return np.clip(np.rint((latents - low) / step), 0, last).astype(self.dtype)

    def inverse(self, integers: NDArray[Any]) -> NDArray[np.float32]:
        """Integers to latents."""
        low, step, _ = self._grid
        return (integers * step + low).astype(np.float32)


@dataclass(frozen=True)
class Corrected:
    """Latents of jets, and what brings the network's jets within their bounds."""

    latents: ak.Array
    corrections: Compressed


class LatentCodec:
    """Jets to a few latents each by a trained autoencoder, and back; no error is promised unless there are bounds.

    Parameters
    ----------
    features
        Columns of a jet to features and back.
    network
        The trained autoencoder.
    latent_range
        Smallest and largest value of each latent on the training jets.
    latent_bits
        Store latents as integers of so many bits instead of float32.
    bounds
        Of the columns: what the network's jets lack to keep them is stored with the latents.
    summary
        What is known of the training, for the record.
    has_encoder
        Whether the encoder was trained; a codec out of a compressed file has none and only restores.
    """

    def __init__(
        self,
        features: FeatureMap,
        network: Autoencoder,
        *,
        latent_range: tuple[tuple[float, ...], tuple[float, ...]],
        latent_bits: int | None = None,
        bounds: Bounds | None = None,
        summary: dict[str, Any] | None = None,
        has_encoder: bool = True,
    ):
        self.features = features
        self.network = network.eval()
        self.latent_range = latent_range
        self.integers = None if latent_bits is None else LatentIntegers(latent_bits, *latent_range)
        self.bounds = bounds
        self.summary = summary or {}
        self.has_encoder = has_encoder

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of a jet that the codec takes and gives back."""
        return self.features.columns

    @property
    def latent_names(self) -> tuple[str, ...]:
        """Names of the latents, z0, z1 and so on."""
        return tuple(f"z{i}" for i in range(self.network.config.latent))

    @property
    def latent_dtype(self) -> np.dtype[Any]:
        """Type in which latents are stored."""
        return np.dtype(np.float32) if self.integers is None else self.integers.dtype

    def with_latent_bits(self, bits: int | None) -> LatentCodec:
        """Give the same codec with latents as n-bit integers, or as float32 for None."""
        return self._with(bits, self.bounds)

    def with_bounds(
        self,
        bounds: Bounds | Mapping[str, Bound | str | float] | None = None,
        edges: Mapping[str, Edges | str | float | Iterable[float]] | None = None,
    ) -> LatentCodec:
        """Give the same codec with the bounds of its columns kept; parameters and errors are those of `BoundedCodec`.

        Latents become 6-bit integers unless a number of bits was chosen: more say little that the corrections do not
        say in fewer bytes.
        """
        asked = bounds if isinstance(bounds, Bounds) else Bounds.parse(bounds or {}, edges or {})
        return self._with(self.integers.bits if self.integers else BOUNDED_BITS, asked)

    def _with(self, latent_bits: int | None, bounds: Bounds | None) -> LatentCodec:
        return LatentCodec(
            self.features,
            self.network,
            latent_range=self.latent_range,
            latent_bits=latent_bits,
            bounds=bounds,
            summary=self.summary,
            has_encoder=self.has_encoder,
        )

    def replaced(self, jets: ak.Array) -> dict[str, int]:
        """How many values of each column the features cannot say and replace: m ≤ 0 in ``physics``, NaN and −999 for example."""
        return self.features.replaced(self._flat_columns(jets))

    def compress(self, jets: ak.Array) -> ak.Array | Corrected:
        """Give the latents of jets as records z0, z1, … in the jets' lists; with bounds, the corrections to them as well.

        The inverse is `decompress`.

        Raises
        ------
        CodecError
            If the jets lack a column of the codec.
        ConfigError
            If a bound is for a column that the codec does not code or that takes none.
        """
        latents = self.latents(jets)
        if self.bounds is None:
            return latents
        names = [name for name in jets.fields if name in self.columns or _PARTNER.get(name) in self.columns]
        columns, counts = flat_columns(jets[names])
        types = {name: values.dtype for name, values in columns.items()}
        bounds = resolve(self.bounds, {"jets": types})["jets"].in_unit("GeV")
        flat = ak.flatten(latents) if latents.ndim > 1 else latents
        guess = partial(self._guess_of, flat, tuple(bounds.columns))
        return Corrected(latents, compress_clusters(columns, counts, bounds, guess))

    def decompress(self, compressed: ak.Array | Corrected) -> ak.Array:
        """Give jets in GeV of what `compress` gave, with the codec's columns.

        Raises
        ------
        CodecError
            If these are not latents of this codec.
        """
        if isinstance(compressed, Corrected):
            latents = compressed.latents
            flat = ak.flatten(latents) if latents.ndim > 1 else latents
            columns = compressed.corrections.columns(partial(self._guess_of, flat, self.coded))
            return _like(compressed.latents, kinematics.momenta(columns))
        features = _run(self.network.decoder, self._stored(compressed), len(self.columns))
        return _like(compressed, self._momenta(features))

    @property
    def coded(self) -> tuple[str, ...]:
        """Columns that corrections can be for: the codec's own and the four-momentum in its other form."""
        return tuple(dict.fromkeys((*self.columns, *kinematics.MOMENTUM)))

    def latents(self, jets: ak.Array) -> ak.Array:
        """Give the latents of jets as records z0, z1, … in the jets' lists.

        Raises
        ------
        CodecError
            If the jets lack a column of the codec, or the codec has no encoder.
        """
        if not self.has_encoder:
            raise CodecError(
                "this model comes from a compressed file and can only restore; compress with a model file"
            )
        features = torch.from_numpy(self.features.forward(self._flat_columns(jets)))
        latents = _run(self.network.encoder, features, self.network.config.latent)
        stored = latents if self.integers is None else self.integers.forward(latents)
        return _like(jets, ak.zip({name: stored[:, i] for i, name in enumerate(self.latent_names)}))

    def guess(self, latents: ak.Array, columns: Iterable[str], unit: str = "GeV") -> Guess:
        """Give what the decoder says of columns, in this unit: in float64, so that machines agree to 10⁻¹²."""
        features = _run(self._exact_decoder, self._stored(latents).double(), len(self.columns))
        jets = self._momenta(features)
        found = {name: kinematics.flat_column(jets, name).astype(np.float64) for name in columns}
        gev, checksum = kinematics.GEV[unit], 0
        for name in self.latent_names:
            checksum = zlib.crc32(kinematics.flat_column(latents, name).tobytes(), checksum)
        return Guess(
            {name: values / gev if name in ENERGIES else values for name, values in found.items()}, checksum
        )

    def _guess_of(self, latents: ak.Array, columns: tuple[str, ...], rows: slice) -> Guess:
        return self.guess(latents[rows], columns)

    @cached_property
    def _exact_decoder(self) -> torch.nn.Module:
        return copy.deepcopy(self.network.decoder).double()

    def _stored(self, latents: ak.Array) -> torch.Tensor:
        """Latents of shape (jets, latent) for the decoder."""
        if not {*self.latent_names} <= {*latents.fields}:
            found = ", ".join(latents.fields) or "none"
            raise CodecError(f"this model has latents {', '.join(self.latent_names)}; found {found}")
        stored = np.stack([kinematics.flat_column(latents, name) for name in self.latent_names], axis=1)
        return torch.from_numpy(
            stored.astype(np.float32) if self.integers is None else self.integers.inverse(stored)
        )

    def _momenta(self, features: NDArray[Any]) -> ak.Array:
        """Flat jets of features."""
        columns = self.features.inverse(features)
        if "mass" in columns and "E" in columns:
            del columns["E"]
        return kinematics.momenta(columns)

    def _flat_columns(self, jets: ak.Array) -> dict[str, NDArray[np.generic]]:
        available = {*jets.fields, *kinematics.MOMENTUM}
        missing = [name for name in self.columns if name not in available]
        if missing:
            raise CodecError(
                f"the model codes columns {', '.join(self.columns)}; these jets have no {', '.join(missing)}, "
                f"only {', '.join(jets.fields)}"
            )
        return {name: kinematics.flat_column(jets, name) for name in self.columns}

    def to_bytes(self, *, encoder: bool = True) -> bytes:
        """Give the codec as the content of a model file; the inverse is `from_bytes`. Equal codecs give equal bytes.

        Without the encoder it is half the size and restores jets all the same: so it stands in compressed files.
        """
        header = {
            "codec": "latent",
            "columns": list(self.columns),
            "features": self.features.to_config(),
            "network": self.network.config.to_config(),
            "latent_range": [list(ends) for ends in self.latent_range],
            "latent_bits": self.integers.bits if self.integers else None,
            "training": self.summary,
        }
        tensors = {
            name: tensor.detach().cpu().numpy()
            for name, tensor in self.network.state_dict().items()
            if encoder or not name.startswith("encoder.")
        }
        return container.pack_model(header, tensors)

    @classmethod
    def from_bytes(cls, data: bytes, where: str = "model") -> LatentCodec:
        """Rebuild a codec from what `to_bytes` gave; ``where`` names it in errors.

        Raises
        ------
        InputError
            If it is damaged, or was written by a later format.
        CodecError
            If it is another kind of model.
        """
        header, tensors = container.unpack_model(data, where)
        if header.get("codec") != "latent":
            raise CodecError(f"{where} holds a codec {header.get('codec')!r}, not latents")
        try:
            features = FeatureMap.from_config(header["features"])
            network = Autoencoder(len(features.columns), AutoencoderConfig.from_config(header["network"]))
            state = {name: torch.from_numpy(tensor.copy()) for name, tensor in tensors.items()}
            has_encoder = any(name.startswith("encoder.") for name in state)
            (network if has_encoder else network.decoder).load_state_dict(
                state if has_encoder else {name.removeprefix("decoder."): state[name] for name in state}
            )
            low, high = (tuple(ends) for ends in header["latent_range"])
        except (ConfigError, KeyError, TypeError, ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise CodecError(f"{where} is damaged: its header and tensors do not fit ({reason})") from None
        bits, summary = header.get("latent_bits"), header.get("training")
        return cls(
            features,
            network,
            latent_range=(low, high),
            latent_bits=bits,
            summary=summary,
            has_encoder=has_encoder,
        )

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Write the codec, without bounds, as a model file; the inverse is `load_codec`."""
        with atomic_output(path, force=force) as temporary:
            temporary.write_bytes(self.to_bytes())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LatentCodec) and self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash(self.to_bytes())


def _run(layers: torch.nn.Module, inputs: torch.Tensor, outputs: int) -> NDArray[Any]:
    """What layers make of inputs, shape (jets, outputs), in their type."""
    result = np.empty((len(inputs), outputs), np.float64 if inputs.dtype == torch.float64 else np.float32)
    done = 0
    with torch.inference_mode():
        for batch in batches(inputs, CACHED_JETS):
            result[done : done + len(batch)] = layers(batch).numpy()
            done += len(batch)
    return result


def _like(structure: ak.Array, flat: ak.Array) -> ak.Array:
    """Flat records in the lists of another array."""
    return ak.unflatten(flat, ak.num(structure)) if structure.ndim > 1 else flat


def load_codec(path: str | Path) -> LatentCodec:
    """Read a model file; the inverse is `LatentCodec.save`."""
    path = Path(path)
    return LatentCodec.from_bytes(container.read_model(path), str(path))


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

    Features are fitted on the training jets alone, after the validation jets were set aside.

    Jets in steps, as of ``hepae.iterate_jets(...)``, may be more than memory holds: of more than ``buffer`` the features
    are kept in a temporary file, in ``runs_dir`` if there is one, and every epoch reads them in blocks in random order
    through a buffer that is shuffled.

    Started several times by torchrun, the processes train one model together: each reads all jets and takes its share of
    every batch, and the first one keeps the record.

    Parameters
    ----------
    jets
        Training jets in GeV, flat or one list per event; one array, or several that are read in order.
    config
        How to train.
    validation
        Jets whose loss decides which weights are kept; split off the training jets by default.
    test
        Jets whose loss is logged every epoch and decides nothing.
    resume
        A run that was stopped, to go on with.
    progress
        Called a few times a second.
    buffer
        Jets that are in memory and shuffled among each other at a time.

    Raises
    ------
    CodecError
        If the jets lack a column, or are too few to split.
    ConfigError
        If the columns are no jet, or the device is not there, or the network does not fit into memory.
    InputError
        If the run to resume was trained on other jets.
    """
    config = config or TrainingConfig()
    device = config.torch_device()  # one that is not there is said before a run's folder is made
    with process_group(device):
        names = basis_columns(config.columns, config.basis)
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
        while tables:  # each goes, and its file, when its features are there
            inputs.append(_inputs(tables.pop(0), features, new_rows))
        torch.manual_seed(config.seed)
        try:
            network = Autoencoder(len(names), config.network)
        except RuntimeError as error:  # torch's, of memory
            raise ConfigError(
                f"no network of widths {config.network.hidden} and latent {config.network.latent}: {error}"
            ) from None
        if config.standardized_start:
            network.start_standardized(inputs[0].mean(dim=0), inputs[0].std(dim=0))
        first = is_first_process()
        run = resume or (Run.create(config) if first else None)
        with run.locked() if run and first else contextlib.nullcontext():
            history = fit(
                network,
                inputs[0],
                inputs[1],
                None if test is None else inputs[2],
                config,
                run=run,
                progress=progress,
                fingerprint=_fingerprint(inputs),
                columns=features,
                buffer=buffer,
            )
    best = min(history, key=lambda row: row.validation_loss)
    losses = {name: value for name, value in asdict(best).items() if name not in ("jets_per_s", "p68")}
    options = {
        name: value for name, value in config.to_config().items() if name not in ("network", "runs_dir")
    }
    summary = {"jets": len(inputs[0]), "best": losses, "config": options, "replaced": replaced}
    latent_range = _latent_range(network, inputs[0], buffer)
    codec = LatentCodec(features, network, latent_range=latent_range, summary=summary)
    return TrainingResult(codec, history, run.path if run else None)


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
        latents = _run(network.encoder, block, network.config.latent)
        lows.append(latents.min(axis=0))
        highs.append(latents.max(axis=0))
    return tuple(np.min(lows, axis=0).tolist()), tuple(np.max(highs, axis=0).tolist())


def _by_name(table: NDArray[np.float64], names: tuple[str, ...]) -> dict[str, NDArray[np.float64]]:
    return dict(zip(names, table.T, strict=True))


def _fingerprint(tensors: Iterable[torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(str(tuple(tensor.shape)).encode())
        for block in batches(tensor, CACHED_JETS):
            digest.update(block.numpy().data)
    return digest.hexdigest()


def _columns(jets: ak.Array, names: tuple[str, ...]) -> dict[str, NDArray[np.generic]]:
    missing = [name for name in names if name not in {*jets.fields, *kinematics.MOMENTUM}]
    if missing:
        raise CodecError(
            f"the jets have no column {missing[0]!r}, only {', '.join(jets.fields)}; choose with --columns"
        )
    return {name: kinematics.flat_column(jets, name) for name in names}
