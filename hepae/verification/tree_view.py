"""Trees of an original and of its compressed or restored version, seen alike: branches, and their arrays as the original had them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hepae.files.compressed import CompressedFile
from hepae.io.guards import reading
from hepae.io.ntuples import NtupleSource, TreeSource
from hepae.io.objects import objects_of
from hepae.io.sources import entries_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import awkward as ak

    from hepae.io.layouts import Branch
    from hepae.io.objects import ObjectRecord
    from hepae.io.sources import Source


@dataclass(frozen=True)
class TreeView:
    """One tree or table of a file.

    Parameters
    ----------
    name
        Of the tree.
    branches
        By name; those of a compressed file as the original had them.
    unreadable
        Names of the branches that uproot cannot read.
    num_entries
        Of the tree.
    read
        Arrays by branch name, of these names and entries.
    entries_per_step
        How many entries take this much memory.
    stored
        The TTree as uproot opened it, and paths in it by the names of branches; where there are none, what uproot cannot read cannot
        be compared.
    named
        Whether ``name`` is the file's own: a table has none.
    """

    name: str
    branches: Mapping[str, Branch]
    unreadable: Sequence[str]
    num_entries: int
    read: Callable[[list[str], int, int], dict[str, ak.Array]]
    entries_per_step: Callable[[str | int], int]
    stored: tuple[Any, Mapping[str, str]] | None = None
    named: bool = True

    @classmethod
    def of_source(cls, source: Source) -> TreeView:
        """Look at a tree or table that is not compressed."""
        return cls(
            source.tree,
            source.branches,
            source.unreadable,
            source.num_entries,
            source.arrays,
            source.entries_per_step,
            (source.file[source.tree], {name: source.origin(name).path for name in source.unreadable})
            if isinstance(source, TreeSource)
            else None,
            isinstance(source, NtupleSource),
        )

    @classmethod
    def of_compressed(cls, file: CompressedFile) -> TreeView:
        """Look at the events of a compressed file, the coded columns restored."""
        branches = {branch.name: branch for branch in file.original_branches}
        stored: tuple[Any, Mapping[str, str]] | None = (
            (file.file[file.tree], {}) if file.parts.cloned else None
        )
        return cls(
            file.tree, branches, (), file.num_entries, file.original_arrays, file.entries_per_step, stored
        )

    def names_of(self, names: Iterable[str]) -> dict[str, str]:
        """Names here of an original's branches: an RNTuple has ``:`` where a TTree has a dot or a slash."""
        found = {}
        for name in names:
            for own in (name, re.sub(r"[./\\\s]", ":", name)):
                if own in self.branches:
                    found[name] = own
                    break
        return found

    def arrays(self, names: Mapping[str, str], start: int, stop: int) -> dict[str, ak.Array]:
        """Arrays by the original's names; ``names`` as `names_of` gives them."""
        own = self.read(list(dict.fromkeys(names.values())), start, stop)
        return {name: own[mine] for name, mine in names.items()}

    @property
    def counters(self) -> set[str]:
        """Names of the branches that count lists."""
        return {branch.counter for branch in self.branches.values() if branch.jagged and branch.counter}


def other_trees(file: CompressedFile | Source) -> Iterator[TreeView]:
    """Every tree of a file beside that of the events, but for those that hepae adds to a compressed one."""
    if not isinstance(file, CompressedFile):
        for source in file.other_trees():
            yield TreeView.of_source(source)
        return
    for name, parts in file.parts.other_trees.items():
        tree = file.other_tree(name)
        branches = {branch.name: branch for branch in parts[0].branches}
        entries, size = tree.num_entries, tree.uncompressed_bytes

        def entries_per_step(step_size: str | int, size: int = size, entries: int = entries) -> int:
            return entries_in(step_size, size, entries)

        stored: tuple[Any, Mapping[str, str]] | None = (
            (file.file[name], {}) if name in file.parts.cloned else None
        )
        yield TreeView(name, branches, (), entries, tree.arrays, entries_per_step, stored)


def objects(file: CompressedFile | Source) -> set[ObjectRecord]:
    """Records of all objects of a file that are no trees, folders too; but for what ROOT writes anew with the trees (``TProcessID``)."""
    with reading(file.path):
        every = objects_of(file.file) if isinstance(file, CompressedFile) else file.objects()
        return {stored.record for stored in every if stored.classname != "TProcessID"}
