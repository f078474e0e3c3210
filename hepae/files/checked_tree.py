"""The events' tree of a compressed file: what is read of it is checked before it is given out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import awkward as ak

from hepae.errors import InputError
from hepae.io.checksums import RANGE, Checksums
from hepae.io.guards import reading

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from hepae.io.locations import Location
    from hepae.io.written import ClonedTree, WrittenTree

    Parts = Sequence[tuple[int, Mapping[str, Sequence[int]], Mapping[str, Sequence[int]]]]
    """Entries of each part of a file, its checksums by branch and range, and those of what ROOT cloned by path and range."""


class CheckedTree:
    """A tree that `hepae.io.writers` wrote, or that ROOT cloned, with its checksums.

    Parameters
    ----------
    tree
        The tree.
    parts
        Its parts in order, each with its entries and checksums.
    path
        Names the file in errors.
    """

    def __init__(self, tree: WrittenTree | ClonedTree, parts: Parts, path: Location):
        self._tree, self._parts, self._path = tree, parts, path

    def arrays(self, names: Iterable[str], start: int, stop: int) -> dict[str, ak.Array]:
        """Arrays by branch name, of these entries; the ranges that hold them are read and checked as a whole.

        Raises
        ------
        InputError
            If a branch has no checksum, or another one.
        """
        names = list(dict.fromkeys(names))
        chunks = []
        for part, begin, end in self._inside(start, stop):
            first, checksums = part
            aligned = begin // RANGE * RANGE, min(-(-end // RANGE) * RANGE, checksums.entries)
            with reading(self._path):
                arrays = self._tree.arrays(names, first + aligned[0], first + aligned[1])
            checksums.check(arrays, *aligned, first, self._tree)
            inside = slice(begin - aligned[0], end - aligned[0])
            chunks.append({name: array[inside] for name, array in arrays.items()})
        if len(chunks) == 1:
            return chunks[0]
        return {name: ak.concatenate([chunk[name] for chunk in chunks]) for name in names}

    def _inside(self, start: int, stop: int) -> Iterator[tuple[tuple[int, _PartChecksums], int, int]]:
        """Parts that hold these entries: each with its first entry, and the range inside; one part at least."""
        first, found = 0, False
        for number, (entries, checksums, cloned) in enumerate(self._parts):
            begin, end = max(start - first, 0), min(stop - first, entries)
            if begin < end or (not found and number == len(self._parts) - 1):
                found = True
                part = first, _PartChecksums(entries, checksums, cloned, self._path)
                yield part, min(begin, max(end, 0)), max(end, 0)
            first += entries


class _PartChecksums:
    """Checksums of one part of the file."""

    def __init__(
        self,
        entries: int,
        expected: Mapping[str, Sequence[int]],
        cloned: Mapping[str, Sequence[int]],
        path: Location,
    ):
        self.entries, self._expected, self._cloned, self._path = entries, expected, cloned, path

    def check(
        self,
        arrays: Mapping[str, ak.Array],
        start: int,
        stop: int,
        first: int,
        tree: WrittenTree | ClonedTree,
    ) -> None:
        """Compare whole ranges, entries ``start`` to ``stop`` of the part, with what was written.

        A damaged record of a tree can make an array shorter than was asked for: its ranges would all be right.
        """
        cloned = {name for name in arrays if name not in self._expected and self._cloned}
        found = Checksums()
        found.update({name: array for name, array in arrays.items() if name not in cloned})
        by_name = [(name, sums, self._expected.get(name, ())) for name, sums in found.by_branch.items()]
        if cloned:
            stored = tree.checksums(cloned, first + start, first + stop)  # type: ignore[union-attr]  # it is cloned
            by_name += [(name, sums, self._cloned.get(path, ())) for name, (path, sums) in stored.items()]
        for name, checksums, expected in by_name:
            ranges = list(expected)[start // RANGE : -(-stop // RANGE)]
            if len(arrays[name]) != stop - start or checksums != ranges:
                raise InputError(
                    f"{self._path} is damaged: checksum mismatch in branch {name!r} of events {first + start} to "
                    f"{first + stop}"
                )
