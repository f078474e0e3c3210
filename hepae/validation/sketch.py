"""How values are distributed, to eleven bits of their mantissa: counts that add up without rounding."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Sketch:
    """How many values there are of each value rounded to a mantissa of 11 bits, which is enough for quantiles.

    A key is sign and leading bits of the value as float32, so that keys are ordered as values are. A quantile is
    that of the values, linearly interpolated as numpy does by default, each value rounded by at most a relative
    2⁻¹¹ = 0.05 %. Absolute values below 10⁻³⁸ lose bits, those above 3·10³⁸ count as that.
    """

    keys: IntArray
    counts: IntArray

    _DROPPED = 13
    """Bits of the float32 mantissa (23 bits) that are rounded off."""

    @classmethod
    def of(cls, values: FloatArray) -> Sketch:
        """Count values."""
        if not values.size:
            return cls(np.empty(0, np.int64), np.empty(0, np.int64))
        largest = np.uint32(0x7F800000 - (1 << cls._DROPPED)).view(np.float32)
        with np.errstate(under="ignore"):
            bits = np.clip(values, -largest, largest).astype(np.float32).view(np.int32)
        magnitude = ((bits & 0x7FFFFFFF) + (1 << (cls._DROPPED - 1))) >> cls._DROPPED
        keys = np.where(bits < 0, -magnitude, magnitude).astype(np.int64)
        lowest = keys.min()
        counts = np.bincount(keys - lowest)
        filled = np.flatnonzero(counts)
        return cls(filled + lowest, counts[filled])

    def __add__(self, other: Sketch) -> Sketch:
        return self._count(
            np.concatenate([self.keys, other.keys]), np.concatenate([self.counts, other.counts])
        )

    def tail(self) -> tuple[FloatArray, FloatArray]:
        """Values, rising, and the share of all that are as large or larger."""
        total = int(self.counts.sum())
        above = total - np.cumsum(self.counts) + self.counts
        return self._values(self.keys), above / max(total, 1)

    def absolute(self) -> Sketch:
        """Of the absolute values."""
        return self._count(np.abs(self.keys), self.counts)

    @classmethod
    def _count(cls, keys: IntArray, counts: IntArray) -> Sketch:
        merged, positions = np.unique(keys, return_inverse=True)
        sums = np.zeros(merged.size, np.int64)
        np.add.at(sums, positions, counts)
        return cls(merged, sums)

    def quantile(self, fraction: float) -> float:
        """Value below which this fraction of all lies."""
        reached = np.cumsum(self.counts)
        position = fraction * (int(reached[-1]) - 1)
        below = math.floor(position)
        ranks = [below, min(below + 1, int(reached[-1]) - 1)]
        keys = self.keys[np.searchsorted(reached, ranks, side="right")]
        lower, upper = self._values(keys)
        return float(lower + (upper - lower) * (position - below))

    def _values(self, keys: IntArray) -> FloatArray:
        magnitudes = (np.abs(keys).astype(np.uint32) << self._DROPPED).view(np.float32)
        values: FloatArray = np.sign(keys) * magnitudes.astype(np.float64)
        return values
