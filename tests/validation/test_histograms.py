from __future__ import annotations

import pickle
from itertools import combinations

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
    EventBinning,
    EventHistograms,
    LatentBinning,
    LatentHistograms,
    change_label,
    literal,
    residual_label,
    residual_unit,
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


@pytest.fixture(scope="module")
def events(jets):
    histograms = EventHistograms(EventBinning.choose(jets[0]))
    histograms.fill(*jets)
    return histograms


def contents(histograms: ComparisonHistograms) -> dict[str, np.ndarray]:
    return {
        f"{kind} {name}": histogram.values(flow=True)
        for kind in ("original", "restored", "residual", "against", "correlation", "largest")
        for name, histogram in getattr(histograms, kind).items()
    }


@pytest.mark.parametrize("column", ["pt", "eta", "phi", "mass", "E", "girth", "n"])
def test_bins_hold_what_numpy_counts(jets, filled, column):
    for histograms, part in ((filled.original, jets[0]), (filled.restored, jets[1])):
        histogram = histograms[column]
        values = flat_column(part, column)
        counted, _ = np.histogram(values, histogram.axes[0].edges)
        assert histogram.values() == pytest.approx(counted, abs=1)  # a value on an edge, in the last bit
        assert histogram.values(flow=True).sum() == len(values)


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


def _residual(jets, column):
    before, after = (flat_column(part, column) for part in jets)
    if column == "phi":
        return np.angle(np.exp(1j * (after - before)))
    return (after - before) / (np.abs(before) if column in ("pt", "mass") else 1)


@pytest.mark.parametrize("column", ["pt", "phi"])
@pytest.mark.parametrize("other", ["pt", "eta"])
def test_residuals_against_pt_and_eta(jets, filled, column, other):
    histogram = filled.against[column, other]
    values = flat_column(jets[0], other), _residual(jets, column)
    counted, _, _ = np.histogram2d(*values, [axis.edges for axis in histogram.axes])
    assert np.abs(histogram.values() - counted).sum() <= 4  # values on an edge, in the last bit
    assert histogram.values(flow=True).sum() == len(values[0])


def test_residuals_against_each_other(jets, filled):
    assert [*filled.correlation] == [*combinations(("pt", "eta", "phi", "mass"), 2)]
    histogram = filled.correlation["pt", "phi"]
    counted, _, _ = np.histogram2d(
        _residual(jets, "pt"), _residual(jets, "phi"), [axis.edges for axis in histogram.axes]
    )
    assert np.abs(histogram.values() - counted).sum() <= 4
    assert histogram.values(flow=True).sum() == counted.sum() + np.count_nonzero(
        (np.abs(_residual(jets, "pt")) >= histogram.axes[0].edges[-1])
        | (np.abs(_residual(jets, "phi")) >= histogram.axes[1].edges[-1])
    )


def test_the_map_holds_the_largest_residual_of_each_cell(jets, filled):
    histogram = filled.largest["pt"]
    eta, phi = (flat_column(jets[0], name) for name in ("eta", "phi"))
    residual = np.abs(_residual(jets, "pt"))
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


def test_events_by_their_leading_jets(jets, events):
    pt = [sorted(event, reverse=True) for event in jets[0].pt.to_list()]
    binning = events.binning
    pairs = events.pairs
    counted, _ = np.histogram([sum(x > binning.pt for x in event) for event in pt], np.arange(17) - 0.5)
    assert np.array_equal(pairs["multiplicity"].original.values(), counted)
    leading = [event[0] for event in pt if event]
    counted, _ = np.histogram(leading, pairs["leading_pt"].original.axes[0].edges)
    assert pairs["leading_pt"].original.values() == pytest.approx(counted, abs=1)
    assert pairs["leading_pt"].original.values(flow=True).sum() == len(leading)
    for which, part in zip(("original", "restored"), jets, strict=True):
        two = part[ak.num(part) >= 2]
        two = two[ak.argsort(two.pt, axis=1, ascending=False)][:, :2]
        mass = ak.to_numpy((two[:, 0] + two[:, 1]).mass)
        histogram = getattr(pairs["dijet_mass"], which)
        counted, _ = np.histogram(mass, histogram.axes[0].edges)
        assert histogram.values() == pytest.approx(counted, abs=1)
        assert histogram.values(flow=True).sum() == len(mass)


def test_cut_flow_counts_events_before_after_and_in_both(jets, events):
    binning, passing = events.binning, []
    few = [part[:300] for part in jets]
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
    assert list(events.cut_flow.axes[0]) == list(binning.cuts)
    original, restored, both = events.cut_flow.values().T
    assert (both <= np.minimum(original, restored)).all()
    assert both[2] < original[2]


@pytest.mark.parametrize("size", [1, 77, 1999])
def test_events_do_not_depend_on_the_chunks(jets, events, size):
    stop = 40 if size == 1 else 3000
    whole, total = EventHistograms(events.binning), EventHistograms(events.binning)
    whole.fill(jets[0][:stop], jets[1][:stop])
    for start in range(0, stop, size):
        part = EventHistograms(events.binning)
        part.fill(jets[0][start : min(start + size, stop)], jets[1][start : min(start + size, stop)])
        total = total + pickle.loads(pickle.dumps(part))
    assert total.cut_flow == whole.cut_flow
    assert total.pairs == whole.pairs


def test_events_without_jets_and_with_nan():
    columns = {"pt": [[], [np.nan, 50.0, np.nan, 40.0], [30.0, 30.0, 30.0], []]}
    columns |= {name: ak.zeros_like(ak.Array(columns["pt"])) for name in ("eta", "mass")}
    columns["phi"] = [[], [0.0, 0.0, 1.0, np.pi], [0.0, np.pi, 1.0], []]
    jets = momenta({name: ak.Array(values) for name, values in columns.items()})
    histograms = EventHistograms(
        EventBinning(AxisBinning(9, 5, 95), AxisBinning(10, 0, 200), pt=25, eta=2.5, mass=70)
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
    assert (one.leading_pt.scale, one.mass) == ("log", 100)


def test_weights_of_events(jets, events):
    weighted = EventHistograms(events.binning)
    weighted.fill(*jets, weight=np.full(3000, 2.0))
    assert np.array_equal(weighted.cut_flow.values(), 2 * events.cut_flow.values())
    for name, pair in weighted.pairs.items():
        assert np.array_equal(
            pair.restored.values(flow=True), 2 * events.pairs[name].restored.values(flow=True)
        )


@pytest.mark.parametrize("weight", [np.r_[np.nan, np.ones(2999)], np.r_[np.ones(2999), -np.inf]])
def test_weights_that_are_not_finite_are_refused(jets, filled, events, weight):
    for histograms in (ComparisonHistograms(filled.binning), EventHistograms(events.binning)):
        with pytest.raises(InputError, match="1 of 3000 weights are not finite"):
            histograms.fill(*jets, weight=weight)


@pytest.mark.parametrize("weight", [np.ones(17), ak.Array([["a"]] * 3000), ak.Array([[1.0]] * 3000)])
def test_weights_of_other_things_are_refused(jets, filled, weight):
    with pytest.raises(InputError, match="one number an event or one a jet, not"):
        ComparisonHistograms(filled.binning).fill(*jets, weight=weight)


def test_latents_alone_and_in_pairs(jets):
    records = ak.zip({"z0": np.log(jets[0].pt), "z1": jets[0].eta, "z2": jets[0].n})
    binning = LatentBinning.choose(records, jets[0])
    whole, total = LatentHistograms(binning), LatentHistograms(binning)
    whole.fill(records, jets[0])
    for start in range(0, 3000, 700):
        part = LatentHistograms(binning)
        part.fill(records[start : start + 700], jets[0][start : start + 700])
        total = total + part
    values = {name: flat_column(records, name) for name in records.fields}
    for name, histogram in whole.single.items():
        counted, _ = np.histogram(values[name], histogram.axes[0].edges)
        assert histogram.values() == pytest.approx(counted, abs=1)
        assert total.single[name] == histogram
    histogram = whole.pairs["z0", "z1"]
    assert list(whole.pairs) == [("z0", "z1"), ("z0", "z2"), ("z1", "z2")]
    sample = np.stack([values["z0"], values["z1"], flat_column(jets[0], "pt")], axis=1)
    counted, _ = np.histogramdd(sample, [axis.edges for axis in histogram.axes])
    assert np.abs(histogram.values() - counted).sum() <= 4
    assert all(total.pairs[names] == of for names, of in whole.pairs.items())
    integers = binning.latents["z2"]
    assert (integers.high - integers.low) / integers.bins % 1 == 0
    other = LatentBinning.choose(records[:9], jets[0][:9])
    with pytest.raises(ValueError, match="different binning"):
        whole + LatentHistograms(other)


def test_a_reached_bound_is_the_edge_of_a_bin(jets, filled):
    bounds = {"pt": 0.03, "phi": 0.5}
    binning = Binning.choose(*jets, bounds=bounds)
    edges = binning.columns["pt"].residual.axis("x", "").edges
    assert np.abs(edges - 0.03).min() < 1e-12
    assert np.abs(edges + 0.03).min() < 1e-12
    assert edges[40] == -edges[41]  # 0 in the middle of a bin
    assert binning.columns["phi"] == filled.binning.columns["phi"]  # far from its bound


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
    assert histograms.original["phi"].values().sum() == 3


def test_what_is_not_finite_is_beyond(filled):
    broken = {"pt": [30.0, np.nan, np.inf], "eta": [0.0] * 3, "phi": [0.0] * 3, "mass": [1.0] * 3}
    same = {name: np.nan_to_num(values, nan=30, posinf=30) for name, values in broken.items()}
    binning = Binning({"pt": filled.binning.columns["pt"]})
    histograms = ComparisonHistograms(binning)
    histograms.fill(momenta(same), momenta(broken))
    for histogram in (histograms.restored["pt"], histograms.residual["pt"]):
        assert (histogram.values().sum(), histogram.values(flow=True).sum()) == (1, 3)


def test_weights_of_events_and_of_jets(jets, filled):
    counts = ak.num(jets[0])
    weight = np.arange(3000) % 5 - 1.0
    by_event, by_jet = ComparisonHistograms(filled.binning), ComparisonHistograms(filled.binning)
    by_event.fill(*jets, weight=weight)
    by_jet.fill(*jets, weight=ak.unflatten(np.repeat(weight, counts), counts))
    edges = by_event.original["eta"].axes[0].edges
    counted, _ = np.histogram(flat_column(jets[0], "eta"), edges, weights=np.repeat(weight, counts))
    assert by_event.original["eta"].values() == pytest.approx(counted, abs=4)
    squared, _ = np.histogram(flat_column(jets[0], "eta"), edges, weights=np.repeat(weight, counts) ** 2)
    assert by_event.original["eta"].variances() == pytest.approx(squared, abs=9)
    assert by_event.original["pt"].sum(flow=True).value == np.repeat(weight, counts).sum()
    for name, values in contents(by_jet).items():
        assert np.array_equal(values, contents(by_event)[name]), name


def test_weights_of_flat_jets(jets, filled):
    flat = [ak.flatten(part) for part in jets]
    histograms = ComparisonHistograms(filled.binning)
    histograms.fill(*flat, weight=np.full(len(flat[0]), 2.0))
    for name, values in contents(histograms).items():
        factor = 2 if name.startswith(("original", "restored")) else 1  # residuals are the codec's
        assert np.array_equal(values, factor * contents(filled)[name]), name


def test_binning_of_jets_that_say_little():
    one = momenta({"pt": [30.0], "eta": [0.0], "phi": [0.0], "mass": [0.0], "girth": [0.0], "charge": [-7.5]})
    for jets in (one, one[:0], momenta({name: [np.nan] for name in ("pt", "eta", "phi", "mass", "girth")})):
        histograms = ComparisonHistograms(Binning.choose(jets, jets))
        histograms.fill(jets, jets)
        assert all(
            histogram.values(flow=True).sum() == len(jets) for histogram in histograms.original.values()
        )


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
    "values", [[2**60], [-(2**62)], [2**63 - 1], [2**53, 2**53 + 6], [-(2**63), 2**63 - 1]]
)
def test_integers_that_doubles_do_not_tell_apart(values):
    columns = {name: np.ones(len(values)) for name in ("pt", "eta", "phi", "mass")}
    jets = momenta(columns | {"n": np.array(values, np.int64)})
    histograms = ComparisonHistograms(Binning.choose(jets, jets))
    histograms.fill(jets, jets)
    assert histograms.original["n"].values().sum() == len(values)


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
    assert change_label("mass") == "Δ$m$ / $m$"
    assert (residual_unit("mass"), residual_unit("phi"), residual_unit("eta")) == ("", "rad", "")
    assert residual_label("a$b") == r"a\$b, restored − original"
    assert literal("a$^$") == r"a\$^\$"
    assert value_label("_a") == " _a"


def test_histograms_are_hist_objects(filled):
    assert isinstance(filled.original["pt"], hist.Hist)
    assert (filled + filled).original["pt"].label == "Jets"
