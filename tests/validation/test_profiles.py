from __future__ import annotations

import dataclasses

import awkward as ak
import hist
import numpy as np
import pytest

from hepae.validation.plotting import residual
from hepae.validation.profiles import profile, response


def test_a_profile_has_the_quantiles_of_each_bin(jets, compared):
    histograms, _ = compared
    histogram = histograms.against["pt", "pt"]
    before, after = (ak.to_numpy(ak.flatten(part.pt)) for part in jets)
    edges = histogram.axes[0].edges
    cell = np.digitize(before, edges) - 1
    width = histogram.axes[1].widths[0]
    for i, found in enumerate(zip(*profile(histogram), strict=True)):
        values = (after / before - 1)[cell == i]
        if len(values) < 50:
            assert np.isnan(found).all()
        elif len(values) > 100:
            assert found == pytest.approx(np.quantile(values, [0.16, 0.5, 0.84]), abs=2 * width + 1e-3)


def test_a_quantile_beyond_the_axis_is_not_drawn():
    axes = hist.axis.Regular(2, 0, 2), hist.axis.Regular(4, -1, 1)
    histogram = hist.Hist(*axes, storage=hist.storage.Double())
    histogram.fill(np.full(100, 0.5), np.r_[np.full(30, -5.0), np.full(40, 0.25), np.full(30, 5.0)])
    histogram.fill(np.full(19, 1.5), np.zeros(19))
    low, middle, high = profile(histogram)
    assert np.isnan([*low, *high]).all()
    assert middle[0] == pytest.approx(0.25)
    assert np.isnan(middle[1])  # too few entries
    response(histogram).draw_without_rendering()


def test_response_draws_band_bound_and_resolution(compared, resolution):
    histograms, _ = compared
    histogram = histograms.against["pt", "pt"]
    figure = response(histogram, bound=lambda pt: 1 / pt, references={"JER": resolution})
    main, below = figure.axes
    low, middle, high = profile(histogram)
    drawn = main.patches
    assert np.array_equal(drawn[0].get_data().values, middle, equal_nan=True)
    assert np.array_equal(drawn[1].get_data().values, high, equal_nan=True)
    assert np.array_equal(drawn[1].get_data().baseline, low, equal_nan=True)
    assert np.array_equal(below.patches[0].get_data().values, (high - low) / 2, equal_nan=True)
    lines = {line.get_label(): line for line in (*main.lines, *below.lines)}
    assert lines["bound"].get_ydata() == pytest.approx(1 / lines["bound"].get_xdata())
    jer = lines["JER"]
    expected = np.sqrt((3 / jer.get_xdata()) ** 2 + 0.49 / jer.get_xdata() + 0.03**2)
    assert jer.get_ydata() == pytest.approx(expected)
    assert main.get_xscale() == "log"
    filled = np.flatnonzero(np.isfinite(high - low))
    assert main.get_xlim() == (histogram.axes[0].edges[filled[0]], histogram.axes[0].edges[filled[-1] + 1])


def test_bands_of_several_versions_are_not_filled(compared):
    histograms, _ = compared
    versions = {name: histograms.against[name, "pt"] for name in ("pt", "mass")}
    main, below = response(versions).axes
    assert not any(patch.get_fill() for patch in main.patches)
    lines = [(patch.get_edgecolor()[:3], patch.get_linestyle()) for patch in (*main.patches, *below.patches)]
    assert lines[:3] == [lines[0]] * 3  # median and the two ends of the band
    assert lines[3:6] == [lines[3]] * 3
    assert lines[6:] == [lines[0], lines[3]]
    assert lines[0] != lines[3]
    one = response(histograms.against["pt", "pt"]).axes
    assert [patch.get_fill() for patch in one[0].patches] == [False, True]
    assert one[0].patches[0].get_linestyle() == one[1].patches[0].get_linestyle()


def test_a_bound_that_differs_from_jet_to_jet(compared):
    histograms, _ = compared
    numbers = dataclasses.replace(compared[1]["mass"], violations=0)
    figure = residual(histograms.residual["mass"], numbers, bound=0.01, bound_text="1% (+ 1 MeV)")
    legend = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert legend[-2:] == ["bound 1% (+ 1 MeV)", "0 beyond the bound"]
    figure = residual(histograms.residual["mass"], numbers, bound_text="5MeV")
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()][-2] == "bound 5MeV"
    assert not [line for line in figure.axes[0].lines if line.get_linestyle() == "--"]
