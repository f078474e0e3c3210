from __future__ import annotations

import pickle

import awkward as ak
import numpy as np
import pytest

from hepae.kinematics import momenta
from hepae.validation.binning import AxisBinning
from hepae.validation.events import EventBinning, EventHistograms


def test_events_by_their_leading_jets(wide_jets, wide_events):
    pt = [sorted(event, reverse=True) for event in wide_jets[0].pt.to_list()]
    binning = wide_events.binning
    pairs = wide_events.pairs
    counted, _ = np.histogram([sum(x > binning.pt for x in event) for event in pt], np.arange(17) - 0.5)
    assert np.array_equal(pairs["multiplicity"].original.values(), counted)
    leading = [event[0] for event in pt if event]
    counted, _ = np.histogram(leading, pairs["leading_pt"].original.axes[0].edges)
    assert pairs["leading_pt"].original.values() == pytest.approx(counted, abs=1)
    assert pairs["leading_pt"].original.values(flow=True).sum() == len(leading)
    for which, part in zip(("original", "restored"), wide_jets, strict=True):
        two = part[ak.num(part) >= 2]
        two = two[ak.argsort(two.pt, axis=1, ascending=False)][:, :2]
        mass = ak.to_numpy((two[:, 0] + two[:, 1]).mass)
        histogram = getattr(pairs["dijet_mass"], which)
        counted, _ = np.histogram(mass, histogram.axes[0].edges)
        assert histogram.values() == pytest.approx(counted, abs=1)
        assert histogram.values(flow=True).sum() == len(mass)


def test_sums_and_distances_are_those_of_a_direct_computation(wide_jets, wide_events):
    threshold = wide_events.binning.pt
    for which, part in zip(("original", "restored"), wide_jets, strict=True):
        above = part[part.pt > threshold]
        some = ak.num(above) > 0
        total = [ak.to_numpy(ak.sum(getattr(above, axis), axis=1)[some]) for axis in ("px", "py")]
        two = part[ak.num(part) >= 2]
        two = two[ak.argsort(two.pt, axis=1, ascending=False)][:, :2]
        expected = {
            "ht": ak.to_numpy(ak.sum(above.pt, axis=1)[some]),
            "missing_ht": np.hypot(*total),
            "delta_r": ak.to_numpy(two[:, 0].deltaR(two[:, 1])),
        }
        for name, values in expected.items():
            histogram = getattr(wide_events.pairs[name], which)
            counted, _ = np.histogram(values, histogram.axes[0].edges)
            assert histogram.values() == pytest.approx(counted, abs=1)
            assert histogram.values(flow=True).sum() == len(values)
    assert not {"w_mass", "top_mass"} & wide_events.pairs.keys()  # few events have four jets


def test_cut_flow_counts_events_before_after_and_in_both(wide_jets, wide_events):
    binning, passing = wide_events.binning, []
    few = [part[:300] for part in wide_jets]
    histograms = EventHistograms(binning)
    histograms.fill(*few)
    for part in few:
        steps = np.zeros((5, len(part)), bool)
        for i, event in enumerate(part):
            found = sorted(event, key=lambda jet: -jet.pt)[:2]
            passed = [True, len(event) >= 2]
            passed.append(passed[-1] and found[0].pt > binning.pt)
            passed.append(passed[-1] and max(abs(jet.eta) for jet in found) < binning.eta)
            passed.append(passed[-1] and (found[0] + found[1]).mass > binning.mass)
            steps[:, i] = passed
        passing.append(steps)
    expected = np.stack([passing[0].sum(1), passing[1].sum(1), (passing[0] & passing[1]).sum(1)], axis=1)
    assert np.array_equal(histograms.cut_flow.values(), expected)
    assert list(wide_events.cut_flow.axes[0]) == list(binning.cuts)
    original, restored, both = wide_events.cut_flow.values().T
    assert (both <= np.minimum(original, restored)).all()
    assert both[2] < original[2]


@pytest.mark.parametrize("size", [1, 77, 1999])
def test_events_do_not_depend_on_the_chunks(wide_jets, wide_events, size):
    stop = 40 if size == 1 else 3000
    whole, total = EventHistograms(wide_events.binning), EventHistograms(wide_events.binning)
    whole.fill(wide_jets[0][:stop], wide_jets[1][:stop])
    for start in range(0, stop, size):
        part = EventHistograms(wide_events.binning)
        part.fill(
            wide_jets[0][start : min(start + size, stop)], wide_jets[1][start : min(start + size, stop)]
        )
        total = total + pickle.loads(pickle.dumps(part))
    assert total.cut_flow == whole.cut_flow
    assert total.pairs == whole.pairs


def test_events_without_jets_and_with_nan():
    columns = {"pt": [[], [np.nan, 50.0, np.nan, 40.0], [30.0, 30.0, 30.0], []]}
    columns |= {name: ak.zeros_like(ak.Array(columns["pt"])) for name in ("eta", "mass")}
    columns["phi"] = [[], [0.0, 0.0, 1.0, np.pi], [0.0, np.pi, 1.0], []]
    jets = momenta({name: ak.Array(values) for name, values in columns.items()})
    histograms = EventHistograms(
        EventBinning(
            {"leading_pt": AxisBinning(9, 5, 95), "dijet_mass": AxisBinning(10, 0, 200)},
            pt=25,
            eta=2.5,
            mass=70,
        )
    )
    histograms.fill(jets, jets)
    leading = histograms.pairs["leading_pt"].original
    assert (leading.values()[[2, 4]] == 1).all()  # 30 and 50
    assert leading.values(flow=True).sum() == 2
    mass = histograms.pairs["dijet_mass"].original
    assert mass.values()[[3, 4]].sum() == 2  # 2·√(50·40) = 89.4 and, of the first two of equal pt, 60
    assert histograms.cut_flow.values()[:, 0].tolist() == [4, 2, 2, 2, 1]
    empty = EventHistograms(histograms.binning)
    empty.fill(jets[:0], jets[:0])
    assert empty.cut_flow.sum() == 0
    assert EventBinning.choose(jets[:0]).pt == 30
    one = EventBinning.choose(jets[:1])
    assert (one.axes["leading_pt"].scale, one.mass) == ("log", 100)


def test_weights_of_events(wide_jets, wide_events):
    weighted = EventHistograms(wide_events.binning)
    weighted.fill(*wide_jets, weight=np.full(3000, 2.0))
    assert np.array_equal(weighted.cut_flow.values(), 2 * wide_events.cut_flow.values())
    for name, pair in weighted.pairs.items():
        assert np.array_equal(
            pair.restored.values(flow=True), 2 * wide_events.pairs[name].restored.values(flow=True)
        )
