"""Files that earlier versions wrote stay readable: each codec, storage and layout.

`test_payload_reader.py` reads those with bounds once more, and so does `tests/files/test_rdataframe.py` in C++.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import awkward as ak
import numpy as np
import pytest

import hepae

HERE = Path(__file__).parent
EXPECTED = json.loads((HERE / "v1" / "expected.json").read_text())


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


def test_each_codec_has_each_storage_and_layout() -> None:
    names = {
        f"{layout}_{codec}_{storage}"
        for layout in ("nanoaod", "physlite", "flat")
        for codec in ("bounded", "latent", "integers", "corrected")
        for storage in ("ttree", "rntuple")
    }
    assert names == {*EXPECTED} == {path.stem for path in (HERE / "v1").glob("*.root")}


@pytest.mark.parametrize("name", EXPECTED)
def test_files_of_format_1_give_the_same_values(name: str) -> None:
    """The same bits where bounds hold; latents alone within 1e-5 of each column's range."""
    with hepae.open(HERE / "v1" / f"{name}.root") as file:
        assert file.header.codec == ("bounded" if "bounded" in name else "latent")
        if file.header.bounded:
            arrays = file.original_arrays(list(EXPECTED[name]), 0, file.num_entries)
        else:
            arrays = file.jets()
    for column, expected in EXPECTED[name].items():
        values = ak.to_numpy(ak.flatten(arrays[column], axis=None))
        if isinstance(expected, str):
            assert hashlib.sha256(values.tobytes()).hexdigest() == expected, column
        else:
            assert np.max(np.abs(values - expected)) <= 1e-5 * np.ptp(expected), column
