from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hepae.bounded.bytestream import Reader, Writer
from hepae.bounded.dither import dither
from hepae.bounded.quantization import Quantized, quantize, violations
from hepae.bounded.streams import HEADER
from hepae.bounds import EXACT, Bound

HOSTILE = [
    0.0,
    -0.0,
    np.inf,
    -np.inf,
    np.nan,
    1e38,
    -1e38,
    1e-40,
    -1e-45,
    -999.0,
    -9999.0,
    -99.0,
    1.0,
    -1.0,
    7000.0,
    -0.01,
]
BOUNDS = [
    Bound(0.001),
    Bound(0, 0.001),
    Bound(0.01, 0.001),
    Bound(0.05, 0.1),
    Bound(1e-5),
    Bound(0, 1e-9),
    EXACT,
]


def round_trip(name, values, bound, edges=()):
    shifts = dither(12345, 3, len(values))
    column = quantize(name, values, bound, shifts, edges)
    out = Writer()
    column.write(out)
    read = Quantized.read(Reader(out.content()), len(values), HEADER)
    read.integers = column.integers
    restored = read.complete(shifts)
    assert restored.dtype == values.dtype
    return restored, column


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bound", BOUNDS, ids=str)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_no_bound_is_ever_broken(dtype, bound, data):
    width = np.dtype(dtype).itemsize * 8
    elements = st.one_of(st.sampled_from([float(dtype(v)) for v in HOSTILE]), st.floats(width=width))
    values = data.draw(arrays(dtype, st.integers(0, 60), elements=elements))
    edges = tuple(data.draw(st.lists(st.floats(-1e4, 1e4), max_size=3)))
    restored, _ = round_trip("x", values, bound, edges)
    assert not violations(values, restored, bound, edges).any()
    special = ~np.isfinite(values) | np.isin(values, [0, 1, -1, -99, -999, -9999])
    assert restored[special].tobytes() == values[special].tobytes()
    if bound.exact:
        assert restored.tobytes() == values.tobytes()


@given(arrays(np.float32, st.integers(1, 100), elements=st.floats(-4, 4, width=32)))
@settings(max_examples=60, deadline=None)
def test_phi_stays_on_its_side_of_the_circle(values):
    restored, _ = round_trip("phi", values, Bound(0, 0.001))
    assert np.abs(restored.astype(float) - values.astype(float)).max() <= 0.001


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_phi_near_pi_is_mirrored_there(dtype):
    """No jet jumps to the other side, none leaves ±π, and the spectrum has no spike and no gap at its ends."""
    bound = Bound(0, 0.01)
    values = np.random.default_rng(10).uniform(-np.pi, np.pi, 400_000).astype(dtype)
    values[:400] = np.linspace(3.14, np.pi, 400)
    values[400:800] = -values[:400]
    restored, column = round_trip("phi", values, bound)
    assert len(column.exceptions) == 0
    assert np.max(np.abs(restored.astype(float) - values.astype(float))) <= 0.01
    assert np.max(np.abs(restored)) <= dtype(np.pi)
    ordinary = restored[800:]
    near = [np.count_nonzero(np.pi - np.abs(ordinary) < width) for width in (0.002, 0.01, 0.03)]
    expected = [len(ordinary) * width / np.pi for width in (0.002, 0.01, 0.03)]
    assert np.all(np.abs(np.array(near) - expected) < 4 * np.sqrt(expected))


def test_ten_million_values_of_every_kind():
    rng = np.random.default_rng(1)
    for name, bound, make in (
        ("pt", Bound(0.001), lambda n: rng.pareto(2, n) * 20 + 20),
        ("mass", Bound(0.01, 0.001), lambda n: rng.normal(5, 10, n)),
        ("eta", Bound(0, 0.001), lambda n: rng.normal(0, 2, n)),
        ("phi", Bound(0, 0.001), lambda n: rng.uniform(-np.pi, np.pi, n)),
        (
            "w",
            Bound(0.0001, 1e-6),
            lambda n: np.exp(np.clip(rng.normal(0, 20, n), -80, 80)) * rng.choice([-1, 1], n),
        ),
    ):
        for _ in range(8):
            values = make(250_000).astype(np.float32)
            values[rng.integers(0, len(values), 2000)] = rng.choice(np.array(HOSTILE, np.float32), 2000)
            edges = (20.0, 30.0, 100.0) if name == "pt" else ()
            restored, _ = round_trip(name, values, bound, edges)
            assert not violations(values, restored, bound, edges).any()
            for edge in edges:
                assert np.array_equal(values > np.float32(edge), restored > np.float32(edge))


@pytest.mark.parametrize("bound", [Bound(0.001), Bound(0, 0.01), Bound(0.01, 0.001)], ids=str)
def test_residuals_are_uniform_and_do_not_know_the_value(bound):
    rng = np.random.default_rng(2)
    values = (rng.pareto(3, 200_000) * 30 + 20).astype(np.float32)
    restored, column = round_trip("pt", values, bound)
    residual = (restored.astype(float) - values) / bound.allowed(values)
    assert len(column.exceptions) == 0
    assert abs(residual.mean()) < 4 / np.sqrt(3 * len(values))
    assert residual.std() == pytest.approx(1 / np.sqrt(3), rel=0.02)
    assert residual.std() > 0.97 / np.sqrt(3)  # the steps are nearly as wide as the bound allows
    assert abs(np.corrcoef(residual, values % 1.0)[0, 1]) < 0.01


def test_repeated_values_stay_and_cost_no_order():
    rng = np.random.default_rng(3)
    values = rng.uniform(0, 1, 50_000).astype(np.float32)
    values[::3], values[1::7] = 0.0, 0.25
    restored, column = round_trip("f", values, Bound(0, 0.001))
    for value in (0.0, 0.25):
        assert np.array_equal(restored == value, values == value)
    order = np.argsort(values, kind="stable")
    assert np.all(
        np.diff(column.integers[order]) >= -2
    )  # the dither moves by one step, and the repeated lie between
    assert column.integers.max() - column.integers.min() < 510


def test_truncated_mantissas_make_small_integers():
    values = (
        np.random.default_rng(4).normal(0, 1, 1000).astype(np.float32).view(np.uint32) & 0xFFFFE000
    ).view(np.float32)
    restored, column = round_trip("x", values, EXACT)
    assert restored.tobytes() == values.tobytes()
    assert column.shift >= 13


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"])
def test_integers_are_exact(dtype):
    info = None if dtype == "?" else np.iinfo(dtype)
    values = np.array([0, 1, 1] if info is None else [info.min, info.max, 0, 1], dtype)
    restored, _ = round_trip("n", values, EXACT)
    assert np.array_equal(restored, values)


def test_an_infinity_that_came_back_finite_breaks_every_bound():
    original = np.array([np.inf, -np.inf, np.nan, 1.0], np.float64)
    same = violations(original, original.copy(), Bound(0.01, 0.1))
    assert not same.any()
    lost = violations(original, np.array([1e300, -1e300, 0.0, np.inf]), Bound(0.01, 0.1))
    assert lost.all()


def test_missing_values_of_any_kind_are_repeated_values():
    """NaN, −0 and sentinels that fill a column keep every bit, cost no exception and open no gap in the integers."""
    rng = np.random.default_rng(5)
    values = rng.uniform(1, 2, 50_000).astype(np.float32)
    missing = np.array([0x7FC01234, 0x80000000, 0xC479C000, 0x7F800000], np.uint32).view(np.float32)
    for first, value in enumerate(missing):
        values[first::10] = value
    for bound in (Bound(0, 0.001), Bound(0.001), Bound(0.01, 0.001)):
        restored, column = round_trip("x", values, bound)
        rows = np.arange(len(values)) % 10 < 4
        assert restored[rows].tobytes() == values[rows].tobytes()
        assert len(column.exceptions) == 0
        assert column.integers.max() - column.integers.min() < 720


def test_the_most_frequent_values_stay_and_chance_repeats_do_not_count():
    rng = np.random.default_rng(6)
    values = np.concatenate([np.repeat(np.arange(2, 22), 1000), rng.uniform(2, 30, 30_000)]).astype(
        np.float32
    )
    values[:20] = [0.0, 1.0, -1.0, -99.0, -999.0] * 4
    rng.shuffle(values)
    restored, column = round_trip("x", values, Bound(0, 0.01))
    assert len(column.places) == 16
    kept = sum(np.array_equal(values == value, restored == value) for value in range(2, 22))
    assert kept == 16
    for value in (0, 1, -1, -99, -999):
        assert np.array_equal(values == value, restored == value)
    restored, column = round_trip("x", rng.integers(2000, 9000, 40_000).astype(np.float32), Bound(0, 3.0))
    assert len(column.places) == 0


def test_one_wild_value_costs_the_others_nothing():
    values = np.random.default_rng(7).normal(0, 2, 20_000).astype(np.float32)
    _, quiet = round_trip("eta", values, Bound(0, 1e-3))
    values[77] = 3e30
    restored, column = round_trip("eta", values, Bound(0, 1e-3))
    assert restored[77] == values[77]
    assert column.exceptions.tolist() == [77]
    assert column.integers.max() - column.integers.min() < 1.01 * (
        quiet.integers.max() - quiet.integers.min()
    )


def test_an_angle_off_the_circle_is_kept():
    values = np.random.default_rng(8).uniform(-np.pi, np.pi, 5000).astype(np.float32)
    values[[3, 4]] = 4.0, -3.5
    values[5], values[6] = np.float32(np.pi), -np.float32(np.pi)
    restored, column = round_trip("phi", values, Bound(0, 1e-3))
    assert restored[[3, 4]].tolist() == values[[3, 4]].tolist()
    assert np.all(np.abs(np.delete(restored, [3, 4])) <= np.float32(np.pi))
    assert column.integers.max() - column.integers.min() <= 2 * np.pi / column.grid.step + 1


@pytest.mark.parametrize("dtype", ["u8", "i8", "u1", "f4", "f8"])
def test_exact_columns_keep_their_order(dtype):
    _, column = round_trip("n", np.array([0, 1, 2, 100, 200], dtype), EXACT)
    assert np.all(np.diff(column.integers) > 0)


def test_a_few_values_with_more_bits_are_exceptions():
    values = (
        np.random.default_rng(9).normal(0, 1, 10_000).astype(np.float32).view(np.uint32) & 0xFFFFE000
    ).view(np.float32)
    values[[5, 500]] = 0.1, -0.3
    restored, column = round_trip("x", values, EXACT)
    assert restored.tobytes() == values.tobytes()
    assert (column.shift, column.exceptions.tolist()) == (13, [5, 500])


def test_an_infinity_that_became_a_number_is_a_violation():
    for bound in BOUNDS:
        for original, restored in ((np.inf, 1e300), (np.nan, 1.0), (1.0, np.nan), (1.0, np.inf)):
            assert violations(np.array([original]), np.array([restored]), bound).all()
