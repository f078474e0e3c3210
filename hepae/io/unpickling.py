"""The allow-listed unpickler: tables of jets out of pickles, with nothing in the pickle ever run.

A pickle is a program that calls what it names. Here every name it may use stands for an inert object of this
module: arrays are built from plain bytes, and pandas' objects only record their state, so that old and new pandas
(pickle protocols 2 to 5) read alike without pandas. Any other name is refused.
"""

from __future__ import annotations

import io
import itertools
import pickle
import pickletools
from typing import TYPE_CHECKING, Any, Self

import awkward as ak
import numpy as np

from hepae.errors import InputError
from hepae.io.sources import native_type

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray


class _Recorded:
    """Stands for a pandas object: keeps what it was called with and the state it was given."""

    args: tuple[Any, ...]
    state: Any

    def __new__(cls, *args: object) -> Self:
        recorded = super().__new__(cls)
        recorded.args, recorded.state = args, None
        return recorded

    def __setstate__(self, state: object) -> None:
        self.state = state


class _Frame(_Recorded):
    """Stands for a DataFrame."""


class _Manager(_Recorded):
    """Stands for the BlockManager of a DataFrame."""


class _Index(_Recorded):
    """Stands for an Index; ``args`` are its class and its data."""


class _Block(_Recorded):
    """Stands for a block of a BlockManager; ``args`` are its values, its placement and its dimension."""


class _Dtype(_Recorded):
    """Stands for a numpy dtype: a plain number, a text or an object, in the byte order of its state."""

    def resolve(self) -> np.dtype[Any]:
        """Give the numpy dtype: of a number, a text, an object, or a structure or subarray of these."""
        kind = self.args[0] if self.args else None
        if isinstance(self.state, tuple) and len(self.state) > 5:
            _, _, subarray, names, fields, itemsize = self.state[:6]
            if subarray is not None:
                return np.dtype((subarray[0].resolve(), subarray[1]))
            if names is not None:
                members = [fields[name] for name in names]
                structure = {
                    "names": [str(name) for name in names],
                    "formats": [member[0].resolve() for member in members],
                    "offsets": [member[1] for member in members],
                    "itemsize": itemsize,
                }
                return np.dtype(structure)  # type: ignore[call-overload, no-any-return]
        if not isinstance(kind, str) or not (kind in ("O", "O8") or kind[:1] in "biufSU"):
            raise pickle.UnpicklingError(f"dtype {kind!r}")
        order = self.state[1] if isinstance(self.state, tuple) and len(self.state) > 1 else "="
        dtype: np.dtype[Any] = np.dtype(kind)
        return dtype.newbyteorder(">") if order == ">" else dtype


class _Array(_Recorded):
    """Stands for a numpy array, built from the bytes or the list in its state."""

    def resolve(self) -> NDArray[Any]:
        """Give the numpy array."""
        _, shape, dtype, fortran, data = self.state
        return _as_array(data, dtype.resolve(), shape, "F" if fortran else "C")


def _as_array(data: object, dtype: np.dtype[Any], shape: tuple[int, ...], order: str) -> NDArray[Any]:
    if dtype.hasobject:
        if not isinstance(data, list):
            raise pickle.UnpicklingError("an array of objects without its list")
        array = np.empty(len(data), object)
        array[:] = data
    else:
        array = np.frombuffer(data, dtype)  # type: ignore[call-overload]
    return array.reshape(shape, order="F" if order == "F" else "C")


def _from_buffer(data: object, dtype: _Dtype, shape: tuple[int, ...], order: str) -> NDArray[Any]:
    return _as_array(data, dtype.resolve(), shape, order)


def _encode(text: str, encoding: str) -> bytes:
    """Bytes of protocol 2, which has no bytes of its own and spells them as latin-1 text."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"text encoded as {encoding!r}")
    return text.encode("latin1")


def _bytes(data: object = b"") -> bytes:
    if not isinstance(data, bytes):  # bytearray(10**12) would be a number, and a terabyte
        raise pickle.UnpicklingError("a buffer that is not bytes")
    return data


def _arrow_strings(array: tuple[Any, ...]) -> list[str]:
    """Texts of an Arrow array, in which pandas 3 keeps the names of columns: offsets into one UTF-8 buffer."""
    kind, length, _nulls, offset, buffers = array[:5]
    dtype = {"large_string": "<i8", "string": "<i4"}[kind.args[0]]
    offsets = np.frombuffer(buffers[1].args[0], dtype)[offset : offset + length + 1].tolist()
    text = buffers[2].args[0]
    return [text[start:stop].decode() for start, stop in itertools.pairwise(offsets)]


def _inert(*_: object, **__: object) -> None:
    """Stand for a class that only ever is an argument."""


_NUMPY: dict[str, Callable[..., Any]] = {
    "multiarray._reconstruct": _Array,
    "numeric._frombuffer": _from_buffer,
    "multiarray.scalar": _Recorded,
}
_PANDAS: dict[str, Callable[..., Any]] = {
    "core.frame.DataFrame": _Frame,
    "DataFrame": _Frame,
    "Index": _inert,
    "RangeIndex": _inert,
    "core.internals.managers.BlockManager": _Manager,
    "core.internals.blocks.new_block": _Block,
    "_libs.internals._unpickle_block": _Block,
    "core.indexes.base._new_Index": _Index,
    "core.indexes.base.Index": _inert,
    "core.indexes.numeric.Int64Index": _inert,
    "core.indexes.numeric.UInt64Index": _inert,
    "core.indexes.numeric.Float64Index": _inert,
    "core.indexes.range.RangeIndex": _inert,
    "_libs.arrays.__pyx_unpickle_NDArrayBacked": _Recorded,
    "core.arrays.string_.StringArray": _inert,
    "core.arrays.string_.StringDtype": _inert,
    "arrays.StringArray": _inert,
    "arrays.ArrowStringArray": _Recorded,
    "core.arrays.string_arrow.ArrowStringArray": _Recorded,
    "StringDtype": _inert,
}
_ALLOWED: dict[str, Callable[..., Any]] = {
    **{
        f"{package}.{name}": entry
        for package in ("numpy.core", "numpy._core")
        for name, entry in _NUMPY.items()
    },
    **{f"pandas.{name}": entry for name, entry in _PANDAS.items()},
    "pyarrow.lib._restore_array": _arrow_strings,
    "pyarrow.lib.type_for_alias": _Recorded,
    "pyarrow.lib.py_buffer": _Recorded,
    "numpy.ndarray": _inert,
    **{
        f"numpy.{name}": _inert
        for name in (
            "record",
            "recarray",
            "rec.recarray",
            "core.records.recarray",
            "_core.records.recarray",
            "core.records.record",
            "_core.records.record",
        )
    },
    "numpy.dtype": _Dtype,
    "builtins.slice": slice,
    "__builtin__.slice": slice,
    "builtins.bytearray": _bytes,
    "__builtin__.bytearray": _bytes,
    "__builtin__.bytes": _bytes,  # protocol 2 of empty ones
    "_codecs.encode": _encode,
}


class _AllowListed(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        allowed = _ALLOWED.get(f"{module}.{name}")
        if allowed is None:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which no table needs")
        return allowed


def _check_sizes(data: bytes) -> None:
    """Refuse lengths and memo positions beyond the pickle's end.

    Python's unpickler allocates them before it reads on: seven bytes could ask for terabytes.
    """
    for opcode, argument, _ in pickletools.genops(data):  # raises ValueError where a length is too large
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument or 0) > len(data):
            raise pickle.UnpicklingError(f"memo position {argument} in {len(data)} bytes")


def _plain(value: Any) -> Any:
    """Numpy array behind a recorded array, index or string array; anything else as it is."""
    if isinstance(value, _Array):
        return value.resolve()
    if isinstance(value, _Index):
        return _plain(value.args[1]["data"])
    if isinstance(value, _Recorded) and isinstance(value.state, dict):
        return value.state["_pa_array"]
    if isinstance(value, _Recorded) and isinstance(value.state, tuple):
        return next((_plain(part) for part in value.state if isinstance(part, (_Array, np.ndarray))), value)
    return value


def _blocks(manager: _Manager) -> tuple[Any, list[tuple[Any, Any]]]:
    """Column names and (values, placement) pairs of a BlockManager of any pandas since 0.14.1."""
    if len(manager.args) == 2:
        blocks, axes = manager.args
        return axes[0], [(block.args[0], block.args[1]) for block in blocks]
    state = manager.state[3]["0.14.1"]
    return state["axes"][0], [(block["values"], block["mgr_locs"]) for block in state["blocks"]]


def _frame_columns(frame: _Frame) -> dict[str, NDArray[Any]]:
    manager = frame.state.get("_mgr", frame.state.get("_data"))
    axis, blocks = _blocks(manager)
    names = [str(name) for name in _plain(axis)]
    if len({*names}) < len(names):
        raise pickle.UnpicklingError(f"several columns have the same name ({', '.join(names)})")
    columns: dict[int, NDArray[Any]] = {}
    for values, placement in blocks:
        array = np.atleast_2d(_plain(values))
        where = np.arange(len(names))[placement if isinstance(placement, slice) else _plain(placement)]
        columns.update(zip(where.tolist(), array, strict=True))
    return {names[i]: columns[i] for i in sorted(columns)}


def _columns(table: object, size: int) -> dict[str, NDArray[Any] | ak.Array] | None:
    """Columns of a frame, of an array with named fields, or of a dict of arrays; None of anything else."""
    if isinstance(table, _Frame):
        found = _frame_columns(table)
    elif isinstance(table, (_Array, np.ndarray)) and (array := _plain(table)).dtype.names:
        found = {name: array[name] for name in array.dtype.names}
    elif isinstance(table, dict) and all(isinstance(name, str) for name in table):
        found = {name: _column(values) for name, values in table.items()}
    else:
        return None
    if len({len(column) for column in found.values()}) > 1:
        raise pickle.UnpicklingError("columns of different length")
    # The same array may be named any number of times: what is copied must not outgrow the file.
    if sum(column.nbytes for column in found.values()) > 8 * size:
        raise pickle.UnpicklingError("columns larger than the file")
    return {
        name: _lists(column, size) if column.dtype.hasobject else column for name, column in found.items()
    }


def _column(values: object) -> NDArray[Any]:
    """Column of a dict: an array, or a list of numbers or of lists."""
    if isinstance(values, list):
        if all(type(value) in (bool, int, float) for value in values):
            return np.array(values)
        array = np.empty(len(values), object)
        array[:] = values
        return array
    found = _plain(values)
    if not isinstance(found, np.ndarray):
        raise pickle.UnpicklingError("a column that is no array")
    return found


def _lists(column: NDArray[Any], size: int) -> NDArray[Any] | ak.Array:
    """Lists of numbers, one a row; the column as it is where it holds anything else."""
    if not all(isinstance(value, (list, _Array, np.ndarray)) for value in column):
        return column
    rows = [_column(value) for value in column]
    if any(row.ndim != 1 or row.dtype.kind not in "biuf" for row in rows) or not rows:
        return column
    if sum(row.nbytes for row in rows) > 8 * size:
        raise pickle.UnpicklingError("columns larger than the file")
    dtype = (
        np.result_type(*(row.dtype for row in rows if row.size)) if any(row.size for row in rows) else float
    )
    flat = np.concatenate([row.astype(native_type(np.dtype(dtype))) for row in rows])
    return ak.unflatten(flat, [len(row) for row in rows])


def read_pickle(path: Path) -> dict[str, NDArray[Any] | ak.Array]:
    """Read the numeric columns of a pickled table: a pandas DataFrame, an array with named fields, a dict of arrays.

    Parameters
    ----------
    path
        A pickle of protocol 2 to 5.

    Returns
    -------
    dict of str to array of shape (rows, ...)
        The columns in the table's order, in their stored types (float16, which no TTree holds, as float32); awkward
        arrays where the rows hold lists.

    Raises
    ------
    InputError
        If the pickle names anything but the parts of a table (the error says what), is damaged, or holds
        something else than a table of numbers.
    """
    data = path.read_bytes()
    try:
        _check_sizes(data)
        columns = _columns(_AllowListed(io.BytesIO(data)).load(), len(data))
    # A damaged or hostile pickle makes Python's unpickler and the code above raise nearly anything.
    except Exception as error:  # noqa: BLE001
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"cannot read the pickle {path}: {reason}; hepae reads pickled pandas DataFrames, arrays with named fields "
            "and dicts of arrays"
        ) from None
    if columns is None:
        raise InputError(
            f"the pickle {path} holds no pandas DataFrame, array with named fields or dict of arrays; save one with "
            "DataFrame.to_pickle"
        )
    for name, column in columns.items():
        if isinstance(column, np.ndarray) and (column.dtype.kind not in "biuf" or column.dtype.itemsize > 8):
            raise InputError(
                f"column {name!r} of {path} is not numeric ({column.dtype}); drop it before pickling"
            )
    return {
        name: np.ascontiguousarray(column, native_type(column.dtype))
        if isinstance(column, np.ndarray)
        else column
        for name, column in columns.items()
    }
