"""Clusters: columns of consecutive events ↔ bytes within bounds, one piece of bytes for each column.

A cluster is coded at once: `quantization` makes integers of its columns, `prediction` subtracts what other columns and jets predict,
pcodec codes the rest. Any column is decoded with the few that it is predicted from, and no others. PAYLOAD.md has the format to the bit.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hepae.bounded import prediction
from hepae.bounded.bytestream import Reader, Writer
from hepae.bounded.dither import dither
from hepae.bounded.fourvectors import COORDINATES, Coordinates, find_coordinates
from hepae.bounded.jet_order import Ranks
from hepae.bounded.parents import PARENTS
from hepae.bounded.quantization import Quantized, quantize, read_rows, repeated_rows, violations
from hepae.bounded.streams import HEADER, read_stream, write_stream
from hepae.bounds import EXACT, Bounds
from hepae.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Columns = Mapping[str, NDArray[Any]]

CLUSTER_JETS = 250_000
"""Jets that are coded at once. `analysis/benchmark_clusters.py` has the measurement, on a million dijets: 500 000 take 0.2 % fewer bytes
of the file, and up to 2 times as long where workers share out the chunks; 100 000 take 0.3 % more bytes, and 0.5 to 0.9 of the time there."""

_VERSION = 1
_MOST_COLUMNS = 1 << 20
_MOST_EXCEPTIONS = 0.5
"""If more than this share of the jets fail, the four-momentum's own columns are stored losslessly: that takes fewer bytes."""
_FIRST = ("pt", "eta", "phi", "mass")
_INTEGERS, _DERIVED = range(2)


@dataclass(frozen=True)
class Prediction:
    """The decoder's prediction of each column, shape (jets,) in the file's unit, and the CRC of the latents it was made from.

    Coding and decoding need the same prediction; only the last bits may differ.
    """

    columns: Mapping[str, Floats]
    checksum: int


@dataclass(frozen=True)
class ClusterInput:
    """What to code: columns of consecutive events.

    Parameters
    ----------
    columns
        Values by column name, each of shape (jets,), in the type and unit of the file.
    counts
        Jets of each event; None where a row is a jet.
    bounds
        Of each column that is coded, in the same units. Where they name columns of a four-momentum that is there in
        other coordinates (`hepae.bounded.fourvectors`), these are coded in its place.
    prediction
        A model's prediction of columns, which the decoder knows too: the differences from it are coded.
    """

    columns: Columns
    counts: NDArray[np.int64] | None
    bounds: Bounds
    prediction: Prediction | None = None

    @property
    def jets(self) -> int:
        """Number of jets."""
        return len(next(iter(self.columns.values()), ()))

    @property
    def events(self) -> int:
        """Number of events, or of jets where a row is a jet."""
        return self.jets if self.counts is None else len(self.counts)

    @cached_property
    def ranks(self) -> Ranks:
        """Order in which the jets are coded."""
        return Ranks.of(self.jets, self.counts)

    @cached_property
    def seed(self) -> int:
        """Random seed of the dither: a checksum of the columns, so that equal jets give equal bytes."""
        crc = 0
        for values in self.columns.values():
            crc = zlib.crc32(np.ascontiguousarray(values).data.cast("B"), crc)
        return (crc << 32) | zlib.crc32(self.jets.to_bytes(8, "little"), crc)


@dataclass(frozen=True)
class CodedColumn:
    """One column of a cluster: its name, the columns that it is predicted from, and its bytes."""

    name: str
    parents: tuple[str, ...]
    data: bytes


@dataclass(frozen=True)
class CodedCluster:
    """Columns of consecutive events, coded, each behind those that it is predicted from."""

    events: int
    jets: int
    seed: int
    columns: Mapping[str, CodedColumn]

    @property
    def nbytes(self) -> int:
        """Bytes of all columns."""
        return sum(len(column.data) for column in self.columns.values())

    def decode(
        self,
        names: Iterable[str],
        counts: NDArray[np.int64] | None,
        prediction: Prediction | None = None,
    ) -> dict[str, NDArray[Any]]:
        """Give columns in the type and unit that they came in.

        Parameters
        ----------
        names
            Which ones; they and the columns that they are predicted from have to be there.
        counts, prediction
            As in `ClusterInput`.

        Raises
        ------
        CodecError
            If a column is damaged.
        """
        events, jets = (self.jets, self.jets) if counts is None else (len(counts), int(counts.sum()))
        if (events, jets) != (self.events, self.jets):
            raise CodecError("damaged payload: the number of jets in the cluster is not that of its events")
        try:
            decoder = _Decoder(self, Ranks.of(self.jets, counts), prediction)
            return {name: decoder.values(name) for name in names}
        except (IndexError, ValueError, OverflowError, KeyError, RecursionError) as error:
            raise CodecError(f"damaged payload: it contradicts itself ({error})") from None


def encode_cluster(work: ClusterInput) -> CodedCluster:
    """Code a cluster, decode it again and check every value; the inverse is `CodedCluster.decode`.

    Raises
    ------
    CodecError
        If a column has a type that cannot be coded, or a value came back outside its bound or across an edge (a last check: this
        should never happen).
    """
    coordinates = _coordinates(work.columns, work.bounds)
    cluster, quantized = _encode(work, coordinates)
    _check(work, cluster, quantized, coordinates)
    return cluster


def _check(
    work: ClusterInput,
    cluster: CodedCluster,
    quantized: Mapping[str, Quantized],
    coordinates: Coordinates | None,
) -> None:
    """Decode a cluster and compare it with its originals.

    A column with a grid was judged when it was quantized: it is enough that the same integers, and all that restores them,
    come back. Columns that keep every bit, and those computed from others, are restored and judged.

    Raises
    ------
    CodecError
        If a column does not come back as it must.
    """
    decoder = _Decoder(cluster, work.ranks, work.prediction)
    for name, column in quantized.items():
        if not decoder.quantized(name).same_as(column):
            raise CodecError(
                f"column {name!r} did not come back as it was coded; nothing was written. This is a bug of hepae: please report it"
            )
    if coordinates is None:
        names = [name for name, column in quantized.items() if column.grid is None]
        original, restored = work.columns, {name: decoder.values(name) for name in names}
    else:
        restored = {name: decoder.values(name) for name in cluster.columns}
        original, restored = _coded(work.columns, coordinates), _coded(restored, coordinates)
    for name, values in restored.items():
        broken = violations(original[name], values, *work.bounds.of(name))
        if broken.any():
            raise CodecError(
                f"{int(broken.sum())} values of column {name!r} would break their bound; nothing was written. This is a bug of hepae: please report it"
            )


def _encode(
    work: ClusterInput, coordinates: Coordinates | None
) -> tuple[CodedCluster, Mapping[str, Quantized]]:
    values, bounds, jets, seed = _coded(work.columns, coordinates), work.bounds, work.jets, work.seed
    names = [name for name in _FIRST if name in values] + [name for name in values if name not in _FIRST]
    quantized = {
        name: quantize(name, values[name], bounds.of(name)[0], dither(seed, number, jets), bounds.of(name)[1])
        for number, name in enumerate(names)
    }
    integers = {name: column.integers for name, column in quantized.items()}
    predicted = work.prediction.columns if work.prediction is not None else {}
    for name in predicted.keys() & quantized.keys():
        nearest, unsure = quantized[name].nearest(predicted[name])
        quantized[name].except_for(unsure, values[name])
        integers[name] = quantized[name].integers - nearest
        integers[name][quantized[name].exceptions] = 0
    derived = {}
    if coordinates is not None:
        completed = {
            name: column.complete(dither(seed, number, jets))
            for number, (name, column) in enumerate(quantized.items())
        }
        broken = _broken(coordinates, work.columns, values, bounds, completed)
        if np.count_nonzero(broken) > _MOST_EXCEPTIONS * jets:
            exact = ClusterInput(work.columns, work.counts, _exactly(coordinates, bounds), work.prediction)
            return _encode(exact, None)
        for name in coordinates.own:
            if name in quantized:
                quantized[name].except_for(broken, values[name])
        derived = _derived(coordinates, work.columns, broken)
    columns = {
        name: prediction.Column(
            work.ranks,
            integers[name],
            column.exact_floats() if work.prediction is None else None,
            partial(_finite, column, seed, number),
        )
        for number, (name, column) in enumerate(quantized.items())
    }
    momentum = _momentum(quantized) if work.prediction is None else None
    coded = {}
    for number, (name, stream) in enumerate(prediction.encode(columns, momentum).items()):
        out = Writer()
        out.varint(_VERSION)
        out.varint(_INTEGERS)
        out.blob(HEADER)
        out.varint(number)
        out.varint(1 + work.prediction.checksum if work.prediction is not None and name in predicted else 0)
        quantized[name].write(out)
        out.raw(stream.stream)
        coded[name] = CodedColumn(name, stream.parents, out.content())
    return CodedCluster(work.events, jets, seed, coded | derived), quantized


def _derived(coordinates: Coordinates, columns: Columns, broken: NDArray[np.bool_]) -> dict[str, CodedColumn]:
    """Columns that are computed from pt, eta, phi and mass, with the jets in which they are stored as they are."""
    coded = {}
    rows = np.flatnonzero(broken)
    for name in coordinates.replaced:
        exact = quantize(name, columns[name][rows], EXACT, np.zeros(len(rows)))
        out = Writer()
        out.varint(_VERSION)
        out.varint(_DERIVED)
        out.blob(HEADER)
        out.varint(COORDINATES.index(coordinates))
        write_stream(out, np.diff(rows, prepend=-1))
        exact.write(out)
        write_stream(out, exact.integers)
        coded[name] = CodedColumn(name, coordinates.sources(name), out.content())
    return coded


class _Decoder:
    """Decodes columns of a cluster, each once."""

    def __init__(self, cluster: CodedCluster, ranks: Ranks, predicted: Prediction | None):
        self._cluster, self._ranks, self._predicted = cluster, ranks, predicted
        self._quantized: dict[str, tuple[Quantized, prediction.Column, int]] = {}
        self._values: dict[str, NDArray[Any]] = {}

    def values(self, name: str) -> NDArray[Any]:
        """Values of a column, shape (jets,)."""
        if name not in self._values:
            reader, kind = self._open(name)
            if kind == _DERIVED:
                self._values[name] = self._derive(name, reader)
            else:
                column, _, number = self._integers(name)
                shifts = dither(self._cluster.seed, number, self._cluster.jets)
                self._values[name] = column.complete(shifts)
        return self._values[name]

    def quantized(self, name: str) -> Quantized:
        """A column's integers, and all that restores it."""
        return self._integers(name)[0]

    def _open(self, name: str) -> tuple[Reader, int]:
        if name not in self._cluster.columns:
            raise CodecError(f"damaged payload: it has no column {name!r}")
        reader = Reader(self._cluster.columns[name].data)
        if (version := reader.varint()) != _VERSION:
            raise CodecError(f"payload of version {version}, this hepae reads {_VERSION}; upgrade hepae")
        return reader, reader.varint(_DERIVED)

    def _integers(self, name: str) -> tuple[Quantized, prediction.Column, int]:
        """Integers of a column, as they are and as others are predicted from them, and its number for the dither."""
        if name in self._quantized:
            return self._quantized[name]
        reader, kind = self._open(name)
        parents = self._cluster.columns[name].parents
        if kind != _INTEGERS or len(parents) > PARENTS:
            raise CodecError(f"damaged payload: {name!r} is not a column that others are predicted from")
        header, number, checksum = reader.blob(), reader.varint(_MOST_COLUMNS), reader.varint()
        column = Quantized.read(reader, self._cluster.jets, header)
        known = [self._integers(parent)[1] for parent in parents]
        numbers = prediction.decode(reader, header, self._ranks, known)
        integers = (
            column.integers_of(numbers) if numbers.dtype.kind == "f" else numbers.astype(np.int64, copy=False)
        )
        column.integers = integers
        if checksum:
            if self._predicted is None or checksum != 1 + self._predicted.checksum:
                raise CodecError("these are not the latents that the payload was made with")
            column.integers = integers + column.nearest(self._predicted.columns[name])[0]
        restored = partial(_finite, column, self._cluster.seed, number)
        self._quantized[name] = column, prediction.Column(self._ranks, integers, restored=restored), number
        return self._quantized[name]

    def _derive(self, name: str, reader: Reader) -> NDArray[Any]:
        """A column that is computed from pt, eta, phi and mass."""
        header = reader.blob()
        coordinates = COORDINATES[reader.varint(len(COORDINATES) - 1)]
        if name not in coordinates.replaced or self._cluster.columns[name].parents != coordinates.sources(
            name
        ):
            raise CodecError(f"damaged payload: {name!r} is computed from other columns")
        rows = read_rows(reader, self._cluster.jets, header)
        exact = Quantized.read(reader, len(rows), header)
        if exact.dtype.kind != "f":
            raise CodecError(f"damaged payload: {name!r} is of type {exact.dtype}")
        exact.integers = read_stream(reader, len(rows), header)
        if len(exact.integers) != len(rows):
            raise CodecError("damaged payload: exceptions without their values")
        sources = {source: self.values(source) for source in coordinates.sources(name)}
        with np.errstate(over="ignore"):  # of jets that are exceptions
            values = coordinates.compute(name, sources).astype(exact.dtype)
        values[rows] = exact.complete(np.zeros(len(rows)))
        return values


def _coordinates(columns: Columns, bounds: Bounds) -> Coordinates | None:
    """Coordinates of the four-momentum that the bounds ask for and the file has otherwise."""
    types = {name: values.dtype for name, values in columns.items()}
    coordinates = find_coordinates(types)
    return coordinates if coordinates is not None and {*coordinates.added} <= {*bounds.columns} else None


def _coded(columns: Columns, coordinates: Coordinates | None) -> dict[str, NDArray[Any]]:
    """Columns that are coded."""
    if coordinates is None:
        return dict(columns)
    others = {*coordinates.replaced, *coordinates.added}
    kept = {name: values for name, values in columns.items() if name not in others}
    return {**coordinates.forward(columns), **kept}


def _broken(
    coordinates: Coordinates,
    columns: Columns,
    coded: Columns,
    bounds: Bounds,
    restored: Columns,
) -> NDArray[np.bool_]:
    """Jets whose own columns, computed of the restored ones and rounded to their types, do not hold the bounds.

    The mass has to hold its bound for every mass in `Coordinates.mass_range` of the original and of what is restored.
    """
    own = coordinates.inverse(restored, {name: columns[name].dtype for name in coordinates.replaced})
    completed = {**restored, **own}
    again = coordinates.forward(completed)
    broken = np.zeros(len(coded[coordinates.added[0]]), bool)
    for name in coordinates.added:
        broken |= ~np.isfinite(coded[name]) | violations(coded[name], again[name], *bounds.of(name))
    if "mass" in coordinates.added:
        (low, high), (least, most) = coordinates.mass_range(columns), coordinates.mass_range(completed)
        for before, after in ((low, most), (high, least)):
            broken |= violations(before, after, *bounds.of("mass"))
    for name in coordinates.replaced:
        bits = f"V{own[name].itemsize}"
        broken |= repeated_rows(columns[name]) & (columns[name].view(bits) != own[name].view(bits))
    return broken | (columns["E"] < 0) if "E" in coordinates.replaced else broken


def _exactly(coordinates: Coordinates, bounds: Bounds) -> Bounds:
    """Bounds that keep every bit of the coordinates' own columns: where too many jets would be exceptions."""
    others = {name: bound for name, bound in bounds.columns.items() if name not in coordinates.added}
    return Bounds({**others, **dict.fromkeys(coordinates.own, EXACT)})


def _momentum(quantized: Mapping[str, Quantized]) -> tuple[str, str] | None:
    """Names of pt and phi, where both have a grid."""
    floats = [name for name in ("pt", "phi") if name in quantized and quantized[name].grid is not None]
    return ("pt", "phi") if len(floats) == 2 and quantized["phi"].circle else None


def _finite(column: Quantized, seed: int, number: int) -> Floats:
    """Restored values of a column, those that are not finite as 0."""
    values = column.restore(column.integers, dither(seed, number, len(column.integers))).astype(np.float64)
    return np.where(np.abs(values) < 1e300, values, 0.0)


def clusters_of(jets: int, counts: NDArray[np.int64] | None) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Cut events into clusters of about `CLUSTER_JETS` jets: ranges of events and of their jets."""
    if counts is None:
        cuts = list(range(0, jets, CLUSTER_JETS)) or [0]
        return [((a, b), (a, b)) for a, b in zip(cuts, [*cuts[1:], jets], strict=True)]
    ends = np.cumsum(counts)
    ranges, event = [], 0
    while True:
        first = int(ends[event - 1]) if event else 0
        stop = min(
            len(counts), max(event + 1, int(np.searchsorted(ends, first + CLUSTER_JETS, side="right")))
        )
        ranges.append(((event, stop), (first, int(ends[stop - 1]) if stop else 0)))
        event = stop
        if event >= len(counts):
            return ranges
