"""Files that earlier versions wrote stay readable."""

from __future__ import annotations

import json
from pathlib import Path

import awkward as ak
import numpy as np

import hepae

HERE = Path(__file__).parents[1] / "data"


def test_latent_file_of_format_1_restores_the_same_jets() -> None:
    """Within 1e-5 of each column's range: a network's last bits differ between machines."""
    expected = json.loads((HERE / "latent_v1.json").read_text())
    with hepae.open(HERE / "latent_v1.root") as file:
        assert file.parts[0].header.hepae
        jets = file.jets()
    for name, values in expected.items():
        assert ak.num(jets[name]).tolist() == [len(event) for event in values]
        flat = np.array([value for event in values for value in event])
        found = ak.to_numpy(ak.flatten(jets[name]))
        assert len(flat) > 50
        assert np.max(np.abs(found - flat)) <= 1e-5 * np.ptp(flat)


def test_corrected_latents_of_format_1_are_within_their_bounds_and_edges() -> None:
    original = json.loads((HERE / "corrected_v1.json").read_text())
    with hepae.open(HERE / "corrected_v1.root") as file:
        assert file.parts[0].header.hepae
        assert file.header.collections["Jet"].bounds.to_config()["bounds"] == {
            "pt": "0.2%",
            "eta": "0.001",
            "phi": "0.001",
            "mass": "1%+1MeV",
        }
        assert file.header.collections["Jet"].bounds.to_config()["edges"] == {"pt": [30.0, 50.0]}
        jets = file.jets()
    for name, (relative, absolute) in {
        "pt": (2e-3, 0),
        "eta": (0, 1e-3),
        "phi": (0, 1e-3),
        "mass": (1e-2, 1e-3),
    }.items():
        before = np.array([value for event in original[name] for value in event])
        after = ak.to_numpy(ak.flatten(jets[name]))
        assert len(before) > 50
        error = np.abs(after - before)
        assert np.all(error <= relative * np.abs(before) + absolute), name
        assert error.max() > (relative * np.abs(before) + absolute).min() / 2
        if name == "pt":
            assert np.array_equal(np.digitize(before, [30, 50]), np.digitize(after, [30, 50]))
