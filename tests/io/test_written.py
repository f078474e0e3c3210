from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
import uproot

from hepae.io.baskets import BasketChecksums
from hepae.io.layouts import Branch
from hepae.io.writers import open_writer
from hepae.io.written import ClonedTree, WrittenTree

BRANCHES = (
    Branch("run", np.dtype("u4"), title="number of the run"),
    Branch("Jet.pt", np.dtype("f4"), True, "nJet"),
)
ARRAYS = {"run": np.arange(4, dtype="u4"), "Jet.pt": ak.values_astype(ak.Array([[1], [], [2, 3], [4]]), "f4")}


@pytest.fixture(params=["ttree", "rntuple"])
def written(request, tmp_path):
    """A tree of either storage: its path, and names in the file of branches that are called otherwise there."""
    path = tmp_path / "written.root"
    with uproot.recreate(path) as file:
        writer = open_writer(file, "Events", BRANCHES, request.param, title="what happened")
        writer.extend(ARRAYS)
        writer.close()
    return path, request.param, writer.fields


def test_a_tree_is_read_by_the_names_of_its_branches(written):
    path, storage, fields = written
    with uproot.open(path) as file:
        tree = WrittenTree(file, "Events", fields)
        assert (tree.storage, tree.num_entries) == (storage, 4)
        assert {"run", "Jet.pt"} <= {*tree.branches}
        found = tree.arrays(["Jet.pt", "run"], 1, 4)
        assert {name: array.tolist() for name, array in found.items()} == {
            "Jet.pt": [[], [2, 3], [4]],
            "run": [1, 2, 3],
        }
        if storage == "ttree":
            assert (tree.title, tree.titles["run"]) == ("what happened", "number of the run")
        assert tree.uncompressed_bytes >= 4 * 4 + 4 * 4
        run, both = tree.stored_bytes(["run"]), tree.stored_bytes(["run", "Jet.pt"])
        assert 0 < run < both < path.stat().st_size


def test_a_branch_that_is_shorter_than_its_tree_is_no_answer(written):
    path, _, fields = written
    with uproot.open(path) as file, pytest.raises(ValueError, match="branch run is shorter than its tree"):
        WrittenTree(file, "Events", fields).arrays(["run"], 2, 6)


def test_a_tree_as_root_has_it_is_read_and_has_checksums(tmp_path):
    path = tmp_path / "plain.root"
    with uproot.recreate(path) as file:
        tree = open_writer(file, "Events", BRANCHES, title="what happened")
        tree.extend(ARRAYS)
        tree.close()
    with uproot.open(path) as file:
        tree = ClonedTree(path, file, "Events")
        assert (tree.storage, tree.num_entries, tree.title) == ("ttree", 4, "what happened")
        assert tree.titles["run"] == "number of the run"
        assert {"run", "Jet.pt", "nJet"} == {*tree.branches}
        assert tree.arrays(["Jet.pt"], 2, 4)["Jet.pt"].tolist() == [[2, 3], [4]]
        expected = BasketChecksums()
        expected.update(file["Events"], 1, 3)
        assert tree.checksums(["run"], 1, 3) == {"run": ("run", expected.by_branch["run"])}
        stored = file["Events"]["run"].compressed_bytes
        assert tree.stored_bytes(["run"]) == stored > 0
