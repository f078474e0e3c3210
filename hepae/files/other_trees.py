"""The other trees of a file (``Runs``, ``MetaData``): copied into the compressed file as they are, and back."""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING, Any

from hepae.errors import InputError
from hepae.io.layouts import Branch
from hepae.io.ntuples import WrittenTree
from hepae.io.sources import entries_in, steps
from hepae.io.writers import Digests, Writer, open_writer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hepae.files.compressed import CompressedFile
    from hepae.io.sources import Source


def copy_other_trees(
    sources: Sequence[Source],
    file: Any,
    storage: str,
    step_size: str | int,
    *,
    keep: Sequence[str] = (),
    drop: Sequence[str] = (),
) -> list[Writer]:
    """Copy all trees but the sources' own ones into an open file of ``uproot.recreate``, the sources' joined in order.

    Parameters
    ----------
    sources
        Files that have the same trees.
    file, storage
        Where to write, and as what.
    step_size
        Memory a step may take.
    keep, drop
        Patterns of branches, ``TREE/BRANCH``, to keep (all by default) and to leave out.

    Raises
    ------
    InputError
        If a tree is not the same in all sources.
    OutputError
        If a branch cannot be written as that storage.
    """

    def may_be_wanted(tree: str) -> bool:  # opening one can take seconds
        some = not keep or any(fnmatch.fnmatchcase(tree, pattern.partition("/")[0]) for pattern in keep)
        return some and f"{tree}/*" not in drop

    writers: dict[str, Writer] = {}
    for source in sources:
        for tree in source.other_trees(may_be_wanted):
            names = [name for name in tree.branches if wanted(f"{tree.tree}/{name}", keep, drop)]
            kept = [tree.branches[name] for name in names]
            if tree.tree not in writers and source is sources[0] and kept:
                writers[tree.tree] = open_writer(file, tree.tree, kept, storage)
            writer = writers.get(tree.tree)
            if (writer is None and kept) or (writer is not None and [*writer.branches.values()] != kept):
                raise InputError(
                    f"tree {tree.tree!r} is not the same in {sources[0].path} and {source.path}; leave it out with "
                    f"--drop {tree.tree + '/*'!r}"
                )
            if writer is not None:
                for start, stop in steps(tree.num_entries, tree.entries_per_step(step_size)):
                    writer.extend(tree.arrays(writer.branches, start, stop))
    return [*writers.values()]


def wanted(name: str, keep: Sequence[str], drop: Sequence[str]) -> bool:
    """Whether a branch is kept by these patterns."""
    kept = not keep or any(fnmatch.fnmatchcase(name, pattern) for pattern in keep)
    return kept and not any(fnmatch.fnmatchcase(name, pattern) for pattern in drop)


def tree_config(writer: Writer) -> dict[str, Any]:
    """Say as JSON what was written of a tree."""
    return {
        "entries": writer.num_entries,
        "branches": [branch.to_config() for branch in writer.branches.values()],
        "fields": writer.fields,
        "checksums": writer.digests.crc,
    }


def restore_other_trees(
    source: CompressedFile, open_copy: Callable[[str, list[Branch]], Writer], step_size: str | int
) -> list[Writer]:
    """Copy the other trees out of a compressed file again, and check what is stored on the way.

    Raises
    ------
    InputError
        If a tree does not have the checksums that the header says.
    """
    writers = []
    for name, parts in source.other_trees.items():
        branches = [Branch.from_config(config) for config in parts[0]["branches"]]
        writer = open_copy(name, branches)
        tree = WrittenTree(source.file, name, parts[0]["fields"])
        step, first = entries_in(step_size, tree.uncompressed_bytes, tree.num_entries), 0
        for part in parts:
            found = Digests()
            for start, stop in steps(part["entries"], step):
                arrays = tree.arrays(writer.branches, first + start, first + stop)
                found.update({branch: arrays[branch] for branch in part["checksums"]})
                writer.extend(arrays)
            wrong = [
                branch for branch, crc in part["checksums"].items() if found.crc.get(branch) != tuple(crc)
            ]
            if wrong and part["entries"]:
                raise InputError(
                    f"{source.path} is damaged: {', '.join(wrong[:5])} of tree {name!r} are not what was written"
                )
            first += part["entries"]
        writers.append(writer)
    return writers
