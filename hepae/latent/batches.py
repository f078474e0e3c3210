"""Rows of an array or tensor, a batch at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from numpy.typing import NDArray

    Table = TypeVar("Table", torch.Tensor, NDArray[Any])

BUFFER = 2**21
"""Rows that are in memory at a time."""


def batches(rows: Table, size: int) -> Iterator[Table]:
    """Consecutive slices of an array or tensor, the last one shorter where it does not fit."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
