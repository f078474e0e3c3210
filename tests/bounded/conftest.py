"""Jets that several modules code."""

from __future__ import annotations

import pytest

import hepae


@pytest.fixture(scope="module")
def jets(sample):
    return hepae.read_jets(sample)
