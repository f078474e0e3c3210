"""compress_file: files with jets to one compressed file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hepae.bounds import Bounds
from hepae.errors import OutputError
from hepae.files.clone import can_be_cloned
from hepae.files.compressed import CompressedFile
from hepae.files.compression import ClonedCompression, Compression
from hepae.files.header import CodedCollection, by_column
from hepae.files.plan import Options, Plan, plan
from hepae.io.inputs import Inputs
from hepae.io.locations import locate, same_file
from hepae.io.objects import check_objects
from hepae.io.outputs import atomic_output
from hepae.io.sources import STEP_SIZE
from hepae.io.writers import check_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from hepae.codec import Codec
    from hepae.io.locations import Url

    Report = Callable[[int, int], None]
    """Called with the entries done and all entries."""


@dataclass(frozen=True)
class CollectionSummary:
    """Result for one collection: its jets, columns with a bound and exact ones, and their bytes before and after."""

    jets: int
    bounded: int
    exact: int
    before: int
    after: int


@dataclass(frozen=True)
class CompressionSummary:
    """Result of `compress_file`: counts, and bytes of the whole file and of the coded columns, before and after.

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
    compression: str | None = None,
    force: bool = False,
    entry_start: int = 0,
    entry_stop: int | None = None,
    again: bool = False,
    command: str | None = None,
    step_size: str | int = STEP_SIZE,
    progress: Report | None = None,
) -> CompressionSummary:
    """Compress the jets of one or more files into one ROOT file; every other branch is copied unchanged.

    The compressed file holds everything that is needed to read it, the model included. It is written in steps under a temporary
    name, read back and checked, and only then gets its name. The inverse is `decompress_file`.

    Parameters
    ----------
    inputs
        Files with jets, joined in this order: paths, patterns such as ``data/*.root``, and fsspec URLs. All have the same
        branches.
    output
        The compressed file. For a URL it is written on this machine first, then copied.
    codec
        A `BoundedCodec` or a `LatentCodec`.
    tree, collection, unit
        Tree, collections (a name, several, or patterns such as ``*Jet``), and unit of pt, mass and E (MeV or GeV), if hepae cannot
        tell them from names and values.
    all_numbers
        Also code the numbers of the event (MET, trigger bits, weights), as a collection with the tree's name, each list that is in
        no collection, and all collections unless ``collection`` names some. Floats without a bound stay exact.
    keep, drop
        Patterns of the other branches to keep (all by default) and to leave out; those of the file's other trees are
        called ``TREE/BRANCH``. Other objects of the file, such as histograms, are kept and left out by their names.
    drop_unreadable
        Leave out branches that uproot cannot read and objects that cannot be copied. Otherwise they are an error.
    storage
        ``ttree`` or ``rntuple``; an RNTuple takes branches of any type. By default an RNTuple is written as an RNTuple, and
        anything else as a TTree.
    compression
        Compression of the branches, as ``NAME:LEVEL``. By default, branches that ROOT clones keep theirs, and others have zstd:5.
    force
        Replace an existing output.
    entry_start, entry_stop
        Range of entries to compress, counted over all inputs; all by default.
    again
        Allow inputs that were restored from compressed files, and record the sum of both bounds. Otherwise they are an error.
    command
        Text of the command, for the file's history.
    step_size
        Memory of one step (``"100 MB"``), or its number of entries.
    progress
        Called after each step with the number of entries done and of all entries.

    Raises
    ------
    InputError
        If an input is missing or damaged, has no jets, differs from the first in its branches, or has branches or objects
        that cannot be read, or was restored from a compressed file.
    CodecError
        If the jets lack a column of the model.
    ConfigError
        If a bound or an edge names a column that does not exist or that cannot have one.
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
            kind = Compression if what.clone is None else ClonedCompression
            writing = kind(what, codec, storage, step_size, options)
            header = writing.write(files, temporary, compression, command, progress)
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
