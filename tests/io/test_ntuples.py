from __future__ import annotations

import importlib.util
import subprocess
import sys

import awkward as ak
import numpy as np
import pytest
import uproot

import hepae
from hepae.errors import InputError
from hepae.io import ntuples
from hepae.io.layouts import Branch
from hepae.io.readers import choose_collection, open_source
from hepae.io.writers import open_writer

pytestmark = pytest.mark.filterwarnings("ignore::hepae.errors.UnitWarning")
"""The unit of most files here is told by their values, which test_inputs.py is about."""

OWN_CLASS = """
import sys, ROOT
from array import array
ROOT.gInterpreter.Declare("struct OwnJet { float pt = 50, eta = 1, phi = 2, m = 5; };")
file = ROOT.TFile(sys.argv[1], "RECREATE")
number, jet = array("i", [3]), ROOT.OwnJet()
for name in ("jets", "other"):
    tree = ROOT.TTree(name, "")
    tree.Branch("x", number, "x/I") if name == "other" else tree.Branch("jet", jet, 32000, 0)
    tree.Fill()
    tree.Write()
file.Close()
"""


def _stored(path, tree, *names):
    with uproot.open(path) as file:
        return [file[tree][name].array() for name in names]


def test_physlite_is_in_mev_and_its_lists_of_other_length_stay_out(data):
    path = data / "physlite_ttbar.root"
    with open_source(path) as source:
        assert (source.format, source.tree, source.layout.name) == ("ttree", "CollectionTree", "xaod")
        jets = choose_collection(source)
        assert (jets.name, jets.unit, jets.counted) == ("AnalysisJets", "MeV", False)
        assert jets.momentum == ("pt", "eta", "phi", "mass")
        assert "btaggingLink.m_persIndex" in jets.column_names
        assert source.branches["AnalysisJetsAuxDyn.SumPtTrkPt500"].type == "var * var * float32"
        assert "SumPtTrkPt500" not in jets.column_names
        assert len(source.unreadable) > 100
    found = hepae.read_jets(path)
    pt, mass = _stored(path, "CollectionTree", "AnalysisJetsAuxDyn.pt", "AnalysisJetsAuxDyn.m")
    assert ak.all(found.pt == ak.values_astype(pt, np.float64) * 1e-3)
    assert ak.all(found.mass == ak.values_astype(mass, np.float64) * 1e-3)


def test_xaod_lists_the_collections_with_a_four_momentum(data):
    path = data / "xaod_exot15.root"
    with pytest.raises(InputError, match="AntiKt4EMTopoJets, TruthParticles, AntiKt4TruthJets; choose"):
        hepae.read_jets(path)
    found = hepae.read_jets(path, collection="AntiKt4EMTopoJets")
    (pt,) = _stored(path, "CollectionTree", "AntiKt4EMTopoJetsAux.pt")
    assert ak.all(found.pt == ak.values_astype(pt, np.float64) * 1e-3)
    muons = hepae.read_jets(path, collection="Muons")
    assert "mass" not in muons.fields  # the file has none
    (muon_pt,) = _stored(path, "CollectionTree", "MuonsAuxDyn.pt")
    assert ak.all(muons.pt == ak.values_astype(muon_pt, np.float64) * 1e-3)
    truth = hepae.read_jets(path, collection="TruthParticles")
    px, m = _stored(path, "CollectionTree", "TruthParticlesAuxDyn.px", "TruthParticlesAuxDyn.m")
    assert truth.fields[:4] == ["pt", "eta", "phi", "mass"]
    assert ak.all(truth.mass == ak.values_astype(m, np.float64) * 1e-3)
    np.testing.assert_allclose(ak.flatten(truth.px), ak.flatten(px) * 1e-3, rtol=1e-6, atol=1e-9)


def test_delphes(data):
    path = data / "delphes.root"
    with open_source(path) as source:
        jets = choose_collection(source)
        assert (source.layout.name, jets.name, jets.unit) == ("delphes", "Jet", "GeV")
        assert (jets.counter, jets.counted) == ("Jet_size", True)
        assert {"BTag", "Tau_4", "fUniqueID", "SoftDroppedJet.px"} <= {*jets.column_names}
        assert "Particle.fBits" in source.unreadable  # uproot reads wrong values
        tau, counts = source.arrays(["Jet.Tau_4", "Jet_size"], 0, 10).values()
        assert ak.all(ak.num(tau) == counts)
    found = hepae.read_jets(path)
    pt, mass, tau5 = _stored(path, "Delphes", "Jet.PT", "Jet.Mass", "Jet.Tau[5]")
    assert ak.all(found.pt == pt)
    assert ak.all(found.mass == mass)
    assert ak.all(found.Tau_4 == tau5[..., 4])


def test_px_py_pz_and_e_are_jets_and_come_back(data):
    path = data / "flat_pxpypzE_ww.root"
    with open_source(path) as source:
        jets = choose_collection(source)
        assert (jets.counter, jets.counted, jets.unit) == ("NJet", True, "GeV")
        arrays = source.arrays([column.branch for column in jets.columns], 0, source.num_entries)
    found = hepae.read_jets(path)
    assert found.fields == ["pt", "eta", "phi", "mass", "btag", "ID"]
    np.testing.assert_allclose(
        ak.flatten(found.pt), np.hypot(*(ak.flatten(arrays[f"Jet_P{axis}"]) for axis in "xy")), rtol=1e-6
    )
    back = jets.arrays(found, jets.column_names)
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        assert back[name].type == array.type
        np.testing.assert_allclose(ak.flatten(back[name]), ak.flatten(array), rtol=1e-6, atol=1e-6)


def test_vectors_of_objects_become_plain_branches(data):
    path = data / "tlorentzvector_objects.root"
    with open_source(path) as source:
        assert [*source.branches][:9] == [
            *(f"{name}.{axis}" for name in ("sel_lep", "selJet") for axis in ("px", "py", "pz", "E")),
            "selJetB",
        ]
        with pytest.raises(InputError, match="sel_lep, selJet; choose with --collection"):
            choose_collection(source)
    found = hepae.read_jets(path, collection="selJet")
    (vectors,) = _stored(path, "outtree", "selJet")
    assert ak.all(ak.num(found) == ak.num(vectors))
    np.testing.assert_allclose(ak.flatten(found.px), ak.flatten(vectors.fP.fX), rtol=1e-12)
    np.testing.assert_allclose(ak.flatten(found.E), ak.flatten(vectors.fE), rtol=1e-9)


def test_one_jet_a_row(data):
    found = hepae.read_jets(data / "scalar_jet_per_row.root")
    (pt,) = _stored(data / "scalar_jet_per_row.root", "tout", "Jet_pt")
    assert found.ndim == 1
    assert ak.all(found.pt == pt)


def test_nanoaod_as_rntuple(data):
    path = data / "nanoaod_dimuon_rntuple.root"
    with open_source(path) as source:
        assert (source.format, source.layout.name, source.num_entries) == ("rntuple", "nanoaod", 40)
        jets = choose_collection(source)
        assert (jets.name, jets.counter, jets.counted) == ("Jet", "nJet", True)
        assert not any(name.startswith("_collection") for name in source.branches)
        assert 0 < source.stored_bytes("Jet_pt") < path.stat().st_size
        assert source.entries_per_step("10 kB") < 40
    (pt,) = _stored(path, "Events", "Jet_pt")
    assert ak.all(hepae.read_jets(path).pt == pt)


JETS = ak.unflatten(
    ak.zip({name: np.float32(values) for name, values in {"pt": [50, 40, 30], "eta": [0.5, 1, 0], "phi": [0, 1, 2], "m": [5, 4, 3]}.items()}),
    [2, 0, 1],
)  # fmt: skip


@pytest.mark.parametrize("storage", ["ttree", "rntuple"])
@pytest.mark.parametrize(
    ("prefix", "counter", "layout", "collection"),
    [
        ("Jet_", "nJet", "nanoaod", "Jet"),
        ("AK4_jet_", "nAK4_jet", "nanoaod", "AK4_jet"),
        ("AnalysisJetsAuxDyn.", None, "xaod", "AnalysisJets"),
        ("HLT_AntiKt4.EM-JetsAux.", None, "xaod", "HLT_AntiKt4.EM-Jets"),
        ("Jet.", "Jet_size", "delphes", "Jet"),
        ("jét ", None, "flat", "jét "),
        ("jets", "jets_n", "flat", "jets"),
    ],
)
def test_every_convention_in_both_storages(tmp_path, storage, prefix, counter, layout, collection):
    """Names with dots, blanks and letters of any alphabet; an RNTuple has : for dots and blanks."""
    arrays = {f"{prefix}{name}": JETS[name] for name in JETS.fields}
    branches = [Branch(name, np.dtype("f4"), True, counter) for name in arrays]
    if counter:
        branches.append(Branch(counter, np.dtype("i4")))
        arrays[counter] = ak.values_astype(ak.num(JETS), np.int32)
    path = tmp_path / "x.root"
    with uproot.recreate(path) as file:
        open_writer(file, "dir/tree", branches, storage).extend(arrays)
    with open_source(path) as source:
        assert (source.format, source.tree, source.layout.name) == (storage, "dir/tree", layout)
        name = collection.replace(".", ":").replace(" ", ":") if storage == "rntuple" else collection
        if layout == "flat" and storage == "rntuple":
            name = name.rstrip(":")
        assert [*source.layout.collections] == [name]
        assert choose_collection(source).counted == (
            counter is not None
            and (storage, counter) != ("rntuple", "jets_n")  # nothing says that it counts jetspt
        )
    unit = 1e-3 if layout == "xaod" else 1
    assert hepae.read_jets(path).pt.tolist() == [[50 * unit, 40 * unit], [], [30 * unit]]
    assert hepae.read_jets(path).mass.tolist() == [[5 * unit, 4 * unit], [], [3 * unit]]


def test_lists_of_constituents_are_no_columns_of_the_jets(make_tree):
    arrays = {f"jet_{name}": JETS[name] for name in JETS.fields}
    arrays["jet_constituent_x"] = ak.Array([[1.0, 2, 3], [], [4]])
    with open_source(make_tree(arrays)) as source:
        # each has a counter of its own here: only the values tell
        assert choose_collection(source).column_names == ("pt", "eta", "phi", "mass")


def test_other_trees_are_sources_too(tmp_path):
    path = tmp_path / "x.root"
    with uproot.recreate(path) as file:
        for name, column in (("Events", "Jet_pt"), ("Runs", "run"), ("LuminosityBlocks", "block")):
            file.mktree(name, {column: "int64"}).extend({column: np.arange(5)})
    with open_source(path) as source:
        others = {other.tree: other for other in source.other_trees()}
        assert [*others] == ["Runs", "LuminosityBlocks"]
        assert others["Runs"].arrays(["run"], 1, 3)["run"].tolist() == [1, 2]


@pytest.mark.parametrize("command", [["info"], ["train", "--epochs", "1", "--hidden", "8"], ["compress"]])
def test_the_tree_with_jets_is_found_beside_large_other_trees(data, tmp_path, limited, command):
    path = data / "physlite_rntuple.root"
    output = {"info": (), "train": ("-o", tmp_path / "m.safetensors", "--runs-dir", tmp_path)}.get(
        command[0], ("-o", tmp_path / "x.root", "--drop", "*/*", "--drop-unreadable")
    )
    status, printed, errors, memory = limited(*command, path, *output)
    assert status == 0, errors
    assert memory < 500  # torch alone takes 320 MB
    if command[0] == "info":
        assert "EventData" in printed
        assert "AnalysisJets: 881" in printed


def test_a_tree_that_names_no_momentum_is_not_opened_to_find_jets(data, monkeypatch):
    """To take 3775 branches of metadata apart takes 5 s."""
    opened = []

    class Noted(ntuples.TreeSource):
        def __init__(self, path, file, trees, name, *options, **more):
            opened.append(name)
            super().__init__(path, file, trees, name, *options, **more)

    monkeypatch.setattr(ntuples, "TreeSource", Noted)
    with open_source(data / "physlite_rntuple.root") as source:
        assert source.tree == "EventData"
    assert opened == []
    with open_source(data / "physlite_rntuple.root", tree="MetaDataHdr"):
        assert opened == ["MetaDataHdr"]


@pytest.mark.root
@pytest.mark.skipif(importlib.util.find_spec("ROOT") is None, reason="ROOT is not installed")
def test_jets_of_a_class_of_ones_own_are_found_among_trees(tmp_path):
    """Nothing but the description of the class has the names of its members."""
    path = tmp_path / "own.root"
    subprocess.run([sys.executable, "-c", OWN_CLASS, path], check=True, capture_output=True, timeout=300)
    with open_source(path) as source:
        assert source.tree == "jets"
        assert choose_collection(source).column_names == ("pt", "eta", "phi", "mass")


def test_an_object_of_unknown_layout_takes_no_memory(data, limited):
    """Without a limit on its lists uproot takes 13 GB for _Generation_Parameters."""
    status, _, errors, memory = limited("info", data / "physlite_rntuple.root", "--tree", "MetaData")
    assert status == 1
    assert "no jets in tree 'MetaData'" in errors[-1]
    assert memory < 500


def test_of_several_trees_the_one_with_whole_jets_is_taken(tmp_path):
    path = tmp_path / "x.root"
    with uproot.recreate(path) as file:
        for name, columns in {
            "Header": ["x_a", "x_b"],
            "Tracks": ["t_pt", "t_eta", "t_phi"],
            "Jets": MOMENTUM,
        }.items():
            types = dict.fromkeys(columns, "var * float32")
            file.mktree(name, types).extend({column: ak.Array([[1.0], [2.0, 3.0]]) for column in columns})
    with open_source(path) as source:
        assert source.tree == "Jets"


MOMENTUM = ["j_pt", "j_eta", "j_phi", "j_mass"]


def test_several_trees_with_jets_are_named(tmp_path):
    path = tmp_path / "x.root"
    with uproot.recreate(path) as file:
        for name in ("Nominal", "Up", "Header"):
            columns = ["x"] if name == "Header" else MOMENTUM
            types = dict.fromkeys(columns, "var * float32")
            file.mktree(name, types).extend({column: ak.Array([[1.0], [2.0, 3.0]]) for column in columns})
    with pytest.raises(
        InputError, match=r"several trees with jets in .*: Nominal, Up; choose one with --tree"
    ):
        open_source(path)


def test_an_empty_tree_has_collections_and_no_jets(tmp_path):
    path = tmp_path / "x.root"
    with uproot.recreate(path) as file:
        file.mktree("Events", dict.fromkeys(("Jet_pt", "Jet_eta", "Jet_phi", "Jet_mass"), "var * float32"))
    with open_source(path) as source:
        assert [*source.layout.collections] == ["Jet"]
    with pytest.raises(InputError, match="no events"):
        hepae.read_jets(path)


def test_columns_that_are_all_nan_are_read(make_tree):
    path = make_tree({name: np.full(5, np.nan) for name in ("pt", "eta", "phi", "m")})
    assert np.isnan(ak.to_numpy(hepae.read_jets(path).pt)).all()


OBJECTS = r"""
import sys, ROOT
ROOT.gInterpreter.Declare('''
#include "Math/Vector4D.h"
#include "TClonesArray.h"
#include "TFile.h"
#include "TLorentzVector.h"
#include "TTree.h"
#include <ROOT/RNTupleModel.hxx>
#include <ROOT/RNTupleWriter.hxx>
using namespace ROOT::Math;
PtEtaPhiMVector jet(int i, int j) { return {20. + i + j, 0.1 * j, 0.2 * j, 3. + j}; }
void write_trees(const char *path) {
  TFile file(path, "recreate");
  for (int split : {0, 99}) {
    TTree tree(split ? "split" : "whole", "");
    std::vector<PtEtaPhiEVector> a; std::vector<XYZTVector> b; PtEtaPhiMVector one; TLorentzVector lone;
    TClonesArray array("TLorentzVector");
    tree.Branch("a", &a, 32000, split); tree.Branch("b", &b, 32000, split);
    tree.Branch("one", &one, 32000, split); tree.Branch("lone", &lone, 32000, split);
    if (split) tree.Branch("array", &array, 32000, split);
    for (int i = 0; i < 5; i++) {
      a.clear(); b.clear(); array.Clear();
      one = jet(i, 7); lone.SetPxPyPzE(one.px(), one.py(), one.pz(), one.E());
      for (int j = 0; j < i; j++) {
        auto v = jet(i, j); a.emplace_back(v); b.emplace_back(v);
        new (array[j]) TLorentzVector(v.px(), v.py(), v.pz(), v.E());
      }
      tree.Fill();
    }
    tree.Write();
  }
}
void write_tuple(const char *path) {
  auto model = ROOT::RNTupleModel::Create();
  auto a = model->MakeField<std::vector<PtEtaPhiEVector>>("a");
  auto b = model->MakeField<std::vector<XYZTVector>>("b");
  auto one = model->MakeField<PtEtaPhiMVector>("one");
  auto writer = ROOT::RNTupleWriter::Recreate(std::move(model), "tuple", path);
  for (int i = 0; i < 5; i++) {
    a->clear(); b->clear(); *one = jet(i, 7);
    for (int j = 0; j < i; j++) { a->emplace_back(jet(i, j)); b->emplace_back(jet(i, j)); }
    writer->Fill();
  }
}
''')
ROOT.write_trees(sys.argv[1])
ROOT.write_tuple(sys.argv[2])
"""


@pytest.mark.root
def test_objects_that_root_itself_wrote(tmp_path):
    """Vectors of LorentzVectors in one branch or split, an object a row, a TClonesArray; and as an RNTuple."""
    paths = tmp_path / "trees.root", tmp_path / "tuple.root"
    done = subprocess.run(
        [sys.executable, "-c", OBJECTS, *map(str, paths)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lists = [[(20.0 + i + j, 0.1 * j, 0.2 * j, 3.0 + j) for j in range(i)] for i in range(5)]
    rows = [(27.0 + i, 0.7, 1.4, 10.0) for i in range(5)]
    for tree, names in (
        ("whole", ["a", "b", "one", "lone"]),
        ("split", ["a", "b", "one", "lone", "array"]),
        ("tuple", ["a", "b", "one"]),
    ):
        path = paths[tree == "tuple"]
        with open_source(path, tree=tree) as source:
            assert [*source.layout.collections] == names
            assert not source.unreadable
        for name in names:
            jets = hepae.read_jets(path, tree=tree, collection=name)
            expected = ak.Array(rows if name in ("one", "lone") else lists)
            assert jets.ndim == 1 or ak.num(jets).tolist() == ak.num(expected["0"]).tolist()
            for i, column in enumerate(("pt", "eta", "phi", "mass")):
                np.testing.assert_allclose(
                    ak.to_numpy(ak.flatten(jets[column] if column in jets.fields else jets.mass, axis=None)),
                    ak.to_numpy(ak.flatten(expected[str(i)], axis=None)),
                    atol=1e-6,
                )


def test_other_trees_are_taken_apart_once(data):
    with open_source(data / "physlite_ttbar.root") as source:
        once = list(source.other_trees())
        assert len(once) > 1
        assert all(one is again for one, again in zip(once, source.other_trees(), strict=True))
