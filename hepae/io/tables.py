"""Tables: named columns in memory, one jet a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import awkward as ak

from hepae.io.layouts import Branch
from hepae.io.sources import Source, entries_in

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray


class TableSource(Source):
    """A table in memory, one jet a row."""

    def __init__(
        self, path: Path, columns: dict[str, NDArray[Any]], *, file_format: str, unit: str | None = None
    ):
        self.path, self.format, self.unit = path, file_format, unit
        self.tree, self.trees = "jets", ("jets",)
        self.unreadable: tuple[str, ...] = ()
        self._columns = columns
        self.branches = {name: Branch(name, column.dtype) for name, column in columns.items()}
        self.num_entries = len(next(iter(columns.values()), ()))

    def arrays(self, names: Iterable[str], entry_start: int, entry_stop: int) -> dict[str, ak.Array]:
        """Arrays by column name, of these rows."""
        return {name: ak.Array(self._columns[name][entry_start:entry_stop]) for name in names}

    def entries_per_step(self, step_size: str | int) -> int:
        """How many rows take this much memory."""
        row = sum(column.dtype.itemsize for column in self._columns.values())
        return entries_in(step_size, row * self.num_entries, self.num_entries)

    def stored_bytes(self, name: str) -> int:
        """Bytes of a column in memory: a table's file has no bytes of one column."""
        return self._columns[name].nbytes
