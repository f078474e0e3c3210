from __future__ import annotations

import pytest

import hepae
from hepae.training.train import train


def test_residuals_of_validation_jets_are_recorded(small, jets):
    """They are what `hepae.residuals` says of the same jets, for a codec of the same weights."""
    result = train(jets[:2000], small, validation=jets[2000:])
    (last,) = (row for row in result.history if row.epoch == result.codec.summary["best"]["epoch"])
    restored = result.codec.decompress(result.codec.compress(jets[2000:]))
    expected = hepae.residuals(jets[2000:], restored)
    for name in ("pt", "eta", "phi"):
        assert last.p68[name] == pytest.approx(expected[name].p68, rel=0.01)
