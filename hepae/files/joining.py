"""Compressed files of one job ↔ one compressed file: what a job wrote chunk by chunk becomes a dataset again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hepae.errors import InputError
from hepae.files.agreement import differences
from hepae.files.header import Header, StoredTree
from hepae.files.other_trees import checked_objects, differ, wanted
from hepae.files.parts import Part, read_parts, write_part
from hepae.files.payload import PAYLOAD_TREE, PayloadReader, RowBuffer, payload_branches
from hepae.files.provenance import history_of
from hepae.io.checksums import Checksums
from hepae.io.guards import reading
from hepae.io.ntuples import tree_source
from hepae.io.objects import HISTORY, ObjectRecord, copy_objects
from hepae.io.outputs import atomic_output
from hepae.io.rootfiles import open_root
from hepae.io.sources import STEP_SIZE, entries_in, steps
from hepae.io.tree_records import recreate
from hepae.io.writers import (
    TreeWriter,
    Writer,
    check_tree,
    open_writer,
    parse_compression,
)
from hepae.io.written import WrittenTree

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hepae.io.layouts import Branch


def join_files(
    paths: Sequence[str | Path],
    output: str | Path,
    *,
    drop: Sequence[str] = (),
    compression: str | None = None,
    force: bool = False,
) -> None:
    """Write one compressed file of several that were written alike, their events in order.

    Parameters
    ----------
    paths
        Compressed files with the same tree, branches, codec, bounds and model; each is checked against its checksums.
    output
        The compressed file of all events.
    drop
        Patterns of objects (histograms, …) to leave out. Objects that are equal in all files are kept once.
    compression, force
        As in `compress_file`.

    Raises
    ------
    InputError
        If a file is damaged, or was not written as the first, or has objects that differ from those of another.
    OutputError
        If the output exists or cannot be written.
    """
    with atomic_output(output, force=force) as temporary:
        with recreate(temporary, parse_compression(compression)) as file:
            joined = _Joined(file, drop)
            for path in map(Path, paths):
                with reading(path):
                    part = open_root(path)
                with part:
                    joined.add(path, part)
            joined.finish()
        for writer in joined.writers.values():
            with open_root(temporary) as file:
                tree = WrittenTree(file, writer.name, writer.fields)
                step = entries_in(STEP_SIZE, tree.uncompressed_bytes, tree.num_entries)
            check_tree(temporary, writer, step)
        with open_root(temporary) as file:
            checked_objects(file, temporary, [joined.objects])


class _Joined:
    """The file that is written, and the headers of what has gone into it."""

    def __init__(self, file: Any, drop: Sequence[str] = ()):
        self.writers: dict[str, Writer] = {}
        self.objects: list[ObjectRecord] = []
        self._file, self._drop = file, drop
        self._headers: list[Header] = []
        self._payload: RowBuffer | None = None
        self._first, self._model = Path(), b""

    def add(self, path: Path, file: Any) -> None:
        """Copy all trees and objects of a compressed file."""
        part, *others = read_parts(file, str(path))
        if others:
            raise InputError(f"{path} was joined by hadd; join the files that it was made of")
        header = part.header
        if header.cloned:
            raise InputError(f"ROOT cloned branches of {path}: join such files with ROOT's hadd")
        if not self._headers:
            self._first, self._model = path, part.model
        self._headers.append(header)
        if differing := differences(self._headers[0], header, strict=True):
            raise InputError(
                f"{self._first} and {path} cannot be joined: their {', '.join(differing)} differ"
            )
        self._copy_objects(path, file, header)
        self._copy_payload(path, file, header)
        trees = {header.tree: (header.fields, header.checksums)}
        trees |= {name: (tree.fields, tree.checksums) for name, tree in header.other_trees.items()}
        for name, (fields, checksums) in trees.items():
            if name in file:
                self._copy(path, file, name, fields, checksums)

    def _copy_objects(self, path: Path, file: Any, header: Header) -> None:
        """Copy the objects that no file before had, and compare the others."""
        with reading(path):
            objects = checked_objects(file, path, [header.objects])
            objects = [stored for stored in objects if wanted(stored.name, (), self._drop)]
            records = {stored.record for stored in objects}
        names = {record.name for record in records} & {record.name for record in self.objects}
        differing = {record.name for record in records ^ {*self.objects} if record.name in names}
        if differing:
            raise InputError(f"{self._first} and {path} cannot be joined: {differ(differing)}")
        new = [stored for stored in objects if stored.name not in names]
        copy_objects(new, self._file)
        self.objects += [stored.record for stored in new]

    def _copy(
        self,
        path: Path,
        file: Any,
        name: str,
        fields: Mapping[str, str],
        checksums: Mapping[str, Sequence[int]],
    ) -> None:
        tree = WrittenTree(file, name, fields)
        if name not in self.writers:
            branches = _branches(path, file, name, fields)
            counters = [coded.collection.counter for coded in self._headers[0].collections.values()]
            self.writers[name] = open_writer(
                self._file,
                name,
                branches,
                tree.storage,
                counters=counters,
                title=tree.title,
                compact=True,
            )
        writer, found = self.writers[name], Checksums()
        step = entries_in(STEP_SIZE, tree.uncompressed_bytes, tree.num_entries)
        for start, stop in steps(tree.num_entries, step):
            with reading(path):
                arrays = tree.arrays(dict.fromkeys([*writer.branches, *checksums]), start, stop)
            found.update(arrays)
            writer.extend(arrays)
        if wrong := found.differing(checksums):
            raise InputError(f"{path} is damaged: checksum mismatch in {', '.join(wrong[:5])}")

    def _copy_payload(self, path: Path, file: Any, header: Header) -> None:
        """Copy the rows of the payload, each after its checksum."""
        if not header.payload_rows:
            return
        if self._payload is None:
            writer = TreeWriter(self._file, PAYLOAD_TREE, payload_branches())
            self.writers[PAYLOAD_TREE] = writer
            self._payload = RowBuffer(writer)
        for row in PayloadReader(file, path, [header]).rows():
            self._payload.add(*row)

    def finish(self) -> None:
        """Write the header of all parts."""
        unreadable = dict.fromkeys(name for header in self._headers for name in header.unreadable)
        total = replace(
            Header.added(self._headers), objects=tuple(self.objects), unreadable=tuple(unreadable)
        )
        if self._payload is not None:
            self._payload.flush()
        for writer in self.writers.values():
            writer.close()
        others: dict[str, StoredTree] = {}
        for header in self._headers:
            others = {**header.other_trees, **others}
        if self._payload is not None:
            total = replace(total, payload_rows=self._payload.rows, payload_checksum=self._payload.checksum)
        if total.tree in self.writers:
            total = replace(total, checksums=self.writers[total.tree].checksums.by_branch)
        for name, tree in others.items():
            if name in self.writers:
                writer = self.writers[name]
                others[name] = replace(tree, checksums=writer.checksums.by_branch, entries=writer.num_entries)
        total = replace(total, other_trees=others)
        write_part(self._file, Part(total, total.events, self._model))
        self._file[HISTORY] = history_of([total]).made_now(None).text()


def _branches(path: Path, file: Any, name: str, fields: Mapping[str, str]) -> list[Branch]:
    """Branches of a written tree, by their own names."""
    own = {field: branch for branch, field in fields.items()}
    with_fields = tree_source(path, file, name).branches.values()
    return [
        replace(b, name=own.get(b.name, b.name), counter=own.get(b.counter or "", b.counter))
        for b in with_fields
    ]
