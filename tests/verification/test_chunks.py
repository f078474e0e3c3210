from __future__ import annotations

import awkward as ak
import numpy as np

from hepae.bounds import Bound
from hepae.io.readers import open_source
from hepae.verification.chunks import EventChecker, fit_axes
from hepae.verification.promises import Promise, Promises
from hepae.verification.tree_pair import TreePair
from hepae.verification.tree_view import TreeView


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
