"""What columns and their residuals are called on an axis, in the field's notation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hepae.kinematics import RELATIVE, UNITS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]


SYMBOLS = {
    "pt": r"p_\mathrm{T}",
    "eta": r"\eta",
    "phi": r"\phi",
    "mass": "m",
    "E": "E",
}
"""The canonical columns in the field's notation, as mathematics."""


def value_label(column: str) -> str:
    """What a column is called on an axis, with its unit.

    >>> value_label("E")
    '$E$ [GeV]'
    """
    unit = UNITS.get(column, "")
    return column_symbol(column) + (f" [{unit}]" if unit else "")


def residual_label(column: str) -> str:
    """What a column's residual is called on an axis: relative for pt, E and mass, with its unit for the others."""
    if column not in SYMBOLS:
        return f"{column_symbol(column)}, restored − original"
    restored, original = (rf"{SYMBOLS[column]}^\mathrm{{{which}}}" for which in ("restored", "original"))
    if column in RELATIVE:
        return f"${restored}$ / ${original}$ − 1"
    unit = UNITS[column]
    return f"${restored}$ − ${original}$" + (f" [{unit}]" if unit else "")


def change_label(column: str) -> str:
    """Short for :func:`residual_label`, where there is little room; its unit is :func:`residual_unit`."""
    name = column_symbol(column)
    return f"Δ{name} / {name}" if column in RELATIVE else f"Δ{name}"


def residual_unit(column: str) -> str:
    """Unit of a column's residual: none where it is relative."""
    return "" if column in RELATIVE else UNITS.get(column, "")


def literal(name: str) -> str:
    r"""Give a name from a file as figures show it letter for letter: a dollar begins no mathematics.

    matplotlib leaves out of legends what begins with an underscore.

    >>> literal("a$^$x"), literal("_b")
    ('a\\$^\\$x', ' _b')
    """
    return (" " if name.startswith("_") else "") + name.replace("$", r"\$")


def column_symbol(column: str) -> str:
    """Symbol of a column in the notation of the field, or its name."""
    return f"${SYMBOLS[column]}$" if column in SYMBOLS else literal(column)
