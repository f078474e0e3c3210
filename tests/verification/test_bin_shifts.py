from __future__ import annotations

import numpy as np
import pytest

from hepae.verification.bin_shifts import BINS, BinAxis, BinShifts


@pytest.mark.parametrize(("name", "log"), [("pt", True), ("eta", False)])
def test_each_value_is_in_the_bin_whose_edges_hold_it(name, log):
    values = 20 + np.random.default_rng(1).exponential(50, 20_000)
    axis = BinAxis.fit(name, values)
    assert axis.log == log
    counts = axis.count(values)
    assert counts.sum() == len(values)
    assert counts[[0, -1]] == pytest.approx([100, 100], abs=2)  # 0.5 % beyond each end
    for number in (0, 1, 17, BINS, BINS + 1):
        low, high = axis.edges(number)
        inside = (values >= (low or -np.inf)) & (values < (high or np.inf))
        assert abs(int(inside.sum()) - counts[number]) <= 1  # an edge is rounded


def test_what_is_no_number_has_no_bin_and_no_axis():
    axis = BinAxis(0.0, 1.0)
    counts = axis.count(np.array([np.nan, np.inf, -np.inf, 0.5]))
    assert (counts[0], counts[-1], counts.sum()) == (
        1,
        1,
        3,
    )  # infinities are beyond the ends, NaN is nowhere
    assert BinAxis.fit("eta", np.full(5, 3.0)) is None
    assert BinAxis.fit("eta", np.array([np.nan])) is None
    assert not BinAxis.fit("mass", np.linspace(-1, 1, 100)).log


def test_shifts_add_up_and_are_told_beside_their_error():
    axis = BinAxis(0.0, 50.0)
    before, after = np.repeat(np.arange(50.0) + 0.5, 100), np.repeat(np.arange(50.0) + 0.5, 100)
    after[:20] += 1  # 20 of the 100 values of the first bin go to the second
    whole = BinShifts(axis)
    whole.fill(before, after)
    parts = [BinShifts(axis), BinShifts(axis)]
    parts[0].fill(before[:10], after[:10])
    parts[1].fill(before[10:], after[10:])
    assert (parts[0] + parts[1]).to_json() == whole.to_json()
    told = whole.to_json()
    assert told["largest_over_error"] == 2
    assert told["bin"] == [0, 1]
    assert told["rms_over_error"] == pytest.approx(np.sqrt(8 / (BINS + 2)))
