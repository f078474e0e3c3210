from __future__ import annotations

import json

import awkward as ak
import numpy as np
import pytest
import uproot

import hepae
from hepae.cli.verification import MOST_LINES

BOUNDS = {"pt": "0.1%", "eta": 1e-3, "phi": 1e-3, "mass": "1%+1MeV"}


@pytest.fixture
def write(make_tree):
    """Write 20 events with jets and some weights, and a fault or none."""

    def make(name, weights=1, **change):
        counts = np.arange(20) % 3
        values = {"pt": (20, 90), "eta": (-2, 2), "phi": (-3, 3), "mass": (2, 9)}
        jets = {
            f"Jet_{n}": ak.unflatten(np.linspace(*ends, counts.sum()).astype("f4"), counts)
            for n, ends in values.items()
        }
        event = {"event": np.arange(20), **{f"weight{i}": np.ones(20, "f4") for i in range(weights)}}
        return make_tree({**event, **jets, **change}, name, counters=dict.fromkeys(jets, "nJet"))

    return make


@pytest.fixture
def files(write, tmp_path):
    """An original and its compressed file."""
    original, small = write("original.root"), tmp_path / "small.root"
    hepae.compress_file(original, small, hepae.BoundedCodec(BOUNDS))
    return original, small


def test_a_table_and_the_verdict_of_a_file_that_lost_nothing(run, files):
    result = run("verify", *files)
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith(f"{files[1]}: nothing is lost but what the bounds allow\n")
    rows = [line for line in result.stdout.splitlines() if "0.1%" in line or "1%+1MeV" in line]
    assert [name in row for name, row in zip(("pt", "mass"), rows, strict=True)] == [True, True]
    assert "20 events, 19 Jet; bit for bit: " in result.stdout


def test_what_broke_is_printed_and_the_error_is_one_line(run, one_line, write, files):
    damaged = write("damaged.root", weight0=np.arange(20, dtype="f4"))
    result = run("verify", files[0], damaged, "--quiet")
    one_line(result, f"Error: {damaged}: 1 thing is lost or changed: keep the original")
    assert "broken: branch weight0: not the same bit for bit, first in entry 0\n" in result.stdout
    assert "nothing is lost" not in result.stdout


def test_no_more_lines_than_a_screen_has(run, write):
    many = MOST_LINES + 3
    original = write("many.root", many)
    damaged = write("damaged.root", many, **{f"weight{i}": np.zeros(20, "f4") for i in range(many)})
    result = run("verify", original, damaged, "--quiet")
    assert result.stdout.count("broken: ") == MOST_LINES
    assert "and 3 more, which --json lists" in result.stdout
    assert len(json.loads(run("verify", original, damaged, "--quiet", "--json").stdout)["broken"]) == many


def test_the_certificate_as_json_whatever_came_out(run, files):
    certificate = json.loads(run("verify", *files, "--json", "--quiet").stdout)
    assert certificate["ok"]
    assert certificate["collections"]["Jet"]["columns"]["mass"]["bound"] == "1%+1MeV"
    result = run("verify", *files, "--json", "--quiet", "--bound", "pt=1e-9%")
    assert result.exit_code == 1
    certificate = json.loads(result.stdout)
    assert not certificate["ok"]
    assert certificate["promised_by"] == "the bounds that were given"
    assert certificate["broken"][0].startswith("pt: ")


def test_what_was_left_out_is_accepted_where_asked(run, files, tmp_path):
    small = tmp_path / "less.root"
    hepae.compress_file(files[0], small, hepae.BoundedCodec(BOUNDS), drop=["weight0"])
    with uproot.open(small) as file:
        assert "weight0" not in file["Events"]
    assert run("verify", files[0], small, "--quiet").exit_code == 1
    result = run("verify", files[0], small, "--quiet", "--accept-left-out")
    assert result.exit_code == 0
    assert "left out on request: weight0\n" in result.stdout
