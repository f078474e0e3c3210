from __future__ import annotations

import pytest

from hepae.column_names import canonical_name, is_weight


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("m", "mass"),
        ("mass", "mass"),
        ("Jet.m", "Jet.mass"),
        ("a.b.m", "a.b.mass"),
        ("m.pt", "m.pt"),
        ("mm", "mm"),
    ],
)
def test_names_of_one_column_are_one(name, canonical):
    assert canonical_name(name) == canonical
    assert canonical_name(canonical) == canonical


@pytest.mark.parametrize(
    "name",
    [
        "genWeight",
        "weights",
        "weight_bTagSF",
        "xsec",
        "crossSection",
        "kFactor",
        "L1PreScale",
        "prescale",
        "bTagSFs",
    ],
)
def test_weights_are_known_by_their_names(name):
    assert is_weight(name) == (name != "L1PreScale")  # two words: Pre Scale


@pytest.mark.parametrize(
    "name", ["pt", "SoftActivityJetHT", "PSFrac", "weighted", "MaxWeightTTVA", "sfera", ""]
)
def test_other_columns_are_not_taken_for_weights(name):
    assert not is_weight(name)
