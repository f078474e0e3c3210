"""Arrays compared bit for bit, whatever their type, and where the first difference is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np

from hepae.io.forms import opened

if TYPE_CHECKING:
    from numpy.typing import NDArray


def first_difference(one: ak.Array, other: ak.Array) -> int | None:
    """Entry of the first difference between two arrays; None where all lengths, lists and bits are the same.

    Numbers are compared with their types: 1 as int32 is not 1 as int64. Entries that only one of them has are a difference.

    >>> first_difference(ak.Array([[1], [2, 3]]), ak.Array([[1], [2, 4]]))
    1
    """
    shared = min(len(one), len(other))
    if _same(one[:shared], other[:shared]):
        return None if len(one) == len(other) else shared
    begin, end = 0, shared
    while end - begin > 1:  # the first half that differs, again and again
        middle = (begin + end) // 2
        begin, end = (middle, end) if _same(one[begin:middle], other[begin:middle]) else (begin, middle)
    return begin


def value_type(array: ak.Array) -> np.dtype[Any] | None:
    """Type of the numbers in an array, whatever lists they are in; None where it holds none."""
    layout = ak.to_layout(array)
    while layout.is_list or layout.is_option:
        layout = layout.content
    return None if layout.is_unknown else np.dtype(ak.to_numpy(layout[:0]).dtype)


def _same(one: ak.Array, other: ak.Array) -> bool:
    """Whether two arrays of equal length hold the same."""
    first, second = ak.to_layout(one), ak.to_layout(other)
    while True:
        if first.is_option or second.is_option:
            missing = [ak.to_numpy(ak.is_none(ak.Array(layout), axis=0)) for layout in (first, second)]
            if not np.array_equal(*missing):
                return False
        first, second = (layout.project() if layout.is_option else layout for layout in (first, second))
        if not (first.is_list and second.is_list):
            break
        (starts, first), (others, second) = opened(first), opened(second)
        if not np.array_equal(starts, others):
            return False
    if first.is_list != second.is_list or len(first) != len(second):
        return False
    if len(first) == 0:  # of lists without content the type may be unknown
        return True
    values, others = (np.ascontiguousarray(ak.to_numpy(layout)) for layout in (first, second))
    return values.dtype == others.dtype and values.shape == others.shape and _bits_agree(values, others)


def _bits_agree(one: NDArray[Any], other: NDArray[Any]) -> bool:
    if one.dtype.itemsize in (1, 2, 4, 8):
        kind = f"u{one.dtype.itemsize}"
        return bool(np.array_equal(one.view(kind), other.view(kind)))
    return one.tobytes() == other.tobytes()
