from __future__ import annotations

import numpy as np
import pytest

from hepae.bounded.parents import PARENTS, candidates


@pytest.fixture
def rng():
    return np.random.default_rng(1)


def noise(rng, number, jets=5000):
    return list(rng.integers(-1000, 1000, (number, jets)))


def test_up_to_four_earlier_columns_are_all_candidates(rng):
    assert candidates(noise(rng, 5)) == [[], [0], [0, 1], [0, 1, 2], [0, 1, 2, 3]]
    assert candidates([]) == []


def test_columns_without_jets_have_some_candidates_or_none():
    assert all(len(found) <= PARENTS for found in candidates([np.zeros(0, np.int64)] * 9))
    assert all(len(found) <= PARENTS for found in candidates([np.zeros(1, np.int64)] * 9))


def test_noise_says_nothing_of_noise(rng):
    found = candidates(noise(rng, 200))
    assert sum(map(len, found[5:])) < 40


def test_candidates_are_earlier_columns_at_most_four_rising(rng):
    common = rng.integers(-1000, 1000, 5000)
    found = candidates([common + values for values in noise(rng, 200)])
    for number, some in enumerate(found):
        assert some == sorted(set(some))
        assert len(some) <= PARENTS
        assert all(0 <= other < number for other in some)
        assert some or number == 0


def test_columns_that_make_a_column_are_found_among_many(rng):
    columns = noise(rng, 300)
    columns.append(2 * columns[17] - columns[250] + rng.integers(-300, 300, 5000))
    assert {17, 250} <= {*candidates(columns)[-1]}


def test_what_a_column_widens_with_is_found(rng):
    columns = noise(rng, 100)
    columns.append(rng.integers(-1000, 1000, 5000) * (1001 + columns[40]) // 100)
    assert 40 in candidates(columns)[-1]


def test_copies_of_a_column_count_once(rng):
    first, second = noise(rng, 2)
    columns = noise(rng, 20) + [first + rng.integers(-9, 10, 5000) for _ in range(6)] + [second]
    columns.append(4 * first + second + rng.integers(-100, 100, 5000))
    found = candidates(columns)[-1]
    assert 26 in found
    assert len([number for number in found if 20 <= number < 26]) == 1


def test_values_of_any_size_and_many_equal_ones(rng):
    columns = noise(rng, 20)
    few = (rng.random(5000) < 0.1).astype(np.int64)
    columns += [few * (2**63 - 1), few + np.iinfo(np.int64).min, np.full(5000, -(2**63))]
    found = candidates(columns)
    assert 20 in found[21]
    assert found[22] == []
