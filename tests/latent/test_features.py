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
from hepae.latent.features import BASES, FeatureMap, basis_columns


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


RANGES = {"pt": (0.1, 7e3), "eta": (-5, 5), "phi": (-3.14, 3.14), "mass": (0.01, 800), "E": (0.1, 7e3)}


@pytest.mark.parametrize("basis", BASES)
@pytest.mark.parametrize("column", RANGES)
@given(data=st.data())
def test_any_values_come_back_within_the_precision_of_float32(data, basis, column):
    numbers = st.floats(*RANGES[column])
    values = np.array(data.draw(st.lists(numbers, min_size=1, max_size=30)))
    features = FeatureMap.fit({column: values}, basis)
    restored = features.inverse(features.forward({column: values}))[column]
    if basis == "physics" and column in ("pt", "mass"):
        values = np.maximum(values, 1e-3 * np.median(values))  # what is smaller is put there
        restored, values = np.log(restored), np.log(values)
    width = np.ptp(values)
    assert np.all(np.abs(restored - values) <= 2.0**-24 * 1.01 * width + 1e-12)


@given(arrays(np.float32, (20, 4), elements=st.floats(-(2.0**99), 2.0**99, width=32)))
def test_whatever_the_network_says_the_physics_basis_restores_timelike_jets(matrix):
    values = {"pt": [20.0, 900.0], "eta": [-4.0, 4.0], "phi": [-3.0, 3.0], "mass": [1.0, 90.0]}
    jets = kinematics.momenta(FeatureMap.fit(values).inverse(matrix))
    for values in (jets.mass, jets.pt):
        stored = ak.values_astype(values, np.float32)  # as in a file
        assert ak.all((stored > 0) & np.isfinite(stored))
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


def test_what_is_no_number_does_not_stretch_the_scale():
    good = np.linspace(0, 1, 50)
    spoiled = np.concatenate([good, [np.nan, np.inf, -np.inf, -99, -999, -9999]])
    for basis in BASES:
        assert FeatureMap.fit({"x": spoiled}, basis) == FeatureMap.fit({"x": good}, basis)


def test_phi_beyond_the_circle_comes_back_into_it():
    features = FeatureMap.fit({"phi": [-3.0, 3.0]}, "minmax")
    beyond = np.array([[-0.5], [0.0], [0.5], [1.05], [2.0]], np.float32)
    phi = features.inverse(beyond)["phi"]
    assert np.all((phi > -np.pi) & (phi <= np.pi))
    np.testing.assert_allclose(np.exp(1j * phi), np.exp(1j * (beyond[:, 0] * 6.0 - 3.0)), atol=1e-6)


@pytest.mark.parametrize("basis", BASES)
@pytest.mark.parametrize("value", [0.1, 2.0, 1e-30, -7.3])
def test_a_constant_column_leaves_other_values_near(basis, value):
    features = FeatureMap.fit({"x": [value] * 3}, basis)
    np.testing.assert_allclose(features.forward({"x": [value, value + 1]})[:, 0], [0, 1], atol=1e-6)
    assert features.inverse(features.forward({"x": [value]}))["x"][0] == pytest.approx(value, abs=1e-15)


def test_a_spread_that_underflows_is_none():
    features = FeatureMap.fit({"x": [0.0, 9e-191]}, "standard")
    assert np.isfinite(features.forward({"x": [0.0, 1.0]})).all()


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
    with pytest.raises(CodecError, match="'pt' holds no number"):
        FeatureMap.fit({"pt": []})


def test_the_physics_basis_codes_mass_for_energy():
    columns = ["pt", "eta", "phi", "E"]
    assert basis_columns(columns, "physics") == ("pt", "eta", "phi", "mass")
    assert basis_columns(columns, "minmax") == ("pt", "eta", "phi", "E")
    assert basis_columns(["m", "pt", "phi", "eta"], "minmax") == ("mass", "pt", "phi", "eta")
    with pytest.raises(ConfigError, match="twice"):
        basis_columns([*columns, "m"], "physics")
