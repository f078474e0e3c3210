"""What a column is, told from its name and values: an index, a weight, an angle, a score; and whether it was cut already."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hepae.column_names import is_weight

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    Values = NDArray[Any]

FEW = 256
"""Distinct values up to which a column has few."""

_CUT = 0.999
"""Share of the values of a truncated column that have no bits beyond those that it keeps."""

_SPECIAL = (0.0, 1.0, -1.0, -99.0, -999.0, -9999.0)
"""Values that stay exactly what they are, whatever the bound."""

_ERRORS = ("Err", "Error", "_err", "_error", "Unc")
"""Ends of the names of columns that hold the resolution of another one: ptErr, dxyErr."""

_ANGLE = re.compile(r"(?i)(^|.*[_a-z])(eta|phi)$")


@dataclass(frozen=True)
class ColumnKind:
    """What a column is.

    Attributes
    ----------
    exact
        Why it has to stay exact; empty where it may have a bound.
    cut
        How it was cut already: truncated to some bits, or few values; empty where it was not.
    angle, score
        Whether it is an angle, and whether its values are in [0, 1].
    relative
        Whether its values span a range that only a relative bound does justice to.
    """

    exact: str = ""
    cut: str = ""
    angle: bool = False
    score: bool = False
    relative: bool = False

    @classmethod
    def of(cls, collection: str, name: str, values: Values) -> ColumnKind:
        """Tell it from a sample."""
        if values.dtype.kind != "f":
            return cls("integers")
        if is_weight(f"{collection}.{name}"):
            return cls("a weight or scale factor")
        finite = ordinary(values)
        if not finite.size:
            return cls("no values to judge by")
        if np.array_equal(finite, np.rint(finite)):
            return cls("whole numbers")
        cut = _cut(values)
        low, high = float(finite.min()), float(finite.max())
        if _ANGLE.match(name):
            return cls(cut=cut, angle=True)
        if low >= 0 and high <= 1:
            return cls(cut=cut, score=True)
        positive = low > 0 or high < 0
        ends = np.abs(np.quantile(finite, (0.01, 0.99)))
        return cls(cut=cut, relative=positive and float(ends.max()) > 10 * float(ends.min()))


def ordinary(values: Values) -> NDArray[np.float64]:
    """Finite values of a column without those that stay what they are."""
    doubles = values.astype(np.float64)
    found: NDArray[np.float64] = doubles[np.isfinite(doubles) & ~np.isin(doubles, _SPECIAL)]
    return found


def mantissa_bits(values: Values) -> int:
    """Bits of the mantissa (without the leading one) that all but a thousandth of the values do with."""
    width = 23 if values.itemsize == 4 else 52
    bits = values.view(f"u{values.itemsize}")
    bits = bits[np.isfinite(values) & (values != 0)].astype(np.uint64)
    if not bits.size:
        return 0
    lowest = bits & (~bits + np.uint64(1))
    zeros = np.minimum(np.log2(lowest.astype(np.float64)).astype(np.int64), width)
    few = int((1 - _CUT) * len(zeros))
    return width - int(np.partition(zeros, few)[few])


def _cut(values: Values) -> str:
    width = 23 if values.itemsize == 4 else 52
    kept = mantissa_bits(np.ascontiguousarray(values))
    distinct = len(np.unique(values))
    if distinct <= min(FEW, max(1, len(values) // 10)):
        return f"only {distinct} different values"
    # A float64 that holds float32 values was not cut; half a mantissa less is no accident.
    if kept <= width - 6 and not (width == 52 and 17 < kept <= 23):
        return f"already truncated to {kept} bits of mantissa"
    return ""


def holds_jets(collection: str) -> bool:
    """Whether a collection is of jets that a detector measured, told from its name.

    >>> holds_jets("FatJet"), holds_jets("GenJet"), holds_jets("Muon")
    (True, False, False)
    """
    name = collection.lower()
    return "jet" in name and not name.startswith(("gen", "truth"))


def error_column(name: str, columns: Collection[str]) -> str | None:
    """Name of the column that holds the resolution of another one; None where there is none.

    >>> error_column("pt", ["pt", "ptErr"])
    'ptErr'
    """
    return next((name + end for end in _ERRORS if name + end in columns), None)
