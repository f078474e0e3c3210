from __future__ import annotations

import numpy as np
import pytest

from hepae.errors import InputError
from hepae.latent.model_file import FORMAT_VERSION, pack_model, unpack_model

TENSORS = {
    "b": np.array([[1.0, np.nan], [-0.0, np.inf]], np.float32),
    "a": np.arange(6, dtype=np.int64).reshape(2, 3).T,
}


def test_a_model_comes_back_bit_by_bit():
    header, tensors = unpack_model(pack_model({"codec": "η"}, TENSORS), "m")
    assert header == {"codec": "η", "format_version": FORMAT_VERSION}
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype
        assert tensors[name].shape == tensor.shape
        assert tensors[name].tobytes() == tensor.tobytes()


def test_equal_models_have_equal_bytes_in_any_order():
    turned = dict(reversed(TENSORS.items()))
    first = pack_model({"x": 1, "y": 2}, TENSORS)
    assert pack_model({"y": 2, "x": 1}, turned) == first
    assert pack_model({"y": 3, "x": 1}, turned) != first


def test_a_model_cut_anywhere_is_refused():
    whole = pack_model({"codec": "latent"}, TENSORS)
    for length in range(len(whole)):
        with pytest.raises(InputError, match="m is not a hepae model, or it is damaged"):
            unpack_model(whole[:length], "m")


def test_a_header_that_claims_to_be_huge_takes_no_memory():
    whole = pack_model({}, TENSORS)
    with pytest.raises(InputError, match="damaged"):
        unpack_model((2**63 - 1).to_bytes(8, "little") + whole[8:], "m")


def test_later_formats_are_refused_with_the_version():
    with pytest.raises(InputError, match="m has format version 7, this hepae reads 1; upgrade hepae"):
        unpack_model(pack_model({"format_version": 7}, TENSORS), "m")
