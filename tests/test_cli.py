from __future__ import annotations

import json
import os
import pickle
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from matplotlib.text import Text

import hepae
from hepae.cli import main
from hepae.validation import plotting

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
    monkeypatch.setattr(plotting, "save", lambda _, path: [path])  # the figures are test_comparison's
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

    monkeypatch.setattr(plotting, "save", read)
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
    assert run("train", "jets.root", "-o", "first", *options).exit_code == 0
    (folder,) = Path("runs").iterdir()
    result = run("train", "jets.root", "-o", "again", "--resume", folder)
    assert result.exit_code == 0, result.output
    assert Path("again").read_bytes() == Path("first").read_bytes()
    assert [*Path("runs").iterdir()] == [folder]
    both = run("train", "jets.root", "-o", "other", "--resume", folder, "--epochs", 9)
    assert both.exit_code == 2
    for checkpoint in (b"damaged", pickle.dumps(_Hostile())):
        (folder / "last.pt").write_bytes(checkpoint)
        _one_line(run("train", "jets.root", "-o", "other", "--resume", folder), "last.pt", "damaged")
    assert not Path("other").exists()
    assert not Path("ran").exists()
    for none in ("runs", "nowhere"):
        _one_line(run("train", "jets.root", "-o", "other", "--resume", none), "no run to resume", none)


@pytest.mark.usefixtures("work")
def test_a_run_is_resumed_only_on_its_own_jets():
    options = ("--epochs", 1, "--hidden", "8", "--fraction", 0.1)
    run("train", "jets.root", "-o", "first", *options)
    (folder,) = Path("runs").iterdir()
    others = run("train", "jets.root", "-o", "other", "--resume", folder, "--collection", "GenJet")
    _one_line(others, "other jets", str(folder))
    assert not Path("other").exists()


@pytest.mark.usefixtures("work")
def test_options_of_a_file_and_of_the_command_line():
    Path("c.toml").write_text('epochs = 3\nfraction = 0.05\nruns_dir = "kept"\n[network]\nhidden = [12, 6]\n')
    result = run("train", "jets.root", "-o", "m", "--config", "c.toml", "--epochs", 1, "--latent", 2)
    assert result.exit_code == 0, result.output
    (folder,) = Path("kept").iterdir()
    config = hepae.TrainingConfig.from_toml(folder / "config.toml")
    assert (config.epochs, config.fraction) == (1, 0.05)
    assert (config.network.hidden, config.network.latent) == ((12, 6), 2)
    Path("c.toml").write_text("epochs = 1\nfraction = 0.05\nnetwork.hidden = [8]\n")
    assert run("train", "jets.root", "-o", "n", "--config", "c.toml").exit_code == 0
    assert [path.name for path in Path("runs").glob("*/last.pt")] == [
        "last.pt"
    ]  # recorded without being asked


@pytest.mark.parametrize("command", [(), *((name,) for name in main.commands)])
def test_help_teaches(command):
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.output


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
        "has no qgl",
        "only pt, eta, phi, mass",
    )
    assert not Path("out.root").exists()
    _one_line(run("compress", "jets.root", "-m", "jets.root", "-o", "out.root"), "no hepae model")


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
        ("train", "jets.root", "-o", "m", "--hidden", "a-b"),
        ("train", "jets.root", "-o", "m", "--preset", "nope"),
        ("train", "jets.root", "-o", "m", "--epochs", 0),
        ("train", "jets.root", "-o", "m", "--epochs", "many"),
        ("train", "jets.root", "-o", "m", "--seed", -1),
        ("train", "jets.root", "-o", "m", "--fraction", 0),
        ("train", "jets.root", "-o", "m", "--activation", "sin"),
        ("train", "jets.root", "-o", "m", "--basis", "fourier"),
        ("train", "jets.root", "-o", "m", "--columns", ","),
        ("train", "jets.root", "-o", "m", "--columns", "pt,eta,phi,m,E"),
        ("train", "jets.root", "-o", "m", "--config", "none.toml"),
        ("train", "jets.root", "-o", "m", "--device", "abacus"),
        ("train", "-o", "m"),
        ("info", "jets.root", "--unit", "eV"),
        ("nope",),
    ],
)
def test_wrong_usage_is_status_2(work, arguments):
    before = {*work.iterdir()}
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert {*work.iterdir()} - before <= {work / "runs"}


@pytest.mark.usefixtures("work")
def test_quiet_says_nothing_on_the_way():
    result = run("compress", "jets.root", "-m", "model.safetensors", "-o", "small.root", "--quiet")
    assert result.stderr == ""
    loud = run("compress", "jets.root", "-m", "model.safetensors", "-o", "small.root", "--force")
    assert "compressing" in loud.stderr
    for word, command in {
        "training": ("train", "jets.root", "-o", "m", "--epochs", 1, "--hidden", "8", "--fraction", 0.1),
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
        ("train", "jets.root", "-o", "out.root", "--epochs", 1, "--hidden", "64-32", "--fraction", 0.1),
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
