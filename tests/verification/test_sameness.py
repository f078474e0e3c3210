from __future__ import annotations

import awkward as ak
import numpy as np
import pytest

from hepae.verification.sameness import first_difference, value_type

LISTS = ak.Array([[1.0, 2.0], [], [3.0], [4.0, 5.0]])


@pytest.mark.parametrize(
    ("other", "entry"),
    [
        (LISTS, None),
        (ak.Array([[1.0, 2.0], [], [3.0], [4.0, 5.5]]), 3),
        (ak.Array([[1.0], [2.0], [3.0], [4.0, 5.0]]), 0),
        (LISTS[:3], 3),
        (ak.values_astype(LISTS, np.float32), 0),
        (ak.concatenate([LISTS, LISTS]), 4),
        (LISTS[[0, 1, 2, 3]], None),
    ],
)
def test_the_first_difference_is_found(other, entry):
    assert first_difference(LISTS, other) == entry
    assert first_difference(other, LISTS) == entry


def test_bits_are_compared_and_not_numbers():
    zeros = np.array([0.0, 0.0, np.nan])
    assert first_difference(ak.Array(zeros), ak.Array([0.0, -0.0, np.nan])) == 1
    other = zeros.copy()
    other.view(np.uint64)[2] ^= 1
    assert first_difference(ak.Array(zeros), ak.Array(other)) == 2
    assert first_difference(ak.Array(["a", "b"]), ak.Array(["a", "c"])) == 1
    assert first_difference(ak.Array([[]]), ak.Array([[]])) is None


def test_a_missing_value_has_its_place():
    assert first_difference(ak.Array([1, None, 2]), ak.Array([1, 2, None])) == 1
    assert first_difference(ak.Array([[1], [None, 2]]), ak.Array([[1], [2, None]])) == 1
    assert first_difference(ak.Array([[1], None, [2]]), ak.Array([[1], [2], None])) == 1
    assert first_difference(ak.Array([1, None, 2]), ak.Array([1, None, 2])) is None
    assert first_difference(ak.Array([1, 2]), ak.mask(ak.Array([1, 2]), [True, True])) is None


def test_the_type_is_that_of_the_numbers_in_lists():
    assert value_type(ak.values_astype(LISTS, np.int16)) == np.int16
    assert value_type(ak.Array([[]])) is None
