from __future__ import annotations

import json
import re
from pathlib import Path

import awkward as ak
import pytest
import uproot

import hepae


@pytest.mark.usefixtures("work", "figures")
def test_bounds_need_no_model(run):
    result = run("compress", "jets.root", "-o", "b.root", "--bound", "pt=1%", "--edges", "pt=30,50")
    assert result.exit_code == 0, result.output
    assert "pt 1%, eta 0.001, phi 0.001, mass 1%+1MeV" in result.stdout
    assert run("compare", "jets.root", "b.root", "-o", "out").exit_code == 0
    columns = json.loads(Path("out/metrics.json").read_text())["columns"]
    for name in ("pt", "eta", "phi", "mass"):
        assert columns[name]["violations"] == 0
    assert 0.009 < columns["pt"]["max_rel"] <= 0.01
    content = json.loads(run("info", "b.root", "--json").stdout)
    assert (content["codec"], content["bounds"]["pt"], content["edges"]) == (
        "bounded",
        "1%",
        {"pt": [30, 50]},
    )
    assert content["model_sha256"] is None


@pytest.mark.usefixtures("work", "figures")
def test_a_model_with_bounds_compresses_within_them(run, codec):
    codec.with_bounds({"pt": "0.5%"}, {"pt": "30"}).save("bounded.safetensors")
    told = run("info", "bounded.safetensors").stdout
    assert re.search(r"bounds\W+pt: 0.5%", told)
    assert re.search(r"edges\W+pt: 30", told)
    result = run("compress", "jets.root", "-m", "bounded.safetensors", "-o", "b.root")
    assert result.exit_code == 0, result.output
    assert "pt 0.5%" in result.stdout
    assert run("compare", "jets.root", "b.root", "-o", "out").exit_code == 0
    pt = json.loads(Path("out/metrics.json").read_text())["columns"]["pt"]
    assert pt["violations"] == 0
    assert 0.0045 < pt["max_rel"] <= 0.005
    other = run("compress", "jets.root", "-m", "bounded.safetensors", "-o", "c.root", "--bound", "pt=2%")
    assert "pt 2%" in other.stdout
    same = [
        json.loads(run("info", path, "--json").stdout)["model_sha256"]
        for path in ("b.root", "c.root", "bounded.safetensors")
    ]
    assert len({*same}) == 1


@pytest.mark.usefixtures("work", "figures")
def test_jets_outside_the_training_range_of_a_model_are_said(run):
    jets = ak.flatten(hepae.read_jets("jets.root"))
    config = hepae.TrainingConfig(epochs=2, network=hepae.AutoencoderConfig(hidden=(16,)), batch_size=256)
    hepae.train(jets[abs(jets.eta) < 1], config).codec.save("central.safetensors")
    said = run("compress", "jets.root", "-m", "central.safetensors", "--latent-bits", 8, "-o", "c.root")
    assert said.exit_code == 0, said.output
    (note,) = (line for line in said.stderr.splitlines() if " latents " in line)
    found = re.fullmatch(
        r"note: (\d+) of 52385 jets in Jet have latents outside the range that the model was trained on, "
        "and can be restored badly: train on jets like these, or add --bound",
        note,
    )
    assert 100 < int(found[1]) < 30_000
    with hepae.open("c.root") as file:
        assert file.header.collections["Jet"].outside == int(found[1])
    compared = run("compare", "jets.root", "c.root", "-o", "plots")
    assert f"note: c.root: {note[6:]}" in compared.stderr
    for options in (["--latent-bits", 8, "--bound", "pt=1%"], []):  # bounds are kept; float32 has no range
        other = run("compress", "jets.root", "-m", "central.safetensors", *options, "-o", "d.root", "--force")
        assert other.exit_code == 0, other.output
        assert " latents " not in other.stderr
    assert " latents " not in run("compare", "jets.root", "d.root", "-o", "plots", "--force").stderr


@pytest.mark.usefixtures("work")
def test_a_model_of_other_columns(run, one_line):
    config = hepae.TrainingConfig(
        epochs=1, columns=("pt", "eta", "phi", "mass", "qgl"), network=hepae.AutoencoderConfig(hidden=(8,))
    )
    jets = hepae.read_jets("jets.root")[:500]
    jets["qgl"] = jets.pt * 2
    hepae.train(jets, config).codec.save("other.safetensors")
    one_line(
        run("compress", "jets.root", "-m", "other.safetensors", "-o", "out.root"),
        "these jets have no qgl",
        "only pt, eta, phi, mass",
    )
    assert not Path("out.root").exists()
    one_line(
        run("compress", "jets.root", "-m", "jets.root", "-o", "out.root"),
        "jets.root is a ROOT file, not a hepae model; hepae train makes models",
    )


@pytest.mark.usefixtures("work")
def test_what_is_no_compressed_file_and_no_jets_is_called_by_its_kind(run):
    Path("notes.txt").write_text("Dear all\n{these are notes}\n")
    for name, kind in {"model.safetensors": "a model file", "notes.txt": "a text file"}.items():
        result = run("decompress", name, "-o", "back.root")
        assert result.exit_code == 1
        assert result.stderr.endswith(f"{name} is {kind}, not a compressed file; hepae compress makes one\n")
    result = run("compress", "model.safetensors", "-o", "small.root")
    assert "model.safetensors is a model file and has no jets" in result.stderr
    Path("notes.txt").write_text("notes: {\n")
    result = run("info", "notes.txt")
    assert result.exit_code == 1
    assert "notes.txt is neither a ROOT file nor" in result.stderr


@pytest.mark.usefixtures("work")
def test_a_text_of_each_event_passes_through_a_tree(run):
    jets = {name: ak.Array([[1.0, 2.0], [], [3.0]]) for name in ("Jet_pt", "Jet_eta", "Jet_phi", "Jet_mass")}
    with uproot.recreate("texts.root") as file:
        tree = file.mktree("Events", {**dict.fromkeys(jets, "var * float32"), "sample": "string"})
        tree.extend({**jets, "sample": ak.Array(["ttbar", "", "dijets"])})
    assert run("compress", "texts.root", "-o", "small.root").exit_code == 0
    assert run("decompress", "small.root", "-o", "back.root").exit_code == 0
    with uproot.open("back.root") as file:
        assert file["Events"]["sample"].array().tolist() == ["ttbar", "", "dijets"]


@pytest.mark.usefixtures("work")
def test_sizes_are_those_of_the_compressed_file(run):
    options = ["--collection", "Jet", "--bound", "pt=1%", "--quiet"]
    told = json.loads(run("info", "jets.root", "--sizes", *options, "--json").stdout)
    assert run("compress", "jets.root", "-o", "small.root", *options).exit_code == 0
    assert told["estimate"] == pytest.approx(Path("small.root").stat().st_size, rel=0.001)
    result = run("info", "jets.root", "--sizes", *options, "--report", "page")
    assert result.exit_code == 0, result.output
    assert re.search(r"│ Jet +│ +5 │ ", result.stdout)
    assert re.search(r"│ whole file +│ +16 │ ", result.stdout)
    assert "page/sizes.html: all 16 branches" in result.stdout
    assert "Jet_mass" in Path("page/sizes.html").read_text()
    result = run("info", "small.root", "--sizes")
    assert result.exit_code == 0
    assert "estimate" not in result.stdout


@pytest.mark.usefixtures("work")
def test_options_of_sizes_need_sizes(run, one_line):
    for options in (
        ["--report", "page"],
        ["--bound", "pt=1%"],
        ["--all"],
        ["--collection", "Jet", "--collection", "GenJet"],
    ):
        result = run("info", "jets.root", *options)
        assert result.exit_code == 2
        assert "needs --sizes" in result.stderr
    Path("page").write_text("a file")
    one_line(
        run("info", "jets.root", "--sizes", "--quiet", "--report", "page"), "cannot make the folder page"
    )
