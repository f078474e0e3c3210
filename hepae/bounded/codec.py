"""BoundedCodec: every column of every jet within a bound, without training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np

from hepae import kinematics
from hepae.bounded.cluster import Cluster, clusters_of
from hepae.bounded.fourvectors import coded_types, find_coordinates
from hepae.bounds import Bound, Bounds, Edges

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray

    from hepae.bounded.cluster import Guess


@dataclass(frozen=True)
class Compressed:
    """Jets in memory, compressed: clusters, and the lengths of the events' lists (None for flat jets)."""

    clusters: tuple[Cluster, ...]
    counts: NDArray[np.int64] | None

    @property
    def nbytes(self) -> int:
        """Bytes of the payload."""
        return sum(len(cluster.blob) for cluster in self.clusters)

    def columns(self, guess: Callable[[slice], Guess] | None = None) -> dict[str, NDArray[Any]]:
        """Decode all clusters, with what a model says of a range of jets where they were coded with it.

        Raises
        ------
        CodecError
            If the payload is damaged.
        """
        parts, event, jet = [], 0, 0
        for cluster in self.clusters:
            counts = None if self.counts is None else self.counts[event : event + cluster.events]
            rows = slice(jet, jet + cluster.jets)
            parts.append(cluster.columns(counts, guess(rows) if guess else None))
            event, jet = event + cluster.events, jet + cluster.jets
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


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
        bounds: Bounds | Mapping[str, Bound | str | float] | None = None,
        edges: Mapping[str, Edges | str | float | Iterable[float]] | None = None,
    ):
        self.bounds = bounds if isinstance(bounds, Bounds) else Bounds.parse(bounds or {}, edges or {})

    def compress(self, jets: ak.Array) -> Compressed:
        """Compress the columns that the jets' records hold; the inverse is `decompress`.

        Raises
        ------
        ConfigError
            If a bound is for a column that is not there or that takes none.
        """
        columns, counts = flat_columns(jets)
        types = {name: values.dtype for name, values in columns.items()}
        bounds = resolve(self.bounds, {"jets": types})["jets"].in_unit("GeV")
        return compress_clusters(columns, counts, bounds)

    def decompress(self, compressed: Compressed) -> ak.Array:
        """Give the jets back, in GeV.

        Raises
        ------
        CodecError
            If the payload is damaged.
        """
        jets = kinematics.momenta(compressed.columns())
        return jets if compressed.counts is None else ak.unflatten(jets, compressed.counts)

    def to_config(self) -> dict[str, Any]:
        """Say the codec as JSON; the inverse is `from_config`."""
        return self.bounds.to_config()

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> BoundedCodec:
        """Rebuild a codec from what `to_config` gave."""
        return cls(Bounds.from_config(config))


def resolve(bounds: Bounds, collections: Mapping[str, Mapping[str, np.dtype[Any]]]) -> dict[str, Bounds]:
    """Give every column that will be coded its bound.

    Parameters
    ----------
    bounds
        What was asked for.
    collections
        Types of the file's columns by collection and name. A four-momentum that is there in other coordinates is coded as pt,
        eta, phi and mass, unless a bound is asked for one of its own columns by name.

    Raises
    ------
    ConfigError
        If a bound is for a column that is not there or that takes none.
    """
    return bounds.resolve(
        {
            name: coded_types(types, find_coordinates(types, bounds.asked(name)))
            for name, types in collections.items()
        }
    )


def flat_columns(jets: ak.Array) -> tuple[dict[str, NDArray[Any]], NDArray[np.int64] | None]:
    """Columns of the jets' records, each of shape (jets,), and the lengths of the events' lists (None for flat jets)."""
    flat = ak.flatten(jets) if jets.ndim > 1 else jets
    columns = {name: np.ascontiguousarray(ak.to_numpy(flat[name])) for name in jets.fields}
    return columns, ak.to_numpy(ak.num(jets)).astype(np.int64) if jets.ndim > 1 else None


def compress_clusters(
    columns: Mapping[str, NDArray[Any]],
    counts: NDArray[np.int64] | None,
    bounds: Bounds,
    guess: Callable[[slice], Guess] | None = None,
) -> Compressed:
    """Code columns cluster by cluster, with what a model says of a range of jets; else as `encode_cluster`."""
    clusters = []
    for (start, stop), (first, last) in clusters_of(len(next(iter(columns.values()), ())), counts):
        part = {name: values[first:last] for name, values in columns.items()}
        some = None if counts is None else counts[start:stop]
        clusters.append(Cluster.of(part, some, bounds, guess(slice(first, last)) if guess else None))
    return Compressed(tuple(clusters), counts)
