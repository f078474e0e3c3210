from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hepae.bounds import DEFAULT_BOUNDS, Bound, parse_assignments, parse_edges, resolve
from hepae.errors import ConfigError

FLOATS = {name: np.dtype("float32") for name in ("pt", "eta", "phi", "mass", "btag")}


@pytest.mark.parametrize(
    ("text", "relative", "absolute"),
    [
        ("0.1%", 0.001, 0),
        ("0.001", 0, 0.001),
        (1e-3, 0, 0.001),
        ("1%+1MeV", 0.01, 0.001),
        ("1 % + 0.5", 0.01, 0.5),
        ("5GeV", 0, 5),
        ("2e-3 TeV", 0, 2),
        ("exact", 0, 0),
    ],
)
def test_the_grammar(text, relative, absolute):
    bound = Bound.parse(text)
    assert (bound.relative, bound.absolute) == pytest.approx((relative, absolute), rel=1e-12)
    assert Bound.parse(str(bound)) == bound


@pytest.mark.parametrize(
    "text", ["", "x", "-1", "0", "0%", "nan", "inf", "1%+", "+1", "1%1", "100%", "1 eV", "1%%"]
)
def test_what_is_no_bound(text):
    with pytest.raises(ConfigError):
        Bound.parse(text)


@given(st.floats(1e-9, 0.5), st.floats(1e-9, 1e3))
def test_bounds_survive_being_written(relative, absolute):
    bound = Bound.parse(str(Bound(relative, absolute)))
    assert (bound.relative, bound.absolute) == pytest.approx((relative, absolute), rel=1e-11)


def test_allowed_errors():
    np.testing.assert_allclose(Bound(0.01, 0.1).allowed([-100.0, 0.0]), [1.1, 0.1])


def test_defaults_and_what_was_asked_for():
    found = resolve({"m": "2%", "btag": 0.5}, {**FLOATS, "n": np.dtype("int32")})
    assert found["pt"] == DEFAULT_BOUNDS["pt"] == Bound(relative=0.001)
    assert found["mass"] == Bound(relative=0.02)
    assert found["btag"] == Bound(absolute=0.5)
    assert found["n"].exact
    assert resolve({}, FLOATS)["btag"].exact


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"phi": "1%"}, "phi is an angle"),
        ({"n": "1"}, "integers"),
        ({"nope": "1"}, "there are pt, eta, phi, mass, btag, n"),
    ],
)
def test_what_is_refused(asked, words):
    with pytest.raises(ConfigError, match=words):
        resolve(asked, {**FLOATS, "n": np.dtype("int32")})


def test_angles_take_no_unit_of_energy():
    for name in ("eta", "phi"):
        with pytest.raises(ConfigError, match="no unit of energy"):
            Bound.parse("1MeV", name)
        with pytest.raises(ConfigError, match="no unit of energy"):
            resolve({name: "1MeV"}, FLOATS)
    assert Bound.parse("1MeV", "pt") == Bound(absolute=0.001)


def test_options():
    assert parse_edges("50,20, 30") == (20, 30, 50)
    for text in ("", "a", "1,,2", "nan", "inf"):
        with pytest.raises(ConfigError):
            parse_edges(text)
    assert parse_assignments(["pt=1%"], "--bound") == {"pt": "1%"}
    for texts in (["pt"], ["=1"], ["pt="], ["pt=1", "pt=2"]):
        with pytest.raises(ConfigError):
            parse_assignments(texts, "--bound")
