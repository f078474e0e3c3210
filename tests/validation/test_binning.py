from __future__ import annotations

import numpy as np
import pytest

from hepae.errors import ConfigError
from hepae.kinematics import flat_column, momenta
from hepae.validation.binning import AxisBinning, Binning
from hepae.validation.histograms import ComparisonHistograms


def test_a_reached_bound_is_the_edge_of_a_bin(wide_jets, filled):
    bounds = {"pt": 0.03, "phi": 0.5}
    binning = Binning.choose(*wide_jets, bounds=bounds)
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


def test_the_circle_has_no_ends():
    edge = {"pt": [30.0] * 3, "eta": [0.0] * 3, "phi": [np.pi, np.float32(np.pi), -3.0], "mass": [1.0] * 3}
    jets = momenta(edge)
    histograms = ComparisonHistograms(Binning.choose(jets, jets))
    histograms.fill(jets, jets)
    assert histograms.original["phi"].values().sum() == 3


def test_binning_of_jets_that_say_little():
    one = momenta({"pt": [30.0], "eta": [0.0], "phi": [0.0], "mass": [0.0], "girth": [0.0], "charge": [-7.5]})
    for jets in (one, one[:0], momenta({name: [np.nan] for name in ("pt", "eta", "phi", "mass", "girth")})):
        histograms = ComparisonHistograms(Binning.choose(jets, jets))
        histograms.fill(jets, jets)
        assert all(
            histogram.values(flow=True).sum() == len(jets) for histogram in histograms.original.values()
        )


def test_sentinels_and_absurd_values_do_not_stretch_the_axes(wide_jets):
    columns = {name: flat_column(wide_jets[0], name).copy() for name in ("pt", "eta", "phi", "mass", "girth")}
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
