from __future__ import annotations

import hist
import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from hepae.errors import ConfigError, OutputError
from hepae.kinematics import momenta
from hepae.validation.canvas import Style, panels, save
from hepae.validation.histograms import ComparisonHistograms
from hepae.validation.maps import correlations, largest
from hepae.validation.plotting import comparison, loss, residual, stored_bytes
from hepae.validation.profiles import response
from hepae.validation.residuals import residuals


def test_nothing_beyond_the_axis_is_nothing_with_weights_too(texts):
    histogram = hist.Hist(hist.axis.Regular(10, 0, 1), storage=hist.storage.Weight())
    histogram.fill(np.random.default_rng(1).random(1000), weight=np.random.default_rng(2).random(1000))
    assert "beyond" not in texts(comparison(histogram, histogram))
    histogram.fill([-1.0], weight=[0.25])
    assert "beyond the axis: 0.25 original, 0.25 restored" in texts(comparison(histogram, histogram))


def test_scales_follow_the_histogram(compared):
    histograms, _ = compared
    scales = {}
    for name, original in histograms.original.items():
        main, middle, below = comparison(original, histograms.restored[name]).axes
        assert main.get_xscale() == middle.get_xscale() == below.get_xscale()
        scales[name] = main.get_xscale(), main.get_yscale()
    assert scales["pt"] == ("log", "log")
    assert scales["phi"] == ("linear", "linear")
    assert scales["mass"][0] == scales["E"][0] == "log"


def test_the_spectrum_stays_below_the_labels(compared, events):
    histograms, numbers = compared
    mass = events.pairs["dijet_mass"]
    for figure in (
        comparison(mass.original, dict.fromkeys("abcd", mass.restored), style=Style(label="dijets", com=13)),
        comparison(
            histograms.original["phi"], histograms.restored["phi"], style=Style(label="dijets", com=13)
        ),
        comparison(histograms.original["pt"], histograms.restored["pt"], style=Style(label="dijets", com=13)),
        residual(histograms.residual["pt"], numbers["pt"], bound=0.05, style=Style(label="dijets", com=13)),
    ):
        figure.draw_without_rendering()
        main = figure.axes[0]
        peak = max(patch.get_data().values.max() for patch in main.patches if hasattr(patch, "get_data"))
        top = main.transData.transform((0, peak))[1]
        boxes = [main.get_legend().get_window_extent()] + [text.get_window_extent() for text in main.texts]
        assert all(box.y0 > top for box in boxes)
        assert all(figure.bbox.contains(*corner) for box in boxes for corner in box.corners())


def test_entries_beyond_the_axis_are_counted(texts, spectrum):
    inside = spectrum([0, 1, 2, 3, 0])
    assert "beyond" not in texts(comparison(inside, inside))
    assert "beyond the axis: 9 original, 0 restored" in texts(comparison(spectrum([4, 1, 2, 3, 5]), inside))
    assert "beyond the axis: 12" in texts(residual(spectrum([5, 1, 2, 3, 7])))


def test_figures_without_entries(compared):
    histograms, _ = compared
    nothing = ComparisonHistograms(histograms.binning)
    none = residuals(*(momenta({name: [] for name in ("pt", "eta", "phi", "mass")}) for _ in range(2)))
    for figure in (
        comparison(nothing.original["pt"], nothing.restored["pt"]),
        residual(nothing.residual["pt"], none["pt"]),
    ):
        figure.draw_without_rendering()
        texts = [text.get_text() for axes in figure.axes for text in axes.texts]
        assert figure.axes
        assert not any("nan" in text or "inf" in text for text in texts)


def test_what_is_beyond_the_axis_in_several_versions(texts, spectrum):
    one, two, three = (spectrum([0, 50, 60, beyond]) for beyond in (5, 7, 7))
    assert "beyond the axis: 5 original, 7 restored" in texts(comparison(one, {"a": two, "original": three}))
    assert "beyond the axis: 5 original, 0 to 7 restored" in texts(
        comparison(one, {"a": two, "b": spectrum([0, 1, 1, 0])})
    )


def test_labels_of_several_versions(compared):
    histograms, numbers = compared
    versions = dict.fromkeys(("a", "b", "c"), histograms.restored["eta"])
    figure = comparison(histograms.original["eta"], versions)
    legend = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert legend == ["Original", "a", "b", "c"]
    assert len(figure.axes[1].patches) == 3
    axes = panels(3)
    for panel in axes:
        residual(histograms.residual["eta"], numbers["eta"], title="a", axes=panel)
    assert len(axes[0].get_figure().axes) == 3


def test_units_on_every_axis(compared, events, texts):
    histograms, _ = compared
    pair = events.pairs["dijet_mass"]
    assert comparison(pair.original, pair.restored).axes[-1].get_xlabel().endswith("[GeV]")
    assert response(histograms.against["phi", "pt"]).axes[0].get_ylabel().endswith("[rad]")
    shown = texts(largest(histograms.largest["phi"], unit="rad"))
    assert "rad]" in shown
    small = {name: histograms.residual[name] for name in ("pt", "eta")}
    shown = texts(correlations(small, {("pt", "eta"): histograms.correlation["pt", "eta"]}))
    assert "Δ$\\eta$ [10$^{-3}$]" in shown


def test_the_word_atlas_appears_only_when_asked_for(compared, texts, history):
    histograms, numbers = compared
    pair = histograms.original["pt"], histograms.restored["pt"]
    for figure in (comparison(*pair), residual(histograms.residual["pt"], numbers["pt"]), loss(history)):
        assert "hepae" in texts(figure)
        assert "ATLAS" not in texts(figure)
    for experiment in ("ATLAS", "CMS"):
        shown = texts(comparison(*pair, style=Style(experiment, "Internal", 13.6, 140)))
        assert experiment in shown
        assert "Internal" in shown
        assert "13.6" in shown
        assert "140" in shown
        assert "hepae" not in shown
        assert "Simulation" not in shown


def test_an_unknown_experiment_is_refused():
    with pytest.raises(ConfigError, match="DUNE"):
        Style("DUNE")


def test_the_callers_axes_are_drawn_on(compared, history):
    histograms, numbers = compared
    figure = Figure()
    axes = figure.subplots(3, 2)
    pair = histograms.original["pt"], histograms.restored["pt"]
    assert comparison(*pair, axes=(axes[0, 0], axes[1, 0], axes[2, 0])) is figure
    assert residual(histograms.residual["pt"], numbers["pt"], axes=axes[0, 1]) is figure
    assert loss(history, axes=axes[1, 1]) is figure
    assert stored_bytes({"a": {"pt": 1.0}}, axes=axes[2, 1]) is figure
    assert all(panel.has_data() for panel in axes.flat)


def test_nothing_is_left_in_pyplot_or_in_its_settings(compared, history):
    histograms, _ = compared
    before = dict(plt.rcParams)
    comparison(histograms.original["pt"], histograms.restored["pt"])
    loss(history)
    assert plt.get_fignums() == []
    assert dict(plt.rcParams) == before


def test_saved_figures_are_the_same_bytes_each_time(compared, tmp_path, caplog):
    histograms, _ = compared
    written = []
    for folder in ("one", "two"):
        figure = comparison(
            histograms.original["pt"], histograms.restored["pt"], style=Style(label="x", com=13)
        )
        files = save(figure, tmp_path / folder / "Jet.pt")
        assert [file.name for file in files] == ["Jet.pt.png", "Jet.pt.pdf"]
        written.append([file.read_bytes() for file in files])
    assert written[0] == written[1]
    assert written[0][0].startswith(b"\x89PNG")
    assert written[0][1].startswith(b"%PDF")
    assert b"CreationDate" not in written[0][1]
    assert caplog.text == ""  # no complaints about fonts


def test_a_figure_that_cannot_be_written(tmp_path, history):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write figure"):
        save(loss(history), tmp_path / "file" / "loss")
