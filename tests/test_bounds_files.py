from __future__ import annotations

import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from hepae.bounds import EXACT, Bound, Bounds
from hepae.bounds_files import bounds_text, overridden, read_bounds
from hepae.cli import main
from hepae.column_names import canonical_name
from hepae.errors import ConfigError


def run(*arguments, status=0):
    result = CliRunner().invoke(main, [*map(str, arguments)])
    assert result.exit_code == status, result.output
    return result


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('[bounds.Jet]\npt = "0.1%"\neta = "wide"\n', r"bounds\.toml, line 3: .*a bound is written"),
        ('[bounds.Jet]\npt = "0.1%"\n\nphi = "1%"\n', r"line 4: Jet\.phi takes no relative bound"),
        ('[bounds]\n"Jet.pt" = true\n', r"line 2: Jet\.pt holds no columns"),
        ("[bounds.Jet]\npt = -1\n", r"line 2: "),
        ('[bound.Jet]\npt = "1%"\n', r"line 1: 'bound' is not known here"),
        ('[bounds.Jet]\npt = "1%\n', r"bounds\.toml: .*line 2"),
        ('[bounds.Jet]\npt = "1%"\npt = "2%"\n', r"bounds\.toml: .*line 3"),
        ('[bounds.Jet]\nptt = "1%"\n', r"line 2: no column 'Jet\.ptt' to bound"),
        ('[edges.Jet]\npt = "20;30"\n', r"line 2: .*edges are written"),
    ],
)
def test_mistakes_in_a_file_have_their_line_and_reason(sample, tmp_path, text, error):
    path = tmp_path / "bounds.toml"
    path.write_text(text)
    result = run("compress", sample, "-o", tmp_path / "x.root", "--bounds", path, "--quiet", status=2)
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    assert re.search(error, line), line
    assert not (tmp_path / "x.root").exists()


COLUMN = st.text(st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="*?[].:"), min_size=1)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(COLUMN, st.floats(1e-6, 0.5), min_size=1, max_size=4))
def test_what_is_written_is_read_again(columns):
    bounds = {"Jet": {name: (Bound(relative=share), "why") for name, share in columns.items()}}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bounds.toml"
        path.write_text(bounds_text(bounds, ["head"]), encoding="utf-8")
        found = read_bounds(path)
    assert found.columns == {
        canonical_name(f"Jet.{name}"): bound for name, (bound, _) in bounds["Jet"].items()
    }


def test_the_command_line_goes_before_the_file():
    file = Bounds.parse({"pt": "1%", "eta": "0.1"}, {"pt": "30"})
    found = overridden(file, Bounds.parse({"pt": "2%"}, {"eta": "1"}))
    assert {name: str(bound) for name, bound in found.columns.items()} == {"pt": "2%", "eta": "0.1"}
    assert {*found.edges} == {"pt", "eta"}


def test_no_name_or_comment_breaks_a_file(tmp_path):
    path = tmp_path / "bounds.toml"
    bounds = {"Jet": {'a"\n\x7f\\': (Bound.parse("1%"), 'why\npt = "5%"')}}
    path.write_text(bounds_text(bounds, ["head\r[edges.Jet]"]), encoding="utf-8")
    assert read_bounds(path).columns == {'Jet.a"\n\x7f\\': Bound.parse("1%")}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("m = 1\nmass = 2", "line 3: Jet.mass is given twice"),
        (f"pt = 1{'0' * 400}", "line 2: int too large"),
    ],
)
def test_what_makes_no_sense_is_one_line(tmp_path, text, error):
    path = tmp_path / "bounds.toml"
    path.write_text(f"[bounds.Jet]\n{text}\n")
    with pytest.raises(ConfigError, match=error):
        read_bounds(path)


def test_a_column_named_alone_goes_before_that_of_a_collection_in_the_file():
    file = Bounds.parse({"Jet.pt": "1%", "Jet.eta": "0.1", "Muon.pt": "2%"}, {"Jet.pt": "20"})
    found = overridden(file, Bounds.parse({"pt": "exact"}, {"pt": "30"}))
    jets = found.resolve({"Jet": dict.fromkeys(("pt", "eta"), np.dtype(np.float32))})["Jet"]
    assert jets.columns == {"pt": EXACT, "eta": Bound.parse("0.1")}
    assert jets.edges["pt"].values == (30,)
    assert found.columns.keys() == {"pt", "Jet.eta"}
    assert overridden(file, Bounds.parse({"Jet.pt": "exact"})).columns["Muon.pt"] == Bound.parse("2%")


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    path = tmp_path / "bounds.toml"
    with pytest.raises(ConfigError, match=r"cannot read .*bounds\.toml: No such file"):
        read_bounds(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="it is no text"):
        read_bounds(path)
