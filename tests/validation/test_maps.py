from __future__ import annotations

import awkward as ak
import hist
import numpy as np
import pytest

from hepae.validation.maps import correlation_coefficient, correlations, largest, latents


def test_correlation_coefficients(compared, texts):
    histograms, _ = compared
    axes = hist.axis.Regular(50, -4, 4), hist.axis.Regular(50, -4, 4)
    x, y = np.random.default_rng(1).normal(size=(2, 20_000))
    histogram = hist.Hist(*axes).fill(x, 0.6 * x + 0.8 * y)
    assert correlation_coefficient(histogram) == pytest.approx(0.6, abs=0.02)
    assert correlation_coefficient(hist.Hist(*axes)) is None
    constant = hist.Hist(*axes).fill(x, np.zeros(20_000))
    assert correlation_coefficient(constant) is None
    names = ("pt", "eta", "phi", "mass")
    figure = correlations({name: histograms.residual[name] for name in names}, histograms.correlation)
    value = correlation_coefficient(histograms.correlation["pt", "mass"])
    assert value < -0.8
    assert f"{value:.2f}".replace("-", "−") in texts(figure)


def test_the_map_shows_the_largest_residual(compared, texts):
    histograms, _ = compared
    histogram = histograms.largest["pt"]
    figure = largest(histogram, bound=0.05, unit="")
    mesh = figure.axes[0].collections[0]
    contents = histogram.values().T
    assert np.array_equal(mesh.get_array().filled(0), contents)
    assert "bound: 0.050" in texts(figure)
    histogram = histogram.copy()
    histogram.view()[3, 3] = 1e3
    assert figure.axes[1].get_yscale() == "linear"
    assert largest(histogram).axes[1].get_yscale() == "log"


def test_latents_are_coloured_by_mean_log_pt(jets, latent):
    histogram = latent.pairs["z1", "z2"]
    figure = latents(latent.single, latent.pairs)
    mesh = next(axes for axes in figure.axes if axes.get_xlabel() == "z1").collections[0]
    _, eta, phi = (ak.to_numpy(ak.flatten(jets[0][name])) for name in ("pt", "eta", "phi"))
    pt = ak.to_numpy(ak.flatten(jets[0].pt))
    x, y, _ = histogram.axes
    i, j = 25, 30
    inside = (np.digitize(eta, x.edges) == i + 1) & (np.digitize(phi, y.edges) == j + 1)
    assert inside.sum() > 3
    expected = np.exp(np.log(pt[inside]).mean())
    assert mesh.get_array()[j, i] == pytest.approx(expected, rel=0.06)  # half a bin of pt
