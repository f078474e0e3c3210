from __future__ import annotations

import numpy as np
import pytest
import uproot

from hepae.errors import InputError
from hepae.files import header as container
from hepae.files.header import Part
from hepae.io.readers import HEADER_TREE

TENSORS = {
    "b": np.array([[1.0, np.nan], [-0.0, np.inf]], np.float32),
    "a": np.arange(6, dtype=np.int64).reshape(2, 3).T,
}


def _write(path, *parts):
    """Write parts as rows of one tree, as hadd leaves them."""
    with uproot.recreate(path) as file:
        container.write_part(file, parts[0])
        for part in parts[1:]:
            file[HEADER_TREE].extend(container._part_row(part))
    return path


def _read(path):
    with uproot.open(path) as file:
        return container.read_parts(file, str(path))


def test_a_model_comes_back_bit_by_bit():
    header, tensors = container.unpack_model(container.pack_model({"codec": "η"}, TENSORS), "m")
    assert header == {"codec": "η", "format_version": container.FORMAT_VERSION}
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype
        assert tensors[name].shape == tensor.shape
        assert tensors[name].tobytes() == tensor.tobytes()


def test_equal_models_have_equal_bytes_in_any_order():
    turned = dict(reversed(TENSORS.items()))
    first = container.pack_model({"x": 1, "y": 2}, TENSORS)
    assert container.pack_model({"y": 2, "x": 1}, turned) == first
    assert container.pack_model({"y": 3, "x": 1}, turned) != first


def test_a_model_cut_anywhere_is_refused():
    whole = container.pack_model({"codec": "latent"}, TENSORS)
    for length in range(len(whole)):
        with pytest.raises(InputError, match="m is no hepae model, or damaged"):
            container.unpack_model(whole[:length], "m")


def test_a_header_that_claims_to_be_huge_takes_no_memory():
    whole = container.pack_model({}, TENSORS)
    with pytest.raises(InputError, match="damaged"):
        container.unpack_model((2**63 - 1).to_bytes(8, "little") + whole[8:], "m")


@pytest.mark.parametrize("model", [b"", b"\x00\xff" * 1000])
def test_parts_come_back(tmp_path, model):
    parts = [Part({"format_version": 1, "text": "φ"}, 0, model), Part({"format_version": 1}, 2**40, b"x")]
    assert _read(_write(tmp_path / "x.root", *parts)) == parts


def test_later_formats_are_refused_with_the_version(tmp_path):
    path = _write(tmp_path / "x.root", Part({"format_version": 2}, 0, b""))
    with pytest.raises(InputError, match=r"x\.root has format version 2, this hepae reads 1; upgrade hepae"):
        _read(path)
    later = container.pack_model({"format_version": 7}, TENSORS)
    with pytest.raises(InputError, match="m has format version 7"):
        container.unpack_model(later, "m")


def test_a_header_that_changed_is_refused(tmp_path):
    path = tmp_path / "x.root"
    row = container._part_row(Part({"format_version": 1}, 5, b""))
    with uproot.recreate(path) as file:
        types = {"entries": "int64", "crc": "uint32", "header": "var * uint8", "model": "var * uint8"}
        file.mktree("hepae", types).extend({**row, "entries": row["entries"] + 1})
    with pytest.raises(InputError, match="damaged: its header does not have its checksum"):
        _read(path)


def test_compressed_files_are_told_by_their_tree(tmp_path, sample):
    assert container.is_compressed(_write(tmp_path / "x.root", Part({"format_version": 1}, 0, b"")))
    assert not container.is_compressed(sample)
    (tmp_path / "text").write_text("no ROOT file")
    assert not container.is_compressed(tmp_path / "text")
    (tmp_path / "damaged").write_bytes(sample.read_bytes()[:300])
    for name in ("damaged", "missing"):
        with pytest.raises(InputError, match=name):
            container.is_compressed(tmp_path / name)
