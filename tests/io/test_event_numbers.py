from __future__ import annotations

import numpy as np
import pytest

from hepae.io.event_numbers import event_collections
from hepae.io.layouts import Branch, Collection, Column

F4 = np.dtype("f4")
JET = Collection("Jet", (Column("pt", "Jet_pt", "<f4"),), "nJet")


def found(*branches, tree="Events", collections=(JET,)):
    return event_collections({branch.name: branch for branch in branches}, tree, collections)


def test_what_identifies_an_event_counts_or_is_coded_stays():
    identifiers = [
        Branch(name, np.dtype("u4")) for name in ("run", "luminosityBlock", "event", "nJet", "nTau")
    ]
    lists = [Branch("Jet_pt", F4, True, "nJet"), Branch("Tau_pt", F4, True, "nTau")]
    assert found(*identifiers, *lists) == [Collection("Tau_pt", (Column("Tau_pt", "Tau_pt", "<f4"),), "nTau")]


def test_texts_and_matrices_are_no_numbers():
    assert found(Branch("text", None, type="string"), Branch("matrix", F4, shape=(2, 2))) == []


@pytest.mark.parametrize("name", ["pt", "eta", "mass", "px"])
def test_a_number_of_the_event_is_no_coordinate_of_it(name):
    (collection,) = found(Branch(name, F4))
    assert collection.columns == (Column(f"{name}_", name, "<f4"),)
    assert collection.momentum == ()


def test_names_that_are_taken_get_another_one():
    events = Collection("Events", (Column("pt", "Jet_pt", "<f4"),), None)
    single, weights = found(
        Branch("MET", F4),
        Branch("nweight", F4),
        Branch("weight", F4, True),
        tree="folder/Events",
        collections=[events],
    )
    assert (single.name, single.column_names) == ("Events_", ("MET", "nweight"))
    assert (weights.name, weights.counter, weights.counted) == ("weight", "nweight_", False)
