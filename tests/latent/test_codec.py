from __future__ import annotations

import hashlib
import json
import struct
import time

import awkward as ak
import numpy as np
import pytest
import torch

import hepae
from hepae.errors import CodecError, ConfigError, InputError, OutputError
from hepae.files.description import describe
from hepae.latent.model_file import pack_model, unpack_model


def test_latents_lie_in_the_jets_lists_and_come_back(codec, jets):
    compressed = codec.compress(jets)
    latents = compressed.latents
    assert latents.fields == ["z0", "z1", "z2"]
    assert ak.all(ak.num(latents) == ak.num(jets))
    restored = codec.decompress(compressed)
    assert ak.all(codec.jets(codec.latents(jets)).pt == restored.pt)
    assert compressed.nbytes == 3 * 4 * ak.count(jets.pt)
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


def test_jets_that_are_no_numbers_become_numbers_and_are_counted(jets, codec):
    bad = {"pt": [50.0, np.nan], "eta": [np.inf, 1], "phi": [0.0, -999], "mass": [-1.0, 0]}
    jets = hepae.kinematics.momenta({name: np.array(values) for name, values in bad.items()})
    assert codec.replaced(jets) == {"pt": 1, "eta": 1, "phi": 1, "mass": 2}
    for some in (codec, codec.with_latent_bits(8)):
        restored = some.decompress(some.compress(jets))
        for name in ("pt", "eta", "phi", "mass", "E"):
            assert np.isfinite(ak.to_numpy(getattr(restored, name))).all()
        assert ak.all(restored.mass > 0)


def test_a_trained_codec_is_near_the_original(jets, sample):
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
    assert ak.all(loaded.latents(jets).z0 == codec.latents(jets).z0)
    with pytest.raises(OutputError, match="--force"):
        codec.save(path)
    codec.save(path, force=True)


def test_without_the_encoder_it_still_restores(codec, jets):
    decoder = hepae.LatentCodec.from_bytes(codec.stored_model())
    assert len(codec.stored_model()) < len(codec.to_bytes())
    latents = codec.compress(jets)
    assert ak.all(decoder.decompress(latents).pt == codec.decompress(latents).pt)
    with pytest.raises(CodecError, match="only restore"):
        decoder.compress(jets)


@pytest.fixture(scope="module")
def central(jets, sample):
    """A codec that was trained on central jets alone."""
    jets = ak.flatten(hepae.read_jets(sample))
    network = hepae.AutoencoderConfig(hidden=(64, 32))
    config = hepae.TrainingConfig(epochs=6, network=network, batch_size=256)
    return hepae.train(jets[abs(jets.eta) < 2], config).codec


def test_jets_outside_the_training_range_are_counted_and_restored(jets, central, sample):
    jets = hepae.read_jets(sample)[:4000]
    floats = central.decompress(central.compress(jets))
    coded = central.with_latent_bits(10)
    outside = coded.outside(coded.encode(jets))
    assert 100 < outside < 0.2 * ak.count(jets.pt)
    assert central.outside(central.encode(jets)) == 0
    inside = jets[abs(jets.eta) < 1.5]
    assert coded.outside(coded.encode(inside)) < 0.001 * ak.count(inside.pt)
    restored = coded.decompress(coded.compress(jets))
    far = ak.to_numpy(ak.flatten(abs(jets.eta))) > 2
    error = ak.to_numpy(ak.flatten(abs(restored.eta - floats.eta)))
    assert np.quantile(error[far], 0.95) < 0.1  # at the end of the range they would be off by more than 1
    assert np.quantile(error[~far], 0.95) < 0.02


def test_jets_whose_latents_overflow_are_counted_and_give_no_warning(jets, sample):
    jets = hepae.read_jets(sample)[:500]
    config = hepae.TrainingConfig(
        epochs=1,
        basis="minmax",
        network=hepae.AutoencoderConfig(hidden=(8,)),
        columns=("pt", "eta", "phi", "mass"),
    )
    codec = hepae.train(jets, config).codec
    values = {"pt": [50.0, 1e300], "eta": [0.0, 1.0], "phi": [0.0, 1.0], "mass": [5.0, 1e300]}
    huge = hepae.kinematics.momenta({name: np.array(found) for name, found in values.items()})
    for some in (codec, codec.with_latent_bits(8)):
        encoded = some.encode(huge)
        assert not np.isfinite(encoded).all()
        assert some.outside(encoded) >= 1
        some.compress(huge)


@pytest.mark.parametrize("bits", [-1, 0, 1, 17, 40])
def test_other_numbers_of_bits_are_refused(codec, bits):
    with pytest.raises(ConfigError, match="2 to 16"):
        codec.with_latent_bits(bits)


def test_missing_columns_and_latents_are_named(codec, jets):
    with pytest.raises(CodecError, match="z0, z1, z2"):
        codec.jets(ak.Array({"z0": [1.0]}))
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
        with pytest.raises(InputError, match="not a hepae model"):
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
    with pytest.raises(InputError, match="no such file"):
        hepae.load_codec(tmp_path / "none")


def _edited(whole, header=None, text=None):
    """A model file with entries of its header replaced (None: left out), or with another text as its header."""
    (length,) = struct.unpack_from("<Q", whole)
    outer = json.loads(whole[8 : 8 + length])
    inner = json.loads(outer["__metadata__"]["hepae"])
    inner = {name: value for name, value in {**inner, **(header or {})}.items() if value is not ...}
    outer["__metadata__"]["hepae"] = json.dumps(inner) if text is None else text
    new = json.dumps(outer).encode()
    new += b" " * (-len(new) % 8)
    return struct.pack("<Q", len(new)) + new + whole[8 + length :]


TRANSFORM = {"column": "pt", "logarithmic": True, "offset": 1.0, "scale": 1.0, "fill": 1.0, "floor": 1.0}


def _features(**change):
    names = ("pt", "eta", "phi", "mass")
    rows = [{**TRANSFORM, "column": name, "logarithmic": name in ("pt", "mass")} for name in names]
    return {"basis": "physics", "transforms": [{**rows[0], **change}, *rows[1:]]}


NETWORK = {"hidden": [16, 8], "latent": 3, "activation": "leaky_relu"}


@pytest.mark.parametrize(
    "header",
    [
        *(
            {name: ...}
            for name in ("codec", "features", "network", "latent_range", "latent_bits", "training")
        ),
        *({"features": value} for value in (None, "[1,2]", [1, 2], 5, {}, {"basis": "physics"})),
        {"features": {"basis": "physics", "transforms": []}},
        {"features": {"basis": "physics", "transforms": [TRANSFORM]}},
        {"features": {"basis": "physics", "transforms": [1]}},
        {"features": {**_features(), "basis": "cubic"}},
        *(
            {"features": _features(**{name: value})}
            for name in ("offset", "scale", "fill", "floor")
            for value in (None, "1", float("nan"), float("inf"), [1.0], True)
        ),
        *({"features": _features(**{name: 0})} for name in ("scale", "floor")),
        {"features": _features(column=None)},
        {"features": _features(extra=1)},
        *({"network": value} for value in (None, "x", [], {**NETWORK, "extra": 1})),
        *(
            {"network": {**NETWORK, "hidden": hidden}}
            for hidden in (None, 5, "16", [16.0, 8], [8, 16], [16], [20000, 20000], [1] * 200_000, [10**30])
        ),
        *({"network": {**NETWORK, "latent": latent}} for latent in (None, "3", 4, 10**9)),
        *({"network": {**NETWORK, "activation": activation}} for activation in (None, [], "sin")),
        {"network": {**NETWORK, "dropout": "x"}},
        {"network": {**NETWORK, "batch_norm": True}},
        *({"latent_bits": bits} for bits in ("8", 8.0, 1, 99, True, [8])),
        *({"latent_range": value} for value in (None, 5, "01", [], [[0.0] * 3], [[0.0] * 3, [1.0] * 2])),
        *({"latent_range": [[0.0] * 3, [1.0, 1.0, end]]} for end in (None, "1", [1], float("nan"), 1e300)),
        *({"training": value} for value in (None, "x", 5)),
        *({"bounds": value, "edges": {}} for value in ({"pt": "x"}, {"pt": []}, 5, {"phi": "1%"})),
        *({"bounds": {"pt": "1%"}, "edges": value} for value in (..., {"pt": "x"}, {"pt": [[]]}, 5)),
        *({"format_version": value} for value in (..., None, 2, "1", [1])),
    ],
    ids=lambda header: json.dumps({k: repr(v) for k, v in header.items()})[:80],
)
def test_a_model_with_a_hostile_header_is_refused_in_one_line(codec, tmp_path, header):
    path = tmp_path / "m.safetensors"
    path.write_bytes(_edited(codec.to_bytes(), header))
    for read in (hepae.load_codec, describe):
        started = time.process_time()
        with pytest.raises(hepae.HepaeError) as caught:
            read(path)
        assert time.process_time() - started < 2
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 500


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "[]", "null", "5", '"x"', "", "{}"])
def test_a_model_whose_header_is_no_json_object_is_refused(codec, text):
    with pytest.raises(InputError, match=r"^m "):
        hepae.LatentCodec.from_bytes(_edited(codec.to_bytes(), text=text), "m")


def test_a_header_edited_to_the_same_is_read(codec):
    """The tests above fail for what they change, and not because they change something."""
    assert hepae.LatentCodec.from_bytes(_edited(codec.to_bytes())) == codec
    assert (
        hepae.LatentCodec.from_bytes(_edited(codec.to_bytes(), {"network": codec.network.config.to_config()}))
        == codec
    )


def test_a_model_of_weights_in_another_type_is_refused(codec):
    header, tensors = unpack_model(codec.to_bytes(), "m")
    for dtype in (np.float64, np.int8, np.float16):
        other = {name: tensor.astype(dtype) for name, tensor in tensors.items()}
        with pytest.raises(CodecError, match="float32"):
            hepae.LatentCodec.from_bytes(pack_model(header, other))


def test_a_model_file_holds_the_bounds(codec, jets, tmp_path):
    bounded = codec.with_bounds({"pt": "0.05%", "mass": "1%+1MeV"}, {"eta": "-2.4,2.4", "pt": [30, 50]})
    bounded.save(tmp_path / "m.safetensors")
    loaded = hepae.load_codec(tmp_path / "m.safetensors")
    assert loaded == bounded
    assert loaded != codec
    assert loaded.bounds == bounded.bounds
    restored = loaded.decompress(loaded.compress(jets))
    assert ak.all(abs(restored.pt / jets.pt - 1) <= 5e-4)
    assert ak.all((restored.pt > 30) == (jets.pt > 30))
    described = describe(tmp_path / "m.safetensors")
    assert described["bounds"] == {"pt": "0.05%", "mass": "1%+1MeV"}
    assert described["edges"] == {"eta": [-2.4, 2.4], "pt": [30.0, 50.0]}


def test_the_checksum_of_a_model_is_that_of_its_file_whatever_it_is_used_with(codec, tmp_path):
    codec.save(tmp_path / "m.safetensors")
    checksum = hashlib.sha256((tmp_path / "m.safetensors").read_bytes()).hexdigest()
    for some in (codec, codec.with_latent_bits(8), codec.with_bounds({"pt": "1%"})):
        assert some.model_sha256 == hepae.LatentCodec.from_bytes(some.to_bytes()).model_sha256 == checksum


def test_a_codec_that_only_restores_still_does_with_other_bits(codec, jets):
    decoder = hepae.LatentCodec.from_bytes(codec.stored_model()).with_latent_bits(8)
    with pytest.raises(CodecError, match="only restore"):
        decoder.compress(jets)


def test_columns_that_make_no_jet_are_refused_before_training(jets):
    with pytest.raises(ConfigError, match="do not define a jet: add phi, mass or E"):
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
    assert compressed.names == ("pt", "eta", "phi", "mass")
    assert compressed.latents.fields == ["z0", "z1", "z2"]
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
