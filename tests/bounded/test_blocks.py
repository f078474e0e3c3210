from __future__ import annotations

import numpy as np
import pytest

from hepae.bounded.blocks import BLOCK, blocks


@pytest.mark.parametrize("length", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5])
@pytest.mark.parametrize("start", [0, 7])
def test_each_row_is_in_one_block_in_order(start, length):
    rows = np.arange(start + length + 3)
    cut = [rows[part] for part in blocks(start, start + length)]
    assert np.concatenate([rows[:0], *cut]).tolist() == rows[start : start + length].tolist()
    assert all(0 < len(part) <= BLOCK for part in cut)
