"""Branches of TTrees as they are stored, whatever their type: where they stand, and checksums of what their baskets hold."""

from __future__ import annotations

import zlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hepae.io.checksums import RANGE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Origin:
    """Where the values of a plain branch stand in a TTree.

    Parameters
    ----------
    path
        The branch that holds them, see `branch_paths`.
    member
        Which member of its objects they are, such as ``fP.fX``; empty where it holds numbers.
    element
        Which element of its small arrays.
    """

    path: str
    member: str = ""
    element: int | None = None


def branch_paths(tree: Any) -> Iterator[tuple[str, Any]]:
    """Branches of a TTree and their members, each behind its mother, with their paths.

    A path has the names from the tree down, joined by ``/``, with ``#2`` behind the second branch of the same name.
    """

    def inside(branches: Iterable[Any], before: str) -> Iterator[tuple[str, Any]]:
        seen: Counter[str] = Counter()
        for branch in branches:
            seen[branch.name] += 1
            number = seen[branch.name]
            path = f"{before}{branch.name}" + (f"#{number}" if number > 1 else "")
            yield path, branch
            yield from inside(branch.branches, f"{path}/")

    return inside(tree.branches, "")


_HEADER = 6
"""Bytes of what ROOT writes before an object: the number of bytes that follow, and the version of its class."""

_COUNTED = 0x40000000
"""The bit that marks a number of bytes."""


class BasketChecksums:
    """CRC-32 of what the branches of a TTree hold, range by range, without knowing their types.

    A checksum covers the bytes of each entry as ROOT writes them but for the version of its class, and their number. It does not depend on the baskets that the entries
    stand in, nor on how these are compressed, so that it is the same in every copy that ROOT makes basket by basket.
    """

    def __init__(self) -> None:
        self._finished: dict[str, list[int]] = {}
        self._current: dict[str, tuple[int, int, int]] = {}

    def update(self, tree: Any, start: int, stop: int, *, paths: Iterable[str] | None = None) -> None:
        """Add entries of a TTree that uproot opened: of all its branches, or of those with these paths."""
        wanted = None if paths is None else {*paths}
        for path, branch in branch_paths(tree):
            if wanted is None or path in wanted:
                self._finished.setdefault(path, [])
                for content, ends in _entries(branch, start, stop):
                    self._add(path, content, ends)

    def _add(self, path: str, content: NDArray[np.uint8], ends: NDArray[np.int64]) -> None:
        """Add entries: their bytes, and where each of them ends, from 0 on."""
        first = 0
        while first < len(ends) - 1:
            entries, lengths, values = self._current.pop(path, (0, 0, 0))
            last = min(len(ends) - 1, first + RANGE - entries)
            lengths = zlib.crc32(np.diff(ends[first : last + 1]).astype("<i8").data, lengths)
            values = zlib.crc32(content[ends[first] : ends[last]].data, values)
            entries += last - first
            if entries == RANGE:
                self._finished[path].append(_checksum(lengths, values))
            else:
                self._current[path] = entries, lengths, values
            first = last

    @property
    def by_branch(self) -> dict[str, list[int]]:
        """Checksums of all ranges so far, by path."""
        return {
            path: [*finished, _checksum(*self._current[path][1:])] if path in self._current else [*finished]
            for path, finished in self._finished.items()
        }

    def differing(self, expected: Mapping[str, Iterable[int]]) -> list[str]:
        """Paths of the branches whose checksums are not the expected ones."""
        found = self.by_branch
        return [path for path, checksums in expected.items() if found.get(path) != list(checksums)]


def _checksum(lengths: int, values: int) -> int:
    return zlib.crc32(np.array([lengths, values], "<u4").tobytes())


def _entries(branch: Any, start: int, stop: int) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
    """Bytes of the entries of each basket, and where each entry begins and ends in them."""
    for number in range(branch.num_baskets):
        first, last = branch.basket_entry_start_stop(number)
        begin, end = max(start, int(first)), min(stop, int(last))
        if begin >= end:
            continue
        basket = branch.basket(number)
        content, entries = np.ascontiguousarray(basket.data), int(last) - int(first)
        if basket.byte_offsets is None:
            ends = np.arange(entries + 1, dtype=np.int64) * (len(content) // max(entries, 1))
        else:
            ends = np.asarray(basket.byte_offsets, np.int64)[: entries + 1]
            ends = np.append(ends[:entries], len(content))
        ends = ends[begin - int(first) : end - int(first) + 1]
        yield (content if basket.byte_offsets is None else _without_versions(content, ends)), ends


def _without_versions(content: NDArray[np.uint8], ends: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Zero the version of the class that an entry begins with, behind the number of its bytes: hadd may write another one."""
    starts, lengths = ends[:-1], np.diff(ends)
    starts, lengths = starts[lengths >= _HEADER], lengths[lengths >= _HEADER]
    counts = content[starts[:, None] + np.arange(4)].astype(np.int64) @ (1 << np.array([24, 16, 8, 0]))
    starts = starts[counts == (lengths - 4) | _COUNTED]
    content = content.copy()
    content[starts + 4] = content[starts + 5] = 0
    return content


def wrong_branches(
    file: Any, name: str, parts: Iterable[tuple[int, Mapping[str, Sequence[int]]]]
) -> list[str]:
    """Branches of a cloned tree that do not have the checksums of its parts, each with its entries."""
    first, wrong = 0, list[str]()
    for entries, expected in parts:
        found = BasketChecksums()
        found.update(file[name], first, first + entries, paths=expected)
        wrong += found.differing(expected)
        first += entries
    return list(dict.fromkeys(wrong))
