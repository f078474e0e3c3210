"""The other content of a file (trees such as ``Runs``, histograms): copied into the compressed file, and back."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hepae.errors import ConfigError, InputError
from hepae.files.header import StoredTree
from hepae.io.checksums import Checksums
from hepae.io.guards import reading
from hepae.io.objects import ObjectRecord, StoredObject, copy_objects, objects_of
from hepae.io.readers import nearest
from hepae.io.sources import entries_in, steps
from hepae.io.writers import Writer, open_writer, storage_of

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

    from hepae.files.compressed import CompressedFile
    from hepae.io.locations import Location
    from hepae.io.sources import Source


class OtherTrees:
    """Copies all but the jets' own tree into the compressed file: trees of several inputs joined in order, other objects once.

    Parameters
    ----------
    file, storage
        An open file of ``uproot.recreate``, and what the trees are written as; each as it came by default.
    step_size
        Memory of one step (``"100 MB"``), or its number of entries.
    keep, drop
        Patterns of branches, ``TREE/BRANCH``, and of other objects, to keep (all by default) and to leave out.
    cloned
        Trees that ROOT clones, and with them what their references need (``TProcessID``).
    """

    def __init__(
        self,
        file: Any,
        storage: str | None,
        step_size: str | int,
        *,
        keep: Sequence[str],
        drop: Sequence[str],
        cloned: Container[str] = (),
    ):
        self.writers: dict[str, Writer] = {}
        self.objects: list[StoredObject] = []
        """Objects that are no trees, as the first input holds them."""
        self.left_out: list[str] = []
        """Branches that the patterns leave out, ``TREE/BRANCH``, or ``TREE/*`` of a tree of which nothing is kept."""
        self._file, self._storage, self._step_size = file, storage, step_size
        self._keep, self._drop, self._cloned = keep, drop, cloned
        self._first: Location | None = None

    def copy(self, source: Source) -> None:
        """Copy the other trees and objects of an input.

        Raises
        ------
        InputError
            If a tree or an object is not the same as in the first input.
        OutputError
            If a branch cannot be written as that storage.
        """
        is_first = self._first is None
        self._first = self._first or source.path
        self._copy_objects(source, is_first)
        if is_first:
            others = (tree for tree in source.trees if tree != source.tree and tree not in self._cloned)
            self.left_out += [f"{tree}/*" for tree in others if not self._may_be_wanted(tree)]
        for tree in source.other_trees(lambda name: name not in self._cloned and self._may_be_wanted(name)):
            names = [name for name in tree.branches if wanted(f"{tree.tree}/{name}", self._keep, self._drop)]
            kept = [tree.branches[name] for name in names]
            if is_first:
                out = [f"{tree.tree}/{name}" for name in tree.branches if name not in names]
                self.left_out += out if kept else [f"{tree.tree}/*"] * bool(out)
                if kept:
                    storage = self._storage or storage_of(tree.format)
                    self.writers[tree.tree] = open_writer(
                        self._file, tree.tree, kept, storage, title=tree.title, compact=True
                    )
            writer = self.writers.get(tree.tree)
            if (writer is None and kept) or (writer is not None and [*writer.branches.values()] != kept):
                raise InputError(
                    f"tree {tree.tree!r} is not the same in {self._first} and {source.path}; leave it out with "
                    f"--drop {tree.tree + '/*'!r}"
                )
            if writer is not None:
                for start, stop in steps(tree.num_entries, tree.entries_per_step(self._step_size)):
                    writer.extend(tree.arrays(writer.branches, start, stop))

    def _copy_objects(self, source: Source, is_first: bool) -> None:
        with reading(source.path):
            with_trees = ("TProcessID",) if source.tree in self._cloned else ()
            every = [
                stored
                for stored in source.objects()
                if stored.can_be_copied and stored.classname not in with_trees
            ]
            objects = [stored for stored in every if wanted(stored.name, self._keep, self._drop)]
            records = {stored.record for stored in objects}
        if is_first:
            self.left_out += [stored.name for stored in every if stored not in objects]
            with reading(source.path):
                copy_objects(objects, self._file)
            self.objects = objects
        elif differing := {record.name for record in records ^ {stored.record for stored in self.objects}}:
            raise InputError(f"{self._first} and {source.path} cannot be joined: {differ(differing)}")

    def _may_be_wanted(self, tree: str) -> bool:
        return may_be_wanted(tree, self._keep, self._drop)


def may_be_wanted(tree: str, keep: Sequence[str], drop: Sequence[str]) -> bool:
    """Whether a branch of this tree may be kept: opening a tree can take seconds."""
    reached = not keep or any(_reaches(pattern, tree) for pattern in keep)
    return reached and f"{tree}/*" not in drop and wanted(tree, (), drop)


@dataclass(frozen=True)
class Unreadable:
    """What an input holds that cannot be copied: branches (``TREE/BRANCH`` of another tree), and classes of objects by name."""

    branches: tuple[str, ...]
    objects: Mapping[str, str]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of both."""
        return (*self.branches, *self.objects)

    def __str__(self) -> str:
        named = [f"{name}: {classname}" for name, classname in self.objects.items()]
        told = [
            f"{len(names)} {what} that {why} ({', '.join(names[:5])}{', …' if names[5:] else ''})"
            for what, why, names in (
                ("branches" if len(self.branches) > 1 else "branch", "uproot cannot read", self.branches),
                ("objects" if len(named) > 1 else "object", "cannot be copied without ROOT", named),
            )
            if names
        ]
        return " and ".join(told)


def find_unreadable(
    source: Source, keep: Sequence[str], drop: Sequence[str], *, cloned: Container[str] = ()
) -> Unreadable:
    """Find what of an input cannot be copied, though it is wanted; ROOT clones some trees, whatever is in them."""
    branches = [] if source.tree in cloned else list(source.unreadable)
    objects: dict[str, str] = {}
    for tree in source.other_trees(lambda name: name not in cloned and may_be_wanted(name, keep, drop)):
        branches += [f"{tree.tree}/{name}" for name in tree.unreadable]
        if not tree.branches and not tree.unreadable:
            objects[tree.tree] = "a tree without branches"
    with reading(source.path):
        objects |= {stored.name: stored.classname for stored in source.objects() if not stored.can_be_copied}
    return Unreadable(
        tuple(name for name in dict.fromkeys(branches) if wanted(name, keep, drop)),
        {name: classname for name, classname in objects.items() if wanted(name, keep, drop)},
    )


def differ(names: Iterable[str]) -> str:
    """Error text: which objects differ, and what to do."""
    names = sorted(names)
    options = " ".join(f"--drop {name!r}" for name in names[:5])
    more = ", …" if names[5:] else ""
    return f"objects differ ({', '.join(names[:5])}{more}); leave them out with {options}"


def check_patterns(source: Source, keep: Sequence[str], drop: Sequence[str]) -> None:
    """Refuse patterns of branches that match nothing in an input: most likely they are misspelt.

    Raises
    ------
    ConfigError
        If there is one; the error has the nearest names.
    """
    names = [*source.branches, *source.unreadable, *(stored.name for stored in source.objects())]
    others = [tree for tree in source.trees if tree != source.tree]

    def unmatched() -> Iterator[tuple[str, str]]:
        for option, patterns in (("--keep", keep), ("--drop", drop)):
            for pattern in patterns:
                whole = pattern.endswith("/*") and pattern.removesuffix("/*") in others
                if not whole and not any(fnmatch.fnmatchcase(name, pattern) for name in names):
                    yield option, pattern

    patterns = [pattern for _, pattern in unmatched()]
    if patterns:
        for tree in source.other_trees(lambda name: any(_reaches(pattern, name) for pattern in patterns)):
            names += [f"{tree.tree}/{name}" for name in (*tree.branches, *tree.unreadable)]
    for option, pattern in unmatched():
        names += [f"{tree}/*" for tree in others]
        raise ConfigError(
            f"{option} {pattern!r} matches no branch or object of {source.path}{nearest(pattern, names)}"
        )


def _reaches(pattern: str, tree: str) -> bool:
    """Whether a pattern may match branches of this tree, ``TREE/BRANCH``."""
    return fnmatch.fnmatchcase(tree, pattern.partition("/")[0])


def wanted(name: str, keep: Sequence[str], drop: Sequence[str]) -> bool:
    """Whether a branch is kept by these patterns."""
    kept = not keep or any(fnmatch.fnmatchcase(name, pattern) for pattern in keep)
    return kept and not any(fnmatch.fnmatchcase(name, pattern) for pattern in drop)


def stored_tree(writer: Writer) -> StoredTree:
    """What was written of a tree, for the header."""
    return StoredTree(
        writer.num_entries, tuple(writer.branches.values()), writer.fields, writer.checksums.by_branch
    )


def restore_other_trees(
    source: CompressedFile,
    file: Any,
    storage: str | None,
    step_size: str | int,
    *,
    done: Container[str] = (),
) -> list[Writer]:
    """Copy the other trees out of a compressed file again, as they are stored by default, and check them on the way.

    Those that ROOT cloned are checked before; those that are ``done`` are left out.

    Raises
    ------
    InputError
        If a tree does not have the checksums that the header says.
    """
    writers: list[Writer] = []
    for name, parts in source.parts.other_trees.items():
        if name in done:
            continue
        tree = source.other_tree(name)
        titles = tree.titles
        branches = [replace(branch, title=titles.get(branch.name, "")) for branch in parts[0].branches]
        writer = open_writer(file, name, branches, storage or tree.storage, title=tree.title, compact=True)
        if tree.num_entries != sum(part.entries for part in parts):
            raise InputError(
                f"{source.path} is damaged: tree {name!r} does not have the number of entries in its header"
            )
        step, first = entries_in(step_size, tree.uncompressed_bytes, tree.num_entries), 0
        for part in parts:
            found = Checksums()
            for start, stop in steps(part.entries, step):
                names = dict.fromkeys([*writer.branches, *part.checksums])
                arrays = tree.arrays(names, first + start, first + stop)
                found.update(arrays)
                writer.extend(arrays)
            if wrong := found.differing(part.checksums) if part.entries else []:
                raise InputError(
                    f"{source.path} is damaged: checksum mismatch in {', '.join(wrong[:5])} of tree {name!r}"
                )
            first += part.entries
        writer.close()
        writers.append(writer)
    return writers


def restore_objects(source: CompressedFile, file: Any) -> list[StoredObject]:
    """Copy the objects that are no trees out of a compressed file again.

    They are checked against the header, unless ROOT's hadd joined the file, which adds histograms up.

    Raises
    ------
    InputError
        If an object does not have the checksum that the header says.
    """
    with reading(source.path):
        objects = checked_objects(source.file, source.path, source.parts.objects)
        copy_objects(objects, file)
    return objects


def checked_objects(file: Any, path: Location, parts: Sequence[Sequence[ObjectRecord]]) -> list[StoredObject]:
    """Objects of an open compressed file, which the header of each of its parts lists.

    Raises
    ------
    InputError
        If the file has one part, and an object does not have the checksum that its header says.
    """
    records = {record for part in parts for record in part}
    names = {record.name for record in records}
    objects = [stored for stored in objects_of(file) if stored.name in names]
    wrong = sorted({record.name for record in records - {stored.record for stored in objects}})
    if wrong and len(parts) == 1:
        raise InputError(f"{path} is damaged: checksum mismatch in objects {', '.join(wrong[:5])}")
    return objects
