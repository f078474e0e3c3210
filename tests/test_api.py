from __future__ import annotations

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
        "CodecError",
        "CompressedFile",
        "ConfigError",
        "HepaeError",
        "InputError",
        "LatentCodec",
        "OutputError",
        "TrainingConfig",
        "TrainingResult",
        "compress_file",
        "decompress_file",
        "iterate_jets",
        "load_codec",
        "open",
        "read_jets",
        "residuals",
        "restore",
        "restored",
        "train",
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
    assert [*main.commands] == ["sample", "generate", "train", "compress", "decompress", "info", "compare"]


def test_every_command_is_in_the_readme():
    text = README.read_text()
    for command in main.commands:
        assert f"hepae {command} " in text
    for target in ("make demo", "make test"):
        assert target in text


def test_the_readmes_python_runs(sample, tmp_path, monkeypatch, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    Path("jets.root").write_bytes(sample.read_bytes())
    exec(compile(code, "README.md", "exec"), {})
    assert 0 < float(capsys.readouterr().out) < 1
    assert Path("python.root").exists()
