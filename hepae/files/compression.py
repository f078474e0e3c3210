"""What writes a compressed file: jets coded, everything else passed through by uproot or cloned by ROOT."""

from __future__ import annotations

import hashlib
from collections import Counter
from contextlib import nullcontext
from importlib import metadata
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np
import uproot

from hepae.errors import InputError
from hepae.files.clone import write_clone
from hepae.files.collection_writer import Coder
from hepae.files.header import Header, Sizes, StoredTree
from hepae.files.history import Origin
from hepae.files.other_trees import OtherTrees, stored_tree
from hepae.files.parts import Part, write_part
from hepae.files.payload import PayloadWriter
from hepae.files.provenance import history_of
from hepae.io.checksums import Checksums
from hepae.io.cloning import Added, longest, root_compression
from hepae.io.layouts import Branch
from hepae.io.objects import HISTORY, copy_classes
from hepae.io.sources import steps
from hepae.io.tree_records import recreate, update
from hepae.io.writers import open_writer, parse_compression, storage_of

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence
    from pathlib import Path

    from hepae.codec import Codec
    from hepae.files.clone import TreeChecksums
    from hepae.files.plan import Options, Plan
    from hepae.io.inputs import Inputs
    from hepae.io.sources import Source
    from hepae.io.writers import Writer

    Report = Callable[[int, int], None]
    """Called with the entries done and all entries."""


_ROWS = Branch("hepae_rows", np.dtype(np.uint8))
"""Zeros that make the events' tree where every branch was coded: a tree without branches cannot be written."""


class Compression:
    """Writes the inputs of a plan into a compressed file: jets coded, everything else as it is.

    Parameters
    ----------
    what
        The plan.
    codec, storage, step_size, options
        As the parameters of `compress_file`.
    """

    _events: Writer
    others: OtherTrees

    def __init__(
        self,
        what: Plan,
        codec: Codec,
        storage: str | None,
        step_size: str | int,
        options: Options,
    ):
        self._plan, self._codec, self._step_size, self._options = what, codec, step_size, options
        self._storage = storage or storage_of(what.source["format"])
        self._asked_storage = storage
        self._payload: PayloadWriter | None = None
        self._coders: list[Coder] = []
        self._passed = Checksums()
        """Of branches of coded collections that ROOT clones."""

    def write(
        self,
        files: Inputs,
        output: Path,
        compression: str | None,
        command: str | None,
        progress: Report | None,
    ) -> Header:
        """Write the compressed file; give its header."""
        with recreate(output, parse_compression(compression)) as file:
            self._begin(file)
            self.others = self._other_trees(file)
            self._read(files, progress)
            return self._finish(file, command)

    def _begin(self, file: Any) -> None:
        """Begin the events' tree and the payload."""
        what, codec = self._plan, self._codec
        self._payload = PayloadWriter(file) if what.bounds else None
        self._coders = [
            Coder(
                collection,
                what.columns[collection.name],
                codec=codec,
                bounds=what.bounds.get(collection.name),
                payload=self._payload,
            )
            for collection in what.collections
        ]
        counters = {collection.counter for collection in what.collections}
        self._events = open_writer(
            file,
            what.tree,
            self._branches(),
            self._storage,
            counters=counters,
            title=what.title,
            compact=True,
        )

    def _branches(self) -> list[Branch]:
        """Branches of the events' tree that are written here."""
        return _with_new_branches(self._plan.branches, self._coders)

    def _other_trees(self, file: Any, cloned: Container[str] = ()) -> OtherTrees:
        options = self._options
        return OtherTrees(
            file,
            self._asked_storage,
            self._step_size,
            keep=options.keep,
            drop=options.drop,
            cloned=cloned,
        )

    @property
    def trees(self) -> list[Writer]:
        """The trees that were written."""
        payload = [self._payload.tree] if self._payload else []
        return [self._events, *self.others.writers.values(), *payload]

    def _read(self, files: Inputs, progress: Report | None) -> None:
        """Code the entries of all inputs, and copy their other trees."""
        with self._payload or nullcontext():
            done = 0
            for number, planned in enumerate(self._plan.inputs):
                if planned.gives_trees:
                    self._copy_others(files.open(number))
                if planned.begin == planned.end:
                    continue
                source = files.open(number)
                size = source.entries_per_step(self._step_size)
                for start, stop in steps(planned.end - planned.begin, size):
                    self._encode(source, planned.begin + start, planned.begin + stop)
                    done += stop - start
                    if progress is not None:
                        progress(done, self._plan.entries)
            self._close_trees()
            for coder in self._coders:
                coder.finish()
            if self._payload is not None:
                self._payload.finish()

    def _copy_others(self, source: Source) -> None:
        self.others.copy(source)

    def _close_trees(self) -> None:
        for writer in (self._events, *self.others.writers.values()):
            writer.close()

    def _encode(self, source: Source, start: int, stop: int) -> None:
        arrays = source.arrays(self._plan.branches, start, stop)
        for coder in self._coders:
            arrays.update(coder.encode(arrays))
        if _ROWS.name in self._events.branches:
            arrays[_ROWS.name] = ak.Array(np.zeros(stop - start, np.uint8))
        self._events.extend(arrays)

    def _finish(
        self,
        file: Any,
        command: str | None,
        cloned: Mapping[str, TreeChecksums] | None = None,
        cloned_trees: Mapping[str, StoredTree] | None = None,
    ) -> Header:
        """Write the header, the model and the history, and give the header."""
        what, codec, payload = self._plan, self._codec, self._payload
        stored = codec.stored_model()
        header = Header(
            hepae=metadata.version("hepae"),
            codec=codec.kind,
            tree=what.tree,
            storage=self._storage,
            format=what.source["format"],
            layout=what.source["layout"],
            events=what.entries,
            collections={coder.collection.name: coder.coded_collection() for coder in self._coders},
            branches=tuple(what.branches.values()),
            fields=self._events.fields,
            title=what.title,
            titles=self._titles(),
            other_trees={name: stored_tree(tree) for name, tree in self.others.writers.items()}
            | dict(cloned_trees or {}),
            objects=tuple(one.record for one in self.others.objects),
            left_out=what.left_out,
            unreadable=what.unreadable.names,
            checksums=self._events.checksums.by_branch | self._passed.by_branch,
            cloned=cloned or {},
            only_root=what.clone.only_root if what.clone else (),
            places=what.clone.places if what.clone else {},
            payload_rows=payload.rows if payload else 0,
            payload_checksum=payload.checksum if payload else 0,
            model_sha256=codec.model_sha256,
            stored_model_sha256=hashlib.sha256(stored).hexdigest() if stored else None,
            bytes=Sizes(
                sum(planned.file_bytes for planned in what.inputs),
                sum(what.bytes_before.values()),
            ),
            origin=Origin.of(what.files, what.histories, self.others.left_out),
        )
        write_part(file, Part(header, what.entries, stored))
        file[HISTORY] = history_of([header]).made_now(command).text()
        return header

    def _titles(self) -> dict[str, str]:
        """Titles of the original's branches that are not in the tree: of the coded ones, and of all where an RNTuple has none."""
        coded = {branch for coder in self._coders for branch in coder.coded_branches}
        return {
            branch.name: branch.title
            for branch in self._plan.branches.values()
            if branch.title and (branch.name in coded or self._storage == "rntuple")
        }


class ClonedCompression(Compression):
    """A compression in which ROOT clones what is not coded; parameters as those of `Compression`."""

    def write(
        self,
        files: Inputs,
        output: Path,
        compression: str | None,
        command: str | None,
        progress: Report | None,
    ) -> Header:
        """Write the compressed file; give its header."""
        clone = self._plan.clone
        assert clone is not None
        side = output.with_name(f"{output.name}.side")
        usual = parse_compression(compression)
        with uproot.recreate(side, compression=usual) as file:
            self._begin(file)
            self._read(files, progress)
        added = self._added(side, root_compression(usual))
        cloned = write_clone(
            clone,
            self._plan.tree,
            files,
            output,
            side,
            added,
            None if compression is None else root_compression(usual),
        )
        side.unlink()
        with update(output, usual) as file:
            self.others = self._other_trees(file, cloned)
            for number in range(len(files)):
                source = files.open(number)
                copy_classes(source.file, file)  # type: ignore[attr-defined]  # of a TreeSource
                self.others.copy(source)
            return self._finish(file, command, cloned, self._cloned_trees(files))

    def _branches(self) -> list[Branch]:
        clone = self._plan.clone
        assert clone is not None
        kept = {name: branch for name, branch in self._plan.branches.items() if name not in clone.places}
        every = _with_new_branches(self._plan.branches, self._coders)
        new = [branch for branch in every if branch.name not in kept]
        return new or ([_ROWS] if clone.empty else [])

    def _copy_others(self, source: Source) -> None:
        """They are cloned and copied when the events are coded."""

    def _close_trees(self) -> None:
        self._events.close()

    def _encode(self, source: Source, start: int, stop: int) -> None:
        kept = self._plan.branches
        coded = {branch for coder in self._coders for branch in coder.coded_branches}
        own = {column.branch for coder in self._coders for column in coder.collection.columns}
        own |= {coder.collection.counter for coder in self._coders if coder.collection.counter}
        arrays = source.arrays([name for name in kept if name in coded | own], start, stop)
        self._passed.update({name: array for name, array in arrays.items() if name not in coded})
        for coder in self._coders:
            arrays.update(coder.encode(arrays))
        if _ROWS.name in self._events.branches:
            arrays[_ROWS.name] = ak.Array(np.zeros(stop - start, np.uint8))
        self._events.extend(arrays)

    def _added(self, side: Path, compression: int) -> list[Added]:
        """New branches as ROOT adds them; counters that the file has not come first."""
        branches = [*self._events.branches.values()]
        added = [
            Branch(name, np.dtype(np.int32)) for name in self._events.added if name not in self._plan.branches
        ]
        with uproot.open(side) as file:
            return [
                Added.of(
                    branch,
                    values=branch.name,
                    most=longest(file[self._plan.tree][branch.counter].array(library="np"))
                    if branch.jagged
                    else 0,
                    compression=compression,
                )
                for branch in (*added, *branches)
            ]

    def _cloned_trees(self, files: Inputs) -> dict[str, StoredTree]:
        """The other trees that ROOT cloned, with those of their branches that uproot reads."""
        clone = self._plan.clone
        assert clone is not None
        entries: Counter[str] = Counter()
        branches: dict[str, tuple[Branch, ...]] = {}
        for number in range(len(files)):
            for tree in files.open(number).other_trees(lambda name: name in clone.others):
                entries[tree.tree] += tree.num_entries
                out = {*self._plan.left_out}
                kept = [b for name, b in tree.branches.items() if f"{tree.tree}/{name}" not in out]
                branches.setdefault(tree.tree, tuple(kept))
        return {name: StoredTree(entries[name], branches[name], {}, {}) for name in branches}


def _with_new_branches(kept: Mapping[str, Branch], coders: Sequence[Coder]) -> list[Branch]:
    """Branches of the compressed file: new ones stand where the first coded branch of their collection stood."""
    new = {coder.collection.name: coder.new_branches for coder in coders}
    clash = [branch.name for added in new.values() for branch in added if branch.name in kept]
    if clash:
        raise InputError(
            f"the input has a branch {clash[0]!r} already; leave it out with --drop {clash[0]!r}"
        )
    owners = {branch: coder.collection.name for coder in coders for branch in coder.coded_branches}
    branches: list[Branch] = []
    for name, branch in kept.items():
        branches += new.pop(owners[name], []) if name in owners else [branch]
    return branches or [_ROWS]
