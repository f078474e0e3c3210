"""Whole files with ROOT: what is not coded is cloned, whatever its type, and stands where it stood when it comes back."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from collections import Counter

import awkward as ak
import pytest
import uproot

import hepae
from hepae.errors import InputError, OutputError
from hepae.io.baskets import BasketChecksums, branch_paths, wrong_branches
from hepae.io.cloning import SKELETON
from hepae.io.readers import open_source
from hepae.verification.verify import verify

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(importlib.util.find_spec("ROOT") is None, reason="ROOT is not installed"),
]

MAKE = """
from array import array
ROOT.gRandom.SetSeed(1)
file = ROOT.TFile(sys.argv[1], "RECREATE", "", 505)
ROOT.TH1D("cutflow", "events;cut;N", 3, 0, 3).Write()
file.mkdir("meta", "about the run").cd()
runs, run = ROOT.TTree("Runs", "one a run"), ROOT.std.vector("std::string")(["a", "run"])
runs.Branch("names", run)
runs.Fill()
runs.Write()
file.cd()
tree = ROOT.TTree("Events", "events of a test")
number = array("I", [0])
values = {name: array("f", [0] * 9) for name in ("pt", "eta", "phi", "mass")}
shape = array("f", [0] * 36)
run_number = array("i", [7])
tree.Branch("run", run_number, "run/I").SetTitle("number of the run")
tree.Branch("n_of_jets", number, "n_of_jets/i").SetTitle("number of jets")
for name, value in values.items():
    tree.Branch(f"jet_{name}", value, f"jet_{name}[n_of_jets]/F").SetTitle(f"{name} of jets")
tree.Branch("jet_shape", shape, "jet_shape[n_of_jets][4]/F")
words = ROOT.std.vector("std::string")()
tree.Branch("words", words)
nested = ROOT.std.vector("std::vector<int>")()
tree.Branch("nested", nested)
pts = {name: ROOT.std.vector(kind)() for name, kind in (("pt", "float"), ("eta", "float"), ("phi", "float"), ("m", "double"), ("good", "bool"))}
for name, value in pts.items():
    tree.Branch(f"Muons.{name}", value)
vectors = ROOT.std.vector("TLorentzVector")()
tree.Branch("vectors", vectors, 32000, 0)
clones = ROOT.TClonesArray("TLorentzVector")
tree.Branch("clones", clones, 32000, 99)
split = ROOT.std.vector("ROOT::Math::PtEtaPhiMVector")()
tree.Branch("split", split, 32000, 99)
graph = ROOT.TGraph(3)
tree.Branch("graph", graph)
for event in range(300):
    number[0] = event % 4
    for i in range(number[0]):
        for name, low, high in (("pt", 20, 90), ("eta", -2, 2), ("phi", -3, 3), ("mass", 2, 9)):
            values[name][i] = ROOT.gRandom.Uniform(low, high)
        for k in range(4):
            shape[4 * i + k] = ROOT.gRandom.Uniform()
    words.clear(); nested.clear(); vectors.clear(); split.clear(); clones.Clear()
    for value in pts.values():
        value.clear()
    for i in range((event + 1) % 3):
        words.push_back(f"word {event} {i}")
        nested.push_back(ROOT.std.vector("int")(range(i)))
        for name, low, high in (("pt", 20, 90), ("eta", -2, 2), ("phi", -3, 3), ("m", 2, 9)):
            pts[name].push_back(ROOT.gRandom.Uniform(low, high))
        pts["good"].push_back(event % 2 == 0)
        p4 = [ROOT.gRandom.Uniform(10, 50) for _ in range(3)]
        vectors.push_back(ROOT.TLorentzVector(*p4, 200))
        split.push_back(ROOT.Math.PtEtaPhiMVector(p4[0], i, 1, 5))
        one = clones.ConstructedAt(i)
        one.SetPxPyPzE(*p4, 200)
        ROOT.TProcessID.AssignID(one)  # uproot does not read the bits of what may be referred to
    graph.SetPoint(0, event, 1)
    tree.Fill()
tree.Write()
file.Close()
"""

LIST = """
def listed(branches, before=""):
    for branch in branches:
        leaves = [(l.ClassName(), l.GetName(), l.GetTitle(), l.GetLenType(), bool(l.IsUnsigned())) for l in branch.GetListOfLeaves()]
        kind = [branch.GetType(), branch.GetTypeName()] if branch.InheritsFrom("TBranchElement") else leaves
        yield [before + branch.GetName(), branch.GetTitle(), branch.ClassName(), branch.GetClassName(), kind,
               branch.GetEntries(), branch.GetCompressionSettings(), branch.GetSplitLevel(), branch.GetBasketSize()]
        yield from listed(branch.GetListOfBranches(), before + branch.GetName() + "/")

file = ROOT.TFile.Open(sys.argv[1])
found = {key.GetName(): [key.GetClassName(), key.GetTitle()] for key in file.GetListOfKeys() if key.GetName() != "hepae_history"}
for name in ("Events", "meta/Runs"):
    tree = file.Get(name)
    found[name] = [tree.GetTitle(), tree.GetEntries(), list(listed(tree.GetListOfBranches()))]
frame = ROOT.RDataFrame("Events", sys.argv[1])
found["sums"] = [frame.Define("s", text).Sum("s").GetValue() for text in (
    "(double)words.size()", "(double)graph.GetN()", "(double)clones.GetEntriesFast()",
    "(double)vectors.size()", "(double)split.size()",
)]
print(json.dumps(found))
"""


@pytest.fixture(autouse=True)
def by_root(monkeypatch):
    """Let ROOT write, as it does where it is installed."""
    monkeypatch.setenv("HEPAE_ROOT", "on")


def _root(script, *arguments):
    command = [sys.executable, "-c", f"import json, sys, ROOT\nROOT.gROOT.SetBatch()\n{script}"]
    done = subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A file of ROOT's with branches of many types."""
    path = tmp_path_factory.mktemp("clone") / "original.root"
    _root(MAKE, path)
    return path


@pytest.fixture(scope="module")
def small(original):
    """The same, with all collections coded."""
    path = original.with_name("small.root")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEPAE_ROOT", "on")
        hepae.compress_file(original, path, hepae.BoundedCodec({"*": "0.1%"}), collection="*", tree="Events")
    return path


def _checksums(path, tree):
    found = BasketChecksums()
    with uproot.open(path) as file:
        found.update(file[tree], 0, file[tree].num_entries)
    return found.by_branch


def test_everything_stands_where_it_stood(original, small, tmp_path):
    back = tmp_path / "back.root"
    hepae.decompress_file(small, back)
    assert json.loads(_root(LIST, original)) == json.loads(_root(LIST, back))
    with hepae.open(small) as file:
        coded = {path for path, _, _ in file.header.places.values()}
        bounds = {name: file.bounds(name) for name in file.collections}
        branches = {
            collection.column("pt").branch: name
            for name, collection in file.collections.items()
            if "pt" in collection.column_names
        }
        assert file.header.unreadable == ()
    assert {"jet_pt", "vectors", "Muons.good", "jet_shape", "clones/clones.fP"} <= coded
    before, after = _checksums(original, "Events"), _checksums(back, "Events")
    assert [*before] == [*after]
    assert {path for path, numbers in before.items() if after[path] != numbers} <= coded
    assert _checksums(original, "meta/Runs") == _checksums(back, "meta/Runs")
    with open_source(original, tree="Events") as one, open_source(back, tree="Events") as other:
        for branch, name in branches.items():
            x, y = (ak.flatten(file.arrays([branch], 0, 300)[branch]) for file in (one, other))
            assert ak.all(abs(x - y) <= bounds[name]["pt"].relative * abs(x))
            assert ak.any(x != y)


def test_what_was_coded_is_not_in_the_compressed_tree(original, small):
    with uproot.open(original) as one, uproot.open(small) as other, hepae.open(small) as file:
        before = [path for path, _ in branch_paths(one["Events"])]
        after = {path for path, _ in branch_paths(other["Events"])}
        assert {*before} - after == {path for path, _, _ in file.header.places.values()}
        assert after - {*before} == {name for name in file.header.checksums if name not in before}
        assert [path for path, _ in branch_paths(other[SKELETON])] == before
        assert other[SKELETON].num_entries == 0
        assert file.parts.cloned.keys() == {"Events", "meta/Runs"}
        file.parts.check_clones(file.file, file.path)
        read = file.arrays("jet", 10, 20, branches=["n_of_jets"])
        assert read["n_of_jets"].tolist() == [i % 4 for i in range(10, 20)]


def test_a_damaged_clone_is_refused(small, tmp_path):
    with uproot.open(small) as file:
        branch = file["Events"]["graph"]
        place = int(branch.member("fBasketSeek")[0]) + int(branch.basket_compressed_bytes(0)) - 20
    damaged = tmp_path / "damaged.root"
    content = bytearray(small.read_bytes())
    content[place] ^= 1
    damaged.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        hepae.decompress_file(damaged, tmp_path / "back.root")
    assert [path.name for path in tmp_path.iterdir()] == ["damaged.root"]


def test_without_root_nothing_is_lost_in_silence(original, small, tmp_path, monkeypatch):
    monkeypatch.setenv("HEPAE_ROOT", "off")
    back = tmp_path / "back.root"
    with pytest.raises(InputError, match=r"clones.fBits.*hepae\[root\].*--drop-unreadable"):
        hepae.decompress_file(small, back)
    with pytest.raises(InputError, match=r"clones.fBits.*hepae\[root\].*--drop-unreadable"):
        hepae.compress_file(
            original, tmp_path / "other.root", hepae.BoundedCodec(), collection="*", tree="Events"
        )
    with pytest.raises(OutputError, match=r"nested.*hepae\[root\].*--format rntuple"):
        hepae.decompress_file(small, back, drop_unreadable=True)
    assert list(tmp_path.iterdir()) == []
    summary = hepae.decompress_file(small, back, drop_unreadable=True, storage="rntuple")
    assert "clones.fBits" in summary.notes[0]
    with uproot.open(original) as one, uproot.open(back) as other:
        assert ak.all(one["Events"]["nested"].array() == other["Events"]["nested"].array())


def test_inputs_are_joined_and_branches_left_out(original, tmp_path):
    small, back = tmp_path / "small.root", tmp_path / "back.root"
    options = {"collection": "*", "tree": "Events", "drop": ["graph*", "words", "cutflow", "meta*"]}
    hepae.compress_file([original, original], small, hepae.BoundedCodec(), **options)
    hepae.decompress_file(small, back)
    with uproot.open(original) as one, uproot.open(back) as other:
        assert {path for path, _ in branch_paths(one["Events"])} - {
            path for path, _ in branch_paths(other["Events"])
        } >= {"graph", "words"}
        assert [name for name, kind in other.classnames(cycle=False).items() if kind == "TTree"] == ["Events"]
        assert other["Events"].num_entries == 600
        number = one["Events"]["run"].array()
        assert ak.all(other["Events"]["run"].array() == ak.concatenate([number, number]))
        once, twice = (
            Counter(ak.flatten(file["Events"]["nested"].array(), axis=None).tolist()) for file in (one, other)
        )
        assert twice == Counter({value: 2 * count for value, count in once.items()})


WHOLE = """
file = ROOT.TFile.Open(sys.argv[1], "UPDATE")
runs, vector = ROOT.TTree("Beams", "one a beam"), ROOT.TLorentzVector(1, 2, 3, 4)
runs.Branch("beam", "TLorentzVector", vector, 32000, 0)
runs.Fill()
runs.Write()
file.Close()
"""


def test_a_member_of_an_object_is_left_out_with_the_whole_object_or_not_at_all(sample, tmp_path):
    whole = tmp_path / "whole.root"
    shutil.copy(sample, whole)
    _root(WHOLE, whole)
    for number, (drop, left) in enumerate([("Beams/beam.px", ["beam"]), ("Beams/beam*", None)]):
        small = tmp_path / f"{number}.root"
        hepae.compress_file(whole, small, hepae.BoundedCodec(), drop=[drop])
        with uproot.open(small) as file:
            assert (file["Beams"].keys(recursive=False) if "Beams" in file else None) == left
        assert verify(whole, small, accept_left_out=left is None).ok


def test_a_wrong_clone_is_noticed(small):
    with uproot.open(small) as file:
        good = _checksums(small, "Events")
        assert wrong_branches(file, "Events", [(300, good)]) == []
        other = {**good, "nested": [good["nested"][0] ^ 1]}
        assert wrong_branches(file, "Events", [(300, other)]) == ["nested"]


@pytest.mark.parametrize(
    ("name", "chosen"),
    [("physlite_ttbar.root", "AnalysisJets"), ("delphes.root", "Jet")],
)
def test_every_number_of_real_events_comes_back(data, tmp_path, name, chosen):
    """McEventInfo has lists of objects with texts and booleans, Delphes lists of which ROOT clones every column."""
    keep = ["McEventInfo*", "TruthEvents*"] if "physlite" in name else ["Event*", "Jet*"]
    small, back = tmp_path / "small.root", tmp_path / "back.root"
    hepae.compress_file(
        data / name,
        small,
        hepae.BoundedCodec(),
        collection=chosen,
        all_numbers=True,
        keep=keep,
        compression="lzma:9",
    )
    hepae.decompress_file(small, back)
    with hepae.open(small) as file:
        tree = file.tree
    before, after = _checksums(data / name, tree), _checksums(back, tree)
    assert {*after} < {*before}
    assert len(after) > 50
    assert not verify(data / name, back, accept_left_out=True).broken
