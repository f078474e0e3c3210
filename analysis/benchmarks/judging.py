"""What restored values have to keep: bounds, repeated values and edges, said here anew and in long double."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.hostile import SENTINELS
from hepae.bounds import Bound

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.hostile import Column

MOST_REPEATED = 16


@dataclass
class Failures:
    """Values of a column that failed, of how many."""

    values: int = 0
    bound: int = 0
    repeated: int = 0
    edges: int = 0
    kept: int = 0
    """Values that came back bit for bit: no failure, but a column of these alone tests little."""

    def __iadd__(self, other: Failures) -> Failures:
        """Add up."""
        for name, count in vars(other).items():
            setattr(self, name, getattr(self, name) + count)
        return self

    @property
    def any(self) -> bool:
        """Whether there is one."""
        return self.bound + self.repeated + self.edges > 0


@np.errstate(all="ignore")
def judge(column: Column, original: NDArray[Any], restored: NDArray[Any]) -> Failures:
    """Count what failed in a cluster's column."""
    if restored.dtype != original.dtype or len(restored) != len(original):
        return Failures(len(original), bound=len(original))
    if original.dtype == np.longdouble:  # not all of its bytes are the number's
        changed = (original != restored) & ~(np.isnan(original) & np.isnan(restored))
    else:
        raw = f"V{original.itemsize}"
        changed = original.view(raw) != restored.view(raw)
    found = Failures(len(original), kept=int(np.count_nonzero(~changed)))
    before, after = original.astype(np.longdouble), restored.astype(np.longdouble)
    error = np.abs(after - before)
    bound = Bound.parse(column.bound).in_unit("GeV")
    allowed = np.longdouble(bound.relative) * np.abs(before) + np.longdouble(bound.absolute)
    inside = np.isfinite(before) & (error <= allowed) & (not bound.exact)
    crossed = np.zeros(len(original), bool)
    for edge in column.edges:
        for cut in (edge, float(original.dtype.type(edge))):
            crossed |= np.sign(before - cut) != np.sign(after - cut)
    found.bound = int(np.count_nonzero(changed & ~inside))
    found.repeated = int(np.count_nonzero(changed & repeats(original)))
    found.edges = int(np.count_nonzero(changed & crossed))
    return found


def repeats(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Which values stay what they are: sentinels, and what fills a hundredth of the column; the most frequent 16."""
    distinct, counts = np.unique(values[np.isfinite(values)], return_counts=True)
    always = np.isin(distinct, SENTINELS)
    chosen = always | ((counts >= 0.01 * len(values)) & (counts > 1))
    order = np.argsort(-(counts[chosen] + always[chosen] * len(values)), kind="stable")[:MOST_REPEATED]
    return np.isin(values, distinct[chosen][order])
