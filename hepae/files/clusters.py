"""Columns restored from the clusters of a compressed file, each decoded once by a process."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np

from hepae.errors import CodecError, InputError
from hepae.files.decoded import DECODED
from hepae.files.payload import decode_clusters

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from hepae.files.checked_tree import CheckedTree
    from hepae.files.header import CodedCollection
    from hepae.files.payload import PayloadReader, StoredCluster
    from hepae.files.stored_models import StoredModels
    from hepae.io.locations import Location


class Clusters:
    """Clusters of a file whose columns are within bounds.

    Parameters
    ----------
    path, uuid
        The file, and its own identifier: a file of the same name may be another one.
    payload
        The coded columns.
    stored
        The events' tree: counters, and latents where the columns were predicted from them.
    models
        Models that predict columns from latents.
    """

    def __init__(
        self, path: Location, uuid: str, payload: PayloadReader, stored: CheckedTree, models: StoredModels
    ):
        self._path, self._uuid = path, uuid
        self._payload, self._stored, self._models = payload, stored, models

    def arrays(
        self, coded: CodedCollection, columns: list[str], entry_start: int, entry_stop: int
    ) -> dict[str, ak.Array]:
        """Coded columns by branch name, of the clusters that hold these entries and no others.

        Raises
        ------
        InputError, CodecError
            If what is stored of these events is damaged.
        """
        of = coded.collection
        lengths = [np.zeros(0, np.int64)]
        cuts: list[slice] = []
        work: dict[int, Callable[[], dict[str, NDArray[Any]]]] = {}
        for number, cluster in self._payload.overlapping(of.name, entry_start, entry_stop):
            first, last = max(entry_start, cluster.first), min(entry_stop, cluster.end)
            counts = None
            jets = slice(first - cluster.first, last - cluster.first)
            if of.counter is not None:
                counts = self._counts(of.counter, cluster)
                ends = np.append(0, np.cumsum(counts))
                jets = slice(int(ends[jets.start]), int(ends[jets.stop]))
                lengths.append(counts[first - cluster.first : last - cluster.first])
            cuts.append(jets)
            work[number] = partial(self._decode, coded, columns, number, cluster, counts)
        decoded = list(decode_clusters(work).values())
        flat = {}
        for name in columns:
            column = of.column(name)
            pieces = [values[name][jets] for values, jets in zip(decoded, cuts, strict=True)]
            flat[column.branch] = np.concatenate([np.zeros(0, column.dtype), *pieces])
        if of.counter is None:
            return {name: ak.Array(values) for name, values in flat.items()}
        counts = np.concatenate(lengths)
        return {name: ak.unflatten(values, counts) for name, values in flat.items()}

    def _counts(self, counter: str, cluster: StoredCluster) -> NDArray[np.int64]:
        """Jets of each event of a cluster."""
        counts = self._stored.arrays([counter], cluster.first, cluster.end)[counter]
        lengths: NDArray[np.int64] = ak.to_numpy(counts).astype(np.int64)
        return lengths

    def _decode(
        self,
        coded: CodedCollection,
        columns: list[str],
        number: int,
        cluster: StoredCluster,
        counts: NDArray[np.int64] | None,
    ) -> dict[str, NDArray[Any]]:
        """Columns of a cluster: those that this process decoded last are kept."""
        name = coded.collection.name
        file = (str(self._path), self._uuid, name, number)
        keys = {
            column: (*file, column, cluster.rows[column].crc) for column in columns if column in cluster.rows
        }
        kept = {column: DECODED.get(key) for column, key in keys.items()}
        arrays = {column: values for column, values in kept.items() if values is not None}
        missing = [column for column in columns if column not in arrays]
        try:
            if missing:
                stored = self._payload.read(cluster, missing)
                decoded = stored.decode(missing, counts, self._prediction(coded, cluster))
                for column, values in decoded.items():
                    DECODED.put(keys[column], values)
                arrays.update(decoded)
        except (CodecError, InputError) as error:
            raise CodecError(
                f"{name} of events {cluster.first} to {cluster.end} of {self._path} are damaged ({error}); the others are readable"
            ) from None
        return arrays

    def _prediction(self, coded: CodedCollection, cluster: StoredCluster) -> Any:
        """What the model predicts of a cluster that was coded with its latents."""
        if not coded.latents:
            return None
        stored = self._stored.arrays(coded.latents, cluster.first, cluster.end)
        latents = self._models.latents(coded, stored)
        ((part, _, _), *others) = self._models.parts.ranges(cluster.first, cluster.end)
        if others:
            raise CodecError(f"{self._path} is damaged: a cluster crosses the border between two parts")
        codec = self._models.codec(part)
        return codec.predict(latents, codec.coded, coded.collection.unit)
