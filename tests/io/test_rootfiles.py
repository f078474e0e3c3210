from __future__ import annotations

import struct

import h5py
import numpy as np
import pytest
import uproot.containers

from hepae.errors import InputError
from hepae.io.rootfiles import file_kind, open_root


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"notes\nin lines", "a text file"),
        ("η".encode(), "a text file"),
        (b"\x80\x04K\x01.", "a pickle"),
        (b"PAR1....", "a Parquet file"),
        (b"\x00\x01\x02\xff", "a file of unknown kind"),
        (b"", "a file of unknown kind"),
    ],
)
def test_a_file_is_called_by_its_first_bytes(tmp_path, content, kind):
    path = tmp_path / "file.root"
    path.write_bytes(content)
    assert file_kind(path) == kind


def test_real_files_are_called_by_their_kind(sample, codec, tmp_path):
    codec.save(tmp_path / "m.safetensors")
    h5py.File(tmp_path / "jets.h5", "w").close()
    assert file_kind(sample) == "a ROOT file"
    assert file_kind(tmp_path / "m.safetensors") == "a model file"
    assert file_kind(tmp_path / "jets.h5") == "an HDF5 file"
    with pytest.raises(InputError, match="no such file"):
        file_kind(tmp_path / "none")


def test_a_file_without_its_end_is_refused_and_its_bytes_are_counted(sample, tmp_path):
    whole = sample.read_bytes()
    with open_root(sample) as file:
        assert "Events" in file
    path = tmp_path / "short.root"
    path.write_bytes(whole[:-1000])
    with pytest.raises(InputError, match=r"short\.root: it is truncated, 1000 bytes of its end are missing"):
        open_root(path)


def test_a_list_that_claims_more_objects_than_there_are_bytes_is_refused():
    size = uproot.containers._stl_container_size
    data = np.frombuffer(struct.pack(">i", 12) + bytes(20), np.uint8)
    assert size.unpack(data[:4]) == (12,)
    data = np.frombuffer(struct.pack(">i", 2_000_000_000) + bytes(20), np.uint8)
    with pytest.raises(ValueError, match="2000000000 objects in 24 bytes"):
        size.unpack(data[:4])
