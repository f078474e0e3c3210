from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
import uproot

from hepae.errors import OutputError
from hepae.io.tree_records import TreeRecord, recreate, title_of, update

TITLES = {"nJet": "number of jets", "Jet_pt": "pt of jets"}
LISTS = ak.values_astype(ak.Array([[1.5], [], [2.5, 3.5, 4.5]]), np.float32)


@pytest.fixture
def write(tmp_path):
    """Write a tree of lists in two chunks; give its path, and what of it can be read before `TreeRecord.write`."""

    def make(*, compact, kind="uint8", titles=TITLES):
        path = tmp_path / f"{compact}.root"
        with uproot.recreate(path, compression=uproot.ZSTD(1)) as file:
            types = {"run": "int32", "Jet_pt": "var * float32"}
            tree = file.mktree("folder/Events", types, counter_name=lambda _: "nJet", title="events")
            record = TreeRecord(file, tree, titles, {"nJet": np.dtype(kind)}, compact=compact)
            for run in (1, 2):
                tree.extend({"run": np.full(3, run, np.int32), "Jet_pt": LISTS})
            record.write(uproot.LZMA(9))
        return path

    return make


@pytest.mark.parametrize("compact", [False, True])
@pytest.mark.parametrize("kind", ["uint8", "int16", "uint32"])
def test_titles_and_types_of_counters_are_those_of_the_original(write, compact, kind):
    with uproot.open(write(compact=compact, kind=kind)) as file:
        assert file.keys(cycle=False) == ["folder", "folder/Events"]
        tree = file["folder/Events"]
        assert title_of(tree) == "events"
        assert {name: title_of(tree[name]) for name in TITLES} == TITLES
        assert tree["nJet"].typename == f"{kind}_t"
        assert tree["nJet"].array().tolist() == [1, 0, 3] * 2
        assert tree["Jet_pt"].array().tolist() == LISTS.tolist() * 2
        assert tree["run"].array().tolist() == [1] * 3 + [2] * 3
        assert tree["Jet_pt"].member("fLeaves")[0].member("fLeafCount").member("fMaximum") == 3


@pytest.mark.parametrize("compact", [False, True])
def test_hundreds_of_chunks_come_back_and_touch_nothing_else(tmp_path, compact):
    """uproot makes room for more baskets after 10, 100 and 1000 of them."""
    path, chunks = tmp_path / "x.root", 250
    with uproot.recreate(path) as file:
        file["first"] = "a text before the tree"
        tree = file.mktree(
            "Events", {"run": "int32", "Jet_pt": "var * float32"}, counter_name=lambda _: "nJet"
        )
        record = TreeRecord(file, tree, TITLES, {"nJet": np.dtype("u4")}, compact=compact)
        other = file.mktree("Other", {"x": "float64"})
        for number in range(chunks):
            tree.extend({"run": np.full(3, number, np.int32), "Jet_pt": LISTS + number})
            other.extend({"x": np.arange(50.0) + number})
        record.write(uproot.LZMA(9))
        file["last"] = "a text behind the tree"
    with uproot.open(path) as file:
        assert (str(file["first"]), str(file["last"])) == ("a text before the tree", "a text behind the tree")
        assert file["Events/run"].array().tolist() == np.repeat(np.arange(chunks), 3).tolist()
        assert ak.all(file["Events/Jet_pt"].array()[-3:] == LISTS + (chunks - 1))
        assert file["Other/x"].array().tolist() == [x + n for n in range(chunks) for x in np.arange(50.0)]


def test_a_compact_record_is_smaller(write):
    sizes = {}
    for compact in (True, False):
        with uproot.open(write(compact=compact)) as file:
            key = file.key("folder/Events")
            sizes[compact] = key.fNbytes - key.fKeylen, key.fObjlen
    assert sizes[True][0] < sizes[True][1] / 3
    assert sizes[False][0] == sizes[False][1]


def test_another_uproot_is_named(tmp_path):
    with (
        uproot.recreate(tmp_path / "x.root") as file,
        pytest.raises(OutputError, match=r"install uproot==5\.7\.\*"),
    ):
        TreeRecord(file, object(), {}, {}, compact=True)


def test_what_has_no_title_has_an_empty_one():
    assert title_of(object()) == ""


def _described(path):
    """Classes that a file describes, with their versions and members, its length, and where it ends by its own word."""
    with uproot.open(path) as file:
        classes = {
            (name, version): [element.member("fName") for element in streamer.elements]
            for name, versions in file.file.streamers.items()
            for version, streamer in versions.items()
        }
        return classes, path.stat().st_size, file.file.fEND


@pytest.mark.parametrize("late", [False, True])
def test_classes_are_described_once_and_compressed(tmp_path, late):
    def fill(file):
        if not late:
            file["text"] = "a class of its own"
        for name in ("Events", "Other"):
            file.mktree(name, {"x": "float64"}).extend({"x": np.arange(1000.0)})
        file["text"] = "comes behind the trees"
        file["counts"] = np.array([1.0, 2.0]), np.array([0.0, 1.0, 2.0])

    usual, ours = tmp_path / "usual.root", tmp_path / "ours.root"
    with uproot.recreate(usual, compression=uproot.ZSTD(5)) as file:
        fill(file)
    with recreate(ours, uproot.ZSTD(5)) as file:
        fill(file)
    (classes, size, _), (found, smaller, end) = _described(usual), _described(ours)
    assert found == classes
    assert end == smaller < size - 10_000
    with update(ours, uproot.ZSTD(5)) as file:
        file["again"] = np.array([3.0]), np.array([0.0, 1.0])
    assert _described(ours)[0] == classes
    assert _described(ours)[1] == _described(ours)[2] < smaller + 2000
    with uproot.open(ours) as file:
        assert str(file["text"]) == "comes behind the trees"
        assert file["Other"]["x"].array().tolist() == [*range(1000)]
        assert file["again"].values().tolist() == [3.0]


@pytest.mark.root
def test_root_finds_every_record_of_a_file(tmp_path):
    ROOT = pytest.importorskip("ROOT")
    path = tmp_path / "x.root"
    with recreate(path, uproot.ZSTD(5)) as file:
        file["text"] = "behind which something is freed"
        del file["text"]
        file.mktree("Events", {"x": "float64"}).extend({"x": np.arange(1000.0)})
    file = ROOT.TFile(str(path))
    assert file.GetStreamerInfoList().FindObject("TTree")
    assert file.Get("Events").GetEntries() == 1000
    assert not file.TestBit(ROOT.TFile.kRecovered)
