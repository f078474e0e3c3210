"""Columns of text files: CSV, and events as the DarkMachines challenge writes them."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

import awkward as ak
import numpy as np

from hepae.errors import InputError
from hepae.io.guards import Memory, reason
from hepae.io.parquet import without_missing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


_DELIMITERS = ",;\t|"


_DARKMACHINES = ("id", "process", "weight", "MET", "METphi")


_DARKMACHINES_OBJECT = r"[^\s,;]+(,[^\s,;]+){4}"


@contextlib.contextmanager
def reading_csv(path: Path) -> Iterator[None]:
    """Say that a text was only taken for CSV, where it cannot be read as that."""
    try:
        yield
    except (ValueError, IndexError) as error:  # of numpy and pyarrow
        raise InputError(
            f"{path} is a text file whose first line looks like the header of CSV, but it cannot be read as CSV "
            f"({reason(error)})"
        ) from error


def decoded_text(start: bytes) -> str:
    """First bytes of a file as text; "" where they are none."""
    if b"\0" in start:
        return ""
    try:
        return start.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return start[: error.start].decode("utf-8-sig") if error.start > len(start) - 4 else ""


def is_darkmachines(first: str) -> bool:
    """Whether the first line of a text is an event of the DarkMachines challenge."""
    event = re.fullmatch(rf"[^;]*(;[^;]*){{4}}(;{_DARKMACHINES_OBJECT})*;?", first)
    return event is not None and not _header(first)


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


def is_csv(text: str) -> bool:
    """Whether a text begins with a header, and goes on with as many values; of words alone it might say anything."""
    lines = [line for line in text.splitlines()[:2] if line.strip()]
    columns = len(_header(lines[0])) if lines else 0
    if columns < 2:
        return False
    delimiter = _delimiter(lines[0])
    if delimiter == " ":
        return len(lines) == 2 and len(lines[1].split()) == columns and not _header(lines[1])
    return text.endswith("\n") if len(lines) == 1 else lines[1].count(delimiter) == lines[0].count(delimiter)


def read_csv(path: Path, first: str) -> dict[str, ak.Array]:
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
    return {name: without_missing(table[name], name, path) for name in names}


def read_darkmachines(path: Path) -> dict[str, ak.Array]:
    """Read events of the DarkMachines challenge: ``id;process;weight;MET;METphi;obj,E,pt,eta,phi;obj,…`` a line.

    The objects of one letter become a collection, with branches such as ``j.pt``.
    """
    events: list[list[str]] = []
    texts: dict[str, list[str]] = {}
    counts: dict[str, dict[int, int]] = {}
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
                        f"cannot read {path}: line {number + 1} has {text!r} where an object is expected"
                    )
                texts.setdefault(letter, []).append(numbers)
                own = counts.setdefault(letter, {})
                own[event] = own.get(event, 0) + 1
    Memory(path).take(8 * len(counts) * len(events))
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
        lengths = np.zeros(len(events), np.int64)
        lengths[[*own]] = [*own.values()]
        objects = ak.zip({column: rows[:, i] for i, column in enumerate(("E", "pt", "eta", "phi"))})
        columns[name] = ak.unflatten(objects, lengths)
    return columns
