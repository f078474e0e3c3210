from __future__ import annotations

from itertools import pairwise

import awkward as ak
import numpy as np
import pytest

from hepae.validation.binning import Binning
from hepae.validation.events import EventBinning, EventHistograms
from hepae.validation.histograms import ComparisonHistograms
from hepae.validation.plotting import comparison, cut_flow, loss, residual, stored_bytes
from hepae.validation.profiles import response


def test_comparison_draws_the_plain_ratio(spectrum):
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


def test_a_ratio_beyond_its_panel_is_marked_there(spectrum):
    original, restored = np.full(42, 1000.0), np.full(42, 1001.0)
    original[[0, -1]] = restored[[0, -1]] = 0
    restored[5], restored[7] = 3000, 10
    _, below, _ = comparison(spectrum(original), spectrum(restored)).axes
    marks = {line.get_marker(): line.get_xdata() for line in below.lines if line.get_marker() in ("^", "v")}
    low, high = below.get_ylim()
    assert (low, high) == pytest.approx((1 - 0.0028, 1 + 0.0028))
    assert marks["^"] == pytest.approx([0.45])
    assert marks["v"] == pytest.approx([0.65])


def test_residual_tells_its_numbers(compared, texts):
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


def test_rare_residuals_beside_zeros_are_seen(spectrum):
    assert residual(spectrum([0, 1, 5000, 2, 0])).axes[0].get_yscale() == "log"
    assert residual(spectrum([0, 0, 5000, 0, 0])).axes[0].get_yscale() == "linear"
    assert residual(spectrum([0, 2000, 3000, 2000, 0])).axes[0].get_yscale() == "linear"


def test_loss_leaves_out_what_was_not_measured(texts, history):
    figure = loss(history)
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["Train", "Validation"]
    assert axes.get_yscale() == "log"
    assert np.array_equal(axes.lines[0].get_ydata(), history["train_loss"])
    with_test = history | {"test_loss": [None] * 29 + ["2e-5"]}
    assert len(loss(with_test).axes[0].get_legend().get_texts()) == 3
    assert "Train" in texts(loss({"epoch": [1], "train_loss": [0.3]}))
    loss({"epoch": [1, 2], "train_loss": [0.3, 0.0]}).draw_without_rendering()
    loss({"epoch": [1], "train_loss": [float("nan")]}).draw_without_rendering()


def test_cut_flow_shows_what_is_lost_and_gained(events, texts):
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


def test_bars_are_as_long_as_the_bytes(texts):
    figure = stored_bytes({"Original": {"pt": 4.0, "eta": 3.5}, "Small": {"payload": 1.25}})
    (axes,) = figure.axes
    assert [bar.get_width() for bar in axes.patches] == [4.0, 3.5, 1.25]
    assert [bar.get_x() for bar in axes.patches] == [0, 4.0, 0]
    assert "7.50" in texts(figure)
    assert "1.25" in texts(figure)
    assert axes.get_xlabel() == "Bytes a jet"


def test_bytes_of_many_columns_have_a_row_each():
    before = {f"column{i}": 4.0 + i / 10 for i in range(18)}
    figure = stored_bytes({"Original": before, "Restored": {name: size / 4 for name, size in before.items()}})
    (panel,) = figure.axes
    assert [label.get_text() for label in panel.get_yticklabels()] == list(before)[::-1]  # the largest first
    assert len(panel.patches) == 36
    assert [text.get_text() for text in panel.get_legend().get_texts()] == [
        "Original: 87.30 B",
        "Restored: 21.83 B",
    ]
    figure.canvas.draw()
    labels = [label.get_window_extent() for label in panel.get_yticklabels()]
    assert min(label.x0 for label in labels) > 0
    assert not any(one.overlaps(other) for one, other in pairwise(labels))


def test_only_the_parts_that_take_most_bytes_have_rows():
    sizes = {f"column{i}": 1.0 + i for i in range(46)}
    (panel,) = stored_bytes({"Original": sizes}).axes
    assert [label.get_text() for label in panel.get_yticklabels()] == [
        f"column{i}" for i in range(45, 15, -1)
    ]
    assert panel.get_xlabel() == "Bytes a jet (the 30 largest of 46)"
    assert panel.get_legend().get_texts()[0].get_text() == f"Original: {sum(sizes.values()):.2f} B"
