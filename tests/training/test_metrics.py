from __future__ import annotations

import numpy as np
import pytest
import torch

import hepae
from hepae.training import metrics
from hepae.training.train import train


def test_residuals_of_validation_jets_are_recorded(small, jets):
    """They are what `hepae.residuals` says of the same jets, for a codec of the same weights."""
    result = train(jets[:2000], small, validation=jets[2000:])
    (last,) = (row for row in result.history if row.epoch == result.codec.summary["best"]["epoch"])
    restored = result.codec.decompress(result.codec.compress(jets[2000:]))
    expected = hepae.residuals(jets[2000:], restored)
    for name in ("pt", "eta", "phi"):
        assert last.p68[name] == pytest.approx(expected[name].p68, rel=0.01)


def test_p68_is_sigma_of_a_gaussian_and_half_the_central_width_of_anything():
    values = np.random.default_rng(1).normal(3.0, 2.0, 200_000)
    assert metrics.p68(values) == pytest.approx(2.0, rel=0.01)
    assert metrics.p68(np.linspace(0, 1, 1001)) == pytest.approx(0.34)
    assert np.isnan(metrics.p68(np.zeros(0)))


def test_squared_errors_are_added_over_all_batches(codec):
    network = codec.network
    features = torch.rand(metrics._RESIDUALS * 2 + 1, 4, generator=torch.Generator().manual_seed(1))
    total, before, after = metrics.squared_error(network, features)
    with torch.inference_mode():
        expected = ((network(features) - features).double() ** 2).sum()
        restored = network(before)
    assert total == pytest.approx(float(expected), rel=1e-4)
    assert metrics._RESIDUALS / 2 < len(before) == len(after) < 1.1 * metrics._RESIDUALS
    assert torch.allclose(restored, after, atol=1e-5)
    assert metrics.squared_error(network, features[:0])[0] == 0


def test_residuals_that_are_not_finite_are_left_out(codec, jets, columns_of):
    features = torch.from_numpy(codec.features.forward(columns_of(jets)))
    damaged = features.clone()
    damaged[0] = torch.nan
    found = metrics.residuals(codec.features, features, damaged)
    assert {name: len(values) for name, values in found.items()} == dict.fromkeys(
        codec.columns, len(features) - 1
    )
    assert all(np.abs(values).max() == 0 for values in found.values())


def test_numbers_are_named_as_in_metrics_csv():
    row = metrics.EpochMetrics(3, 0.1, 0.2, None, 1e-3, 50.0, {"pt": 0.01})
    assert row.numbers() == {
        "epoch": 3,
        "train_loss": 0.1,
        "validation_loss": 0.2,
        "test_loss": None,
        "learning_rate": 1e-3,
        "jets_per_s": 50.0,
        "pt_p68": 0.01,
    }
