from __future__ import annotations

import subprocess
import sys

import pytest

import hepae
from hepae.cli import main


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
        "info",
        "suggest",
        "compress",
        "verify",
        "compare",
        "decompress",
        "train",
        "export",
        "sample",
        "generate",
        "include",
    ]
