from __future__ import annotations

from pathlib import Path

import awkward as ak
import numpy as np
import pytest

from hepae.errors import InputError
from hepae.io.tables import MemoryTable

JETS = ak.Array([[{"pt": 1.0, "m": 2}], [], [{"pt": 3.0, "m": 4}, {"pt": 5.0, "m": 6}]])


@pytest.fixture
def table():
    columns = {"run": np.arange(3, dtype=np.int32), "jet": JETS, "either": ak.Array([1, "a", 2])}
    return MemoryTable(Path("jets.x"), columns, file_format="x")


def test_objects_are_taken_apart_and_what_cannot_be_is_named(table):
    assert {name: branch.datashape for name, branch in table.branches.items()} == {
        "run": "int32",
        "jet.pt": "var * float64",
        "jet.m": "var * int64",
    }
    assert table.branches["jet.pt"].counter == table.branches["jet.m"].counter == "njet"
    assert table.unreadable == ("either",)
    assert table.num_entries == 3


def test_rows_are_read_by_the_branches_names(table):
    found = table.arrays(["jet.m", "run"], 1, 3)
    assert found["jet.m"].tolist() == [[], [4, 6]]
    assert found["run"].tolist() == [1, 2]
    with pytest.raises(InputError, match=r"jets\.x"):
        table.arrays(["jet"], 0, 1)


def test_bytes_of_columns_decide_on_the_rows_of_a_step(table):
    assert table.stored_bytes("run") == 12
    assert table.stored_bytes("jet.pt") >= 3 * 8
    assert table.entries_per_step("1 GB") > 1000
    assert table.entries_per_step("1 B") == 1
    assert table.entries_per_step(7) == 7
