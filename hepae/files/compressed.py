"""CompressedFile: a compressed file opened, its jets restored event by event."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import awkward as ak
import numpy as np

from hepae.bounds import Bound
from hepae.errors import CodecError, InputError
from hepae.files import header as container
from hepae.files.payload import PayloadReader
from hepae.io.layouts import Branch, Collection
from hepae.io.locations import Url, locate
from hepae.io.ntuples import HEADER_TREE, WrittenTree, open_root
from hepae.io.sources import STEP_SIZE, memory_size, reading, steps
from hepae.io.writers import Digests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from hepae.bounded.cluster import Cluster
    from hepae.latent.codec import LatentCodec

_LOADED: dict[str, LatentCodec] = {}
"""Models that this process has loaded, by checksum: a worker opens many files, and one of them chunk after chunk."""
_MOST_LOADED = 8


class CompressedFile:
    """An open compressed file; `hepae.open` makes it. Use it in a with statement, or close it.

    Raises
    ------
    InputError
        If the file is missing, damaged or not a compressed one.
    """

    def __init__(self, path: str | Path | Url):
        self.path = locate(path)
        with reading(self.path):
            self.file = open_root(self.path)
            self._parts = container.read_parts(self.file, str(self.path))
            if not self._parts:
                raise InputError(f"{self.path} is damaged: its tree {HEADER_TREE!r} is empty")
            self._check_parts()
            self.tree: str = self._parts[0].header["tree"]
            self.num_entries = sum(part.entries for part in self._parts)
            self._tree = WrittenTree(self.file, self.tree, self._parts[0].header["fields"])
            self._payload = (
                PayloadReader(self.file, self.path) if container.PAYLOAD_TREE in self.file else None
            )
        self._codecs: dict[int, LatentCodec] = {}
        covered = [self._payload.events(name) for name in self._bounded] if self._payload else []
        if any(events != self.num_entries for events in (self._tree.num_entries, *covered)) or (
            self._bounded and not covered
        ):
            raise InputError(
                f"{self.path} is damaged: tree {self.tree!r} or the payload does not have the {self.num_entries} events "
                "that the header covers"
            )

    def _check_parts(self) -> None:
        """Refuse a file that was joined of parts which do not go together."""
        first = _what_has_to_agree(self._parts[0].header)
        for part in self._parts[1:]:
            for what, found in _what_has_to_agree(part.header).items():
                if found != first[what]:
                    raise InputError(
                        f"{self.path} was joined of files whose {what} differ; decompress them one by one"
                    )

    @cached_property
    def header(self) -> dict[str, Any]:
        """The JSON header; of a file that hadd joined the first part's, with counts and bytes added up."""
        headers = [part.header for part in self._parts]
        sums = {key: sum(header[key] for header in headers) for key in ("events", "jets")}
        before = {key: sum(header["bytes"][key] for header in headers) for key in headers[0]["bytes"]}
        latents = [name for coded in self._coded.values() for name in coded.latents]
        after = self._tree.stored_bytes(latents)
        after += self._payload.compressed_bytes if self._payload else 0
        sizes = {**before, "file_compressed": self.path.stat().st_size, "compressed": after}
        return {**headers[0], **sums, "bytes": sizes}

    @cached_property
    def _coded(self) -> dict[str, _Coded]:
        return {
            name: _Coded.from_config(config) for name, config in self._parts[0].header["collections"].items()
        }

    @cached_property
    def other_trees(self) -> dict[str, list[dict[str, Any]]]:
        """What the header of each part says of the file's other trees."""
        found: dict[str, list[dict[str, Any]]] = {}
        for part in self._parts:
            for name, config in part.header["other_trees"].items():
                found.setdefault(name, []).append(config)
        return found

    @property
    def storage(self) -> str:
        """Storage of the events, ttree or rntuple."""
        storage: str = self._parts[0].header["storage"]
        return storage

    @property
    def _bounded(self) -> list[str]:
        """Collections that have clusters in the payload."""
        return [name for name, coded in self._coded.items() if coded.bounded]

    @property
    def collections(self) -> dict[str, Collection]:
        """The collections that were coded, as the original file had them."""
        return {name: coded.collection for name, coded in self._coded.items()}

    def coded(self, collection: str | None = None) -> tuple[str, ...]:
        """Names of a collection's columns that were coded; the collection may be left out where there is one."""
        return self._coded[self.choose(collection)].columns

    def bounds(self, collection: str | None = None) -> dict[str, Bound]:
        """Bounds of a collection's columns, none where it has latents alone; of a file that hadd joined the first part's."""
        config = self._parts[0].header["collections"][self.choose(collection)]
        return {name: Bound.parse(text) for name, text in config["bounds"].items()}

    def choose(self, collection: str | None = None) -> str:
        """Name of a coded collection: the one asked for, or ``Jet``, ``AnalysisJets`` or the only one.

        Raises
        ------
        InputError
            If it is not there, or several could be meant.
        """
        names = list(self._coded)
        for name in (collection,) if collection else ("Jet", "AnalysisJets"):
            if name in names:
                return name
        if collection is None and len(names) == 1:
            return names[0]
        found = f"{self.path} has {', '.join(names)}"
        raise InputError(
            f"no collection {collection!r}: {found}"
            if collection
            else f"which jets? {found}; choose with --collection"
        )

    @property
    def original_branches(self) -> list[Branch]:
        """Branches of the original file that this one gives back, in their order."""
        counters = {
            column.branch: coded.collection.counter
            for coded in self._coded.values()
            for column in coded.collection.columns
        }
        branches = [Branch.from_config(config) for config in self._parts[0].header["branches"]]
        return [replace(b, counter=counters.get(b.name, b.counter)) if b.jagged else b for b in branches]

    def jets(
        self, entry_start: int = 0, entry_stop: int | None = None, *, collection: str | None = None
    ) -> ak.Array:
        """Restored jets of these events.

        Parameters
        ----------
        entry_start, entry_stop
            Range of events; all by default.
        collection
            Which one, where several were coded.

        Returns
        -------
        ak.Array
            Jets with ``Momentum4D`` behaviour in GeV: the coded columns as the codec restores them (in the type they
            were stored in), any further column as it is.
        """
        coded = self._coded[self.choose(collection)]
        entry_start, stop, _ = slice(entry_start, entry_stop).indices(self.num_entries)
        stop = max(entry_start, stop)
        kept = {branch.name for branch in self.original_branches}
        further = (column for column in coded.collection.columns if column.name not in coded.columns)
        others = [column.branch for column in further if column.branch in kept]
        stored = self._stored([*others, *coded.latents], entry_start, stop)
        return coded.collection.jets({**stored, **self._restore(coded, stored, entry_start, stop)})

    def latents(
        self, entry_start: int = 0, entry_stop: int | None = None, *, collection: str | None = None
    ) -> ak.Array | None:
        """Latents of these events as they are stored, records in the jets' lists; None where the file has none."""
        coded = self._coded[self.choose(collection)]
        entry_start, stop, _ = slice(entry_start, entry_stop).indices(self.num_entries)
        if not coded.latents:
            return None
        return self._latents(coded, self._stored(coded.latents, entry_start, max(entry_start, stop)))

    def stored_bytes(self, collection: str | None = None) -> dict[str, int]:
        """Bytes of a collection in the file, compressed, by what takes them: each latent, and the payload."""
        names = self._coded[self.choose(collection)].latents
        latents = {f"z{i}": self._tree.stored_bytes([name]) for i, name in enumerate(names)}
        payload = self.payload_bytes(collection)
        return latents | ({"payload": payload} if payload else {})

    def payload_bytes(self, collection: str | None = None) -> int:
        """Bytes that a collection's clusters take in the file."""
        return self._payload.bytes_of(self.choose(collection)) if self._payload else 0

    def coded_branches(self, collection: str | None = None) -> tuple[str, ...]:
        """Names of the original's branches that were coded."""
        return tuple(self._coded[self.choose(collection)].branches)

    def arrays(self, collection: str, entry_start: int, entry_stop: int) -> dict[str, ak.Array]:
        """Coded branches of a collection as the original had them, by name."""
        coded = self._coded[collection]
        stored = self._stored(coded.latents, entry_start, entry_stop)
        return self._restore(coded, stored, entry_start, entry_stop)

    def iterate_jets(
        self, *, collection: str | None = None, step_size: str | int = STEP_SIZE
    ) -> Iterator[ak.Array]:
        """Restored jets step by step."""
        for start, stop in steps(self.num_entries, self.entries_per_step(step_size)):
            yield self.jets(start, stop, collection=collection)

    def iterate_checked(self, step_size: str | int = STEP_SIZE) -> Iterator[dict[str, ak.Array]]:
        """All the original's branches step by step, the jets restored; what is stored is checked on the way.

        Raises
        ------
        InputError
            At the end of a part whose branches do not have the checksums that its header says.
        """
        restored = {branch for coded in self._coded.values() for branch in coded.branches}
        latents = [name for coded in self._coded.values() for name in coded.latents]
        others = [branch.name for branch in self.original_branches if branch.name not in restored]
        first = 0
        for part in self._parts:
            found = Digests()
            for start, stop in steps(part.entries, self.entries_per_step(step_size)):
                names = dict.fromkeys([*others, *latents, *part.header["checksums"]])
                stored = self._stored([*names], first + start, first + stop)
                found.update(stored)
                arrays = {name: stored[name] for name in others}
                for coded in self._coded.values():
                    arrays.update(self._restore(coded, stored, first + start, first + stop))
                yield arrays
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
        stored = self._tree.uncompressed_bytes
        restored = sum(
            config["jets"] * sum(np.dtype(dtype).itemsize for _, _, dtype in config["columns"])
            for part in self._parts
            for config in part.header["collections"].values()
        )
        per_entry = (stored + restored) / max(self.num_entries, 1)
        return max(1, int(memory_size(step_size) / max(per_entry, 1)))

    def codec(self, part: int = 0) -> LatentCodec:
        """Codec of one part of the file; there is one part unless hadd joined several."""
        if part not in self._codecs:
            model = self._parts[part].model
            checksum = hashlib.sha256(model).hexdigest()
            if checksum != self._parts[part].header["stored_model_sha256"]:
                raise InputError(
                    f"{self.path} is damaged: its model does not have the checksum that the header says"
                )
            if checksum not in _LOADED:
                from hepae.latent.codec import LatentCodec  # torch: only where there is a network

                while len(_LOADED) >= _MOST_LOADED:
                    _LOADED.pop(next(iter(_LOADED)))
                _LOADED[checksum] = LatentCodec.from_bytes(model, f"the model in {self.path}")
            self._codecs[part] = _LOADED[checksum]
        return self._codecs[part]

    def load_codecs(self) -> None:
        """Load the codecs of all parts that have a model, and torch with them, before they are needed."""
        for number, part in enumerate(self._parts):
            if part.model:
                self.codec(number)

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _stored(self, names: Sequence[str], entry_start: int, entry_stop: int) -> dict[str, ak.Array]:
        if not names:
            return {}
        with reading(self.path):
            return self._tree.arrays(names, entry_start, entry_stop)

    def _restore(
        self, coded: _Coded, stored: dict[str, ak.Array], entry_start: int, entry_stop: int
    ) -> dict[str, ak.Array]:
        """Coded columns by the original's branch names, of what is stored of these entries."""
        if self._payload is not None and coded.bounded:
            return self._restore_clusters(self._payload, coded, entry_start, entry_stop)
        latents = self._latents(coded, stored)
        chunks: list[dict[str, ak.Array]] = []
        for i, begin, end in self._parts_of(entry_start, entry_stop):
            jets = self.codec(i).decompress(latents[begin - entry_start : end - entry_start])
            chunks.append(coded.collection.arrays(jets, coded.columns))
        return {name: ak.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}

    def _latents(self, coded: _Coded, stored: dict[str, ak.Array]) -> ak.Array:
        with reading(self.path):  # lists of different lengths are damage
            return ak.zip({f"z{i}": stored[name] for i, name in enumerate(coded.latents)})

    def _parts_of(self, entry_start: int, entry_stop: int) -> Iterator[tuple[int, int, int]]:
        """Parts with these entries and which of them each holds; one part at least, though it be with none."""
        first, found = 0, False
        for i, part in enumerate(self._parts):
            begin, end = max(entry_start, first), min(entry_stop, first + part.entries)
            if begin < end or (not found and i == len(self._parts) - 1):
                found = True
                yield i, min(begin, end), end
            first += part.entries

    def _restore_clusters(
        self, payload: PayloadReader, coded: _Coded, entry_start: int, entry_stop: int
    ) -> dict[str, ak.Array]:
        """Coded columns by branch name, of the clusters that hold these entries and no others."""
        collection = coded.collection
        columns = [collection.column(name) for name in coded.columns]
        lengths = [np.zeros(0, np.int64)]
        cuts: list[slice] = []
        decoders: dict[int, Callable[[Cluster], dict[str, NDArray[Any]]]] = {}
        for i, begin, end in payload.overlapping(collection.name, entry_start, entry_stop):
            first, last = max(entry_start, begin), min(entry_stop, end)
            counts = None
            jets = slice(first - begin, last - begin)
            if collection.counter is not None:
                counter = self._stored([collection.counter], begin, end)[collection.counter]
                counts = ak.to_numpy(counter).astype(np.int64)
                ends = np.append(0, np.cumsum(counts))
                jets = slice(int(ends[first - begin]), int(ends[last - begin]))
                lengths.append(counts[first - begin : last - begin])
            cuts.append(jets)
            decoders[i] = self._decoder(coded, begin, end, counts)
        decoded = payload.columns(collection.name, decoders)
        flat = {}
        for column in columns:
            if any(column.name not in found for found in decoded):
                raise CodecError(f"{self.path} is damaged: column {column.name!r} is not in its payload")
            pieces = [found[column.name][jets] for found, jets in zip(decoded, cuts, strict=True)]
            flat[column.branch] = np.concatenate([np.zeros(0, column.dtype), *pieces])
        if collection.counter is None:
            return {name: ak.Array(values) for name, values in flat.items()}
        counts = np.concatenate(lengths)
        return {name: ak.unflatten(values, counts) for name, values in flat.items()}

    def _decoder(
        self, coded: _Coded, begin: int, end: int, counts: NDArray[np.int64] | None
    ) -> Callable[[Cluster], dict[str, NDArray[Any]]]:
        """Give what decodes the cluster of these entries, with the model's latents where it was coded with them."""
        if not coded.latents:
            return lambda cluster: cluster.columns(counts)
        latents = self._latents(coded, self._stored(coded.latents, begin, end))
        ((part, _, _), *others) = self._parts_of(begin, end)
        if others:
            raise CodecError(f"{self.path} is damaged: a cluster reaches from one part into another")
        codec, unit = self.codec(part), coded.collection.unit
        return lambda cluster: cluster.columns(counts, codec.guess(latents, codec.coded, unit))


@dataclass(frozen=True)
class _Coded:
    """A collection, and how its columns stand in the file."""

    collection: Collection
    columns: tuple[str, ...]
    latents: tuple[str, ...]
    bounded: bool

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> _Coded:
        """Read what `Coder.to_config` gave."""
        return cls(
            Collection.from_config(config),
            tuple(config["coded"]),
            tuple(config["latents"]),
            bool(config["bounds"]),
        )

    @property
    def branches(self) -> list[str]:
        """Branches of the original that are restored."""
        return [self.collection.column(name).branch for name in self.columns]


def _what_has_to_agree(header: dict[str, Any]) -> dict[str, Any]:
    """What must be the same in all parts of a file: all but bounds, edges and models."""
    collections = {
        name: {key: value for key, value in config.items() if key not in ("bounds", "edges", "jets")}
        | {"bounded": bool(config["bounds"])}
        for name, config in header["collections"].items()
    }
    return {
        "codecs": header["codec"],
        "trees": header["tree"],
        "storages": header["storage"],
        "branches": header["branches"],
        "collections": collections,
    }


def open(path: str | Path | Url) -> CompressedFile:
    """Open a compressed file; see `CompressedFile`."""
    return CompressedFile(path)
