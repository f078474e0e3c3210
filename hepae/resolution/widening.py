"""Bounds from resolutions and from statistics: how large an error may be before it is seen.

An error within a bound b is uniform in ±b (subtractive dither), of variance b²/3. In quadrature it widens a resolution σ by
√(1 + b²/3σ²) − 1.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

STATISTICAL_SHARE = 0.1
"""Share of its statistical error by which a bin may move."""

BINS = 50
"""Bins of the histogram that must not move."""

_GRID = 40


def bound_over_sigma(widening: float) -> float:
    """Largest bound, in units of σ, that widens σ by at most this share.

    >>> round(bound_over_sigma(0.001), 4)
    0.0775
    """
    return math.sqrt(3 * ((1 + widening) ** 2 - 1))


def widening_of(errors: Floats, sigma: Floats) -> float:
    """Share by which errors widen a resolution: √(1 + ⟨error²/σ²⟩) − 1, over the values with a resolution."""
    known = np.isfinite(errors) & np.isfinite(sigma) & (sigma > 0)
    if not known.any():
        return 0.0
    return math.sqrt(1 + float(np.mean((errors[known] / sigma[known]) ** 2))) - 1


def fit_bound(
    sigma: Callable[[Floats], Floats], values: Floats, factor: float, *, relative: bool
) -> tuple[float, float]:
    """Find the bound REL·|x| + ABS ≤ factor·σ(x), for all x, that is largest on average.

    Parameters
    ----------
    sigma
        Resolution of each value.
    values
        A sample; the bound holds far beyond its ends too.
    factor
        Bound in units of σ, as `bound_over_sigma` gives it.
    relative
        Whether a relative part is wanted.

    Returns
    -------
    tuple of float
        REL and ABS.
    """
    sizes = np.abs(values[np.isfinite(values)])
    sizes = sizes[sizes > 0]
    if not sizes.size:
        sizes = np.ones(1)
    low, high = float(sizes.min()), float(sizes.max())
    grid = np.concatenate([[0.0], np.geomspace(low * 1e-3, high * 1e3, 400)])
    allowed = factor * sigma(grid)
    if not relative:
        return 0.0, float(allowed.min())
    steepest = float(np.min(allowed[1:] / grid[1:]))
    best, found = -math.inf, (0.0, float(allowed.min()))
    for part in np.linspace(0, steepest, _GRID):
        absolute = max(0.0, float(np.min(allowed - part * grid)))
        if part or absolute:
            mean = float(np.mean(np.log(part * sizes + absolute)))
            if mean > best:
                best, found = mean, (float(part), absolute)
    return found


def statistical_bound(values: Floats, jets: int, *, log: bool, largest: float) -> float:
    """Find the largest bound that moves no bin of a histogram by more than `STATISTICAL_SHARE` of its statistical error.

    Looked at are the bins of 100 values or more: in any other a tenth of the error is less than one value. A bin moves by what it gains or loses on average, and by chance, as values near its edges go either way: both together, in
    quadrature.

    Parameters
    ----------
    values
        A sample, without the values that stay what they are.
    jets
        Number of values in the whole file.
    log
        Bins of equal width in the logarithm: the bound is a relative one.
    largest
        Where to begin; nothing larger is given.
    """
    values = np.sort(np.log(np.abs(values)) if log else values)
    low, high = np.quantile(values, (0.005, 0.995))
    if low == high:
        return largest
    edges = np.linspace(low, high, BINS + 1)
    share = jets / len(values)
    counts = np.diff(np.searchsorted(values, edges)) * share
    seen = counts >= STATISTICAL_SHARE**-2
    if not seen.any():
        return largest
    bound = largest
    for _ in range(60):
        mean, variance = _flow(values, edges, bound)
        shift = np.hypot(np.diff(mean) * share, np.sqrt((variance[1:] + variance[:-1]) * share))
        worst = float(np.max(shift[seen] / np.sqrt(counts[seen])))
        if worst <= STATISTICAL_SHARE:
            return bound
        bound *= 0.8
    return bound


def _flow(values: Floats, edges: Floats, bound: float) -> tuple[Floats, Floats]:
    """Expected number of values that cross each edge upwards less those that cross it downwards, and its variance."""
    mean, variance = np.zeros(len(edges)), np.zeros(len(edges))
    for i, edge in enumerate(edges):
        begin, end = np.searchsorted(values, (edge - bound, edge + bound))
        distance = values[begin:end] - edge
        chance = (bound - np.abs(distance)) / (2 * bound)
        mean[i] = np.sum(np.where(distance < 0, chance, -chance))
        variance[i] = np.sum(chance * (1 - chance))
    return mean, variance
