"""Bounds in TOML files: written by ``hepae suggest``, edited by hand, taken by ``--bounds``.

[bounds.Jet]
pt = "0.1%"
eta = 0.001

[edges.Jet]
pt = "20,30"
"""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hepae.bounds import Bound, Bounds, Edges
from hepae.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_TABLES = ("bounds", "edges")


def read_bounds(path: str | Path) -> Bounds:
    """Read bounds and edges from a file; the inverse is `bounds_text`.

    Raises
    ------
    ConfigError
        If it cannot be read, or something in it makes no sense: the message has its line.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"cannot read {path}: it is no text") from None
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: {error}") from None
    if unknown := [name for name in content if name not in _TABLES]:
        line = _line(text, (), unknown[0])
        raise ConfigError(
            f"{path}, line {line}: {unknown[0]!r} is not known here; columns stand under [bounds.COLLECTION] or [edges.COLLECTION]"
        )
    bounds: dict[str, Bound] = {}
    edges: dict[str, Edges] = {}
    lines: dict[str, str] = {}
    for table in _TABLES:
        for keys, value in _entries(content[table], (table,)) if table in content else ():
            name, line = ".".join(keys[1:]), _line(text, keys[:-1], keys[-1])
            if not keys[1:] or isinstance(value, bool | dict):
                raise ConfigError(f"{path}, line {line}: {name or table} holds no columns")
            try:
                one = Bounds.parse({name: value}) if table == "bounds" else Bounds.parse({}, {name: value})
            except (ConfigError, TypeError, ValueError, OverflowError) as error:
                raise ConfigError(f"{path}, line {line}: {error}") from None
            if twice := (one.columns.keys() & bounds.keys()) | (one.edges.keys() & edges.keys()):
                raise ConfigError(f"{path}, line {line}: {min(twice)} is given twice; give it once")
            bounds.update(one.columns)
            edges.update(one.edges)
            lines.update(dict.fromkeys((*one.columns, *one.edges), f"{path}, line {line}"))
    return Bounds(bounds, edges, lines=lines)


def overridden(bounds: Bounds, other: Bounds) -> Bounds:
    """Give the bounds and edges of a file with those of the command line in place of them where both have some.

    A column that the command line names alone is that of every collection: ``pt`` goes before ``Jet.pt`` of the file.
    """
    columns, edges = _without(bounds.columns, other.columns), _without(bounds.edges, other.edges)
    gone = (bounds.columns.keys() - columns.keys()) | (bounds.edges.keys() - edges.keys())
    return Bounds(
        {**columns, **other.columns},
        {**edges, **other.edges},
        lines={key: line for key, line in bounds.lines.items() if key not in gone},
    )


def _without(file: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """What a file says of columns that are not given: neither by the same name nor by that without the collection."""
    return {
        key: value
        for key, value in file.items()
        if key not in given and key.partition(".")[2] not in {*given}
    }


def _entries(value: Any, keys: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, dict) and value:
        for key, entry in value.items():
            yield from _entries(entry, (*keys, key))
    else:
        yield keys, value


def _line(text: str, tables: Sequence[str], key: str) -> int:
    """Line of a key, from 1; that of its table where the key is not found."""
    header, found = ".".join(tables), 1
    current = ""
    for number, line in enumerate(text.splitlines(), 1):
        if match := re.match(r"\s*\[\s*(.+?)\s*\]\s*(#.*)?$", line):
            current = match[1].replace('"', "").replace("'", "").replace(" ", "")
            if current in (header, ".".join((*tables, key))):
                found = number
            continue
        name, equals, _ = line.partition("=")
        name = name.strip().replace('"', "").replace("'", "").replace(" ", "")
        whole = ".".join(part for part in (current, name) if part)
        if equals and whole == ".".join((*tables, key)):
            return number
    return found


def bounds_text(bounds: Mapping[str, Mapping[str, tuple[Bound, str]]], head: Sequence[str] = ()) -> str:
    """Write bounds by collection and column as TOML, each with a comment; the inverse is `read_bounds`.

    Parameters
    ----------
    bounds
        Bound and comment by collection and column.
    head
        Lines of comment at the top.
    """
    lines = [f"# {_one_line(line)}".rstrip() for line in head]
    for collection, columns in bounds.items():
        lines += ["", f"[bounds.{_key(collection)}]"]
        written = {
            f"{_key(name)} = {_quoted(str(bound))}": comment for name, (bound, comment) in columns.items()
        }
        width = max(map(len, written), default=0)
        lines += [f"{entry:{width}}  # {_one_line(comment)}" for entry, comment in written.items()]
    return "\n".join(lines) + "\n"


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _quoted(name)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")  # TOML escapes as JSON does


def _one_line(comment: str) -> str:
    return " ".join("".join(c if c.isprintable() else "\n" for c in comment).split("\n"))
