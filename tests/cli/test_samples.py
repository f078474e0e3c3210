from __future__ import annotations

from pathlib import Path

import pytest

import hepae


@pytest.mark.usefixtures("work")
def test_the_sample_is_the_bundled_file(run, sample):
    result = run("sample", "out.root")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("out.root: 20 000 dijet events, ")
    assert Path("out.root").read_bytes() == sample.read_bytes()


@pytest.mark.usefixtures("work")
def test_generated_jets_are_those_of_the_options(run):
    pytest.importorskip("pythia8mc", reason="the extra pythia is not installed")
    result = run("generate", "g.root", "--process", "ttbar", "--events", 3, "--seed", 5, "--quiet")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("g.root: 3 ttbar events, ")
    assert result.stderr == ""
    assert len(hepae.read_jets("g.root")) == 3
    assert run("generate", "c.root", "--events", 2, "--constituents", "--quiet").exit_code == 0
    assert len(hepae.read_jets("c.root", collection="GenCands")) == 2
    assert run("generate", "h.root", "--events", 0).exit_code == 2
    assert not Path("h.root").exists()
