"""Blocks of rows: evaluating block by block keeps the data in the processor's cache, which is several times as fast."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK = 16_384
"""Rows of a block: a dozen arrays of this many 64-bit numbers fit into the second-level cache of a processor."""


def blocks(start: int, stop: int) -> Iterator[slice]:
    """Cut a range of rows into blocks.

    >>> [(part.start, part.stop) for part in blocks(10, 40_000)]
    [(10, 16394), (16394, 32778), (32778, 40000)]
    """
    for first in range(start, stop, BLOCK):
        yield slice(first, min(first + BLOCK, stop))
