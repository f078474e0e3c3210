from __future__ import annotations

import pickle
from itertools import combinations

import awkward as ak
import hist
import numpy as np
import pytest

from hepae.errors import InputError
from hepae.kinematics import flat_column, momenta
from hepae.validation.binning import LEADING_DIGITS, Binning, LatentBinning
from hepae.validation.events import EventHistograms
from hepae.validation.histograms import ComparisonHistograms, LatentHistograms
from hepae.validation.thresholds import crossings


def contents(histograms: ComparisonHistograms) -> dict[str, np.ndarray]:
    return {
        f"{kind} {name}": histogram.values(flow=True)
        for kind in ("original", "restored", "residual", "against", "correlation", "largest")
        for name, histogram in getattr(histograms, kind).items()
    }


@pytest.mark.parametrize("column", ["pt", "eta", "phi", "mass", "E", "girth", "n"])
def test_bins_hold_what_numpy_counts(wide_jets, filled, column):
    for histograms, part in ((filled.original, wide_jets[0]), (filled.restored, wide_jets[1])):
        histogram = histograms[column]
        values = flat_column(part, column)
        counted, _ = np.histogram(values, histogram.axes[0].edges)
        assert histogram.values() == pytest.approx(counted, abs=1)  # a value on an edge, in the last bit
        assert histogram.values(flow=True).sum() == len(values)


def test_relative_and_absolute_residuals(wide_jets, filled):
    before, after = (flat_column(part, "pt") for part in wide_jets)
    histogram = filled.residual["pt"]
    counted, _ = np.histogram(after / before - 1, histogram.axes[0].edges)
    assert histogram.values() == pytest.approx(counted, abs=1)
    before, after = (flat_column(part, "phi") for part in wide_jets)
    histogram = filled.residual["phi"]
    counted, _ = np.histogram(np.angle(np.exp(1j * (after - before))), histogram.axes[0].edges)
    assert histogram.values() == pytest.approx(counted, abs=1)


@pytest.mark.parametrize("size", [77, 250, 1999])
def test_figures_do_not_depend_on_the_chunks(wide_jets, filled, size):
    total = ComparisonHistograms(filled.binning)
    for start in range(0, 3000, size):
        chunk = slice(start, start + size)
        part = ComparisonHistograms(filled.binning)
        part.fill(wide_jets[0][chunk], wide_jets[1][chunk])
        total = total + pickle.loads(pickle.dumps(part))
    expected = contents(filled)
    assert contents(total).keys() == expected.keys()
    for name, values in contents(total).items():
        assert np.array_equal(values, expected[name]), name


def _residual(wide_jets, column):
    before, after = (flat_column(part, column) for part in wide_jets)
    if column == "phi":
        return np.angle(np.exp(1j * (after - before)))
    return (after - before) / (np.abs(before) if column in ("pt", "mass") else 1)


@pytest.mark.parametrize("column", ["pt", "phi"])
@pytest.mark.parametrize("other", ["pt", "eta"])
def test_residuals_against_pt_and_eta(wide_jets, filled, column, other):
    histogram = filled.against[column, other]
    values = flat_column(wide_jets[0], other), _residual(wide_jets, column)
    counted, _, _ = np.histogram2d(*values, [axis.edges for axis in histogram.axes])
    assert np.abs(histogram.values() - counted).sum() <= 4  # values on an edge, in the last bit
    assert histogram.values(flow=True).sum() == len(values[0])


def test_residuals_against_each_other(wide_jets, filled):
    assert [*filled.correlation] == [*combinations(("pt", "eta", "phi", "mass"), 2)]
    histogram = filled.correlation["pt", "phi"]
    counted, _, _ = np.histogram2d(
        _residual(wide_jets, "pt"), _residual(wide_jets, "phi"), [axis.edges for axis in histogram.axes]
    )
    assert np.abs(histogram.values() - counted).sum() <= 4
    assert histogram.values(flow=True).sum() == counted.sum() + np.count_nonzero(
        (np.abs(_residual(wide_jets, "pt")) >= histogram.axes[0].edges[-1])
        | (np.abs(_residual(wide_jets, "phi")) >= histogram.axes[1].edges[-1])
    )


def test_the_map_holds_the_largest_residual_of_each_cell(wide_jets, filled):
    histogram = filled.largest["pt"]
    eta, phi = (flat_column(wide_jets[0], name) for name in ("eta", "phi"))
    residual = np.abs(_residual(wide_jets, "pt"))
    x = np.digitize(eta, histogram.axes[0].edges) - 1
    y = np.digitize(phi, histogram.axes[1].edges) - 1
    expected = np.zeros(histogram.shape)
    for i, j, value in zip(x, y, residual, strict=True):
        expected[i, j] = max(expected[i, j], value)
    assert histogram.values() == pytest.approx(expected, rel=1e-12)
    assert histogram.values().max() == pytest.approx(residual.max())


def test_jets_beyond_the_map_are_kept_beyond_it(filled):
    columns = {"pt": [30.0] * 3, "eta": [-9.0, 0.0, 9.0], "phi": [3.15, np.nan, -3.0], "mass": [1.0] * 3}
    histograms = ComparisonHistograms(
        filled.binning.__class__(
            {name: filled.binning.columns[name] for name in ("pt", "eta", "phi", "mass")}
        )
    )
    histograms.fill(momenta(columns), momenta(columns | {"pt": [33.0, np.inf, 36.0]}))
    view = histograms.largest["pt"].values(flow=True)
    assert view[0].max() == pytest.approx(0.1)
    assert view[-1].max() == pytest.approx(0.2)
    assert view[1:-1].max() == 0  # not finite: counted in the metrics


@pytest.mark.parametrize("weight", [np.r_[np.nan, np.ones(2999)], np.r_[np.ones(2999), -np.inf]])
def test_weights_that_are_not_finite_are_refused(wide_jets, filled, wide_events, weight):
    for histograms in (ComparisonHistograms(filled.binning), EventHistograms(wide_events.binning)):
        with pytest.raises(InputError, match="1 of 3000 weights are not finite"):
            histograms.fill(*wide_jets, weight=weight)


@pytest.mark.parametrize("weight", [np.ones(17), ak.Array([["a"]] * 3000), ak.Array([[1.0]] * 3000)])
def test_weights_of_other_things_are_refused(wide_jets, filled, weight):
    with pytest.raises(InputError, match="one number an event or one a jet, not"):
        ComparisonHistograms(filled.binning).fill(*wide_jets, weight=weight)


def test_latents_alone_and_in_pairs(wide_jets):
    records = ak.zip({"z0": np.log(wide_jets[0].pt), "z1": wide_jets[0].eta, "z2": wide_jets[0].n})
    binning = LatentBinning.choose(records, wide_jets[0])
    whole, total = LatentHistograms(binning), LatentHistograms(binning)
    whole.fill(records, wide_jets[0])
    for start in range(0, 3000, 700):
        part = LatentHistograms(binning)
        part.fill(records[start : start + 700], wide_jets[0][start : start + 700])
        total = total + part
    values = {name: flat_column(records, name) for name in records.fields}
    for name, histogram in whole.single.items():
        counted, _ = np.histogram(values[name], histogram.axes[0].edges)
        assert histogram.values() == pytest.approx(counted, abs=1)
        assert total.single[name] == histogram
    histogram = whole.pairs["z0", "z1"]
    assert list(whole.pairs) == [("z0", "z1"), ("z0", "z2"), ("z1", "z2")]
    sample = np.stack([values["z0"], values["z1"], flat_column(wide_jets[0], "pt")], axis=1)
    counted, _ = np.histogramdd(sample, [axis.edges for axis in histogram.axes])
    assert np.abs(histogram.values() - counted).sum() <= 4
    assert all(total.pairs[names] == of for names, of in whole.pairs.items())
    integers = binning.latents["z2"]
    assert (integers.high - integers.low) / integers.bins % 1 == 0
    other = LatentBinning.choose(records[:9], wide_jets[0][:9])
    with pytest.raises(ValueError, match="different binning"):
        whole + LatentHistograms(other)


def test_masses_that_are_not_positive_are_below_a_logarithmic_axis(filled):
    below = filled.original["mass"].values(flow=True)[0]
    assert below >= 5
    assert filled.original["mass"].values(flow=True)[-1] == 0


def test_what_is_not_finite_is_beyond(filled):
    broken = {"pt": [30.0, np.nan, np.inf], "eta": [0.0] * 3, "phi": [0.0] * 3, "mass": [1.0] * 3}
    same = {name: np.nan_to_num(values, nan=30, posinf=30) for name, values in broken.items()}
    binning = Binning({"pt": filled.binning.columns["pt"]})
    histograms = ComparisonHistograms(binning)
    histograms.fill(momenta(same), momenta(broken))
    for histogram in (histograms.restored["pt"], histograms.residual["pt"]):
        assert (histogram.values().sum(), histogram.values(flow=True).sum()) == (1, 3)


def test_weights_of_events_and_of_jets(wide_jets, filled):
    counts = ak.num(wide_jets[0])
    weight = np.arange(3000) % 5 - 1.0
    by_event, by_jet = ComparisonHistograms(filled.binning), ComparisonHistograms(filled.binning)
    by_event.fill(*wide_jets, weight=weight)
    by_jet.fill(*wide_jets, weight=ak.unflatten(np.repeat(weight, counts), counts))
    edges = by_event.original["eta"].axes[0].edges
    counted, _ = np.histogram(flat_column(wide_jets[0], "eta"), edges, weights=np.repeat(weight, counts))
    assert by_event.original["eta"].values() == pytest.approx(counted, abs=4)
    squared, _ = np.histogram(flat_column(wide_jets[0], "eta"), edges, weights=np.repeat(weight, counts) ** 2)
    assert by_event.original["eta"].variances() == pytest.approx(squared, abs=9)
    assert by_event.original["pt"].sum(flow=True).value == np.repeat(weight, counts).sum()
    for name, values in contents(by_jet).items():
        assert np.array_equal(values, contents(by_event)[name]), name


def test_weights_of_flat_jets(wide_jets, filled):
    flat = [ak.flatten(part) for part in wide_jets]
    histograms = ComparisonHistograms(filled.binning)
    histograms.fill(*flat, weight=np.full(len(flat[0]), 2.0))
    for name, values in contents(histograms).items():
        factor = 2 if name.startswith(("original", "restored")) else 1  # residuals are the codec's
        assert np.array_equal(values, factor * contents(filled)[name]), name


def test_histograms_of_other_axes_do_not_add_up(wide_jets, filled):
    other = ComparisonHistograms(Binning.choose(wide_jets[0][:50], wide_jets[1][:50]))
    with pytest.raises(ValueError, match="different binning"):
        filled + other


def test_other_jets_are_refused(wide_jets, filled):
    with pytest.raises(InputError):
        filled.fill(wide_jets[0], wide_jets[1][1:])
    with pytest.raises(InputError):
        Binning.choose(wide_jets[0], wide_jets[1][1:])


def test_histograms_are_hist_objects(filled):
    assert isinstance(filled.original["pt"], hist.Hist)
    assert (filled + filled).original["pt"].label == "Jets"


def test_jets_that_cross_a_threshold_are_counted(wide_jets, filled):
    before, after = (ak.to_numpy(ak.flatten(part.pt)) for part in wide_jets)
    threshold = filled.binning.threshold
    lost, gained = crossings(filled.turn_on["wide"])
    assert lost == np.count_nonzero((before >= threshold) & (after <= threshold)) > 5
    assert gained == np.count_nonzero((before < threshold) & (after > threshold)) > 5
    near = filled.turn_on["near"]
    thresholds = np.array([10.0**power * digit for power in range(4) for digit in LEADING_DIGITS[:-1]])
    nearest = thresholds[np.abs(np.log(before[:, None] / thresholds)).argmin(axis=1)]
    inside = (before / nearest - 1 > near.axes[0].edges[0]) & (before / nearest - 1 < near.axes[0].edges[-1])
    assert near.values()[:, 1].sum() == np.count_nonzero(inside & (after > nearest))
    assert near.values().sum() == np.count_nonzero(inside)


def test_residuals_of_pt_in_bins_of_eta_and_pt(wide_jets, filled):
    eta, before, after = (
        ak.to_numpy(ak.flatten(values)) for values in (wide_jets[0].eta, wide_jets[0].pt, wide_jets[1].pt)
    )
    axes = [axis.edges for axis in filled.by_eta.axes]
    expected, _ = np.histogramdd((np.abs(eta), before, after / before - 1), axes)
    assert np.abs(filled.by_eta.values() - expected).sum() <= 4  # at the edges of bins
    assert filled.by_eta.values().sum() > 5000


def test_residuals_of_the_mass_leave_out_jets_of_no_mass(wide_jets, filled):
    mass = ak.to_numpy(ak.flatten(wide_jets[0].mass))
    heavy = int(np.count_nonzero(mass >= 1))
    assert filled.binning.columns["mass"].floor == 1
    assert 0 < heavy < mass.size
    assert filled.residual["mass"].values(flow=True).sum() == heavy
    assert filled.against["mass", "pt"].values(flow=True).sum() == heavy
    assert filled.correlation["pt", "mass"].values(flow=True).sum() == heavy
    assert filled.above["mass"].result().jets == heavy
    assert "m$ ≥ 1 GeV" in filled.residual["mass"].axes[0].label
    light = momenta(
        {
            name: ak.flatten(getattr(wide_jets[0], name)) * (1e-3 if name == "mass" else 1)
            for name in ("pt", "eta", "phi", "mass")
        }
    )
    assert Binning.choose(light, light).columns["mass"].floor is None
