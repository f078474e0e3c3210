from __future__ import annotations

import awkward as ak
import numpy as np
import pytest

from hepae.kinematics import momenta
from hepae.verification.event_quantities import QUANTITIES, EventQuantities, QuantityChanges


def jets(pt=None):
    columns = {
        "pt": [[30.0, 50.0, 40.0], [], [60.0]] if pt is None else pt,
        "eta": [[0.0, 1.0, -1.0], [], [0.5]],
        "phi": [[0.0, 3.0, 1.0], [], [0.1]],
        "mass": [[5.0, 6.0, 7.0], [], [9.0]],
    }
    return momenta({name: ak.Array(values) for name, values in columns.items()})


def test_quantities_are_those_of_vector():
    found, events = EventQuantities.of(jets()), jets()
    assert found.pair.tolist() == [[1, -1, 3], [2, -1, -1]]
    first, second = events[0][1], events[0][2]
    expected = {
        "HT": 120.0,
        "mass of all jets": (events[0][0] + first + second).mass,
        "mass of the leading pair": (first + second).mass,
        "ΔR of the leading pair": first.deltaR(second),
    }
    for name in QUANTITIES:
        assert found.values[name][0] == pytest.approx(expected[name], rel=1e-12)
        assert np.isnan(found.values[name][1])
    assert found.values["HT"][2] == 60
    assert found.values["mass of all jets"][2] == pytest.approx(9)
    assert np.isnan(found.values["mass of the leading pair"][2])


def test_changes_of_chunks_add_up_and_another_pair_is_counted_apart():
    moved, swapped = jets([[30.0, 50.5, 40.0], [], [60.0]]), jets([[41.0, 50.0, 40.0], [], [60.0]])
    changes = QuantityChanges()
    changes.fill(jets(), moved)
    assert (changes.events, changes.other_pair) == (3, 0)
    assert changes.largest["HT"] == pytest.approx(0.5)
    assert changes.largest_relative["HT"] == pytest.approx(0.5 / 120)
    other = QuantityChanges()
    other.fill(jets(), swapped)
    assert (other.other_pair, other.largest["mass of the leading pair"]) == (1, 0)
    total = changes + other
    assert (total.events, total.other_pair, total.largest["HT"]) == (6, 1, pytest.approx(11))
    assert total.to_json()["events_with_another_leading_pair"] == 1


def test_infinite_jets_are_in_no_largest_change():
    changes = QuantityChanges()
    with np.errstate(all="raise"):
        changes.fill(jets([[np.inf, 50.0, 40.0], [], [60.0]]), jets([[5.0, 50.0, 40.0], [], [61.0]]))
    assert changes.largest["HT"] == 1
    assert changes.other_pair == 1
