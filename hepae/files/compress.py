"""compress_file: files with jets to one compressed file."""

from __future__ import annotations

import hashlib
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass, field
from importlib import metadata
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np
import uproot

from hepae.bounds import Bounds
from hepae.errors import InputError, OutputError
from hepae.files.clone import can_be_cloned, write_clone
from hepae.files.collection_writer import Coder
from hepae.files.compressed import CompressedFile
from hepae.files.header import CodedCollection, Header, Sizes, StoredTree, by_column
from hepae.files.history import Origin
from hepae.files.other_trees import OtherTrees, stored_tree
from hepae.files.parts import Part, write_part
from hepae.files.payload import PayloadWriter
from hepae.files.plan import Options, Plan, plan
from hepae.files.provenance import history_of
from hepae.io.checksums import Checksums
from hepae.io.cloning import Added, longest, root_compression
from hepae.io.inputs import Inputs
from hepae.io.layouts import Branch
from hepae.io.locations import locate, same_file
from hepae.io.objects import HISTORY, check_objects
from hepae.io.outputs import atomic_output
from hepae.io.sources import STEP_SIZE, steps
from hepae.io.writers import COMPRESSION, check_tree, open_writer, parse_compression, storage_of

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Mapping, Sequence
    from pathlib import Path

    from hepae.codec import Codec
    from hepae.files.clone import TreeChecksums
    from hepae.io.locations import Url
    from hepae.io.sources import Source
    from hepae.io.writers import Writer

    Report = Callable[[int, int], None]
    """Called with the entries done and all entries."""


_ROWS = Branch("hepae_rows", np.dtype(np.uint8))
"""Zeros that make the events' tree where every branch was coded: a tree without branches cannot be written."""


@dataclass(frozen=True)
class CollectionSummary:
    """What became of one collection: its jets, columns with a bound and exact ones, and their bytes before and after."""

    jets: int
    bounded: int
    exact: int
    before: int
    after: int


@dataclass(frozen=True)
class CompressionSummary:
    """What `compress_file` did: counts, and bytes of the whole file and of the coded columns, before and after.

    ``replaced`` counts, by column, the values that the codec cannot represent and replaced. ``bounds`` are those that were
    kept, ``notes`` are things that a user should know. With several collections columns are called
    ``Collection.column``.
    """

    collections: tuple[str, ...]
    columns: tuple[str, ...]
    events: int
    jets: int
    file_before: int
    file_after: int
    coded_before: int
    coded_after: int
    replaced: dict[str, int]
    bounds: dict[str, str]
    notes: tuple[str, ...] = ()
    by_collection: dict[str, CollectionSummary] = field(default_factory=dict)


def compress_file(
    inputs: str | Path | Url | Sequence[str | Path | Url],
    output: str | Path | Url,
    codec: Codec,
    *,
    tree: str | None = None,
    collection: str | Sequence[str] | None = None,
    unit: str | None = None,
    all_numbers: bool = False,
    keep: Sequence[str] = (),
    drop: Sequence[str] = (),
    drop_unreadable: bool = False,
    storage: str | None = None,
    compression: str = COMPRESSION,
    force: bool = False,
    entry_start: int = 0,
    entry_stop: int | None = None,
    again: bool = False,
    command: str | None = None,
    step_size: str | int = STEP_SIZE,
    progress: Report | None = None,
) -> CompressionSummary:
    """Compress the jets of one or more files into one ROOT file; every other branch passes through untouched.

    The file needs nothing else to be read back: it holds the model. It is streamed in steps, read back and checked
    under a temporary name, and then moved into place. The inverse is `decompress_file`.

    Parameters
    ----------
    inputs
        Files with jets, joined in this order: paths, patterns such as ``data/*.root``, and fsspec URLs. All have the same
        branches.
    output
        The compressed file; at a URL it is written here first.
    codec
        What codes the jets: a model's latents, or bounds.
    tree, collection, unit
        Which tree, which jets in it (one name, or several, or patterns such as ``*Jet``), and the unit of their pt, mass
        and E, where names and values do not tell.
    all_numbers
        Code the numbers of the event as well (MET, trigger bits, weights): a collection named by the tree, and one of each list
        that is in no collection; and all collections, unless ``collection`` names some. Floats are exact without a bound.
    keep, drop
        Patterns of the other branches to keep (all by default) and to leave out; those of the file's other trees are
        called ``TREE/BRANCH``. Other objects of the file, such as histograms, are kept and left out by their names.
    drop_unreadable
        Leave out branches that uproot cannot read and objects that cannot be copied. Otherwise they are an error.
    storage
        What the trees are written as: ttree, or rntuple, which takes branches of any type. By default an RNTuple is written
        as an RNTuple, anything else as a TTree.
    compression
        Of the branches, as ``NAME:LEVEL``.
    force
        Replace an existing output.
    entry_start, entry_stop
        Entries to compress, of the inputs joined; all by default. Of the inputs' bytes their share is counted.
    again
        Compress files that were restored from compressed ones; the sum of both bounds is recorded. Otherwise that is an error.
    command
        The command that asked for it, for the file's history.
    step_size
        Memory a step may take, or its number of entries.
    progress
        Called with the entries done and all entries after each step.

    Raises
    ------
    InputError
        If an input is missing or damaged, has no jets, differs from the first in its branches, or has branches or objects
        that cannot be read, or was restored from a compressed file.
    CodecError
        If the jets lack a column of the model.
    ConfigError
        If a bound or an edge is for a column that is not there or takes none.
    OutputError
        If the output exists or cannot be written.
    """
    files, output = Inputs(inputs, tree=tree, unit=unit), locate(output)
    whole = (entry_start, entry_stop) == (0, None) and storage != "rntuple"
    if any(same_file(path, output) for path in files.paths):
        raise OutputError(f"{output} is an input as well; name another output")
    with atomic_output(output, force=force) as temporary:
        by_root = whole and can_be_cloned([*files.paths, temporary])
        options = Options(
            collection, keep, drop, drop_unreadable, entry_start, entry_stop, again, all_numbers, by_root
        )
        with files:
            what = plan(files, codec, options)
            check_step = files.open(0).entries_per_step(step_size)
            kind = _Compression if what.clone is None else _ClonedCompression
            writing = kind(what, codec, storage, step_size, options)
            header = writing.write(files, temporary, parse_compression(compression), command, progress)
        for tree_written in writing.trees:
            check_tree(temporary, tree_written, check_step)
        check_objects(temporary, writing.others.objects)
        with CompressedFile(temporary) as compressed:
            coded_after, notes = compressed.header.bytes.compressed, compressed.notes
            by_collection = {
                name: _collection_summary(coded, what.bytes_before[name], compressed)
                for name, coded in header.collections.items()
            }
    collections = header.collections
    replaced = by_column({name: coded.replaced for name, coded in collections.items()})
    return CompressionSummary(
        tuple(collections),
        tuple(by_column({name: dict.fromkeys(coded.columns) for name, coded in collections.items()})),
        header.events,
        header.jets,
        header.bytes.file_original,
        output.stat().st_size,
        header.bytes.original,
        coded_after,
        {name: count for name, count in replaced.items() if count},
        by_column(
            {name: (coded.bounds or Bounds()).to_config()["bounds"] for name, coded in collections.items()}
        ),
        (*notes, *_notes(what, writing.others.left_out)),
        by_collection,
    )


def _collection_summary(coded: CodedCollection, before: int, compressed: CompressedFile) -> CollectionSummary:
    name = coded.collection.name
    bounds = compressed.bounds(name).values()
    return CollectionSummary(
        coded.jets,
        sum(not bound.exact for bound in bounds),
        sum(bound.exact for bound in bounds),
        before,
        sum(compressed.stored_bytes(name).values()),
    )


class _Compression:
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
        compression: Any,
        command: str | None,
        progress: Report | None,
    ) -> Header:
        """Write the compressed file; give its header."""
        with uproot.recreate(output, compression=compression) as file:
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


class _ClonedCompression(_Compression):
    """A compression in which ROOT clones what is not coded; parameters as those of `_Compression`."""

    def write(
        self,
        files: Inputs,
        output: Path,
        compression: Any,
        command: str | None,
        progress: Report | None,
    ) -> Header:
        """Write the compressed file; give its header."""
        clone = self._plan.clone
        assert clone is not None
        side = output.with_name(f"{output.name}.side")
        with uproot.recreate(side, compression=compression) as file:
            self._begin(file)
            self._read(files, progress)
        added = self._added(side, root_compression(compression))
        cloned = write_clone(clone, self._plan.tree, files, output, side, added)
        side.unlink()
        with uproot.update(output) as file:
            file.file.compression = compression
            self.others = self._other_trees(file, cloned)
            for number in range(len(files)):
                self.others.copy(files.open(number))
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


def _notes(what: Plan, left_out_of_others: Sequence[str]) -> Iterator[str]:
    """What a user should know of a compression."""
    if what.unit_note:
        yield what.unit_note
    exact = by_column({name: dict.fromkeys(bounds.left_exact) for name, bounds in what.bounds.items()})
    if exact:
        named = ", ".join([*exact][:8]) + (f" and {len(exact) - 8} more" if len(exact) > 8 else "")
        yield (
            f"the pattern of --bound leaves {named} exact: weights, cross sections and scale factors, and float64 columns "
            "beside float32 ones, take a bound only by their full name"
        )
    left_out = [*what.left_out, *left_out_of_others]
    trees = [name.removesuffix("/*") for name in left_out if name.endswith("/*")]
    if branches := len(left_out) - len(trees):
        yield f"{branches} {'branches were' if branches > 1 else 'branch was'} left out (--keep, --drop)"
    if trees:
        yield f"left out with all branches (--keep, --drop): {', '.join(trees)}"
    if what.unreadable.names:
        yield f"left out: {what.unreadable}; the header lists them"


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
