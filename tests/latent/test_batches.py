from __future__ import annotations

import numpy as np
import pytest
import torch

from hepae.latent.batches import batches


@pytest.mark.parametrize("size", [1, 3, 10, 11])
@pytest.mark.parametrize("make", [np.arange, torch.arange])
def test_batches_are_all_rows_in_order(make, size):
    parts = [part.tolist() for part in batches(make(10), size)]
    assert [row for part in parts for row in part] == [*range(10)]
    assert [len(part) for part in parts[:-1]] == [size] * (len(parts) - 1)
    assert [*batches(make(0), size)] == []


def test_batches_are_views_of_the_rows():
    rows = np.zeros(5)
    for part in batches(rows, 2):
        part += 1
    assert rows.tolist() == [1] * 5
