from __future__ import annotations

import numpy as np

from hepae.bounded.blocks import BLOCK
from hepae.bounded.dither import dither

MASK = 2**64 - 1


def splitmix64(seed, column, jet):
    """The hash of PAYLOAD.md in Python's integers, which have no end."""
    x = ((jet + 1) * 0x9E3779B97F4A7C15 + seed + (2 * column + 1) * 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ x >> 30) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ x >> 27) * 0x94D049BB133111EB) & MASK
    return ((x ^ x >> 31) >> 11) * 2.0**-53 - 0.5


def test_it_is_the_hash_that_the_format_says():
    for seed, column in ((0, 0), (2**63 + 5, 2), (MASK, 1000)):
        shifts = dither(seed, column, BLOCK + 3)
        for jet in (0, 1, BLOCK - 1, BLOCK, BLOCK + 2):
            assert shifts[jet] == splitmix64(seed, column, jet)
    assert dither(2**63 + 5, 2, 2).tolist() == [-0.16353875060398604, 0.006248855597736247]


def test_it_is_uniform_and_differs_from_column_to_column():
    shifts = dither(7, 0, 100_000)
    assert np.abs(shifts).max() <= 0.5
    assert abs(shifts.mean()) < 0.005
    assert abs(shifts.var() - 1 / 12) < 0.001
    assert abs(np.corrcoef(shifts, dither(7, 1, 100_000))[0, 1]) < 0.02
