from __future__ import annotations

import numpy as np
import pytest

from hepae.bounds import Bound, Edges
from hepae.kinematics import momenta
from hepae.verification.judgement import extended_momentum, judge, same_bits

PT = np.array([10.0, 20.0, 30.0, 40.0])


def test_a_bound_is_that_decimal_number():
    bound = Bound.parse("10%")
    found = judge("pt", PT, np.array([11.0, 22.000001, 30.0, 36.0]), bound)
    assert found.beyond.tolist() == [False, True, False, False]
    assert found.changed.tolist() == [True, True, False, True]
    assert found.ratio.astype(float) == pytest.approx([1, 1.0000005, 0, 1])
    assert found.broken.tolist() == found.beyond.tolist()


def test_bits_are_compared_where_the_bound_allows_nothing():
    before, after = np.array([0.0, np.nan, 1.0]), np.array([-0.0, np.nan, 1.0])
    assert same_bits(before, after).tolist() == [False, True, True]
    assert judge("pt", before, np.array([0.0, np.nan, 1.1]), Bound(exact=True)).beyond.tolist() == [
        False,
        False,
        True,
    ]
    none = judge("pt", PT, PT + 1, None)
    assert none.ratio is None
    assert not none.broken.any()


def test_edges_and_units_are_those_of_the_file():
    after = PT + np.array([0.0, 0.2, -0.2, 0.0])
    found = judge("pt", PT, after, Bound.parse("1"), Edges.parse("20,29.9"))
    assert found.crossed.tolist() == [False, True, True, False]
    found = judge("pt", 1000 * PT, 1000 * after, Bound.parse("0.1GeV"), Edges.parse("29.9GeV"), unit="MeV")
    assert found.beyond.tolist() == [False, True, True, False]
    assert found.crossed.tolist() == [False, False, True, False]


def test_phi_is_judged_around_the_circle_and_stays_on_its_side():
    phi = np.array([3.1415, -3.1415, 1.0])
    found = judge("phi", phi, np.array([-3.1415, -3.1414, 1.0005]), Bound.parse("0.001"))
    assert found.error.astype(float) == pytest.approx([2 * (np.pi - 3.1415), 0.0001, 0.0005], abs=1e-9)
    assert not found.beyond.any()
    assert found.other_side.tolist() == [True, False, False]


def test_four_momenta_in_any_columns_are_those_of_vector():
    rng = np.random.default_rng(1)
    px, py, pz, mass = rng.normal(0, 40, (4, 100))
    energy = np.sqrt(px**2 + py**2 + pz**2 + mass**2)
    expected = momenta({"px": px, "py": py, "pz": pz, "E": energy})
    found = extended_momentum({"px": px, "py": py, "pz": pz, "E": energy})
    for name in ("pt", "eta", "phi"):
        np.testing.assert_allclose(found[name].astype(float), getattr(expected, name), rtol=1e-12)
    np.testing.assert_allclose(found["mass"].astype(float), np.abs(mass), rtol=1e-6, atol=1e-6)
    spacelike = extended_momentum({"px": px, "py": py, "pz": pz, "E": 0 * energy})
    assert np.all(spacelike["mass"] < 0)


@pytest.mark.parametrize("bound", ["10%", "10%+1", "5"])
def test_an_infinite_value_is_within_its_bound_only_where_it_stays(bound):
    original = np.array([np.inf, np.inf, np.inf, -np.inf, 7.0])
    restored = np.array([np.inf, -np.inf, 5.0, np.nan, np.inf])
    found = judge("pt", original, restored, Bound.parse(bound))
    assert found.beyond.tolist() == [False, True, True, True, True]
