"""The tree ``hepae`` of a compressed file: a row for each part that the file was joined of.

A row is the header as JSON, the number of entries that it covers, the model where there is one, and a checksum of all three. Rows hold
counts and never positions, so that files joined by ROOT's hadd, which have a row for each part, stay readable.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np

from hepae.errors import InputError
from hepae.files.header import FORMAT_VERSION, Header
from hepae.files.json_record import MalformedError, Record
from hepae.io.guards import reading
from hepae.io.readers import HEADER_TREE, file_kind, open_root
from hepae.latent.model_file import check_version

if TYPE_CHECKING:
    from hepae.io.locations import Location


@dataclass(frozen=True)
class Part:
    """One row of the tree ``hepae``: the header, the entries that it covers, and the model (empty where there is none)."""

    header: Header
    entries: int
    model: bytes


def write_part(file: Any, part: Part) -> None:
    """Write the tree ``hepae`` into an open file of ``uproot.recreate``; the inverse is `read_parts`."""
    types = {"entries": "int64", "crc": "uint32", "header": "var * uint8", "model": "var * uint8"}
    file.mktree(HEADER_TREE, types).extend(_part_row(part.header.to_json(), part.entries, part.model))


def _part_row(header: Any, entries: int, model: bytes) -> dict[str, ak.Array]:
    text = json.dumps(header, sort_keys=True).encode()
    crc = np.array([_checksum(entries, text, model)], np.uint32)
    return {"entries": np.array([entries]), "crc": crc, "header": byte_row(text), "model": byte_row(model)}


def read_parts(file: Any, where: str) -> list[Part]:
    """Rows of the tree ``hepae`` of an open file.

    Raises
    ------
    InputError
        If the file is not a compressed one, or its header is damaged or newer than this program.
    """
    if HEADER_TREE not in file:
        raise InputError(
            f"{where} is not a compressed file: it has no tree {HEADER_TREE!r}; hepae compress makes one"
        )
    names = ("entries", "crc", "header", "model")
    rows = file[HEADER_TREE].arrays(list(names), how=dict)
    parts = []
    for entries, crc, header, model in zip(*(rows[name] for name in names), strict=True):
        text, stored = (ak.to_numpy(array).tobytes() for array in (header, model))
        if _checksum(int(entries), text, stored) != crc:
            raise InputError(f"{where} is damaged: checksum mismatch in its header")
        try:
            value = json.loads(text)
            check_version(Record(value).fields, FORMAT_VERSION, where)
            parsed = Header.from_json(value)
        except (MalformedError, ValueError, RecursionError) as error:
            raise InputError(f"{where} is damaged: its header is malformed ({error})") from None
        if parsed.events != int(entries):
            raise InputError(f"{where} is damaged: its header does not cover the entries it says")
        parts.append(Part(parsed, int(entries), stored))
    if not parts:
        raise InputError(f"{where} is damaged: its tree {HEADER_TREE!r} is empty")
    return parts


def _checksum(entries: int, text: bytes, model: bytes) -> int:
    return zlib.crc32(model, zlib.crc32(text, zlib.crc32((entries % 2**64).to_bytes(8, "little"))))


def byte_row(data: bytes) -> ak.Array:
    """Bytes as the only entry of a branch of ``var * uint8``."""
    return ak.unflatten(np.frombuffer(data, np.uint8), [len(data)])


def is_compressed(path: Location) -> bool:
    """Whether a file is a compressed one; a file that is no ROOT file is none.

    Raises
    ------
    InputError
        If it is missing, or a damaged ROOT file.
    """
    if file_kind(path) != "a ROOT file":
        return False
    with reading(path), open_root(path) as root:
        return HEADER_TREE in root
