from __future__ import annotations

import json
import pickle

import awkward as ak
import hist
import numpy as np
import pytest

from hepae.errors import ConfigError, InputError
from hepae.kinematics import flat_column, momenta, wrap_phi
from hepae.validation.histograms import (
    AxisBinning,
    Binning,
    ComparisonHistograms,
    residual_label,
    value_label,
)


@pytest.fixture(scope="module")
def jets():
    """(original, restored) in lists per event, with a few masses that are not positive."""
    rng = np.random.default_rng(9)
    counts = rng.poisson(3, 3000)
    n = counts.sum()
    pt = 20 + rng.exponential(40, n)
    mass = pt * rng.uniform(0.05, 0.2, n)
    mass[:5] = [-1e-5, -1e-6, 0.0, -2e-5, 0.0]
    original = {
        "pt": pt,
        "eta": rng.uniform(-4.4, 4.4, n),
        "phi": wrap_phi(rng.uniform(-np.pi, np.pi, n)),
        "mass": mass,
        "girth": rng.uniform(0, 0.3, n),
        "n": rng.poisson(12, n),
    }
    restored = original | {
        "pt": pt * (1 + rng.normal(0, 0.01, n)),
        "phi": wrap_phi(original["phi"] + rng.normal(0, 0.01, n)),
    }
    return tuple(
        momenta({name: ak.unflatten(values, counts) for name, values in columns.items()})
        for columns in (original, restored)
    )


@pytest.fixture(scope="module")
def filled(jets):
    histograms = ComparisonHistograms(Binning.choose(*jets))
    histograms.fill(*jets)
    return histograms


def contents(histograms: ComparisonHistograms) -> dict[str, np.ndarray]:
    return {
        f"{kind} {name}": histogram.values(flow=True)
        for kind in ("original", "restored", "residual")
        for name, histogram in getattr(histograms, kind).items()
    }


@pytest.mark.parametrize("column", ["pt", "eta", "phi", "mass", "E", "girth", "n"])
def test_bins_hold_what_numpy_counts(jets, filled, column):
    for histograms, part in ((filled.original, jets[0]), (filled.restored, jets[1])):
        histogram = histograms[column]
        values = flat_column(part, column)
        counted, _ = np.histogram(values, histogram.axes[0].edges)
        assert histogram.values() == pytest.approx(counted, abs=1)  # a value on an edge, in the last bit
        assert histogram.sum(flow=True) == len(values)


def test_relative_and_absolute_residuals(jets, filled):
    before, after = (flat_column(part, "pt") for part in jets)
    histogram = filled.residual["pt"]
    counted, _ = np.histogram(after / before - 1, histogram.axes[0].edges)
    assert histogram.values() == pytest.approx(counted, abs=1)
    before, after = (flat_column(part, "phi") for part in jets)
    histogram = filled.residual["phi"]
    counted, _ = np.histogram(np.angle(np.exp(1j * (after - before))), histogram.axes[0].edges)
    assert histogram.values() == pytest.approx(counted, abs=1)


@pytest.mark.parametrize("size", [77, 250, 1999])
def test_figures_do_not_depend_on_the_chunks(jets, filled, size):
    total = ComparisonHistograms(filled.binning)
    for start in range(0, 3000, size):
        chunk = slice(start, start + size)
        part = ComparisonHistograms(filled.binning)
        part.fill(jets[0][chunk], jets[1][chunk])
        total = total + pickle.loads(pickle.dumps(part))
    expected = contents(filled)
    assert contents(total).keys() == expected.keys()
    for name, values in contents(total).items():
        assert np.array_equal(values, expected[name]), name


def test_axes_suit_their_columns(filled):
    binning = filled.binning.columns
    assert binning["pt"].value.scale == binning["mass"].value.scale == binning["E"].value.scale == "log"
    assert binning["pt"].value.low == 20
    assert binning["phi"].value == AxisBinning(64, -np.pi, np.pi, "circular")
    assert binning["eta"].value.low == -binning["eta"].value.high
    assert binning["girth"].value.low == 0
    assert binning["girth"].value.high == 0.31
    n = binning["n"].value
    assert (n.high - n.low) / n.bins == 1
    assert n.low % 1 == 0.5
    assert filled.original["pt"].axes[0].label == r"$p_\mathrm{T}$ [GeV]"
    assert filled.original["pt"].axes[0].name == "pt"


def test_residual_axes_are_symmetric_and_hold_nearly_all(filled):
    for name, histogram in filled.residual.items():
        edges = histogram.axes[0].edges
        assert edges[0] == pytest.approx(-edges[-1]), name
        assert histogram.sum() >= 0.995 * histogram.sum(flow=True), name
    # where nothing changed, 0 lies in the middle of a bin
    assert filled.residual["eta"].values()[40] == filled.residual["eta"].sum()


def test_masses_that_are_not_positive_are_below_a_logarithmic_axis(filled):
    below = filled.original["mass"].values(flow=True)[0]
    assert below >= 5
    assert filled.original["mass"].values(flow=True)[-1] == 0


def test_the_circle_has_no_ends():
    edge = {"pt": [30.0] * 3, "eta": [0.0] * 3, "phi": [np.pi, np.float32(np.pi), -3.0], "mass": [1.0] * 3}
    jets = momenta(edge)
    histograms = ComparisonHistograms(Binning.choose(jets, jets))
    histograms.fill(jets, jets)
    assert histograms.original["phi"].sum() == 3


def test_what_is_not_finite_is_beyond(filled):
    broken = {"pt": [30.0, np.nan, np.inf], "eta": [0.0] * 3, "phi": [0.0] * 3, "mass": [1.0] * 3}
    same = {name: np.nan_to_num(values, nan=30, posinf=30) for name, values in broken.items()}
    binning = Binning({"pt": filled.binning.columns["pt"]})
    histograms = ComparisonHistograms(binning)
    histograms.fill(momenta(same), momenta(broken))
    for histogram in (histograms.restored["pt"], histograms.residual["pt"]):
        assert (histogram.sum(), histogram.sum(flow=True)) == (1, 3)


def test_weights_of_events_and_of_jets(jets, filled):
    counts = ak.num(jets[0])
    weight = np.arange(3000) % 5 - 1.0
    by_event, by_jet = ComparisonHistograms(filled.binning), ComparisonHistograms(filled.binning)
    by_event.fill(*jets, weight=weight)
    by_jet.fill(*jets, weight=ak.unflatten(np.repeat(weight, counts), counts))
    edges = by_event.original["eta"].axes[0].edges
    counted, _ = np.histogram(flat_column(jets[0], "eta"), edges, weights=np.repeat(weight, counts))
    assert by_event.original["eta"].values() == pytest.approx(counted, abs=4)
    assert by_event.original["pt"].sum(flow=True) == np.repeat(weight, counts).sum()
    for name, values in contents(by_jet).items():
        assert np.array_equal(values, contents(by_event)[name]), name


def test_weights_of_flat_jets(jets, filled):
    flat = [ak.flatten(part) for part in jets]
    histograms = ComparisonHistograms(filled.binning)
    histograms.fill(*flat, weight=np.full(len(flat[0]), 2.0))
    for name, values in contents(histograms).items():
        assert np.array_equal(values, 2 * contents(filled)[name]), name


def test_binning_goes_through_json(filled):
    config = json.loads(json.dumps(filled.binning.to_config()))
    assert Binning.from_config(config) == filled.binning


def test_binning_of_jets_that_say_little():
    one = momenta({"pt": [30.0], "eta": [0.0], "phi": [0.0], "mass": [0.0], "girth": [0.0], "charge": [-7.5]})
    for jets in (one, one[:0], momenta({name: [np.nan] for name in ("pt", "eta", "phi", "mass", "girth")})):
        histograms = ComparisonHistograms(Binning.choose(jets, jets))
        histograms.fill(jets, jets)
        assert all(histogram.sum(flow=True) == len(jets) for histogram in histograms.original.values())


def test_sentinels_and_absurd_values_do_not_stretch_the_axes(jets):
    columns = {name: flat_column(jets[0], name).copy() for name in ("pt", "eta", "phi", "mass", "girth")}
    columns["girth"][:3] = -999
    columns["pt"][0] = 1e30
    jets = momenta(columns)
    binning = Binning.choose(jets, jets).columns
    assert binning["pt"].value.high < 1e4
    assert -0.1 < binning["girth"].value.low < 0


def test_many_integers_share_bins():
    n = np.arange(1000)
    jets = momenta({name: np.ones(1000) for name in ("pt", "eta", "phi", "mass")} | {"n": n})
    binning = Binning.choose(jets, jets).columns["n"].value
    assert binning == AxisBinning(100, -0.5, 999.5)


@pytest.mark.parametrize(
    "bad",
    [
        {"bins": 0, "low": 0.0, "high": 1.0},
        {"bins": 3, "low": 1.0, "high": 1.0},
        {"bins": 3, "low": 0.0, "high": float("inf")},
        {"bins": 3, "low": 0.0, "high": 1.0, "scale": "log"},
        {"bins": 3, "low": 0.0, "high": 1.0, "scale": "square"},
    ],
)
def test_impossible_axes_are_refused(bad):
    with pytest.raises(ConfigError):
        AxisBinning(**bad)


def test_histograms_of_other_axes_do_not_add_up(jets, filled):
    other = ComparisonHistograms(Binning.choose(jets[0][:50], jets[1][:50]))
    with pytest.raises(ValueError, match="different binning"):
        filled + other


def test_other_jets_are_refused(jets, filled):
    with pytest.raises(InputError):
        filled.fill(jets[0], jets[1][1:])
    with pytest.raises(InputError):
        Binning.choose(jets[0], jets[1][1:])


def test_labels_are_in_the_notation_of_the_field():
    assert value_label("eta") == r"$\eta$"
    assert value_label("phi") == r"$\phi$ [rad]"
    assert value_label("girth") == "girth"
    assert residual_label("pt") == r"$p_\mathrm{T}^\mathrm{restored}$ / $p_\mathrm{T}^\mathrm{original}$ − 1"
    assert residual_label("phi") == r"$\phi^\mathrm{restored}$ − $\phi^\mathrm{original}$ [rad]"
    assert residual_label("a$b") == r"a\$b, restored − original"


def test_histograms_are_hist_objects(filled):
    assert isinstance(filled.original["pt"], hist.Hist)
    assert (filled + filled).original["pt"].label == "Jets"
