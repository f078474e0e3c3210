from __future__ import annotations

import numpy as np

from hepae.bounded.exact_math import exp, sin_cos, sinh_cosh

X = np.concatenate([np.random.default_rng(3).uniform(-12, 12, 100_000), [0.0, -0.0, np.pi, -np.pi, 1e-300]])


def test_exp_is_within_two_ulp():
    wide = np.concatenate([X, 58 * X, [-707.9, 707.9]])
    assert np.max(np.abs(exp(wide) / np.exp(wide) - 1)) < 1e-15
    assert exp(np.array([0.0]))[0] == 1.0


def test_beyond_the_range_exp_stays_finite_and_nan_stays_nan():
    assert exp(np.array([1e9, np.inf]))[0] == exp(np.array([708.0]))[0] < np.inf
    assert np.isnan(exp(np.array([np.nan]))[0])


def test_sin_and_cos():
    sine, cosine = sin_cos(X)
    assert np.max(np.abs(sine - np.sin(X))) < 1e-15
    assert np.max(np.abs(cosine - np.cos(X))) < 1e-15
    assert not np.isfinite(sin_cos(np.array([np.nan, np.inf]))).any()


def test_sinh_and_cosh():
    sine, cosine = sinh_cosh(X)
    np.testing.assert_allclose(sine, np.sinh(X), rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(cosine, np.cosh(X), rtol=1e-14)
