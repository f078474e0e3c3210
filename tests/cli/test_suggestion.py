from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from hepae.bounds_files import read_bounds
from hepae.cli import main


def run(*arguments, status=0):
    result = CliRunner().invoke(main, [*map(str, arguments)])
    assert result.exit_code == status, result.output
    return result


def test_the_file_is_read_again_and_overridden(sample, tmp_path):
    path, small = tmp_path / "bounds.toml", tmp_path / "small.root"
    printed = run("suggest", sample, "-o", path, "--quiet").stdout
    assert "resolution of CMS (arXiv:1607.03663)" in printed.replace("\n", " ") or "CMS" in printed
    bounds = read_bounds(path)
    assert set(bounds.columns) == {"Jet.pt", "Jet.eta", "Jet.phi", "Jet.mass"}
    path.write_text(path.read_text() + '\n[edges.Jet]\npt = "20,30"\n')
    run("compress", sample, "-o", small, "--bounds", path, "--bound", "Jet.eta=0.01", "--quiet")
    content = json.loads(run("info", small, "--json").stdout)
    assert content["bounds"]["eta"] == "0.01"
    assert content["bounds"]["pt"] == str(bounds.columns["Jet.pt"])
    assert content["edges"] == {"pt": [20, 30]}
    assert run("verify", sample, small, "--quiet").exit_code == 0
    assert "exists already" in run("suggest", sample, "-o", path, status=1).stderr


@pytest.mark.parametrize(
    "options", [("--widen", "0%"), ("--widen", "x"), ("--bytes", "-1"), ("--bytes", "4", "--widen", "1%")]
)
def test_numbers_that_make_no_sense(sample, tmp_path, options):
    run("suggest", sample, "-o", tmp_path / "b.toml", *options, status=2)
    assert not (tmp_path / "b.toml").exists()
