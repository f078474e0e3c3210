from __future__ import annotations

import awkward as ak
import numpy as np
import pytest

import hepae
from hepae.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore::hepae.errors.UnitWarning")
"""The unit of most files here is told by their values, which test_inputs.py is about."""


def test_a_counter_that_stops_being_true_is_refused_when_compressing(tmp_path):
    counts = np.full(3000, 2)
    jets = ak.unflatten(ak.zip({name: np.ones(6000) for name in ("pt", "eta", "phi", "mass")}), counts)
    ak.to_parquet(
        ak.zip({"Jet": jets, "nJet": np.where(np.arange(3000) < 2000, 2, 5)}, depth_limit=1),
        tmp_path / "late.parquet",
    )
    with pytest.raises(InputError, match="'nJet' says other lengths"):
        hepae.compress_file(tmp_path / "late.parquet", tmp_path / "c.root", hepae.BoundedCodec())
    assert not (tmp_path / "c.root").exists()
