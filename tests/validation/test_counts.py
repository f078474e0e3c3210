from __future__ import annotations

import functools
import operator

import awkward as ak
import numpy as np
import pytest

from hepae.bounds import Bound
from hepae.kinematics import momenta
from hepae.validation.counts import Counts, Scheme, Version, metrics
from hepae.validation.residuals import residual_bound, residuals

BOUNDS = {"pt": Bound.parse("1%"), "mass": Bound.parse("1%+1MeV"), "eta": Bound.parse("0.001")}


@pytest.fixture(scope="module")
def jets():
    """(original, restored, latents), none to five an event; some jets are beyond the bound of pt."""
    rng = np.random.default_rng(8)
    counts = rng.integers(0, 6, 2000)
    n = counts.sum()
    columns = {
        "pt": 20 + rng.exponential(40, n),
        "eta": rng.normal(0, 1.5, n),
        "phi": rng.uniform(-3.1, 3.1, n),
        "mass": rng.uniform(1, 20, n),
    }
    other = {**columns, "pt": columns["pt"] * (1 + rng.normal(0, 0.005, n))}
    arrays = [{name: ak.unflatten(of, counts) for name, of in each.items()} for each in (columns, other)]
    latents = ak.zip({name: ak.unflatten(rng.normal(size=n), counts) for name in ("z0", "z1")})
    return *(momenta(each) for each in arrays), latents


@pytest.fixture(scope="module")
def scheme(jets):
    return Scheme.choose(*(part[:500] for part in jets), coded=None, bounds=BOUNDS)


def counted(scheme, *jets, weight=None):
    counts = Counts.of(scheme)
    counts.fill(*jets, weight)
    return counts


def test_chunks_add_up_in_any_order(jets, scheme):
    whole = counted(scheme, *jets)
    pieces = [slice(1500, 2000), slice(0, 700), slice(700, 1500)]
    total = functools.reduce(operator.add, [counted(scheme, *(part[p] for part in jets)) for p in pieces])
    assert total.sums.result() == whole.sums.result() == residuals(*jets[:2], bounds=BOUNDS)
    assert whole.sums.result()["pt"].violations > 0
    assert total.histograms.original == whole.histograms.original
    assert total.histograms.largest == whole.histograms.largest
    assert total.events.cut_flow == whole.events.cut_flow
    assert total.latents.pairs == whole.latents.pairs


def test_a_weight_of_each_jet_is_none_of_its_event(jets, scheme):
    plain = counted(scheme, *jets)
    of_jets = counted(scheme, *jets, weight=2 * ak.ones_like(jets[0].pt))
    of_events = counted(scheme, *jets, weight=np.full(len(jets[0]), 2.0))
    for weighted in (of_jets, of_events):
        expected = 2 * plain.histograms.original["pt"].values()
        assert weighted.histograms.original["pt"].values() == pytest.approx(expected)
        assert weighted.histograms.residual == plain.histograms.residual
    assert of_jets.events.cut_flow == plain.events.cut_flow
    assert of_events.events.cut_flow.values() == pytest.approx(2 * plain.events.cut_flow.values())


def test_flat_jets_have_no_events_and_only_coded_columns_are_compared(jets):
    flat = [ak.flatten(part) for part in jets[:2]]
    for part in flat:
        part["btag"] = part.pt
    scheme = Scheme.choose(*flat, coded=["pt"], bounds={})
    assert scheme.events is scheme.latents is None
    assert scheme.columns == ("pt", "eta", "phi", "mass", "E")
    assert Scheme.choose(*flat, coded=["btag"], bounds={}).columns[-1] == "btag"
    assert counted(scheme, *flat).sums.result()["pt"].violations is None


def test_metrics_of_several_collections(jets, scheme):
    counts = counted(scheme, *jets)
    versions = {
        "Jet.": Version("a", counts, ({"pt": 30, "eta": 10}, {"payload": 10})),
        "Muon.": Version("a", counts, ({"pt": 8}, {"payload": 6})),
    }
    found = metrics(versions, 100, 50)
    n = counts.sums.jets
    assert (found["jets"], found["events"]) == (2 * n, 2000)
    assert found["columns"]["Muon.pt"] == counts.sums.result()["pt"].to_dict()
    assert found["bytes"] == {
        "file_original": 100,
        "file_compressed": 50,
        "original": 48,
        "compressed": 16,
        "per_jet": 16 / (2 * n),
        "ratio": 3.0,
    }


@pytest.mark.parametrize(
    ("column", "bound", "line"),
    [
        ("pt", "1%", 0.01),
        ("pt", "50MeV", None),
        ("mass", "1%+1MeV", 0.01),
        ("mass", "exact", None),
        ("px", "50MeV", 0.05),
        ("px", "1%", None),
        ("eta", "0.001", 0.001),
    ],
)
def test_the_bound_of_a_residual(column, bound, line):
    assert residual_bound(column, Bound.parse(bound)) == line
