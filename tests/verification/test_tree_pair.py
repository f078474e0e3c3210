from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
import uproot

from hepae.io.readers import open_source
from hepae.verification.findings import Findings
from hepae.verification.tree_pair import TreePair, accepted_of
from hepae.verification.tree_view import TreeView
from hepae.verification.verify import verify


def test_a_missing_and_an_added_branch(damaged):
    def without(arrays):
        del arrays["MET_pt"]
        arrays["MET_phi"] = np.zeros(len(arrays["event"]), np.float32)

    assert damaged(without).broken == (
        "branch MET_pt: it is missing",
        "branch MET_phi: the original does not have it",
    )


def test_a_tree_with_another_name(files, tmp_path):
    renamed = tmp_path / "renamed.root"
    with uproot.open(files[0]) as file, uproot.recreate(renamed) as copy:
        copy["cutflow"] = file["cutflow"].to_numpy()
        for name, called in (("Events", "Incidents"), ("Runs", "Runs")):
            arrays = file[name].arrays(how=dict)
            kinds = {key: getattr(ak.type(a), "content", None) or a.dtype for key, a in arrays.items()}
            lists = {key: array for key, array in arrays.items() if key != "nJet"}
            copy.mktree(called, {key: kinds[key] for key in lists}, counter_name=lambda _: "nJet").extend(
                arrays
            )
    assert "tree Events: it is called Incidents now" in verify(files[0], renamed).broken


def test_a_missing_column(damaged):
    def without(arrays):
        del arrays["Jet_eta"]

    assert "branch Jet_eta: it is missing" in damaged(without).broken


@pytest.mark.parametrize("name", ["MET_pt", "Jet_hits", "Jet_eta"])
def test_a_changed_type(damaged, name):
    def retype(arrays):
        wider = {"MET_pt": np.float64, "Jet_hits": np.int32, "Jet_eta": np.float64}[name]
        arrays[name] = ak.values_astype(arrays[name], wider)
        if name == "MET_pt":
            arrays[name] = ak.to_numpy(arrays[name])

    (line,) = damaged(retype).broken
    assert line.startswith(f"branch {name}: its type was")


@pytest.mark.parametrize("name", ["MET_pt", "Jet_hits"])
def test_a_flipped_bit_in_an_uncoded_branch(damaged, name):
    def flip(arrays):
        flat = ak.to_numpy(ak.flatten(arrays[name], axis=None)).copy()
        flat.view(f"u{flat.itemsize}")[100] ^= 1
        arrays[name] = flat if name == "MET_pt" else ak.unflatten(flat, arrays["nJet"])

    (line,) = damaged(flip).broken
    assert line.startswith(f"branch {name}: not the same bit for bit, first in entry ")
    if name == "MET_pt":
        assert line.endswith("entry 100")


def test_counters_may_have_another_type_and_no_other_branch_may(make_tree):
    def compared(counter, number):
        return make_tree(
            {
                "nJet": np.array([1, 0, 2], counter),
                "number": np.array([1, 2, 3], number),
                "Jet_pt": ak.Array([[1], [], [2, 3]]),
            },
            name=f"{np.dtype(counter)}_{np.dtype(number)}.root",
            counters={"Jet_pt": "nJet"},
        )

    def pair(one, other):
        before, after = TreeView.of_source(one), TreeView.of_source(other)
        found, both = Findings(), TreePair(before, after)
        arrays = (before.arrays(both.shared, 0, 3), after.arrays(both.shared, 0, 3))
        both.compare(both.shared, *arrays, 0, found)
        return found + both.findings

    paths = compared(np.int32, np.int32), compared(np.int8, np.int32), compared(np.int32, np.int64)
    with open_source(paths[0]) as one, open_source(paths[1]) as other, open_source(paths[2]) as third:
        assert pair(one, other).lines() == []
        assert pair(one, other).branches == {"nJet", "number", "Jet_pt"}
        assert pair(one, third).lines() == ["branch number: its type was int32 and is int64"]


@pytest.mark.parametrize(
    ("left_out", "accepted"),
    [(["pt"], {"pt"}), (["Runs/*"], {"Runs/run", "Runs/x"}), (["Run"], set()), (["R*"], set())],
)
def test_what_was_left_out_is_accepted_by_name_or_tree(left_out, accepted):
    assert accepted_of(["pt", "Runs/run", "Runs/x", "Run/run"], left_out) == accepted
