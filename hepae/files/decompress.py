"""decompress_file: a compressed file back to the file that was compressed."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import uproot

from hepae.errors import ConfigError, OutputError
from hepae.files.compressed import CompressedFile
from hepae.files.other_trees import restore_objects, restore_other_trees
from hepae.io.locations import locate, same_file
from hepae.io.objects import check_objects
from hepae.io.outputs import atomic_output
from hepae.io.sources import STEP_SIZE
from hepae.io.writers import COMPRESSION, ParquetWriter, check_tree, open_writer, parse_compression

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hepae.io.locations import Url
    from hepae.io.objects import StoredObject
    from hepae.io.writers import Writer

    Report = Callable[[int, int], None]
    """Called with the entries done and all entries."""


@dataclass(frozen=True)
class DecompressionSummary:
    """What `decompress_file` did: counts, and bytes of the whole file, before and after.

    ``notes`` are things a user should know.
    """

    events: int
    jets: int
    file_before: int
    file_after: int
    notes: tuple[str, ...] = ()


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
    if same_file(path, output):
        raise OutputError(f"{output} is the input as well; name another output")
    with atomic_output(output, force=force) as temporary, ExitStack() as stack:
        source = stack.enter_context(CompressedFile(path))
        branches, written, notes = source.original_branches, [], []
        objects: list[StoredObject] = []
        if output.suffix == ".parquet":
            if storage is not None:
                raise ConfigError(f"--format is of ROOT files; {output.name} is Parquet")
            parquet = stack.enter_context(ParquetWriter(temporary, branches, compression=compression))
            file: Any = parquet
            writer: Writer = parquet
            lost = dict.fromkeys(
                [*source.other_trees, *(record.name for part in source.objects for record in part)]
            )
            if lost:
                notes.append(f"a Parquet file holds the events only; left out: {', '.join(lost)}")
        else:
            file = stack.enter_context(uproot.recreate(temporary, compression=parse_compression(compression)))
            objects = restore_objects(source, file)
            kind = storage or source.storage
            writer = open_writer(file, source.tree, branches, kind, title=source.header.title, compact=True)
            written = restore_other_trees(source, file, storage, step_size)
        for arrays in source.iterate_checked(step_size):
            writer.extend(arrays)
            if progress is not None:
                progress(writer.num_entries, source.num_entries)
        writer.close()
        file.close()
        for tree in (writer, *written):
            check_tree(temporary, tree, source.entries_per_step(step_size))
        check_objects(temporary, objects)
        events, jets = source.num_entries, source.header.jets
    return DecompressionSummary(events, jets, path.stat().st_size, output.stat().st_size, tuple(notes))
