"""The tree ``hepae_payload`` of a compressed file: clusters of each collection, written in order and read one by one."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import awkward as ak
import numpy as np

from hepae.bounded.cluster import Cluster
from hepae.errors import CodecError, InputError
from hepae.files.header import PAYLOAD_TREE, payload_branches, payload_row
from hepae.io.readers import reading
from hepae.io.writers import TreeWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from hepae.io.locations import Location


PROCESSORS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
"""Processors that this process may use: a batch system may grant it fewer than there are."""


class PayloadWriter:
    """Codes clusters on all processors and writes them in the order in which they came; the inverse is `PayloadReader`.

    Use it in a with statement, and call `finish` before its end.
    """

    def __init__(self, file: Any):
        self.tree = TreeWriter(file, PAYLOAD_TREE, payload_branches())
        self._workers = PROCESSORS
        self._pool = ThreadPoolExecutor(self._workers)
        self._pending: deque[tuple[str, Future[Cluster]]] = deque()

    def submit(self, collection: str, code: Callable[[], Cluster]) -> None:
        """Take in what codes the next cluster of a collection; what is done is written, and as much waits as there are processors.

        Raises
        ------
        CodecError
            If an earlier cluster could not be coded.
        """
        self._pending.append((collection, self._pool.submit(code)))
        while len(self._pending) > self._workers:
            self._write_next()

    def finish(self) -> None:
        """Write all that is still at work."""
        while self._pending:
            self._write_next()

    def _write_next(self) -> None:
        collection, cluster = self._pending.popleft()
        self.tree.extend(payload_row(collection, cluster.result()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)


class PayloadReader:
    """Clusters of the collections; the one decoded last of each is kept, for steps smaller than clusters.

    Raises
    ------
    InputError
        If the tree is damaged.
    """

    def __init__(self, file: Any, path: Location):
        self._tree, self._path = file[PAYLOAD_TREE], path
        names = ("events", "jets", "seed", "crc")
        rows = self._tree.arrays([*names, "collection"], library="np")
        self._rows: dict[str, list[tuple[int, int, int, int, int]]] = {}
        for i, collection in enumerate(rows["collection"]):
            events, jets, seed, crc = (int(rows[name][i]) for name in names)
            found = self._rows.setdefault(collection.tobytes().decode(), [])
            found.append((i, events, jets, seed, crc))
        self._ends = {
            name: np.cumsum([row[1] for row in found], dtype=np.int64) for name, found in self._rows.items()
        }
        self.compressed_bytes = int(self._tree.compressed_bytes)
        self._last: dict[str, tuple[int, dict[str, NDArray[Any]]]] = {}

    def events(self, collection: str) -> int:
        """Events that the clusters of a collection cover."""
        return int(self._ends[collection][-1]) if collection in self._ends else 0

    def bytes_of(self, collection: str) -> int:
        """Bytes that a collection takes: the tree's in the file, shared out by the lengths of the clusters."""
        if [*self._rows] == [collection]:
            return self.compressed_bytes
        lengths = ak.to_numpy(ak.num(self._tree["blob"].array()))
        own = sum(int(lengths[row[0]]) for row in self._rows.get(collection, ()))
        return round(self.compressed_bytes * own / max(int(lengths.sum()), 1))

    def overlapping(
        self, collection: str, entry_start: int, entry_stop: int
    ) -> Iterator[tuple[int, int, int]]:
        """Clusters of a collection with events of this range: their number, first event and last event but one."""
        for i, row in enumerate(self._rows.get(collection, ())):
            end = int(self._ends[collection][i])
            if end - row[1] < entry_stop and end > entry_start:
                yield i, end - row[1], end

    def columns(
        self, collection: str, decoders: Mapping[int, Callable[[Cluster], dict[str, NDArray[Any]]]]
    ) -> list[dict[str, NDArray[Any]]]:
        """Columns of clusters, on all processors, by number and what decodes each.

        Raises
        ------
        CodecError
            If one is damaged; the error names its events, and the other clusters stay readable.
        """
        number, last = self._last.get(collection, (-1, {}))
        new = {i: decode for i, decode in decoders.items() if i != number}
        work = [partial(self._decode, collection, i, self._cluster(collection, i), d) for i, d in new.items()]
        if len(work) > 1:
            with ThreadPoolExecutor(min(len(work), PROCESSORS)) as pool:
                found = [future.result() for future in [pool.submit(decode) for decode in work]]
        else:
            found = [decode() for decode in work]
        columns = {number: last, **dict(zip(new, found, strict=True))}
        for i in list(decoders)[-1:]:
            self._last[collection] = i, columns[i]
        return [columns[i] for i in decoders]

    def _cluster(self, collection: str, number: int) -> Cluster | InputError:
        """Read a cluster; what makes it unreadable is told where it is decoded."""
        row, events, jets, seed, crc = self._rows[collection][number]
        try:
            with reading(self._path):
                blob = self._tree["blob"].array(entry_start=row, entry_stop=row + 1, library="np")[0]
        except InputError as error:
            return error
        return Cluster(events, jets, seed, crc, blob.tobytes())

    def _decode(
        self,
        collection: str,
        number: int,
        cluster: Cluster | InputError,
        decode: Callable[[Cluster], dict[str, NDArray[Any]]],
    ) -> dict[str, NDArray[Any]]:
        try:
            if isinstance(cluster, InputError):
                raise cluster
            return decode(cluster)
        except (CodecError, InputError) as error:
            end = int(self._ends[collection][number])
            first = end - self._rows[collection][number][1]
            raise CodecError(
                f"{collection} of events {first} to {end} of {self._path} are damaged ({error}); the others are readable"
            ) from None
