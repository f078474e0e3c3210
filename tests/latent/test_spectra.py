from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
import safetensors.numpy
from click.testing import CliRunner

import hepae
from hepae.cli import main
from hepae.errors import CodecError
from hepae.kinematics import flat_column, momenta
from hepae.latent.codec import LatentCodec
from hepae.latent.model_file import pack_model, unpack_model
from hepae.latent.spectra import Spectra


@pytest.fixture(scope="module")
def jets(sample):
    return hepae.read_jets(sample)


@pytest.fixture(scope="module")
def trained(jets):
    """The default network after a few epochs, with spectra; every fifth event is held apart."""
    config = hepae.TrainingConfig(epochs=4, spectra=True, network=hepae.AutoencoderConfig(hidden=(64, 64)))
    return hepae.train(jets[np.arange(len(jets)) % 5 > 0], config).codec


@pytest.fixture(scope="module")
def plain(trained):
    """The same codec without the map."""
    return LatentCodec(trained.features, trained.network, latent_range=trained.latent_range)


def features_of(codec, jets):
    return codec.features.forward({name: flat_column(jets, name) for name in codec.columns})


def test_held_apart_jets_keep_their_spectra_at_less_than_twice_the_squared_error(jets, trained, plain):
    apart = jets[::5]
    original = features_of(trained, apart)
    shifts, errors = {}, {}
    for name, codec in (("plain", plain), ("spectra", trained)):
        restored = codec.decompress(codec.compress(apart))
        errors[name] = np.mean((features_of(trained, restored) - original) ** 2)
        for column in ("mass", "pt"):
            before, after = flat_column(apart, column), flat_column(restored, column)
            edges = np.quantile(before, np.linspace(0, 1, 21))
            counts = [np.histogram(values, edges)[0] for values in (before, after)]
            shifts[name, column] = np.sqrt(np.mean((counts[1] / counts[0] - 1) ** 2))
    for column in ("mass", "pt"):
        assert shifts["plain", column] > 0.2
        assert shifts["spectra", column] < 0.1
    factor = errors["spectra"] / errors["plain"]
    assert factor < 2
    assert trained.summary["spectra_mse_factor"] == pytest.approx(factor, rel=0.1)


def test_a_jet_is_moved_by_its_own_latents_alone(jets, trained):
    features = features_of(trained, jets)
    order = np.random.default_rng(1).permutation(len(features))
    np.testing.assert_array_equal(trained.spectra(features[order]), trained.spectra(features)[order])
    latents = trained.latents(jets)
    whole, parts = trained.jets(latents), [trained.jets(latents[a:b]) for a, b in ((4096, None), (0, 4096))]
    assert ak.all(whole.mass[4096:] == parts[0].mass)
    assert ak.all(whole.mass[:4096] == parts[1].mass)


def test_the_map_is_in_model_and_compressed_files(jets, trained, plain, sample, tmp_path):
    trained.save(tmp_path / "model.safetensors")
    assert hepae.load_codec(tmp_path / "model.safetensors") == trained
    assert trained.with_latent_bits(8).spectra is trained.spectra
    assert trained.model_sha256 != plain.model_sha256
    hepae.compress_file(sample, tmp_path / "small.root", trained)
    restored = hepae.open(tmp_path / "small.root").jets()
    assert ak.all(restored.mass == ak.values_astype(trained.jets(trained.latents(jets)).mass, np.float32))


def test_bounds_hold_and_cost_the_same_bytes(jets, trained, plain):
    some, bounds = jets[:2000], {"pt": "0.1%", "mass": "1%+1MeV"}
    compressed = trained.with_bounds(bounds).compress(some)
    assert compressed.nbytes == plain.with_bounds(bounds).compress(some).nbytes
    restored = trained.with_bounds(bounds).decompress(compressed)
    assert ak.all(abs(restored.pt / some.pt - 1) <= 0.001 * (1 + 1e-6))


def test_the_map_is_monotone_and_constant_beyond_its_knots(trained):
    spectra = trained.spectra
    values = np.linspace(-3, 4, 100_001)
    moved = spectra(np.repeat(values[:, None], 4, axis=1))
    assert np.all(np.diff(moved, axis=0) > -1e-6)  # knots and shifts are rounded to float32
    np.testing.assert_array_equal(moved[0], values[0] + spectra.shifts[:, 0].astype(np.float64))
    np.testing.assert_array_equal(moved[-1], values[-1] + spectra.shifts[:, -1].astype(np.float64))
    assert np.isnan(spectra(np.full((1, 4), np.nan))).all()


def test_jets_restored_to_one_value_stay_together():
    original = np.random.default_rng(0).normal(size=(5000, 2)).astype(np.float32)
    restored = np.stack([np.full(5000, 0.25), np.where(original[:, 1] < 0, -0.5, original[:, 1])], axis=1)
    moved = Spectra.fit(restored.astype(np.float32), original)(restored)
    assert abs(moved[:, 0].mean() - original[:, 0].mean()) < 0.05
    assert len(np.unique(moved[:, 0])) == 1
    below = original[:, 1] < 0
    assert abs(moved[below, 1].mean() - original[below, 1].mean()) < 0.05
    np.testing.assert_allclose(moved[~below, 1], original[~below, 1], atol=0.02)


def _knots(*changes, shape=(2, 4, 8), dtype=np.float32):
    tensor = np.zeros(shape, dtype)
    tensor[0] = np.arange(shape[-1])
    for place, value in changes:
        tensor[place] = value
    return tensor


@pytest.mark.parametrize(
    "tensor",
    [
        _knots(shape=(2, 3, 8)),
        _knots(shape=(3, 4, 8)),
        _knots(shape=(2, 4, 1)),
        _knots(shape=(2, 4, 0)),
        _knots(shape=(2, 4, 5000)),
        np.zeros(4, np.float32),
        _knots(dtype=np.int64),
        _knots(((0, 1, 3), -1)),
        *(_knots(((i, 1, 3), value)) for i in (0, 1) for value in (np.nan, np.inf)),
    ],
    ids=lambda tensor: f"{tensor.dtype}{tensor.shape}",
)
def test_a_damaged_map_is_refused(codec, tensor):
    header, tensors = unpack_model(codec.to_bytes(), "m")
    assert LatentCodec.from_bytes(pack_model(header, {**tensors, "spectra": _knots()}), "m").spectra
    with pytest.raises(CodecError, match=r"m is damaged: .*spectra"):
        LatentCodec.from_bytes(pack_model(header, {**tensors, "spectra": tensor}), "m")


def test_a_model_without_the_map_is_written_as_before(plain):
    assert "spectra" not in safetensors.numpy.load(plain.to_bytes())


def test_the_option_of_train(sample, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for option in ((), ("--spectra",)):
        words = ["train", str(sample), "-o", "m.safetensors", "--epochs", "1", "--hidden", "8", "--force"]
        done = CliRunner().invoke(main, [*words, *option])
        assert done.exit_code == 0, done.output
        assert (hepae.load_codec("m.safetensors").spectra is not None) == bool(option)
        assert ("times the validation loss" in done.output) == bool(option)


def test_integers_and_flat_jets(trained, jets):
    flat = momenta({name: flat_column(jets[:100], name) for name in ("pt", "eta", "phi", "mass")})
    codec = trained.with_latent_bits(10)
    restored = codec.decompress(codec.compress(flat))
    assert len(restored) == len(flat)
    assert ak.all(np.isfinite(restored.mass))
