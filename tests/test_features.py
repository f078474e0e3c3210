from __future__ import annotations

import json

import awkward as ak
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import hepae
from hepae import kinematics
from hepae.errors import CodecError, ConfigError
from hepae.models.features import BASES, FeatureMap, basis_columns


@pytest.fixture(scope="module")
def columns(sample):
    jets = hepae.read_jets(sample)[:3000]
    return {name: kinematics.flat_column(jets, name) for name in ("pt", "eta", "phi", "mass")}


@pytest.mark.parametrize("basis", BASES)
def test_features_are_inverted(columns, basis):
    features = FeatureMap.fit(columns, basis)
    matrix = features.forward(columns)
    assert matrix.shape == (len(columns["pt"]), 4)
    assert matrix.dtype == np.float32
    restored = features.inverse(matrix)
    for name, values in columns.items():
        kept = values > 0 if name == "mass" and basis == "physics" else np.full(len(values), fill_value=True)
        np.testing.assert_allclose(restored[name][kept], values[kept], rtol=2e-6, atol=3e-6 * np.ptp(values))


def test_minmax_is_the_original_scaling(columns):
    matrix = FeatureMap.fit(columns, "minmax").forward(columns)
    for i, values in enumerate(columns.values()):
        expected = (values - values.min()) / (values.max() - values.min())
        np.testing.assert_allclose(matrix[:, i], expected, atol=1e-7)
    assert matrix.min() == 0
    assert matrix.max() == 1


def test_standard_has_mean_0_and_width_1(columns):
    matrix = FeatureMap.fit(columns, "standard").forward(columns).astype(float)
    np.testing.assert_allclose(matrix.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(matrix.std(axis=0), 1, atol=1e-5)


@given(arrays(np.float32, (20, 4), elements=st.floats(-2, 3, width=32)))
def test_whatever_the_network_says_the_physics_basis_restores_timelike_jets(matrix):
    values = {"pt": [20.0, 900.0], "eta": [-4.0, 4.0], "phi": [-3.0, 3.0], "mass": [1.0, 90.0]}
    jets = kinematics.momenta(FeatureMap.fit(values).inverse(matrix))
    assert ak.all(jets.mass > 0)
    assert ak.all(jets.pt > 0)
    assert ak.all((jets.phi > -np.pi) & (jets.phi <= np.pi))


def test_what_cannot_be_said_is_replaced_and_counted():
    good = {"pt": np.linspace(20, 500, 100), "eta": np.linspace(-3, 3, 100), "phi": np.linspace(-3, 3, 100)}
    features = FeatureMap.fit({**good, "mass": np.linspace(2, 40, 100), "qgl": np.linspace(0, 1, 100)})
    jets = {
        "pt": [50.0, 50, 50, 50],
        "eta": [0.0, np.nan, 0, 0],
        "phi": [1.0, 1, 1, np.inf],
        "mass": [-0.01, 0, 5, 5],
        "qgl": [0.5, -999, 0.5, -99],
    }
    assert features.replaced(jets) == {"pt": 0, "eta": 1, "phi": 1, "mass": 2, "qgl": 2}
    restored = features.inverse(features.forward(jets))
    assert all(np.isfinite(values).all() for values in restored.values())
    assert (restored["mass"] > 0).all()
    np.testing.assert_allclose(restored["qgl"], 0.5, atol=0.01)
    np.testing.assert_allclose(restored["mass"][2:], 5, rtol=1e-5)


def test_a_map_is_rebuilt_from_json(columns):
    for basis in BASES:
        features = FeatureMap.fit(columns, basis)
        assert FeatureMap.from_config(json.loads(json.dumps(features.to_config()))) == features


def test_what_cannot_be_fitted_is_said():
    with pytest.raises(ConfigError, match="physics, minmax, standard"):
        FeatureMap.fit({"pt": [1.0]}, "nope")
    with pytest.raises(CodecError, match="no mass above zero"):
        FeatureMap.fit({"mass": [0.0, -1]})
    with pytest.raises(CodecError, match="'x' holds no number"):
        FeatureMap.fit({"x": [np.nan, -999]})
    constant = FeatureMap.fit({"x": [2.0, 2.0]}, "minmax")
    assert constant.inverse(constant.forward({"x": [2.0]}))["x"].tolist() == [2.0]


def test_the_physics_basis_codes_mass_for_energy():
    assert basis_columns(["pt", "E"], "physics") == ("pt", "mass")
    assert basis_columns(["pt", "E"], "minmax") == ("pt", "E")
    assert basis_columns(["m", "pt"], "minmax") == ("mass", "pt")
    with pytest.raises(ConfigError, match="twice"):
        basis_columns(["m", "E"], "physics")
