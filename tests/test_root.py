"""ROOT itself reads what hepae writes, and joins it. ROOT runs in a process of its own: it does not share one well."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import awkward as ak
import numpy as np
import pytest
import uproot

import hepae
from hepae.errors import InputError, UnitWarning

pytestmark = pytest.mark.root


def _root(script, *arguments):
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import json, sys, ROOT\nROOT.gROOT.SetBatch()\n{script}",
            *map(str, arguments),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""


SUMS = """
frame = ROOT.RDataFrame(sys.argv[1], sys.argv[2])
names = sys.argv[3:]
sums = [frame.Define("one_sum", f"(double)Sum(ROOT::VecOps::RVec<double>({n}.begin(), {n}.end()))").Sum("one_sum") for n in names]
counts = frame.Define("size_of", f"(double){names[0]}.size()").Sum("size_of")
print(json.dumps({"events": int(frame.Count().GetValue()), "jets": counts.GetValue(), "nJet": frame.Sum("nJet").GetValue(), **{n: s.GetValue() for n, s in zip(names, sums)}}))
"""


def test_root_reads_latents_and_restored_jets(sample, codec, tmp_path):
    small, back = tmp_path / "small.root", tmp_path / "back.root"
    hepae.compress_file(sample, small, codec, step_size=3000)
    hepae.decompress_file(small, back, step_size=3000)
    for path, names in (
        (small, ["Jet_z0", "Jet_z1", "Jet_z2"]),
        (back, ["Jet_pt", "Jet_eta", "Jet_phi", "Jet_mass"]),
    ):
        found = json.loads(_root(SUMS, "Events", path, *names))
        assert found["events"] == 20_000
        assert found["jets"] == found["nJet"] == 52_385
        for name in names:
            with uproot.open(path) as file:
                expected = float(ak.sum(ak.values_astype(file["Events"][name].array(), np.float64)))
            assert found[name] == pytest.approx(expected, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("latent", [True, False])
def test_root_reads_rntuples(sample, codec, tmp_path, latent):
    small, back = tmp_path / "small.root", tmp_path / "back.root"
    coder = codec if latent else hepae.BoundedCodec()
    hepae.compress_file(sample, small, coder, storage="rntuple", step_size=3000)
    hepae.decompress_file(small, back, step_size=3000)
    with uproot.open(back) as file:
        assert file.classname_of("Events") == "ROOT::RNTuple"
    for path, names in (
        (small, ["Jet_z0", "GenJet_mass"] if latent else ["GenJet_pt", "GenJet_mass"]),
        (back, ["Jet_pt", "Jet_eta", "Jet_phi", "Jet_mass", "GenJet_pt"]),
    ):
        found = json.loads(_root(SUMS, "Events", path, *names))
        assert (found["events"], found["nJet"]) == (20_000, 52_385)
        with uproot.open(sample) as file:
            counter = "nJet" if names[0].startswith("Jet") else "nGenJet"
            assert found["jets"] == ak.sum(file["Events"][counter].array())
        for name in names:
            with uproot.open(path) as file:
                expected = float(ak.sum(ak.values_astype(file["Events"][name].array(), np.float64)))
            assert found[name] == pytest.approx(expected, rel=1e-9, abs=1e-6)


MERGE = """
merger = ROOT.TFileMerger(False)
merger.OutputFile(sys.argv[1], True)
for path in sys.argv[2:]:
    merger.AddFile(path)
assert merger.Merge()
"""


def test_files_of_several_models_and_collections_that_hadd_joined_stay_readable(sample, codec, tmp_path):
    both, network = ["Jet", "GenJet"], hepae.AutoencoderConfig(hidden=(8,))
    columns = ("pt", "eta", "phi", "mass")
    config = hepae.TrainingConfig(columns=columns, epochs=1, network=network, basis="standard")
    other = hepae.train(hepae.read_jets(sample), config).codec
    parts = [tmp_path / "a.root", tmp_path / "b.root", tmp_path / "c.root"]
    for part, model in zip(parts, (codec, other, codec), strict=True):
        hepae.compress_file(sample, part, model, collection=both)
    joined = tmp_path / "joined.root"
    _root(MERGE, joined, *parts)
    with hepae.open(joined) as file:
        assert file.num_entries == 60_000
        for start, part in zip((0, 20_000, 40_000), parts, strict=True):
            for name in both:
                with hepae.open(part) as single:
                    expected = single.jets(0, 500, collection=name)
                found = file.jets(start, start + 500, collection=name)
                np.testing.assert_allclose(ak.flatten(found.pt), ak.flatten(expected.pt), rtol=1e-5)
        across = file.jets(19_990, 20_010)
        assert len(across) == 20
    hepae.decompress_file(joined, tmp_path / "back.root")
    for name in both:
        assert len(hepae.read_jets(tmp_path / "back.root", collection=name)) == 60_000


def test_files_that_do_not_go_together_are_refused(sample, codec, tmp_path):
    wider = hepae.train(
        hepae.read_jets(sample),
        hepae.TrainingConfig(epochs=1, network=replace(hepae.AutoencoderConfig(hidden=(8,)), latent=2)),
    ).codec
    parts = [tmp_path / "a.root", tmp_path / "b.root"]
    hepae.compress_file(sample, parts[0], codec)
    hepae.compress_file(sample, parts[1], wider)
    joined = tmp_path / "joined.root"
    _root(MERGE, joined, *parts)
    with pytest.raises(InputError, match="made from files"):
        hepae.open(joined)


def test_bounded_files_of_other_bounds_can_be_joined(sample, tmp_path):
    parts = [tmp_path / "a.root", tmp_path / "b.root"]
    hepae.compress_file(sample, parts[0], hepae.BoundedCodec())
    hepae.compress_file(sample, parts[1], hepae.BoundedCodec({"pt": "1%"}, {"pt": "30"}))
    joined = tmp_path / "joined.root"
    _root(MERGE, joined, *parts)
    with hepae.open(joined) as file:
        assert file.num_entries == 40_000
        for start, part in zip((0, 20_000), parts, strict=True):
            with hepae.open(part) as single:
                assert ak.all(file.jets(start, start + 20_000).pt == single.jets().pt)
        assert len(file.jets(19_990, 20_010)) == 20


def test_files_of_several_collections_at_other_bounds_can_be_joined(sample, tmp_path):
    parts = [tmp_path / "a.root", tmp_path / "b.root"]
    bounds = ({"pt": "0.1%"}, {"GenJet.pt": "1%", "Jet.mass": "exact"})
    for part, own in zip(parts, bounds, strict=True):
        hepae.compress_file(sample, part, hepae.BoundedCodec(own), collection=["Jet", "GenJet"])
    joined, back = tmp_path / "joined.root", tmp_path / "back.root"
    _root(MERGE, joined, *parts)
    hepae.decompress_file(joined, back)
    for collection in ("Jet", "GenJet"):
        restored = hepae.read_jets(back, collection=collection)
        with hepae.open(joined) as file:
            assert ak.all(file.jets(collection=collection).pt == restored.pt)
        for start, part in zip((0, 20_000), parts, strict=True):
            with hepae.open(part) as single:
                expected = single.jets(collection=collection)
            found = restored[start : start + 20_000]
            assert ak.all(ak.num(found) == ak.num(expected))
            assert ak.all(found.pt == expected.pt)
            assert ak.all(found.mass == expected.mass)
    original = hepae.read_jets(sample)
    assert ak.all(hepae.read_jets(back)[20_000:].mass == original.mass)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"collection": ["Jet", "GenJet"]}, {"collection": "Jet"}),
        ({"collection": "Jet"}, {"collection": "GenJet"}),
        ({}, {"drop": ["genWeight"]}),
        ({}, {"latents": True}),
    ],
)
def test_any_other_files_joined_are_refused_in_one_line(sample, codec, tmp_path, one, other):
    parts = [tmp_path / "a.root", tmp_path / "b.root"]
    for part, options in zip(parts, (one, other), strict=True):
        options = dict(options)
        coder = codec if options.pop("latents", False) else hepae.BoundedCodec()
        hepae.compress_file(sample, part, coder, **options)
    joined = tmp_path / "joined.root"
    _root(MERGE, joined, *parts)
    for call in (lambda: hepae.open(joined), lambda: hepae.decompress_file(joined, tmp_path / "back.root")):
        with pytest.raises(InputError, match=r"was made from files whose .* differ") as raised:
            call()
        assert "\n" not in str(raised.value)
    assert not (tmp_path / "back.root").exists()


def test_root_reads_what_was_restored_within_bounds(sample, tmp_path):
    small, back = tmp_path / "small.root", tmp_path / "back.root"
    hepae.compress_file(sample, small, hepae.BoundedCodec(), step_size=3000)
    hepae.decompress_file(small, back, step_size=3000)
    found = json.loads(_root(SUMS, "Events", back, "Jet_pt"))
    assert found["jets"] == found["nJet"] == 52_385
    assert found["Jet_pt"] == pytest.approx(float(ak.sum(hepae.read_jets(sample).pt)), rel=1e-4)


VECTORS = """
file = ROOT.TFile(sys.argv[1], "RECREATE")
tree = ROOT.TTree("analysis", "")
own = array.array("i", [0])
tree.Branch("njets", own, "njets/I")
names = ("pt", "eta", "phi", "e")
vectors = {name: ROOT.std.vector("float")() for name in names}
for name, vector in vectors.items():
    tree.Branch(f"jets_{name}", vector)
for event in ([(50e3, 1, 3, 90e3), (40e3, 0, -3, 41e3)], [], [(30e3, -1, 0, 50e3)]):
    own[0] = 7
    for i, name in enumerate(names):
        vectors[name].clear()
        for jet in event:
            vectors[name].push_back(jet[i])
    tree.Fill()
tree.Write()
file.Close()
"""


def test_vectors_of_a_flat_ntuple_in_mev_with_a_number_of_its_own(codec, tmp_path):
    """``njets`` counts something else: it is neither the jets' counter nor a sign of NanoAOD, which is in GeV."""
    path, small, back = (tmp_path / name for name in ("in.root", "small.root", "back.root"))
    _root(f"import array\n{VECTORS}", path)
    with pytest.warns(UnitWarning, match="MeV"):
        jets = hepae.read_jets(path)
    assert jets.pt.tolist() == [[50, 40], [], [30]]
    assert jets.E[0].tolist() == [90, 41]
    hepae.compress_file(path, small, codec)
    hepae.decompress_file(small, back)
    with uproot.open(back) as file:
        restored = file["analysis"].arrays(how=dict)
        assert [name for name in restored if not name.startswith("njets_")] == [
            "njets",
            *(f"jets_{name}" for name in ("pt", "eta", "phi", "e")),
        ]
        assert file["analysis"]["jets_pt"].typename == "float[]"
    assert restored["njets"].tolist() == [7, 7, 7]
    assert ak.num(restored["jets_e"]).tolist() == [2, 0, 1]
    with hepae.open(small) as opened:
        np.testing.assert_allclose(
            ak.flatten(restored["jets_pt"]), ak.flatten(opened.jets().pt) * 1000, rtol=1e-6
        )


def test_root_reads_the_real_dijets(data, codec, tmp_path):
    original, small, back = data / "pythia_dijets.root", tmp_path / "small.root", tmp_path / "back.root"
    hepae.compress_file(original, small, codec)
    hepae.decompress_file(small, back)
    for path, name in ((small, "Jet_z0"), (back, "Jet_pt")):
        found = json.loads(_root(SUMS, "Events", path, name))
        assert (found["events"], found["jets"], found["nJet"]) == (60_000, 181_295, 181_295)
        with uproot.open(path) as file:
            expected = float(ak.sum(ak.values_astype(file["Events"][name].array(), np.float64)))
        assert found[name] == pytest.approx(expected, rel=1e-9, abs=1e-6)


OBJECTS = """
from array import array
file = ROOT.TFile(sys.argv[1], "RECREATE")
cutflow = ROOT.TH1D("cutflow", "events;cut;N", 3, 0, 3)
cutflow.Sumw2()
for i in range(20):
    cutflow.Fill(i % 5 - 1, 0.5 + i)
for i, label in enumerate(("all", "trigger", "jets"), 1):
    cutflow.GetXaxis().SetBinLabel(i, label)
for i in range(2):  # the class of the second one is written as a reference to that of the first
    cutflow.GetListOfFunctions().Add(ROOT.TF1(f"f{i}", "pol1", 0, 3))
cutflow.Write()
cutflow.Fill(1)
cutflow.Write()  # as cutflow;2
ROOT.TH2F("h2", "", 3, 0, 1, 4, 0, 1).Write()
profile = ROOT.TProfile("profile", "", 3, 0, 1)
profile.Fill(0.5, 2, 3)
profile.Write()
ROOT.TParameter("double")("sum_of_weights", 123.5).Write()
ROOT.TNamed("config", "some text").Write()
ROOT.TObjString("hello").Write("text")
graph = ROOT.TGraphAsymmErrors(3)
graph.SetPoint(0, 1, 2)
graph.Write("graph")
ROOT.TLorentzVector(1, 2, 3, 4).Write("p4")
file.WriteObject(ROOT.std.vector("double")([1.0, 2.0]), "vector")
histograms = ROOT.TList()
for i in range(2):
    histograms.Add(ROOT.TH1F(f"listed{i}", "", 2, 0, 1))
histograms.Write("list", ROOT.TObject.kSingleKey)
file.mkdir("empty")
plots = file.mkdir("plots")
plots.mkdir("inner").cd()
ROOT.TH1F("deep", "", 5, 0, 1).Write()
plots.cd()
run, runs = array("i", [7]), ROOT.TTree("Runs", "")
runs.Branch("run", run, "run/I")
runs.Fill()
runs.Write()
file.cd()
events = ROOT.TTree("Events", "")
columns = {name: array("f", [1]) for name in ("pt", "eta", "phi", "mass")}
for name, value in columns.items():
    events.Branch(name, value, f"{name}/F")
for i in range(100):
    for value in columns.values():
        value[0] = 1 + i / 50
    events.Fill()
events.Write()
if len(sys.argv) > 2:
    trees = ROOT.TList()
    tree = ROOT.TTree("listed", "")
    tree.Branch("run", run, "run/I")
    tree.Fill()
    trees.Add(tree)
    trees.Write("trees", ROOT.TObject.kSingleKey)
file.Close()
"""

READ_OBJECTS = """
def read(folder, path=""):
    for key in folder.GetListOfKeys():
        name, classname = path + key.GetName(), key.GetClassName()
        if classname.startswith("TDirectory"):
            found[name] = "folder"
            read(key.ReadObj(), name + "/")
        elif classname not in ("TTree", "ROOT::RNTuple"):
            kind = ROOT.TClass.GetClass(classname)
            thing = key.ReadObj() if kind.IsTObject() else folder.GetObjectChecked(key.GetName(), kind)
            found[f"{name};{key.GetCycle()}"] = [classname, key.GetTitle(), str(ROOT.TBufferJSON.ConvertToJSON(thing, kind))]

found = {}
file = ROOT.TFile.Open(sys.argv[1])
read(file)
print(json.dumps(found))
"""


def _objects(path):
    return json.loads(_root(READ_OBJECTS, path))


@pytest.mark.parametrize("storage", ["ttree", "rntuple"])
def test_objects_of_any_class_come_back_as_they_were(tmp_path, storage):
    path, small, back = (tmp_path / f"{name}.root" for name in ("original", "small", "back"))
    _root(OBJECTS, path)
    hepae.compress_file(path, small, hepae.BoundedCodec(), storage=storage)
    hepae.decompress_file(small, back)
    expected = _objects(path)
    assert len(expected) == 15
    assert "fSumw2" in expected["cutflow;2"][2]
    for copy in (small, back):
        objects = _objects(copy)
        kind, _, text = objects.pop("hepae_history;1")  # what hepae adds, as ROOT shows it
        assert kind == "TObjString"
        assert "|value - original| <= 0.1% of |original|" in text
        assert objects == expected
        with uproot.open(copy) as file:
            assert file["plots/Runs"]["run"].array().tolist() == [7]


def test_an_object_with_a_tree_in_it_is_named(tmp_path):
    path, small = tmp_path / "original.root", tmp_path / "small.root"
    _root(OBJECTS, path, "trees")
    with pytest.raises(InputError, match=r"1 object .*\(trees: TList\).*--drop-unreadable.*--drop"):
        hepae.compress_file(path, small, hepae.BoundedCodec())
    assert not small.exists()
    hepae.compress_file(path, small, hepae.BoundedCodec(), drop=["trees", "plots*", "list"])
    with hepae.open(small) as file:
        assert file.header.unreadable == ()
    assert not {"trees;1", "list;1", "plots"} & {*_objects(small)}
    summary = hepae.compress_file(path, small, hepae.BoundedCodec(), drop_unreadable=True, force=True)
    assert "trees: TList" in summary.notes[-1]
    with hepae.open(small) as file:
        assert file.header.unreadable == ("trees",)


def test_histograms_of_files_that_hadd_joined_are_added(tmp_path):
    path, parts, joined = tmp_path / "a.root", [tmp_path / f"{i}.root" for i in range(2)], tmp_path / "j.root"
    _root(OBJECTS, path)
    for part in parts:
        hepae.compress_file(path, part, hepae.BoundedCodec(), drop=["cutflow"])
    _root(MERGE, joined, *parts)
    hepae.decompress_file(joined, tmp_path / "back.root")
    with uproot.open(path) as one, uproot.open(tmp_path / "back.root") as both:
        assert both["profile"].member("fEntries") == 2 * one["profile"].member("fEntries")
        assert both["Events"].num_entries == 200
