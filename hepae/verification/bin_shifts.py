"""How far the bins of a column's histogram move, beside their statistical error."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from hepae.kinematics import RELATIVE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Values = NDArray[Any]

BINS = 50
"""Bins between the ends of an axis, and one below and above."""

_TAIL = 0.005
"""Share of the values that each of the outermost bins holds."""


@dataclass(frozen=True)
class BinAxis:
    """Bins of equal width from ``low`` to ``high``, of the logarithm where ``log``; below and above there is one more bin."""

    low: float
    high: float
    log: bool = False

    @classmethod
    def fit(cls, column: str, values: Values) -> Self | None:
        """Fit an axis to a sample of a column; None where all values are the same or there is none."""
        finite = values[np.isfinite(values)].astype(np.float64)
        if not finite.size:
            return None
        low, high = (float(edge) for edge in np.quantile(finite, (_TAIL, 1 - _TAIL)))
        log = column in RELATIVE and low > 0
        return cls(low, high, log) if low < high else None

    def count(self, values: Values) -> NDArray[np.int64]:
        """Values in each bin; NaN is in none, and infinities are below and above."""
        values = values.astype(np.float64)
        low, high = self.low, self.high
        with np.errstate(all="ignore"):
            if self.log:
                low, high, values = np.log(low), np.log(high), np.log(np.maximum(values, 0.0))
            position = np.floor((values - low) * (BINS / (high - low))) + 1
        position = np.clip(position, 0, BINS + 1)
        counted: NDArray[np.int64] = np.bincount(
            position[np.isfinite(position)].astype(np.int64), minlength=BINS + 2
        )
        return counted

    def edges(self, number: int) -> tuple[float | None, float | None]:
        """Edges of a bin; None stands for the open end of the outermost ones."""
        ends = (self.low, self.high)
        edges = np.geomspace(*ends, BINS + 1) if self.log else np.linspace(*ends, BINS + 1)
        low = float(edges[number - 1]) if number else None
        return low, float(edges[number]) if number <= BINS else None


@dataclass
class BinShifts:
    """The same histogram of original and restored values; fill it chunk by chunk, and add up those of several."""

    axis: BinAxis
    original: NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS + 2, np.int64))
    restored: NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS + 2, np.int64))

    def fill(self, original: Values, restored: Values) -> None:
        """Count in a chunk."""
        self.original = self.original + self.axis.count(original)
        self.restored = self.restored + self.axis.count(restored)

    def __add__(self, other: BinShifts) -> BinShifts:
        return BinShifts(self.axis, self.original + other.original, self.restored + other.restored)

    @property
    def over_error(self) -> NDArray[np.float64]:
        """|restored − original| of each bin divided by √original, its statistical error (of an empty bin 1)."""
        moved = np.abs(self.restored - self.original)
        shifts: NDArray[np.float64] = moved / np.sqrt(np.maximum(self.original, 1))
        return shifts

    def to_json(self) -> dict[str, Any]:
        """Give the largest shift with its bin, and the root mean square of all."""
        shifts = self.over_error
        largest = int(shifts.argmax())
        return {
            "largest_over_error": float(shifts[largest]),
            "bin": list(self.axis.edges(largest)),
            "rms_over_error": float(np.sqrt(np.mean(shifts**2))),
            "bins": BINS + 2,
        }
