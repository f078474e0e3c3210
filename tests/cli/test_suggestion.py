from __future__ import annotations

import json
import re
import shlex

import awkward as ak
import numpy as np
import pytest
import uproot
from click.testing import CliRunner

import hepae
from hepae.bounds_files import read_bounds
from hepae.cli import main


def run(*arguments, status=0):
    result = CliRunner().invoke(main, [*map(str, arguments)])
    assert result.exit_code == status, result.output
    return result


def test_the_file_is_read_again_and_overridden(sample, tmp_path):
    path, small = tmp_path / "bounds.toml", tmp_path / "small.root"
    printed = run("suggest", sample, "-o", path, "--quiet").stdout
    assert "resolution of CMS (8 TeV, arXiv:1607.03663)" in printed.replace("\n", " ") or "CMS" in printed
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


def test_the_command_that_is_printed_runs(tmp_path):
    random = np.random.default_rng(1)
    jets = {
        f"{name}_{column}": ak.unflatten(random.uniform(1, 2, 400).astype(np.float32), np.full(200, 2))
        for name in ("Jet", "Muon")
        for column in ("pt", "eta", "phi", "mass")
    }
    path = tmp_path / "jets.root"
    with uproot.recreate(path) as file:
        file.mktree("Events", dict.fromkeys(jets, "var * float32"))
        file["Events"].extend(jets)
    bounds = tmp_path / "two words.toml"
    options = ("--collection", "Muon", "--collection", "Jet", "--unit", "GeV", "--tree", "Events", "--quiet")
    lines = run("suggest", path, "-o", bounds, *options).stdout.replace("\n", " ")
    (command,) = re.findall(r"hepae (compress .* -o )OUT.root", lines)
    assert f"# hepae {command}OUT.root takes this file." in bounds.read_text()
    run(*shlex.split(command), tmp_path / "small.root", "--quiet")
    with hepae.open(tmp_path / "small.root") as file:
        assert file.collections.keys() == {"Jet", "Muon"}


@pytest.mark.parametrize(
    "options", [("--widen", "0%"), ("--widen", "x"), ("--bytes", "-1"), ("--bytes", "4", "--widen", "1%")]
)
def test_numbers_that_make_no_sense(sample, tmp_path, options):
    run("suggest", sample, "-o", tmp_path / "b.toml", *options, status=2)
    assert not (tmp_path / "b.toml").exists()
