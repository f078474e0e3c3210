from __future__ import annotations

import builtins
import os
import pickle
import re
import struct
import subprocess

import numpy as np
import pandas as pd
import pytest

from hepae.errors import InputError
from hepae.io import unpickling
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
    number = _Calls(bytearray, 10**12)
    path.write_bytes(pickle.dumps(number, protocol=4))
    with pytest.raises(InputError, match="holds no pandas DataFrame"):
        read_pickle(path)
    array = _Calls(np._core.numeric._frombuffer, number, np.dtype("f8"), (1,), "C")
    path.write_bytes(pickle.dumps({"pt": array}, protocol=4))
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
    path.write_bytes(pickle.dumps([{"pt": [1.0]}]))
    with pytest.raises(InputError, match="no pandas DataFrame"):
        read_pickle(path)


def test_a_column_of_text_is_named(tmp_path):
    path = tmp_path / "x.pkl"
    pd.DataFrame({"pt": [1.0], "label": np.array(["jet"], object)}).to_pickle(path)
    with pytest.raises(InputError, match="label"):
        read_pickle(path)


@pytest.mark.parametrize(
    ("bomb", "what"),
    [
        (b"\x80\x04\x8e" + struct.pack("<Q", 10**13) + b".", "expected 10000000000000 bytes"),  # BINBYTES8
        (b"\x80\x05\x96" + struct.pack("<Q", 10**13) + b".", "expected 10000000000000 bytes"),  # BYTEARRAY8
        (b"\x80\x04\x95" + struct.pack("<Q", 10**13) + b"N.", "holds no pandas DataFrame"),  # FRAME
        (b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b".", "not enough data"),  # LONG4
        (b"\x80\x02Nr" + struct.pack("<I", 2**31 - 1) + b".", "memo position 2147483647"),  # LONG_BINPUT
        (b"\x80\x02Np999999999999\n.", "memo position 999999999999"),  # PUT
    ],
)
def test_lengths_beyond_the_end_take_no_memory(tmp_path, bomb, what):
    path = tmp_path / "bomb.pkl"
    path.write_bytes(bomb)
    with pytest.raises(InputError, match=what):
        read_pickle(path)


@pytest.mark.parametrize(
    ("dtype", "shape", "data", "what"),
    [
        ("f8", (10**12,), b"12345678", "reshape"),
        ("f8", (2**62, 4), b"", "reshape"),
        ("O", (10**12,), b"12345678", "without its list"),
        ("V8", (1,), b"12345678", "dtype 'V8'"),
        ([("a", "O")], (1,), b"12345678", "dtype"),
    ],
)
def test_arrays_that_are_not_plain_numbers_are_refused(tmp_path, dtype, shape, data, what):
    array = _Calls(np._core.numeric._frombuffer, data, _Calls(np.dtype, dtype, False, True), shape, "C")
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(array))
    with pytest.raises(InputError, match=what):
        read_pickle(path)


def test_sums_of_the_trigger_jets(data):
    found = read_pickle(data / "all_jets_train_4D_100_percent.pkl")
    frame = pd.read_pickle(data / "all_jets_train_4D_100_percent.pkl")
    for name, column in found.items():
        assert column.tobytes() == frame[name].to_numpy().tobytes()
    assert found["pt"].sum() == pytest.approx(7205062721.056641, rel=1e-12)
    assert found["m"][[0, -1]].tolist() == [3831.83935546875, 5150.32275390625]


BASE = pd.DataFrame({"pt": [1.0, 2, 3], "eta": [0.0, 1, 2], "phi": [0.5, 1, 2]})


@pytest.mark.parametrize(
    "frame",
    [
        BASE.assign(
            ok=[True, False, True], i=np.int8([1, -2, 3]), u=np.uint64([2**64 - 1, 1, 2]), f=np.float32(3)
        ),
        pd.DataFrame(np.arange(24.0).reshape(6, 4), columns=list("abcd"))[["d", "a"]].iloc[::-2],
        BASE.rename(columns={"pt": "π"}).assign(x=1).drop(columns="eta"),
        BASE.rename_axis(columns="columns").set_index(pd.Index([1.5, 2, 3])),
        BASE.set_index(pd.Index(["a", "b", "c"])),
        BASE.iloc[:0],
    ],
    ids=["types", "strided", "renamed", "float index", "text index", "empty"],
)
@pytest.mark.parametrize("protocol", [2, 5])
def test_frames_of_many_shapes(tmp_path, frame, protocol):
    path = tmp_path / "frame.pkl"
    path.write_bytes(pickle.dumps(frame, protocol=protocol))
    found = read_pickle(path)
    assert list(found) == list(frame.columns)
    for name, column in found.items():
        assert column.dtype == frame[name].dtype
        assert column.flags.c_contiguous
        np.testing.assert_array_equal(column, frame[name].to_numpy())


def test_types_that_no_tree_holds_keep_their_values(tmp_path):
    path = tmp_path / "frame.pkl"
    pd.DataFrame({"big": np.array([1.5, -2], ">f8"), "half": np.array([1.5, 65504], "f2")}).to_pickle(path)
    found = read_pickle(path)
    assert [column.dtype.str for column in found.values()] == ["<f8", "<f4"]
    assert [column.tolist() for column in found.values()] == [[1.5, -2], [1.5, 65504]]


def test_columns_of_the_same_name_are_never_lost_in_silence(tmp_path):
    path = tmp_path / "frame.pkl"
    pd.DataFrame(np.ones((2, 2)), columns=["pt", "pt"]).to_pickle(path)
    with pytest.raises(InputError, match="the same name"):
        read_pickle(path)


@pytest.mark.parametrize(
    ("column", "named"),
    [
        (pd.array([1, 2, None], "Int64"), "IntegerArray"),
        (pd.Categorical(["a", "b", "a"]), "Categorical"),
        (np.array([1j, 2, 3]), "c16"),
    ],
)
def test_columns_that_are_no_plain_numbers_are_named(tmp_path, column, named):
    path = tmp_path / "frame.pkl"
    BASE.assign(x=column).to_pickle(path)
    with pytest.raises(InputError, match=named):
        read_pickle(path)


TABLE = np.array([(1.5, 7, (1, 2)), (2.5, 8, (3, 4))], [("pt", ">f4"), ("n", "i2"), ("v", "f8", (2,))])


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize(
    "table", [TABLE, TABLE.view(np.recarray), {name: TABLE[name] for name in TABLE.dtype.names}]
)
def test_arrays_with_named_fields_and_dicts_of_arrays(tmp_path, protocol, table):
    path = tmp_path / "table.pkl"
    path.write_bytes(pickle.dumps(table, protocol=protocol))
    columns = read_pickle(path)
    assert list(columns) == ["pt", "n", "v"]
    for name, column in columns.items():
        assert column.dtype == TABLE[name].dtype.newbyteorder("=")
        np.testing.assert_array_equal(column, TABLE[name])


@pytest.mark.parametrize(
    "rows", [[[1.5, 2.5], [], [3.5]], [np.float32([1.5, 2.5]), np.float32([]), np.float32([3.5])]]
)
def test_rows_of_lists_become_events(tmp_path, rows):
    path = tmp_path / "frame.pkl"
    pd.DataFrame({"run": [1, 2, 3], "pt": rows}).to_pickle(path)
    columns = read_pickle(path)
    assert columns["pt"].tolist() == [[1.5, 2.5], [], [3.5]]


def test_an_array_named_many_times_does_not_fill_the_memory(tmp_path):
    path = tmp_path / "bomb.pkl"
    array = np.zeros(100_000, ">f8")
    path.write_bytes(pickle.dumps({f"c{i}": array for i in range(1000)}))
    with pytest.raises(InputError, match="its values would take more than"):
        read_pickle(path)
    rows = np.empty(50_000, object)
    rows[:] = [array] * len(rows)
    path.write_bytes(pickle.dumps({"pt": rows}))
    with pytest.raises(InputError, match="its values would take more than"):
        read_pickle(path)
    path.write_bytes(pickle.dumps({"pt": array, "eta": array[:10]}))
    with pytest.raises(InputError, match="different length"):
        read_pickle(path)


def test_rows_of_equal_length_become_events(tmp_path):
    path = tmp_path / "frame.pkl"
    pd.DataFrame({"pt": [[1.5, 2.5], [3.5, 4.5]]}).to_pickle(path)
    assert read_pickle(path)["pt"].tolist() == [[1.5, 2.5], [3.5, 4.5]]


def _global(name):
    module, _, own = name.rpartition(".")
    return b"c" + module.encode() + b"\n" + own.encode() + b"\n"


def _text(text):
    return b"\x8c" + bytes([len(text)]) + text.encode()


DEFAULTS = b"N}" + _text("__defaults__") + b")s\x86"  # (None, {"__defaults__": ()}), for setattr


@pytest.mark.parametrize(
    ("program", "why"),
    [
        (_global("_codecs.encode") + DEFAULTS + b"b", "sets the state of"),
        (_global("numpy.core.numeric._frombuffer") + DEFAULTS + b"b", "sets the state of"),
        (_global("numpy.dtype") + b"}" + _text("resolve") + b"Nsb", "sets the state of"),
        (_global("pandas.core.frame.DataFrame") + b"}b", "sets the state of"),
        (_global("builtins.slice") + b"}b", "sets the state of"),
        (_global("builtins.slice") + b"K\x01\x85R}b", "sets the state of"),
        (b"]}b", "sets the state of"),
        (_global("numpy.dtype") + _text("x") + b"Ns", "sets an item of"),
        (_global("numpy.dtype") + b"(" + _text("x") + b"Nu", "sets an item of"),
        (_global("numpy.dtype") + b"Na", "append"),
        (_global("numpy.dtype") + b"(Ne", "append"),
        (_global("numpy.dtype") + b")R" + _text("x") + b"Ns", "sets an item of"),
        (b"\x82\x01", "EXT1"),
        (b"\x83\x01\x00", "EXT2"),
        (b"\x84\x01\x00\x00\x00", "EXT4"),
        (b"Pid\n", "PERSID"),
        (_text("id") + b"Q", "BINPERSID"),
        (b"(inumpy\ndtype\n", "INST"),
        (b"(" + _global("numpy.dtype") + b"o", "OBJ"),
        (b"\x8f", "EMPTY_SET"),
        (b"(\x91", "FROZENSET"),
        (b"N)\x81", "__new__"),
        (_global("copyreg._reconstructor"), "copyreg._reconstructor"),
        (_global("hepae.io.unpickling._ALLOWED"), "_ALLOWED"),
        (b"\x8c\x05numpy\x8c\x0edtype.__dict__\x93", "dtype.__dict__"),
        (b"\x97", "buffer"),
        (b"h\x05", "[Mm]emo"),
        (b"1", "."),
        (b"0", "."),
        (b"R", "."),
    ],
)
def test_nothing_outlives_a_pickle(tmp_path, program, why):
    path = tmp_path / "hostile.pkl"
    before = {
        name: (dict(vars(entry)), getattr(entry, "__defaults__", None))
        for name, entry in unpickling._ALLOWED.items()
    }
    path.write_bytes(b"\x80\x04" + program + b".")
    with pytest.raises(InputError, match=why):
        read_pickle(path)
    for name, entry in unpickling._ALLOWED.items():
        assert (dict(vars(entry)), getattr(entry, "__defaults__", None)) == before[name]


def _shared_list(length, times):
    shared = list(range(length))
    return {"pt": [shared] * times}


def _shared_columns():
    shared = [float(i) for i in range(20_000)]
    return {f"c{i}": shared for i in range(20_000)}


def _shared_objects():
    rows = np.empty(20_000, object)
    rows[:] = [[1.0], [2.0, 3.0]] * 10_000
    return {f"c{i}": rows for i in range(20_000)}


def _shared_tuples(last):
    """Two references to the one before, forty times: 2⁴⁰ tuples for what hashes or prints them."""
    pairs = b"".join(b"h" + bytes([i]) + b"h" + bytes([i]) + b"\x86\x94" for i in range(40))
    return b"\x80\x04)\x94" + pairs + last


BOMBS = {
    "one list in many rows": lambda: pickle.dumps(_shared_list(20_000, 20_000)),
    "one list in many columns": lambda: pickle.dumps(_shared_columns()),
    "one array of objects in many columns": lambda: pickle.dumps(_shared_objects()),
    "one text encoded many times": lambda: (
        b"\x80\x02c_codecs\nencode\n\x94X" + struct.pack("<I", 500_000) + b"x" * 500_000 + b"\x94"
        b"X\x06\x00\x00\x00latin1\x94]("
        + b"h\x00h\x01h\x02\x86R" * 60_000 + b"e."
    ),
    "a key of shared tuples": lambda: _shared_tuples(b"}h\x28Ns."),
    "a name of shared tuples": lambda: _shared_tuples(b"}(h\x28Nu."),
    "shared tuples": lambda: _shared_tuples(b"."),
}  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS)
def test_what_a_pickle_shares_takes_no_memory_and_no_time(tmp_path, limited, bomb):
    path = tmp_path / "bomb.pkl"
    path.write_bytes(BOMBS[bomb]())
    assert path.stat().st_size < 1_000_000
    status, _, errors, memory = limited("info", path)
    assert status == 1
    assert memory < 1000
    assert len(errors) == 1
    assert re.match(r"Error: .*(HEPAE_MAX_EXPANSION|keys are neither|holds no pandas)", errors[0])
