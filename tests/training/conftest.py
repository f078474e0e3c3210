"""A small training, and the jets it is of."""

from __future__ import annotations

import pytest

import hepae
from hepae.kinematics import flat_column


@pytest.fixture(scope="module")
def jets(sample):
    return hepae.read_jets(sample)[:3000]


@pytest.fixture(scope="session")
def small():
    """Configuration of a training that takes a fraction of a second."""
    network = hepae.AutoencoderConfig(hidden=(16, 8))
    return hepae.TrainingConfig(epochs=4, network=network, batch_size=256)


@pytest.fixture(scope="session")
def columns_of():
    """Give the columns of jets that a network is trained on, by name, flat."""
    return lambda jets: {name: flat_column(jets, name) for name in ("pt", "eta", "phi", "mass")}
