"""What a file holds beside its jets: histograms and other objects. ROOT's own view of them is in test_root.py."""

from __future__ import annotations

import numpy as np
import pytest
import uproot

import hepae
from hepae.errors import InputError
from hepae.files.joining import join_files
from hepae.io.objects import objects_of


@pytest.fixture
def write(tmp_path):
    """Write a file with jets, a tree of runs, histograms and a text, and give its path."""

    def make(name, counts=(1, 2, 3), text="all of it", further=()):
        path = tmp_path / name
        columns = {name: np.linspace(1, 50, 100, dtype=np.float32) for name in ("pt", "eta", "phi", "mass")}
        with uproot.recreate(path) as file:
            file["cutflow"] = np.array(counts, float), np.linspace(0, 1, len(counts) + 1)
            file["plots/deep/h2"] = np.histogram2d([1, 2], [3, 4], bins=(2, 3))
            file["text"] = text
            for extra in further:
                file[extra] = "x"
            file.mkdir("empty")
            file.mktree("Events", dict.fromkeys(columns, "float32")).extend(columns)
            file.mktree("plots/Runs", {"run": "int32"}).extend({"run": np.array([7, 8], np.int32)})
        return path

    return make


def _records(path):
    with uproot.open(path) as file:
        return [stored.record for stored in objects_of(file)]


def _compress(inputs, output, **options):
    return hepae.compress_file(inputs, output, hepae.BoundedCodec(), tree="Events", **options)


def test_histograms_texts_and_folders_come_back(write, tmp_path):
    path, small, back = write("a.root"), tmp_path / "small.root", tmp_path / "back.root"
    _compress(path, small)
    hepae.decompress_file(small, back)
    assert {record.name for record in _records(path)} == {
        "cutflow", "text", "empty", "plots", "plots/deep", "plots/deep/h2",
    }  # fmt: skip
    assert _records(back) == _records(path)
    with uproot.open(back) as file:
        assert file["cutflow"].values().tolist() == [1, 2, 3]
        assert file["plots/deep/h2"].values().shape == (2, 3)
        assert file["text"] == "all of it"
        assert file["plots/Runs"]["run"].array().tolist() == [7, 8]


def test_objects_are_dropped_by_name(write, tmp_path):
    small = tmp_path / "small.root"
    _compress(write("a.root"), small, drop=["cut*", "plots/*"])
    assert {record.name for record in _records(small)} == {"text", "plots", "empty"}
    with hepae.open(small) as file:
        assert not file.header.other_trees


def test_equal_objects_of_several_inputs_are_kept_once_and_differing_ones_named(write, tmp_path):
    first, same, other = write("a.root"), write("b.root"), write("c.root", counts=(5, 6, 7))
    _compress([first, same], tmp_path / "small.root")
    assert _records(tmp_path / "small.root") == _records(first)
    with pytest.raises(InputError, match=r"a\.root and .*c\.root .*\(cutflow\).*--drop 'cutflow'"):
        _compress([first, other], tmp_path / "x.root")
    with pytest.raises(InputError, match=r"--drop 'more'"):
        _compress([first, write("d.root", further=["more"])], tmp_path / "x.root")
    _compress([first, other], tmp_path / "x.root", drop=["cutflow"])
    assert "cutflow" not in {record.name for record in _records(tmp_path / "x.root")}


def test_the_first_piece_of_a_file_has_its_objects_and_joined_pieces_have_them_once(write, tmp_path):
    path, pieces = write("a.root"), [tmp_path / "1.root", tmp_path / "2.root"]
    _compress(path, pieces[0], entry_stop=50)
    _compress(path, pieces[1], entry_start=50)
    assert _records(pieces[0]) == _records(path)
    assert _records(pieces[1]) == []
    join_files(pieces, tmp_path / "joined.root")
    hepae.decompress_file(tmp_path / "joined.root", tmp_path / "back.root")
    assert _records(tmp_path / "back.root") == _records(path)
    other = tmp_path / "3.root"
    _compress(write("b.root", counts=(9, 9, 9)), other)
    with pytest.raises(InputError, match=r"3\.root cannot be joined: objects differ \(cutflow\)"):
        join_files([*pieces, other], tmp_path / "x.root")
    join_files([*pieces, other], tmp_path / "x.root", drop=["cutflow"])
    with hepae.open(tmp_path / "x.root") as file:
        assert file.num_entries == 200
        assert [record.name for record in file.header.objects] == [
            record.name for record in _records(path) if record.name != "cutflow"
        ]


def test_a_damaged_object_is_noticed(write, tmp_path):
    small = tmp_path / "small.root"
    _compress(write("a.root", text="all of it"), small)
    data = small.read_bytes()
    assert data.count(b"all of it") == 1
    small.write_bytes(data.replace(b"all of it", b"all of id"))
    for function in (hepae.decompress_file, lambda path, output: join_files([path], output)):
        with pytest.raises(InputError, match="is damaged: checksum mismatch in objects text"):
            function(small, tmp_path / "back.root")
    assert not (tmp_path / "back.root").exists()


def test_what_a_parquet_file_cannot_hold_is_noted(write, tmp_path):
    small = tmp_path / "small.root"
    _compress(write("a.root"), small)
    (note,) = hepae.decompress_file(small, tmp_path / "back.parquet").notes
    for name in ("plots/Runs", "cutflow", "text", "plots/deep/h2"):
        assert name in note
    assert hepae.decompress_file(small, tmp_path / "back.root").notes == ()


def test_a_tree_in_a_folder_is_compressed_in_it(tmp_path):
    path, small, back = tmp_path / "deep.root", tmp_path / "small.root", tmp_path / "back.root"
    columns = {name: np.linspace(1, 50, 100, dtype=np.float32) for name in ("pt", "eta", "phi", "mass")}
    with uproot.recreate(path) as file:
        file.mktree("nominal/Events", dict.fromkeys(columns, "float32")).extend(columns)
        file["nominal/h"] = np.histogram([1, 2, 3])
    hepae.compress_file(path, small, hepae.BoundedCodec())
    hepae.decompress_file(small, back)
    assert _records(back) == _records(path)
    with uproot.open(back) as file:
        assert file["nominal/Events"].num_entries == 100
