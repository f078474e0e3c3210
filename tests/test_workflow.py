"""The main job from end to end, in Python and in the shell: train, compress, restore, compare."""

from __future__ import annotations

import json
from pathlib import Path

import awkward as ak
import numpy as np
import pandas as pd
import uproot
from click.testing import CliRunner

import hepae
from hepae.cli import main

COLUMNS = ("pt", "eta", "phi", "mass")
OPTIONS = ("--epochs", 2, "--hidden", "16-8", "--batch-size", 512)


def _config(runs_dir, **options):
    network = hepae.AutoencoderConfig(hidden=(16, 8))
    return hepae.TrainingConfig(epochs=2, network=network, batch_size=512, runs_dir=runs_dir, **options)


def _run(*arguments):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def _tree(path):
    with uproot.open(path) as file:
        return file["Events"].arrays(how=dict), file["Events"].typenames()


def _assert_restored(original, restored):
    """Same branches, order and types; what was not coded bit for bit; the jets in the same events."""
    (before, types), (after, types_after) = _tree(original), _tree(restored)
    assert list(after) == list(before)
    assert types_after == types
    coded = [f"Jet_{name}" for name in COLUMNS]
    for name, array in before.items():
        assert ak.array_equal(after[name], array) == (name not in coded), name
    for name in coded:
        assert ak.all(ak.num(after[name]) == before["nJet"])
        assert np.isfinite(ak.to_numpy(ak.flatten(after[name]))).all()
    assert ak.all(after["Jet_mass"] > 0)
    assert ak.all(abs(after["Jet_phi"]) <= np.float32(np.pi))


def test_in_python(sample, tmp_path):
    jets = hepae.read_jets(sample)
    result = hepae.train(jets, _config(tmp_path / "runs"), test=jets[:1000])
    result.codec.save(tmp_path / "model.safetensors")
    codec = hepae.load_codec(tmp_path / "model.safetensors")
    small, back = tmp_path / "small.root", tmp_path / "back.root"
    summary = hepae.compress_file(sample, small, codec)
    assert (summary.events, summary.jets) == (len(jets), ak.sum(ak.num(jets)))
    (tmp_path / "model.safetensors").unlink()  # the compressed file needs nothing beside it
    hepae.decompress_file(small, back)
    _assert_restored(sample, back)

    in_memory = codec.decompress(codec.compress(jets))
    with hepae.open(small) as file:
        from_file = file.jets(entry_start=0, entry_stop=len(jets))
    for restored in (from_file, hepae.read_jets(back)):
        for name in COLUMNS:
            np.testing.assert_allclose(
                ak.flatten(restored[name]), ak.flatten(in_memory[name]), rtol=1e-4, atol=1e-4
            )
    steps = ak.concatenate([*hepae.iterate_jets([back], step_size=3000)])
    assert ak.array_equal(steps.pt, hepae.read_jets(back).pt)
    assert hepae.residuals(jets, from_file)["pt"].p68 < 1


def test_in_the_shell(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _run("sample", "jets.root")
    _run("train", "jets.root", "-o", "m.safetensors", *OPTIONS, "--test", "jets.root")
    _run("compress", "jets.root", "-m", "m.safetensors", "-o", "small.root")
    _run("compress", "jets.root", "-m", "m.safetensors", "-o", "smaller.root", "--latent-bits", 10)
    _run("decompress", "small.root", "-o", "back.root")
    _run("compare", "jets.root", "small.root", "-o", "out")
    _assert_restored("jets.root", "back.root")

    (run,) = Path("runs").iterdir()
    names = {path.name for path in run.iterdir()}
    assert {"config.toml", "metrics.csv", "loss.png", "loss.pdf", "best.pt", "last.pt"} <= names
    figures = {path.name for path in Path("out").iterdir()}
    expected = {
        f"{name}{kind}.{suffix}"
        for name in (*COLUMNS, "E")
        for kind in ("", "_residual")
        for suffix in ("png", "pdf")
    }
    assert figures >= expected | {"metrics.json", "dijet_mass.pdf", "latents.png", "bytes.png"}

    original, small, smaller, model = (
        json.loads(_run("info", name, "--json"))
        for name in ("jets.root", "small.root", "smaller.root", "m.safetensors")
    )
    assert [content["kind"] for content in (original, small, model)] == ["jets", "compressed", "model"]
    assert original["jets"] == small["jets"] == smaller["jets"]
    assert smaller["bytes"]["compressed"] < 0.6 * small["bytes"]["compressed"]
    metrics = json.loads(Path("out/metrics.json").read_text())
    assert metrics["jets"] == original["jets"]
    for key in ("file_compressed", "compressed", "original"):
        assert metrics["bytes"][key] == small["bytes"][key]
    assert model["network"]["hidden"] == [16, 8]
    _run("info", "jets.root")
    _run("info", "small.root")
    _run("info", "m.safetensors")


def test_on_the_original_pickles(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train, test = (data / f"all_jets_{part}_4D_100_percent.pkl" for part in ("train", "test"))
    columns = ("--columns", "m,pt,phi,eta", "--basis", "minmax", "--fraction", 0.1)
    _run("train", train, "--test", test, "-o", "m.safetensors", *columns, *OPTIONS)
    _run("compress", test, "-m", "m.safetensors", "-o", "small.root")
    _run("decompress", "small.root", "-o", "back.root")
    with uproot.open("small.root") as file:
        assert file["jets"].keys() == ["z0", "z1", "z2"]
        assert file["jets"].num_entries == 27_945
    with uproot.open("back.root") as file:
        restored = file["jets"].arrays(library="np")
    original = pd.read_pickle(test)
    assert list(restored) == list(original.columns) == ["m", "pt", "phi", "eta"]
    for name, values in restored.items():
        assert values.dtype == original[name].dtype
    codec = hepae.load_codec("m.safetensors")
    expected = codec.decompress(codec.compress(hepae.read_jets(test, unit="MeV")))
    for name, unit in {"m": 1000, "pt": 1000, "phi": 1, "eta": 1}.items():  # the file is in MeV
        values = ak.to_numpy(expected[name.replace("m", "mass")])
        np.testing.assert_allclose(restored[name], values * unit, rtol=1e-4, atol=1e-4 * unit)
    metrics = json.loads(_run("compare", test, "small.root", "-o", "out", "--json"))
    assert metrics["jets"] == 27_945
    assert metrics["columns"]["pt"]["unit"] == "GeV"
