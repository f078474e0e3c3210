from __future__ import annotations

import numpy as np

from hepae.bounded.jet_order import Ranks
from hepae.bounded.recoil import SHARES, STEPS, Recoil, direction, tables


def test_tables_are_cosine_and_sine():
    angles = 2 * np.pi * np.arange(STEPS) / STEPS
    cosine, sine = tables()
    assert np.allclose(cosine, np.cos(angles), rtol=0, atol=2e-15)
    assert np.allclose(sine, np.sin(angles), rtol=0, atol=2e-15)
    assert np.array_equal(cosine, -np.roll(cosine, STEPS // 2))
    assert np.array_equal(sine, -np.roll(sine, STEPS // 2))


def test_direction_is_the_arc_tangent():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 10_000))
    steps = np.arctan2(y, x) / (2 * np.pi) * STEPS
    assert np.all(np.abs((direction(x, y) - steps + STEPS / 2) % STEPS - STEPS / 2) < 0.51)
    cosine, sine = tables()
    assert np.array_equal(direction(cosine, sine), np.arange(STEPS))


def filled(pt, phi, counts, low=-1571, turn=3142):
    ranks = Ranks.of(len(pt), np.array(counts))
    recoil = Recoil(ranks, np.array(pt, float)[ranks.order], low, turn)
    ordered = np.array(phi, np.int64)[ranks.order]
    for rank in range(len(ranks.slices) - 1):
        recoil.take(rank, ordered[ranks.slices[rank]])
    back = np.argsort(ranks.order)
    return recoil, recoil.angle[back], recoil.share[back], recoil.rest[back]


def test_recoil_balances_the_jets_before():
    _, angle, share, rest = filled([50, 50, 30, 20, 20, 10], [0, 1000, -700, 500, 700, 0], [3, 1, 2])
    assert abs(angle[1] - -1571) <= 1
    assert abs(angle[2] - (500 - 1571)) <= 1
    assert abs(angle[5] - (500 + 1571 - 3142 + 200)) <= 1
    assert share[1] == SHARES // 2
    assert rest[1] == 30 * SHARES // 130
    assert rest[2] == 0


def test_differences_are_taken_around_the_circle():
    recoil, *_ = filled([1, 1], [0, 0], [2])
    phi = np.array([1570, -1571, 0, 3])
    angle = np.array([-1571, 1570, 1500, -1500])
    difference = recoil.difference(phi, angle)
    assert np.all(np.abs(difference) <= 1571)
    assert difference[0] == -1
    assert np.array_equal(recoil.turned(angle, difference), phi)
