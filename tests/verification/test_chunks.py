from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
import uproot

from hepae.bounds import Bound
from hepae.io.readers import open_source
from hepae.verification.chunks import EventChecker, fit_axes
from hepae.verification.promises import Promise, Promises
from hepae.verification.tree_pair import TreePair
from hepae.verification.tree_view import TreeView
from hepae.verification.verify import verify


def test_a_swapped_event(damaged):
    def swap(arrays):
        order = np.arange(len(arrays["event"]))
        order[[40, 41]] = 41, 40
        return {name: array[order] for name, array in arrays.items()}

    certificate = damaged(swap)
    assert certificate.broken[0].startswith(
        "entry 40 is run 1, luminosity block 1, event 40 in the original and run 1, luminosity block 1, event 41 now: other"
    )


def test_a_swapped_event_without_event_numbers(damaged):
    def swap(arrays):
        order = np.arange(len(arrays["event"]))
        counts = arrays["nJet"]
        same = np.flatnonzero(counts == 3)[:2]
        order[same] = same[::-1]
        return {name: array[order] if name.startswith("Jet") else array for name, array in arrays.items()}

    assert any(line.startswith("pt: 6 of") for line in damaged(swap).broken)


def test_an_event_with_another_number_of_jets(damaged):
    def move(arrays):
        counts = arrays["nJet"].copy()
        first = int(np.flatnonzero((counts[:-1] > 0) & (counts[1:] < 5))[0])
        counts[[first, first + 1]] += -1, 1
        jets = {n: ak.unflatten(ak.flatten(a), counts) for n, a in arrays.items() if n.startswith("Jet")}
        return {**arrays, "nJet": counts, **jets}

    certificate = damaged(move)
    assert any("jets in the original and" in line for line in certificate.broken)
    assert any(line.startswith("branch nJet") for line in certificate.broken)


def test_a_chunk_counts_from_where_its_original_begins_in_the_version(tmp_path, content, write):
    arrays = content(20)
    original = write(tmp_path / "original.root", arrays)
    twice = {
        name: ak.concatenate([array, array]) if isinstance(array, ak.Array) else np.concatenate([array] * 2)
        for name, array in arrays.items()
    }
    twice["MET_pt"][[3, 27]] += 1
    joined = write(tmp_path / "joined.root", twice)
    with open_source(original) as one, open_source(joined) as other:
        pair, promises = TreePair(TreeView.of_source(one), TreeView.of_source(other)), Promises.exact(40)
        found = [EventChecker(pair, promises, {}, first).check(2, 20).differing for first in (0, 20)]
    assert found == [{"MET_pt": 3}, {"MET_pt": 7}]


def test_jets_are_judged_in_the_range_that_promises_it(tmp_path, content, write):
    arrays = content(20)
    original = write(tmp_path / "original.root", arrays)
    changed = write(tmp_path / "changed.root", {**arrays, "Jet_pt": arrays["Jet_pt"] * 1.009})
    with open_source(original) as one, open_source(changed) as other:
        jets = one.layout.collections["Jet"]
        wide, narrow = (Promise(jets, ("pt",), {"pt": Bound.parse(text)}) for text in ("1%", "0.1%"))
        promises = Promises("a test", ((0, 10, {"Jet": wide}), (10, 20, {"Jet": narrow})))
        pair = TreePair(TreeView.of_source(one), TreeView.of_source(other))
        axes = fit_axes(pair.before, promises)
        assert axes.keys() == {("Jet", "pt")}
        found = EventChecker(pair, promises, axes).check(0, 20)
    pt, later = found.columns["Jet"]["pt"], int(ak.sum(ak.num(arrays["Jet_pt"])[10:]))
    assert (pt.values, pt.beyond) == (ak.count(arrays["Jet_pt"]), later)
    assert pt.first.entry >= 10
    assert "Jet_pt" not in found.branches
    assert found.branches == {*arrays} - {"Jet_pt"}


@pytest.fixture
def cartesian(tmp_path):
    """Write jets with px, py, pz and E, phi turned by an angle, without the branches that are named."""
    random = np.random.default_rng(4)
    counts = random.integers(0, 4, 50)
    pt, eta, phi = (random.uniform(low, high, counts.sum()) for low, high in ((20, 99), (-2, 2), (-3, 3)))

    def make(name, turned=0.0, without=(), dtype="float64"):
        columns = {"px": pt * np.cos(phi + turned), "py": pt * np.sin(phi + turned), "pz": pt * np.sinh(eta)}
        columns["E"] = np.sqrt((pt * np.cosh(eta)) ** 2 + 25)
        arrays = {
            f"Jet_{column}": ak.unflatten(values.astype(dtype if column == "px" else np.float64), counts)
            for column, values in columns.items()
            if column not in without
        }
        with uproot.recreate(tmp_path / name) as file:
            file.mktree(
                "tree", {name: f"var * {array.layout.content.dtype}" for name, array in arrays.items()}
            )
            file["tree"].extend(arrays)
        return tmp_path / name

    return make


@pytest.mark.filterwarnings("ignore::hepae.errors.UnitWarning")
def test_a_bound_of_one_coordinate_leaves_the_others_exact(cartesian):
    original, turned = cartesian("original.root"), cartesian("turned.root", turned=0.5)
    found = verify(original, turned, bounds={"pt": "0.1%"})
    assert [line.split(":")[0] for line in found.broken] == ["eta", "phi", "mass"]
    assert not verify(original, turned, bounds={"pt": "0.1%", "eta": 0.1, "mass": 1}).ok
    stated = {"pt": "0.1%", "eta": 0.1, "phi": 0.6, "mass": 1}
    assert all("other side of ±π" in line for line in verify(original, turned, bounds=stated).broken)
    assert verify(original, original, bounds={"pt": "0.1%"}).ok


@pytest.mark.filterwarnings("ignore::hepae.errors.UnitWarning")
@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"without": ["px"]}, "branch Jet_px: it is missing"),
        ({"dtype": "float32"}, "branch Jet_px: its type was var * float64 and is var * float32"),
    ],
)
def test_a_coordinate_that_cannot_be_compared_is_named(cartesian, options, line):
    version = cartesian("version.root", **options)
    assert line in verify(cartesian("original.root"), version, bounds={"pt": "0.1%"}).broken
