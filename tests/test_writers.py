from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
import uproot

from hepae.errors import ConfigError, OutputError
from hepae.io.layouts import Branch
from hepae.io.writers import Digests, TreeWriter, atomic_output, check_tree, parse_compression


def test_output_appears_only_when_its_block_ends_well(tmp_path):
    path = tmp_path / "out.txt"
    with pytest.raises(ZeroDivisionError), atomic_output(path) as temporary:
        temporary.write_text(f"half {1 / 0}")
    assert list(tmp_path.iterdir()) == []
    with atomic_output(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


def test_existing_output_is_kept_unless_forced(tmp_path):
    path = tmp_path / "out.txt"
    path.write_text("before")
    with pytest.raises(OutputError, match="--force"), atomic_output(path):
        pass
    assert path.read_text() == "before"
    with atomic_output(path, force=True) as temporary:
        temporary.write_text("after")
    assert path.read_text() == "after"
    with pytest.raises(OutputError, match="no folder"), atomic_output(tmp_path / "no" / "out.txt"):
        pass


def _branches():
    return [
        Branch("run", np.dtype("uint32")),
        Branch("event", np.dtype("uint64")),
        Branch("flag", np.dtype("bool")),
        Branch("tiny", np.dtype("int8")),
        Branch("weight", np.dtype("float64")),
        Branch("matrix", np.dtype("float32"), shape=(2, 3)),
        Branch("Jet_pt", np.dtype("float32"), jagged=True, counter="nJet"),
        Branch("Jet_ok", np.dtype("bool"), jagged=True, counter="nJet"),
        Branch("other", np.dtype("int16"), jagged=True),
    ]


def _arrays(events, seed=0):
    rng = np.random.default_rng(seed)
    counts, others = rng.integers(0, 4, events), rng.integers(0, 3, events)
    bits = rng.integers(
        0, 2**32, int(counts.sum()), dtype=np.uint32
    )  # NaN payloads, −0, denormals among them
    return {
        "run": rng.integers(0, 2**32, events, dtype=np.uint32),
        "event": rng.integers(0, 2**64, events, dtype=np.uint64),
        "flag": rng.random(events) < 0.5,
        "tiny": rng.integers(-128, 128, events, dtype=np.int8),
        "weight": np.where(rng.random(events) < 0.1, np.nan, rng.normal(size=events)),
        "matrix": rng.random((events, 2, 3)).astype(np.float32),
        "Jet_pt": ak.unflatten(bits.view(np.float32), counts),
        "Jet_ok": ak.unflatten(rng.random(int(counts.sum())) < 0.5, counts),
        "other": ak.unflatten(rng.integers(-9, 9, int(others.sum()), dtype=np.int16), others),
    }


def _write(path, chunks):
    with uproot.recreate(path) as file:
        writer = TreeWriter(file, "Events", _branches())
        for chunk in chunks:
            writer.extend(chunk)
    return writer


def test_every_kind_of_branch_comes_back_bit_by_bit(tmp_path):
    arrays = _arrays(1000)
    writer = _write(tmp_path / "x.root", [arrays])
    check_tree(tmp_path / "x.root", writer, 300)
    with uproot.open(tmp_path / "x.root") as file:
        tree = file["Events"]
        for name, array in arrays.items():
            found, expected = (
                ak.to_numpy(ak.flatten(ak.Array(a), axis=None)) for a in (tree[name].array(), array)
            )
            assert found.dtype == expected.dtype
            assert found.tobytes() == expected.tobytes()
        assert ak.all(tree["nJet"].array() == ak.num(arrays["Jet_pt"]))
        assert writer.added == ("nJet", "nother")


def test_checksums_do_not_depend_on_the_chunks(tmp_path):
    arrays = _arrays(1000)
    cut = [{n: a[i:j] for n, a in arrays.items()} for i, j in [(0, 1), (1, 1), (1, 400), (400, 1000)]]
    whole, parts = Digests(), Digests()
    whole.update(arrays)
    for part in cut:
        parts.update(part)
    assert whole.crc == parts.crc
    writer = _write(tmp_path / "x.root", cut)
    assert writer.num_entries == 1000
    assert writer.digests.crc == whole.crc
    check_tree(tmp_path / "x.root", writer, 77)


def test_a_list_boundary_that_moved_is_noticed():
    first, second = Digests(), Digests()
    first.update({"x": ak.Array([[1.0, 2.0], [3.0]])})
    second.update({"x": ak.Array([[1.0], [2.0, 3.0]])})
    assert first.crc != second.crc


def test_a_value_that_changed_on_the_way_is_noticed(tmp_path):
    arrays = _arrays(100)
    writer = _write(tmp_path / "x.root", [arrays])
    arrays["weight"][50] += 1
    _write(tmp_path / "y.root", [arrays])
    with pytest.raises(OutputError, match="weight"):
        check_tree(tmp_path / "y.root", writer, 100)
    _write(tmp_path / "z.root", [{n: a[:99] for n, a in _arrays(100).items()}])
    with pytest.raises(OutputError, match="reads back differently"):
        check_tree(tmp_path / "z.root", writer, 100)


def test_what_no_tree_can_hold_is_named(tmp_path):
    with uproot.recreate(tmp_path / "x.root") as file, pytest.raises(OutputError, match="--drop 'names'"):
        TreeWriter(file, "Events", [Branch("names", None)])


@pytest.mark.parametrize("text", ["zstd", "zstd:0", "zip:5", "lzma:10", "zstd:5:1", ""])
def test_compressions_that_do_not_exist_are_refused(text):
    with pytest.raises(ConfigError, match="zstd"):
        parse_compression(text)
