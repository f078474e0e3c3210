from __future__ import annotations

import hashlib
import json

import pytest

import hepae
from hepae.errors import InputError
from hepae.files.description import describe

pytestmark = pytest.mark.filterwarnings("ignore::hepae.errors.UnitWarning")
"""The unit of some files here is told by their values, which test_inputs.py is about."""


def test_a_file_with_jets(sample):
    content = describe(sample)
    assert {"kind", "format", "layout", "trees", "collections", "events", "jets", "bytes"} <= content.keys()
    assert (content["kind"], content["format"], content["layout"]) == ("jets", "ttree", "nanoaod")
    assert (content["events"], content["jets"]) == (20_000, 52_385)
    assert content["collections"].keys() == {"Jet", "GenJet"}
    jet = content["collections"]["Jet"]
    assert jet["jets"] == 52_385
    assert {name: (of["type"], of["unit"]) for name, of in jet["columns"].items()} == {
        "pt": ("f4", "GeV"),
        "eta": ("f4", ""),
        "phi": ("f4", "rad"),
        "mass": ("f4", "GeV"),
    }
    assert all(of["bytes"] > 0 for of in jet["columns"].values())
    assert content["bytes"] == sample.stat().st_size
    json.dumps(content, allow_nan=False)


def test_a_pickle(data):
    content = describe(data / "all_jets_test_4D_100_percent.pkl")
    assert (content["format"], content["jets"]) == ("pickle", 27_945)
    assert content["collections"]["jets"]["columns"]["mass"]["unit"] == "MeV"


def test_a_compressed_file_and_a_model(sample, codec, tmp_path):
    hepae.compress_file(sample, tmp_path / "small.root", codec)
    content = describe(tmp_path / "small.root")
    assert list(content) == [
        "kind", "format_version", "codec", "collections", "columns", "bounds", "edges", "events", "jets", "bytes", "model_sha256"
    ]  # fmt: skip
    assert (content["kind"], content["codec"], content["events"]) == ("compressed", "latent", 20_000)
    assert content["columns"] == ["pt", "eta", "phi", "mass"]
    codec.save(tmp_path / "m.safetensors")
    model = describe(tmp_path / "m.safetensors")
    assert (model["kind"], model["basis"], model["columns"]) == (
        "model",
        "physics",
        ["pt", "eta", "phi", "mass"],
    )
    assert model["parameters"] == sum(p.numel() for p in codec.network.parameters())
    assert model["network"]["hidden"] == [16, 8]
    assert model["bytes"] == (tmp_path / "m.safetensors").stat().st_size
    for described in (content, model):
        json.dumps(described, allow_nan=False)
    assert content["model_sha256"] == hashlib.sha256((tmp_path / "m.safetensors").read_bytes()).hexdigest()


def test_other_files_are_refused(tmp_path):
    (tmp_path / "x").write_text("text")
    with pytest.raises(InputError, match="neither a ROOT file nor a pickle"):
        describe(tmp_path / "x")
    with pytest.raises(InputError, match="no such file"):
        describe(tmp_path / "none")
