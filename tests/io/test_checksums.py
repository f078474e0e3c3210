from __future__ import annotations

import itertools

import awkward as ak
import numpy as np
import pytest

from hepae.io.checksums import RANGE, Checksums

ENTRIES = 2 * RANGE + 500


def _arrays(entries=ENTRIES):
    counts = np.arange(entries) % 4
    values = np.linspace(0, 1, counts.sum(), dtype=np.float32)
    return {
        "event": ak.Array(np.arange(entries)),
        "pt": ak.unflatten(values, counts),
        "matrix": ak.from_regular(ak.Array(np.arange(6.0 * entries).reshape(entries, 2, 3)), axis=1),
        "names": ak.Array(["a", "", "φ"] * (entries // 3) + ["x"] * (entries % 3)),
    }


def _of(*chunks):
    checksums = Checksums()
    for chunk in chunks:
        checksums.update(chunk)
    return checksums.by_branch


@pytest.mark.parametrize(
    "cuts", [(RANGE,), (1, 1, 400), (RANGE - 1, RANGE + 1, 2 * RANGE), (7, 2 * RANGE + 499)]
)
def test_they_do_not_depend_on_the_chunks(cuts):
    arrays = _arrays()
    chunks = [
        {name: array[i:j] for name, array in arrays.items()}
        for i, j in itertools.pairwise((0, *cuts, ENTRIES))
    ]
    whole = _of(arrays)
    assert _of(*chunks) == whole
    assert {len(checksums) for checksums in whole.values()} == {3}


def test_a_range_is_checked_without_the_others():
    arrays, whole = _arrays(), _of(_arrays())
    second = _of({name: array[RANGE : 2 * RANGE] for name, array in arrays.items()})
    assert {name: whole[name][1:2] for name in whole} == second


@pytest.mark.parametrize("entry", [0, RANGE - 1, RANGE, ENTRIES - 1])
def test_one_changed_value_changes_its_range_alone(entry):
    arrays, changed = _arrays(), _arrays()
    numbers = np.arange(ENTRIES)
    numbers[entry] += 1 << 40
    changed["event"] = ak.Array(numbers)
    before, after = _of(arrays)["event"], _of(changed)["event"]
    differing = [number for number in range(3) if before[number] != after[number]]
    assert differing == [entry // RANGE]
    assert [*_differing(changed, _of(arrays))] == ["event"]


def _differing(arrays, expected):
    checksums = Checksums()
    checksums.update(arrays)
    return checksums.differing(expected)


def test_a_list_boundary_that_moved_is_noticed():
    moved = {"x": ak.Array([[1.0], [2.0, 3.0]])}
    assert _of({"x": ak.Array([[1.0, 2.0], [3.0]])}) != _of(moved)


@pytest.mark.parametrize(("one", "other"), [("i4", "u4"), ("f4", "i4"), ("i8", "f8")])
def test_the_same_bytes_in_another_type_are_noticed(one, other):
    values = np.arange(1, 9, dtype=one)
    assert _of({"x": ak.Array(values)}) != _of({"x": ak.Array(values.view(other))})


def test_a_branch_that_is_missing_differs():
    assert _differing({}, {"x": [1]}) == ["x"]
    assert _differing({"x": ak.Array([1])}, {}) == []
