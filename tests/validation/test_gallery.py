"""Which figures there are, and what they say; how each is drawn is tested with what draws it."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest

from hepae.bounds import Bound
from hepae.kinematics import momenta
from hepae.validation import gallery, selection
from hepae.validation.canvas import Style
from hepae.validation.counts import Counts, Scheme, Version
from hepae.validation.gallery import Gallery
from hepae.validation.profiles import JetEnergyResolution
from hepae.validation.selection import Selection, select

RESOLUTION = JetEnergyResolution("resolution", 3.0, 0.7, 0.03)


def version(name="Restored", size=0.002, further=(), bounds=None):
    """Jets whose pt changed by this much, and further columns by so much each."""
    rng = np.random.default_rng(1)
    counts = rng.integers(0, 5, 400)
    n = counts.sum()
    before = {
        "pt": 20 + rng.exponential(40, n),
        "eta": rng.normal(0, 1, n),
        "phi": rng.uniform(-3, 3, n),
        "mass": rng.uniform(1, 20, n),
        **{column: rng.normal(0, 1, n) for column in dict(further)},
    }
    after = {**before, "pt": before["pt"] * (1 + rng.normal(0, size, n))}
    noise = rng.normal(0, 1, n)
    for column, off in dict(further).items():
        after[column] = before[column] + off * noise
    jets = [
        momenta({name: ak.unflatten(of, counts) for name, of in columns.items()})
        for columns in (before, after)
    ]
    counted = Counts.of(Scheme.choose(*jets, coded=None, bounds=bounds or {}))
    counted.fill(*jets, None, None)
    return Version(name, counted, ({"pt": 400}, {"payload": 100}))


def test_columns_that_came_back_exactly_have_no_figures():
    chosen = select({"Jet.": [version(further={"changed": 0.1, "same": 0.0})]})["Jet."]
    assert {*chosen.columns} == {"pt", "eta", "phi", "mass", "E", "changed"}
    assert chosen.left_out == ()


def test_the_columns_that_differ_most_have_figures_and_the_others_are_named():
    further = {f"x{n}": 0.03 * (n + 1) for n in range(selection.MOST_COLUMNS + 2)}
    chosen = select({"": [version(further=further)]})[""]
    assert chosen.left_out == ("x0", "x1")
    assert {f"x{n}" for n in range(2, 12)} <= {*chosen.columns}
    whole = select({"": [version(further=further)]}, "all")[""]
    assert {*further} <= {*whole.columns}
    assert whole.left_out == ()


def test_a_broken_bound_goes_before_a_large_residual():
    further = {f"x{n}": 1.0 for n in range(selection.MOST_COLUMNS)} | {"broken": 0.001}
    found = version(further=further, bounds={"broken": Bound(absolute=1e-4)})
    assert "broken" in select({"": [found]})[""].columns


def test_the_jets_and_the_collections_that_differ_most_have_all_their_figures():
    sizes = {"A.": 0.001, "B.": 0.04, "C.": 0.03, "D.": 0.02, "Jet.": 0.0001}
    chosen = select({name: [version(size=size)] for name, size in sizes.items()})
    assert {name for name in chosen if chosen[name].whole} == {"Jet.", "B.", "C."}
    assert "pt" in chosen["A."].left_out


def test_figures_are_saved_under_names_of_their_own_and_described(figures, tmp_path):
    drawn = Gallery(tmp_path, Style(), RESOLUTION)
    for _ in range(2):
        drawn.draw([version(bounds={"pt": Bound(relative=0.001)})], "Jet.", Selection(("pt",), whole=False))
    stems = [path.name for path in figures]
    assert stems[:4] == ["Jet.pt", "Jet.pt_residual", "Jet.pt_against_pt", "Jet.pt_against_eta"]
    assert stems[4:] == [f"{stem}_" for stem in stems[:4]]
    assert [path.stem for path in drawn.files] == stems
    assert len(drawn.shown) == 8
    assert all(shown.title.startswith("Jet.") for shown in drawn.shown)
    (told,) = {shown.alt for shown in drawn.shown if shown.alt.startswith("Residual of pt, Restored")}
    assert "beyond the bound 0.1%" in told


def test_figures_of_whole_events_are_those_of_one_gallery(figures, tmp_path):
    Gallery(tmp_path, Style(), RESOLUTION).draw([version()], selection=Selection(()))
    stems = {path.name for path in figures}
    assert {
        "dijet_mass",
        "multiplicity",
        "bytes",
        "tails",
        "turn_on",
        "pt_response_by_eta",
        "ht",
        "missing_ht",
    } <= stems
    assert not {"pt", "pt_residual"} & stems


def test_collections_beside_the_first_have_fewer_figures(figures, tmp_path):
    Gallery(tmp_path, Style(), RESOLUTION).draw([version()], selection=Selection((), first=False))
    stems = {path.name for path in figures}
    assert {"dijet_mass", "multiplicity", "bytes", "correlations"} <= stems
    assert not {"tails", "turn_on", "pt_response_by_eta", "ht", "missing_ht", "delta_r"} & stems
    chosen = select({"A.": [version()], "B.": [version(size=0.1)], "Jet.": [version()]})
    assert [name for name, each in chosen.items() if each.first] == ["Jet."]
    assert all(each.whole for each in chosen.values())


@pytest.mark.parametrize(
    ("name", "bound", "constant", "text"),
    [
        ("pt", "1%", 0.01, ""),
        ("pt", "50MeV", None, "50MeV"),
        ("eta", "0.001", 0.001, ""),
        ("mass", "1%+1MeV", None, "1% (+ 1 MeV)"),
    ],
)
def test_a_bound_is_a_line_or_a_text(name, bound, constant, text):
    bound = Bound.parse(bound)
    assert gallery.constant_bound(name, bound) == constant
    assert gallery.bound_text(name, bound) == text
    assert gallery.constant_bound(name, None) is None


def test_the_bound_of_pt_is_drawn_against_pt():
    curve = gallery.bound_curve("pt", "pt", Bound.parse("1%+50MeV"))
    np.testing.assert_allclose(curve(np.array([5.0, 50.0])), [0.02, 0.011])
    assert gallery.bound_curve("pt", "eta", Bound.parse("1%+50MeV")) is None
    assert gallery.bound_curve("eta", "pt", Bound.parse("0.001"))(30.0) == 0.001
    assert gallery.bound_curve("pt", "pt", None) is None
