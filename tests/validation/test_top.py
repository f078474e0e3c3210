from __future__ import annotations

from itertools import combinations

import awkward as ak
import numpy as np
import pytest
import vector

import hepae
from hepae.samples import sample_path
from hepae.validation.events import EventBinning, EventHistograms
from hepae.validation.top import has_tops, top_and_w_mass

COLUMNS = ("pt", "eta", "phi", "mass")


def of(jets):
    counts = ak.to_numpy(ak.num(jets))
    return top_and_w_mass({name: ak.to_numpy(ak.flatten(getattr(jets, name))) for name in COLUMNS}, counts)


def by_hand(event):
    """Masses of three and of two jets, one event after the other with vector."""
    jets = [jet for jet in event if jet.pt > 25 and abs(jet.eta) < 2.5]
    if len(jets) < 4:
        return np.nan, np.nan
    leading = sorted(jets, key=lambda jet: -jet.pt)[:6]
    three = max(combinations(leading, 3), key=lambda each: (each[0] + each[1] + each[2]).pt)
    two = max(combinations(three, 2), key=lambda each: (each[0] + each[1]).pt)
    return (three[0] + three[1] + three[2]).mass, (two[0] + two[1]).mass


@pytest.fixture(scope="module")
def tops(data):
    return hepae.read_jets(data / "nanoaod_tt_v12.root")


def test_masses_are_those_of_the_jets_by_hand(tops):
    tops = tops[:60]
    found = of(tops)
    expected = np.array([by_hand(event) for event in tops]).T
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert np.isfinite(found).sum() > 80


def test_top_pairs_have_tops_and_dijets_have_none(tops):
    assert has_tops(of(tops)[0])
    assert not has_tops(of(hepae.read_jets(sample_path()))[0])
    assert not has_tops(of(tops[:10])[0])  # too few to say
    histograms = EventHistograms(EventBinning.choose(tops))
    histograms.fill(tops, tops)
    top = histograms.pairs["top_mass"].original
    assert 140 < top.axes[0].centers[top.values().argmax()] < 200
    assert "top_mass" not in EventBinning.choose(hepae.read_jets(sample_path())).axes


def test_events_without_jets_and_with_nan():
    jets = ak.zip(
        {name: ak.Array([[], [np.nan] * 5, [50.0, 40.0, 30.0]]) for name in ("pt", "mass")}
        | {name: ak.Array([[], [0.0] * 5, [0.0, 1.0, 2.0]]) for name in ("eta", "phi")},
        with_name="Momentum4D",
        behavior=vector.backends.awkward.behavior,
    )
    assert np.isnan(of(jets)).all()
    assert [len(masses) for masses in of(jets[:0])] == [0, 0]
