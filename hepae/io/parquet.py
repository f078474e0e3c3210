"""Parquet files as sources of named columns."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np

from hepae.errors import InputError
from hepae.io.guards import Memory
from hepae.io.sources import entries_in, native_type
from hepae.io.tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from hepae.io.locations import Location


HISTORY_KEY = b"hepae_history"
"""Key of the history in the metadata of a file that hepae restored."""

_SIZES = """
import collections, json, sys
import pyarrow.parquet
metadata = pyarrow.parquet.read_metadata(sys.argv[1])
widths = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "INT96": 12}
sizes, values = collections.Counter(), 0
for i in range(metadata.num_row_groups):
    for j in range(metadata.num_columns):
        chunk = metadata.row_group(i).column(j)
        sizes[chunk.path_in_schema] += chunk.total_compressed_size
        values += max(chunk.num_values * widths.get(chunk.physical_type, 8), chunk.total_uncompressed_size)
print(json.dumps([sizes, values]))
"""


class ParquetTable(Table):
    """A Parquet file, read row group by row group."""

    def __init__(self, path: Path, *, unit: str | None = None):
        import pyarrow.parquet  # late: it takes a while to import

        super().__init__(path, "parquet", unit)
        self._sizes, values = _sizes_of(path)
        Memory(path).take(values)
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
            name: ak.concatenate([without_missing(piece[name], name, self.path) for piece in pieces])
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

    def histories(self) -> list[str]:
        """History that hepae wrote into the file's metadata."""
        text = (self._file.schema_arrow.metadata or {}).get(HISTORY_KEY)
        return [] if text is None else [text.decode("utf-8", "replace")]

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _sizes_of(path: Path) -> tuple[dict[str, int], int]:
    """Compressed bytes by path of a column, and bytes of all values in memory.

    They are read in a process of its own: a damaged footer can end it (pyarrow 26).
    """
    command = [sys.executable, "-P", "-c", _SIZES, str(path.resolve())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"cannot read {path}: its footer is damaged")
    sizes, values = json.loads(done.stdout)
    return sizes, values


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


def without_missing(column: Any, name: str, path: Location) -> ak.Array:
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
