from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

import hepae
from hepae.errors import ConfigError, InputError
from hepae.io.guards import Memory, fingerprint_of, reading, require_unchanged
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


def test_the_memory_of_values_is_limited_by_the_bytes_of_their_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(bytes(1_000_000))
    monkeypatch.delenv("HEPAE_MAX_EXPANSION", raising=False)
    memory = Memory(path)
    memory.take(200_000_000)
    memory.take(100_000_000)
    with pytest.raises(InputError, match=r"1\.00 MB, but its values would take more than 300 MB"):
        memory.take(1)


def test_a_file_that_changes_while_it_is_read_is_noticed(tmp_path):
    path = tmp_path / "file"
    path.write_text("one")
    noted = fingerprint_of(path)
    require_unchanged(path, noted)
    path.write_text("another")
    with pytest.raises(InputError, match="was replaced or changed while it was read"):
        require_unchanged(path, noted)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FileNotFoundError(), "no such file: x.root"),
        (PermissionError(), "no permission to read x.root"),
        (IsADirectoryError(), "x.root is a folder"),
        (KeyError("Events"), r"cannot read x.root: it is damaged or incomplete \('Events'\)"),
        (
            ValueError("first line\nsecond"),
            r"cannot read x.root: it is damaged or incomplete \(first line\)$",
        ),
    ],
)
def test_whatever_a_library_raises_is_one_line(error, words):
    with pytest.raises(InputError, match=words), reading(Path("x.root")):
        raise error


@pytest.mark.parametrize("error", [ConfigError("ours"), MemoryError(), KeyboardInterrupt()])
def test_our_own_errors_and_those_that_are_not_of_the_file_come_through(error):
    with pytest.raises(type(error)), reading(Path("x.root")):
        raise error
