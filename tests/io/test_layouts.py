from __future__ import annotations

import json
import time

import awkward as ak
import numpy as np
import pytest

from hepae.errors import InputError
from hepae.io.layouts import Branch, Collection, Column, find_layout

F4 = np.dtype("float32")


def _branches(*branches):
    return {branch.name: branch for branch in branches}


def _flat(*names, dtype=F4):
    return _branches(*(Branch(name, dtype) for name in names))


def _counted(counter, *names):
    jets = (Branch(name, F4, jagged=True, counter=counter and counter.format(name)) for name in names)
    return _branches(*jets)


NANOAOD = ("Jet_pt", "Jet_eta", "Jet_phi", "Jet_mass", "Jet_nConstituents")


def test_nanoaod_is_known_by_branches_that_its_counter_counts():
    named_alike = {**_flat("nJet", dtype=np.dtype("uint32")), **_counted("nJet", *NANOAOD)}
    assert find_layout(named_alike).unit is None
    layout = find_layout({**_flat("run", "luminosityBlock", "event"), **named_alike})
    jets = layout.collections["Jet"]
    assert (layout.name, layout.unit) == ("nanoaod", "GeV")
    assert (jets.counter, jets.counted) == ("nJet", True)
    assert jets.column_names == ("pt", "eta", "phi", "mass", "nConstituents")
    assert jets.prefix == "Jet_"


def test_nanoaod_with_a_counter_a_branch_beside_its_own():
    own = _flat("nJet", *(f"n{name}" for name in NANOAOD), dtype=np.dtype("int32"))
    layout = find_layout({**own, **_counted("n{}", *NANOAOD)})
    assert layout.name == "nanoaod"
    assert layout.collections["Jet"].counter == "nJet"


@pytest.mark.parametrize("own", [(), ("njets",), ("njets", "njets_")])
def test_vectors_with_a_number_of_that_name_beside_them_are_no_nanoaod(own):
    """That number may count anything, and the unit is unknown."""
    names = ("jets_pt", "jets_eta", "jets_phi", "jets_e")
    layout = find_layout({**_flat(*own, dtype=np.dtype("int32")), **_counted(None, *names)})
    jets = layout.collections["jets"]
    assert (layout.name, layout.unit) == ("flat", None)
    assert not jets.counted
    assert jets.counter == "njets" + "_" * len(own)


@pytest.mark.parametrize(
    ("names", "collection", "columns", "prefix"),
    [
        (("m", "pt", "phi", "eta"), "jets", ("mass", "pt", "phi", "eta"), ""),
        (("PT", "Eta", "PHI", "Energy"), "jets", ("pt", "eta", "phi", "E"), ""),
        (("Jet_pt", "Jet_eta", "Jet_phi", "Jet_M"), "Jet", ("pt", "eta", "phi", "mass"), "Jet_"),
        (("jet_pt_NOSYS", "jet_eta", "jet_phi", "jet_e_NOSYS"), "jet", ("pt", "eta", "phi", "E"), "jet_"),
        (("pxj1", "pyj1", "pzj1", "mj1", "tau1j1"), "j1", ("px", "py", "pz", "mass", "tau1"), "j1_"),
        (("Jet_Px", "Jet_Py", "Jet_Pz", "Jet_E", "Jet_T"), "Jet", ("px", "py", "pz", "E", "T"), "Jet_"),
        (("pt", "eta", "phi", "m", "px", "t"), "jets", ("pt", "eta", "phi", "mass", "px_", "t_"), ""),
        (("pt", "eta", "phi", "m", "mass", "M"), "jets", ("pt", "eta", "phi", "mass", "mass_", "M_"), ""),
        (("pt", "eta", "phi", "e", "mass", "btag"), "jets", ("pt", "eta", "phi", "E", "mass", "btag"), ""),
    ],
)
def test_flat_names_in_any_capitals(names, collection, columns, prefix):
    ((name, found),) = find_layout(_flat(*names)).collections.items()
    assert (name, found.column_names, found.prefix) == (collection, columns, prefix)
    assert [column.branch for column in found.columns] == list(names)
    assert found.counter is None


@pytest.mark.parametrize(
    "branches",
    [
        {},
        _flat("pt", "eta", "mass"),
        _flat("x_pt", "y_eta", "x_phi", "x_m"),
        _branches(*(Branch(name, None) for name in ("pt", "eta", "phi", "m"))),
        _branches(*(Branch(name, F4, shape=(4,)) for name in ("pt", "eta", "phi", "m"))),
        {**_flat("pt", "eta", "m"), **_counted(None, "phi")},
    ],
)
def test_what_is_no_four_momentum_is_no_collection(branches):
    assert find_layout(branches).collections == {}


def test_a_longer_prefix_with_a_four_momentum_is_a_collection_of_its_own():
    names = (
        "jet_pt",
        "jet_eta",
        "jet_phi",
        "jet_m",
        "jet_n",
        "jet_sub_pt",
        "jet_sub_eta",
        "jet_sub_phi",
        "jet_sub_m",
    )
    found = find_layout(_flat(*names)).collections
    assert {name: len(collection.columns) for name, collection in found.items()} == {"jet": 5, "jet_sub": 4}
    two = find_layout(_flat(*(f"{name}j{i}" for i in (1, 2) for name in ("px", "py", "pz", "m")))).collections
    assert {name: c.columns[0].branch for name, c in two.items()} == {"j1": "pxj1", "j2": "pxj2"}


def test_objects_without_a_mass_are_no_default_and_make_momenta_without_energy():
    photons = find_layout(_flat("photon_pt", "photon_eta", "photon_phi", "photon_iso")).collections["photon"]
    assert photons.momentum == ("pt", "eta", "phi")
    values = {column.branch: ak.Array([2.0]) for column in photons.columns}
    jets = photons.jets(values)
    assert jets.fields == ["pt", "eta", "phi", "iso"]
    assert jets.px.tolist() == pytest.approx([2 * np.cos(2)])
    assert photons.arrays(jets, photons.column_names).keys() == values.keys()


def test_branches_that_a_counter_counts_are_a_collection_whatever_their_names():
    layout = find_layout({**_flat("nsv", dtype=np.dtype("int32")), **_counted("nsv", "sv_x", "sv_ntracks")})
    vertices = layout.collections["sv"]
    assert (vertices.counter, vertices.counted, vertices.momentum) == ("nsv", True, ())
    found = vertices.jets({name: ak.Array([[1.0], []]) for name in ("sv_x", "sv_ntracks")})
    assert found.fields == ["x_", "ntracks"]


def test_cartesian_momenta_and_their_inverse():
    columns = tuple(Column(name, name, "<f8") for name in ("px", "py", "pz", "E"))
    jets = Collection("jets", columns, unit="MeV")
    stored = {"px": [3e3, -5e4], "py": [4e3, 0], "pz": [0, 1e5], "E": [13e3, 2e5]}
    found = jets.jets({name: ak.Array(values) for name, values in stored.items()})
    assert found.fields == ["pt", "eta", "phi", "mass"]
    assert (found.pt[0], found.mass[0]) == pytest.approx((5, 12))
    for name, values in jets.arrays(found, jets.column_names).items():
        np.testing.assert_allclose(values, stored[name], rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize(
    "branch",
    [
        Branch("run", np.dtype("u4")),
        Branch("Jet_pt", F4, jagged=True, counter="nJet"),
        Branch("matrix", np.dtype("f8"), shape=(2, 3)),
        Branch("names", None, type="var * string"),
    ],
)
def test_branches_say_themselves(branch):
    assert Branch.from_config(json.loads(json.dumps(branch.to_config()))) == branch
    assert str(ak.types.from_datashape(branch.datashape, highlevel=False)) == branch.datashape


def test_arrays_undo_jets_in_the_files_own_unit_names_and_types():
    columns = (Column("pt", "PT", "<f8"), Column("eta", "Eta", "<f4"), Column("phi", "Phi", "<f4"))
    jets = Collection("jets", (*columns, Column("E", "En", "<f8"), Column("n", "N", "|u1")), unit="MeV")
    stored = {
        "PT": np.array([25e3, 4e6]),
        "Eta": np.array([0.5, -2], F4),
        "Phi": np.array([3, -3], F4),
        "En": np.array([3e4, 2e7]),
        "N": np.array([3, 255], np.uint8),
    }
    momenta = jets.jets({name: ak.Array(array) for name, array in stored.items()})
    assert momenta.pt.tolist() == [25, 4000]
    back = jets.arrays(momenta, jets.column_names)
    for name, array in stored.items():
        found = ak.to_numpy(back[name])
        assert found.dtype == array.dtype
        np.testing.assert_allclose(found, array, rtol=1e-15)
    assert Collection.from_config(jets.to_config()) == jets


def test_mass_and_energy_stand_for_each_other_only_where_one_is_missing():
    def collection(*names):
        return Collection("jets", tuple(Column(name, name, "<f4") for name in names))

    assert collection("pt", "eta", "phi", "E").column("mass").branch == "E"
    assert collection("pt", "eta", "phi", "mass").column("E").branch == "mass"
    assert collection("pt", "eta", "phi", "E", "mass").column("E").branch == "E"
    with pytest.raises(KeyError, match="area"):
        collection("pt").column("area")


def test_the_mass_wins_where_a_file_has_both():
    jets = Collection("jets", tuple(Column(n, n, "<f8") for n in ("pt", "eta", "phi", "E", "mass")))
    values = {"pt": [50.0], "eta": [0.0], "phi": [0.0], "E": [50.0], "mass": [5.0]}
    found = jets.jets({name: ak.Array(value) for name, value in values.items()})
    assert found.fields == ["pt", "eta", "phi", "mass"]
    assert found.mass.tolist() == [5]


def test_lists_of_different_lengths_make_no_jets():
    jets = Collection("jet", tuple(Column(n, n, "<f8") for n in ("pt", "eta", "phi", "mass", "w")), "njet")
    arrays = {name: ak.Array([[1.0, 2.0], []]) for name in ("pt", "eta", "phi", "mass")}
    assert jets.jets({**arrays, "w": arrays["pt"]}).fields[-1] == "w"
    with pytest.raises(InputError, match="w of collection 'jet'"):
        jets.jets({**arrays, "w": ak.Array([[1.0], [2.0]])})


@pytest.mark.parametrize("separator", [".", ":"])
def test_columns_are_called_alike_in_either_storage(separator):
    names = ("Jet.PT", "Jet.Eta", "Jet.Phi", "Jet.Mass", "Jet.Soft.px")
    named = [name.replace(".", separator) for name in names]
    layout = find_layout({**_flat("Jet_size"), **_counted("Jet_size", *named)})
    assert layout.collections["Jet"].column_names == ("pt", "eta", "phi", "mass", "Soft.px")


def test_a_column_among_thousands_is_found_at_once():
    columns = tuple(Column(f"c{number}", f"Jet_c{number}", "<f4") for number in range(20_000))
    collection = Collection("Jet", (*columns, Column("c0", "twin", "<f4")))
    before = time.process_time()
    assert [collection.column(column.name) for column in columns] == [*columns]
    assert time.process_time() - before < 1
