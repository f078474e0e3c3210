from __future__ import annotations

import awkward as ak
import numpy as np
import pytest

import hepae
from hepae.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore::hepae.errors.UnitWarning")
"""The unit of most files here is told by their values, which test_inputs.py is about."""


def test_a_counter_that_stops_being_true_is_refused_when_compressing(tmp_path):
    counts = np.full(3000, 2)
    jets = ak.unflatten(ak.zip({name: np.ones(6000) for name in ("pt", "eta", "phi", "mass")}), counts)
    ak.to_parquet(
        ak.zip({"Jet": jets, "nJet": np.where(np.arange(3000) < 2000, 2, 5)}, depth_limit=1),
        tmp_path / "late.parquet",
    )
    with pytest.raises(InputError, match="'nJet' disagrees with the lengths"):
        hepae.compress_file(tmp_path / "late.parquet", tmp_path / "c.root", hepae.BoundedCodec())
    assert not (tmp_path / "c.root").exists()


def test_replaced_values_are_counted(make_tree, codec, tmp_path):
    arrays = {"pt": [50.0, 60, 70], "eta": [0.0, 1, 2], "phi": [0.0, 1, 2], "m": [5.0, 0.0, -0.01]}
    summary = hepae.compress_file(
        make_tree({n: np.array(v) for n, v in arrays.items()}), tmp_path / "x.root", codec
    )
    assert summary.replaced == {"mass": 2}


def _two_collections(make_tree, events=3000):
    rng = np.random.default_rng(2)
    arrays, counters = {"run": np.arange(events)}, {}
    for name in ("Jet", "Muon"):
        counts = rng.integers(0, 4, events)
        size = int(counts.sum())
        columns = {
            "pt": rng.exponential(50, size) + 20,
            "eta": rng.normal(0, 1, size),
            "phi": rng.uniform(-3, 3, size),
            "mass": rng.exponential(9, size),
            "q": rng.normal(0, 1, size),
        }
        for column, values in columns.items():
            arrays[f"{name}_{column}"] = ak.unflatten(values.astype(np.float32), counts)
            counters[f"{name}_{column}"] = f"n{name}"
    return make_tree(arrays, counters=counters)


def test_several_collections_in_one_run(same_bits, arrays_of, make_tree, tmp_path):
    path = _two_collections(make_tree)
    codec = hepae.BoundedCodec({"Muon.pt": "0.01%", "q": 0.1}, {"Jet.pt": "30"})
    summary = hepae.compress_file(path, tmp_path / "s.root", codec, collection=["Jet", "M*"], step_size=700)
    assert summary.collections == ("Jet", "Muon")
    assert summary.bounds["Muon.pt"] == "0.01%"
    assert summary.bounds["Jet.pt"] == "0.1%"
    with hepae.open(tmp_path / "s.root") as file:
        assert list(file.collections) == ["Jet", "Muon"]
        assert file.header.collections["Jet"].columns[:2] == ("pt", "eta")
        assert file.jets().fields == file.jets(collection="Jet").fields
        for start, stop in ((0, None), (1234, 1300)):
            for name, most in (("Jet", 1e-3), ("Muon", 1e-4)):
                original = hepae.read_jets(path, collection=name)[start:stop]
                restored = file.jets(start, stop, collection=name)
                assert ak.all(ak.num(restored) == ak.num(original))
                error = ak.flatten(abs(restored.pt / original.pt - 1))
                assert most / 3 < ak.max(error) <= most
                assert 0.03 < ak.max(abs(restored.q - original.q), axis=None) <= 0.1
        with pytest.raises(InputError, match="Jet, Muon"):
            file.jets(collection="Tau")
    hepae.decompress_file(tmp_path / "s.root", tmp_path / "back.root", step_size=500)
    original, types = arrays_of(path)
    restored, restored_types = arrays_of(tmp_path / "back.root")
    assert list(restored) == list(original)
    assert types == restored_types
    assert same_bits(original["run"], restored["run"])
    assert same_bits(original["nMuon"], restored["nMuon"])


def test_latents_of_several_collections(same_bits, make_tree, codec, tmp_path):
    path = _two_collections(make_tree, events=300)
    hepae.compress_file(path, tmp_path / "s.root", codec, collection="*")
    with hepae.open(tmp_path / "s.root") as file:
        for name in ("Jet", "Muon"):
            original = hepae.read_jets(path, collection=name)
            restored = file.jets(collection=name)
            expected = codec.decompress(codec.compress(original))
            np.testing.assert_allclose(ak.flatten(restored.pt), ak.flatten(expected.pt), rtol=1e-4)
            assert same_bits(restored.q, original.q)
