"""decompress_file: a compressed file back to the file that was compressed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import uproot

from hepae.errors import ConfigError, InputError, OutputError
from hepae.files.clone import can_be_cloned, restore_clone
from hepae.files.compressed import CompressedFile
from hepae.files.other_trees import restore_objects, restore_other_trees
from hepae.io.checksums import Checksums
from hepae.io.cloning import INSTALL, Filled, root_compression
from hepae.io.locations import locate, same_file
from hepae.io.objects import HISTORY, check_objects, copy_classes
from hepae.io.outputs import atomic_output
from hepae.io.parquet import HISTORY_KEY
from hepae.io.rootfiles import open_root
from hepae.io.sources import STEP_SIZE, steps
from hepae.io.tree_records import recreate, update
from hepae.io.writers import (
    ParquetWriter,
    TreeWriter,
    check_tree,
    not_for_ttrees,
    open_writer,
    parse_compression,
)
from hepae.io.written import ClonedTree

if TYPE_CHECKING:
    from collections.abc import Callable

    from hepae.io.locations import Url
    from hepae.io.writers import Writer

    Report = Callable[[int, int], None]
    """Called with the entries done and all entries."""


@dataclass(frozen=True)
class DecompressionSummary:
    """Result of `decompress_file`: counts, and bytes of the whole file, before and after.

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
    drop_unreadable: bool = False,
    compression: str | None = None,
    force: bool = False,
    command: str | None = None,
    step_size: str | int = STEP_SIZE,
    progress: Report | None = None,
) -> DecompressionSummary:
    """Restore the file that was compressed, with the names, order, units and types of its branches. The inverse is `compress_file`.

    Parameters
    ----------
    path
        A compressed file, also one that hadd joined.
    output
        The restored ROOT file, or a Parquet file of the events if its name ends in ``.parquet``.
    storage
        ``ttree`` or ``rntuple``; by default as in the compressed file.
    drop_unreadable
        Leave out branches that ROOT cloned and that cannot be written without it. Otherwise they are an error.
    compression, force, command, step_size, progress
        As in `compress_file`.

    Raises
    ------
    InputError
        If the file is missing, damaged or not a compressed file.
    OutputError
        If the output exists or cannot be written.
    """
    path, output = locate(path), locate(output)
    if same_file(path, output):
        raise OutputError(f"{output} is the input as well; name another output")
    if output.suffix == ".parquet" and storage is not None:
        raise ConfigError(f"--format applies to ROOT files only: leave it out for {output.name}")
    with atomic_output(output, force=force) as temporary, CompressedFile(path) as source:
        restoring = _Restoring(source, temporary, compression, command, step_size, progress)
        if output.suffix == ".parquet":
            notes = restoring.as_parquet(drop_unreadable=drop_unreadable)
        elif source.parts.cloned and storage != "rntuple" and _root_opens(source.path, temporary):
            notes = restoring.by_root()
        else:
            notes = restoring.by_uproot(storage, drop_unreadable=drop_unreadable)
        events, jets = source.num_entries, source.header.jets
    return DecompressionSummary(events, jets, path.stat().st_size, output.stat().st_size, notes)


def _root_opens(path: Path | Url, output: Path) -> bool:
    return isinstance(path, Path) and can_be_cloned([path, output])


@dataclass(frozen=True)
class _Restoring:
    """Writes the original of a compressed file; each way gives notes for the user."""

    source: CompressedFile
    output: Path
    compression: str | None
    command: str | None
    step_size: str | int
    progress: Report | None

    @property
    def history(self) -> str:
        """What the restored file says of its making."""
        return self.source.history.restoring(self.command).text()

    def as_parquet(self, *, drop_unreadable: bool) -> tuple[str, ...]:
        """Write the events as Parquet."""
        source = self.source
        lost = dict.fromkeys(
            [*source.parts.other_trees, *(record.name for part in source.parts.objects for record in part)]
        )
        notes = [f"a Parquet file holds the events only; left out: {', '.join(lost)}"] if lost else []
        notes += self._unreadable(drop_unreadable)
        metadata = {HISTORY_KEY: self.history}
        with ParquetWriter(
            self.output, source.original_branches, compression=self.compression, metadata=metadata
        ) as writer:
            self._write_events(writer)
        self._check(writer)
        return tuple(notes)

    def by_uproot(self, storage: str | None, *, drop_unreadable: bool) -> tuple[str, ...]:
        """Write a ROOT file branch by branch."""
        source, kind = self.source, storage or self.source.storage
        notes = self._unreadable(drop_unreadable)
        branches = source.original_branches
        if kind == "ttree" and (names := not_for_ttrees(branches)):
            raise OutputError(
                f"{source.path} has branches that uproot cannot write into a TTree ({', '.join(names[:5])}"
                f"{', …' if names[5:] else ''}): restore them with ROOT ({INSTALL}), or with --format rntuple"
            )
        with recreate(self.output, parse_compression(self.compression)) as file:
            objects = restore_objects(source, file)
            file[HISTORY] = self.history
            writer = open_writer(file, source.tree, branches, kind, title=source.header.title, compact=True)
            written = restore_other_trees(source, file, storage, self.step_size)
            self._write_events(writer)
            writer.close()
        self._check(writer, *written)
        check_objects(self.output, objects)
        return tuple(notes)

    def by_root(self) -> tuple[str, ...]:
        """Let ROOT clone again what it cloned before, and fill the coded branches in their original places."""
        source, side = self.source, self.output.with_name(f"{self.output.name}.side")
        source.parts.check_clones(source.file, source.path)
        places = source.header.places
        branches = {branch.name: branch for branch in source.original_branches if branch.name in places}
        values = {name: f"v{number}" for number, name in enumerate(branches)}
        counters = {
            branch.counter: f"n{number}" for number, branch in enumerate(branches.values()) if branch.jagged
        }
        plain = [
            replace(branch, name=values[name], counter=counters.get(branch.counter), title="")
            for name, branch in branches.items()
        ]
        with uproot.recreate(side, compression=uproot.LZ4(1)) as file:
            writer = TreeWriter(file, source.tree, plain, compact=True)
            for start, stop in steps(source.num_entries, source.entries_per_step(self.step_size)):
                restored = source.original_arrays([*branches], start, stop)
                writer.extend({values[name]: array for name, array in restored.items()})
                if self.progress is not None:
                    self.progress(stop, source.num_entries)
            writer.close()
        filled: dict[str, list[str]] = {}
        for name in branches:
            filled.setdefault(places[name][0], []).append(name)
        restore_clone(
            Path(str(source.path)),
            self.output,
            side,
            source.tree,
            source.parts.cloned,
            [
                Filled(
                    path,
                    tuple(values[name] for name in names),
                    tuple(places[name][1] for name in names),
                    tuple(places[name][2] for name in names),
                )
                for path, names in filled.items()
            ],
            None if self.compression is None else root_compression(parse_compression(self.compression)),
        )
        side.unlink()
        with update(self.output, parse_compression(self.compression)) as file:
            copy_classes(source.file, file)
            objects = restore_objects(source, file)
            file[HISTORY] = self.history
            written = restore_other_trees(source, file, None, self.step_size, done=source.parts.cloned)
        self._check(*written)
        check_objects(self.output, objects)
        self._check_filled(values, writer)
        return ()

    def _check_filled(self, values: dict[str, str], written: TreeWriter) -> None:
        """Read back what ROOT filled, and compare it with what it was filled from."""
        found = Checksums()
        with open_root(self.output) as file:
            tree = ClonedTree(self.output, file, self.source.tree)
            for start, stop in steps(tree.num_entries, self.source.entries_per_step(self.step_size)):
                arrays = tree.arrays(values, start, stop)
                found.update({values[name]: array for name, array in arrays.items()})
        expected = {name: written.checksums.by_branch.get(name, []) for name in values.values()}
        if wrong := {*found.differing(expected)}:
            named = ", ".join([name for name, value in values.items() if value in wrong][:5])
            raise OutputError(
                f"ROOT would change branches {named}; set HEPAE_ROOT=off to restore them with uproot"
            )

    def _write_events(self, writer: Writer) -> None:
        for arrays in self.source.iterate_checked(self.step_size):
            writer.extend(arrays)
            if self.progress is not None:
                self.progress(writer.num_entries, self.source.num_entries)

    def _check(self, *written: Writer) -> None:
        for tree in written:
            check_tree(self.output, tree, self.source.entries_per_step(self.step_size))

    def _unreadable(self, drop: bool) -> list[str]:
        """Say what uproot cannot restore of what ROOT cloned."""
        names = self.source.parts.only_root
        if not names:
            return []
        named = f"{len(names)} {'branches' if names[1:] else 'branch'} that uproot cannot read ({', '.join(names[:5])}{', …' if names[5:] else ''})"
        if not drop:
            raise InputError(
                f"{self.source.path} has {named}: restore them with ROOT ({INSTALL}) into a TTree, or leave them out with "
                "--drop-unreadable"
            )
        return [f"left out: {named}"]
