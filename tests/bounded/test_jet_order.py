from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hepae.bounded.jet_order import LONGEST, Ranks
from hepae.errors import CodecError


@given(st.lists(st.integers(0, 3 * LONGEST), max_size=30))
def test_every_jet_has_its_place_behind_the_one_before(lengths):
    counts = np.array(lengths, np.int64)
    jets = int(counts.sum())
    ranks = Ranks.of(jets, counts)
    assert sorted(ranks.order.tolist()) == list(range(jets))
    assert sum(part.stop - part.start for part in ranks.slices) == jets
    assert len(ranks.slices) <= LONGEST
    for rank in range(len(ranks.slices) - 1):
        after, size = ranks.after(rank)
        before = ranks.order[ranks.slices[rank]][:size]
        assert np.array_equal(ranks.order[after], before + 1)


@given(st.lists(st.integers(0, LONGEST), max_size=30))
def test_positions_count_the_jets_before_and_after(lengths):
    counts = np.array(lengths, np.int64)
    ranks = Ranks.of(int(counts.sum()), counts)
    before, after = ranks.positions
    inside = np.concatenate([np.arange(count) for count in lengths] or [np.zeros(0)])
    assert np.array_equal(before, inside[ranks.order])
    assert np.array_equal(before + after + 1, np.repeat(counts, counts)[ranks.order])


def test_without_events_jets_keep_their_order():
    ranks = Ranks.of(5, None)
    assert ranks.order.tolist() == [0, 1, 2, 3, 4]
    assert ranks.regimes == (range(1),)
    assert ranks.rows(range(1)) == slice(0, 5)


@pytest.mark.parametrize("counts", [[1, 2], [-1, 5], []])
def test_events_that_have_not_so_many_jets_are_refused(counts):
    with pytest.raises(CodecError, match="jets"):
        Ranks.of(4, np.array(counts, np.int64))
