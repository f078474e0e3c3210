from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hepae.bounds import DEFAULT_BOUNDS, EXACT, Bound, Bounds, Edges
from hepae.errors import ConfigError

FLOATS = {name: np.dtype("float32") for name in ("pt", "eta", "phi", "mass", "btag")}
JETS = {**FLOATS, "n": np.dtype("int32"), "tight": np.dtype("bool")}


def resolved(bounds, edges=(), columns=JETS):
    return Bounds.parse(bounds, edges).resolve({"Jet": columns})["Jet"]


@pytest.mark.parametrize(
    ("text", "bound", "printed"),
    [
        ("0.1%", Bound(0.001), "0.1%"),
        ("7%", Bound(0.07), "7%"),
        ("0.001", Bound(0, 0.001), "0.001"),
        (1e-3, Bound(0, 0.001), "0.001"),
        (2, Bound(0, 2.0), "2"),
        (np.float32(0.5), Bound(0, 0.5), "0.5"),
        ("1%+1MeV", Bound(0.01, 1, unit="MeV"), "1%+1MeV"),
        (" 1 % + 0.5 ", Bound(0.01, 0.5), "1%+0.5"),
        ("5GeV", Bound(0, 5, unit="GeV"), "5GeV"),
        ("2e-3 TeV", Bound(0, 0.002, unit="TeV"), "0.002TeV"),
        ("1e-9", Bound(0, 1e-9), "1E-9"),
        ("exact", EXACT, "exact"),
    ],
)
def test_the_grammar(text, bound, printed):
    assert Bound.parse(text) == bound
    assert str(bound) == printed
    assert Bound.parse(printed) == bound


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "x",
            "-1",
            "0",
            "0%",
            "nan",
            "inf",
            "1%+",
            "+1",
            "1%1",
            "100%",
            "1 eV",
            "1%%",
            "1%+0",
            "0%+1",
            "1MeV%",
        ),
        *(0, -1, float("nan"), float("inf"), True, None, [1]),
    ],
)
def test_what_is_no_bound_is_refused_in_one_line_that_names_the_column(text):
    with pytest.raises(ConfigError, match=r"^mass: .+") as caught:
        Bounds.parse({"mass": text})
    assert "\n" not in str(caught.value)


@given(st.floats(1e-12, 0.999), st.floats(1e-12, 1e12), st.sampled_from(["", "MeV", "GeV", "TeV"]))
def test_bounds_survive_being_written_to_the_last_bit(relative, absolute, unit):
    for bound in (Bound(relative), Bound(0, absolute, unit=unit), Bound(relative, absolute, unit=unit)):
        assert Bound.parse(str(bound)) == bound


def test_allowed_errors_are_in_gev_or_in_the_unit_that_is_asked_for():
    bound = Bound.parse("1%+1MeV")
    np.testing.assert_allclose(bound.allowed([-100.0, 0.0]), [1.001, 0.001], rtol=1e-15)
    np.testing.assert_allclose(bound.in_unit("MeV").allowed([-100.0, 0.0]), [2.0, 1.0], rtol=1e-15)
    assert Bound.parse("0.3").in_unit("MeV") == Bound(0, 0.3)
    assert EXACT.allowed([1.0, np.nan])[0] == 0


def test_a_bare_number_is_in_gev_where_the_column_is_an_energy():
    bounds = Bounds.parse({"pt": 0.5, "btag": 0.5, "trackPt": "1GeV"}, {"pt": "20", "btag": 0.7}).in_unit(
        "MeV"
    )
    assert bounds.columns == {"pt": Bound(0, 500), "btag": Bound(0, 0.5), "trackPt": Bound(0, 1000)}
    assert {name: edges.values for name, edges in bounds.edges.items()} == {"pt": (20_000.0,), "btag": (0.7,)}


def test_defaults_and_what_was_asked_for():
    found = resolved({"m": "2%", "btag": 0.5}).columns
    assert found["pt"] == DEFAULT_BOUNDS["pt"] == Bound(0.001)
    assert found["mass"] == Bound(0.02)
    assert found["btag"] == Bound(0, 0.5)
    assert found["n"] == found["tight"] == EXACT
    assert resolved({}).columns["btag"] == EXACT
    assert resolved({"pt": "exact", "n": "exact"}).columns["pt"] == EXACT


def test_a_collection_of_its_own_goes_first():
    both = {"Jet": JETS, "Muon": {**FLOATS, "dz": np.dtype("float64")}}
    found = Bounds.parse(["Muon.pt=0.01%", "pt=1%", "dz=0.1"], ["Jet.pt=30"]).resolve(both)
    assert found["Jet"].columns["pt"] == Bound(0.01)
    assert found["Muon"].columns["pt"] == Bound(0.0001)
    assert found["Muon"].columns["dz"] == Bound(0, 0.1)
    assert found["Jet"].edges == {"pt": Edges((30.0,), "GeV")}
    assert found["Muon"].edges == {}
    assert Bounds.parse({"Muon.m": "5%"}).resolve(both)["Muon"].columns["mass"] == Bound(0.05)
    with pytest.raises(
        ConfigError, match=r"no column 'Muon.n' to bound: in Jet there are pt, .*; in Muon there"
    ):
        Bounds.parse(["Muon.n=1"]).resolve(both)


def test_a_pattern_is_of_floats_that_have_no_bound_yet():
    both = {"Jet": JETS, "Muon": {**FLOATS, "dz": np.dtype("float64"), "dxy": np.dtype("float32")}}
    found = Bounds.parse(["*=1%", "Muon.*=2%", "d?=0.5", "Muon.dxy=exact"]).resolve(both)
    for name in ("pt", "eta", "phi", "mass"):
        assert found["Jet"].columns[name] == found["Muon"].columns[name] == DEFAULT_BOUNDS[name]
    assert found["Jet"].columns["btag"] == Bound(0.01)
    assert found["Jet"].columns["n"] == found["Jet"].columns["tight"] == EXACT
    assert found["Muon"].columns["dz"] == Bound(0.02)  # the longest pattern
    assert found["Muon"].columns["dxy"] == EXACT
    asked = Bounds.parse(["pt=1%", "*=exact"]).resolve(both)
    assert asked["Jet"].columns["pt"] == Bound(0.01)
    assert asked["Muon"].columns["phi"] == DEFAULT_BOUNDS["phi"]


@pytest.mark.parametrize("pattern", ["Electron.*", "b?", "nope*"])
def test_a_pattern_that_matches_nothing_is_refused(pattern):
    with pytest.raises(ConfigError, match=r"no column .* to bound"):
        resolved({"btag": "1%", pattern: "1%"})


def test_a_column_that_is_called_like_a_pattern_is_itself():
    found = resolved({"a[0]": "1%"}, columns={**FLOATS, "a[0]": np.dtype("f4"), "a0": np.dtype("f4")})
    assert found.columns["a[0]"] == Bound(0.01)
    assert found.columns["a0"] == EXACT


@pytest.mark.parametrize(
    ("bounds", "edges", "words"),
    [
        ({"phi": "1%"}, {}, "phi takes no relative bound"),
        ({"Muon.phi": "1%+0.1"}, {}, "Muon.phi takes no relative bound"),
        ({"eta": "1MeV"}, {}, "eta has no unit of energy"),
        ({}, {"phi": "1GeV"}, "phi has no unit of energy"),
        ({"n": "1"}, {}, "'n' holds integers"),
        ({"tight": "1%"}, {}, "'tight' holds integers"),
        ({"nope": "1"}, {}, "'nope' .* there are pt, eta, phi, mass, btag, n"),
        ({}, {"nope": "1"}, "'nope' for edges: .* there are pt, eta, phi, mass, btag, n"),
        ({"m": 1, "mass": 2}, {}, "mass is given twice"),
        (["pt=1%", "pt=2%"], (), "pt is given twice"),
        (["pt"], (), "COLUMN=VALUE"),
        (["=1"], (), "COLUMN=VALUE"),
        (["pt="], (), "COLUMN=VALUE"),
        ((), ["pt=a"], "pt: edges are written"),
        ((), ["pt=1,,2"], "pt: edges are written"),
        ((), {"pt": [np.nan]}, "pt: edges are finite"),
        ((), {"pt": []}, "pt: edges are finite"),
        ((), {"pt": ["x"]}, "pt: "),
    ],
)
def test_what_is_refused(bounds, edges, words):
    with pytest.raises(ConfigError, match=words):
        resolved(bounds, edges)


def test_what_cannot_be_coded_is_named():
    with pytest.raises(ConfigError, match="'name' holds no numbers"):
        resolved({}, columns={"name": np.dtype("S5")})


def test_edges():
    assert Edges.parse("50,20, 30").values == (20, 30, 50)
    assert Edges.parse([3, 2, 2.0]).values == (2, 3)
    assert Edges.parse(7).values == (7,)
    assert Edges.parse("-2.5,2.5").values == (-2.5, 2.5)
    assert Bounds.parse((), ["pt=20000MeV, 0.05TeV,30"]).edges["pt"] == Edges((20.0, 30.0, 50.0), "GeV")
    assert str(Edges.parse("20GeV,30")) == "20GeV,30GeV"


def test_bounds_survive_json():
    bounds = Bounds.parse(
        ["pt=0.1%", "mass=1%+1MeV", "eta=0.001", "btag=exact"], ["pt=30,50", "eta=-2.4,2.4", "trackPt=1GeV"]
    )
    config = json.loads(json.dumps(bounds.to_config()))
    assert config["bounds"]["mass"] == "1%+1MeV"
    assert config["edges"] == {"pt": [30.0, 50.0], "eta": [-2.4, 2.4], "trackPt": "1GeV"}
    assert Bounds.from_config(config) == bounds
