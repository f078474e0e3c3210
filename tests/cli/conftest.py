"""Commands that are run in a folder with the sample and a model."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
from click.testing import CliRunner

from hepae.cli import main


@pytest.fixture
def work(sample, codec, tmp_path, monkeypatch):
    """A folder with the sample and a model, to run commands in."""
    monkeypatch.chdir(tmp_path)
    Path("jets.root").write_bytes(sample.read_bytes())
    codec.save("model.safetensors")
    return tmp_path


@pytest.fixture(scope="session")
def run():
    """Run a command and give its result: exit status, stdout and stderr."""
    return lambda *arguments: CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="session")
def one_line():
    """Check that a result is an error in one line with these words."""

    def check(result, *words):
        assert result.exit_code == 1, result.output
        lines = [line for line in result.stderr.splitlines() if line.strip()]
        assert len(lines) == 1
        assert lines[0].startswith("Error: ")
        for word in words:
            assert word in lines[0]

    return check


class _Hostile:
    def __reduce__(self):
        return os.system, ("touch ran",)


@pytest.fixture(scope="session")
def hostile_pickle():
    """A pickle that makes a file ``ran`` where it is loaded as Python loads it."""
    return pickle.dumps(_Hostile())
