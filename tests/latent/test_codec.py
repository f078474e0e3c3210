from __future__ import annotations

import json
import struct

import awkward as ak
import numpy as np
import pytest
import torch

import hepae
from hepae.errors import CodecError, ConfigError, InputError, OutputError


@pytest.fixture(scope="module")
def jets(sample):
    return hepae.read_jets(sample)[:500]


def test_latents_lie_in_the_jets_lists_and_come_back(codec, jets):
    latents = codec.compress(jets)
    assert latents.fields == ["z0", "z1", "z2"]
    assert ak.all(ak.num(latents) == ak.num(jets))
    restored = codec.decompress(latents)
    assert ak.all(ak.num(restored) == ak.num(jets))
    assert restored.fields == ["pt", "eta", "phi", "mass"]
    assert ak.all(restored.mass > 0)
    flat = codec.decompress(codec.compress(ak.flatten(jets)))
    np.testing.assert_allclose(flat.pt, ak.flatten(restored.pt), rtol=1e-4)


def test_events_without_jets_and_no_events_at_all(codec, jets):
    hollow = ak.concatenate([jets[:2][:, :0], jets[2:4], jets[:1][:, :0]])
    for some in (hollow, hollow[:2], hollow[:0]):
        restored = codec.decompress(codec.compress(some))
        assert ak.num(restored).tolist() == ak.num(some).tolist()
    assert len(codec.decompress(codec.compress(ak.flatten(jets)[:0]))) == 0


def test_jets_that_are_no_numbers_become_numbers_and_are_counted(codec):
    bad = {"pt": [50.0, np.nan], "eta": [np.inf, 1], "phi": [0.0, -999], "mass": [-1.0, 0]}
    jets = hepae.kinematics.momenta({name: np.array(values) for name, values in bad.items()})
    assert codec.replaced(jets) == {"pt": 1, "eta": 1, "phi": 1, "mass": 2}
    for some in (codec, codec.with_latent_bits(8)):
        restored = some.decompress(some.compress(jets))
        for name in ("pt", "eta", "phi", "mass", "E"):
            assert np.isfinite(ak.to_numpy(getattr(restored, name))).all()
        assert ak.all(restored.mass > 0)


def test_a_trained_codec_is_near_the_original(sample):
    jets = hepae.read_jets(sample)[:6000]
    config = hepae.TrainingConfig(
        epochs=10, network=hepae.AutoencoderConfig(hidden=(64, 32), latent=4), batch_size=128
    )
    codec = hepae.train(jets, config).codec
    found = hepae.residuals(jets, codec.decompress(codec.compress(jets)))
    assert found["pt"].p68 < 0.1
    assert found["phi"].p68 < 0.1
    assert found["eta"].p68 < 0.2


def test_a_model_file_gives_the_same_codec(codec, jets, tmp_path):
    path = tmp_path / "m.safetensors"
    codec.save(path)
    loaded = hepae.load_codec(path)
    assert loaded == codec
    assert loaded.to_bytes() == path.read_bytes()
    assert ak.all(loaded.compress(jets).z0 == codec.compress(jets).z0)
    with pytest.raises(OutputError, match="--force"):
        codec.save(path)
    codec.save(path, force=True)


def test_without_the_encoder_it_still_restores(codec, jets):
    decoder = hepae.LatentCodec.from_bytes(codec.to_bytes(encoder=False))
    assert len(codec.to_bytes(encoder=False)) < len(codec.to_bytes())
    latents = codec.compress(jets)
    assert ak.all(decoder.decompress(latents).pt == codec.decompress(latents).pt)
    with pytest.raises(CodecError, match="only restore"):
        decoder.compress(jets)


@pytest.mark.parametrize("bits", [2, 8, 9, 16])
def test_integer_latents_are_within_half_a_step(codec, jets, bits):
    integers = codec.with_latent_bits(bits)
    stored = integers.compress(jets)
    floats = codec.compress(jets)
    assert integers.latent_dtype == (np.uint8 if bits <= 8 else np.uint16)
    low, high = (np.array(ends) for ends in codec.latent_range)
    for i, name in enumerate(stored.fields):
        values = ak.to_numpy(ak.flatten(floats[name]))
        back = integers.integers.inverse(
            np.stack([ak.to_numpy(ak.flatten(stored[n])) for n in stored.fields], axis=1)
        )[:, i]
        inside = (values >= low[i]) & (values <= high[i])
        step = (high[i] - low[i]) / (2**bits - 1)
        assert inside.mean() > 0.5
        assert np.abs(back - values)[inside].max() <= 0.51 * step + 1e-6
        assert ak.max(stored[name]) <= 2**bits - 1
    assert hepae.LatentCodec.from_bytes(integers.to_bytes()) == integers


@pytest.mark.parametrize("bits", [-1, 0, 1, 17, 40])
def test_other_numbers_of_bits_are_refused(codec, bits):
    with pytest.raises(ConfigError, match="2 to 16"):
        codec.with_latent_bits(bits)


def test_missing_columns_and_latents_are_named(codec, jets):
    with pytest.raises(CodecError, match="z0, z1, z2"):
        codec.decompress(ak.Array({"z0": [1.0]}))
    columns = ("pt", "eta", "phi", "mass", "nope")
    with pytest.raises(CodecError, match="'nope'"):
        hepae.train(jets, hepae.TrainingConfig(columns=columns, epochs=1))
    network = hepae.AutoencoderConfig(hidden=(8,))
    config = hepae.TrainingConfig(columns=("pt", "eta", "phi", "mass", "qgl"), epochs=1, network=network)
    tagged = ak.with_field(jets, jets.pt * 0.01, "qgl")
    other = hepae.train(tagged, config).codec
    assert other.decompress(other.compress(tagged)).fields == ["pt", "eta", "phi", "mass", "qgl"]
    with pytest.raises(CodecError, match="these jets have no qgl, only pt, eta, phi, mass"):
        other.compress(jets)


def test_damaged_models_are_refused(codec, tmp_path):
    path, whole = tmp_path / "m.safetensors", codec.to_bytes()
    (length,) = struct.unpack_from("<Q", whole)
    header = json.loads(whole[8 : 8 + length])
    for content in (b"", b"abc", whole[:100], whole[: len(whole) // 2], whole[:-1]):
        path.write_bytes(content)
        with pytest.raises(InputError, match="no hepae model, or damaged"):
            hepae.load_codec(path)
    inner = json.loads(header["__metadata__"]["hepae"])
    for change, what in (
        ({"format_version": 99}, "upgrade"),
        ({"codec": "other"}, "other"),
        ({"network": {}}, "damaged"),
    ):
        header["__metadata__"]["hepae"] = json.dumps({**inner, **change})
        text = json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + whole[8 + length :])
        with pytest.raises(hepae.HepaeError, match=what):
            hepae.load_codec(path)
    with pytest.raises(InputError, match="cannot read the model"):
        hepae.load_codec(tmp_path / "none")


def test_a_codec_that_only_restores_still_does_with_other_bits(codec, jets):
    decoder = hepae.LatentCodec.from_bytes(codec.to_bytes(encoder=False)).with_latent_bits(8)
    with pytest.raises(CodecError, match="only restore"):
        decoder.compress(jets)


def test_columns_that_make_no_jet_are_refused_before_training(jets):
    with pytest.raises(ConfigError, match="are no jet"):
        hepae.train(jets, hepae.TrainingConfig(columns=("pt", "eta"), epochs=1))


@pytest.mark.parametrize("flat", [False, True])
def test_with_bounds_the_corrections_come_along(codec, jets, flat):
    jets = ak.flatten(jets) if flat else jets
    bounded = codec.with_bounds({"pt": "0.05%", "mass": "exact"}, {"eta": "-2.4,2.4"})
    assert bounded.integers.bits == 6
    compressed = bounded.compress(jets)
    restored = bounded.decompress(compressed)
    assert len(restored) == len(jets)
    assert ak.all(abs(restored.pt / jets.pt - 1) <= 5e-4)
    assert ak.all(abs(restored.eta - jets.eta) <= 1e-3)
    assert ak.all((abs(restored.eta) < 2.4) == (abs(jets.eta) < 2.4))
    assert ak.all(restored.mass == jets.mass)
    assert compressed.corrections.nbytes > 0
    with pytest.raises(ConfigError, match="'nope'"):
        codec.with_bounds({"nope": 1}).compress(jets)


def test_a_decoder_that_differs_in_the_last_bits_keeps_the_bounds(codec, jets):
    """What another machine's rounding would do: all weights of the float64 decoder a few bits off."""
    bounded = codec.with_bounds()
    compressed = bounded.compress(jets)
    other = codec.with_bounds()
    with torch.no_grad():
        for weights in other._exact_decoder.parameters():
            weights *= 1 + 4e-15
    restored = other.decompress(compressed)
    assert ak.all(abs(restored.pt / jets.pt - 1) <= 1e-3)
    assert ak.all(abs(restored.eta - jets.eta) <= 1e-3)
    assert ak.all(abs(restored.mass - jets.mass) <= 0.01 * abs(jets.mass) + 1e-3)
