"""Clusters: columns of consecutive events ↔ bytes within bounds.

A cluster is coded at once: `quantization` makes integers of its columns, `prediction` takes off what columns and jets say
about each other, pcodec codes the rest. The bytes describe themselves; PAYLOAD.md has them to the bit.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hepae.bounded import prediction
from hepae.bounded.bytestream import Reader, Writer
from hepae.bounded.fourvectors import SYSTEMS, Coordinates, find_coordinates
from hepae.bounded.quantization import Quantized, dither, quantize, repeated_rows, violations
from hepae.bounded.streams import HEADER, read_stream, write_stream
from hepae.bounds import EXACT, Bounds
from hepae.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

CLUSTER_JETS = 250_000
"""Jets that are coded at once: more gain less than 0.1 %, fewer cost their own headers."""

_VERSION = 1
_MOST_EXCEPTIONS = 0.5
"""Where the type of more of a four-momentum's own columns cannot hold the bounds, they cost fewer bytes all exact."""
_FIRST = ("pt", "eta", "phi", "mass")


@dataclass(frozen=True)
class Guess:
    """What a model says of columns, each of shape (jets,) in the file's unit, and a checksum of what it says that from.

    Coding and decoding need the same, but for the last bits.
    """

    columns: Mapping[str, Floats]
    checksum: int


def encode_cluster(
    columns: Mapping[str, NDArray[Any]],
    counts: NDArray[np.int64] | None,
    bounds: Bounds,
    *,
    seed: int,
    guess: Guess | None = None,
) -> bytes:
    """Code one cluster; the inverse is `decode_cluster`.

    Parameters
    ----------
    columns
        Values by column name, each of shape (jets,), in the type and unit of the file.
    counts
        Jets an event; None where a row is a jet.
    bounds
        Of each column that is coded, in the same units. Where they name columns of a four-momentum that is there in
        other coordinates (`hepae.bounded.fourvectors`), these are coded in its place.
    seed
        Of the dither, below 2⁶⁴.
    guess
        What a model says of columns, known to the decoder as well: what the columns lack to it is coded.

    Raises
    ------
    CodecError
        If a column has a type that is not coded.
    """
    coordinates = _coordinates(columns, bounds)
    coded = _coded(columns, coordinates)
    jets = len(next(iter(coded.values()), ()))
    names = [name for name in _FIRST if name in coded] + [name for name in coded if name not in _FIRST]
    out = Writer()
    out.varint(_VERSION)
    out.blob(HEADER)
    out.varint(0 if guess is None else 1 + guess.checksum)
    out.varint(SYSTEMS.index(coordinates) + 1 if coordinates else 0)
    quantized, integers = {}, {}
    for i, name in enumerate(names):
        bound, edges = bounds.of(name)
        column = quantize(name, coded[name], bound, dither(seed, i, jets), edges)
        quantized[name], integers[name] = column, column.integers
        if guess is not None and name in guess.columns:
            nearest, unsure = column.nearest(guess.columns[name])
            column.except_for(unsure, coded[name])
            integers[name] = column.integers - nearest
            integers[name][column.exceptions] = 0
    if coordinates is not None:
        broken = _broken(coordinates, columns, coded, bounds, _completed(quantized, seed, jets))
        if np.count_nonzero(broken) > _MOST_EXCEPTIONS * jets:
            return encode_cluster(columns, counts, _exactly(coordinates, bounds), seed=seed, guess=guess)
        _write_own(out, coordinates, columns, np.flatnonzero(broken))
    out.varint(len(names))
    for name, column in quantized.items():
        out.text(name)
        column.write(out)
    momentum = _momentum(quantized) if guess is None else None
    floats = {name: column.exact_floats() for name, column in quantized.items() if guess is None}
    exact = {name: values for name, values in floats.items() if values is not None}
    restore = _restorer(quantized, names, seed, jets)
    out.raw(prediction.encode(integers, counts, momentum, restore, exact))
    return out.content()


def decode_cluster(
    data: bytes,
    jets: int,
    counts: NDArray[np.int64] | None,
    *,
    seed: int,
    guess: Guess | None = None,
) -> dict[str, NDArray[Any]]:
    """Give the columns of a cluster, in the type and unit that they came in.

    Raises
    ------
    CodecError
        If the payload is damaged.
    """
    reader = Reader(data)
    if (version := reader.varint()) != _VERSION:
        raise CodecError(f"payload of version {version}, this hepae reads {_VERSION}; upgrade hepae")
    header = reader.blob()
    if reader.varint() != (0 if guess is None else 1 + guess.checksum):
        raise CodecError("these are not the latents that the payload was made with")
    number = reader.varint(len(SYSTEMS))
    coordinates = SYSTEMS[number - 1] if number else None
    own = _read_own(reader, coordinates, jets, header) if coordinates else None
    quantized: dict[str, Quantized] = {}
    for _ in range(reader.varint(100_000)):
        name = reader.text()
        quantized[name] = Quantized.read(reader, jets)
    names = list(quantized)
    momentum = _momentum(quantized) if guess is None else None
    restore = _restorer(quantized, names, seed, jets)
    integers = prediction.decode(
        reader,
        header,
        names,
        jets,
        counts,
        momentum,
        restore,
        lambda name, values: quantized[name].integers_of(values),
    )
    for name, column in quantized.items():
        column.integers = integers[name]
        if guess is not None and name in guess.columns:
            column.integers = column.integers + column.nearest(guess.columns[name])[0]
    columns = _completed(quantized, seed, jets)
    if coordinates is None or own is None:
        return columns
    rows, stored = own
    columns.update(coordinates.inverse(columns, {name: stored[name].dtype for name in coordinates.replaced}))
    for name, values in stored.items():
        columns[name][rows] = values
    return {name: values for name, values in columns.items() if name not in coordinates.added}


def _coordinates(columns: Mapping[str, NDArray[Any]], bounds: Bounds) -> Coordinates | None:
    """Coordinates of the four-momentum that the bounds ask for and the file has otherwise."""
    types = {name: values.dtype for name, values in columns.items()}
    coordinates = find_coordinates(types)
    return coordinates if coordinates is not None and {*coordinates.added} <= {*bounds.columns} else None


def _coded(columns: Mapping[str, NDArray[Any]], coordinates: Coordinates | None) -> dict[str, NDArray[Any]]:
    """Columns that are coded."""
    if coordinates is None:
        return dict(columns)
    kept = {name: values for name, values in columns.items() if name not in coordinates.replaced}
    return {**coordinates.forward(columns), **kept}


def _completed(quantized: Mapping[str, Quantized], seed: int, jets: int) -> dict[str, NDArray[Any]]:
    return {
        name: column.complete(dither(seed, i, jets)) for i, (name, column) in enumerate(quantized.items())
    }


def _broken(
    coordinates: Coordinates,
    columns: Mapping[str, NDArray[Any]],
    coded: Mapping[str, NDArray[Any]],
    bounds: Bounds,
    restored: Mapping[str, NDArray[Any]],
) -> NDArray[np.bool_]:
    """Jets whose own columns, computed of the restored ones and rounded to their types, do not hold the bounds.

    The mass has to hold its bound for every mass in `Coordinates.mass_range` of the original and of what is restored.
    """
    own = coordinates.inverse(restored, {name: columns[name].dtype for name in coordinates.replaced})
    completed = {**restored, **own}
    again = coordinates.forward(completed)
    broken = np.zeros(len(coded[coordinates.added[0]]), bool)
    for name in coordinates.added:
        broken |= ~np.isfinite(coded[name]) | violations(name, coded[name], again[name], *bounds.of(name))
    if "mass" in coordinates.added:
        (low, high), (least, most) = coordinates.mass_range(columns), coordinates.mass_range(completed)
        for before, after in ((low, most), (high, least)):
            broken |= violations("mass", before, after, *bounds.of("mass"))
    for name in coordinates.replaced:
        bits = f"V{own[name].itemsize}"
        broken |= repeated_rows(columns[name]) & (columns[name].view(bits) != own[name].view(bits))
    return broken | (columns["E"] < 0) if "E" in coordinates.replaced else broken


def _exactly(coordinates: Coordinates, bounds: Bounds) -> Bounds:
    """Bounds that keep every bit of the coordinates' own columns: where too many jets would be exceptions."""
    others = {name: bound for name, bound in bounds.columns.items() if name not in coordinates.added}
    return Bounds({**others, **dict.fromkeys(coordinates.own, EXACT)})


def _write_own(
    out: Writer, coordinates: Coordinates, columns: Mapping[str, NDArray[Any]], rows: NDArray[np.int64]
) -> None:
    """Write the jets whose own columns are stored as they are; the inverse is `_read_own`."""
    write_stream(out, np.diff(rows, prepend=-1))
    for name in coordinates.own:
        column = quantize(name, columns[name][rows], EXACT, np.zeros(len(rows)))
        column.write(out)
        write_stream(out, column.integers)


def _read_own(
    reader: Reader, coordinates: Coordinates, jets: int, header: bytes
) -> tuple[NDArray[np.int64], dict[str, NDArray[Any]]]:
    rows = np.cumsum(read_stream(reader, jets, header)) - 1
    if len(rows) and (np.any(np.diff(rows) <= 0) or rows[0] < 0 or rows[-1] >= jets):
        raise CodecError("damaged payload: exceptions beyond the cluster")
    stored = {}
    for name in coordinates.own:
        column = Quantized.read(reader, len(rows))
        column.integers = read_stream(reader, len(rows), header)
        if len(column.integers) != len(rows):
            raise CodecError("damaged payload: exceptions without their values")
        stored[name] = column.complete(np.zeros(len(rows)))
    return rows, stored


def _momentum(quantized: Mapping[str, Quantized]) -> prediction.Momentum | None:
    floats = [name for name in ("pt", "phi") if name in quantized and quantized[name].grid is not None]
    return prediction.Momentum("pt", "phi") if len(floats) == 2 and quantized["phi"].circle else None


def _restorer(
    quantized: Mapping[str, Quantized], names: Sequence[str], seed: int, jets: int
) -> prediction.Values:
    def restore(name: str, integers: NDArray[np.int64]) -> Floats:
        values = quantized[name].restore(integers, dither(seed, names.index(name), jets)).astype(np.float64)
        return np.where(np.abs(values) < 1e300, values, 0.0)

    return restore


@dataclass(frozen=True)
class Cluster:
    """Payload of consecutive events with what reads it: counts, the dither's seed, and a CRC of the blob."""

    events: int
    jets: int
    seed: int
    crc: int
    blob: bytes

    @classmethod
    def of(
        cls,
        columns: Mapping[str, NDArray[Any]],
        counts: NDArray[np.int64] | None,
        bounds: Bounds,
        guess: Guess | None = None,
    ) -> Cluster:
        """Code columns, decode them again and check every value; parameters are those of `encode_cluster`.

        The dither's seed is a checksum of the columns, so that equal jets give equal bytes.

        Raises
        ------
        CodecError
            If a value came back outside its bound or across an edge; none does, and this makes sure.
        """
        crc = 0
        for values in columns.values():
            crc = zlib.crc32(np.ascontiguousarray(values).data.cast("B"), crc)
        jets = len(next(iter(columns.values()), ()))
        seed = (crc << 32) | (zlib.crc32(jets.to_bytes(8, "little"), crc) & 0xFFFFFFFF)
        blob = encode_cluster(columns, counts, bounds, seed=seed, guess=guess)
        cluster = cls(jets if counts is None else len(counts), jets, seed, zlib.crc32(blob), blob)
        coordinates = _coordinates(columns, bounds)
        original, restored = _coded(columns, coordinates), _coded(cluster.columns(counts, guess), coordinates)
        for name, values in original.items():
            broken = violations(name, values, restored[name], *bounds.of(name))
            if broken.any():
                raise CodecError(
                    f"{int(broken.sum())} values of column {name!r} would break their bound; nothing was written"
                )
        return cluster

    def columns(
        self, counts: NDArray[np.int64] | None, guess: Guess | None = None
    ) -> dict[str, NDArray[Any]]:
        """Decode, after the checksum.

        Raises
        ------
        CodecError
            If the blob is not what was written.
        """
        if zlib.crc32(self.blob) != self.crc:
            raise CodecError("damaged payload: its checksum is another")
        try:
            return decode_cluster(self.blob, self.jets, counts, seed=self.seed, guess=guess)
        except (IndexError, ValueError, OverflowError, KeyError) as error:
            raise CodecError(f"damaged payload: it contradicts itself ({error})") from None


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
