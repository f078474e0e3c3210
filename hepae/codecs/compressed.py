"""CompressedFile: a compressed file opened, its jets restored event by event."""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import awkward as ak
import numpy as np

from hepae.codecs.latent import LatentCodec
from hepae.errors import InputError
from hepae.io import container
from hepae.io.layouts import Branch, Collection
from hepae.io.readers import STEP_SIZE, open_root, reading, steps, tree_entries
from hepae.io.writers import Digests

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


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
                raise InputError(f"{self.path} is damaged: its tree {container.HEADER_TREE!r} is empty")
            self._check_parts()
            self.tree: str = self._parts[0].header["tree"]
            self._tree = self._file[self.tree]
            self.num_entries = int(self._tree.num_entries)
        self._codecs: dict[int, LatentCodec] = {}
        covered = sum(part.entries for part in self._parts)
        if covered != self.num_entries:
            raise InputError(
                f"{self.path} is damaged: {self.num_entries} events in tree {self.tree!r}, its header covers {covered}"
            )

    def _check_parts(self) -> None:
        """Refuse a file that was joined of parts which do not go together."""
        first = self._parts[0].header
        for part in self._parts[1:]:
            for what in ("tree", "branches", "collections", "columns"):
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
        latents = [name for entry in headers[0]["collections"].values() for name in entry["latents"]]
        after = sum(int(self._tree[name].compressed_bytes) for name in latents)
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
        stop = self.num_entries if entry_stop is None else min(entry_stop, self.num_entries)
        others = [column.branch for column in self.collection.columns if column.name not in self.coded]
        stored = self._stored([*others, *self._latents], entry_start, stop)
        return self.collection.jets({**stored, **self._restore(stored, entry_start, stop)})

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
        return tree_entries(self._tree, step_size)

    def codec(self, part: int = 0) -> LatentCodec:
        """Codec of one part of the file; there is one part unless hadd joined several."""
        if part not in self._codecs:
            model = self._parts[part].model
            if hashlib.sha256(model).hexdigest() != self._parts[part].header["stored_model_sha256"]:
                raise InputError(
                    f"{self.path} is damaged: its model does not have the checksum that the header says"
                )
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
        latents: list[str] = self._parts[0].header["collections"][self.collection.name]["latents"]
        return latents

    def _stored(self, names: Sequence[str], entry_start: int, entry_stop: int) -> dict[str, ak.Array]:
        with reading(self.path):
            arrays: dict[str, ak.Array] = self._tree.arrays(
                list(names), entry_start=entry_start, entry_stop=entry_stop, how=dict
            )
        return arrays

    def _restore(self, stored: dict[str, ak.Array], entry_start: int, entry_stop: int) -> dict[str, ak.Array]:
        """Coded columns by the original's branch names, decoded of the latents of these entries."""
        records = ak.zip({f"z{i}": stored[name] for i, name in enumerate(self._latents)})
        chunks: list[dict[str, ak.Array]] = []
        first = 0
        for i, part in enumerate(self._parts):
            begin, end = max(entry_start, first), min(entry_stop, first + part.entries)
            if begin < end or (begin == end and not chunks and i == len(self._parts) - 1):
                jets = self.codec(i).decompress(records[begin - entry_start : end - entry_start])
                chunks.append(self.collection.arrays(jets, self.coded))
            first += part.entries
        return {name: ak.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}


def open(path: str | Path) -> CompressedFile:
    """Open a compressed file; see `CompressedFile`."""
    return CompressedFile(path)


def _branch_from_config(config: list[Any]) -> Branch:
    name, dtype, jagged, counter, shape = config
    return Branch(name, np.dtype(dtype), jagged, counter, tuple(shape))
