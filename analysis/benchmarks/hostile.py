"""Values that break codecs: columns of ordinary ones with hostile ones among them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Random = np.random.Generator

SENTINELS = (0.0, 1.0, -1.0, -99.0, -999.0, -9999.0)
"""Values that no codec may change, however few there are of them."""


@dataclass(frozen=True)
class Column:
    """Type, bound and edges of a column; its size tells where ordinary values lie."""

    dtype: np.dtype[Any]
    bound: str
    edges: tuple[float, ...] = ()
    size: float = 1.0
    kind: str = "normal"


def ordinary(column: Column, length: int, random: Random) -> NDArray[Any]:
    """Values such as a column holds."""
    if column.kind == "integer":
        return random.integers(0, int(column.size) + 1, length).astype(column.dtype)
    if column.kind == "angle":
        values = random.uniform(-np.pi, np.pi, length)
    elif column.kind == "falling":
        values = column.size * np.minimum(random.pareto(3.0, length) + 1.0, 350.0)
    else:
        values = random.normal(0.0, column.size, length)
    return values.astype(column.dtype)


def hostile(column: Column, length: int, random: Random) -> NDArray[Any]:
    """Values that break codecs, in equal parts."""
    dtype = column.dtype
    limits = np.finfo(dtype)
    unsigned = np.dtype(f"u{dtype.itemsize}")
    bits = np.frombuffer(random.bytes(length * dtype.itemsize), unsigned).view(dtype)
    nans = np.frombuffer(random.bytes(length * dtype.itemsize), unsigned) | np.array(np.inf, dtype).view(
        unsigned
    )
    denormals = bits.view(unsigned) & unsigned.type((1 << limits.nmant) - 1)
    powers = np.ldexp(1.0, random.integers(limits.minexp, limits.maxexp, length)).astype(dtype)
    special = [
        0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 7000.0, 1e38, -1e38, -1e-6, np.pi, -np.pi, 2 * np.pi,
        float(limits.max), float(limits.min), float(limits.smallest_subnormal), float(limits.eps), *SENTINELS,
    ]  # fmt: skip
    special = np.array([*special, *column.edges, *(np.float32(edge) for edge in column.edges)]).astype(dtype)
    around = np.array([*column.edges, *SENTINELS, np.pi, -np.pi, column.size], dtype)
    parts = [
        bits,
        nans.view(dtype),
        denormals.view(dtype),
        special[random.integers(0, len(special), length)],
        nudged(around[random.integers(0, len(around), length)], random),
        nudged(powers, random),
        -ordinary(column, length, random),
        (
            ordinary(column, length, random).astype(np.float64) * 10.0 ** random.uniform(-20, 20, length)
        ).astype(dtype),
    ]
    return np.choose(random.integers(0, len(parts), length), parts).astype(dtype)


def nudged(values: NDArray[Any], random: Random) -> NDArray[Any]:
    """Values and their neighbours, up to three of the type's own steps away."""
    unsigned = np.dtype(f"i{values.itemsize}")
    moved = values.view(unsigned) + random.integers(-3, 4, len(values)).astype(unsigned)
    return moved.view(values.dtype)


@np.errstate(all="ignore")
def column_values(column: Column, length: int, share: float, random: Random) -> NDArray[Any]:
    """Ordinary values with a share of hostile ones, and a few values that repeat."""
    values = ordinary(column, length, random)
    if column.kind == "integer":
        return values
    for value in ordinary(column, int(random.integers(0, 5)), random):
        values[random.random(length) < random.choice([0.005, 0.012, 0.05, 0.3])] = value
    at = np.flatnonzero(random.random(length) < share)
    values[at] = hostile(column, len(at), random)
    return values
