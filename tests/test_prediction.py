from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hepae.codecs import prediction
from hepae.codecs.bytestream import Reader
from hepae.errors import CodecError

ANY = st.integers(-(2**63), 2**63 - 1)


def round_trip(columns, counts, momentum=None, values=None):
    data = prediction.encode(columns, counts, momentum, values)
    length = len(next(iter(columns.values())))
    found = prediction.decode(Reader(data), list(columns), length, counts, momentum, values)
    for name, integers in columns.items():
        assert np.array_equal(found[name], integers), name
    return data


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_integers_come_back(data):
    counts = np.array(data.draw(st.lists(st.integers(0, 7), max_size=12)), np.int64)
    length = int(counts.sum())
    columns = {
        n: data.draw(arrays(np.int64, length, elements=st.one_of(st.integers(-5, 5), ANY))) for n in "abc"
    }
    round_trip(columns, counts)
    round_trip(columns, None)


def jets(events=4000, most=6, seed=0):
    """Events whose jets balance in phi and fall in pt, as integers."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, most, events)
    length = int(counts.sum())
    first = np.cumsum(counts) - counts
    pt = np.exp(rng.normal(4, 0.7, length))
    phi = rng.uniform(-np.pi, np.pi, length)
    for start, count in zip(first.tolist(), counts.tolist(), strict=True):
        part = np.sort(pt[start : start + count])[::-1]
        pt[start : start + count] = part
        if count > 1:
            phi[start + 1] = np.remainder(phi[start] + 2 * np.pi + rng.normal(0, 0.05), 2 * np.pi) - np.pi
    columns = {
        "pt": np.rint(np.log(pt) * 500),
        "eta": np.rint(rng.normal(0, 900, length)),
        "phi": np.rint(phi / 0.002),
        "mass": np.rint(np.log(pt) * 50 + rng.normal(0, 12, length)),
    }
    return (
        {name: values.astype(np.int64) for name, values in columns.items()},
        counts,
        lambda _, i: np.exp(i / 500.0),
    )


def test_prediction_pays_on_jets_that_know_of_each_other():
    columns, counts, values = jets(20_000)
    data = round_trip(columns, counts, prediction.Momentum("pt", "phi"), values)
    alone = sum(len(prediction._pack(column)) for column in columns.values())
    assert len(data) < 0.93 * alone


@pytest.mark.parametrize("counts", [[1000], [0, 0], [1], [], [300, 0, 1, 70, 500]])
def test_events_of_any_size(counts):
    counts = np.array(counts, np.int64)
    rng = np.random.default_rng(5)
    length = int(counts.sum())
    columns = {n: rng.integers(-3000, 3000, length) for n in ("pt", "eta", "phi", "mass")}
    round_trip(columns, counts, prediction.Momentum("pt", "phi"), lambda _, i: np.abs(i) + 1.0)


def test_two_jets_that_cancel_exactly_have_a_direction():
    counts = np.full(2000, 3)
    phi = np.tile(np.array([-1000, 571, 3], np.int64), 2000)
    columns = {"pt": np.full(6000, 100, np.int64), "phi": phi}
    round_trip(columns, counts, prediction.Momentum("pt", "phi"), lambda _, i: i * 1.0)


def test_many_columns_gain_from_each_other():
    rng = np.random.default_rng(6)
    base = rng.normal(0, 1000, 20_000)
    columns = {f"c{i}": np.rint(base * (i + 1) + rng.normal(0, 5, 20_000)).astype(np.int64) for i in range(8)}
    data = round_trip(columns, None)
    assert len(data) < 0.6 * sum(len(prediction._pack(column)) for column in columns.values())


def test_damaged_streams_are_refused_and_take_no_memory():
    columns, counts, values = jets(500)
    momentum = prediction.Momentum("pt", "phi")
    data = prediction.encode(columns, counts, momentum, values)
    length = int(counts.sum())
    for cut in range(0, len(data), max(1, len(data) // 60)):
        with pytest.raises(CodecError):
            prediction.decode(Reader(data[:cut]), list(columns), length, counts, momentum, values)
    with pytest.raises(CodecError, match="jets"):
        prediction.decode(Reader(data), list(columns), length + 1, counts, momentum, values)
