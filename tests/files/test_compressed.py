from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
import uproot

import hepae
from hepae.errors import CodecError

pytestmark = pytest.mark.filterwarnings("ignore::hepae.errors.UnitWarning")
"""The unit of most files here is told by their values, which test_inputs.py is about."""


def test_entries_of_a_compressed_file(compressed):
    with hepae.open(compressed) as file:
        whole = file.jets()
        assert file.num_entries == len(whole) == 20_000
        np.testing.assert_allclose(
            ak.flatten(file.jets(1000, 1100).pt), ak.flatten(whole.pt[1000:1100]), rtol=1e-4
        )
        assert len(file.jets(19_990, 10**9)) == 10
        assert len(file.jets(5, 5)) == 0
        chunks = list(file.iterate_jets(step_size=7000))
        assert [len(chunk) for chunk in chunks] == [7000, 7000, 6000]
        assert file.header.codec == "latent"
        assert file.header.jets == int(ak.sum(ak.num(whole)))


@pytest.mark.parametrize("step", [1500, "200 kB"])
def test_reading_in_any_steps_gives_the_same_bits(same_bits, arrays_of, sample, monkeypatch, tmp_path, step):
    monkeypatch.setattr("hepae.bounded.cluster.CLUSTER_JETS", 7000)
    path = tmp_path / "bounded.root"
    hepae.compress_file(sample, path, hepae.BoundedCodec(), step_size=1000)
    hepae.decompress_file(path, tmp_path / "whole.root")
    hepae.decompress_file(path, tmp_path / "steps.root", step_size=step)
    whole, parts = arrays_of(tmp_path / "whole.root")[0], arrays_of(tmp_path / "steps.root")[0]
    with uproot.open(path) as file:
        assert file["hepae_payload"].num_entries > 5
    for name, array in whole.items():
        assert same_bits(array, parts[name])


@pytest.fixture
def corrected(sample, codec, tmp_path):
    path = tmp_path / "corrected.root"
    hepae.compress_file(sample, path, codec.with_bounds({"pt": "0.2%"}, {"pt": "30,50", "eta": "-2.4,2.4"}))
    return path


def test_latents_with_corrections_keep_their_bounds(same_bits, arrays_of, sample, corrected, tmp_path):
    original = hepae.read_jets(sample)
    limits = {"pt": 0.002 * original.pt, "eta": 1e-3, "phi": 1e-3, "mass": 0.01 * abs(original.mass) + 1e-3}
    with hepae.open(corrected) as file:
        assert file.header.codec == "latent"
        assert str(file.bounds("Jet")["pt"]) == "0.2%"
        assert file.header.collections["Jet"].bounds.to_config()["edges"] == {
            "pt": [30.0, 50.0],
            "eta": [-2.4, 2.4],
        }
        restored = file.jets()
        for name, limit in limits.items():
            error = abs(restored[name] - original[name])
            error = np.minimum(error, 2 * np.pi - error) if name == "phi" else error
            assert ak.all(error <= limit), name
        for edge in (30, 50):
            assert ak.all((restored.pt > edge) == (original.pt > edge))
        some = file.jets(777, 1234)
        for name in limits:
            assert same_bits(some[name], restored[name][777:1234])
    hepae.decompress_file(corrected, tmp_path / "back.root", step_size=999)
    assert same_bits(
        arrays_of(tmp_path / "back.root")[0]["Jet_pt"], ak.values_astype(restored.pt, np.float32)
    )


def test_corrections_and_their_latents_belong_together(corrected, sample, codec, tmp_path):
    other = tmp_path / "other.root"
    hepae.compress_file(sample, other, codec.with_latent_bits(6))
    with hepae.open(corrected) as file, hepae.open(other) as without:
        assert ak.all(file.latents(0, 9).z0 == without.latents(0, 9).z0)
        stored = file._stored.arrays

        def shifted(names, start, stop):
            arrays = stored(names, start, stop)
            return {name: arrays[name] + 1 if "_z" in name else arrays[name] for name in arrays}

        file._stored.arrays = shifted
        with pytest.raises(CodecError, match="latents"):
            file.jets()
