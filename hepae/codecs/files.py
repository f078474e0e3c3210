"""Whole files: compress, decompress, and open a compressed one."""

from __future__ import annotations

import fnmatch
import hashlib
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import awkward as ak
import numpy as np
import uproot

from hepae import kinematics
from hepae.codecs.latent import LatentCodec
from hepae.errors import CodecError, InputError, OutputError
from hepae.io import container
from hepae.io.layouts import Branch, Collection
from hepae.io.readers import (
    STEP_SIZE,
    choose_collection,
    open_root,
    open_source,
    reading,
    steps,
    tree_entries,
)
from hepae.io.writers import COMPRESSION, Digests, TreeWriter, atomic_output, check_tree, parse_compression

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from hepae.io.readers import Source

    Report = Callable[[int, int], None]
    """Called with the entries done and all entries."""


@dataclass(frozen=True)
class CompressionSummary:
    """What `compress_file` did: counts, and bytes of the whole file and of the coded columns, before and after.

    ``replaced`` counts, by column, the values that the codec cannot say and put another in place of. ``notes`` are
    things a user should know.
    """

    collection: str
    columns: tuple[str, ...]
    events: int
    jets: int
    file_before: int
    file_after: int
    coded_before: int
    coded_after: int
    replaced: dict[str, int]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class DecompressionSummary:
    """What `decompress_file` did: counts, and bytes of the whole file, before and after."""

    events: int
    jets: int
    file_before: int
    file_after: int


@dataclass
class _Tally:
    """What is counted on the way through a file."""

    jets: int = 0
    replaced: Counter[str] = field(default_factory=Counter)


def compress_file(
    inputs: str | Path | Sequence[str | Path],
    output: str | Path,
    codec: LatentCodec,
    *,
    tree: str | None = None,
    collection: str | None = None,
    unit: str | None = None,
    keep: Sequence[str] = (),
    drop: Sequence[str] = (),
    compression: str = COMPRESSION,
    force: bool = False,
    step_size: str | int = STEP_SIZE,
    progress: Report | None = None,
) -> CompressionSummary:
    """Compress the jets of one or more files into one ROOT file; every other branch passes through untouched.

    The file needs nothing else to be read back: it holds the model. It is streamed in steps, read back and checked
    under a temporary name, and then moved into place. The inverse is `decompress_file`.

    Parameters
    ----------
    inputs
        Files with jets, joined in this order; all have the same branches.
    output
        The compressed file.
    codec
        What codes the jets.
    tree, collection, unit
        Which tree, which jets in it, and the unit of their pt, mass and E, where names and values do not tell.
    keep, drop
        Patterns of the other branches to keep (all by default) and to leave out.
    compression
        Of the branches, as ``NAME:LEVEL``.
    force
        Replace an existing output.
    step_size
        Memory a step may take, or its number of entries.
    progress
        Called with the entries done and all entries after each step.

    Raises
    ------
    InputError
        If an input is missing or damaged, has no jets, or differs from the first in its branches.
    CodecError
        If the jets lack a column of the codec.
    OutputError
        If the output exists or cannot be written.
    """
    paths = [Path(path) for path in ([inputs] if isinstance(inputs, (str, Path)) else inputs)]
    output = Path(output)
    if any(path.exists() and output.exists() and path.samefile(output) for path in paths):
        raise OutputError(f"{output} is an input as well; name another output")
    with atomic_output(output, force=force) as temporary, ExitStack() as stack:
        sources = [stack.enter_context(open_source(path, tree=tree, unit=unit)) for path in paths]
        first = sources[0]
        chosen = choose_collection(first, collection)
        for source in sources[1:]:
            _check_alike(first, source)
        coded = _coded_columns(chosen, codec, first)
        coded_branches = {chosen.column(name).branch for name in coded}
        kept = {
            name: branch
            for name, branch in first.branches.items()
            if name in coded_branches or name == chosen.counter or _wanted(name, keep, drop)
        }
        branches = _with_latents(kept, coded_branches, chosen, codec)
        total = sum(source.num_entries for source in sources)
        tally = _Tally()
        with uproot.recreate(temporary, compression=parse_compression(compression)) as file:
            writer = TreeWriter(file, first.tree, branches)
            for source in sources:
                step = source.entries_per_step(step_size)
                for start, stop in steps(source.num_entries, step):
                    arrays = source.arrays(kept, start, stop)
                    jets = chosen.jets(arrays, codec.columns)
                    tally.jets += int(ak.count(kinematics.column(jets, "pt"), axis=None))
                    tally.replaced.update(codec.replaced(jets))
                    latents = codec.compress(jets)
                    arrays |= {f"{chosen.prefix}{name}": latents[name] for name in latents.fields}
                    writer.extend(arrays)
                    if progress is not None:
                        progress(writer.num_entries, total)
            coded_before = sum(source.stored_bytes(branch) for source in sources for branch in coded_branches)
            model = codec.to_bytes(encoder=False)
            header: dict[str, Any] = {
                "format_version": container.FORMAT_VERSION,
                "hepae": metadata.version("hepae"),
                "codec": "latent",
                "tree": first.tree,
                "source": {"format": first.format, "layout": first.layout.name},
                "branches": [_branch_config(branch) for branch in kept.values()],
                "left_out": [name for name in first.branches if name not in kept],
                "unreadable": list(first.unreadable),
                "collections": {
                    chosen.name: {
                        **chosen.to_config(),
                        "coded": list(coded),
                        "latents": [f"{chosen.prefix}{name}" for name in codec.latent_names],
                    }
                },
                "columns": list(codec.columns),
                "bounds": {},
                "edges": {},
                "events": total,
                "jets": tally.jets,
                "bytes": {
                    "file_original": sum(path.stat().st_size for path in paths),
                    "original": coded_before,
                },
                "replaced": dict(tally.replaced),
                "checksums": writer.digests.crc,
                "model_sha256": hashlib.sha256(codec.to_bytes()).hexdigest(),
                "stored_model_sha256": hashlib.sha256(model).hexdigest(),
            }
            container.write_part(file, container.Part(header, total, model))
        check_tree(temporary, first.tree, writer, first.entries_per_step(step_size))
        coded_after = _stored_bytes(temporary, first.tree, header["collections"][chosen.name]["latents"])
    notes = [first.unit_note] if first.unit_note else []
    if first.unreadable:
        notes.append(
            f"{len(first.unreadable)} branches that uproot cannot read were left out; the header lists them"
        )
    return CompressionSummary(
        chosen.name,
        codec.columns,
        total,
        tally.jets,
        header["bytes"]["file_original"],
        output.stat().st_size,
        coded_before,
        coded_after,
        {name: count for name, count in tally.replaced.items() if count},
        tuple(notes),
    )


def decompress_file(
    path: str | Path,
    output: str | Path,
    *,
    compression: str = COMPRESSION,
    force: bool = False,
    step_size: str | int = STEP_SIZE,
    progress: Report | None = None,
) -> DecompressionSummary:
    """Give back the file that was compressed: its branches by name, order, unit and type. The inverse is `compress_file`.

    Parameters
    ----------
    path
        A compressed file, also one that hadd joined of several.
    output
        The restored ROOT file.
    compression, force, step_size, progress
        As in `compress_file`.

    Raises
    ------
    InputError
        If the file is missing, damaged or not a compressed one.
    OutputError
        If the output exists or cannot be written.
    """
    path, output = Path(path), Path(output)
    if output.exists() and path.exists() and path.samefile(output):
        raise OutputError(f"{output} is the input as well; name another output")
    with atomic_output(output, force=force) as temporary, CompressedFile(path) as source:
        with uproot.recreate(temporary, compression=parse_compression(compression)) as file:
            writer = TreeWriter(file, source.tree, source.original_branches)
            for arrays in source.iterate_checked(step_size):
                writer.extend(arrays)
                if progress is not None:
                    progress(writer.num_entries, source.num_entries)
        check_tree(temporary, source.tree, writer, source.entries_per_step(step_size))
        events, jets = source.num_entries, source.header["jets"]
    return DecompressionSummary(events, jets, path.stat().st_size, output.stat().st_size)


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


def _coded_columns(collection: Collection, codec: LatentCodec, source: Source) -> tuple[str, ...]:
    """Columns of the file that the codec takes the place of."""
    try:
        return tuple(dict.fromkeys(collection.column(name).name for name in codec.columns))
    except KeyError as error:
        raise CodecError(
            f"the model codes columns {', '.join(codec.columns)}; collection {collection.name!r} of {source.path} has "
            f"no {error.args[0]}, only {', '.join(collection.column_names)}"
        ) from None


def _with_latents(
    kept: Mapping[str, Branch], coded: set[str], collection: Collection, codec: LatentCodec
) -> list[Branch]:
    """Branches of the compressed file: the latents stand where the first coded branch stood."""
    latents = [
        Branch(
            f"{collection.prefix}{name}",
            codec.latent_dtype,
            collection.counter is not None,
            collection.counter,
        )
        for name in codec.latent_names
    ]
    clash = [branch.name for branch in latents if branch.name in kept]
    if clash:
        raise InputError(
            f"the input has a branch {clash[0]!r} already; leave it out with --drop {clash[0]!r}"
        )
    branches: list[Branch] = []
    for name, branch in kept.items():
        if name not in coded:
            branches.append(branch)
        elif latents:
            branches += latents
            latents = []
    return branches


def _wanted(name: str, keep: Sequence[str], drop: Sequence[str]) -> bool:
    kept = not keep or any(fnmatch.fnmatchcase(name, pattern) for pattern in keep)
    return kept and not any(fnmatch.fnmatchcase(name, pattern) for pattern in drop)


def _check_alike(first: Source, other: Source) -> None:
    if other.tree != first.tree or other.branches != first.branches:
        differing = sorted({*first.branches.items()} ^ {*other.branches.items()}, key=lambda item: item[0])
        what = f"branch {differing[0][0]!r}" if differing else f"tree {other.tree!r}"
        raise InputError(f"{first.path} and {other.path} cannot be joined: {what} is not the same in both")


def _branch_config(branch: Branch) -> list[Any]:
    assert branch.dtype is not None  # TreeWriter refused the others
    return [branch.name, branch.dtype.str, branch.jagged, branch.counter, list(branch.shape)]


def _branch_from_config(config: list[Any]) -> Branch:
    name, dtype, jagged, counter, shape = config
    return Branch(name, np.dtype(dtype), jagged, counter, tuple(shape))


def _stored_bytes(path: Path, tree: str, branches: Sequence[str]) -> int:
    with uproot.open(path) as file:
        return sum(int(file[tree][name].compressed_bytes) for name in branches)
