from __future__ import annotations

import json
import os
import pickle
import re
import resource
import subprocess
import sys
from pathlib import Path

import awkward as ak
import pytest
import uproot
from click.testing import CliRunner
from matplotlib.text import Text

import hepae
from hepae.cli import main
from hepae.validation import canvas

README = Path(__file__).parent.parent / "README.md"


@pytest.fixture
def work(sample, codec, tmp_path, monkeypatch):
    """A folder with the sample and a model, to run commands in."""
    monkeypatch.chdir(tmp_path)
    Path("jets.root").write_bytes(sample.read_bytes())
    codec.save("model.safetensors")
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.mark.usefixtures("work")
def test_bounds_need_no_model():
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


@pytest.mark.usefixtures("work")
def test_compare_prints_its_metrics(monkeypatch):
    monkeypatch.setattr(canvas, "save", lambda _, path: [path])  # the figures are test_comparison's
    run("compress", "jets.root", "-m", "model.safetensors", "-o", "small.root")
    result = run("compare", "jets.root", "small.root", "-o", "out", "--json", "--quiet")
    assert json.loads(result.stdout) == json.loads(Path("out/metrics.json").read_text())
    again = run(
        "compare", "jets.root", "small.root", "-o", "twice", "--json", "--quiet", *["--collection", "Jet"] * 2
    )
    assert again.stdout == result.stdout


@pytest.mark.usefixtures("work")
def test_the_word_atlas_stands_only_where_asked_for(monkeypatch):
    texts = []

    def read(figure, path):
        texts.append({text.get_text() for text in figure.findobj(Text)})
        return [path]

    monkeypatch.setattr(canvas, "save", read)
    assert run("compare", "jets.root", "jets.root", "-o", "plain").exit_code == 0
    assert len(texts) >= 10
    assert not any("ATLAS" in text for figure in texts for text in figure)
    texts.clear()
    options = ("--experiment", "ATLAS", "--label", "Internal")
    assert run("compare", "jets.root", "jets.root", "-o", "atlas", *options).exit_code == 0
    assert len(texts) >= 10
    for figure in texts:
        assert any("ATLAS" in text for text in figure)
        assert any("Internal" in text for text in figure)


@pytest.mark.usefixtures("work")
def test_a_run_is_resumed():
    options = ("--epochs", 2, "--hidden", "16-8", "--fraction", 0.1)
    assert run("train", "jets.root", "-o", "first.safetensors", *options).exit_code == 0
    (folder,) = Path("runs").iterdir()
    result = run("train", "jets.root", "-o", "again.safetensors", "--resume", folder)
    assert result.exit_code == 0, result.output
    assert Path("again.safetensors").read_bytes() == Path("first.safetensors").read_bytes()
    assert [*Path("runs").iterdir()] == [folder]
    both = run("train", "jets.root", "-o", "other.safetensors", "--resume", folder, "--epochs", 9)
    assert both.exit_code == 2
    for checkpoint in (b"damaged", pickle.dumps(_Hostile())):
        (folder / "last.pt").write_bytes(checkpoint)
        _one_line(
            run("train", "jets.root", "-o", "other.safetensors", "--resume", folder), "last.pt", "damaged"
        )
    assert not Path("other.safetensors").exists()
    assert not Path("ran").exists()
    for none in ("runs", "nowhere"):
        _one_line(
            run("train", "jets.root", "-o", "other.safetensors", "--resume", none), "no run to resume", none
        )


@pytest.mark.usefixtures("work")
def test_a_run_is_resumed_only_on_its_own_jets():
    options = ("--epochs", 1, "--hidden", "8", "--fraction", 0.1)
    run("train", "jets.root", "-o", "first.safetensors", *options)
    (folder,) = Path("runs").iterdir()
    others = run(
        "train", "jets.root", "-o", "other.safetensors", "--resume", folder, "--collection", "GenJet"
    )
    _one_line(others, "other jets", str(folder))
    assert not Path("other.safetensors").exists()


@pytest.mark.usefixtures("work")
def test_options_of_a_file_and_of_the_command_line():
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
def test_a_training_in_bfloat16_says_so():
    Path("c.toml").write_text('precision = "bfloat16"\nepochs = 1\n[network]\nhidden = [4]\n')
    options = ("--config", "c.toml", "--fraction", 0.1, "--force")
    said = run("train", "jets.root", "-o", "b.safetensors", *options)
    assert said.exit_code == 0, said.output
    assert re.search(r"precision\W+bfloat16", said.stdout)
    assert "precision: bfloat16" in run("info", "b.safetensors").stdout
    Path("c.toml").write_text("epochs = 1\n[network]\nhidden = [4]\n")
    assert "bfloat16" not in run("train", "jets.root", "-o", "b.safetensors", *options).output


def _trained_columns(*options):
    result = run("train", *options, "-o", "m.safetensors", "--epochs", 1, "--hidden", "4", "--force")
    assert result.exit_code == 0, result.output
    return json.loads(run("info", "m.safetensors", "--json").stdout)["columns"]


@pytest.mark.usefixtures("work")
def test_columns_are_chosen_by_pattern(data):
    momentum = ["pt", "eta", "phi", "mass"]
    assert _trained_columns("jets.root", "--columns", "*") == momentum
    nano = data / "nanoaod_tt_v12.root"
    found = _trained_columns(nano, "--columns", "pt,eta,phi,mass,btag*", "--collection", "Jet")
    assert found[:4] == momentum
    assert len(found) > 5
    assert all(name.startswith("btag") for name in found[4:])
    assert _trained_columns(data / "flat_pxpypzE_ww.root", "--columns", "*")[:4] == momentum


@pytest.mark.usefixtures("work")
@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ("pt,eta,phi,mass,btag*", "no column matches 'btag*' in --columns: there are pt, eta, phi, mass"),
        ("p*", "columns pt, phi do not make a jet: add eta, mass or E to --columns"),
    ],
)
def test_columns_that_cannot_be_coded_are_said_in_one_line(columns, words):
    result = run("train", "jets.root", "-o", "m2.safetensors", "--columns", columns)
    assert result.exit_code == 2
    assert result.stderr.strip().splitlines() == [f"Error: {words}"]
    assert not Path("m2.safetensors").exists()
    assert not Path("runs").exists()


@pytest.mark.usefixtures("work")
def test_a_model_with_bounds_compresses_within_them(codec):
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


@pytest.mark.usefixtures("work")
def test_jets_outside_the_training_range_of_a_model_are_said():
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


@pytest.mark.parametrize("command", [(), *((name,) for name in main.commands)])
def test_help_teaches(command):
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.output
    assert "\\b" not in result.output
    if not command:
        assert "\n    hepae decompress small.root -o restored.root\n" in result.output
        assert "..." not in result.output.replace("[ARGS]...", "")  # what a command does fits into its line


class _Hostile:
    def __reduce__(self):
        return os.system, ("touch ran",)


def _one_line(result, *words):
    assert result.exit_code == 1, result.output
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    assert len(lines) == 1
    assert lines[0].startswith("Error: ")
    for word in words:
        assert word in lines[0]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing.root", ["no such file", "missing.root"]),
        ("truncated.root", ["truncated.root", "truncated"]),
        ("nojets.root", ["no jets", "nojets.root"]),
        ("hostile.pkl", ["hostile.pkl", "system"]),
        ("empty.root", ["empty.root", "neither"]),
    ],
)
@pytest.mark.parametrize("command", ["compress", "train", "info", "compare"])
def test_bad_input_ends_in_one_line_and_leaves_nothing(work, make_tree, name, words, command):
    import numpy as np

    Path("truncated.root").write_bytes(Path("jets.root").read_bytes()[:500_000])
    Path("empty.root").touch()
    Path("hostile.pkl").write_bytes(pickle.dumps(_Hostile()))
    make_tree({"x": np.ones(3)}, name="nojets.root")
    before = {*work.iterdir()}
    options = {
        "compress": (name, "-m", "model.safetensors", "-o", "out.root"),
        "train": (name, "-o", "out.safetensors", "--epochs", 1),
        "info": (name,),
        "compare": (name, "jets.root", "-o", "out"),
    }[command]
    _one_line(run(command, *options), *words)
    assert {*work.iterdir()} == before


@pytest.mark.usefixtures("work")
def test_a_model_of_other_columns():
    config = hepae.TrainingConfig(
        epochs=1, columns=("pt", "eta", "phi", "mass", "qgl"), network=hepae.AutoencoderConfig(hidden=(8,))
    )
    jets = hepae.read_jets("jets.root")[:500]
    jets["qgl"] = jets.pt * 2
    hepae.train(jets, config).codec.save("other.safetensors")
    _one_line(
        run("compress", "jets.root", "-m", "other.safetensors", "-o", "out.root"),
        "these jets have no qgl",
        "only pt, eta, phi, mass",
    )
    assert not Path("out.root").exists()
    _one_line(
        run("compress", "jets.root", "-m", "jets.root", "-o", "out.root"),
        "jets.root is a ROOT file, no hepae model; hepae train makes models",
    )


@pytest.mark.usefixtures("work")
def test_existing_output_needs_force():
    Path("small.root").write_text("precious")
    Path("m.safetensors").write_text("precious")
    for command in (
        ("compress", "jets.root", "-m", "model.safetensors", "-o", "small.root"),
        ("train", "jets.root", "-o", "m.safetensors"),
        ("sample", "small.root"),
    ):
        _one_line(run(*command), "--force")
    assert Path("small.root").read_text() == Path("m.safetensors").read_text() == "precious"
    assert run("sample", "small.root", "--force").exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("compress", "jets.root", "-o", "out.root", "-m", "model.safetensors", "--latent-bits", 40),
        ("compress", "jets.root", "-o", "out.root", "-m", "model.safetensors", "--compression", "zip:1"),
        ("compress", "jets.root", "-o", "out.root", "-m", "model.safetensors", "--bound", "phi=1%"),
        ("compress", "jets.root", "-o", "out.root", "--latent-bits", 8),
        ("compress", "jets.root", "-o", "out.root", "--bound", "phi=1%"),
        ("compress", "jets.root", "-o", "out.root", "--bound", "pt"),
        ("compress", "jets.root", "-o", "out.root", "--edges", "pt=a"),
        ("train", "jets.root", "-o", "m.safetensors", "--hidden", "a-b"),
        ("train", "jets.root", "-o", "m.safetensors", "--preset", "nope"),
        ("train", "jets.root", "-o", "m.safetensors", "--epochs", 0),
        ("train", "jets.root", "-o", "m.safetensors", "--epochs", "many"),
        ("train", "jets.root", "-o", "m.safetensors", "--seed", -1),
        ("train", "jets.root", "-o", "m.safetensors", "--fraction", 0),
        ("train", "jets.root", "-o", "m.safetensors", "--activation", "sin"),
        ("train", "jets.root", "-o", "m.safetensors", "--basis", "fourier"),
        ("train", "jets.root", "-o", "m.safetensors", "--columns", ","),
        ("train", "jets.root", "-o", "m.safetensors", "--columns", "pt,eta,phi,m,E"),
        ("train", "jets.root", "-o", "m.safetensors", "--config", "none.toml"),
        ("train", "jets.root", "-o", "m.safetensors", "--device", "abacus"),
        ("train", "-o", "m.safetensors"),
        ("info", "jets.root", "--unit", "eV"),
        ("info", "jets.root", "--unit", "MeV"),
        ("compress", "jets.root", "-o", "out.root", "--keep", "MTE_*"),
        ("compress", "jets.root", "-o", "out.root", "--collection", "Jte*"),
        ("nope",),
    ],
)
def test_wrong_usage_is_status_2(work, arguments):
    before = {*work.iterdir()}
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert {*work.iterdir()} - before <= {work / "runs"}


@pytest.mark.parametrize(
    ("command", "right"),
    [
        (("compress", "jets.root", "-o", "a.txt"), ".root"),
        (("compress", "jets.root", "-o", "small"), ".root"),
        (("decompress", "small.root", "-o", "r.csv"), ".root or .parquet"),
        (("train", "jets.root", "-o", "m.pt"), ".safetensors"),
        (("export", "model.safetensors", "-o", "m.root"), ".onnx"),
        (("sample", "s.parquet"), ".root"),
        (("generate", "s.h5"), ".root"),
    ],
)
def test_the_suffix_of_an_output_says_its_format(work, command, right):
    before = {*work.iterdir()}
    result = run(*command)
    assert result.exit_code == 2
    assert f"the name must end in {right}" in result.stderr.splitlines()[-1]
    assert {*work.iterdir()} == before


@pytest.mark.usefixtures("work")
def test_what_is_no_compressed_file_and_no_jets_is_called_by_its_kind():
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
def test_a_text_of_each_event_passes_through_a_tree():
    jets = {name: ak.Array([[1.0, 2.0], [], [3.0]]) for name in ("Jet_pt", "Jet_eta", "Jet_phi", "Jet_mass")}
    with uproot.recreate("texts.root") as file:
        tree = file.mktree("Events", {**dict.fromkeys(jets, "var * float32"), "sample": "string"})
        tree.extend({**jets, "sample": ak.Array(["ttbar", "", "dijets"])})
    assert run("compress", "texts.root", "-o", "small.root").exit_code == 0
    assert run("decompress", "small.root", "-o", "back.root").exit_code == 0
    with uproot.open("back.root") as file:
        assert file["Events"]["sample"].array().tolist() == ["ttbar", "", "dijets"]


@pytest.mark.usefixtures("work")
def test_quiet_says_nothing_on_the_way():
    result = run("compress", "jets.root", "-m", "model.safetensors", "-o", "small.root", "--quiet")
    assert result.stderr == ""
    loud = run("compress", "jets.root", "-m", "model.safetensors", "-o", "small.root", "--force")
    assert "compressing" in loud.stderr
    for word, command in {
        "training": (
            "train",
            "jets.root",
            "-o",
            "m.safetensors",
            "--epochs",
            1,
            "--hidden",
            "8",
            "--fraction",
            0.1,
        ),
        "restoring": ("decompress", "small.root", "-o", "back.root"),
    }.items():
        quiet = run(*command, "--quiet")
        assert quiet.exit_code == 0
        assert word not in quiet.stderr
        assert word in run(*command, "--force").stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("compress", "jets.root", "-m", "model.safetensors", "-o", "out.root"),
        ("decompress", "small.root", "-o", "out.root"),
        (
            "train",
            "jets.root",
            "-o",
            "out.safetensors",
            "--epochs",
            1,
            "--hidden",
            "64-32",
            "--fraction",
            0.1,
        ),
        ("sample", "out.root"),
        ("compare", "jets.root", "jets.root", "-o", "out"),
    ],
)
def test_a_full_disk_ends_in_one_line_and_leaves_no_output(work, codec, arguments):
    """A limit on the size of files stands for the full disk: writes fail in the same way."""
    if arguments[0] == "decompress":
        hepae.compress_file("jets.root", "small.root", codec)
    before = {path.name for path in work.iterdir()}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "hepae",
            *map(str, arguments),
            *(() if arguments[0] == "sample" else ("--quiet",)),
        ],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Error: cannot write")
    assert len(done.stderr.splitlines()) == 1
    assert {path.name for path in work.iterdir()} - before <= {
        "out",
        "runs",
    }  # folders of figures and of the run
    assert not Path("out/metrics.json").exists()
    assert not [*work.rglob("*.part")]


def test_the_readmes_shell_commands_are_real_options():
    for line in re.findall(r"^    hepae (.+)$", README.read_text(), re.MULTILINE):
        words = line.split("#")[0].split()
        if words[0].startswith("-"):
            continue
        known = {option for parameter in main.commands[words[0]].params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= known | {"--help"}


@pytest.mark.usefixtures("work")
def test_an_output_folder_that_is_not_there_is_said_before_training():
    _one_line(run("train", "jets.root", "-o", "nofolder/m.safetensors"), "no folder nofolder")
    assert not Path("runs").exists()
