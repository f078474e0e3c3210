"""Which format a table has: it is recognised by its first bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hepae.io.guards import reading
from hepae.io.hdf5 import Hdf5Table
from hepae.io.parquet import ParquetTable
from hepae.io.tables import MemoryTable
from hepae.io.texts import decoded_text, is_csv, is_darkmachines, read_csv, read_darkmachines, reading_csv
from hepae.io.unpickling import read_pickle

if TYPE_CHECKING:
    from pathlib import Path

    from hepae.io.sources import Source


_TEXT_BYTES = 1 << 16
"""Number of bytes at the start of a file that must be text for it to be read as text."""


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
    text = decoded_text(start)
    first = text.partition("\n")[0].strip() if text else ""
    if is_darkmachines(first):
        with reading(path):
            return MemoryTable(path, read_darkmachines(path), file_format="darkmachines", unit=unit)
    if is_csv(text):
        with reading(path), reading_csv(path):
            return MemoryTable(path, read_csv(path, first), file_format="csv", unit=unit)
    return None
