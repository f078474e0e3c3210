"""The allow-listed unpickler: tables of jets out of pickles, with nothing in the pickle ever run.

A pickle is a program that calls what it names. Here every name it may use stands for a record of this module, which
only keeps its arguments and its state; nothing is computed before the whole pickle has been read. Old and new pandas
(pickle protocols 2 to 5) read alike, without pandas. Any other name is refused.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from typing import TYPE_CHECKING, Any, ClassVar, Self

import awkward as ak
import numpy as np

from hepae.errors import InputError
from hepae.io.guards import Memory, reason
from hepae.io.sources import native_type

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray


class _Recorded:
    """Stands for an object or function: keeps what it was called with and the state it was given."""

    args: tuple[Any, ...]
    state: Any

    def __new__(cls, *args: object) -> Self:
        recorded = super().__new__(cls)
        recorded.args, recorded.state = args, None
        return recorded


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
        """Give the numpy dtype: of a number, a text, an object, or a structure of arrays of numbers and texts."""
        if isinstance(self.state, tuple) and len(self.state) > 5 and self.state[3] is not None:
            _, _, _, names, fields, itemsize = self.state[:6]
            members = [fields[name] for name in names]
            structure = {
                "names": [str(name) for name in names],
                "formats": [member[0]._element() for member in members],
                "offsets": [member[1] for member in members],
                "itemsize": itemsize,
            }
            return np.dtype(structure)  # type: ignore[call-overload, no-any-return]
        return self._element()

    def _element(self) -> np.dtype[Any]:
        """Dtype of a number, a text or an object, or of arrays of them: dtypes that share their parts never nest deeper."""
        if isinstance(self.state, tuple) and len(self.state) > 5 and self.state[2] is not None:
            base, shape = self.state[2]
            return np.dtype((base._scalar(), shape))
        return self._scalar()

    def _scalar(self) -> np.dtype[Any]:
        kind = self.args[0] if self.args else None
        if not isinstance(kind, str) or not (kind in ("O", "O8") or kind[:1] in "biufSU"):
            raise pickle.UnpicklingError(f"dtype {kind!r}")
        order = self.state[1] if isinstance(self.state, tuple) and len(self.state) > 1 else "="
        dtype: np.dtype[Any] = np.dtype(kind)
        return dtype.newbyteorder(">") if order == ">" else dtype


class _Bytes(_Recorded):
    """Stands for a bytearray, or for the bytes of protocol 2, which spells them as latin-1 text."""

    def resolve(self, memory: Memory) -> bytes | bytearray:
        """Give the bytes."""
        data, *encoding = self.args or (b"",)
        data = _raw(data, memory)
        if isinstance(data, str) and encoding == ["latin1"]:
            memory.take(len(data))
            return data.encode("latin1")
        if not isinstance(data, (bytes, bytearray)):  # bytearray(10**12) would be a number, and a terabyte
            raise pickle.UnpicklingError("a buffer that is not bytes")
        return data


class _Array(_Recorded):
    """Stands for a numpy array, built from the bytes or the list in its state."""

    def resolve(self, memory: Memory) -> NDArray[Any]:
        """Give the numpy array."""
        _, shape, dtype, fortran, data = self.state
        return _as_array(data, dtype.resolve(), shape, "F" if fortran else "C", memory)


class _Buffer(_Array):
    """Stands for a numpy array of protocol 5; ``args`` are its bytes, dtype, shape and order."""

    def resolve(self, memory: Memory) -> NDArray[Any]:
        """Give the numpy array."""
        data, dtype, shape, order = self.args
        return _as_array(data, dtype.resolve(), shape, order, memory)


def _as_array(
    data: Any, dtype: np.dtype[Any], shape: tuple[int, ...], order: str, memory: Memory
) -> NDArray[Any]:
    if dtype.hasobject:
        if not isinstance(data, list):
            raise pickle.UnpicklingError("an array of objects without its list")
        array = _objects(data, memory)
    else:
        array = np.frombuffer(_raw(data, memory), dtype)
    return array.reshape(shape, order="F" if order == "F" else "C")


def _objects(values: list[Any], memory: Memory) -> NDArray[Any]:
    """Array of these objects, which numpy must not look into."""
    memory.take(8 * len(values))
    return np.fromiter(values, object, len(values))


class _Strings(_Recorded):
    """Stands for an Arrow array of texts, in which pandas 3 keeps the names of columns: offsets into one UTF-8 buffer."""

    def resolve(self, memory: Memory) -> list[str]:
        """Give the texts."""
        kind, length, _nulls, offset, buffers = self.args[0][:5]
        dtype = {"large_string": "<i8", "string": "<i4"}[kind.args[0]]
        raw = [_raw(buffer.args[0], memory) for buffer in buffers[1:3]]
        offsets = np.frombuffer(raw[0], dtype)[offset : offset + length + 1]
        lengths = np.diff(offsets)
        if (lengths < 0).any():
            raise pickle.UnpicklingError("texts that overlap")
        memory.take(8 * len(lengths))
        return [
            raw[1][start : start + count].decode()
            for start, count in zip(offsets.tolist(), lengths.tolist(), strict=False)
        ]


def _raw(data: Any, memory: Memory) -> Any:
    """Bytes behind recorded ones; anything else as it is."""
    return data.resolve(memory) if isinstance(data, _Bytes) else data


_NUMPY: dict[str, type] = {
    "multiarray._reconstruct": _Array,
    "numeric._frombuffer": _Buffer,
    "multiarray.scalar": _Recorded,
}
_PANDAS: dict[str, type] = {
    "core.frame.DataFrame": _Frame,
    "DataFrame": _Frame,
    "Index": _Recorded,
    "RangeIndex": _Recorded,
    "core.internals.managers.BlockManager": _Manager,
    "core.internals.blocks.new_block": _Block,
    "_libs.internals._unpickle_block": _Block,
    "core.indexes.base._new_Index": _Index,
    "core.indexes.base.Index": _Recorded,
    "core.indexes.numeric.Int64Index": _Recorded,
    "core.indexes.numeric.UInt64Index": _Recorded,
    "core.indexes.numeric.Float64Index": _Recorded,
    "core.indexes.range.RangeIndex": _Recorded,
    "_libs.arrays.__pyx_unpickle_NDArrayBacked": _Recorded,
    "core.arrays.string_.StringArray": _Recorded,
    "core.arrays.string_.StringDtype": _Recorded,
    "arrays.StringArray": _Recorded,
    "arrays.ArrowStringArray": _Recorded,
    "core.arrays.string_arrow.ArrowStringArray": _Recorded,
    "StringDtype": _Recorded,
}
_ALLOWED: dict[str, type] = {
    **{
        f"{package}.{name}": entry
        for package in ("numpy.core", "numpy._core")
        for name, entry in _NUMPY.items()
    },
    **{f"pandas.{name}": entry for name, entry in _PANDAS.items()},
    "pyarrow.lib._restore_array": _Strings,
    "pyarrow.lib.type_for_alias": _Recorded,
    "pyarrow.lib.py_buffer": _Recorded,
    "numpy.ndarray": _Recorded,
    **{
        f"numpy.{name}": _Recorded
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
    "builtins.bytearray": _Bytes,
    "__builtin__.bytearray": _Bytes,
    "__builtin__.bytes": _Bytes,  # protocol 2 of empty ones
    "_codecs.encode": _Bytes,
}

_REFUSED = frozenset(
    {"PERSID", "BINPERSID", "EXT1", "EXT2", "EXT4", "INST", "OBJ", "EMPTY_SET", "FROZENSET", "ADDITEMS"}
)
"""Opcodes that no table needs: objects from outside, Python's registry of extensions, and sets."""


class _AllowListed(pickle._Unpickler):
    """Python's own unpickler, the one whose opcodes can be replaced; pandas and numpy keep numbers in a few large bytes."""

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {**pickle._Unpickler.dispatch}
    stack: list[Any]
    pop_mark: Callable[[], list[Any]]

    def find_class(self, module: str, name: str) -> Any:
        allowed = _ALLOWED.get(f"{module}.{name}")
        if allowed is None:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which no table needs")
        return allowed

    def _build(self) -> None:
        """Set the state of a record. The state of a class or function would outlive this pickle."""
        state, record = self.stack.pop(), self.stack[-1]
        if not isinstance(record, _Recorded):
            raise pickle.UnpicklingError(f"it sets the state of a {type(record).__name__}")
        record.state = state

    def _dict(self) -> None:
        """Make a dict of the items since the last mark."""
        items = self.pop_mark()
        self.stack.append({})
        self._set(items)

    def _setitem(self) -> None:
        """Set one item of a dict."""
        value, key = self.stack.pop(), self.stack.pop()
        self._set([key, value])

    def _setitems(self) -> None:
        """Set the items since the last mark."""
        self._set(self.pop_mark())

    def _set(self, items: list[Any]) -> None:
        # Hashing a tuple of tuples that share their parts takes for ever.
        if any(not isinstance(key, (str, bytes, int, float, type(None))) for key in items[::2]):
            raise pickle.UnpicklingError("a dict whose keys are neither texts nor numbers")
        table = self.stack[-1]
        if type(table) is not dict:
            raise pickle.UnpicklingError(f"it sets an item of a {type(table).__name__}")
        table.update(zip(items[::2], items[1::2], strict=True))

    dispatch[pickle.BUILD[0]] = _build
    dispatch[pickle.DICT[0]] = _dict
    dispatch[pickle.SETITEM[0]] = _setitem
    dispatch[pickle.SETITEMS[0]] = _setitems


def _check_opcodes(data: bytes) -> None:
    """Refuse opcodes that no table needs, and lengths and memo positions beyond the pickle's end.

    Python's unpickler allocates them before it reads on: seven bytes could ask for terabytes.
    """
    for opcode, argument, _ in pickletools.genops(data):  # raises ValueError where a length is too large
        if opcode.name in _REFUSED:
            raise pickle.UnpicklingError(f"it has the opcode {opcode.name}, which no table needs")
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument or 0) > len(data):
            raise pickle.UnpicklingError(f"memo position {argument} in {len(data)} bytes")


def _plain(value: Any, memory: Memory) -> Any:
    """Numpy array or texts behind a recorded array, index or string array; anything else as it is."""
    if isinstance(value, (_Array, _Strings)):
        return value.resolve(memory)
    if isinstance(value, _Index):
        return _plain(value.args[1]["data"], memory)
    if isinstance(value, _Recorded) and isinstance(value.state, dict):
        return _plain(value.state["_pa_array"], memory)
    if isinstance(value, _Recorded) and isinstance(value.state, tuple):
        return next((_plain(part, memory) for part in value.state if isinstance(part, _Array)), value)
    return value


def _blocks(manager: _Manager) -> tuple[Any, list[tuple[Any, Any]]]:
    """Column names and (values, placement) pairs of a BlockManager of any pandas since 0.14.1."""
    if len(manager.args) == 2:
        blocks, axes = manager.args
        return axes[0], [(block.args[0], block.args[1]) for block in blocks]
    state = manager.state[3]["0.14.1"]
    return state["axes"][0], [(block["values"], block["mgr_locs"]) for block in state["blocks"]]


def _frame_columns(frame: _Frame, memory: Memory) -> dict[str, NDArray[Any]]:
    manager = frame.state.get("_mgr", frame.state.get("_data"))
    axis, blocks = _blocks(manager)
    names = []
    for name in _plain(axis, memory):
        if not isinstance(
            name, (str, int, float, np.generic)
        ):  # str of lists that share their parts never ends
            raise pickle.UnpicklingError(f"a column whose name is a {type(name).__name__}")
        names.append(str(name))
    if len({*names}) < len(names):
        raise pickle.UnpicklingError(f"several columns have the same name ({', '.join(names[:20])})")
    columns: dict[int, NDArray[Any]] = {}
    for values, placement in blocks:
        array = np.atleast_2d(_plain(values, memory))
        memory.take(8 * len(names))
        where = np.arange(len(names))[
            placement if isinstance(placement, slice) else _plain(placement, memory)
        ]
        columns.update(zip(where.tolist(), array, strict=True))
    return {names[i]: columns[i] for i in sorted(columns)}


def _columns(table: object, memory: Memory) -> dict[str, NDArray[Any] | ak.Array] | None:
    """Columns of a frame, of an array with named fields, or of a dict of arrays; None of anything else."""
    if isinstance(table, _Frame):
        columns = _frame_columns(table, memory)
    elif isinstance(table, _Array) and (array := table.resolve(memory)).dtype.names:
        columns = {name: array[name] for name in array.dtype.names}
    elif isinstance(table, dict) and all(isinstance(name, str) for name in table):
        columns = {name: _column(values, memory) for name, values in table.items()}
    else:
        return None
    if len({len(column) for column in columns.values()}) > 1:
        raise pickle.UnpicklingError("columns of different length")
    for column in columns.values():  # the same array may be named any number of times
        memory.take(column.nbytes)
    return {
        name: _lists(column, memory) if column.dtype.hasobject else column for name, column in columns.items()
    }


def _column(values: object, memory: Memory) -> NDArray[Any]:
    """Column of a dict: an array, or a list of numbers or of lists."""
    if isinstance(values, list):
        if all(type(value) in (bool, int, float) for value in values):
            memory.take(8 * len(values))
            return np.array(values)
        return _objects(values, memory)
    array = _plain(values, memory)
    if not isinstance(array, np.ndarray):
        raise pickle.UnpicklingError("a column that is no array")
    return array


def _lists(column: NDArray[Any], memory: Memory) -> NDArray[Any] | ak.Array:
    """Lists of numbers, one a row; the column as it is where it holds anything else."""
    if not all(isinstance(value, (list, _Array)) for value in column):
        return column
    rows = []
    for value in column:
        row = _column(value, memory)
        if row.ndim != 1 or row.dtype.kind not in "biuf":
            return column
        memory.take(row.nbytes)
        rows.append(row)
    if not rows:
        return column
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
        _check_opcodes(data)
        columns = _columns(_AllowListed(io.BytesIO(data)).load(), Memory(path))
    except InputError:
        raise
    # A damaged or hostile pickle makes Python's unpickler and the code above raise nearly anything.
    except Exception as error:  # noqa: BLE001
        text = reason(error)
        raise InputError(
            f"cannot read the pickle {path}: {text}; hepae reads pickled pandas DataFrames, arrays with named fields "
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
                f"column {name[:80]!r} of {path} is not numeric ({column.dtype}); drop it before pickling"
            )
    return {
        name: np.ascontiguousarray(column, native_type(column.dtype))
        if isinstance(column, np.ndarray)
        else column
        for name, column in columns.items()
    }
