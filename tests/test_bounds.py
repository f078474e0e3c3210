from __future__ import annotations

import json

import awkward as ak
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hepae
from hepae.bounded.codec import resolve
from hepae.bounds import DEFAULT_BOUNDS, EXACT, Bound, Bounds, Edges
from hepae.errors import ConfigError
from hepae.io.readers import choose_collections, open_source

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
    both = {"Jet": JETS, "Muon": {**FLOATS, "dz": np.dtype("float32"), "dxy": np.dtype("float32")}}
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


WEIGHTS = [
    "genWeight",
    "genweight",
    "LHEPdfWeight",
    "mcEventWeights",
    "Weight",
    "weight_bTagSF",
    "PileupWeight_NOSYS",
    "weight_CT10_0",
    "xsec",
    "xSec",
    "XSection",
    "crossSection",
    "cross_section",
    "CrossSectionError",
    "scaleFactor",
    "scale_factor",
    "btag_sf",
    "elSF",
    "MuonSFs",
    "jvtEffSF_NOSYS",
    "XWGTUP",
    "puWgt",
    "kFactor",
    "prescale",
]
NO_WEIGHTS = [
    "charge",
    "SoftActivityJetHT",
    "lsf3",
    "isFromLostTrack",
    "PSFrac",
    "ECPSFraction",
    "JetConstitScaleMomentum_pt",
    "ptWeightedWidth",
    "nSFOS",
    "ptvarcone30_Nonprompt_All_MaxWeightTTVA_pt500",
    "crossing",
    "efPrescaled",
]


def test_a_pattern_leaves_weights_exact():
    columns = dict.fromkeys([*WEIGHTS, *NO_WEIGHTS], np.dtype("f4"))
    found = Bounds.parse(["*=0.1%", "Event.gen*=1%"]).resolve({"Event": columns})["Event"]
    assert {name for name, bound in found.columns.items() if bound == EXACT} == {*WEIGHTS}
    assert found.left_exact == tuple(WEIGHTS)
    assert found.in_unit("MeV").left_exact == tuple(WEIGHTS)
    named = Bounds.parse(["*=0.1%", "genWeight=1%", "Event.xsec=2%"]).resolve({"Event": columns})["Event"]
    assert named.columns["genWeight"] == Bound(0.01)
    assert named.columns["xsec"] == Bound(0.02)
    assert Bounds.parse(["*=exact"]).resolve({"Event": columns})["Event"].left_exact == ()


def test_a_pattern_leaves_doubles_beside_singles_exact():
    double = np.dtype("f8")
    found = resolved(
        {"*": "0.1%"}, columns={**JETS, "btag": np.dtype("f4"), "dz": double, "n64": np.dtype("i8")}
    )
    assert found.columns["btag"] == Bound(0.001)
    assert found.columns["dz"] == EXACT
    assert found.left_exact == ("dz",)
    assert resolved({"*": "0.1%", "dz": "1%"}, columns={**JETS, "dz": double}).columns["dz"] == Bound(0.01)
    all_double = resolved({"*": "0.1%"}, columns={"pt": double, "dz": double, "n": np.dtype("i2")})
    assert all_double.columns["dz"] == Bound(0.001)
    assert all_double.left_exact == ()


@pytest.mark.parametrize("bound", ["0.1%", "1MeV"])
def test_a_pattern_leaves_further_angles_exact_that_cannot_have_its_bound(bound):
    found = resolved(
        {"*": bound}, columns={**FLOATS, "SubJet.phi": np.dtype("f4"), "SubJet.pt": np.dtype("f4")}
    )
    assert found.columns["SubJet.phi"] == EXACT
    assert found.columns["SubJet.pt"] == Bound.parse(bound)
    assert found.left_exact == ("SubJet.phi",)


def test_a_pattern_sees_the_types_of_the_file_where_a_four_momentum_is_coded_otherwise():
    singles = {**dict.fromkeys(("px", "py", "pz", "E"), np.dtype("f4")), "dz": np.dtype("f8")}
    doubles = dict.fromkeys(("px", "py", "pz", "E", "dz"), np.dtype("f8"))
    asked = Bounds.parse({"*": "0.1%"})
    assert resolve(asked, {"Jet": singles})["Jet"].columns["dz"] == EXACT
    assert resolve(asked, {"Jet": doubles})["Jet"].columns["dz"] == Bound(0.001)


@pytest.mark.parametrize(
    ("name", "tree", "exact"),
    [
        ("physlite_rntuple.root", "EventData", {"EventInfo.mcEventWeights"}),
        (
            "delphes.root",
            None,
            {"Event.Weight", "Event.CrossSection", "Jet.TauWeight", "Jet.SoftDroppedJet.E"},
        ),
    ],
)
def test_a_pattern_leaves_the_weights_of_real_files_exact(data, name, tree, exact):
    with open_source(data / name, tree=tree) as source:
        types = {
            c.name: {column: np.dtype(c.column(column).dtype) for column in c.column_names}
            for c in choose_collections(source, "*")
        }
    found = resolve(Bounds.parse({"*": "0.1%"}), types)
    bounds = {f"{c}.{column}": bound for c, each in found.items() for column, bound in each.columns.items()}
    left = {f"{c}.{column}" for c, each in found.items() for column in each.left_exact}
    assert exact <= left
    assert all(bounds[column] == EXACT for column in left)
    assert sum(bound == Bound(0.001) for bound in bounds.values()) > 100


def test_compress_names_the_columns_that_a_pattern_left_exact(data, tmp_path):
    path, small = data / "delphes.root", tmp_path / "small.root"
    codec = hepae.BoundedCodec({"*": "0.1%"})
    summary = hepae.compress_file(path, small, codec, collection=["Event", "Jet"], drop=["*"])
    (note,) = (note for note in summary.notes if "pattern" in note)
    assert "Event.Weight, " in note
    assert "more exact: weights, cross sections" in note
    branches = ("Event.Weight", "Event.CrossSection", "Jet.TauWeight", "Jet.BTagPhys", "Jet.DeltaEta")
    with open_source(path) as before, hepae.open(small) as after:
        first = before.arrays(branches, 0, 10)
        second = after.arrays("Event", 0, 10) | after.arrays("Jet", 0, 10)
    changed = [branch for branch in branches if not ak.array_equal(first[branch], second[branch])]
    assert changed == ["Jet.DeltaEta"]


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
    with pytest.raises(ConfigError, match="'name' cannot be coded"):
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
