"""Directions in the transverse plane, in steps of a turn: the same bits on every machine.

The sine, cosine and arc tangent of a mathematical library differ in the last bit from one processor to the next; these
come from a table that integer arithmetic makes, and from + − × ÷ √ and comparison of float64, one operation at a time.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from hepae.bounded.blocks import blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hepae.bounded.jet_order import Ranks

    Integers = NDArray[np.int64]
    Floats = NDArray[np.float64]

STEPS = 4096
"""Steps of a full turn: finer than any recoil points."""

SHARES = 1 << 15
"""What a share of 1 is as an integer."""

_OCTANT = STEPS // 8
_BITS = 60
_STEP = (1152920148139012899, 1768558744408523)
"""Cosine and sine of one step in units of 2⁻⁶⁰."""
_ARCTAN = (0.0208351, -0.0851330, 0.1801410, -0.3302995, 0.9998660)
"""Coefficients of x⁹, x⁷, … x: Abramowitz and Stegun 4.4.49, to 10⁻⁵; a step is 150 times as large."""


@cache
def tables() -> tuple[Floats, Floats]:
    """Cosine and sine of 0, 1, … 4095 steps, each of shape (4096,); those of opposite steps are exactly opposite."""
    cosine, sine = [1 << _BITS], [0]
    for _ in range(_OCTANT):
        c, s = cosine[-1], sine[-1]
        cosine.append((c * _STEP[0] - s * _STEP[1]) >> _BITS)
        sine.append((c * _STEP[1] + s * _STEP[0]) >> _BITS)
    x, y = (
        np.array(rising + mirrored[_OCTANT - 1 : 0 : -1], np.float64) / 2.0**_BITS
        for rising, mirrored in ((cosine, sine), (sine, cosine))
    )
    return np.concatenate([x, -y, -x, y]), np.concatenate([y, x, -y, -x])


def direction(x: Floats, y: Floats) -> Integers:
    """Direction of (x, y) in steps from the x axis, 0 to 4095; that of (0, 0) is 0.

    >>> direction(np.array([1.0, 0.0, -1.0, 0.0, 0.0]), np.array([0.0, 2.0, 0.0, -1.0, 0.0])).tolist()
    [0, 1024, 2048, 3072, 0]
    """
    width, height = np.abs(x), np.abs(y)
    longer = np.maximum(width, height)
    longer[longer == 0] = 1.0
    slope = np.minimum(width, height) / longer
    square = slope * slope
    angle = square * _ARCTAN[0]
    for coefficient in _ARCTAN[1:-1]:
        angle += coefficient
        angle *= square
    angle += _ARCTAN[-1]
    angle *= slope
    angle *= STEPS / 6.283185307179586
    steps = np.rint(angle).astype(np.int64)
    steps = np.where(height > width, STEPS // 4 - steps, steps)
    steps = np.where(x < 0, STEPS // 2 - steps, steps)
    return np.where(y < 0, STEPS - steps, steps) & (STEPS - 1)


class Recoil:
    """Where a jet's phi points if it balances the jets before it in its event, and how much there is to balance.

    It is filled in rank by rank, as phi is decoded.

    Parameters
    ----------
    ranks
        Order of the jets, as of all that follows.
    pt
        Restored, of shape (jets,).
    low, turn
        Lowest integer of phi, and how many make a turn.
    """

    def __init__(self, ranks: Ranks, pt: Floats, low: int, turn: int) -> None:
        self._ranks, self._low, self._turn = ranks, low, turn
        self._pt = np.where((pt > 0) & (pt < 1e30), pt, 0.0)
        self._x, self._y, self._rest = (np.zeros(len(pt)) for _ in range(3))
        for rank in range(len(ranks.slices) - 2, -1, -1):
            after, size = ranks.after(rank)
            self._rest[ranks.slices[rank]][:size] = self._rest[after] + self._pt[after]
        self.angle = np.zeros(len(pt), np.int64)
        """Integer of phi that balances the jets before."""
        self.share = np.zeros(len(pt), np.int32)
        """Size of their vector sum, as a share of it and this jet's pt."""
        self.rest = np.zeros(len(pt), np.int32)
        """The pt of the jets after, as a share of that, this jet's pt and the size of the sum."""

    def take(self, rank: int, phi: Integers) -> None:
        """Take in phi of the jets of a rank, for those of the next one."""
        before, (after, size) = self._ranks.slices[rank].start, self._ranks.after(rank)
        for rows in blocks(0, size):
            here = slice(before + rows.start, before + rows.stop)
            there = slice(after.start + rows.start, after.start + rows.stop)
            self._take(here, there, phi[rows])

    def _take(self, here: slice, there: slice, phi: Integers) -> None:
        """Take in phi of some jets, for the jets that follow them."""
        cosine, sine = tables()
        steps = self._within(phi - self._low) * STEPS // self._turn
        x = self._x[here] + self._pt[here] * cosine[steps]
        y = self._y[here] + self._pt[here] * sine[steps]
        self._x[there], self._y[there] = x, y
        self.angle[there] = self._low + direction(-x, -y) * self._turn // STEPS
        length = np.sqrt(x * x + y * y)
        both = length + self._pt[there]
        everything = both + self._rest[there]
        self.share[there] = (length / np.maximum(both, 1e-30) * SHARES).astype(np.int32)
        self.rest[there] = (self._rest[there] / np.maximum(everything, 1e-30) * SHARES).astype(np.int32)

    def difference(self, phi: Integers, angle: Integers) -> Integers:
        """How far phi is from an angle, at most half a turn; the inverse is `turned`."""
        half = self._turn // 2
        return self._within(phi - angle + half) - half

    def turned(self, angle: Integers, difference: Integers) -> Integers:
        """Give the phi that is so far from an angle."""
        return self._low + self._within(angle + difference - self._low)

    def _within(self, phi: Integers) -> Integers:
        """Integers modulo a turn; numpy divides by one number faster than it takes a remainder."""
        return phi - phi // self._turn * self._turn
