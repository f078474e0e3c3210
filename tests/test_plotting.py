from __future__ import annotations

import hist
import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.text import Text

from hepae.errors import ConfigError, OutputError
from hepae.kinematics import momenta
from hepae.validation.histograms import Binning, ComparisonHistograms
from hepae.validation.plotting import Style, comparison, loss, residual, save
from hepae.validation.residuals import Residuals, residuals

image_test = pytest.mark.mpl_image_compare(baseline_dir="baseline", savefig_kwargs={"dpi": 40}, tolerance=5)

HISTORY = {
    "epoch": range(1, 31),
    "train_loss": [0.01 * 0.8**epoch + 1e-5 for epoch in range(30)],
    "validation_loss": [0.012 * 0.8**epoch + 2e-5 for epoch in range(30)],
    "test_loss": [""] * 30,
    "learning_rate": [1e-3] * 30,
}


@pytest.fixture(scope="module")
def compared() -> tuple[ComparisonHistograms, Residuals]:
    rng = np.random.default_rng(3)
    n = 20_000
    pt = 20 * (1 + rng.pareto(2.5, n))
    original = {
        "pt": pt,
        "eta": rng.normal(0, 1.6, n),
        "phi": rng.uniform(-np.pi, np.pi, n),
        "mass": pt * rng.uniform(0.05, 0.2, n),
    }
    restored = original | {"pt": pt * (1 + rng.normal(0, 0.02, n))}
    pair = momenta(original), momenta(restored)
    histograms = ComparisonHistograms(Binning.choose(*pair))
    histograms.fill(*pair)
    return histograms, residuals(*pair)


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
    main, below = figure.axes
    (ratio,) = below.patches
    assert np.allclose(ratio.get_data().values, [1.01, 0.99, np.nan, 1.0], equal_nan=True)
    assert not main.containers  # no error bars
    assert not below.containers
    assert main.get_xlim() == below.get_xlim() == (0, 4)
    assert below.get_ylim() == pytest.approx((1 - 0.014, 1 + 0.014))
    assert below.get_xlabel() == "$x$ [GeV]"
    assert main.get_ylabel() == "Jets / bin"
    assert [text.get_text() for text in main.get_legend().get_texts()] == ["Original", "Restored"]


def test_a_ratio_beyond_its_panel_is_marked_there():
    original, restored = np.full(42, 1000.0), np.full(42, 1000.0)
    original[[0, -1]] = restored[[0, -1]] = 0
    restored[5], restored[7] = 3000, 10
    _, below = comparison(spectrum(original), spectrum(restored)).axes
    marks = {line.get_marker(): line.get_xdata() for line in below.lines if line.get_marker() in ("^", "v")}
    low, high = below.get_ylim()
    assert (low, high) == pytest.approx((1 - 0.0028, 1 + 0.0028))
    assert marks["^"] == pytest.approx([0.45])
    assert marks["v"] == pytest.approx([0.65])


def test_scales_follow_the_histogram(compared):
    histograms, _ = compared
    scales = {}
    for name, original in histograms.original.items():
        main, below = comparison(original, histograms.restored[name]).axes
        assert main.get_xscale() == below.get_xscale()
        scales[name] = main.get_xscale(), main.get_yscale()
    assert scales["pt"] == ("log", "log")
    assert scales["phi"] == ("linear", "linear")
    assert scales["mass"][0] == scales["E"][0] == "log"


def test_the_spectrum_stays_below_the_labels(compared):
    histograms, numbers = compared
    for figure in (
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
    axes = figure.subplots(2, 2)
    pair = histograms.original["pt"], histograms.restored["pt"]
    assert comparison(*pair, axes=(axes[0, 0], axes[1, 0])) is figure
    assert residual(histograms.residual["pt"], numbers["pt"], axes=axes[0, 1]) is figure
    assert loss(HISTORY, axes=axes[1, 1]) is figure
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
