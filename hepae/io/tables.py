"""Tables: HDF5, Parquet, CSV, DarkMachines event text and pickles, as sources of named columns."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from abc import abstractmethod
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np

from hepae.errors import InputError
from hepae.io.layouts import UNNAMED, find_layout
from hepae.io.sources import Field, Source, entries_in, native_type, plain_branches, reading
from hepae.io.unpickling import read_pickle

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from hepae.io.locations import Location

_TEXT_BYTES = 1 << 16
"""So much of a file has to be text for it to be taken for one."""

_DELIMITERS = ",;\t|"

_PARQUET_SIZES = """
import collections, json, sys
import pyarrow.parquet
metadata = pyarrow.parquet.read_metadata(sys.argv[1])
sizes = collections.Counter()
for i in range(metadata.num_row_groups):
    for j in range(metadata.num_columns):
        chunk = metadata.row_group(i).column(j)
        sizes[chunk.path_in_schema] += chunk.total_compressed_size
print(json.dumps(sizes))
"""

_DARKMACHINES = ("id", "process", "weight", "MET", "METphi")
_DARKMACHINES_OBJECT = r"[^\s,;]+(,[^\s,;]+){4}"


def open_table(path: Path, *, unit: str | None = None) -> Source | None:
    """Open a file that is a table, recognised by its first bytes; None where it is none.

    Raises
    ------
    InputError
        If the file is damaged, or has no columns.
    """
    with reading(path), path.open("rb") as file:
        start = file.read(_TEXT_BYTES)
    if start[:1] == b"\x80" and len(start) > 3:
        with reading(path):
            return MemoryTable(path, read_pickle(path), file_format="pickle", unit=unit)
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        with reading(path):
            return Hdf5Table(path, unit=unit)
    if start.startswith(b"PAR1"):
        with reading(path):
            return ParquetTable(path, unit=unit)
    text = _text(start)
    first = text.partition("\n")[0].strip() if text else ""
    if re.fullmatch(rf"[^;]*(;[^;]*){{4}}(;{_DARKMACHINES_OBJECT})*;?", first) and not _header(first):
        with reading(path):
            return MemoryTable(path, _read_darkmachines(path), file_format="darkmachines", unit=unit)
    if _is_csv(text):
        with reading(path):
            return MemoryTable(path, _read_csv(path, first), file_format="csv", unit=unit)
    return None


class Table(Source):
    """Columns that are read by name; objects in them are taken apart into plain branches."""

    def __init__(self, path: Path, file_format: str, unit: str | None):
        self.path, self.format, self.unit = path, file_format, unit
        self.tree, self.trees = "jets", ("jets",)
        self.branches = {}
        self.unreadable = ()
        self._fields: dict[str, tuple[str, Field]] = {}

    def _add(self, column: str, form: Any, counter: str | None = None) -> None:
        """Add a column of this awkward form, by its name in the file."""
        try:
            for branch, field in plain_branches(column, form, counter):
                self.branches[branch.name] = branch
                self._fields[branch.name] = column, field
        except TypeError:
            self.unreadable = (*self.unreadable, column)

    @abstractmethod
    def columns(self, names: Iterable[str], entry_start: int, entry_stop: int) -> Mapping[str, ak.Array]:
        """Read rows of columns by their name in the file."""

    def arrays(self, names: Iterable[str], entry_start: int, entry_stop: int) -> dict[str, ak.Array]:
        """Arrays by branch name, of these rows."""
        names = list(names)
        with reading(self.path):
            columns = self.columns(
                dict.fromkeys(self._fields[name][0] for name in names), entry_start, entry_stop
            )
            return {name: self._fields[name][1].of(columns[self._fields[name][0]]) for name in names}


class MemoryTable(Table):
    """A table in memory: files that are read as a whole."""

    def __init__(
        self,
        path: Path,
        columns: Mapping[str, NDArray[Any] | ak.Array],
        *,
        file_format: str,
        unit: str | None = None,
    ):
        super().__init__(path, file_format, unit)
        self._columns = {name: ak.Array(column) for name, column in columns.items()}
        for name, column in self._columns.items():
            self._add(name, column.layout.form)
        self.num_entries = len(next(iter(self._columns.values()), ()))
        self._free_counters()
        self._find_counters()

    def columns(self, names: Iterable[str], entry_start: int, entry_stop: int) -> Mapping[str, ak.Array]:
        """Rows of columns by their name in the file."""
        return {name: self._columns[name][entry_start:entry_stop] for name in names}

    def entries_per_step(self, step_size: str | int) -> int:
        """How many rows take this much memory."""
        return entries_in(step_size, sum(c.nbytes for c in self._columns.values()), self.num_entries)

    def stored_bytes(self, name: str) -> int:
        """Bytes of a column in memory: the file has no bytes of one column."""
        column, field = self._fields[name]
        return int(field.of(self._columns[column]).nbytes)


class ParquetTable(Table):
    """A Parquet file, read row group by row group."""

    def __init__(self, path: Path, *, unit: str | None = None):
        import pyarrow.parquet  # late: it takes a while to import

        super().__init__(path, "parquet", unit)
        self._local = path
        self._file = pyarrow.parquet.ParquetFile(path)
        self.num_entries = self._file.metadata.num_rows
        for name in self._file.schema_arrow.names:
            form = self._form(name)
            if form is None:
                self.unreadable = (*self.unreadable, name)
            else:
                self._add(name, form)
        groups = [self._file.metadata.row_group(i) for i in range(self._file.num_row_groups)]
        self._ends = np.cumsum([0, *(group.num_rows for group in groups)])
        self._memory = sum(group.total_byte_size for group in groups)
        self._last: tuple[int, tuple[str, ...], Any] = (-1, (), None)
        self._free_counters()
        self._find_counters()

    @cached_property
    def _sizes(self) -> dict[str, int]:
        """Compressed bytes by path of a column, read in a process of its own: a damaged footer can end it (pyarrow 26)."""
        command = [sys.executable, "-P", "-c", _PARQUET_SIZES, str(self._local.resolve())]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise InputError(f"cannot read {self.path}: its footer is damaged")
        sizes: dict[str, int] = json.loads(done.stdout)
        return sizes

    def moved(self, path: Location) -> None:
        """Say that the file is another one's copy, which goes now: its sizes are read while it is there."""
        _ = self._sizes
        super().moved(path)

    def _form(self, name: str) -> Any:
        """Awkward form of a column; None where awkward has none: decimals, maps, pandas' categories."""
        import pyarrow as pa

        with contextlib.suppress(NotImplementedError, ValueError, TypeError):
            return _required(
                ak.from_arrow_schema(pa.schema([self._file.schema_arrow.field(name)])).content(name)
            )
        return None

    def columns(self, names: Iterable[str], entry_start: int, entry_stop: int) -> Mapping[str, ak.Array]:
        """Rows of columns by their name in the file."""
        names = tuple(names)
        pieces: list[Any] = []
        first = max(int(np.searchsorted(self._ends, entry_start, side="right")) - 1, 0)
        for i, (begin, end) in enumerate(pairwise(self._ends.tolist())):
            if i >= first and (begin < entry_stop or not pieces):
                if self._last[:2] != (i, names):
                    self._last = i, names, self._file.read_row_group(i, columns=list(names))
                start = max(entry_start, begin) - begin
                pieces.append(self._last[2].slice(start, max(min(entry_stop, end) - begin - start, 0)))
        if not pieces:
            pieces = [self._file.schema_arrow.empty_table()]
        return {
            name: ak.concatenate([_without_missing(piece[name], name, self.path) for piece in pieces])
            for name in names
        }

    def entries_per_step(self, step_size: str | int) -> int:
        """How many rows take this much memory."""
        return entries_in(step_size, self._memory, self.num_entries)

    def stored_bytes(self, name: str) -> int:
        """Bytes that a column takes in the file, compressed; its share, where it is one member of an object."""
        column = self._fields[name][0]
        stored = sum(n for path, n in self._sizes.items() if path == column or path.startswith(f"{column}."))
        return stored // sum(own == column for own, _ in self._fields.values())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Hdf5Table(Table):
    """Datasets of an HDF5 file: structured ones, one a column, or numbers with the names of their columns beside them.

    A dataset ``data`` beside ``labels`` (or pandas' ``block0_values`` beside ``block0_items``) of the group ``jets``
    has branches ``jets.NAME``; what has a further dimension is a list an event.
    """

    def __init__(self, path: Path, *, unit: str | None = None):
        try:
            import h5py
        except ImportError:
            raise InputError(f"{path} is an HDF5 file; install h5py: pip install 'hepae[hdf5]'") from None
        super().__init__(path, "hdf5", unit)
        self._file = h5py.File(path, "r")
        self._columns: dict[str, tuple[Any, str | int | None]] = {}
        datasets: dict[str, Any] = {}
        self._file.visititems(
            lambda name, item: datasets.update({name: item}) if hasattr(item, "dtype") else None
        )
        labels = {name: _labels(datasets, name) for name in datasets}
        used = {beside for beside, _ in labels.values() if beside}
        found = {name: data for name, data in datasets.items() if name not in used and data.shape}
        for name, data in found.items():
            self._add_dataset(name, data, labels[name][1], len(found))
        self._keep_one_length()
        self._free_counters()
        self._find_counters()

    def _add_dataset(self, name: str, data: Any, labels: list[str], datasets: int) -> None:
        members = data.dtype.names or (labels if labels and data.ndim > 1 else ())
        path = [part for part in name.split("/") if part not in ("data", "table") and "_values" not in part]
        if not members:
            self._add_column(".".join(name.split("/")), data, None, data.shape[1:], data.dtype)
            return
        base = ".".join(path) if data.dtype.names is None or datasets > 1 else ""
        for i, member in enumerate(members):
            own, shape = (
                (data.dtype[member], data.shape[1:]) if data.dtype.names else (data.dtype, data.shape[1:-1])
            )
            inner = own.subdtype[1] if own.subdtype else ()
            column = f"{base}.{member}" if base else str(member)
            which = member if data.dtype.names else i
            counter = f"n{base or UNNAMED}" if shape else None
            self._add_column(column, data, which, (*shape, *inner), own.base, counter)

    def _add_column(
        self,
        name: str,
        data: Any,
        member: str | int | None,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        counter: str | None = None,
    ) -> None:
        import h5py

        inner = h5py.check_vlen_dtype(dtype)
        text = h5py.check_string_dtype(dtype) is not None
        form: Any
        if text:
            form = ak.forms.from_type(ak.types.from_datashape("string", highlevel=False))
        elif isinstance(inner, np.dtype) and inner.kind in "biuf":
            form = ak.forms.ListOffsetForm("i64", ak.forms.NumpyForm(native_type(inner).name))
        elif dtype.kind in "biuf":
            form = ak.forms.NumpyForm(native_type(dtype).name)
            for size in reversed(shape[1:] if counter else shape):
                form = ak.forms.RegularForm(form, size)
            form = ak.forms.ListOffsetForm("i64", form) if counter else form
        else:
            self.unreadable = (*self.unreadable, name)
            return
        self._columns[name] = data, member
        self._add(name, form, counter)

    def _keep_one_length(self) -> None:
        """Of datasets of different length keep those with jets, else the longest: the others are another table."""
        lengths = {name: len(data) for name, (data, _) in self._columns.items()}
        with_jets = {}
        for length in sorted({*lengths.values()}):
            branches = {n: b for n, b in self.branches.items() if lengths[self._fields[n][0]] == length}
            with_jets[length] = len(find_layout(branches).collections)
        self.num_entries = max(with_jets, key=lambda length: (with_jets[length], length), default=0)
        others = [name for name, length in lengths.items() if length != self.num_entries]
        self.unreadable = (*self.unreadable, *others)
        self.branches = {n: b for n, b in self.branches.items() if self._fields[n][0] not in others}

    def columns(self, names: Iterable[str], entry_start: int, entry_stop: int) -> Mapping[str, ak.Array]:
        """Rows of columns by their name in the file."""
        read: dict[str, Any] = {}
        result = {}
        for name in names:
            data, member = self._columns[name]
            if data.name not in read:
                read[data.name] = data[entry_start:entry_stop]
            values = read[data.name]
            if member is not None:
                values = values[member] if isinstance(member, str) else values[..., member]
            result[name] = self._array(name, values)
        return result

    def _array(self, name: str, values: NDArray[Any]) -> ak.Array:
        branch = next(b for b in self.branches.values() if self._fields[b.name][0] == name)
        if branch.type.endswith("string"):
            return ak.Array(
                [v.decode(errors="replace") if isinstance(v, bytes) else str(v) for v in values.tolist()]
            )
        if values.dtype.kind == "O":  # lists of any length
            counts = np.array([len(value) for value in values], np.int64)
            kind = branch.dtype or np.dtype(np.float64)
            flat = np.concatenate([np.zeros(0, kind), *(value.astype(kind) for value in values)])
            return ak.unflatten(flat, counts)
        array = ak.Array(np.ascontiguousarray(values, native_type(values.dtype)))
        return ak.from_regular(array, axis=1) if branch.jagged else array

    def entries_per_step(self, step_size: str | int) -> int:
        """How many rows take this much memory."""
        datasets = {data.name: data for data, _ in self._columns.values()}
        return entries_in(step_size, sum(int(data.nbytes) for data in datasets.values()), self.num_entries)

    def stored_bytes(self, name: str) -> int:
        """Bytes that a column takes in the file: its share of its dataset."""
        data, _ = self._columns[self._fields[name][0]]
        share: int = sum(own == data for own, _ in self._columns.values())
        return int(data.id.get_storage_size()) // share

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _labels(datasets: Mapping[str, Any], name: str) -> tuple[str, list[str]]:
    """Names of the columns of a dataset of numbers, and the dataset beside it which has them ("" for an attribute)."""
    data = datasets[name]
    folder, _, own = name.rpartition("/")
    beside = (
        {f"block{own[5:-7]}_items"}
        if re.fullmatch(r"block\d+_values", own)
        else {"labels", "columns", "names"}
    )
    for other, texts in datasets.items():
        if other.rpartition("/")[0] == folder and other.rpartition("/")[2] in beside and other != name:
            labels = _texts(texts[()])
            if data.ndim > 1 and labels and len(labels) == data.shape[-1]:
                return other, labels
    for attribute in ("labels", "columns", "names"):
        labels = _texts(np.asarray(data.attrs.get(attribute, ())))
        if data.ndim > 1 and labels and len(labels) == data.shape[-1]:
            return "", labels
    return "", []


def _texts(values: NDArray[Any]) -> list[str]:
    if values.ndim != 1 or values.dtype.kind not in "SUO":
        return []
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values.tolist()]


def _required(form: Any) -> Any:
    """Give the form without its options: a column that may have missing values need not have any."""
    if form.is_option:
        return _required(form.content)
    if form.is_numpy:
        return form.copy(primitive=native_type(np.dtype(form.primitive)).name)
    if form.is_list or form.is_regular:
        return form.copy(content=_required(form.content))
    if form.is_record:
        return form.copy(contents=[_required(content) for content in form.contents])
    return form


def _without_missing(column: Any, name: str, path: Location) -> ak.Array:
    """Awkward array of an Arrow column; missing numbers are NaN, as pandas writes and reads them.

    Raises
    ------
    InputError
        If anything else is missing.
    """

    def fill(layout: Any, **_: object) -> Any:
        if layout.is_numpy and layout.dtype == np.float16:
            return layout.copy(data=layout.data.astype(np.float32))
        if not layout.is_option:
            return None
        missing = np.asarray(layout.mask_as_bool(valid_when=False))
        if not missing.any():
            return layout.project()
        content = layout.content
        if not (content.is_numpy and content.dtype.kind == "f"):
            raise InputError(
                f"column {name!r} of {path} has missing values that no NaN can stand for; fill them in"
            )
        return ak.to_layout(ak.fill_none(ak.Array(layout), content.dtype.type(np.nan)))

    array: ak.Array = ak.transform(fill, ak.from_arrow(column))
    return ak.to_packed(array)


def _text(start: bytes) -> str:
    """First bytes of a file as text; "" where they are none."""
    if b"\0" in start:
        return ""
    try:
        return start.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return start[: error.start].decode("utf-8-sig") if error.start > len(start) - 4 else ""


def _delimiter(line: str) -> str:
    return max(_DELIMITERS, key=line.count) if any(d in line for d in _DELIMITERS) else " "


def _header(line: str) -> list[str]:
    """Names of columns in the first line of a CSV file; none where it holds numbers or a single word."""
    delimiter = _delimiter(line)
    line = line.lstrip("#").strip()
    names = [
        name.strip().strip('"').strip()
        for name in (line.split() if delimiter == " " else line.split(delimiter))
    ]
    if any(re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|nan|inf", name) for name in names):
        return []
    return [name or ("index" if i == 0 else f"column{i}") for i, name in enumerate(names)]


def _is_csv(text: str) -> bool:
    """Whether a text begins with a header, and goes on with as many values; of words alone it might say anything."""
    lines = [line for line in text.splitlines()[:2] if line.strip()]
    columns = len(_header(lines[0])) if lines else 0
    if columns < 2:
        return False
    delimiter = _delimiter(lines[0])
    if delimiter == " ":
        return len(lines) == 2 and len(lines[1].split()) == columns and not _header(lines[1])
    return text.endswith("\n") if len(lines) == 1 else lines[1].count(delimiter) == lines[0].count(delimiter)


def _read_csv(path: Path, first: str) -> dict[str, ak.Array]:
    """Read the columns of a CSV file, with any of , ; tab | or blanks between them."""
    from pyarrow import csv

    names = _header(first)
    if len({*names}) < len(names):
        raise InputError(f"cannot read {path}: several columns have the same name ({', '.join(names)[:120]})")
    delimiter = _delimiter(first)
    if delimiter == " ":
        rows = np.loadtxt(path, comments="#", skiprows=1, ndmin=2, encoding="utf-8-sig")
        if rows.size and rows.shape[1] != len(names):
            raise InputError(
                f"cannot read {path}: its rows have {rows.shape[1]} values, its header {len(names)} names"
            )
        return {name: np.ascontiguousarray(rows[:, i]) for i, name in enumerate(names)}
    with path.open("rb") as file:
        file.readline()
        if not file.read(1):  # a header and no rows
            return {name: ak.Array(np.zeros(0)) for name in names}
    table = csv.read_csv(
        path,
        read_options=csv.ReadOptions(column_names=names, skip_rows=1),
        parse_options=csv.ParseOptions(delimiter=delimiter),
        convert_options=csv.ConvertOptions(strings_can_be_null=False),
    )
    return {name: _without_missing(table[name], name, path) for name in names}


def _read_darkmachines(path: Path) -> dict[str, ak.Array]:
    """Read events of the DarkMachines challenge: ``id;process;weight;MET;METphi;obj,E,pt,eta,phi;obj,…`` a line.

    The objects of one letter become a collection, with branches such as ``j.pt``.
    """
    events: list[list[str]] = []
    texts: dict[str, list[str]] = {}
    counts: dict[str, list[int]] = {}
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file):
            fields = line.strip().rstrip(";").split(";")
            if fields == [""]:
                continue
            if len(fields) < 5:
                raise InputError(f"cannot read {path}: line {number + 1} is shorter than an event")
            event = len(events)
            events.append(fields[:5])
            for text in fields[5:]:
                letter, _, numbers = text.partition(",")
                if numbers.count(",") != 3:
                    raise InputError(
                        f"cannot read {path}: line {number + 1} has {text!r} where an object is due"
                    )
                texts.setdefault(letter, []).append(numbers)
                own = counts.setdefault(letter, [])
                own += [0] * (event + 1 - len(own))
                own[event] += 1
    columns: dict[str, ak.Array] = {}
    for i, name in enumerate(_DARKMACHINES):
        values = [event[i] for event in events]
        columns[name] = ak.Array(values if name == "process" else np.array(values, np.float64))
    ids = ak.to_numpy(columns["id"])
    if np.all(ids == np.floor(ids)) and np.all(np.abs(ids) < 2**53):
        columns["id"] = ak.Array(ids.astype(np.int64))
    for letter, own in counts.items():
        name = letter.replace("+", "plus").replace("-", "minus")
        rows = np.array(",".join(texts[letter]).split(","), np.float64).reshape(-1, 4)
        lengths = np.array(own + [0] * (len(events) - len(own)))
        objects = ak.zip({column: rows[:, i] for i, column in enumerate(("E", "pt", "eta", "phi"))})
        columns[name] = ak.unflatten(objects, lengths)
    return columns
