from __future__ import annotations

import builtins
import os
import pickle
import subprocess

import numpy as np
import pandas as pd
import pytest

from hepae.errors import InputError
from hepae.io.unpickling import read_pickle


class _Calls:
    """Pickles as a call of something."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("strings", ["python", "pyarrow"])
def test_frames_of_every_protocol_come_back_as_they_were(tmp_path, protocol, strings):
    with pd.option_context("mode.string_storage", strings):
        frame = pd.DataFrame({"pt": [1.5, 2.5, 3.5], "n": [1, 2, 3], "eta": np.float32([0.5, -0.25, 7])})
        frame["phi"] = frame["pt"] * 2
        frame = frame[frame["pt"] > 2]
        path = tmp_path / "frame.pkl"
        path.write_bytes(pickle.dumps(frame, protocol=protocol))
    columns = read_pickle(path)
    assert list(columns) == ["pt", "n", "eta", "phi"]
    for name, column in columns.items():
        assert column.dtype == frame[name].dtype
        np.testing.assert_array_equal(column, frame[name].to_numpy())


@pytest.mark.parametrize(
    ("name", "rows", "columns"),
    [
        ("all_jets_train_4D_100_percent.pkl", 111_778, ["m", "pt", "phi", "eta"]),
        ("all_jets_test_4D_100_percent.pkl", 27_945, ["m", "pt", "phi", "eta"]),
        ("darkmachines_monojet.pkl", 18_129, ["E", "pt", "eta", "phi"]),
    ],
)
def test_the_fields_own_pickles(data, name, rows, columns):
    found = read_pickle(data / name)
    assert list(found) == columns
    for column in found.values():
        assert column.shape == (rows,)
        assert column.dtype == np.float64
        assert np.isfinite(column).all()
    assert np.abs(found["phi"]).max() <= np.pi + 1e-6
    assert found["pt"].min() > 1000  # MeV


@pytest.mark.parametrize(
    ("function", "arguments", "named"),
    [
        (os.system, ("touch ran",), "system"),
        (builtins.eval, ("open('ran', 'w')",), "eval"),
        (subprocess.Popen, (["touch", "ran"],), "Popen"),
        (np.load, ("ran",), "numpy.load"),
        (builtins.getattr, (os, "system"), "getattr"),
    ],
)
def test_a_pickle_that_names_anything_else_is_refused_and_runs_nothing(
    tmp_path, monkeypatch, function, arguments, named
):
    monkeypatch.chdir(tmp_path)
    if named == "getattr":
        arguments = ("os", "system")
    hostile = tmp_path / "hostile.pkl"
    hostile.write_bytes(pickle.dumps(_Calls(function, *arguments)))
    with pytest.raises(InputError, match=named):
        read_pickle(hostile)
    assert not (tmp_path / "ran").exists()


def test_a_frame_with_a_hostile_value_inside_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame({"pt": [1.0], "x": [_Calls(os.system, "touch ran")]})
    frame.to_pickle(tmp_path / "hostile.pkl")
    with pytest.raises(InputError, match="system"):
        read_pickle(tmp_path / "hostile.pkl")
    assert not (tmp_path / "ran").exists()


def test_a_number_in_place_of_bytes_takes_no_memory(tmp_path):
    path = tmp_path / "bomb.pkl"
    path.write_bytes(pickle.dumps(_Calls(bytearray, 10**12), protocol=4))
    with pytest.raises(InputError, match="not bytes"):
        read_pickle(path)


def test_truncated_pickles_and_other_objects_are_refused(tmp_path):
    frame = pd.DataFrame({"pt": np.arange(100.0), "eta": np.arange(100.0)})
    whole = pickle.dumps(frame)
    path = tmp_path / "x.pkl"
    for length in (2, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match="cannot read the pickle"):
            read_pickle(path)
    path.write_bytes(pickle.dumps({"pt": [1.0]}))
    with pytest.raises(InputError, match="no pandas DataFrame"):
        read_pickle(path)


def test_a_column_of_text_is_named(tmp_path):
    path = tmp_path / "x.pkl"
    pd.DataFrame({"pt": [1.0], "label": np.array(["jet"], object)}).to_pickle(path)
    with pytest.raises(InputError, match="label"):
        read_pickle(path)
