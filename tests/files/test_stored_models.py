from __future__ import annotations

from dataclasses import replace

import awkward as ak
import numpy as np
import pytest
import uproot

import hepae
from hepae.errors import InputError
from hepae.files import stored_models
from hepae.files.parts import Parts, read_parts
from hepae.files.stored_models import StoredModels


@pytest.fixture
def part(sample, codec, tmp_path):
    path = tmp_path / "small.root"
    hepae.compress_file(sample, path, codec, entry_stop=100)
    with uproot.open(path) as file:
        (part,) = read_parts(file, str(path))
    return part


def test_a_model_is_loaded_once_by_a_process(part, codec, tmp_path):
    first, second = (StoredModels(Parts([part, part]), tmp_path / name) for name in ("a.root", "b.root"))
    loaded = first.codec(0)
    assert loaded is first.codec(1)
    assert loaded is second.codec(0)
    latents = {"z0": [1.0], "z1": [0.5], "z2": [0.0]}
    one, other = (model.predict(_records(latents), codec.columns, "GeV").columns for model in (loaded, codec))
    assert all(np.array_equal(one[name], other[name]) for name in codec.columns)


def _records(columns):
    return ak.zip({name: ak.Array(np.array(values, np.float32)) for name, values in columns.items()})


def test_few_models_are_kept(part, monkeypatch, tmp_path):
    monkeypatch.setattr(stored_models, "_LOADED", {str(n): None for n in range(8)})
    StoredModels(Parts([part]), tmp_path / "a.root").codec(0)
    assert [*stored_models._LOADED] == [*map(str, range(1, 8)), part.header.stored_model_sha256]


def test_a_model_with_another_checksum_is_refused(part, tmp_path):
    damaged = replace(part, model=part.model[:-1] + bytes([part.model[-1] ^ 1]))
    with pytest.raises(InputError, match=r"a\.root is damaged: checksum mismatch in its model"):
        StoredModels(Parts([damaged]), tmp_path / "a.root").codec(0)
