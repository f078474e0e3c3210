from __future__ import annotations

import numpy as np
import pytest

from hepae.resolution.parametrisation import ColumnResolution
from hepae.resolution.widening import bound_over_sigma, fit_bound, widening_of


def test_a_bound_widens_by_what_was_asked():
    errors = np.random.default_rng(0).uniform(-1, 1, 1_000_000) * bound_over_sigma(0.01)
    assert widening_of(errors, np.ones_like(errors)) == pytest.approx(0.01, rel=0.01)
    assert ColumnResolution(relative=0.1, absolute=1)([0.0]) == 1


def test_errors_without_a_resolution_widen_nothing():
    errors = np.array([5.0, np.nan, 1.0, 1.0])
    assert widening_of(errors, np.array([0.0, 1.0, np.nan, np.inf])) == 0
    assert widening_of(errors, np.array([0.0, 1.0, 1.0, np.nan])) == pytest.approx(2**0.5 - 1)


@pytest.mark.parametrize("relative", [True, False])
def test_a_fitted_bound_stays_below_the_resolution_everywhere(relative):
    sigma = ColumnResolution(noise=3.33, stochastic=0.71, constant=0.03)
    values = 20 + np.random.default_rng(1).exponential(50, 10_000)
    rel, absolute = fit_bound(sigma, values, 0.1, relative=relative)
    wide = np.geomspace(1e-3, 1e5, 2000) if relative else values
    assert np.all(rel * wide + absolute <= 0.1 * sigma(wide) * (1 + 1e-6))
    assert np.mean((rel * values + absolute) / (0.1 * sigma(values))) > 0.5
    assert (rel > 0) == relative
