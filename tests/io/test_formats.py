from __future__ import annotations

import h5py
import pandas as pd
import pytest

import hepae
from hepae.errors import InputError
from hepae.io.formats import open_table

pytestmark = pytest.mark.filterwarnings("ignore::hepae.errors.UnitWarning")
"""The unit of most files here is told by their values, which test_inputs.py is about."""


@pytest.mark.parametrize(
    "text",
    [
        "1,2,3,4\n5,6,7,8\n",
        "a letter to the reader\nof this file\n",
        "pt,eta,phi,m\n1,2\n",
        "<html>a, b</html>",
        "\n",
    ],
)
def test_texts_that_are_no_tables(tmp_path, text):
    path = tmp_path / "jets.csv"
    path.write_text(text)
    with pytest.raises(InputError, match="neither a ROOT file nor a pickle"):
        hepae.read_jets(path)


JETS = {"pt": [50.0, 60.0], "eta": [0.5, -1.0], "phi": [3.0, 0.0], "m": [5.0, 6.0]}


def _hdf5(path):
    with h5py.File(path, "w") as file:
        for name, values in JETS.items():
            file[name] = values


FORMATS = {
    "pickle": lambda path: pd.DataFrame(JETS).to_pickle(path, compression=None),
    "hdf5": _hdf5,
    "parquet": lambda path: pd.DataFrame(JETS).to_parquet(path),
    "csv": lambda path: pd.DataFrame(JETS).to_csv(path),
    "darkmachines": lambda path: path.write_text("1;p;1;2;3;j,5,4,0.1,0.2\n"),
}


@pytest.mark.parametrize("kind", FORMATS)
def test_a_table_is_recognised_by_its_first_bytes_whatever_its_name(tmp_path, kind):
    path = tmp_path / "jets.root"
    FORMATS[kind](path)
    with open_table(path) as table:
        assert table.format == kind
        assert table.num_entries == (1 if kind == "darkmachines" else 2)


def test_other_files_are_no_tables(sample, tmp_path):
    (tmp_path / "empty").touch()
    (tmp_path / "bytes").write_bytes(bytes(range(256)) * 10)
    for path in (sample, tmp_path / "empty", tmp_path / "bytes"):
        assert open_table(path) is None
