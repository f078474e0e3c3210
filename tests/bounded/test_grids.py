from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hepae.bounded.bytestream import Reader, Writer
from hepae.bounded.grids import Grid, GrowingGrid, UniformGrid
from hepae.errors import CodecError


def written(grid):
    out = Writer()
    grid.write(out)
    return out.content()


@pytest.mark.parametrize("relative", [0.5, 0.1, 0.0109, 1e-2, 2.7e-3, 1e-3, 1e-6])
@pytest.mark.parametrize("offset", [0.0, 0.1])
def test_half_a_step_is_what_is_allowed_and_no_less(relative, offset):
    """From any value half a step up or down stays within the bound; half a step away from 0 uses 99.8 % of it on average."""
    values = np.concatenate(
        [np.exp(np.random.default_rng(1).uniform(-9, 9, 100_000)), 2.0 ** np.arange(-9, 9)]
    )
    values = np.concatenate([values, -values])
    grid = GrowingGrid.of(relative, offset, values)
    position = grid.forward(values)
    allowed = relative * (np.abs(values) + offset)
    for half in (-0.5, 0.5):
        assert np.max(np.abs(grid.inverse(position + half) - values) / allowed) <= 1
    outward = grid.inverse(position + np.copysign(0.5, values))
    assert np.mean(np.abs(outward - values) / allowed) > 0.998


@given(
    values=st.lists(
        st.floats(-1e30, 1e30).filter(lambda v: v == 0 or abs(v) > 1e-30), min_size=1, max_size=20
    ),
    relative=st.floats(1e-6, 0.5),
    offset=st.sampled_from([0.0, 1e-3, 7.0]),
)
@settings(max_examples=100, deadline=None)
def test_positions_rise_with_values_and_are_inverted(values, relative, offset):
    values = np.sort(np.array(values))
    values = values[(values != 0) | (offset > 0)]
    grid = GrowingGrid.of(relative, offset, values)
    position = grid.forward(values)
    assert np.all(np.diff(position) >= 0)
    assert np.all(np.abs(grid.inverse(position) - values) <= 1e-5 * relative * (np.abs(values) + offset))
    assert offset or np.all(np.abs(position) >= 1 - 1e-6)  # both signs stay apart


@pytest.mark.parametrize(
    "grid", [UniformGrid(0.1), GrowingGrid(1.4, 0.1, -100.5), GrowingGrid(1.4, 0.0, -100.5)], ids=str
)
def test_a_grid_survives_being_written(grid):
    assert Grid.read(grid.kind, Reader(written(grid))) == grid


@pytest.mark.parametrize(
    "grid", [UniformGrid(0.0), UniformGrid(np.nan), GrowingGrid(1.0, -1.0, 0.0)], ids=str
)
def test_a_grid_that_makes_no_sense_is_refused(grid):
    with pytest.raises(CodecError, match="grid"):
        Grid.read(grid.kind, Reader(written(grid)))


@pytest.mark.parametrize("error", [1e-30, 1e-3, 0.7, 5.0])
def test_equal_steps_use_up_the_error_but_a_millionth(error):
    grid = UniformGrid.of(error)
    assert (1 - 1e-6) * error < grid.step / 2 < error
    values = np.array([-3.5, 0.0, 1.0, 1e6])
    assert grid.inverse(grid.forward(values)) == pytest.approx(values, rel=1e-14)


def test_a_bound_too_fine_has_no_grid():
    assert GrowingGrid.of(2.0**-40, 0.0, np.ones(1)) is not None
    assert GrowingGrid.of(np.nextafter(2.0**-40, 0), 0.0, np.ones(1)) is None
    assert UniformGrid.of(0.0) is None


def by_the_book(grid, position):
    """One value as PAYLOAD.md says it, without numpy."""
    roots = [2.0]
    for _ in range(8):
        roots.append(math.sqrt(roots[-1]))
    starts = [math.prod(roots[8 - j] for j in range(8) if k >> j & 1) for k in range(256)] + [2.0]
    along = (abs(position) + grid.origin) / grid.width
    n = math.floor(along)
    mantissa = (along - n) * (starts[n % 256 + 1] - starts[n % 256]) + starts[n % 256]
    return math.copysign(math.ldexp(mantissa, n >> 8) - grid.offset, position)


@pytest.mark.parametrize("offset", [0.0, 0.1])
def test_values_are_to_the_bit_what_the_document_says(offset):
    grid = GrowingGrid.of(1e-3, offset, np.array([1e-6, 1e6]))
    positions = np.random.default_rng(2).uniform(-9000, 9000, 2000)
    assert grid.inverse(positions).tolist() == [
        by_the_book(grid, position) for position in positions.tolist()
    ]
