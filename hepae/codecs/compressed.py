"""CompressedFile: a compressed file opened, its jets restored event by event."""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import awkward as ak
import numpy as np

from hepae.codecs.bounded import Cluster
from hepae.errors import CodecError, InputError
from hepae.io import container
from hepae.io.layouts import Branch, Collection
from hepae.io.readers import HEADER_TREE, STEP_SIZE, memory_size, open_root, reading, steps
from hepae.io.writers import Digests

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from hepae.codecs.latent import LatentCodec


class CompressedFile:
    """An open compressed file; `hepae.open` makes it. Use it in a with statement, or close it.

    Raises
    ------
    InputError
        If the file is missing, damaged or not a compressed one.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        with reading(self.path):
            self._file = open_root(self.path)
            self._parts = container.read_parts(self._file, str(self.path))
            if not self._parts:
                raise InputError(f"{self.path} is damaged: its tree {HEADER_TREE!r} is empty")
            self._check_parts()
            self.tree: str = self._parts[0].header["tree"]
            self.num_entries = sum(part.entries for part in self._parts)
            # Where every branch was coded there is no tree: the header alone knows how many rows there were.
            self._tree = self._file.get(self.tree, None)
            found = self.num_entries if self._tree is None else int(self._tree.num_entries)
            self._payload = _Payload(self._file, self.path) if container.PAYLOAD_TREE in self._file else None
        self._codecs: dict[int, LatentCodec] = {}
        if found != self.num_entries or (self._payload and self._payload.events != self.num_entries):
            raise InputError(
                f"{self.path} is damaged: tree {self.tree!r} or the payload does not have the {self.num_entries} events "
                "that the header covers"
            )

    def _check_parts(self) -> None:
        """Refuse a file that was joined of parts which do not go together."""
        first = self._parts[0].header
        for part in self._parts[1:]:
            for what in ("codec", "tree", "branches", "collections", "columns", "latents"):
                if part.header[what] != first[what]:
                    raise InputError(
                        f"{self.path} was joined of files whose {what} differ; decompress them one by one"
                    )

    @cached_property
    def header(self) -> dict[str, Any]:
        """The JSON header; of a file that hadd joined the first part's, with counts and bytes added up."""
        headers = [part.header for part in self._parts]
        sums = {key: sum(header[key] for header in headers) for key in ("events", "jets")}
        before = {key: sum(header["bytes"][key] for header in headers) for key in headers[0]["bytes"]}
        after = sum(
            int(self._tree[name].compressed_bytes) for name in self._latents if self._tree is not None
        )
        after += self._payload.compressed_bytes if self._payload else 0
        sizes = {**before, "file_compressed": self.path.stat().st_size, "compressed": after}
        return {**headers[0], **sums, "bytes": sizes}

    @cached_property
    def collection(self) -> Collection:
        """The collection that was coded, as the original file had it."""
        ((_, entry),) = self._parts[0].header["collections"].items()
        names = ("name", "columns", "counter", "counted", "unit")
        return Collection.from_config({name: entry[name] for name in names})

    @property
    def coded(self) -> tuple[str, ...]:
        """Names of the original's columns that were coded."""
        return tuple(self._parts[0].header["collections"][self.collection.name]["coded"])

    @property
    def original_branches(self) -> list[Branch]:
        """Branches of the original file that this one gives back, in their order."""
        branches = [_branch_from_config(config) for config in self._parts[0].header["branches"]]
        counter = self.collection.counter
        jets = {column.branch for column in self.collection.columns}
        return [
            Branch(b.name, b.dtype, b.jagged, counter if b.jagged and b.name in jets else b.counter, b.shape)
            for b in branches
        ]

    def jets(self, entry_start: int = 0, entry_stop: int | None = None) -> ak.Array:
        """Restored jets of these events.

        Returns
        -------
        ak.Array
            Jets with ``Momentum4D`` behaviour in GeV: the coded columns as the codec restores them (in the type they
            were stored in), any further column as it is.
        """
        entry_start, stop, _ = slice(entry_start, entry_stop).indices(self.num_entries)
        stop = max(entry_start, stop)
        kept = {branch.name for branch in self.original_branches}
        further = (column for column in self.collection.columns if column.name not in self.coded)
        others = [column.branch for column in further if column.branch in kept]
        stored = self._stored([*others, *self._latents], entry_start, stop)
        return self.collection.jets({**stored, **self._restore(stored, entry_start, stop)})

    def latents(self, entry_start: int = 0, entry_stop: int | None = None) -> ak.Array | None:
        """Latents of these events as they are stored, records in the jets' lists; None where the file has none."""
        if not self._latents:
            return None
        entry_start, stop, _ = slice(entry_start, entry_stop).indices(self.num_entries)
        stored = self._stored(self._latents, entry_start, max(entry_start, stop))
        return ak.zip({f"z{i}": stored[name] for i, name in enumerate(self._latents)})

    def latent_bytes(self) -> dict[str, int]:
        """Bytes that each latent takes in the file, compressed."""
        return {f"z{i}": int(self._tree[name].compressed_bytes) for i, name in enumerate(self._latents)}

    def iterate_jets(self, *, step_size: str | int = STEP_SIZE) -> Iterator[ak.Array]:
        """Restored jets step by step."""
        for start, stop in steps(self.num_entries, self.entries_per_step(step_size)):
            yield self.jets(start, stop)

    def iterate_checked(self, step_size: str | int = STEP_SIZE) -> Iterator[dict[str, ak.Array]]:
        """All the original's branches step by step, the jets restored; what is stored is checked on the way.

        Raises
        ------
        InputError
            At the end of a part whose branches do not have the checksums that its header says.
        """
        coded = {self.collection.column(name).branch for name in self.coded}
        others = [branch.name for branch in self.original_branches if branch.name not in coded]
        first = 0
        for part in self._parts:
            found = Digests()
            for start, stop in steps(part.entries, self.entries_per_step(step_size)):
                stored = self._stored([*others, *self._latents], first + start, first + stop)
                found.update(stored)
                restored = self._restore(stored, first + start, first + stop)
                yield {**{name: stored[name] for name in others}, **restored}
            wrong = [
                name for name, crc in part.header["checksums"].items() if found.crc.get(name) != tuple(crc)
            ]
            if wrong and part.entries:
                where = f"events {first} to {first + part.entries}"
                raise InputError(
                    f"{self.path} is damaged: {', '.join(wrong[:5])} of {where} are not what was written"
                )
            first += part.entries

    def entries_per_step(self, step_size: str | int) -> int:
        """How many entries take this much memory, once restored."""
        if isinstance(step_size, int):
            return step_size
        stored = self._tree.uncompressed_bytes if self._tree is not None else 0
        row = sum(np.dtype(column.dtype).itemsize for column in self.collection.columns)
        per_entry = (stored + row * self.header["jets"]) / max(self.num_entries, 1)
        return max(1, int(memory_size(step_size) / max(per_entry, 1)))

    def codec(self, part: int = 0) -> LatentCodec:
        """Codec of one part of the file; there is one part unless hadd joined several."""
        if part not in self._codecs:
            model = self._parts[part].model
            if hashlib.sha256(model).hexdigest() != self._parts[part].header["stored_model_sha256"]:
                raise InputError(
                    f"{self.path} is damaged: its model does not have the checksum that the header says"
                )
            from hepae.codecs.latent import LatentCodec  # torch: only where there is a network

            self._codecs[part] = LatentCodec.from_bytes(model, f"the model in {self.path}")
        return self._codecs[part]

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _latents(self) -> list[str]:
        latents: list[str] = self._parts[0].header["latents"]
        return latents

    def _stored(self, names: Sequence[str], entry_start: int, entry_stop: int) -> dict[str, ak.Array]:
        if not names or self._tree is None:
            return {}
        with reading(self.path):
            arrays: dict[str, ak.Array] = self._tree.arrays(
                list(names), entry_start=entry_start, entry_stop=entry_stop, how=dict
            )
        return arrays

    def _restore(self, stored: dict[str, ak.Array], entry_start: int, entry_stop: int) -> dict[str, ak.Array]:
        """Coded columns by the original's branch names, decoded of the latents of these entries."""
        if self._payload is not None:
            return self._restore_clusters(self._payload, entry_start, entry_stop)
        with reading(self.path):  # lists of different lengths are damage
            records = ak.zip({f"z{i}": stored[name] for i, name in enumerate(self._latents)})
        chunks: list[dict[str, ak.Array]] = []
        first = 0
        for i, part in enumerate(self._parts):
            begin, end = max(entry_start, first), min(entry_stop, first + part.entries)
            if begin < end or (not chunks and i == len(self._parts) - 1):
                begin = min(begin, end)
                jets = self.codec(i).decompress(records[begin - entry_start : end - entry_start])
                chunks.append(self.collection.arrays(jets, self.coded))
            first += part.entries
        return {name: ak.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}

    def _restore_clusters(self, payload: _Payload, entry_start: int, entry_stop: int) -> dict[str, ak.Array]:
        """Coded columns by branch name, of the clusters that hold these entries and no others."""
        columns = [self.collection.column(name) for name in self.coded]
        pieces: dict[str, list[NDArray[Any]]] = {
            column.name: [np.zeros(0, column.dtype)] for column in columns
        }
        lengths = [np.zeros(0, np.int64)]
        for i, begin, end in payload.overlapping(entry_start, entry_stop):
            first, last = max(entry_start, begin), min(entry_stop, end)
            counts = None
            jets = slice(first - begin, last - begin)
            if self.collection.counter is not None:
                counter = self._stored([self.collection.counter], begin, end)[self.collection.counter]
                counts = ak.to_numpy(counter).astype(np.int64)
                ends = np.append(0, np.cumsum(counts))
                jets = slice(int(ends[first - begin]), int(ends[last - begin]))
                lengths.append(counts[first - begin : last - begin])
            decoded = payload.columns(i, counts)
            for column in columns:
                if column.name not in decoded:
                    raise CodecError(f"{self.path} is damaged: column {column.name!r} is not in its payload")
                pieces[column.name].append(decoded[column.name][jets])
        flat = {column.branch: np.concatenate(pieces[column.name]) for column in columns}
        if self.collection.counter is None:
            return {name: ak.Array(values) for name, values in flat.items()}
        counts = np.concatenate(lengths)
        return {name: ak.unflatten(values, counts) for name, values in flat.items()}


class _Payload:
    """Clusters of the tree ``hepae_payload``; the one decoded last is kept, for steps smaller than clusters."""

    def __init__(self, file: Any, path: Path):
        self._tree, self._path = file[container.PAYLOAD_TREE], path
        rows = self._tree.arrays(["events", "jets", "seed", "crc"], library="np")
        self._rows = list(
            zip(*(rows[name].tolist() for name in ("events", "jets", "seed", "crc")), strict=True)
        )
        self._ends = np.cumsum([row[0] for row in self._rows], dtype=np.int64)
        self.events = int(self._ends[-1]) if self._rows else 0
        self.compressed_bytes = int(self._tree.compressed_bytes)
        self._last: tuple[int, dict[str, NDArray[Any]]] | None = None

    def overlapping(self, entry_start: int, entry_stop: int) -> Iterator[tuple[int, int, int]]:
        """Clusters with events of this range: their number, first event and last event but one."""
        for i, (end, row) in enumerate(zip(self._ends.tolist(), self._rows, strict=True)):
            begin = end - row[0]
            if begin < entry_stop and end > entry_start:
                yield i, begin, end

    def columns(self, cluster: int, counts: NDArray[np.int64] | None) -> dict[str, NDArray[Any]]:
        """Decode a cluster.

        Raises
        ------
        CodecError
            If it is damaged; the error names its events, and the other clusters stay readable.
        """
        if self._last is None or self._last[0] != cluster:
            events, jets, seed, crc = self._rows[cluster]
            try:
                with reading(self._path):
                    blob = self._tree["blob"].array(
                        entry_start=cluster, entry_stop=cluster + 1, library="np"
                    )[0]
                decoded = Cluster(events, jets, seed, crc, blob.tobytes()).columns(counts)
            except (CodecError, InputError) as error:
                end = int(self._ends[cluster])
                raise CodecError(
                    f"events {end - events} to {end} of {self._path} are damaged ({error}); the others are readable"
                ) from None
            self._last = cluster, decoded
        return self._last[1]


def open(path: str | Path) -> CompressedFile:
    """Open a compressed file; see `CompressedFile`."""
    return CompressedFile(path)


def _branch_from_config(config: list[Any]) -> Branch:
    name, dtype, jagged, counter, shape = config
    return Branch(name, np.dtype(dtype), jagged, counter, tuple(shape))
