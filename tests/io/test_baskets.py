from __future__ import annotations

from itertools import pairwise

import awkward as ak
import numpy as np
import pytest
import uproot

from hepae.io.baskets import BasketChecksums, branch_paths
from hepae.io.checksums import RANGE

EVENTS = RANGE + 100
COUNTS = np.arange(EVENTS) % 3


@pytest.fixture
def write(tmp_path):
    """Write a tree of numbers and lists, with baskets of so many entries."""

    def make(name, step=EVENTS, compression=None, counts=COUNTS, value=0):
        path = tmp_path / name
        values = np.arange(counts.sum(), dtype=np.float32)
        values[-1] += value
        jets, run = ak.unflatten(values, counts), np.arange(EVENTS, dtype=np.int32)
        with uproot.recreate(path, compression=compression) as file:
            tree = file.mktree("Events", {"run": "int32", "pt": "var * float32"})
            for start in range(0, EVENTS, step):
                cut = slice(start, start + step)
                tree.extend({"run": run[cut], "pt": jets[cut]})
        return path

    return make


def checksums(path, cuts=(0, EVENTS), paths=None):
    found = BasketChecksums()
    with uproot.open(path) as file:
        for start, stop in pairwise(cuts):
            found.update(file["Events"], start, stop, paths=paths)
    return found


def test_they_depend_on_the_values_and_not_on_baskets_compression_or_steps(write):
    whole = checksums(write("whole.root")).by_branch
    assert {name: len(numbers) for name, numbers in whole.items()} == {"run": 2, "npt": 2, "pt": 2}
    cut = write("cut.root", step=EVENTS // 7, compression=uproot.LZMA(1))
    assert checksums(cut).by_branch == whole
    assert checksums(cut, (0, 5, RANGE - 1, RANGE + 1, EVENTS)).by_branch == whole
    assert checksums(cut, paths=["pt"]).by_branch == {"pt": whole["pt"]}


def test_a_value_or_a_list_that_changed_is_named(write):
    whole = checksums(write("whole.root")).by_branch
    value = checksums(write("value.root", value=1))
    assert value.differing(whole) == ["pt"]
    assert value.by_branch["pt"][0] == whole["pt"][0]  # the range before is as it was
    moved = COUNTS.copy()
    moved[[1, 2]] = moved[[2, 1]]
    assert checksums(write("moved.root", counts=moved)).differing(whole) == ["npt", "pt"]
    assert value.differing({"lost": [1]}) == ["lost"]


def test_paths_are_in_the_order_of_the_tree(write):
    with uproot.open(write("whole.root")) as file:
        assert [(path, branch.name) for path, branch in branch_paths(file["Events"])] == [
            ("run", "run"),
            ("npt", "npt"),
            ("pt", "pt"),
        ]
