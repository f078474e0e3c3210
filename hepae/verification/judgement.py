"""One column judged against its bound and edges, in extended precision and apart from the encoder.

Nothing here is shared with `hepae.bounded`: a fault of the encoder's own check would not be found by that check. Values are
compared as ``np.longdouble`` (64 bits of mantissa on x86, where float64 has 53), and a bound is taken as the decimal
number that the user wrote.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from hepae.bounds import MEV

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hepae.bounds import Bound, Edges

    Mask = NDArray[np.bool_]
    Values = NDArray[Any]

Extended = np.longdouble

PRECISION = int(np.finfo(Extended).nmant) + 1
"""Bits of the mantissa in which errors are judged: 64 on x86, 53 where the machine has nothing longer than float64."""

_TWO_PI = Extended("6.28318530717958647692528676655900577")


@dataclass(frozen=True)
class Judgement:
    """What became of each value of a column; every array has shape (jets,).

    Attributes
    ----------
    changed
        Values that came back with other bits.
    error
        |restored − original|, around the circle for phi; 0 where nothing changed, NaN where there is no number to compare.
    ratio
        ``error`` divided by what the bound allows, infinite where it allows nothing; None without a bound.
    beyond
        Values beyond their bound; without a bound none.
    other_side
        Values of phi on the other side of ±π than the original, or beyond ±π.
    crossed
        Values on another side of an edge than the original.
    """

    changed: Mask
    error: Values
    ratio: Values | None
    beyond: Mask
    other_side: Mask
    crossed: Mask

    @property
    def broken(self) -> Mask:
        """Values that break a promise."""
        return self.beyond | self.other_side | self.crossed


def same_bits(original: Values, restored: Values) -> Mask:
    """Which values have the same bits: −0 is not 0, and a NaN equals itself only."""
    kind = f"u{original.itemsize}"
    same: Mask = np.ascontiguousarray(original).view(kind) == np.ascontiguousarray(restored).view(kind)
    return same


def judge(
    name: str,
    original: Values,
    restored: Values,
    bound: Bound | None,
    edges: Edges | None = None,
    *,
    unit: str = "GeV",
    same: Mask | None = None,
    dtype: np.dtype[Any] | None = None,
) -> Judgement:
    """Judge the values of one column.

    Parameters
    ----------
    name
        Of the column; the error of ``phi`` is taken around the circle, and it has to come back on its side of ±π.
    original, restored
        Shape (jets,), of one type, in the file's unit.
    bound
        What is promised; None where nothing is.
    edges
        Values that original and restored lie on the same side of: below, on or above, the edge as float64 and rounded to the
        column's type.
    unit
        Unit of the energies in ``original``; bounds and edges with a unit are converted to it.
    same
        Which values did not change, where the bits of these arrays do not tell: those of a column that is derived from others.
    dtype
        Type that edges are rounded to; by default that of ``original``.
    """
    changed = ~(same_bits(original, restored) if same is None else same)
    none = np.zeros(len(original), bool)
    error = np.zeros(len(original), Extended)
    if not changed.any():
        return Judgement(changed, error, None if bound is None else error, none, none, none)
    rows: Any = slice(None) if changed.all() else np.flatnonzero(changed)
    before, after = original[rows].astype(Extended), restored[rows].astype(Extended)
    with np.errstate(invalid="ignore", over="ignore"):
        plain = np.abs(after - before)
        around = np.minimum(plain, np.abs(_TWO_PI - plain)) if name == "phi" else plain
    error[rows] = around
    ratio, beyond, other_side, crossed = None, none.copy(), none.copy(), none.copy()
    if bound is not None:
        allowed = _allowed(bound, before, unit)
        ratio = np.zeros(len(original), Extended)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio[rows] = around / allowed
        # NaN is beyond, and so is any change of an infinite value, of which a share is infinite; exact means every bit
        beyond[rows] = ~(around <= allowed) | np.isinf(before) | bound.exact
        if name == "phi" and not bound.exact:
            # What lies within ±π stays there, on its side: the difference itself is within the bound.
            limit = Extended(dtype.type(np.pi) if dtype else original.dtype.type(np.pi))
            outside = (np.abs(before) <= limit) & (np.abs(after) > limit)
            other_side[rows] = (~(plain <= allowed) & (around <= allowed)) | outside
    if edges is not None:
        crossed[rows] = _crossed(before, after, edges, unit, dtype or original.dtype)
    return Judgement(changed, error, ratio, beyond, other_side, crossed)


def _allowed(bound: Bound, original: Values, unit: str) -> Values:
    """Largest error of each value, of the decimal numbers that the bound was written with."""
    if bound.exact:
        return np.zeros(len(original), Extended)
    absolute = Decimal(repr(bound.absolute))
    if bound.unit:
        absolute = absolute * MEV[bound.unit] / MEV[unit]
    relative = Extended(str(Decimal(repr(bound.relative))))
    with np.errstate(invalid="ignore"):  # no share of an infinite value is NaN
        allowed: Values = np.abs(original) * relative + Extended(str(absolute))
    return allowed


def _crossed(before: Values, after: Values, edges: Edges, unit: str, dtype: np.dtype[Any]) -> Mask:
    crossed = np.zeros(len(before), bool)
    for edge in edges.in_unit(unit).values:
        for cut in {Extended(edge), Extended(dtype.type(edge)) if dtype.kind == "f" else Extended(edge)}:
            crossed |= np.sign(before - cut) != np.sign(after - cut)
    nan = np.isnan(before) | np.isnan(after)
    return crossed & ~nan


def extended_momentum(own: Mapping[str, Values]) -> dict[str, Values]:
    """Give pt, eta, phi and mass in extended precision of a four-momentum in any columns, in the same unit.

    A spacelike one has mass −√(−m²), vector's own convention.
    """
    columns = {name: values.astype(Extended) for name, values in own.items()}
    with np.errstate(all="ignore"):
        if "px" in columns:
            pt = np.hypot(columns["px"], columns["py"])
            columns["pt"] = pt
            columns["eta"] = np.arcsinh(columns["pz"] / pt)
            columns["phi"] = np.arctan2(columns["py"], columns["px"])
            p = np.hypot(pt, columns["pz"])
        else:
            p = columns["pt"] * np.cosh(columns["eta"])
        if "E" in columns:
            square = (columns["E"] - p) * (columns["E"] + p)
            columns["mass"] = np.copysign(np.sqrt(np.abs(square)), square)
    return {name: columns[name] for name in ("pt", "eta", "phi", "mass")}
