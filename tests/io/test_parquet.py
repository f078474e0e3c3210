from __future__ import annotations

import awkward as ak
import numpy as np
import pandas as pd
import pytest

import hepae
from hepae.errors import InputError
from hepae.io.readers import open_source

pytestmark = pytest.mark.filterwarnings("ignore::hepae.errors.UnitWarning")
"""The unit of most files here is told by their values, which test_inputs.py is about."""


ROWS = {"pt": [50.0, 60.0, 70.0], "eta": [0.5, -1.0, 0.0], "phi": [3.0, 0.0, 1.0], "m": [5.0, 6.0, 7.0]}


FRAME = pd.DataFrame(ROWS)


def test_parquet_of_pandas(is_the_table, tmp_path):
    path = tmp_path / "jets.parquet"
    FRAME.assign(w=[1.0, None, 2.0], name=["a", "b", "c"]).to_parquet(path, row_group_size=2)
    is_the_table(path, "parquet", ROWS)
    with open_source(path) as source:
        np.testing.assert_array_equal(ak.to_numpy(source.arrays(["w"], 0, 3)["w"]), [1, np.nan, 2])


@pytest.mark.parametrize("rows", [1, 2, 10])
def test_parquet_with_lists(tmp_path, rows):
    jets = ak.unflatten(ak.zip(ROWS), [2, 0, 1])
    path = tmp_path / "jets.parquet"
    columns = {f"Jet_{name}": jets[name] for name in jets.fields}
    events = ak.zip({"nJet": ak.num(jets), "run": [1, 1, 2], **columns, "Muon": jets}, depth_limit=1)
    ak.to_parquet(events, path, row_group_size=rows)
    with open_source(path) as source:
        assert source.layout.collections["Jet"].counter == "nJet"
        assert source.layout.collections["Jet"].counted
        assert source.branches["Muon.pt"].counter == source.branches["Muon.m"].counter == "nMuon"
        assert source.arrays(["Muon.pt"], 1, 3)["Muon.pt"].tolist() == [[], [70]]
    assert hepae.read_jets(path).pt.tolist() == [[50, 60], [], [70]]
    assert ak.concatenate([*hepae.iterate_jets(path, step_size=1)]).mass.tolist() == [[5, 6], [], [7]]


def test_parquet_with_missing_integers(tmp_path):
    path = tmp_path / "jets.parquet"
    FRAME.assign(n=pd.array([1, None, 3], dtype="Int64")).to_parquet(path)
    with pytest.raises(InputError, match=r"column 'n'.*missing values"):
        hepae.read_jets(path)
    assert hepae.read_jets(path, columns=[]).pt.tolist() == ROWS["pt"]


def test_columns_of_parquet_that_awkward_does_not_know_are_left_out(tmp_path):
    """Awkward 2.8 reads categories as texts, 2.14 does not read them."""
    FRAME.assign(kind=pd.Categorical(["b", "c", "b"])).to_parquet(tmp_path / "jets.parquet")
    with open_source(tmp_path / "jets.parquet") as source:
        assert source.unreadable in ((), ("kind",))
        if not source.unreadable:
            assert source.arrays(["kind"], 0, 3)["kind"].tolist() == ["b", "c", "b"]
    assert hepae.read_jets(tmp_path / "jets.parquet").pt.tolist() == ROWS["pt"]


def test_float16_becomes_float32_in_parquet_too(tmp_path):
    FRAME.astype({"pt": "float16"}).to_parquet(tmp_path / "jets.parquet")
    hepae.compress_file(tmp_path / "jets.parquet", tmp_path / "c.root", hepae.BoundedCodec({"pt": "exact"}))
    with hepae.open(tmp_path / "c.root") as file:
        assert file.jets().pt.tolist() == ROWS["pt"]
