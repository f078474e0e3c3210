"""The tree ``hepae_payload`` of a compressed file: one row for each coded column of each cluster of events.

A row has a checksum over all of it. The header has a checksum over the index, which is everything but the rows' content: so a row
that is missing, twice there or in another place is noticed when the file is opened.
"""

from __future__ import annotations

import struct
import zlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import awkward as ak
import numpy as np

from hepae.bounded.cluster import CodedCluster, CodedColumn
from hepae.errors import CodecError, InputError
from hepae.io.guards import reading
from hepae.io.layouts import Branch
from hepae.io.writers import TreeWriter
from hepae.threads import THREAD_NAME, coding_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from hepae.files.header import Header
    from hepae.io.locations import Location

PAYLOAD_TREE = "hepae_payload"

BASKET_BYTES = 100_000
"""Rows are written together until they have so many bytes: a column of a large cluster is read without the others, and the
columns of a small one do not cost a basket each."""

MOST_JETS = 1 << 20
"""Jets that a cluster of several events has at most: a reader knows how much memory it takes."""

_INDEX = ("events", "jets", "seed", "crc", "names")
_SEPARATOR = "\0"


@dataclass(frozen=True)
class _Row:
    """A row of the tree without its content."""

    number: int
    names: bytes
    collection: str
    column: str
    parents: tuple[str, ...]
    events: int
    jets: int
    seed: int
    crc: int


def row_checksum(names: bytes, events: int, jets: int, seed: int, blob: bytes) -> int:
    """CRC-32 of all that a row holds."""
    numbers = struct.pack("<QQQ", events, jets, seed)
    return zlib.crc32(blob, zlib.crc32(numbers, zlib.crc32(names)))


def index_checksum(names: bytes, events: int, jets: int, seed: int, crc: int, before: int = 0) -> int:
    """CRC-32 of the rows' index, continued by one row."""
    return zlib.crc32(struct.pack("<QQQI", events, jets, seed, crc), zlib.crc32(names, before))


def payload_branches() -> list[Branch]:
    """Branches of the tree."""
    return [
        Branch("events", np.dtype(np.int64)),
        Branch("jets", np.dtype(np.int64)),
        Branch("seed", np.dtype(np.uint64)),
        Branch("crc", np.dtype(np.uint32)),
        Branch("names", np.dtype(np.uint8), jagged=True),
        Branch("blob", np.dtype(np.uint8), jagged=True),
    ]


@dataclass
class RowBuffer:
    """Rows that wait to be written together, and the checksum of the index so far."""

    tree: TreeWriter
    rows: int = 0
    checksum: int = 0
    _held: list[tuple[bytes, int, int, int, int, bytes]] = field(default_factory=list)

    def add(self, names: bytes, events: int, jets: int, seed: int, blob: bytes) -> None:
        """Take in a row; all that waits is written where it has enough bytes."""
        crc = row_checksum(names, events, jets, seed, blob)
        self.checksum = index_checksum(names, events, jets, seed, crc, self.checksum)
        self.rows += 1
        self._held.append((names, events, jets, seed, crc, blob))
        if sum(len(row[-1]) for row in self._held) >= BASKET_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if not self._held:
            return
        names, events, jets, seeds, crcs, blobs = zip(*self._held, strict=True)
        self.tree.extend(
            {
                "events": np.array(events, np.int64),
                "jets": np.array(jets, np.int64),
                "seed": np.array(seeds, np.uint64),
                "crc": np.array(crcs, np.uint32),
                "names": _byte_lists(names),
                "blob": _byte_lists(blobs),
            }
        )
        self._held = []


def _byte_lists(values: Sequence[bytes]) -> ak.Array:
    ends = np.cumsum([0, *map(len, values)], dtype=np.int64)
    content = ak.contents.NumpyArray(np.frombuffer(b"".join(values), np.uint8))
    return ak.Array(ak.contents.ListOffsetArray(ak.index.Index64(ends), content))


class PayloadWriter:
    """Codes clusters with `coding_threads` and writes them in the order in which they came; the inverse is `PayloadReader`.

    Use it in a with statement, and call `finish` before its end.
    """

    def __init__(self, file: Any):
        self.tree = TreeWriter(file, PAYLOAD_TREE, payload_branches())
        self._buffer = RowBuffer(self.tree)
        self._threads = coding_threads()
        self._pool = ThreadPoolExecutor(self._threads, THREAD_NAME)
        self._pending: deque[tuple[str, Future[CodedCluster]]] = deque()

    @property
    def rows(self) -> int:
        """Rows that were written."""
        return self._buffer.rows

    @property
    def checksum(self) -> int:
        """Checksum of the rows' index."""
        return self._buffer.checksum

    def submit(self, collection: str, code: Callable[[], CodedCluster]) -> None:
        """Code the next cluster of a collection; wait where more clusters are at work than there are threads.

        Raises
        ------
        CodecError
            If an earlier cluster could not be coded.
        """
        if self._threads == 1:  # this thread codes: one more beside it would need a second core
            self._write(collection, code())
            return
        self._pending.append((collection, self._pool.submit(code)))
        while len(self._pending) > self._threads:
            self._write_next()

    def finish(self) -> None:
        """Write all that is still at work."""
        while self._pending:
            self._write_next()
        self._buffer.flush()

    def _write_next(self) -> None:
        collection, future = self._pending.popleft()
        self._write(collection, future.result())

    def _write(self, collection: str, cluster: CodedCluster) -> None:
        for column in cluster.columns.values():
            names = _SEPARATOR.join((collection, column.name, *column.parents)).encode()
            self._buffer.add(names, cluster.events, cluster.jets, cluster.seed, column.data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)


@dataclass
class StoredCluster:
    """Consecutive events of a collection, and the row of each of its columns."""

    first: int
    events: int
    jets: int
    seed: int
    rows: dict[str, _Row] = field(default_factory=dict)

    @property
    def end(self) -> int:
        """The event behind the last one."""
        return self.first + self.events

    def with_ancestors(self, columns: Iterable[str]) -> list[_Row]:
        """Rows of these columns, and of all that they are predicted from.

        Raises
        ------
        CodecError
            If one of them is not there.
        """
        wanted, found = list(columns), dict[str, _Row]()
        while wanted:
            name = wanted.pop()
            if name in found:
                continue
            if name not in self.rows:
                raise CodecError(f"damaged payload: it has no column {name!r}")
            found[name] = self.rows[name]
            wanted += found[name].parents
        return sorted(found.values(), key=lambda row: row.number)


class PayloadReader:
    """The clusters of each collection; the content of a row is read where it is asked for.

    Raises
    ------
    InputError
        If the index of the rows is not what the headers of the file's parts say.
    """

    def __init__(self, file: Any, path: Location, headers: Sequence[Header]):
        self._tree, self._path = file[PAYLOAD_TREE], path
        self._blob = self._tree["blob"]
        self.compressed_bytes = int(self._tree.compressed_bytes)
        self._clusters: dict[str, list[StoredCluster]] = {}
        self._rows = list(self._read_index(headers))
        for row in self._rows:
            self._take(row)

    def _read_index(self, headers: Sequence[Header]) -> Iterator[_Row]:
        """Read the index of all rows, after its checksum."""
        index = self._tree.arrays(list(_INDEX), library="np")
        numbers = [index[name].tolist() for name in _INDEX[:-1]]
        rows = list(zip(*numbers, (names.tobytes() for names in index["names"]), strict=True))
        if len(rows) != sum(header.payload_rows for header in headers):
            raise self._damaged("its number of rows is not the one in the header")
        start = 0
        for header in headers:
            checksum = 0
            for events, jets, seed, crc, names in rows[start : start + header.payload_rows]:
                checksum = index_checksum(names, events % 2**64, jets % 2**64, seed, crc, checksum)
            if checksum != header.payload_checksum:
                raise self._damaged("checksum mismatch in its index")
            start += header.payload_rows
        for number, (events, jets, seed, crc, names) in enumerate(rows):
            collection, column, *parents = names.decode().split(_SEPARATOR)
            yield _Row(number, names, collection, column, tuple(parents), events, jets, seed, crc)

    def _take(self, row: _Row) -> None:
        """Add a row to its cluster: a column that the last cluster has already begins the next one."""
        clusters = self._clusters.setdefault(row.collection, [])
        if not clusters or row.column in clusters[-1].rows:
            first = clusters[-1].end if clusters else 0
            clusters.append(StoredCluster(first, row.events, row.jets, row.seed))
        cluster = clusters[-1]
        if (row.events, row.jets, row.seed) != (cluster.events, cluster.jets, cluster.seed):
            raise self._damaged(f"the columns of a cluster of {row.collection!r} contradict each other")
        if row.jets > MOST_JETS and row.events != 1:
            raise self._damaged(
                f"a cluster of {row.collection!r} claims {row.jets} jets, more than {MOST_JETS}"
            )
        if row.events < 0 or row.jets < 0 or not {*row.parents} <= cluster.rows.keys():
            raise self._damaged(f"{row.column!r} refers to a column that does not exist")
        cluster.rows[row.column] = row

    def _damaged(self, what: str) -> InputError:
        return InputError(f"{self._path} is damaged: in its tree {PAYLOAD_TREE!r}, {what}")

    def events(self, collection: str) -> int:
        """Events that the clusters of a collection cover."""
        clusters = self._clusters.get(collection)
        return clusters[-1].end if clusters else 0

    def jets(self, collection: str) -> int:
        """Jets in all clusters of a collection."""
        return sum(cluster.jets for cluster in self._clusters.get(collection, ()))

    def values(self) -> int:
        """Values that all rows claim to hold."""
        return sum(row.jets for row in self._rows)

    def overlapping(
        self, collection: str, entry_start: int, entry_stop: int
    ) -> list[tuple[int, StoredCluster]]:
        """Clusters of a collection with events of this range, with their numbers."""
        return [
            (number, cluster)
            for number, cluster in enumerate(self._clusters.get(collection, ()))
            if cluster.first < entry_stop and cluster.end > entry_start
        ]

    def bytes_by_column(self, collection: str) -> dict[str, int]:
        """Bytes that each column of a collection takes: those of the tree in the file, shared out by the lengths of the rows."""
        with reading(self._path):
            lengths = self._tree["nblob"].array(library="np")
        share = self.compressed_bytes / max(int(lengths.sum()), 1)
        found: dict[str, float] = {}
        for row in self._rows:
            if row.collection == collection:
                found[row.column] = found.get(row.column, 0.0) + share * int(lengths[row.number])
        return {name: round(size) for name, size in found.items()}

    def read(self, cluster: StoredCluster, columns: Iterable[str]) -> CodedCluster:
        """Read these columns of a cluster and what they are predicted from, after their checksums.

        Raises
        ------
        CodecError
            If one is not there.
        InputError
            If one is damaged.
        """
        rows = cluster.with_ancestors(columns)
        found = {}
        for row, blob in zip(rows, self._blobs([row.number for row in rows]), strict=True):
            self._check(row, blob)
            found[row.column] = CodedColumn(row.column, row.parents, blob)
        return CodedCluster(cluster.events, cluster.jets, cluster.seed, found)

    def rows(self) -> Iterator[tuple[bytes, int, int, int, bytes]]:
        """All rows in order, each after its checksum: names, events, jets, seed and content.

        Raises
        ------
        InputError
            If a row is damaged.
        """
        for row, blob in zip(self._rows, self._blobs(range(len(self._rows))), strict=True):
            self._check(row, blob)
            yield row.names, row.events, row.jets, row.seed, blob

    def _check(self, row: _Row, blob: bytes) -> None:
        if row_checksum(row.names, row.events, row.jets, row.seed, blob) != row.crc:
            raise self._damaged(f"checksum mismatch in column {row.column!r}")

    def _blobs(self, numbers: Sequence[int]) -> Iterator[bytes]:
        """Contents of rows in rising order; what lies in one basket is read once."""
        with reading(self._path):
            ends = self._blob.entry_offsets[1:]
        baskets = np.searchsorted(ends, numbers, side="right")
        for basket in np.unique(baskets):
            inside = [number for number, b in zip(numbers, baskets, strict=True) if b == basket]
            with reading(self._path):
                lists = self._blob.array(
                    entry_start=inside[0], entry_stop=inside[-1] + 1, library="np", array_cache=None
                )
                blobs = [lists[number - inside[0]].tobytes() for number in inside]
            yield from blobs


def decode_clusters(
    work: Mapping[int, Callable[[], dict[str, Any]]],
) -> dict[int, dict[str, Any]]:
    """Decode clusters with `coding_threads`, by their number."""
    threads = min(len(work), coding_threads())
    if threads < 2:
        return {number: decode() for number, decode in work.items()}
    with ThreadPoolExecutor(threads, THREAD_NAME) as pool:
        futures = {number: pool.submit(partial(decode)) for number, decode in work.items()}
        return {number: future.result() for number, future in futures.items()}
