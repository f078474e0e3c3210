from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
from click.testing import CliRunner

import hepae
from hepae import kinematics
from hepae.cli import main
from hepae.errors import CodecError, ConfigError, OutputError
from hepae.latent.features import FeatureMap, Transform
from hepae.latent.onnx import export

pytestmark = pytest.mark.filterwarnings("ignore::hepae.errors.UnitWarning")
"""The unit of some files here is told by their values, which test_inputs.py is about."""

pytest.importorskip("onnx", reason="the extra onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

FORMS = {
    "original": ("minmax", ("m", "pt", "phi", "eta"), {"latent_activation": True}),
    "predecessor": ("standard", ("pt", "eta", "phi", "E"), {"activation": "tanh", "batch_norm": True}),
    "default": ("physics", ("pt", "eta", "phi", "E"), {"hidden": (512, 256, 128)}),
    "gelu": ("physics", ("eta", "m", "pt", "phi"), {"activation": "gelu", "latent": 4}),
    "silu": (
        "physics",
        ("pt", "eta", "phi", "mass"),
        {"activation": "silu", "latent_activation": True, "batch_norm": True, "dropout": 0.1},
    ),
    "folded": ("physics", ("pt", "eta", "phi", "E"), {"octaves": 4}),
    "relu": ("minmax", ("pt", "eta", "phi", "mass", "E"), {"activation": "relu", "latent": 1}),
}
"""Basis, columns and network of models, by name."""


@pytest.fixture(scope="module", params=["sample", pytest.param("trigger", marks=pytest.mark.real_data)])
def jets(request):
    """The bundled sample's jets, or all of ATLAS's trigger jets: flat, in float32, as graphs take them."""
    if request.param == "sample":
        read = ak.flatten(hepae.read_jets(request.getfixturevalue("sample")))
    else:
        folder = request.getfixturevalue("data")
        read = hepae.read_jets([folder / f"all_jets_{part}_4D_100_percent.pkl" for part in ("train", "test")])
    return ak.zip({name: ak.values_astype(getattr(read, name), np.float32) for name in kinematics.MOMENTUM})


@pytest.fixture(scope="module", params=FORMS)
def trained(request, jets):
    basis, columns, network = FORMS[request.param]
    network = hepae.AutoencoderConfig(**{"hidden": (32, 16), **network})
    config = hepae.TrainingConfig(
        columns=columns, basis=basis, epochs=1, fraction=0.05, batch_size=256, network=network
    )
    return hepae.train(jets, config, validation=jets[:500]).codec


@pytest.fixture
def graph(tmp_path):
    """Export a part of a codec and give what runs it."""

    def make(codec, part=None):
        path = tmp_path / f"{part}.onnx"
        export(codec, path, part=part)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        (taken,), (given,) = session.get_inputs(), session.get_outputs()
        assert taken.name == ("latents" if part == "decoder" else "jets")
        assert given.name == {"encoder": "latents", "decoder": "jets", None: "restored"}[part]
        assert taken.type == given.type == "tensor(float)"
        return lambda inputs: session.run([given.name], {taken.name: inputs})[0]

    return make


def matrix(records, names):
    return np.stack([ak.to_numpy(records[name]) for name in names], axis=1).astype(np.float32)


def encoded(codec, jets):
    """What the codec itself makes of jets, shape (jets, columns)."""
    return matrix(codec.latents(ak.zip(dict(zip(codec.columns, jets.T, strict=True)))), codec.latent_names)


def restored(codec, latents):
    """Columns by name that the codec itself gives for latents, in float64."""
    jets = codec.jets(ak.zip(dict(zip(codec.latent_names, latents.T, strict=True))))
    return {name: ak.to_numpy(jets[name]) for name in jets.fields}


def assert_restored(codec, found, expected):
    """Equal within float32: a few units in the last digit of a feature and of the value itself."""
    for transform, column in zip(codec.features.transforms, found.T, strict=True):
        if transform.column in expected:  # E of a model with both is derived from the mass
            gap = np.abs(column - expected[transform.column])
            if transform.column == "phi":
                gap = np.minimum(gap, 2 * np.pi - gap)
            slope = transform.scale
            if transform.logarithmic:
                slope = slope * expected[transform.column]
            assert np.all(gap <= 1e-5 * slope + 1e-7 * np.abs(expected[transform.column]))


def test_onnxruntime_gives_the_numbers_of_the_codec(trained, jets, graph):
    inputs = matrix(jets, trained.columns)
    expected = encoded(trained, inputs)
    low, high = np.array(trained.latent_range)
    latents = graph(trained, "encoder")(inputs)
    assert latents.dtype == np.float32
    assert np.all(np.abs(latents - expected) <= 1e-5 * (high - low))
    assert_restored(trained, graph(trained, "decoder")(expected), restored(trained, expected))
    assert_restored(trained, graph(trained)(inputs[:20_000]), restored(trained, expected[:20_000]))


def test_hostile_values_are_replaced_as_the_codec_replaces_them(trained, jets, graph):
    values = [np.nan, np.inf, -np.inf, -99, -999, -9999, -998.9999, -1, 0, -0.0, 1e-40, 1e30, -1e30]
    random = np.random.default_rng(1)
    usual = matrix(jets[:4000], trained.columns)
    hostile = np.where(random.random(usual.shape) < 0.4, random.choice(values, usual.shape), usual)
    hostile = hostile.astype(np.float32)
    expected, found = encoded(trained, hostile), graph(trained, "encoder")(hostile)
    assert np.isfinite(found).all()
    size = np.maximum(np.ptp(trained.latent_range, axis=0), np.abs(expected).max(axis=1, keepdims=True))
    assert np.all(np.abs(found - expected) <= 1e-5 * size)


def test_latents_far_from_any_jet_give_jets_all_the_same(trained, graph):
    decoder = graph(trained, "decoder")
    low, high = np.array(trained.latent_range)
    latents = np.random.default_rng(2).uniform(4 * low - 3 * high, 4 * high - 3 * low, (5000, len(low)))
    latents = latents.astype(np.float32)
    jets, expected = decoder(latents), restored(trained, latents)
    assert_restored(trained, jets, expected)
    phi = trained.columns.index("phi")
    extreme = decoder(np.float32([[1e30], [-1e30]]) * np.ones(len(low), np.float32))
    assert np.all(np.abs(np.concatenate([jets, extreme])[:, phi]) <= np.float32(np.pi))
    for i, transform in enumerate(trained.features.transforms):
        if transform.logarithmic:
            assert np.all((extreme[:, i] > 0) & np.isfinite(extreme[:, i]))
    assert np.isnan(decoder(np.full((1, len(low)), np.nan, np.float32))).all()


@pytest.mark.parametrize("jets", ["sample"], indirect=True)
def test_any_number_of_jets(codec, jets, graph):
    inputs = np.resize(matrix(jets, codec.columns), (100_000, 4))
    for part, width in (("encoder", 3), (None, 4)):
        run = graph(codec, part)
        whole = run(inputs)
        assert whole.shape == (100_000, width)
        assert run(inputs[:0]).shape == (0, width)
        np.testing.assert_allclose(run(inputs[7:8])[0], whole[7], rtol=1e-5, atol=1e-6)
    assert graph(codec, "decoder")(np.empty((0, 3), np.float32)).shape == (0, 4)


@pytest.mark.parametrize("jets", ["sample"], indirect=True)
def test_a_narrow_column_far_from_zero_keeps_its_digits(jets, graph):
    random = np.random.default_rng(3)
    jets["pt"] = 4096.1 + 0.01 * random.random(len(jets))
    config = hepae.TrainingConfig(
        columns=("pt", "eta", "phi", "mass"),
        basis="minmax",
        epochs=3,
        network=hepae.AutoencoderConfig(hidden=(16,), latent=4),
    )
    codec = hepae.train(jets[:5000], config).codec
    inputs = matrix(jets, codec.columns)
    expected = encoded(codec, inputs)
    found = graph(codec, "encoder")(inputs)
    assert np.all(np.abs(found - expected) <= 1e-5 * np.ptp(codec.latent_range, axis=0))
    pt = graph(codec)(inputs)[:, 0]
    assert np.all(np.abs(pt - restored(codec, expected)["pt"]) <= np.spacing(np.float32(4096)))


def test_the_file_says_what_it_is_and_equal_codecs_give_equal_bytes(codec, tmp_path):
    codec.save(tmp_path / "model.safetensors")
    export(codec, tmp_path / "one.onnx", part="encoder")
    export(hepae.load_codec(tmp_path / "model.safetensors"), tmp_path / "two.onnx", part="encoder")
    assert (tmp_path / "one.onnx").read_bytes() == (tmp_path / "two.onnx").read_bytes()
    assert {path.suffix for path in tmp_path.iterdir()} == {".onnx", ".safetensors"}  # no external data
    meta = onnxruntime.InferenceSession(tmp_path / "one.onnx").get_modelmeta()
    properties = meta.custom_metadata_map
    assert json.loads(properties["columns"]) == ["pt", "eta", "phi", "mass"]
    assert json.loads(properties["units"]) == ["GeV", "", "rad", "GeV"]
    assert json.loads(properties["latents"]) == ["z0", "z1", "z2"]
    assert (properties["part"], properties["basis"]) == ("encoder", "physics")
    content = (tmp_path / "model.safetensors").read_bytes()
    assert properties["model_sha256"] == hashlib.sha256(content).hexdigest()


def test_latents_as_integers_and_bounds_are_no_part_of_the_graph(codec, tmp_path):
    def graph_of(some):
        import onnx

        export(some, tmp_path / "m.onnx", force=True)
        return onnx.load(tmp_path / "m.onnx").graph

    assert graph_of(codec.with_bounds({"pt": "1%"}).with_latent_bits(4)) == graph_of(codec)


def test_numpy_and_onnxruntime_are_enough(codec, sample, tmp_path):
    jets = matrix(ak.flatten(hepae.read_jets(sample)[:300]), codec.columns)
    np.savez(tmp_path / "arrays.npz", jets=jets, latents=encoded(codec, jets))
    export(codec, tmp_path / "encoder.onnx", part="encoder")
    script = """
import sys, numpy, onnxruntime
arrays = numpy.load("arrays.npz")
(latents,) = onnxruntime.InferenceSession("encoder.onnx").run(["latents"], {"jets": arrays["jets"]})
assert not {"torch", "hepae", "awkward"} & {*sys.modules}
print(numpy.max(numpy.abs(latents - arrays["latents"]) / numpy.ptp(arrays["latents"], axis=0)))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert float(done.stdout) <= 1e-5


def test_a_latent_that_died_is_zero(sample, graph):
    network = hepae.AutoencoderConfig(hidden=(8,), activation="relu", latent_activation=True)
    jets = hepae.read_jets(sample)[:500]
    live = hepae.train(jets, hepae.TrainingConfig(epochs=1, network=network)).codec
    low, high = np.array(live.latent_range)
    live.network.encoder[2].bias.data[1] = -1e6
    dead = hepae.LatentCodec(
        live.features, live.network, latent_range=(tuple(low * [1, 0, 1]), tuple(high * [1, 0, 1]))
    )
    latents = graph(dead, "encoder")(matrix(ak.flatten(jets), dead.columns))
    assert np.all(latents[:, 1] == 0)


class Odd(Transform):
    """A transform that the graph does not know."""

    def forward(self, values):
        return super().forward(values) + 1e-3


def test_a_graph_of_other_numbers_is_not_written(codec, tmp_path):
    features = FeatureMap("physics", tuple(Odd(**asdict(each)) for each in codec.features.transforms))
    odd = hepae.LatentCodec(features, codec.network, latent_range=codec.latent_range)
    for part in ("encoder", None):
        with pytest.raises(OutputError, match="differs from the model"):
            export(odd, tmp_path / "m.onnx", part=part)
    assert not [*tmp_path.iterdir()]


def test_without_an_encoder_only_the_decoder_is_exported(codec, tmp_path):
    decoder = hepae.LatentCodec.from_bytes(codec.stored_model())
    for part in ("encoder", None):
        with pytest.raises(CodecError, match="--part decoder"):
            export(decoder, tmp_path / "m.onnx", part=part)
    assert not [*tmp_path.iterdir()]
    export(decoder, tmp_path / "m.onnx", part="decoder")


def test_what_is_not_installed(codec, tmp_path, monkeypatch):
    export(codec, tmp_path / "checked.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    export(codec, tmp_path / "m.onnx")  # the check is onnx's alone
    assert (tmp_path / "m.onnx").read_bytes() == (tmp_path / "checked.onnx").read_bytes()
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ConfigError, match=r"pip install 'hepae\[onnx\]'"):
        export(codec, tmp_path / "other.onnx")
    assert not (tmp_path / "other.onnx").exists()


def test_the_command(codec, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    codec.save("model.safetensors")
    Path("decoder.safetensors").write_bytes(codec.stored_model())
    Path("precious.onnx").write_text("precious")

    def run(status, *words):
        result = CliRunner().invoke(main, ["export", *words])
        assert result.exit_code == status, result.output
        if status == 1:
            assert len(result.stderr.splitlines()) == 1
        return result.output

    output = run(0, "model.safetensors", "-o", "anything.onnx", "--part", "encoder")
    assert "pt GeV, eta, phi rad, mass GeV; latents: z0, z1, z2" in output
    export(codec, "python.onnx", part="encoder")
    assert Path("anything.onnx").read_bytes() == Path("python.onnx").read_bytes()
    before = {*Path().iterdir()}
    assert "--force" in run(1, "model.safetensors", "-o", "precious.onnx")
    assert Path("precious.onnx").read_text() == "precious"
    assert "--part decoder" in run(1, "decoder.safetensors", "-o", "new.onnx")
    assert "not a hepae model" in run(1, "precious.onnx", "-o", "new.onnx")
    assert "none.safetensors" in run(1, "none.safetensors", "-o", "new.onnx")
    assert "no folder" in run(1, "model.safetensors", "-o", "nofolder/new.onnx")
    run(2, "model.safetensors", "-o", "new.onnx", "--part", "middle")
    run(2, "model.safetensors")
    assert {*Path().iterdir()} == before
    run(0, "decoder.safetensors", "-o", "precious.onnx", "--part", "decoder", "--force")
    assert Path("precious.onnx").read_bytes() != b"precious"
