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
from hepae.latent.spectra import RANGES, Spectra


@pytest.fixture(scope="module")
def jets(sample):
    return hepae.read_jets(sample)


@pytest.fixture(scope="module")
def trained(jets):
    """The default network after a few epochs, with spectra; every fifth event is held apart."""
    config = hepae.TrainingConfig(epochs=4, spectra=True, network=hepae.AutoencoderConfig(hidden=(64, 64)))
    return hepae.train(jets[np.arange(len(jets)) % 5 > 0], config).codec


def features_of(codec, jets):
    return codec.features.forward({name: flat_column(jets, name) for name in codec.columns})


def counts_of(jets, edges):
    return np.histogram2d(flat_column(jets, "mass"), flat_column(jets, "pt"), bins=edges)[0]


def test_held_apart_jets_keep_their_spectra_at_less_than_twice_the_squared_error(jets, trained):
    apart = jets[::5]
    original = features_of(trained, apart)
    pt = np.quantile(flat_column(apart, "pt"), [0, 0.25, 0.5, 0.75, 1])
    edges = np.quantile(flat_column(apart, "mass"), np.linspace(0, 1, 21)), [0, *pt[1:-1], np.inf]
    before, found = counts_of(apart, edges), {}
    for codec in (trained.without_spectra(), trained):
        restored = codec.decompress(codec.compress(apart))
        after = counts_of(restored, edges)
        whole = after.sum(axis=1) / before.sum(axis=1) - 1
        in_pt = after[before >= 100] / before[before >= 100] - 1
        error = np.mean((features_of(trained, restored) - original) ** 2)
        found[codec.spectra is not None] = np.sqrt(np.mean(whole**2)), np.sqrt(np.mean(in_pt**2)), error
    assert found[False][0] > 0.3
    assert found[True][0] < 0.1
    assert found[True][1] < found[False][1] / 2
    factor = found[True][2] / found[False][2]
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


def test_the_maps_are_in_model_and_compressed_files(jets, trained, sample, tmp_path):
    trained.save(tmp_path / "model.safetensors")
    assert hepae.load_codec(tmp_path / "model.safetensors") == trained
    assert trained.with_latent_bits(8).spectra is trained.spectra
    assert trained.model_sha256 != trained.without_spectra().model_sha256
    hepae.compress_file(sample, tmp_path / "small.root", trained)
    restored = hepae.open(tmp_path / "small.root").jets()
    assert ak.all(restored.mass == ak.values_astype(trained.jets(trained.latents(jets)).mass, np.float32))


def test_bounds_hold_and_cost_the_same_bytes(jets, trained):
    some, bounds = jets[:2000], {"pt": "0.1%", "mass": "1%+1MeV"}
    compressed = trained.with_bounds(bounds).compress(some)
    assert compressed.nbytes == trained.without_spectra().with_bounds(bounds).compress(some).nbytes
    restored = trained.with_bounds(bounds).decompress(compressed)
    assert ak.all(abs(restored.pt / some.pt - 1) <= 0.001 * (1 + 1e-6))


def test_the_maps_are_monotone_and_constant_beyond_their_knots(trained):
    spectra = trained.spectra
    assert spectra.knots.shape == (RANGES, 4, spectra.shifts.shape[2])
    values = np.repeat(np.linspace(-3, 4, 20_001)[:, None], 4, axis=1)
    middles = np.concatenate([[-9], (spectra.edges[1:] + spectra.edges[:-1]) / 2, [9]])
    for i, middle in enumerate(middles):
        features = np.where(np.arange(4) == spectra.pt, middle, values)
        moved = np.delete(spectra(features), spectra.pt, axis=1)
        assert np.all(np.diff(moved, axis=0) > -1e-6)  # knots and shifts are rounded to float32
        shifts = np.delete(spectra.shifts[i].astype(np.float64), spectra.pt, axis=0)
        np.testing.assert_array_equal(moved[0], -3 + shifts[:, 0])
        np.testing.assert_array_equal(moved[-1], 4 + shifts[:, -1])
    assert np.isnan(spectra(np.full((1, 4), np.nan))).all()


def test_jets_restored_to_one_value_stay_together():
    original = np.random.default_rng(0).normal(size=(5000, 2)).astype(np.float32)
    restored = np.stack([np.full(5000, 0.25), np.where(original[:, 1] < 0, -0.5, original[:, 1])], axis=1)
    spectra = Spectra.fit(restored, original, 0)
    assert spectra.edges.size == 0
    moved = spectra(restored)
    assert abs(moved[:, 0].mean() - original[:, 0].mean()) < 0.05
    assert len(np.unique(moved[:, 0])) == 1
    below = original[:, 1] < 0
    assert abs(moved[below, 1].mean() - original[below, 1].mean()) < 0.05
    np.testing.assert_allclose(moved[~below, 1], original[~below, 1], atol=0.02)


def test_no_range_is_without_jets_and_a_few_jets_have_one():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(20_000, 2))
    features[:, 0] = np.maximum(features[:, 0].round(), 0)  # half of them at the lowest value
    spectra = Spectra.fit(features, features, 0)
    assert spectra.edges.tolist() == [1.0, 2.0]
    assert np.isfinite(spectra.shifts).all()
    assert Spectra.fit(features[:2], features[:2], 0).knots.shape[0] == 1


TENSORS = {
    "spectra.edges": np.float32([0.5]),
    "spectra.knots": np.tile(np.arange(8, dtype=np.float32), (2, 4, 1)),
    "spectra.shifts": np.zeros((2, 4, 8), np.float32),
}


def _changed(name, place, value):
    tensor = TENSORS[f"spectra.{name}"].copy()
    tensor[place] = value
    return {f"spectra.{name}": tensor}


@pytest.mark.parametrize(
    "change",
    [
        *({name: None} for name in TENSORS),
        {"spectra.more": np.zeros(1, np.float32)},
        {"spectra.edges": np.zeros((1, 1), np.float32)},
        {"spectra.edges": np.zeros(2, np.float32)},
        {"spectra.edges": np.float32([0.5]).astype(np.int64)},
        *(
            {f"spectra.{name}": np.zeros(shape, np.float32) for name in ("knots", "shifts")}
            for shape in ((2, 3, 8), (3, 4, 8), (2, 4, 1), (2, 4, 0), (2, 4, 5000), (8,))
        ),
        {
            "spectra.edges": np.zeros(99, np.float32),
            **{f"spectra.{name}": np.zeros((100, 4, 2), np.float32) for name in ("knots", "shifts")},
        },
        {"spectra.shifts": np.zeros((2, 4, 7), np.float32)},
        {"spectra.shifts": np.zeros((2, 4, 8), np.int64)},
        _changed("knots", (1, 1, 3), -1),
        *(_changed(name, (1, 1, 3), value) for name in ("knots", "shifts") for value in (np.nan, np.inf)),
        *(_changed("edges", 0, value) for value in (np.nan, -np.inf)),
    ],
    ids=lambda change: " ".join(change),
)
def test_damaged_maps_are_refused(codec, change):
    header, tensors = unpack_model(codec.to_bytes(), "m")
    assert LatentCodec.from_bytes(pack_model(header, tensors | TENSORS), "m").spectra
    damaged = {name: each for name, each in (tensors | TENSORS | change).items() if each is not None}
    with pytest.raises(CodecError, match=r"m is damaged: .*spectra"):
        LatentCodec.from_bytes(pack_model(header, damaged), "m")


def test_a_model_without_maps_is_written_as_before(codec):
    assert not any(name.startswith("spectra") for name in safetensors.numpy.load(codec.to_bytes()))


def test_export_says_that_the_graph_does_not_contain_them(trained, tmp_path):
    pytest.importorskip("onnx", reason="the extra onnx is not installed")
    trained.save(tmp_path / "m.safetensors")
    for part, said in (("decoder", True), ("encoder", False)):
        words = ["export", str(tmp_path / "m.safetensors"), "-o", str(tmp_path / f"{part}.onnx")]
        done = CliRunner().invoke(main, [*words, "--part", part])
        assert done.exit_code == 0, done.output
        assert ("does not contain the spectra" in done.output) == said


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
