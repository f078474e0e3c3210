"""Tables as sources: columns that are read by name."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import awkward as ak

from hepae.io.guards import reading
from hepae.io.sources import Field, Source, entries_in, plain_branches

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray


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
