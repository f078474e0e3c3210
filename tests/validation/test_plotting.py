from __future__ import annotations

import dataclasses

import awkward as ak
import hist
import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.text import Text

from hepae.errors import ConfigError, OutputError
from hepae.kinematics import momenta
from hepae.validation.histograms import (
    Binning,
    ComparisonHistograms,
    EventBinning,
    EventHistograms,
    LatentBinning,
    LatentHistograms,
)
from hepae.validation.plotting import (
    JetEnergyResolution,
    Style,
    comparison,
    correlation_coefficient,
    correlations,
    cut_flow,
    largest,
    latents,
    loss,
    panels,
    profile,
    residual,
    response,
    save,
    stored_bytes,
)
from hepae.validation.residuals import Residuals, residuals

image_test = pytest.mark.mpl_image_compare(baseline_dir="baseline", savefig_kwargs={"dpi": 40}, tolerance=5)

HISTORY = {
    "epoch": range(1, 31),
    "train_loss": [0.01 * 0.8**epoch + 1e-5 for epoch in range(30)],
    "validation_loss": [0.012 * 0.8**epoch + 2e-5 for epoch in range(30)],
    "test_loss": [""] * 30,
    "learning_rate": [1e-3] * 30,
}


RESOLUTION = JetEnergyResolution("resolution", 3.0, 0.7, 0.03)


@pytest.fixture(scope="module")
def jets():
    """(original, restored), two or three an event."""
    rng = np.random.default_rng(3)
    counts = np.tile([2, 3], 4000)
    n = counts.sum()
    pt = 20 * (1 + rng.pareto(2.5, n))
    original = {
        "pt": pt,
        "eta": rng.normal(0, 1.6, n),
        "phi": rng.uniform(-np.pi, np.pi, n),
        "mass": pt * rng.uniform(0.05, 0.2, n),
    }
    change = rng.normal(0, 0.02, n)
    restored = original | {
        "pt": pt * (1 + change),
        "eta": original["eta"] + rng.normal(0, 0.002, n),
        "mass": original["mass"] * (1 - change + rng.normal(0, 0.01, n)),
    }
    return tuple(
        momenta({name: ak.unflatten(values, counts) for name, values in columns.items()})
        for columns in (original, restored)
    )


@pytest.fixture(scope="module")
def compared(jets) -> tuple[ComparisonHistograms, Residuals]:
    histograms = ComparisonHistograms(Binning.choose(*jets))
    histograms.fill(*jets)
    return histograms, residuals(*jets)


@pytest.fixture(scope="module")
def events(jets) -> EventHistograms:
    histograms = EventHistograms(EventBinning.choose(jets[0]))
    histograms.fill(*jets)
    return histograms


@pytest.fixture(scope="module")
def latent(jets) -> LatentHistograms:
    records = ak.zip({"z0": np.log(jets[0].pt), "z1": jets[0].eta, "z2": jets[0].phi})
    histograms = LatentHistograms(LatentBinning.choose(records, jets[0]))
    histograms.fill(records, jets[0])
    return histograms


def texts(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in figure.findobj(Text) if text.get_visible())


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
def test_response_image(compared):
    histograms, _ = compared
    figure = response(
        histograms.against["pt", "pt"], bound=lambda pt: 0.03 + 0 * pt, references={"JER": RESOLUTION}
    )
    return without_text(figure)


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
def test_bytes_image():
    return without_text(
        stored_bytes({"Original": {"pt": 4.1, "eta": 3.9}, "A": {"z0": 3.0}, "B": {"payload": 1.5}})
    )


@image_test
def test_loss_image():
    return without_text(loss(HISTORY))


def spectrum(values, *, low=0.0, high=4.0) -> hist.Hist:
    """A histogram with these contents, underflow and overflow included."""
    axis = hist.axis.Regular(len(values) - 2, low, high, name="x", label="$x$ [GeV]")
    histogram = hist.Hist(axis, storage=hist.storage.Double(), label="Jets")
    histogram.view(flow=True)[:] = values
    return histogram


def test_comparison_draws_the_plain_ratio():
    figure = comparison(spectrum([0, 100, 200, 0, 50, 0]), spectrum([0, 101, 198, 3, 50, 0]))
    main, middle, below = figure.axes
    (ratio,), (difference,) = middle.patches, below.patches
    assert np.allclose(ratio.get_data().values, [1.01, 0.99, np.nan, 1.0], equal_nan=True)
    expected = [1 / np.sqrt(100), -2 / np.sqrt(200), np.nan, 0]
    assert np.allclose(difference.get_data().values, expected, equal_nan=True)
    assert not any(panel.containers for panel in figure.axes)  # no error bars
    assert main.get_xlim() == middle.get_xlim() == below.get_xlim() == (0, 4)
    assert middle.get_ylim() == pytest.approx((1 - 0.014, 1 + 0.014))
    assert below.get_ylim() == pytest.approx((-0.28, 0.28))
    assert below.get_xlabel() == "$x$ [GeV]"
    assert main.get_ylabel() == "Jets / bin"
    assert [text.get_text() for text in main.get_legend().get_texts()] == ["Original", "Restored"]


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_scaling_all_weights_changes_nothing_that_is_compared(jets, factor):
    weight = np.random.default_rng(8).choice([1.0, 0.5, 2.0, -0.5], len(jets[0]))
    binning, of_events = Binning.choose(*jets), EventBinning.choose(jets[0])

    def drawn(weight):
        histograms, events = ComparisonHistograms(binning), EventHistograms(of_events)
        histograms.fill(*jets, weight)
        events.fill(*jets, weight)
        figures = [
            comparison(histograms.original["pt"], histograms.restored["pt"]),
            comparison(events.pairs["leading_pt"].original, events.pairs["leading_pt"].restored),
            cut_flow(events.cut_flow),
            response(histograms.against["pt", "eta"]),
        ]
        panels = [panel for figure in figures for panel in figure.axes[figure is not figures[3] :]]
        shapes = [patch.get_data().values for panel in panels for patch in panel.patches]
        return panels, shapes, histograms

    (panels, shapes, histograms), (others, scaled, _) = drawn(weight), drawn(factor * weight)
    assert len(shapes) == len(scaled) == 9
    for one, other in zip(shapes, scaled, strict=True):
        assert np.isfinite(one).sum() > 3
        assert other == pytest.approx(one, rel=1e-9, abs=1e-9, nan_ok=True)
    for one, other in zip(panels, others, strict=True):
        assert other.get_ylim() == pytest.approx(one.get_ylim())
    # The error of a bin is that of its weights.
    pt = histograms.original["pt"]
    values = np.broadcast_arrays(*(ak.flatten(x) for x in ak.broadcast_arrays(weight, jets[0].pt)))
    squares, _ = np.histogram(values[1], pt.axes[0].edges, weights=np.asarray(values[0]) ** 2)
    change = histograms.restored["pt"].values() - pt.values()
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = np.where(squares > 0, change / np.sqrt(squares), np.nan)
    assert shapes[1] == pytest.approx(expected, nan_ok=True)


def test_nothing_beyond_the_axis_is_nothing_with_weights_too():
    histogram = hist.Hist(hist.axis.Regular(10, 0, 1), storage=hist.storage.Weight())
    histogram.fill(np.random.default_rng(1).random(1000), weight=np.random.default_rng(2).random(1000))
    assert "beyond" not in texts(comparison(histogram, histogram))
    histogram.fill([-1.0], weight=[0.25])
    assert "beyond the axis: 0.25 original, 0.25 restored" in texts(comparison(histogram, histogram))


def test_a_ratio_beyond_its_panel_is_marked_there():
    original, restored = np.full(42, 1000.0), np.full(42, 1000.0)
    original[[0, -1]] = restored[[0, -1]] = 0
    restored[5], restored[7] = 3000, 10
    _, below, _ = comparison(spectrum(original), spectrum(restored)).axes
    marks = {line.get_marker(): line.get_xdata() for line in below.lines if line.get_marker() in ("^", "v")}
    low, high = below.get_ylim()
    assert (low, high) == pytest.approx((1 - 0.0028, 1 + 0.0028))
    assert marks["^"] == pytest.approx([0.45])
    assert marks["v"] == pytest.approx([0.65])


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


def test_entries_beyond_the_axis_are_counted():
    inside = spectrum([0, 1, 2, 3, 0])
    assert "beyond" not in texts(comparison(inside, inside))
    assert "beyond the axis: 9 original, 0 restored" in texts(comparison(spectrum([4, 1, 2, 3, 5]), inside))
    assert "beyond the axis: 12" in texts(residual(spectrum([5, 1, 2, 3, 7])))


def test_residual_tells_its_numbers(compared):
    histograms, numbers = compared
    figure = residual(histograms.residual["pt"], numbers["pt"], bound=0.05)
    shown = texts(figure)
    assert r"$\sigma$: 0.020" in shown
    assert "68%: ±0.020" in shown
    assert "bound ±0.050" in shown
    lines = [
        line.get_xdata()[0]
        for line in figure.axes[0].lines
        if line.get_linestyle() == "--" and len(line.get_xdata())
    ]
    assert lines == [-0.05, 0.05]
    band = next(patch for patch in figure.axes[0].patches if str(patch.get_label()).startswith("68%"))
    stats = numbers["pt"]
    assert band.get_x() == pytest.approx(stats.median - stats.p68)
    assert band.get_width() == pytest.approx(2 * stats.p68)
    assert "bound" not in texts(residual(histograms.residual["pt"], numbers["pt"]))


def test_rare_residuals_beside_zeros_are_seen():
    assert residual(spectrum([0, 1, 5000, 2, 0])).axes[0].get_yscale() == "log"
    assert residual(spectrum([0, 0, 5000, 0, 0])).axes[0].get_yscale() == "linear"
    assert residual(spectrum([0, 2000, 3000, 2000, 0])).axes[0].get_yscale() == "linear"


def test_loss_leaves_out_what_was_not_measured():
    figure = loss(HISTORY)
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["Train", "Validation"]
    assert axes.get_yscale() == "log"
    assert np.array_equal(axes.lines[0].get_ydata(), HISTORY["train_loss"])
    with_test = HISTORY | {"test_loss": [None] * 29 + ["2e-5"]}
    assert len(loss(with_test).axes[0].get_legend().get_texts()) == 3
    assert "Train" in texts(loss({"epoch": [1], "train_loss": [0.3]}))
    loss({"epoch": [1, 2], "train_loss": [0.3, 0.0]}).draw_without_rendering()
    loss({"epoch": [1], "train_loss": [float("nan")]}).draw_without_rendering()


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


def test_a_profile_has_the_quantiles_of_each_bin(jets, compared):
    histograms, _ = compared
    histogram = histograms.against["pt", "pt"]
    before, after = (ak.to_numpy(ak.flatten(part.pt)) for part in jets)
    edges = histogram.axes[0].edges
    cell = np.digitize(before, edges) - 1
    width = histogram.axes[1].widths[0]
    for i, found in enumerate(zip(*profile(histogram), strict=True)):
        values = (after / before - 1)[cell == i]
        if len(values) < 20:
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


def test_response_draws_band_bound_and_resolution(compared):
    histograms, _ = compared
    histogram = histograms.against["pt", "pt"]
    figure = response(histogram, bound=lambda pt: 1 / pt, references={"JER": RESOLUTION})
    main, below = figure.axes
    low, middle, high = profile(histogram)
    drawn = main.patches
    assert np.array_equal(drawn[0].get_data().values, middle, equal_nan=True)
    assert np.array_equal(drawn[1].get_data().values, high, equal_nan=True)
    assert np.array_equal(drawn[1].get_data().baseline, low, equal_nan=True)
    assert np.array_equal(below.patches[0].get_data().values, (high - low) / 2, equal_nan=True)
    lines = {line.get_label(): line for line in below.lines}
    assert lines["bound"].get_ydata() == pytest.approx(1 / lines["bound"].get_xdata())
    jer = lines["JER"]
    expected = np.sqrt((3 / jer.get_xdata()) ** 2 + 0.49 / jer.get_xdata() + 0.03**2)
    assert jer.get_ydata() == pytest.approx(expected)
    assert main.get_xscale() == "log"


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


def test_what_is_beyond_the_axis_in_several_versions():
    one, two, three = (spectrum([0, 50, 60, beyond]) for beyond in (5, 7, 7))
    assert "beyond the axis: 5 original, 7 restored" in texts(comparison(one, {"a": two, "original": three}))
    assert "beyond the axis: 5 original, 0 to 7 restored" in texts(
        comparison(one, {"a": two, "b": spectrum([0, 1, 1, 0])})
    )


def test_a_bound_that_differs_from_jet_to_jet(compared):
    histograms, _ = compared
    numbers = dataclasses.replace(compared[1]["mass"], violations=0)
    figure = residual(histograms.residual["mass"], numbers, bound=0.01, bound_text="1% (+ 1 MeV)")
    legend = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert legend[-2:] == ["bound 1% (+ 1 MeV)", "0 beyond the bound"]
    figure = residual(histograms.residual["mass"], numbers, bound_text="5MeV")
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()][-2] == "bound 5MeV"
    assert not [line for line in figure.axes[0].lines if line.get_linestyle() == "--"]


def test_cut_flow_shows_what_is_lost_and_gained(events):
    histogram = events.cut_flow.copy()
    histogram.view()[:] = [[100, 100, 100], [80, 81, 78], [0, 0, 0], [0, 0, 0], [0, 0, 0]]
    figure = cut_flow(histogram)
    main, below = figure.axes
    assert np.array_equal(main.patches[0].get_data().values[:2], [100, 80])
    gained, lost = (patch.get_data().values for patch in below.patches)
    assert gained == pytest.approx([0, 1000 * 3 / 80, 0, 0, 0])
    assert lost == pytest.approx([0, -1000 * 2 / 80, 0, 0, 0])
    assert "+3  −2" in texts(figure)
    assert [label.get_text() for label in below.get_xticklabels()] == list(histogram.axes[0])


def test_correlation_coefficients(compared):
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


def test_the_map_shows_the_largest_residual(compared):
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


def test_bars_are_as_long_as_the_bytes():
    figure = stored_bytes({"Original": {"pt": 4.0, "eta": 3.5}, "Small": {"payload": 1.25}})
    (axes,) = figure.axes
    assert [bar.get_width() for bar in axes.patches] == [4.0, 3.5, 1.25]
    assert [bar.get_x() for bar in axes.patches] == [0, 4.0, 0]
    assert "7.50" in texts(figure)
    assert "1.25" in texts(figure)
    assert axes.get_xlabel() == "Bytes a jet"


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


def test_units_on_every_axis(compared, events):
    histograms, _ = compared
    pair = events.pairs["dijet_mass"]
    assert comparison(pair.original, pair.restored).axes[-1].get_xlabel().endswith("[GeV]")
    assert response(histograms.against["phi", "pt"]).axes[0].get_ylabel().endswith("[rad]")
    shown = texts(largest(histograms.largest["phi"], unit="rad"))
    assert "rad]" in shown
    small = {name: histograms.residual[name] for name in ("pt", "eta")}
    shown = texts(correlations(small, {("pt", "eta"): histograms.correlation["pt", "eta"]}))
    assert "Δ$\\eta$ [10$^{-3}$]" in shown


def test_the_word_atlas_appears_only_when_asked_for(compared):
    histograms, numbers = compared
    pair = histograms.original["pt"], histograms.restored["pt"]
    for figure in (comparison(*pair), residual(histograms.residual["pt"], numbers["pt"]), loss(HISTORY)):
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


def test_the_callers_axes_are_drawn_on(compared):
    histograms, numbers = compared
    figure = Figure()
    axes = figure.subplots(3, 2)
    pair = histograms.original["pt"], histograms.restored["pt"]
    assert comparison(*pair, axes=(axes[0, 0], axes[1, 0], axes[2, 0])) is figure
    assert residual(histograms.residual["pt"], numbers["pt"], axes=axes[0, 1]) is figure
    assert loss(HISTORY, axes=axes[1, 1]) is figure
    assert stored_bytes({"a": {"pt": 1.0}}, axes=axes[2, 1]) is figure
    assert all(panel.has_data() for panel in axes.flat)


def test_nothing_is_left_in_pyplot_or_in_its_settings(compared):
    histograms, _ = compared
    before = dict(plt.rcParams)
    comparison(histograms.original["pt"], histograms.restored["pt"])
    loss(HISTORY)
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


def test_a_figure_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write figure"):
        save(loss(HISTORY), tmp_path / "file" / "loss")
