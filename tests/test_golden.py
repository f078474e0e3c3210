"""Files that earlier versions wrote stay readable."""

from __future__ import annotations

import json
from pathlib import Path

import awkward as ak
import numpy as np

import hepae

HERE = Path(__file__).parent / "data"


def test_latent_file_of_format_1_restores_the_same_jets() -> None:
    """Within 1e-5 of each column's range: a network's last bits differ between machines."""
    expected = json.loads((HERE / "latent_v1.json").read_text())
    with hepae.open(HERE / "latent_v1.root") as file:
        assert file.header["format_version"] == 1
        jets = file.jets()
    for name, values in expected.items():
        assert ak.num(jets[name]).tolist() == [len(event) for event in values]
        flat = np.array([value for event in values for value in event])
        found = ak.to_numpy(ak.flatten(jets[name]))
        assert len(flat) > 50
        assert np.max(np.abs(found - flat)) <= 1e-5 * np.ptp(flat)
