from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import uproot

import hepae


@pytest.mark.usefixtures("work")
def test_a_run_is_resumed(run, hostile_pickle, one_line):
    options = ("--epochs", 2, "--hidden", "16-8", "--fraction", 0.1)
    assert run("train", "jets.root", "-o", "first.safetensors", *options).exit_code == 0
    (folder,) = Path("runs").iterdir()
    result = run("train", "jets.root", "-o", "again.safetensors", "--resume", folder)
    assert result.exit_code == 0, result.output
    assert Path("again.safetensors").read_bytes() == Path("first.safetensors").read_bytes()
    assert [*Path("runs").iterdir()] == [folder]
    both = run("train", "jets.root", "-o", "other.safetensors", "--resume", folder, "--epochs", 9)
    assert both.exit_code == 2
    for checkpoint in (b"damaged", hostile_pickle):
        (folder / "last.pt").write_bytes(checkpoint)
        one_line(
            run("train", "jets.root", "-o", "other.safetensors", "--resume", folder), "last.pt", "damaged"
        )
    assert not Path("other.safetensors").exists()
    assert not Path("ran").exists()
    for none in ("runs", "nowhere"):
        one_line(
            run("train", "jets.root", "-o", "other.safetensors", "--resume", none),
            "not a run that can be resumed",
            none,
        )


@pytest.mark.usefixtures("work")
def test_a_run_is_resumed_only_on_its_own_jets(run, one_line):
    options = ("--epochs", 1, "--hidden", "8", "--fraction", 0.1)
    run("train", "jets.root", "-o", "first.safetensors", *options)
    (folder,) = Path("runs").iterdir()
    others = run(
        "train", "jets.root", "-o", "other.safetensors", "--resume", folder, "--collection", "GenJet"
    )
    one_line(others, "other jets", str(folder))
    assert not Path("other.safetensors").exists()


@pytest.mark.usefixtures("work")
def test_options_of_a_file_and_of_the_command_line(run):
    Path("c.toml").write_text('epochs = 3\nfraction = 0.05\nruns_dir = "kept"\n[network]\nhidden = [12, 6]\n')
    result = run(
        "train", "jets.root", "-o", "m.safetensors", "--config", "c.toml", "--epochs", 1, "--latent", 2
    )
    assert result.exit_code == 0, result.output
    (folder,) = Path("kept").iterdir()
    config = hepae.TrainingConfig.from_toml(folder / "config.toml")
    assert (config.epochs, config.fraction) == (1, 0.05)
    assert (config.network.hidden, config.network.latent) == ((12, 6), 2)
    Path("c.toml").write_text("epochs = 1\nfraction = 0.05\nnetwork.hidden = [8]\n")
    assert run("train", "jets.root", "-o", "n.safetensors", "--config", "c.toml").exit_code == 0
    assert [path.name for path in Path("runs").glob("*/last.pt")] == [
        "last.pt"
    ]  # recorded without being asked


@pytest.mark.usefixtures("work")
def test_a_training_in_bfloat16_says_so(run):
    Path("c.toml").write_text('precision = "bfloat16"\nepochs = 1\n[network]\nhidden = [4]\n')
    options = ("--config", "c.toml", "--fraction", 0.1, "--force")
    said = run("train", "jets.root", "-o", "b.safetensors", *options)
    assert said.exit_code == 0, said.output
    assert re.search(r"precision\W+bfloat16", said.stdout)
    assert "precision: bfloat16" in run("info", "b.safetensors").stdout
    Path("c.toml").write_text("epochs = 1\n[network]\nhidden = [4]\n")
    assert "bfloat16" not in run("train", "jets.root", "-o", "b.safetensors", *options).output


def _trained_columns(run, *options):
    result = run("train", *options, "-o", "m.safetensors", "--epochs", 1, "--hidden", "4", "--force")
    assert result.exit_code == 0, result.output
    return json.loads(run("info", "m.safetensors", "--json").stdout)["columns"]


@pytest.mark.usefixtures("work")
def test_columns_are_chosen_by_pattern(run, data):
    momentum = ["pt", "eta", "phi", "mass"]
    assert _trained_columns(run, "jets.root", "--columns", "*") == momentum
    nano = data / "nanoaod_tt_v12.root"
    found = _trained_columns(run, nano, "--columns", "pt,eta,phi,mass,btag*", "--collection", "Jet")
    assert found[:4] == momentum
    assert len(found) > 5
    assert all(name.startswith("btag") for name in found[4:])
    assert _trained_columns(run, data / "flat_pxpypzE_ww.root", "--columns", "*")[:4] == momentum
    both = _trained_columns(
        run, data / "jets_9columns.h5", "--columns", "all"
    )  # mass, and E, which follows from it
    assert both == ["eta", "phi", "pt", "mass", "ChargedFraction", "PTD", "Axis2", "Flavor"]


@pytest.mark.usefixtures("work")
def test_all_columns_are_trained_compressed_and_restored(run, data):
    """Every column comes back in its type, integers and booleans as well."""
    nano = data / "nanoaod_tt_v12.root"
    assert len(_trained_columns(run, nano, "--columns", "all", "--preset", "folded", "--latent", 6)) > 40
    for command in (
        ("compress", nano, "-m", "m.safetensors", "-o", "c.root", "--latent-bits", 8, "--drop", "*"),
        ("decompress", "c.root", "-o", "r.root"),
    ):
        said = run(*command)
        assert said.exit_code == 0, said.output
    with uproot.open(nano) as before, uproot.open("r.root") as after:
        names = after["Events"].keys(filter_name="Jet_*")
        assert len(names) > 40
        for name in names:
            old, new = (file["Events"][name].array() for file in (before, after))
            assert new.type == old.type


@pytest.mark.usefixtures("work")
@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ("pt,eta,phi,mass,btag*", "no column matches 'btag*' in --columns: there are pt, eta, phi, mass"),
        ("p*", "columns pt, phi do not define a jet: add eta, mass or E to --columns"),
    ],
)
def test_columns_that_cannot_be_coded_are_said_in_one_line(run, columns, words):
    result = run("train", "jets.root", "-o", "m2.safetensors", "--columns", columns)
    assert result.exit_code == 2
    assert result.stderr.strip().splitlines() == [f"Error: {words}"]
    assert not Path("m2.safetensors").exists()
    assert not Path("runs").exists()


@pytest.mark.usefixtures("work")
def test_an_output_folder_that_is_not_there_is_said_before_training(run, one_line):
    one_line(run("train", "jets.root", "-o", "nofolder/m.safetensors"), "no folder nofolder")
    assert not Path("runs").exists()
