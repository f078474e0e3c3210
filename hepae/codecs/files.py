"""Whole files: compress, decompress, and open a compressed one."""

from __future__ import annotations

import fnmatch
import hashlib
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import uproot

from hepae import kinematics
from hepae.codecs.compressed import CompressedFile
from hepae.errors import CodecError, InputError, OutputError
from hepae.io import container
from hepae.io.layouts import Branch, Collection
from hepae.io.readers import (
    STEP_SIZE,
    choose_collection,
    open_source,
    steps,
)
from hepae.io.writers import COMPRESSION, TreeWriter, atomic_output, check_tree, parse_compression

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hepae.codecs.latent import LatentCodec
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


def _stored_bytes(path: Path, tree: str, branches: Sequence[str]) -> int:
    with uproot.open(path) as file:
        return sum(int(file[tree][name].compressed_bytes) for name in branches)
