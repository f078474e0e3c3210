from __future__ import annotations

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

import hepae
from hepae.errors import ConfigError
from hepae.io.readers import open_source

pytestmark = pytest.mark.filterwarnings("ignore::hepae.errors.UnitWarning")
"""The unit of most files here is told by their values, which test_inputs.py is about."""


MOMENTUM = ("pt", "eta", "phi", "mass")


def _unallocated(path):
    with h5py.File(path, "w") as file:
        for name in MOMENTUM:
            file.create_dataset(name, shape=(4_000_000_000,), dtype="f4", chunks=(1_000_000,), fillvalue=1)


def _unallocated_labels(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("labels", shape=(4_000_000_000,), dtype="S8", chunks=(1_000_000,))
        file["data"] = np.ones((10, 4))


def _equal_values(path):
    table = pa.table(dict.fromkeys(MOMENTUM, np.ones(20_000_000, np.float32)))
    pa.parquet.write_table(table, path, compression="zstd")


def _one_long_list(path):
    values = pa.array(np.ones(20_000_000, np.float32))
    lists = pa.ListArray.from_arrays(pa.array([0, 20_000_000], pa.int32()), values)
    pa.parquet.write_table(pa.table({f"jets.{name}": lists for name in MOMENTUM}), path, compression="zstd")


def _many_kinds_of_objects(path):
    path.write_text("\n".join(f"{i};p;1;1;1;o{i},1,1,1,1" for i in range(30_000)))


@pytest.mark.parametrize(
    "write", [_unallocated, _unallocated_labels, _equal_values, _one_long_list, _many_kinds_of_objects]
)
def test_values_that_a_file_only_claims_take_no_memory(tmp_path, limited, write):
    path = tmp_path / "claims"
    write(path)
    assert path.stat().st_size < 1_000_000
    for command in (("info", path), ("compress", path, "-o", tmp_path / "out.root")):
        status, _, errors, memory = limited(*command)
        assert status == 1
        assert memory < 1000
        assert len(errors) == 1
        assert "HEPAE_MAX_EXPANSION" in errors[0]


def test_who_trusts_a_file_can_raise_the_limit(tmp_path, monkeypatch):
    path = tmp_path / "constant.parquet"
    _equal_values(path)
    monkeypatch.setenv("HEPAE_MAX_EXPANSION", "1e6")
    with open_source(path) as source:
        assert source.num_entries == 20_000_000
    monkeypatch.setenv("HEPAE_MAX_EXPANSION", "much")
    with pytest.raises(ConfigError, match="HEPAE_MAX_EXPANSION must be a number"):
        open_source(path)


def test_columns_of_one_value_are_read(tmp_path):
    path = tmp_path / "constant.h5"
    with h5py.File(path, "w") as file:
        for name in MOMENTUM:
            file.create_dataset(name, data=np.ones(1_000_000, np.float32), compression="gzip", shuffle=True)
    assert path.stat().st_size < 100_000
    assert len(hepae.read_jets(path)) == 1_000_000
