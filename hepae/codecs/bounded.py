"""BoundedCodec: every column of every jet within a bound, without training.

A cluster of consecutive events is coded at once: `quantization` makes integers of its columns, `prediction` takes off
what columns and jets say about each other, pcodec codes the rest. The payload of a cluster describes itself; PAYLOAD.md
has it to the bit.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np

from hepae import bounds as bounds_module
from hepae import kinematics
from hepae.bounds import Bound
from hepae.codecs import prediction
from hepae.codecs.bytestream import Reader, Writer
from hepae.codecs.quantization import Quantized, dither, quantize, violations
from hepae.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

CLUSTER_JETS = 250_000
"""Jets that are coded at once: more gain less than 0.1 %, fewer cost their own headers."""

_VERSION = 1
_FIRST = ("pt", "eta", "phi", "mass")


def encode_cluster(
    columns: Mapping[str, NDArray[Any]],
    counts: NDArray[np.int64] | None,
    bounds: Mapping[str, Bound],
    edges: Mapping[str, tuple[float, ...]],
    *,
    seed: int,
) -> bytes:
    """Code one cluster; the inverse is `decode_cluster`.

    Parameters
    ----------
    columns
        Values by column name, each of shape (jets,), in the type and unit of the file.
    counts
        Jets an event; None where a row is a jet.
    bounds, edges
        By column name, in the same units.
    seed
        Of the dither, below 2⁶⁴.

    Raises
    ------
    CodecError
        If a column has a type that is not coded.
    """
    names = [name for name in _FIRST if name in columns] + [name for name in columns if name not in _FIRST]
    jets = len(next(iter(columns.values()), ()))
    out = Writer()
    out.varint(_VERSION)
    out.varint(len(names))
    quantized: dict[str, Quantized] = {}
    for i, name in enumerate(names):
        shifts = dither(seed, i, jets)
        bound = bounds.get(name, Bound())
        column = quantize(name, columns[name], bound, shifts, edges.get(name, ()))
        quantized[name] = column
        out.text(name)
        column.write(out)
    restore = _restorer(quantized, names, seed, jets)
    integers = {name: column.integers for name, column in quantized.items()}
    out.raw(prediction.encode(integers, counts, _momentum(quantized), restore))
    return out.content()


def decode_cluster(
    data: bytes, jets: int, counts: NDArray[np.int64] | None, *, seed: int
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
    quantized: dict[str, Quantized] = {}
    for _ in range(reader.varint(100_000)):
        name = reader.text()
        quantized[name] = Quantized.read(reader, jets)
    names = list(quantized)
    restore = _restorer(quantized, names, seed, jets)
    integers = prediction.decode(reader, names, jets, counts, _momentum(quantized), restore)
    columns = {}
    for i, (name, column) in enumerate(quantized.items()):
        column.integers = integers[name]
        columns[name] = column.complete(dither(seed, i, jets))
    return columns


def _momentum(quantized: Mapping[str, Quantized]) -> prediction.Momentum | None:
    floats = [name for name in ("pt", "phi") if name in quantized and quantized[name].grid is not None]
    return prediction.Momentum("pt", "phi") if len(floats) == 2 and quantized["phi"].circle else None


def _restorer(
    quantized: Mapping[str, Quantized], names: Sequence[str], seed: int, jets: int
) -> prediction.Values:
    def restore(name: str, integers: NDArray[np.int64]) -> NDArray[np.float64]:
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
        bounds: Mapping[str, Bound],
        edges: Mapping[str, tuple[float, ...]],
    ) -> Cluster:
        """Code columns, decode them again and check every value.

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
        blob = encode_cluster(columns, counts, bounds, edges, seed=seed)
        cluster = cls(jets if counts is None else len(counts), jets, seed, zlib.crc32(blob), blob)
        restored = cluster.columns(counts)
        for name, values in columns.items():
            broken = violations(name, values, restored[name], bounds.get(name, Bound()), edges.get(name, ()))
            if broken.any():
                raise CodecError(
                    f"{int(broken.sum())} values of column {name!r} would break their bound; nothing was written"
                )
        return cluster

    def columns(self, counts: NDArray[np.int64] | None) -> dict[str, NDArray[Any]]:
        """Decode, after the checksum.

        Raises
        ------
        CodecError
            If the blob is not what was written.
        """
        if zlib.crc32(self.blob) != self.crc:
            raise CodecError("damaged payload: its checksum is another")
        try:
            return decode_cluster(self.blob, self.jets, counts, seed=self.seed)
        except (IndexError, ValueError, OverflowError, KeyError) as error:
            raise CodecError(f"damaged payload: it contradicts itself ({error})") from None


@dataclass(frozen=True)
class Compressed:
    """Jets in memory, compressed: clusters, and the lengths of the events' lists (None for flat jets)."""

    clusters: tuple[Cluster, ...]
    counts: NDArray[np.int64] | None

    @property
    def nbytes(self) -> int:
        """Bytes of the payload."""
        return sum(len(cluster.blob) for cluster in self.clusters)


class BoundedCodec:
    """Jets within bounds, and back.

    Parameters
    ----------
    bounds
        By column name, such as ``{"pt": "0.1%", "eta": 1e-3, "mass": "1%+1MeV"}``; columns left out have
        the defaults: pt 0.1 %, eta and phi 0.001, mass 1 % + 1 MeV, any other float exact.
    edges
        Values by column name that restored and original lie on the same side of, such as ``{"pt": [20, 30]}``.

    Raises
    ------
    ConfigError
        If one of them cannot be read.

    Examples
    --------
    >>> from hepae.kinematics import momenta
    >>> jets = momenta({"pt": [[50.0, 40.0], []], "eta": [[0.1, 2.0], []], "phi": [[3.0, 0.0], []], "mass": [[5.0, 4.0], []]})
    >>> codec = BoundedCodec({"pt": "0.1%"})
    >>> restored = codec.decompress(codec.compress(jets))
    >>> bool(ak.all(abs(restored.pt / jets.pt - 1) <= 0.001))
    True
    """

    def __init__(
        self,
        bounds: Mapping[str, str | float | Bound] | None = None,
        edges: Mapping[str, str | Sequence[float]] | None = None,
    ):
        self.bounds = {name: Bound.parse(bound, name) for name, bound in (bounds or {}).items()}
        self.edges = {name: bounds_module.parse_edges(cuts) for name, cuts in (edges or {}).items()}

    def compress(self, jets: ak.Array) -> Compressed:
        """Compress the columns that the jets' records hold; the inverse is `decompress`.

        Raises
        ------
        ConfigError
            If a bound is for a column that is not there or that takes none.
        """
        flat = ak.flatten(jets) if jets.ndim > 1 else jets
        columns = {name: np.ascontiguousarray(ak.to_numpy(flat[name])) for name in jets.fields}
        bounds = bounds_module.resolve(self.bounds, {name: values.dtype for name, values in columns.items()})
        edges = bounds_module.resolve_edges(self.edges, columns)
        counts = ak.to_numpy(ak.num(jets)).astype(np.int64) if jets.ndim > 1 else None
        clusters = []
        for (start, stop), (first, last) in clusters_of(len(flat), counts):
            part = {name: values[first:last] for name, values in columns.items()}
            clusters.append(Cluster.of(part, None if counts is None else counts[start:stop], bounds, edges))
        return Compressed(tuple(clusters), counts)

    def decompress(self, compressed: Compressed) -> ak.Array:
        """Give the jets back, in GeV.

        Raises
        ------
        CodecError
            If the payload is damaged.
        """
        parts, event = [], 0
        for cluster in compressed.clusters:
            counts = None if compressed.counts is None else compressed.counts[event : event + cluster.events]
            parts.append(cluster.columns(counts))
            event += cluster.events
        columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        jets = kinematics.momenta(columns)
        return jets if compressed.counts is None else ak.unflatten(jets, compressed.counts)

    def to_config(self) -> dict[str, Any]:
        """Say the codec as JSON; the inverse is `from_config`."""
        return {
            "bounds": {name: str(bound) for name, bound in self.bounds.items()},
            "edges": {name: list(cuts) for name, cuts in self.edges.items()},
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> BoundedCodec:
        """Rebuild a codec from what `to_config` gave."""
        return cls(config["bounds"], config["edges"])


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
