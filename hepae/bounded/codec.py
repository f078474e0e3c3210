"""BoundedCodec: every column of every jet within a bound, without training."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np

from hepae import kinematics
from hepae.bounded.cluster import ClusterInput, CodedCluster, clusters_of, encode_cluster
from hepae.bounded.fourvectors import coded_types, find_coordinates
from hepae.bounds import Bound, Bounds, Edges

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from hepae.bounded.cluster import Prediction


@dataclass(frozen=True)
class CompressedJets:
    """Jets in memory, compressed, as every codec gives them.

    Parameters
    ----------
    names
        Columns that are coded within bounds; none where there are latents alone.
    clusters
        These columns, coded.
    counts
        Jets of each event; None for flat jets, and if no column is coded within bounds.
    latents
        Records z0, z1, … in the jets' lists; None for a codec without latents.
    """

    names: tuple[str, ...] = ()
    clusters: tuple[CodedCluster, ...] = ()
    counts: NDArray[np.int64] | None = None
    latents: ak.Array | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of the clusters, and of the latents in the type they are stored in."""
        latents = [] if self.latents is None else flat_columns(self.latents)[0].values()
        return sum(cluster.nbytes for cluster in self.clusters) + sum(column.nbytes for column in latents)

    def columns(self, predict: Callable[[slice], Prediction] | None = None) -> dict[str, NDArray[Any]]:
        """Decode all clusters; where they were coded with a model, ``predict`` gives its prediction for a range of jets.

        Raises
        ------
        CodecError
            If the payload is damaged.
        """
        parts, event, jet = [], 0, 0
        for cluster in self.clusters:
            counts = None if self.counts is None else self.counts[event : event + cluster.events]
            rows = slice(jet, jet + cluster.jets)
            parts.append(cluster.decode(self.names, counts, predict(rows) if predict else None))
            event, jet = event + cluster.events, jet + cluster.jets
        return {name: np.concatenate([part[name] for part in parts]) for name in self.names}


class BoundedCodec:
    """Codec that keeps every value of every jet within its bound; it needs no training and has no latents.

    Parameters
    ----------
    bounds
        Largest errors by column name, such as ``{"pt": "0.1%", "eta": 1e-3, "mass": "1%+1MeV"}``. Columns that are not named
        have the defaults: pt 0.1 %, eta and phi 0.001, mass 1 % + 1 MeV, any other column exact.
    edges
        Cuts by column name, such as ``{"pt": [20, 30]}``: each restored value is on the same side of them as its original. Numbers
        are in GeV for energies.

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

    kind = "bounded"
    model_sha256 = None

    def __init__(
        self,
        bounds: Bounds | Mapping[str, Bound | str | float] | None = None,
        edges: Mapping[str, Edges | str | float | Iterable[float]] | None = None,
    ):
        self.bounds = bounds if isinstance(bounds, Bounds) else Bounds.parse(bounds or {}, edges or {})

    def compress(self, jets: ak.Array) -> CompressedJets:
        """Compress all columns of jets (energies in GeV, in lists per event or flat); the inverse is `decompress`.

        Raises
        ------
        ConfigError
            If a bound names a column that does not exist or that cannot have a bound.
        """
        columns, counts = flat_columns(jets)
        types = {name: values.dtype for name, values in columns.items()}
        bounds = resolve(self.bounds, {"jets": types})["jets"].in_unit("GeV")
        return compress_clusters(columns, counts, bounds)

    def decompress(self, compressed: CompressedJets) -> ak.Array:
        """Give the jets back, in GeV; the inverse is `compress`.

        Raises
        ------
        CodecError
            If the payload is damaged.
        """
        jets = kinematics.momenta(compressed.columns())
        return jets if compressed.counts is None else ak.unflatten(jets, compressed.counts)

    @property
    def latent_types(self) -> dict[str, np.dtype[Any]]:
        """Empty: this codec has no latents."""
        return {}

    def coded_columns(self, columns: Sequence[str]) -> tuple[str, ...]:
        """Give the columns of a collection that are coded: all of them."""
        return tuple(columns)

    def encode_step(self, make_jets: Callable[[], ak.Array]) -> None:
        """Give no latents."""

    def predict(self, latents: ak.Array | None, columns: Iterable[str], unit: str) -> None:
        """Give no prediction: there are no latents to make it from."""

    def stored_model(self) -> bytes:
        """Give no model: a compressed file within bounds needs none."""
        return b""

    def to_bytes(self) -> bytes:
        """Give the codec as bytes; the inverse is `from_bytes`."""
        return json.dumps(self.to_config()).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> BoundedCodec:
        """Rebuild a codec from what `to_bytes` gave."""
        return cls.from_config(json.loads(data))

    def to_config(self) -> dict[str, Any]:
        """Give the codec as JSON can hold it; the inverse is `from_config`."""
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
        If a bound names a column that does not exist or that cannot have a bound.
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
    predict: Callable[[slice], Prediction] | None = None,
) -> CompressedJets:
    """Code columns cluster by cluster, with what a model predicts of a range of jets; else as `encode_cluster`."""
    clusters = []
    for (start, stop), (first, last) in clusters_of(len(next(iter(columns.values()), ())), counts):
        part = {name: values[first:last] for name, values in columns.items()}
        events = None if counts is None else counts[start:stop]
        predicted = predict(slice(first, last)) if predict else None
        clusters.append(encode_cluster(ClusterInput(part, events, bounds, predicted)))
    return CompressedJets(tuple(columns), tuple(clusters), counts)
