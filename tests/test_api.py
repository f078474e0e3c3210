from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import hepae
from hepae.cli import main

README = Path(__file__).parent.parent / "README.md"


def test_the_public_names():
    assert hepae.__all__ == [
        "AutoencoderConfig",
        "Bound",
        "BoundedCodec",
        "Bounds",
        "CodecError",
        "CompressedFile",
        "ConfigError",
        "Edges",
        "HepaeError",
        "InputError",
        "LatentCodec",
        "OutputError",
        "TrainingConfig",
        "TrainingResult",
        "compare_files",
        "compress_file",
        "decompress_file",
        "export",
        "iterate_jets",
        "load_codec",
        "open",
        "rdataframe",
        "read_jets",
        "residuals",
        "restore",
        "restored",
        "train",
        "verify",
    ]
    assert {*hepae.__all__} < {*dir(hepae)}
    for name in hepae.__all__:
        assert getattr(hepae, name).__doc__
    with pytest.raises(AttributeError, match="nope"):
        _ = hepae.nope


def test_starting_imports_nothing_heavy():
    script = "import sys, hepae, hepae.cli; print(*sorted({n.split('.')[0] for n in sys.modules}))"
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "click" in loaded
    assert not {"torch", "matplotlib", "coffea", "awkward", "numpy", "uproot", "rich"} & {*loaded}


def test_the_commands():
    assert [*main.commands] == [
        "sample",
        "generate",
        "train",
        "suggest",
        "compress",
        "verify",
        "decompress",
        "compare",
        "info",
        "export",
        "include",
    ]


def test_every_command_is_in_the_readme():
    text = README.read_text()
    for command in main.commands:
        assert re.search(rf"hepae {command}\b", text)
    for target in ("make demo", "make test"):
        assert target in text


@pytest.mark.filterwarnings("ignore:Missing cross-reference:RuntimeWarning")
def test_the_readmes_python_runs(sample, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("jets.root").write_bytes(sample.read_bytes())
    hepae.compress_file("jets.root", "bounded.root", hepae.BoundedCodec())  # the README's shell commands did
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    printed = []
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
        printed.append(json.loads(capsys.readouterr().out))
    width, jets = printed
    assert 0 < width < 1
    assert len(jets) == len(hepae.read_jets("jets.root").pt[0])
    assert Path("python.root").exists()
