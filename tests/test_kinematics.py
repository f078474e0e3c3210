from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hepae.kinematics import column, flat_column, momenta, wrap_phi

FOUR = {"pt": [[50.0, 40.0], []], "eta": [[0.5, -2.0], []], "phi": [[3.0, -3.0], []]}


def test_energy_and_mass_derive_from_each_other():
    jets = momenta({**FOUR, "mass": [[5.0, 4.0], []]})
    again = momenta({**FOUR, "E": jets.E})
    np.testing.assert_allclose(flat_column(again, "mass"), [5, 4], rtol=1e-10)
    np.testing.assert_allclose(
        flat_column(jets, "E"), np.sqrt((np.array([50, 40]) * np.cosh([0.5, -2])) ** 2 + [25, 16])
    )


def test_a_spacelike_jet_has_a_negative_mass():
    jets = momenta({"pt": [50.0], "eta": [0.0], "phi": [0.0], "E": [40.0]})
    assert column(jets, "mass").tolist() == pytest.approx([-30.0])


def test_momenta_become_doubles_and_further_columns_keep_their_type():
    arrays = {name: ak.values_astype(ak.Array(values), np.float32) for name, values in FOUR.items()}
    jets = momenta({**arrays, "mass": arrays["pt"], "n": ak.values_astype(arrays["pt"], np.uint8)})
    assert (
        str(jets.type)
        == "2 * var * Momentum4D[pt: float64, eta: float64, phi: float64, mass: float64, n: uint8]"
    )


@pytest.mark.parametrize(
    "columns", [{"pt": [1.0]}, {**FOUR, "px": FOUR["pt"]}, {**FOUR, "mass": FOUR["pt"], "E": FOUR["pt"]}]
)
def test_incomplete_four_momenta_are_refused(columns):
    with pytest.raises(ValueError, match="a jet needs pt, eta, phi"):
        momenta(columns)


@given(st.floats(-1e4, 1e4))
def test_wrapped_angles_are_the_same_angles(phi):
    wrapped = float(wrap_phi(phi))
    assert -np.pi < wrapped <= np.pi
    assert np.cos(wrapped) == pytest.approx(np.cos(phi), abs=1e-9)
    assert np.sin(wrapped) == pytest.approx(np.sin(phi), abs=1e-9)
    if -np.pi < phi <= np.pi:
        assert wrapped == phi
