"""How a codec stands in a file: which branches it takes away and adds, and what it writes for each step of events."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections import Counter
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np

from hepae import bounds as bounds_module
from hepae import kinematics
from hepae.codecs.bounded import CLUSTER_JETS, BoundedCodec, Cluster
from hepae.errors import CodecError, InputError
from hepae.io.container import PAYLOAD_TREE, payload_branches, payload_row
from hepae.io.layouts import Branch, Collection
from hepae.io.writers import TreeWriter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hepae.codecs.latent import LatentCodec


class Coder(ABC):
    """A codec at work on one collection of a file."""

    kind: str
    columns: tuple[str, ...]
    """Columns that the codec codes."""
    coded: tuple[str, ...]
    """Columns of the file that it takes the place of."""
    model: bytes = b""
    """What the file has to hold for restoring, beside header and payload."""
    payload: TreeWriter | None = None

    def __init__(self, collection: Collection):
        self.collection = collection
        self.jets = 0
        self.replaced: Counter[str] = Counter()

    @property
    def coded_branches(self) -> set[str]:
        """Branches that are not in the compressed file."""
        return {self.collection.column(name).branch for name in self.coded}

    @property
    @abstractmethod
    def new_branches(self) -> list[Branch]:
        """Branches that stand in the compressed tree in place of the coded ones."""

    @abstractmethod
    def encode(self, arrays: Mapping[str, ak.Array]) -> dict[str, ak.Array]:
        """Arrays of the new branches for a step of events."""

    def finish(self) -> None:  # noqa: B027  # latents hold nothing back
        """Write what is still held back."""

    @abstractmethod
    def header(self) -> dict[str, Any]:
        """What the file's header says of the codec."""


class LatentCoder(Coder):
    """Latents as branches in place of the columns."""

    kind = "latent"

    def __init__(self, codec: LatentCodec, collection: Collection, where: str):
        super().__init__(collection)
        self.codec = codec
        self.columns = codec.columns
        self.model = codec.to_bytes(encoder=False)
        try:
            self.coded = tuple(dict.fromkeys(collection.column(name).name for name in codec.columns))
        except KeyError as error:
            raise CodecError(
                f"the model codes columns {', '.join(codec.columns)}; collection {collection.name!r} of {where} has "
                f"no {error.args[0]}, only {', '.join(collection.column_names)}"
            ) from None

    @property
    def new_branches(self) -> list[Branch]:
        """The latents, ``<collection>_z0`` and so on."""
        counter = self.collection.counter
        names = (f"{self.collection.prefix}{name}" for name in self.codec.latent_names)
        return [Branch(name, self.codec.latent_dtype, counter is not None, counter) for name in names]

    def encode(self, arrays: Mapping[str, ak.Array]) -> dict[str, ak.Array]:
        """Latents of a step of events, by branch name."""
        jets = self.collection.jets(arrays, self.columns)
        self.jets += int(ak.count(kinematics.column(jets, "pt"), axis=None))
        self.replaced.update(self.codec.replaced(jets))
        latents = self.codec.compress(jets)
        return {f"{self.collection.prefix}{name}": latents[name] for name in latents.fields}

    def header(self) -> dict[str, Any]:
        """Latents, and the checksums of the model file and of what is stored of it."""
        return {
            "latents": [branch.name for branch in self.new_branches],
            "bounds": {},
            "edges": {},
            "model_sha256": hashlib.sha256(self.codec.to_bytes()).hexdigest(),
            "stored_model_sha256": hashlib.sha256(self.model).hexdigest(),
        }


class BoundedCoder(Coder):
    """Clusters in the tree ``hepae_payload``, each decoded and checked when it was made."""

    kind = "bounded"

    def __init__(self, codec: BoundedCodec, collection: Collection, where: str, file: Any):
        super().__init__(collection)
        self.coded = self.columns = collection.column_names
        dtypes = {column.name: np.dtype(column.dtype) for column in collection.columns}
        self.bounds = bounds_module.resolve(codec.bounds, dtypes, where=f"{collection.name} of {where}")
        self.edges = bounds_module.resolve_edges(codec.edges, dtypes, where=f"{collection.name} of {where}")
        self.payload = TreeWriter(file, PAYLOAD_TREE, payload_branches())
        self._held: list[tuple[dict[str, NDArray[Any]], NDArray[np.int64] | None]] = []
        self._held_jets = 0

    @property
    def new_branches(self) -> list[Branch]:
        """The number of jets, where the file has no branch of it."""
        collection = self.collection
        if collection.counter is None or collection.counted:
            return []
        return [Branch(collection.counter, np.dtype(np.int32))]

    def encode(self, arrays: Mapping[str, ak.Array]) -> dict[str, ak.Array]:
        """Take in a step of events; a cluster is written when enough jets have come together."""
        lists = {column.name: arrays[column.branch] for column in self.collection.columns}
        counts = None
        if self.collection.counter is not None:
            counts = ak.to_numpy(ak.num(next(iter(lists.values())))).astype(np.int64)
            for name, array in lists.items():
                if not np.array_equal(ak.to_numpy(ak.num(array)), counts):
                    raise InputError(
                        f"column {name!r} of {self.collection.name} has another number of jets than the first"
                    )
            lists = {name: ak.flatten(array) for name, array in lists.items()}
        columns = {name: np.ascontiguousarray(ak.to_numpy(array)) for name, array in lists.items()}
        self._held.append((columns, counts))
        jets = len(next(iter(columns.values())))
        self.jets += jets
        self._held_jets += jets
        if self._held_jets >= CLUSTER_JETS:
            self.finish()
        added = self.new_branches
        return {added[0].name: ak.Array(counts.astype(np.int32))} if added and counts is not None else {}

    def finish(self) -> None:
        """Code the events that are held back, check the result and write it."""
        if not self._held:
            return
        names = self._held[0][0]
        columns = {name: np.concatenate([held[name] for held, _ in self._held]) for name in names}
        parts = [counts for _, counts in self._held if counts is not None]
        counts = np.concatenate(parts) if parts else None
        self._held, self._held_jets = [], 0
        gev = kinematics.GEV[self.collection.unit]
        energies = bounds_module.ENERGIES
        bounds = {n: bound.in_unit(gev) if n in energies else bound for n, bound in self.bounds.items()}
        edges = {n: tuple(c / gev for c in cuts) if n in energies else cuts for n, cuts in self.edges.items()}
        cluster = Cluster.of(columns, counts, bounds, edges)
        if self.payload is not None:
            self.payload.extend(payload_row(self.collection.name, cluster))

    def header(self) -> dict[str, Any]:
        """Bounds and edges."""
        return {
            "latents": [],
            "bounds": {name: str(bound) for name, bound in self.bounds.items()},
            "edges": {name: list(cuts) for name, cuts in self.edges.items()},
            "model_sha256": None,
            "stored_model_sha256": None,
        }
