"""CompressedFile: a compressed file opened, its jets restored event by event."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Self

import awkward as ak
import numpy as np

from hepae.bounds import loosest
from hepae.column_names import ALIASES
from hepae.errors import ConfigError, HepaeError, InputError, listed
from hepae.files.agreement import require_agreement
from hepae.files.checked_tree import CheckedTree
from hepae.files.clusters import Clusters
from hepae.files.header import Header, Sizes
from hepae.files.history import History
from hepae.files.parts import read_parts
from hepae.files.payload import PayloadReader
from hepae.files.provenance import history_of
from hepae.files.stored_models import StoredModels
from hepae.io.checksums import Checksums
from hepae.io.guards import Memory, fingerprint_of, reading, require_unchanged
from hepae.io.locations import Url, locate
from hepae.io.objects import history_texts
from hepae.io.rootfiles import file_kind, open_root
from hepae.io.sources import STEP_SIZE, memory_size, steps
from hepae.io.written import ClonedTree, WrittenTree

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from hepae.bounds import Bound
    from hepae.files.header import CodedCollection
    from hepae.io.layouts import Branch, Collection
    from hepae.latent.codec import LatentCodec

_VALUE_BYTES = 8
"""Memory that decoding takes for a value: the integers that stand for it have 64 bits."""


class CompressedFile:
    """An open compressed file, made by `hepae.open`. Use it in a with statement, or close it.

    The end of the with statement raises an InputError if the file was replaced or changed in the meantime.

    Raises
    ------
    InputError
        If the file is missing, damaged or not a compressed file.
    """

    def __init__(self, path: str | Path | Url):
        self.path = locate(path)
        self.fingerprint = fingerprint_of(self.path)
        if (kind := file_kind(self.path)) != "a ROOT file":
            raise InputError(f"{self.path} is {kind}, not a compressed file; hepae compress makes one")
        with reading(self.path):
            self.file = open_root(self.path)
            self.parts = read_parts(self.file, str(self.path))
            headers = [part.header for part in self.parts]
            require_agreement(self.path, headers)
            first = headers[0]
            self.tree = first.tree
            self.num_entries = sum(part.entries for part in self.parts)
            self._tree = (
                ClonedTree(self.path, self.file, self.tree)
                if first.cloned
                else WrittenTree(self.file, self.tree, first.fields)
            )
            checksums = [
                (part.entries, part.header.checksums, part.header.cloned.get(self.tree, {}))
                for part in self.parts
            ]
            self._stored = CheckedTree(self._tree, checksums, self.path)
            self._payload = PayloadReader(self.file, self.path, headers) if first.bounded else None
        self._models = StoredModels(self.parts, self.path)
        self._clusters = (
            Clusters(self.path, str(self.file.file.uuid), self._payload, self._stored, self._models)
            if self._payload
            else None
        )
        self._check_counts()

    def _check_counts(self) -> None:
        """Compare what the tree and the payload hold with the headers, and what they claim to hold with the file's size."""
        wrong = self._tree.num_entries != self.num_entries
        if self._payload is not None:
            for name, coded in self._coded.items():
                if coded.bounds is not None:
                    jets = sum(part.header.collections[name].jets for part in self.parts)
                    found = self._payload.events(name), self._payload.jets(name)
                    wrong = wrong or found != (self.num_entries, jets)
            Memory(self.path).take(_VALUE_BYTES * self._payload.values())
        if wrong:
            raise InputError(
                f"{self.path} is damaged: tree {self.tree!r} or the payload does not have the {self.num_entries} events "
                "and their jets that the header covers"
            )

    @cached_property
    def header(self) -> Header:
        """The header; of a file that hadd joined the first part's, with counts and bytes added up."""
        total = Header.added([part.header for part in self.parts])
        latents = [name for coded in total.collections.values() for name in coded.latents]
        after = self._tree.stored_bytes(latents)
        after += self._payload.compressed_bytes if self._payload else 0
        before = total.bytes
        sizes = Sizes(before.file_original, before.original, self.path.stat().st_size, after)
        return replace(total, bytes=sizes)

    @property
    def _coded(self) -> Mapping[str, CodedCollection]:
        return self.parts[0].header.collections

    def other_tree(self, name: str) -> WrittenTree | ClonedTree:
        """Give one of the file's other trees, to read it branch by branch.

        Raises
        ------
        InputError
            If it is not there.
        """
        with reading(self.path):  # a tree that is missing is damage
            if name in self.parts.cloned:
                return ClonedTree(self.path, self.file, name)
            return WrittenTree(self.file, name, self.parts.other_trees[name][0].fields)

    @property
    def history(self) -> History:
        """History of the file: what was compressed, when, from which input, and within which bounds."""
        history = history_of([part.header for part in self.parts])
        with reading(self.path):
            text = History.of_texts(history_texts(self.file), str(self.path))
        return history.made(text.date, text.command) if text is not None else history

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the user about the restored jets."""
        return self.header.notes

    @property
    def storage(self) -> str:
        """Storage of the events, ttree or rntuple."""
        return self.parts[0].header.storage

    @property
    def collections(self) -> dict[str, Collection]:
        """The collections that were coded, as the original file had them."""
        return {name: coded.collection for name, coded in self._coded.items()}

    def original_unit(self, asked: str | None = None) -> str:
        """Unit of the energies in the original.

        Raises
        ------
        ConfigError
            If the user asks for another unit.
        """
        unit = next(iter(self._coded.values())).collection.unit
        if asked not in (None, unit):
            raise ConfigError(
                f"{self.path} was compressed with energies in {unit}, not in {asked}: leave --unit out"
            )
        return unit

    def coded(self, collection: str | None = None) -> tuple[str, ...]:
        """Names of the coded columns of a collection; with only one collection, its name may be left out."""
        return self._coded[self.choose(collection)].columns

    def bounds(self, collection: str | None = None) -> dict[str, Bound]:
        """Bounds of a collection's columns; empty if it has only latents.

        If hadd joined files with different bounds, these are the loosest of each column; see `bounds_by_events`.
        """
        ranges = [bounds for _, _, bounds in self.bounds_by_events(collection=collection)]
        return {name: loosest(bounds[name] for bounds in ranges) for name in ranges[0]}

    def bounds_by_events(
        self, entry_start: int = 0, entry_stop: int | None = None, *, collection: str | None = None
    ) -> list[tuple[int, int, dict[str, Bound]]]:
        """Bounds of a collection's columns by ranges of events; one range unless hadd joined files with different bounds.

        Parameters
        ----------
        entry_start, entry_stop
            Range of events; all by default.
        collection
            Its name, if several collections were coded.

        Returns
        -------
        list
            First event, end (exclusive) and bounds by column, in the order of the events.
        """
        start, stop, _ = slice(entry_start, entry_stop).indices(self.num_entries)
        return self.parts.bounds(self.choose(collection), start, stop)

    def num_jets(self, collection: str | None = None) -> int:
        """Number of jets of a collection in all events."""
        name = self.choose(collection)
        return self.header.collections[name].jets

    def choose(self, collection: str | None = None) -> str:
        """Name of a coded collection: the one asked for, or ``Jet``, ``AnalysisJets`` or the only one.

        Raises
        ------
        InputError
            If it does not exist, or if hepae cannot choose between several.
        """
        return self.parts.choose(collection, self.path)

    @property
    def original_branches(self) -> list[Branch]:
        """Branches of the original file that this file restores, in their order."""
        counters = {
            column.branch: coded.collection.counter
            for coded in self._coded.values()
            for column in coded.collection.columns
        }
        header = self.parts[0].header
        titles = {**self._tree.titles, **header.titles}
        return [
            replace(
                branch,
                counter=counters.get(branch.name, branch.counter) if branch.jagged else branch.counter,
                title=titles.get(branch.name, ""),
            )
            for branch in header.branches
        ]

    def jets(
        self,
        entry_start: int = 0,
        entry_stop: int | None = None,
        *,
        collection: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> ak.Array:
        """Restored jets of these events.

        Parameters
        ----------
        entry_start, entry_stop
            Range of events; all by default.
        collection
            Its name, if several collections were coded.
        columns
            Columns to give; all by default. In a file with bounds only these columns, and those that they are predicted from, are decoded.

        Returns
        -------
        ak.Array
            Jets with ``Momentum4D`` behaviour in GeV and radians, in lists per event, or flat if a row is a jet: coded columns as the
            codec restores them, in the type of the original, and any other column unchanged.

        Raises
        ------
        InputError
            If there is no such collection or column, or the stored data of these events are damaged.
        CodecError
            If the payload of these events is damaged.
        """
        coded = self._coded[self.choose(collection)]
        branches = None if columns is None else [self._branch(coded, name) for name in columns]
        start, stop = self._range(entry_start, entry_stop)
        return coded.collection.jets(self.arrays(coded.collection.name, start, stop, branches=branches))

    def latents(
        self, entry_start: int = 0, entry_stop: int | None = None, *, collection: str | None = None
    ) -> ak.Array | None:
        """Latents of these events as they are stored: records z0, z1, … in the jets' lists; None if the file has none."""
        coded = self._coded[self.choose(collection)]
        if not coded.latents:
            return None
        return self._models.latents(
            coded, self._stored.arrays(coded.latents, *self._range(entry_start, entry_stop))
        )

    def _range(self, entry_start: int, entry_stop: int | None) -> tuple[int, int]:
        start, stop, _ = slice(entry_start, entry_stop).indices(self.num_entries)
        return start, max(start, stop)

    def stored_bytes(self, collection: str | None = None) -> dict[str, int]:
        """Compressed bytes of a collection in the file, by latent and by column."""
        name = self.choose(collection)
        latents = {f"z{i}": self._tree.stored_bytes([z]) for i, z in enumerate(self._coded[name].latents)}
        return latents | (self._payload.bytes_by_column(name) if self._payload else {})

    def branches_of(self, collection: str) -> list[str]:
        """Branches of the original that belong to a coded collection and are restored: its columns and its counter."""
        kept = {branch.name for branch in self.parts[0].header.branches}
        of = self.collections[collection]
        names = [column.branch for column in of.columns] + ([of.counter] if of.counter else [])
        return [name for name in names if name in kept]

    def coded_branches(self, collection: str | None = None) -> tuple[str, ...]:
        """Names of the original's branches that were coded."""
        return tuple(self._coded[self.choose(collection)].branches)

    def arrays(
        self, collection: str, entry_start: int, entry_stop: int, *, branches: Iterable[str] | None = None
    ) -> dict[str, ak.Array]:
        """Branches of a collection as in the original file, by name; everything that is read is checked.

        Parameters
        ----------
        collection
            A collection that was coded.
        entry_start, entry_stop
            Range of events.
        branches
            Names out of `branches_of`; all columns by default.

        Raises
        ------
        InputError, CodecError
            As for `jets`.
        """
        coded = self._coded[collection]
        if branches is None:
            branches = [name for name in self.branches_of(collection) if name != coded.collection.counter]
        branches = list(branches)
        columns = {coded.collection.column(name).branch: name for name in coded.columns}
        wanted = [columns[name] for name in branches if name in columns]
        latents = coded.latents if wanted else ()
        others = [name for name in branches if name not in columns]
        stored = self._stored.arrays([*others, *latents], entry_start, entry_stop)
        restored = self._restore(coded, wanted, stored, entry_start, entry_stop) if wanted else {}
        return {name: (restored if name in columns else stored)[name] for name in branches}

    def _branch(self, coded: CodedCollection, name: str) -> str:
        """The branch of a column, by the column's name."""
        kept = self.branches_of(coded.collection.name)
        columns = {column.name: column.branch for column in coded.collection.columns if column.branch in kept}
        try:
            return columns[coded.collection.column(ALIASES.get(name, name)).name]
        except KeyError:
            raise InputError(
                f"no column {name!r} in {coded.collection.name} of {self.path}: it has {listed([*columns])}"
            ) from None

    def original_arrays(self, names: Sequence[str], entry_start: int, entry_stop: int) -> dict[str, ak.Array]:
        """Branches of the original by name: restored if they were coded, otherwise as they are stored."""
        found: dict[str, ak.Array] = {}
        for collection, coded in self._coded.items():
            if wanted := [name for name in names if name in coded.branches]:
                found.update(self.arrays(collection, entry_start, entry_stop, branches=wanted))
        others = [name for name in names if name not in found]
        found.update(self._stored.arrays(others, entry_start, entry_stop))
        return {name: found[name] for name in names}

    def iterate_jets(
        self, *, collection: str | None = None, step_size: str | int = STEP_SIZE
    ) -> Iterator[ak.Array]:
        """Iterate over the restored jets in steps."""
        for start, stop in steps(self.num_entries, self.entries_per_step(step_size)):
            yield self.jets(start, stop, collection=collection)

    def iterate_checked(self, step_size: str | int = STEP_SIZE) -> Iterator[dict[str, ak.Array]]:
        """Iterate in steps over all branches of the original, with restored jets; everything that is read is checked.

        Raises
        ------
        InputError
            At the end of a part whose branches do not have the checksums in its header.
        """
        restored = {branch for coded in self._coded.values() for branch in coded.branches}
        latents = [name for coded in self._coded.values() for name in coded.latents]
        others = [branch.name for branch in self.original_branches if branch.name not in restored]
        first = 0
        self.parts.check_clones(self.file, self.path)
        for part in self.parts:
            expected, found = part.header.checksums, Checksums()
            for start, stop in steps(part.entries, self.entries_per_step(step_size)):
                names = dict.fromkeys([*others, *latents, *expected])
                with reading(self.path):
                    stored = self._tree.arrays(names, first + start, first + stop)
                found.update(stored)
                arrays = {name: stored[name] for name in others}
                for coded in self._coded.values():
                    arrays.update(self._restore(coded, coded.columns, stored, first + start, first + stop))
                yield arrays
            if wrong := found.differing(expected) if part.entries else []:
                where = f"events {first} to {first + part.entries}"
                raise InputError(
                    f"{self.path} is damaged: checksum mismatch in {', '.join(wrong[:5])} of {where}"
                )
            first += part.entries

    def entries_per_step(self, step_size: str | int) -> int:
        """Number of entries that take this much memory when restored."""
        if isinstance(step_size, int):
            return step_size
        restored = sum(
            coded.jets * sum(np.dtype(column.dtype).itemsize for column in coded.collection.columns)
            for part in self.parts
            for coded in part.header.collections.values()
        )
        per_entry = (self._tree.uncompressed_bytes + restored) / max(self.num_entries, 1)
        return max(1, int(memory_size(step_size) / max(per_entry, 1)))

    def codec(self, part: int = 0) -> LatentCodec:
        """Codec of one part of the file; there is one part unless hadd joined several."""
        return self._models.codec(part)

    def load_codecs(self) -> None:
        """Load the codecs of all parts that have a model, and torch with them, before they are needed."""
        for number, part in enumerate(self.parts):
            if part.model:
                self.codec(number)

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close()
        if kind is None or issubclass(kind, HepaeError):  # a file that was replaced looks damaged
            require_unchanged(self.path, self.fingerprint)

    def _restore(
        self,
        coded: CodedCollection,
        columns: Iterable[str],
        stored: dict[str, ak.Array],
        entry_start: int,
        entry_stop: int,
    ) -> dict[str, ak.Array]:
        """Coded columns by the original's branch names, of what is stored of these entries."""
        if self._clusters is not None and coded.bounds is not None:
            return self._clusters.arrays(coded, list(columns), entry_start, entry_stop)
        latents = self._models.latents(coded, stored)
        chunks: list[dict[str, ak.Array]] = []
        for i, begin, end in self.parts.ranges(entry_start, entry_stop):
            jets = self.codec(i).jets(latents[begin - entry_start : end - entry_start])
            chunks.append(coded.collection.arrays(jets, columns))
        return {name: ak.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}


def open(path: str | Path | Url) -> CompressedFile:
    """Open a compressed file; see `CompressedFile`."""
    return CompressedFile(path)
