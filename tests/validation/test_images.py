from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from matplotlib.text import Text

from hepae.validation.maps import correlations, largest, latents
from hepae.validation.plotting import comparison, cut_flow, loss, residual, stored_bytes
from hepae.validation.profiles import response
from hepae.validation.thresholds import turn_on

if TYPE_CHECKING:
    from matplotlib.figure import Figure

image_test = pytest.mark.mpl_image_compare(baseline_dir="baseline", savefig_kwargs={"dpi": 40}, tolerance=5)


def without_text(figure: Figure) -> Figure:
    """The figure without what depends on the version of the font library."""
    for text in figure.findobj(Text):
        text.set_visible(False)
    return figure


@image_test
def test_comparison_image(compared):
    histograms, _ = compared
    return without_text(comparison(histograms.original["pt"], histograms.restored["pt"]))


@image_test
def test_residual_image(compared):
    histograms, numbers = compared
    return without_text(residual(histograms.residual["pt"], numbers["pt"], bound=0.05))


@image_test
def test_versions_image(compared):
    histograms, _ = compared
    versions = {"one": histograms.restored["mass"], "two": histograms.original["mass"]}
    return without_text(comparison(histograms.original["mass"], versions))


@image_test
def test_cut_flow_image(events):
    return without_text(cut_flow(events.cut_flow))


@image_test
def test_dijet_mass_image(events):
    pair = events.pairs["dijet_mass"]
    return without_text(comparison(pair.original, pair.restored))


@image_test
def test_multiplicity_image(events):
    pair = events.pairs["multiplicity"]
    return without_text(comparison(pair.original, pair.restored))


@image_test
def test_bytes_image():
    return without_text(
        stored_bytes({"Original": {"pt": 4.1, "eta": 3.9}, "A": {"z0": 3.0}, "B": {"payload": 1.5}})
    )


@image_test
def test_loss_image(history):
    return without_text(loss(history))


@image_test
def test_response_image(compared, resolution):
    histograms, _ = compared
    figure = response(
        histograms.against["pt", "pt"], bound=lambda pt: 0.03 + 0 * pt, references={"JER": resolution}
    )
    return without_text(figure)


@image_test
def test_correlations_image(compared):
    histograms, _ = compared
    names = ("pt", "eta", "phi", "mass")
    return without_text(
        correlations({name: histograms.residual[name] for name in names}, histograms.correlation)
    )


@image_test
def test_largest_image(compared):
    histograms, _ = compared
    return without_text(largest(histograms.largest["pt"], bound=0.05))


@image_test
def test_latents_image(latent):
    return without_text(latents(latent.single, latent.pairs))


@image_test
def test_turn_on_image(compared, resolution):
    histograms, _ = compared
    near, wide, threshold = (
        histograms.turn_on["near"],
        histograms.turn_on["wide"],
        histograms.binning.threshold,
    )
    return without_text(turn_on(wide, near, threshold, resolution=resolution))
