from __future__ import annotations

import numpy as np
import pytest

from hepae.errors import ConfigError
from hepae.io.sources import (
    entries_in,
    memory_size,
    native_type,
    steps,
)

pytestmark = pytest.mark.filterwarnings("ignore::hepae.errors.UnitWarning")
"""The unit of most files here is told by their values, which test_inputs.py is about."""


def test_entries_are_cut_into_steps():
    assert [*steps(10, 4)] == [(0, 4), (4, 8), (8, 10)]
    assert [*steps(0, 4)] == []
    assert entries_in("1 kB", 10_000, 100) == 10
    assert entries_in("1 B", 10_000, 100) == 1
    assert entries_in("1 kB", 0, 0) == 1000
    assert entries_in(7, 10_000, 100) == 7
    for wrong in ("100", "MB", "-1 MB", "1 TB", ""):
        with pytest.raises(ConfigError, match="no size"):
            memory_size(wrong)
    with pytest.raises(ConfigError, match="step_size must be at least one entry, got 0"):
        [*steps(10, 0)]


def test_float16_and_big_endian_become_types_that_a_tree_holds():
    assert native_type(np.dtype(">f8")) == np.dtype("=f8")
    assert native_type(np.dtype("f2")) == np.float32
    assert native_type(np.dtype(">i2")).isnative
