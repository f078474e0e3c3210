from __future__ import annotations

import awkward as ak
import numpy as np
import pandas as pd
import pytest

import hepae
from hepae.errors import InputError
from hepae.io.readers import open_source

pytestmark = pytest.mark.filterwarnings("ignore::hepae.errors.UnitWarning")
"""The unit of most files here is told by their values, which test_inputs.py is about."""


ROWS = {"pt": [50.0, 60.0, 70.0], "eta": [0.5, -1.0, 0.0], "phi": [3.0, 0.0, 1.0], "m": [5.0, 6.0, 7.0]}


FRAME = pd.DataFrame(ROWS)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|", " "])
@pytest.mark.parametrize("comment", ["", "# "])
def test_csv(is_the_table, tmp_path, separator, comment):
    path = tmp_path / "jets.txt"
    path.write_text(comment + FRAME.to_csv(index=False, sep=separator))
    is_the_table(path, "csv", ROWS)


def test_csv_with_texts_gaps_and_an_index(is_the_table, tmp_path):
    path = tmp_path / "jets.csv"
    FRAME.assign(name=["a", "b", ""], w=[1.0, np.nan, 2.0], n=[1, 2, 3]).to_csv(path)
    is_the_table(path, "csv", ROWS)
    with open_source(path) as source:
        assert {name: b.datashape for name, b in source.branches.items() if name not in ROWS} == {
            "index": "int64", "name": "string", "w": "float64", "n": "int64"
        }  # fmt: skip
        assert source.arrays(["name"], 0, 3)["name"].tolist() == ["a", "b", ""]
        np.testing.assert_array_equal(ak.to_numpy(source.arrays(["w"], 0, 3)["w"]), [1, np.nan, 2])


def test_csv_without_rows(tmp_path):
    path = tmp_path / "jets.csv"
    path.write_text("pt,eta,phi,m\n")
    with open_source(path) as source:
        assert (source.num_entries, [*source.layout.collections]) == (0, ["jets"])


def test_csv_that_breaks_off(tmp_path):
    path = tmp_path / "jets.csv"
    path.write_text("pt,eta,phi,m\n1,2,3,4\n1,2\n")
    with pytest.raises(InputError, match="cannot be read as CSV"):
        hepae.read_jets(path)
    path.write_text("pt,pt,phi,m\n1,2,3,4\n")
    with pytest.raises(InputError, match="same name"):
        hepae.read_jets(path)


def test_darkmachines_text(data):
    path = data / "darkmachines_monojet.csv"
    with pytest.raises(InputError, match="collections b, j, g, eminus, eplus; choose"):
        hepae.read_jets(path)
    jets = hepae.read_jets(path, collection="j")
    lines = path.read_text().splitlines()
    assert len(jets) == len(lines)
    assert ak.num(jets).tolist() == [line.count(";j,") for line in lines]
    first = [float(number) for number in lines[0].split(";j,")[1].split(";")[0].split(",")]
    np.testing.assert_allclose([jets.E[0, 0], jets.pt[0, 0]], np.array(first[:2]) / 1000, rtol=1e-12)
    with open_source(path) as source:
        assert source.layout.collections["j"].unit == "MeV"
        assert [*source.branches][:5] == ["id", "process", "weight", "MET", "METphi"]
        assert source.arrays(["MET"], 0, 1)["MET"].tolist() == [float(lines[0].split(";")[3])]


def test_darkmachines_text_that_is_damaged(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("1;p;1;2;3;j,1,2,3,4;\n2;p;1;2;3;j,1,2;\n")
    with pytest.raises(InputError, match="line 2"):
        hepae.read_jets(path)


@pytest.mark.parametrize("index", [False, True])
def test_five_columns_between_semicolons_are_no_darkmachines_event(tmp_path, index):
    frame = FRAME if index else FRAME.assign(label=[1, 0, 1])
    frame.to_csv(tmp_path / "jets.csv", sep=";", index=index)
    assert hepae.read_jets(tmp_path / "jets.csv").pt.tolist() == ROWS["pt"]


def test_a_short_line_of_events_is_named(tmp_path):
    path = tmp_path / "events.csv"
    path.write_text("1;p;1.0;100;0.5;j,90,80,0.1,0.2\n2;p;1.0\n")
    with pytest.raises(InputError, match="line 2 is shorter than an event"):
        hepae.read_jets(path)


def test_text_that_only_looks_like_csv_says_so(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("Dear all, good news\nsecond, line\nthird, line, with, many\n")
    with pytest.raises(InputError, match="is a text file whose first line looks like the header of CSV"):
        open_source(path)
