"""Objects that are copied as bytes; what ROOT says of the copies is in test_root.py."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
import uproot

from hepae.errors import OutputError
from hepae.io.objects import ObjectRecord, check_objects, copy_objects, is_tree, objects_of


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "objects.root"
    with uproot.recreate(path) as file:
        file["h"] = np.array([1.0, 5, 2]), np.linspace(0, 1, 4)
        file["plots/text"] = "all of it"
        file.mktree("Events", {"x": "int32"}).extend({"x": np.arange(3, dtype=np.int32)})
    return path


def test_all_objects_but_trees_are_found_with_their_checksums(path):
    with uproot.open(path) as file:
        found = {stored.name: stored for stored in objects_of(file)}
        assert {name: stored.classname for name, stored in found.items()} == {
            "h": "TH1D",
            "plots": "TDirectory",
            "plots/text": "TObjString",
        }
        assert found["h"].record.checksum == zlib.crc32(found["h"].content)
        assert b"all of it" in found["plots/text"].content
        assert all(stored.can_be_copied for stored in found.values())


def test_copies_have_the_same_bytes_and_a_changed_one_is_noticed(path, tmp_path):
    output = tmp_path / "copy.root"
    with uproot.open(path) as file:
        objects = objects_of(file)
        with uproot.recreate(output) as copy:
            copy_objects(objects, copy)
        check_objects(output, objects)
        with uproot.open(output) as copy:
            assert [stored.content for stored in objects_of(copy)] == [stored.content for stored in objects]
            assert copy["h"].values().tolist() == [1, 5, 2]
            assert copy["plots/text"] == "all of it"
        output.write_bytes(output.read_bytes().replace(b"all of it", b"all of id"))
        with pytest.raises(OutputError, match="plots/text"):
            check_objects(output, objects)


def test_records_come_back_from_json():
    record = ObjectRecord("plots/h", "TH1D", 2**32 - 1)
    assert ObjectRecord.from_config(record.to_config()) == record


@pytest.mark.parametrize(
    "name", ["TTree", "TNtuple", "TNtupleD", "ROOT::RNTuple", "ROOT::Experimental::RNTuple"]
)
def test_trees_are_known_by_their_class(name):
    assert is_tree(name)
    assert not is_tree("TH1D")
