from __future__ import annotations

import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

import hepae
from hepae.cli import group, main


@pytest.mark.parametrize("command", [(), *((name,) for name in main.commands)])
def test_help_teaches(run, command):
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert "\\b" not in result.output
    usage, _, rest = result.output.partition("\n\n")
    described = rest.partition("\n\nO")[0].lower()  # up to the first section, Options or Output
    known = main.commands[command[0]].params if command else main.params
    for parameter in known:
        if isinstance(parameter, click.Argument):
            name = parameter.make_metavar(click.Context(main))
            assert name in usage
            for word in {*re.findall(r"[a-z]+", name.lower())} - {"or"}:
                assert word in described, f"{name} is not explained"
        else:
            assert re.search(r"[.)\]\w]$", parameter.help or ""), f"{parameter.opts[0]} is not explained"
            assert max(parameter.opts, key=len) in result.output
    if not command:
        assert "\n    hepae compress jets.root -o small.root    " in result.output
        assert "..." not in result.output.replace("[ARGS]...", "")  # what a command does fits into its line
        joined = " ".join(result.output.split())
        for name, of in main.commands.items():
            assert f" {name} {of.get_short_help_str(100)}" in joined


def _is_a_command_with_these_options(line):
    words = line.split()
    known = {option for parameter in main.commands[words[0]].params for option in parameter.opts}
    assert {word for word in words if word.startswith("-")} <= known | {"--help"}


@pytest.mark.parametrize("command", [(), *((name,) for name in main.commands)])
def test_the_commands_that_help_shows_are_real(run, command):
    shown = re.findall(
        r"^    (?:hepae|torchrun .* hepae) (.+?)(?:  .*)?$", run(*command, "--help").output, re.MULTILINE
    )
    assert shown or command == ("include",), "no example"
    for line in shown:
        _is_a_command_with_these_options(line)


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
def test_bad_input_ends_in_one_line_and_leaves_nothing(
    run, hostile_pickle, one_line, work, make_tree, name, words, command
):
    import numpy as np

    Path("truncated.root").write_bytes(Path("jets.root").read_bytes()[:500_000])
    Path("empty.root").touch()
    Path("hostile.pkl").write_bytes(hostile_pickle)
    make_tree({"x": np.ones(3)}, name="nojets.root")
    before = {*work.iterdir()}
    options = {
        "compress": (name, "-m", "model.safetensors", "-o", "out.root"),
        "train": (name, "-o", "out.safetensors", "--epochs", 1),
        "info": (name,),
        "compare": (name, "jets.root", "-o", "out"),
    }[command]
    one_line(run(command, *options), *words)
    assert {*work.iterdir()} == before


@pytest.mark.usefixtures("work")
def test_existing_output_needs_force(run, one_line):
    Path("small.root").write_text("precious")
    Path("m.safetensors").write_text("precious")
    for command in (
        ("compress", "jets.root", "-m", "model.safetensors", "-o", "small.root"),
        ("train", "jets.root", "-o", "m.safetensors"),
        ("sample", "small.root"),
    ):
        one_line(run(*command), "--force")
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
def test_wrong_usage_is_status_2(run, work, arguments):
    before = {*work.iterdir()}
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert {*work.iterdir()} - before <= {work / "runs"}


@pytest.mark.usefixtures("work")
def test_quiet_says_nothing_on_the_way(run):
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


class _Ended:
    """An object during whose end the process is told to stop."""

    def __del__(self):
        signal.raise_signal(signal.SIGTERM)


def test_sigterm_ends_a_command_even_where_python_ignores_the_exception(monkeypatch):
    ignored = []
    monkeypatch.setattr(group, "_AGAIN", 0.2)
    monkeypatch.setattr(sys, "unraisablehook", lambda what: ignored.append(what.exc_type))

    @main.command("wait")
    def wait():
        _Ended()
        assert ignored == [SystemExit]
        time.sleep(60)

    try:
        with pytest.raises(SystemExit) as ended:
            main(["wait"], standalone_mode=False)
    finally:
        del main.commands["wait"]
    assert ended.value.code == 128 + signal.SIGTERM
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
