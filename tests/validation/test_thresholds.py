from __future__ import annotations

import numpy as np
import pytest

from hepae.validation.canvas import Style
from hepae.validation.thresholds import crossings, tails, turn_on


def test_the_efficiency_is_the_share_above_the_threshold(compared, texts):
    histograms, _ = compared
    wide, near = histograms.turn_on["wide"], histograms.turn_on["near"]
    threshold = histograms.binning.threshold
    figure = turn_on(wide, near, threshold, resolution=lambda pt: 0.1 + 0 * pt, resolution_name="detector")
    above, below = figure.axes
    for panel, histogram in ((above, wide), (below, near)):
        (points,) = panel.containers
        failing, passing = histogram.values().T
        some = failing + passing > 0
        np.testing.assert_allclose(points[0].get_ydata(), passing[some] / (failing + passing)[some])
        low, high = points[2][1].get_paths(), points[0].get_ydata()
        spans = np.array([path.vertices[:, 1] for path in low])
        assert (spans[:, 0] <= high).all()
        assert (spans[:, 1] >= high).all()
        assert ((spans >= -1e-9) & (spans <= 1 + 1e-9)).all()
    detector = above.lines[0].get_ydata()
    assert np.interp(threshold, above.lines[0].get_xdata(), detector) == pytest.approx(0.5, abs=0.01)
    lost, gained = crossings(wide)
    assert f"lost: {lost}, gained: {gained}" in texts(figure)
    assert lost > 5


def test_tails_end_at_the_largest_residual(texts):
    sizes, shares = np.array([0.0, 1e-4, 2e-4, 5e-4]), np.array([1.0, 0.9, 0.5, 0.01])
    figure = tails("pt", {"a": (sizes, shares), "b": (2 * sizes, shares)}, bound=1e-3, style=Style())
    (panel,) = figure.axes
    assert (panel.get_xscale(), panel.get_yscale()) == ("log", "log")
    low, high = panel.get_xlim()
    assert low < 1e-4 < 1e-3 < high
    one = panel.lines[0]
    assert one.get_xdata().tolist() == [1e-4, 2e-4, 5e-4, 5e-4]
    assert one.get_ydata()[:3].tolist() == [0.9, 0.5, 0.01]
    assert panel.get_ylim()[0] < 0.01
    assert "bound ±0.0010" in texts(figure)


def test_tails_of_nothing_and_of_values_that_came_back(texts):
    nothing = np.empty(0)
    figure = tails("mass", {"a": (nothing, nothing), "b": (np.zeros(1), np.ones(1))}, floor=1.0)
    assert "$m$ ≥ 1 GeV" in texts(figure)
    assert not figure.axes[0].lines
