"""Checksums of branches: one for each range of consecutive entries, so that a partial read checks what it read."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import awkward as ak
import numpy as np

from hepae.io.forms import opened

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


RANGE = 10_000
"""Entries that one checksum covers; the last range of a tree may be shorter."""


class Checksums:
    """CRC-32 of every branch, range by range; they do not depend on the chunks in which the entries arrive.

    A checksum covers the type of the values, the lengths of the lists at each level, and the values.
    """

    def __init__(self) -> None:
        self._finished: dict[str, list[int]] = {}
        self._current: dict[str, _Range] = {}

    def update(self, arrays: Mapping[str, ak.Array]) -> None:
        """Add a chunk: arrays of equal length by branch name."""
        for name, array in arrays.items():
            finished = self._finished.setdefault(name, [])
            start = 0
            while start < len(array):
                current = self._current.setdefault(name, _Range())
                stop = min(len(array), start + RANGE - current.entries)
                current.update(array[start:stop])
                start = stop
                if current.entries == RANGE:
                    finished.append(self._current.pop(name).checksum())

    @property
    def by_branch(self) -> dict[str, list[int]]:
        """Checksums of all ranges so far, by branch name."""
        return {
            name: [*finished, self._current[name].checksum()] if name in self._current else list(finished)
            for name, finished in self._finished.items()
        }

    def differing(self, expected: Mapping[str, Iterable[int]]) -> list[str]:
        """Names of the branches whose checksums are not the expected ones."""
        found = self.by_branch
        return [name for name, checksums in expected.items() if found.get(name, []) != list(checksums)]


class _Range:
    """Checksum of one branch over one range of entries, while its chunks arrive."""

    def __init__(self) -> None:
        self.entries = 0
        self._dtype = ""
        self._values = 0
        self._lengths: list[int] = []  # one CRC for each level of lists

    def update(self, array: ak.Array) -> None:
        self.entries += len(array)
        layout, level = ak.to_layout(array), 0
        while layout.is_list or layout.is_option:
            if layout.is_option:
                layout = layout.project()
            elif layout.is_regular:
                layout = layout.content[: layout.length * layout.size]
            else:
                lengths, layout = opened(layout)
                self._lengths += [0] * (level + 1 - len(self._lengths))
                self._lengths[level] = zlib.crc32(lengths.astype("<i8").data, self._lengths[level])
                level += 1
        values = np.ascontiguousarray(ak.to_numpy(layout))
        values = values.astype(values.dtype.newbyteorder("<"), copy=False).reshape(-1)
        if len(values):
            self._dtype = values.dtype.str
        self._values = zlib.crc32(values.data.cast("B"), self._values)

    def checksum(self) -> int:
        lengths = list(self._lengths)
        while lengths and lengths[-1] == 0:  # a level without lists: its type may be unknown
            lengths.pop()
        parts = np.array([*lengths, self._values], "<u4")
        return zlib.crc32(parts.tobytes(), zlib.crc32(self._dtype.encode()))
