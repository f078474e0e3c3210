"""Whole files: compress, decompress, and open a compressed one."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np
import uproot

from hepae.bounded.codec import BoundedCodec, resolve
from hepae.errors import ConfigError, InputError, OutputError
from hepae.files import header as container
from hepae.files.collection_writer import Coder, coded_columns
from hepae.files.compressed import CompressedFile
from hepae.files.other_trees import copy_other_trees, restore_other_trees, tree_config, wanted
from hepae.files.payload import PayloadWriter
from hepae.io.layouts import Branch
from hepae.io.locations import expand, locate
from hepae.io.readers import choose_collections, open_source
from hepae.io.sources import STEP_SIZE, steps
from hepae.io.writers import (
    COMPRESSION,
    ParquetWriter,
    atomic_output,
    check_tree,
    open_writer,
    parse_compression,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hepae.bounds import Bounds
    from hepae.io.layouts import Collection
    from hepae.io.locations import Location, Url
    from hepae.io.sources import Source
    from hepae.io.writers import Writer
    from hepae.latent.codec import LatentCodec

    Report = Callable[[int, int], None]
    """Called with the entries done and all entries."""


_ROWS = Branch("hepae_rows", np.dtype(np.uint8))
"""Zeros that make the events' tree where every branch was coded: a tree without branches cannot be written."""


@dataclass(frozen=True)
class CompressionSummary:
    """What `compress_file` did: counts, and bytes of the whole file and of the coded columns, before and after.

    ``replaced`` counts, by column, the values that the codec cannot say and put another in place of. ``bounds`` are
    those that were kept, ``notes`` things a user should know. With several collections columns are called
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


@dataclass(frozen=True)
class DecompressionSummary:
    """What `decompress_file` did: counts, and bytes of the whole file, before and after."""

    events: int
    jets: int
    file_before: int
    file_after: int


def compress_file(
    inputs: str | Path | Url | Sequence[str | Path | Url],
    output: str | Path | Url,
    codec: LatentCodec | BoundedCodec,
    *,
    tree: str | None = None,
    collection: str | Sequence[str] | None = None,
    unit: str | None = None,
    keep: Sequence[str] = (),
    drop: Sequence[str] = (),
    storage: str = "ttree",
    compression: str = COMPRESSION,
    force: bool = False,
    entry_start: int = 0,
    entry_stop: int | None = None,
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
    keep, drop
        Patterns of the other branches to keep (all by default) and to leave out; those of the file's other trees are
        called ``TREE/BRANCH``.
    storage
        What the events are written as: ttree, or rntuple, which takes branches of any type.
    compression
        Of the branches, as ``NAME:LEVEL``.
    force
        Replace an existing output.
    entry_start, entry_stop
        Entries to compress, of the inputs joined; all by default. Of the inputs' bytes their share is counted.
    step_size
        Memory a step may take, or its number of entries.
    progress
        Called with the entries done and all entries after each step.

    Raises
    ------
    InputError
        If an input is missing or damaged, has no jets, or differs from the first in its branches.
    CodecError
        If the jets lack a column of the model.
    ConfigError
        If a bound or an edge is for a column that is not there or takes none.
    OutputError
        If the output exists or cannot be written.
    """
    paths, output = expand(inputs), locate(output)
    if any(_same(path, output) for path in paths):
        raise OutputError(f"{output} is an input as well; name another output")
    with atomic_output(output, force=force) as temporary, ExitStack() as stack:
        sources = [stack.enter_context(open_source(path, tree=tree, unit=unit)) for path in paths]
        first = sources[0]
        chosen = choose_collections(first, collection)
        for source in sources[1:]:
            _check_alike(first, source)
        file = stack.enter_context(uproot.recreate(temporary, compression=parse_compression(compression)))
        model = None if isinstance(codec, BoundedCodec) else codec
        columns = {c.name: coded_columns(model, c, str(first.path)) for c in chosen}
        bounds = _bounds(codec.bounds, chosen, columns, str(first.path))
        payload = stack.enter_context(PayloadWriter(file)) if bounds else None
        coders = [
            Coder(c, columns[c.name], model=model, bounds=bounds.get(c.name), payload=payload) for c in chosen
        ]
        coded = {name for coder in coders for name in coder.coded_branches}
        counters = {collection.counter for collection in chosen}
        kept = {
            name: branch
            for name, branch in first.branches.items()
            if name in coded or name in counters or wanted(name, keep, drop)
        }
        branches = _with_new_branches(kept, coders)
        writer = open_writer(file, first.tree, branches, storage, counters=counters)
        ranges = _ranges(sources, entry_start, entry_stop)
        total = sum(end - begin for _, begin, end in ranges)
        done = 0
        for source, begin, end in ranges:
            for start, stop in steps(end - begin, source.entries_per_step(step_size)):
                arrays = source.arrays(kept, begin + start, begin + stop)
                for coder in coders:
                    arrays.update(coder.encode(arrays))
                if _ROWS.name in writer.branches:
                    arrays[_ROWS.name] = ak.Array(np.zeros(stop - start, np.uint8))
                writer.extend(arrays)
                done += stop - start
                if progress is not None:
                    progress(done, total)
        for coder in coders:
            coder.finish()
        if payload is not None:
            payload.finish()
        whole = [
            source for source, begin, _ in ranges if begin == 0
        ]  # of files cut in pieces the first has them
        others = copy_other_trees(whole, file, storage, step_size, keep=keep, drop=drop)
        stored = b"" if model is None else model.to_bytes(encoder=False)
        header: dict[str, Any] = {
            **_counts(coders, ranges),
            **_what_was_coded(coders),
            "format_version": container.FORMAT_VERSION,
            "hepae": metadata.version("hepae"),
            "codec": "bounded" if model is None else "latent",
            "tree": first.tree,
            "source": {"format": first.format, "layout": first.layout.name},
            "storage": storage,
            "branches": [branch.to_config() for branch in kept.values()],
            "fields": writer.fields,
            "other_trees": {other.name: tree_config(other) for other in others},
            "left_out": [name for name in first.branches if name not in kept],
            "unreadable": list(first.unreadable),
            "checksums": writer.digests.crc,
            "model_sha256": None if model is None else hashlib.sha256(model.to_bytes()).hexdigest(),
            "stored_model_sha256": hashlib.sha256(stored).hexdigest() if stored else None,
        }
        container.write_part(file, container.Part(header, total, stored))
        file.close()
        for written in (writer, *others, *([payload.tree] if payload else [])):
            check_tree(temporary, written, first.entries_per_step(step_size))
        with CompressedFile(temporary) as compressed:
            coded_after = compressed.header["bytes"]["compressed"]
        notes = [first.unit_notes[c.name] for c in chosen if c.name in first.unit_notes]
        if first.unreadable:
            notes.append(
                f"{len(first.unreadable)} branches that cannot be read were left out; the header lists them"
            )
    return CompressionSummary(
        tuple(header["collections"]),
        tuple(header["columns"]),
        total,
        header["jets"],
        header["bytes"]["file_original"],
        output.stat().st_size,
        header["bytes"]["original"],
        coded_after,
        {name: count for name, count in header["replaced"].items() if count},
        header["bounds"],
        tuple(notes),
    )


def decompress_file(
    path: str | Path | Url,
    output: str | Path | Url,
    *,
    storage: str | None = None,
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
        The restored ROOT file, or a Parquet file of the events where its name ends in ``.parquet``.
    storage
        What the events are written as, ttree or rntuple; as in the compressed file by default.
    compression, force, step_size, progress
        As in `compress_file`.

    Raises
    ------
    InputError
        If the file is missing, damaged or not a compressed one.
    OutputError
        If the output exists or cannot be written.
    """
    path, output = locate(path), locate(output)
    if _same(path, output):
        raise OutputError(f"{output} is the input as well; name another output")
    with atomic_output(output, force=force) as temporary, ExitStack() as stack:
        source = stack.enter_context(CompressedFile(path))
        branches, written = source.original_branches, []
        if output.suffix == ".parquet":
            if storage is not None:
                raise ConfigError(f"--format is of ROOT files; {output.name} is Parquet")
            parquet = ParquetWriter(temporary, branches, compression=compression)
            writer: Writer = stack.enter_context(parquet)
            close = parquet.close
        else:
            file = stack.enter_context(uproot.recreate(temporary, compression=parse_compression(compression)))
            kind = storage or source.storage
            writer = open_writer(file, source.tree, branches, kind)
            written = restore_other_trees(source, partial(open_writer, file, storage=kind), step_size)
            close = file.close
        for arrays in source.iterate_checked(step_size):
            writer.extend(arrays)
            if progress is not None:
                progress(writer.num_entries, source.num_entries)
        close()
        for tree in (writer, *written):
            check_tree(temporary, tree, source.entries_per_step(step_size))
        events, jets = source.num_entries, source.header["jets"]
    return DecompressionSummary(events, jets, path.stat().st_size, output.stat().st_size)


def _same(one: Location, other: Location) -> bool:
    """Whether two locations are the same file."""
    if isinstance(one, Path) and isinstance(other, Path):
        return one.exists() and other.exists() and one.samefile(other)
    return one == other


def _bounds(
    asked: Bounds | None,
    collections: Sequence[Collection],
    columns: Mapping[str, Sequence[str]],
    where: str,
) -> dict[str, Bounds]:
    """Bounds of the columns that will be coded, by collection; none where none is asked for."""
    if asked is None:
        return {}
    types = {
        collection.name: {name: np.dtype(collection.column(name).dtype) for name in columns[collection.name]}
        for collection in collections
    }
    try:
        return resolve(asked, types)
    except ConfigError as error:
        raise ConfigError(f"{error} (in {where})") from None


def _counts(coders: Sequence[Coder], ranges: Sequence[tuple[Source, int, int]]) -> dict[str, Any]:
    """Events, jets and bytes for the header."""
    coded = {name for coder in coders for name in coder.coded_branches}
    return {
        "events": sum(end - begin for _, begin, end in ranges),
        "jets": sum(coder.jets for coder in coders),
        "bytes": {
            "file_original": sum(
                _share(source.path.stat().st_size, source, begin, end) for source, begin, end in ranges
            ),
            "original": sum(
                _share(source.stored_bytes(name), source, begin, end)
                for source, begin, end in ranges
                for name in coded
            ),
        },
    }


def _what_was_coded(coders: Sequence[Coder]) -> dict[str, Any]:
    """Collections, and their columns, bounds and edges, for the header."""
    configs = {coder.collection.name: coder.to_config() for coder in coders}
    columns = {name: dict.fromkeys(config["coded"]) for name, config in configs.items()}
    return {
        "collections": configs,
        "columns": list(_by_column(columns)),
        "bounds": _by_column({name: config["bounds"] for name, config in configs.items()}),
        "edges": _by_column({name: config["edges"] for name, config in configs.items()}),
        "replaced": _by_column({coder.collection.name: dict(coder.replaced) for coder in coders}),
    }


def _by_column(collections: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What there is by column: of one collection by its name, of several by ``Collection.column``."""
    if len(collections) == 1:
        return dict(next(iter(collections.values())))
    return {
        f"{collection}.{name}": value
        for collection, found in collections.items()
        for name, value in found.items()
    }


def _with_new_branches(kept: Mapping[str, Branch], coders: Sequence[Coder]) -> list[Branch]:
    """Branches of the compressed file: new ones stand where the first coded branch of their collection stood."""
    new = {coder.collection.name: coder.new_branches for coder in coders}
    clash = [branch.name for found in new.values() for branch in found if branch.name in kept]
    if clash:
        raise InputError(
            f"the input has a branch {clash[0]!r} already; leave it out with --drop {clash[0]!r}"
        )
    owners = {branch: coder.collection.name for coder in coders for branch in coder.coded_branches}
    branches: list[Branch] = []
    for name, branch in kept.items():
        branches += new.pop(owners[name], []) if name in owners else [branch]
    return branches or [_ROWS]


def _ranges(
    sources: Sequence[Source], entry_start: int, entry_stop: int | None
) -> list[tuple[Source, int, int]]:
    """Cut a range of entries of the sources joined into one of each."""
    total = sum(source.num_entries for source in sources)
    begin, end, _ = slice(entry_start, entry_stop).indices(total)
    ranges, first = [], 0
    for source in sources:
        start = min(max(begin - first, 0), source.num_entries)
        ranges.append((source, start, min(max(end - first, start), source.num_entries)))
        first += source.num_entries
    return ranges


def _share(size: int, source: Source, begin: int, end: int) -> int:
    """Bytes of a range of entries, so that those of all ranges add up to what the source has."""
    entries = source.num_entries
    return size * end // entries - size * begin // entries if entries else size


def _check_alike(first: Source, other: Source) -> None:
    if other.tree != first.tree or other.branches != first.branches:
        differing = sorted({*first.branches.items()} ^ {*other.branches.items()}, key=lambda item: item[0])
        what = f"branch {differing[0][0]!r}" if differing else f"tree {other.tree!r}"
        raise InputError(f"{first.path} and {other.path} cannot be joined: {what} is not the same in both")
