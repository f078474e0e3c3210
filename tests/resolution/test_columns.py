from __future__ import annotations

import numpy as np
import pytest

from hepae.resolution.columns import ColumnKind, mantissa_bits, ordinary

RNG = np.random.default_rng(1)
PT = (20 + RNG.exponential(50, 5000)).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("pt", PT, ColumnKind(relative=True)),
        ("eta", RNG.normal(0, 1, 5000).astype(np.float32), ColumnKind(angle=True)),
        ("genPhi", RNG.normal(0, 1, 5000), ColumnKind(angle=True)),
        ("btag", RNG.uniform(0, 1, 5000), ColumnKind(score=True)),
        ("dxy", RNG.normal(0, 1, 5000), ColumnKind()),
        ("hits", np.arange(5000), ColumnKind("integers")),
        ("charge", np.round(10 * PT), ColumnKind("whole numbers")),
        ("genWeight", PT, ColumnKind("a weight or scale factor")),
        ("empty", np.full(10, np.nan), ColumnKind("no values to judge by")),
    ],
)
def test_a_column_is_known_by_its_name_and_values(name, values, kind):
    assert ColumnKind.of("Jet", name, values) == kind


@pytest.mark.parametrize("bits", [9, 12, 16])
def test_the_bits_of_truncated_values_are_counted(bits):
    cut = (PT.view(np.uint32) & np.uint32(2**32 - 2 ** (23 - bits))).view(np.float32)
    assert mantissa_bits(cut) == bits
    assert ColumnKind.of("Jet", "pt", cut).cut == f"already truncated to {bits} bits of mantissa"
    assert mantissa_bits(PT) == 23
    assert mantissa_bits(np.zeros(3, np.float32)) == 0


def test_few_values_and_singles_in_doubles_are_told_apart():
    assert ColumnKind.of("Jet", "x", RNG.choice([0.3, 2.7, 5.5], 5000)).cut == "only 3 different values"
    assert ColumnKind.of("Jet", "pt", PT.astype(np.float64)).cut == ""


def test_special_values_say_nothing():
    assert ordinary(np.array([0, 1, -1, -999, np.nan, np.inf, 2.5], np.float32)).tolist() == [2.5]
