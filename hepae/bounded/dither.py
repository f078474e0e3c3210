"""The dither: how far the grid is shifted for each jet, known to coding and decoding alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hepae.bounded.blocks import blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray

GOLDEN = 0x9E3779B97F4A7C15
"""2⁶⁴ over the golden ratio, the odd number that hashes multiply by."""


def dither(seed: int, column: int, jets: int) -> NDArray[np.float64]:
    """Shift of the grid for each jet in [−½, ½), by a hash of (seed, column, jet).

    The finaliser of splitmix64 (Steele, Lea and Flood 2014) over the jet's number.
    """
    shifts = np.empty(jets)
    start = np.uint64((seed + GOLDEN * (2 * column + 1)) % 2**64)
    for rows in blocks(0, jets):
        x = np.arange(rows.start + 1, rows.stop + 1, dtype=np.uint64)
        x *= np.uint64(GOLDEN)
        x += start
        x ^= x >> np.uint64(30)
        x *= np.uint64(0xBF58476D1CE4E5B9)
        x ^= x >> np.uint64(27)
        x *= np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
        x >>= np.uint64(11)
        np.multiply(x.view(np.int64), 2.0**-53, out=shifts[rows])
        shifts[rows] -= 0.5
    return shifts
