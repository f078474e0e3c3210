"""What the tests of several tables use."""

from __future__ import annotations

import pytest

import hepae
from hepae.io.readers import choose_collection, open_source


@pytest.fixture(scope="session")
def is_the_table():
    """Check that a file is read as this table of three flat jets, whose columns are given by name."""

    def check(path, file_format, rows):
        with open_source(path) as source:
            assert (source.format, source.layout.name, source.num_entries) == (file_format, "flat", 3)
            jets = choose_collection(source)
            assert (jets.name, jets.counter) == ("jets", None)
            assert sum(source.stored_bytes(column.branch) for column in jets.columns) > 0
        found = hepae.read_jets(path)
        assert found.fields[:4] == ["pt", "eta", "phi", "mass"]
        assert found.pt.tolist() == rows["pt"]
        assert found.mass.tolist() == rows["m"]
        assert [len(part) for part in hepae.iterate_jets(path, step_size=2)] == [2, 1]

    return check
