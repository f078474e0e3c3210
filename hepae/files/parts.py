"""The tree ``hepae`` of a compressed file: one row for each part; hadd joins parts.

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
from hepae.io.baskets import wrong_branches
from hepae.io.guards import reading
from hepae.io.readers import HEADER_TREE, file_kind, open_root
from hepae.latent.model_file import check_version

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hepae.bounds import Bound
    from hepae.files.header import StoredTree
    from hepae.io.locations import Location
    from hepae.io.objects import ObjectRecord


@dataclass(frozen=True)
class Part:
    """One row of the tree ``hepae``: the header, the entries that it covers, and the model (empty where there is none)."""

    header: Header
    entries: int
    model: bytes


class Parts(tuple[Part, ...]):
    """The parts of a file in order; one if the file was not joined."""

    __slots__ = ()

    @property
    def other_trees(self) -> dict[str, list[StoredTree]]:
        """The file's other trees: what the header of each part says of them."""
        found: dict[str, list[StoredTree]] = {}
        for part in self:
            for name, tree in part.header.other_trees.items():
                found.setdefault(name, []).append(tree)
        return found

    @property
    def objects(self) -> list[Sequence[ObjectRecord]]:
        """The file's objects that are no trees: what the header of each part says of them."""
        return [part.header.objects for part in self]

    @property
    def cloned(self) -> dict[str, list[tuple[int, dict[str, list[int]]]]]:
        """Trees that ROOT cloned: the entries of each part, and the checksums of its branches by path."""
        found: dict[str, list[tuple[int, dict[str, list[int]]]]] = {}
        for part in self:
            for name, checksums in part.header.cloned.items():
                main = name == part.header.tree
                entries = part.entries if main else part.header.other_trees[name].entries
                listed = {path: list(numbers) for path, numbers in checksums.items()}
                found.setdefault(name, []).append((entries, listed))
        return found

    @property
    def only_root(self) -> tuple[str, ...]:
        """Branches that ROOT cloned and uproot cannot read, ``TREE/BRANCH`` of the other trees."""
        return tuple(dict.fromkeys(name for part in self for name in part.header.only_root))

    def check_clones(self, file: Any, path: Location) -> None:
        """Check all that ROOT cloned into an open file.

        Raises
        ------
        InputError
            If a branch does not have the checksums that the header says.
        """
        for name, parts in self.cloned.items():
            with reading(path):
                wrong = wrong_branches(file, name, parts)
            if wrong:
                raise InputError(
                    f"{path} is damaged: checksum mismatch in {', '.join(wrong[:5])} of tree {name!r}"
                )

    def ranges(self, entry_start: int, entry_stop: int) -> Iterator[tuple[int, int, int]]:
        """Parts that contain these entries, and the range in each; at least one part, perhaps with an empty range."""
        first, found = 0, False
        for i, part in enumerate(self):
            begin, end = max(entry_start, first), min(entry_stop, first + part.entries)
            if begin < end or (not found and i == len(self) - 1):
                found = True
                yield i, min(begin, end), end
            first += part.entries

    def bounds(self, collection: str, start: int, stop: int) -> list[tuple[int, int, dict[str, Bound]]]:
        """Give the bounds of a collection by ranges of events: first event, end (exclusive), bounds by column."""
        ranges: list[tuple[int, int, dict[str, Bound]]] = []
        for part, begin, end in self.ranges(start, stop):
            promised = self[part].header.collections[collection].bounds
            bounds = {} if promised is None else dict(promised.columns)
            if ranges and ranges[-1][2] == bounds:
                begin = ranges.pop()[0]
            ranges.append((begin, end, bounds))
        return ranges

    def choose(self, collection: str | None, path: Location) -> str:
        """Name of a coded collection: the one asked for, or ``Jet``, ``AnalysisJets`` or the only one; ``path`` is for errors.

        Raises
        ------
        InputError
            If it does not exist, or if hepae cannot choose between several.
        """
        names = list(self[0].header.collections)
        for name in (collection,) if collection else ("Jet", "AnalysisJets"):
            if name in names:
                return name
        if collection is None and len(names) == 1:
            return names[0]
        found = f"{path} has {', '.join(names)}"
        raise InputError(
            f"no collection {collection!r}: {found}"
            if collection
            else f"which jets? {found}; choose with --collection"
        )


def write_part(file: Any, part: Part) -> None:
    """Write the tree ``hepae`` into an open file of ``uproot.recreate``; the inverse is `read_parts`."""
    types = {"entries": "int64", "crc": "uint32", "header": "var * uint8", "model": "var * uint8"}
    file.mktree(HEADER_TREE, types).extend(_part_row(part.header.to_json(), part.entries, part.model))


def _part_row(header: Any, entries: int, model: bytes) -> dict[str, ak.Array]:
    text = json.dumps(header, sort_keys=True).encode()
    crc = np.array([_checksum(entries, text, model)], np.uint32)
    return {"entries": np.array([entries]), "crc": crc, "header": byte_row(text), "model": byte_row(model)}


def read_parts(file: Any, where: str) -> Parts:
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
    return Parts(parts)


def _checksum(entries: int, text: bytes, model: bytes) -> int:
    return zlib.crc32(model, zlib.crc32(text, zlib.crc32((entries % 2**64).to_bytes(8, "little"))))


def byte_row(data: bytes) -> ak.Array:
    """Bytes as the only entry of a branch of ``var * uint8``."""
    return ak.unflatten(np.frombuffer(data, np.uint8), [len(data)])


def is_compressed(path: Location) -> bool:
    """Whether a file is a compressed file; False for a file that is not a ROOT file.

    Raises
    ------
    InputError
        If it is missing, or a damaged ROOT file.
    """
    if file_kind(path) != "a ROOT file":
        return False
    with reading(path), open_root(path) as root:
        return HEADER_TREE in root
