"""The commands of the documentation run, in their order."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from hepae.cli import main

DOCS = Path(__file__).parent.parent / "docs"


@pytest.mark.parametrize("name", ["choosing_bounds.md", "before_you_delete.md"])
def test_each_command_runs(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"^    hepae (.+)$", (DOCS / name).read_text(encoding="utf-8"), re.MULTILINE)
    assert len(commands) > 4
    for command in commands:
        words = shlex.split(re.split(r" [>&]", command)[0])
        result = CliRunner().invoke(main, [*words, "--quiet"] if words[0] != "sample" else words)
        assert result.exit_code == 0, (command, result.output)


@pytest.mark.parametrize("name", ["choosing_bounds.md", "before_you_delete.md"])
def test_each_file_that_is_named_exists(name):
    text = (DOCS / name).read_text(encoding="utf-8")
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", text):
        assert (DOCS / link).exists(), link
    for script in re.findall(r"python (analysis/\S+\.py)", text):
        assert (DOCS.parent / script).exists(), script
