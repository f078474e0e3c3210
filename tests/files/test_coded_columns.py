from __future__ import annotations

import pytest

from hepae.bounds import Bound, Edges
from hepae.files.coded_columns import CodedColumns, bound_text, together
from hepae.files.json_record import MalformedError, Record

ONE = CodedColumns(
    "GeV",
    ("pt", "eta"),
    {"pt": Bound.parse("1%"), "eta": Bound.parse("0.1")},
    {"pt": Edges.parse("20GeV,30GeV")},
)
TWO = CodedColumns(
    "GeV", ("pt", "mass"), {"pt": Bound.parse("2%"), "mass": None}, {"pt": Edges.parse("30GeV,40GeV")}
)


def test_after_both_errors_the_bounds_are_together_and_edges_are_those_that_both_kept():
    found = ONE.then(TWO)
    assert found.coded == ("pt", "eta", "mass")
    assert {name: str(bound) for name, bound in found.bounds.items()} == {
        "pt": "3.02%",
        "eta": "0.1",
        "mass": "None",
    }
    assert found.edges["pt"].values == (30,)


def test_beside_each_other_the_loosest_bound_holds():
    found = ONE.beside(TWO)
    assert {name: str(bound) for name, bound in found.bounds.items()} == {
        "pt": "2%",
        "eta": "0.1",
        "mass": "None",
    }
    assert found.edges == {}
    assert ONE.beside(ONE).edges == ONE.edges


@pytest.mark.parametrize("columns", [ONE, TWO])
def test_they_come_back_from_json(columns):
    assert CodedColumns.from_json(Record(columns.to_json())) == columns


@pytest.mark.parametrize(
    "change", [{"unit": "eV"}, {"bounds": {"pt": "wide"}}, {"coded": [1]}, {"edges": {"pt": "a"}}]
)
def test_json_of_something_else_is_refused(change):
    with pytest.raises(MalformedError):
        CodedColumns.from_json(Record(ONE.to_json() | change))


def test_exact_bounds_add_nothing():
    assert together(Bound(exact=True), Bound.parse("1%")) == Bound.parse("1%")
    assert together(None, Bound.parse("1%")) is None
    assert bound_text(Bound(exact=True)) == "unchanged"
    assert bound_text(None) == "no bound is promised"
    assert bound_text(Bound.parse("0.001")) == "|value - original| <= 0.001"
