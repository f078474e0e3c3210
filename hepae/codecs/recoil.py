"""Where a jet's phi should point: opposite to the vector sum of the earlier jets of its event.

Sine, cosine and angle come from tables made with exact fractions: libraries' own functions differ in the last bit from
machine to machine, and decoding must not.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]
    Floats = NDArray[np.float64]

ANGLES = 4096
"""Steps of a full turn in the tables: finer than any recoil points."""


@dataclass
class Recoil:
    """The vector sum of the earlier jets of each event, and the direction opposite to it in steps of phi."""

    rank: Integers
    size: Floats
    pt: Floats
    low: int
    turn: int

    def __post_init__(self) -> None:
        self.x = np.zeros(len(self.pt))
        self.y = np.zeros(len(self.pt))

    def add(self, rows: Integers, phi: Integers) -> None:
        """Take in the jets of one rank, phi decoded; the next rank sees their sums."""
        cosine, sine, _ = _tables()
        step = ((phi[rows] - self.low) * ANGLES // max(self.turn, 1)) % ANGLES
        inherited = self.rank[rows] > 0
        before = np.maximum(rows - 1, 0)
        self.x[rows] = np.where(inherited, self.x[before], 0.0) + self.pt[rows] * cosine[step]
        self.y[rows] = np.where(inherited, self.y[before], 0.0) + self.pt[rows] * sine[step]

    def look(self, rows: Integers) -> tuple[Floats, list[Floats]]:
        """Direction of the recoil in steps of phi, and what tells how well it points."""
        x, y, pt = -self.x[rows - 1], -self.y[rows - 1], self.pt[rows]
        angle = _direction(x, y) * (self.turn / ANGLES) + float(self.low)
        size = np.sqrt(x * x + y * y)
        share = size / np.maximum(size + pt, 1e-300)
        ones = np.ones(len(rows))
        later = (self.rank[rows] > 1).astype(np.float64)
        more = self.size[rows] - self.rank[rows] - 1.0
        last = (more <= 0).astype(np.float64)
        away = np.abs(1.0 - 2.0 * share)
        features = [
            ones,
            share,
            share * share,
            away,
            later,
            later * share,
            later * away,
            last,
            last * share,
            last * away,
        ]
        return angle, features


@cache
def _tables() -> tuple[Floats, Floats, Floats]:
    """Cosine and sine of the steps of a turn, and the tangents of the first octant, the same on every machine.

    Made with exact fractions: libraries' own functions differ in the last bit.
    """
    turn = Fraction(314159265358979323846, 50000000000000000000)
    scale = 1 << 40

    def series(angle: Fraction, start: int) -> int:
        term, total, n = (Fraction(1) if start == 0 else angle), Fraction(0), start
        square = angle * angle
        while abs(term) * scale > Fraction(1, 16):
            total += term
            term = -term * square / ((n + 1) * (n + 2))
            term = Fraction(round(term * scale * 4096), scale * 4096)
            n += 2
        return round(total * scale)

    octant = ANGLES // 8
    angles = [Fraction(round(turn * k * scale * 4096 / ANGLES), scale * 4096) for k in range(octant + 1)]
    cosines, sines = ([series(angle, start) for angle in angles] for start in (0, 1))
    quarter_c = [*cosines, *sines[octant - 1 :: -1]]
    quarter_s = [*sines, *cosines[octant - 1 :: -1]]
    half_c = [*quarter_c, *(-value for value in quarter_c[-2::-1])]
    half_s = [*quarter_s, *quarter_s[-2::-1]]
    cosine = np.array([*half_c, *half_c[-2:0:-1]], np.float64) / float(scale)
    sine = np.array([*half_s, *(-value for value in half_s[-2:0:-1])], np.float64) / float(scale)
    tangent = np.array(sines, np.float64) / np.array(cosines, np.float64)
    return cosine, sine, tangent


def _direction(x: Floats, y: Floats) -> Floats:
    """Angle of (x, y) in steps of a turn, from −π, in [0, ANGLES); that of (0, 0) is the middle."""
    _, _, tangent = _tables()
    ax, ay = np.abs(x), np.abs(y)
    large, small = np.maximum(ax, ay), np.minimum(ax, ay)
    ratio = small / np.where(large > 0, large, 1.0)
    step = np.searchsorted(tangent, ratio).astype(np.float64)
    step = np.where(ay > ax, ANGLES / 4 - step, step)
    step = np.where(x < 0, ANGLES / 2 - step, step)
    step = np.where(y < 0, -step, step)
    return step + ANGLES / 2
