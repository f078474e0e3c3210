from __future__ import annotations

import numpy as np
import pytest

from hepae.bounds import Bound, Edges
from hepae.verification.findings import ColumnFindings, ColumnKey, Findings, Jets

COUNTS = np.array([2, 0, 3])
PT = np.array([10.0, 20.0, 30.0, 40.0, 50.0])


def findings(after, bound="1%", edges=None, rows=slice(None), first=7):
    key = ColumnKey("pt", None if bound is None else Bound.parse(bound), edges, "GeV", PT.dtype)
    where = Jets(*(part[rows] for part in Jets.of(COUNTS, first, 5)))
    return ColumnFindings.of(key, PT[rows], np.asarray(after)[rows], where, None, None)


def test_jets_have_their_event_and_their_number_in_it():
    where = Jets.of(COUNTS, 7, 5)
    assert where.entry.tolist() == [7, 7, 9, 9, 9]
    assert where.jet.tolist() == [0, 1, 0, 1, 2]
    assert Jets.of(None, 7, 2).entry.tolist() == [7, 8]


@pytest.mark.parametrize(
    ("after", "options", "words"),
    [
        (PT, {}, []),
        (PT * 1.009, {}, []),
        (
            [10, 20, 30, 41.0, 50],
            {},
            ["2.5 times the bound; the first is jet 1 of entry 9: 40.0 became 41.0"],
        ),
        ([10, 20, 30, 41.0, 50], {"bound": None}, ["no bound is promised, and 1 of 5 values changed"]),
        ([10, 20, 30.1, 40, 50], {"edges": Edges.parse("30.05")}, ["1 of 5 values crossed 30.05"]),
    ],
)
def test_what_broke_is_one_line_with_the_first_jet(after, options, words):
    lines = findings(after, **options).lines("Jet.pt")
    assert len(lines) == len(words)
    for line, word in zip(lines, words, strict=True):
        assert line.startswith("Jet.pt: ")
        assert word in line


def test_a_nan_with_other_bits_has_them_named_and_no_factor():
    before, after = PT.copy(), PT.copy()
    before[3] = after[3] = np.nan
    after.view(np.uint64)[3] ^= 1
    key = ColumnKey("pt", Bound.parse("1%"), None, "GeV", PT.dtype)
    found = ColumnFindings.of(key, before, after, Jets.of(COUNTS, 7, 5), None, None)
    assert found.lines("Jet.pt") == [
        "Jet.pt: 1 of 5 values are beyond the bound 1%; the first is jet 1 of entry 9: nan (0x7ff8000000000000) became "
        "nan (0x7ff8000000000001)"
    ]


def test_chunks_add_up_in_any_order():
    after = PT * [1.02, 1, 1, 1.03, 1]
    whole = findings(after)
    parts = [findings(after, rows=rows) for rows in (slice(0, 2), slice(2, 5))]
    assert parts[0] + parts[1] == parts[1] + parts[0] == whole
    assert (whole.beyond, whole.changed, whole.first.entry) == (2, 2, 7)
    totals = [
        Findings(events=1, columns={"Jet": {"pt": part}}, differing={"x": n}) for n, part in enumerate(parts)
    ]
    total = totals[1] + totals[0]
    assert (total.events, total.columns["Jet"]["pt"], total.differing) == (2, whole, {"x": 0})


def test_lines_name_what_differs():
    found = Findings(
        order=(3, "event 5 in the original and event 6 now"),
        lengths={"Jet": (4, 2, 1)},
        types={"x": "int32 and is int64"},
        differing={"y": 9},
        structure=("branch z: it is missing",),
    )
    assert found.lines() == [
        "entry 3 is event 5 in the original and event 6 now: other events, or the same ones in another order",
        "Jet: entry 4 has 2 jets in the original and 1 now",
        "branch z: it is missing",
        "branch x: its type was int32 and is int64",
        "branch y: not the same bit for bit, first in entry 9",
    ]
    assert Findings().lines() == []
