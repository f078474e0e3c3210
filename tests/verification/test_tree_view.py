from __future__ import annotations

import awkward as ak
import numpy as np

from hepae.files.compressed import CompressedFile
from hepae.io.layouts import Branch
from hepae.io.readers import open_source
from hepae.verification.tree_view import TreeView, objects, other_trees


def test_a_compressed_file_is_seen_as_its_original(files):
    with open_source(files[0]) as source, CompressedFile(files[1]) as small:
        before, after = TreeView.of_source(source), TreeView.of_compressed(small)
        assert (after.name, after.num_entries) == (before.name, before.num_entries) == ("Events", 300)
        assert {**after.branches} == {**before.branches}
        assert after.counters == before.counters == {"nJet"}
        names = after.names_of(before.branches)
        one, other = before.arrays(names, 40, 60), after.arrays(names, 40, 60)
        assert one["Jet_hits"].tolist() == other["Jet_hits"].tolist()
        assert one["Jet_pt"].tolist() != other["Jet_pt"].tolist()
        np.testing.assert_allclose(*(ak.flatten(side["Jet_pt"]) for side in (other, one)), rtol=1e-3)


def test_what_hepae_adds_is_no_content(files):
    with open_source(files[0]) as source, CompressedFile(files[1]) as small, open_source(files[2]) as back:
        for file in (source, small, back):
            (tree,) = other_trees(file)
            assert (tree.name, tree.num_entries) == ("Runs", 2)
            assert tree.arrays({"run": "run"}, 1, 2)["run"].tolist() == [8]
            assert objects(file) == objects(source)
        assert [record.name for record in objects(source)] == ["cutflow"]


def test_names_of_an_rntuple_are_found_under_those_of_a_ttree():
    branches = {name: Branch(name, np.dtype("f4")) for name in ("Jet:pt", "a.b", "a:b", "run")}
    view = TreeView("Events", branches, (), 0, lambda *_: {}, int)
    assert view.names_of(["Jet.pt", "Jet/pt", "a.b", "run", "lost"]) == {
        "Jet.pt": "Jet:pt",
        "Jet/pt": "Jet:pt",
        "a.b": "a.b",
        "run": "run",
    }
