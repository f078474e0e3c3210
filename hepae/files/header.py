"""The two formats of hepae's own: the model file, and what a compressed file holds beside the user's tree.

A model is safetensors: tensors, and a JSON header in the metadata. A compressed ROOT file has a tree ``hepae`` with
one row: a JSON header with its checksum, the number of entries that it covers, and the model where there is one. Files joined by
ROOT's hadd have a row a part; rows hold counts and never positions, so they stay readable.
"""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np
import safetensors.numpy

from hepae.errors import InputError
from hepae.io.layouts import Branch
from hepae.io.readers import HEADER_TREE, open_root, reading

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hepae.io.locations import Location

FORMAT_VERSION = 1
PAYLOAD_TREE = "hepae_payload"


def pack_model(header: dict[str, Any], tensors: dict[str, NDArray[Any]]) -> bytes:
    """Make a model of its header and tensors; the inverse is `unpack_model`. Equal content gives equal bytes."""
    text = json.dumps({"format_version": FORMAT_VERSION, **header}, sort_keys=True)
    contiguous = {name: np.ascontiguousarray(tensor) for name, tensor in sorted(tensors.items())}
    return safetensors.numpy.save(contiguous, metadata={"hepae": text})


def unpack_model(data: bytes, where: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Give header and tensors of a model; ``where`` names it in errors.

    Raises
    ------
    InputError
        If it is damaged, or was written by a later format.
    """
    try:
        (length,) = struct.unpack_from("<Q", data)
        header = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["hepae"])
        tensors = safetensors.numpy.load(data)
    except (struct.error, ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
        raise InputError(f"{where} is no hepae model, or damaged ({type(error).__name__})") from None
    check_version(header, where)
    return header, tensors


def read_model(path: Location) -> bytes:
    """Bytes of a model file.

    Raises
    ------
    InputError
        If there is none.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the model {path}: {error.strerror}") from None


def check_version(header: dict[str, Any], where: str) -> None:
    """Refuse what a later version wrote.

    Raises
    ------
    InputError
        If the format is newer than this program knows.
    """
    version = header.get("format_version")
    if version != FORMAT_VERSION:
        raise InputError(
            f"{where} has format version {version}, this hepae reads {FORMAT_VERSION}; upgrade hepae"
        )


@dataclass(frozen=True)
class Part:
    """One row of the tree ``hepae``: the header, the entries that it covers, and the model (empty where there is none)."""

    header: dict[str, Any]
    entries: int
    model: bytes


def write_part(file: Any, part: Part) -> None:
    """Write the tree ``hepae`` into an open file of ``uproot.recreate``; the inverse is `read_parts`."""
    types = {"entries": "int64", "crc": "uint32", "header": "var * uint8", "model": "var * uint8"}
    file.mktree(HEADER_TREE, types).extend(_part_row(part))


def _part_row(part: Part) -> dict[str, ak.Array]:
    text = json.dumps(part.header, sort_keys=True).encode()
    crc = np.array([_checksum(part.entries, text)], np.uint32)
    return {"entries": np.array([part.entries]), "crc": crc, "header": _row(text), "model": _row(part.model)}


def read_parts(file: Any, where: str) -> list[Part]:
    """Rows of the tree ``hepae`` of an open file.

    Raises
    ------
    InputError
        If the file is not a compressed one, or its header is damaged or newer than this program.
    """
    if HEADER_TREE not in file:
        raise InputError(f"{where} is not a compressed file: it has no tree {HEADER_TREE!r}")
    names = ("entries", "crc", "header", "model")
    rows = file[HEADER_TREE].arrays(list(names), how=dict)
    parts = []
    for entries, crc, header, model in zip(*(rows[name] for name in names), strict=True):
        text = ak.to_numpy(header).tobytes()
        if _checksum(int(entries), text) != crc:
            raise InputError(f"{where} is damaged: its header does not have its checksum")
        parsed = json.loads(text)
        check_version(parsed, where)
        parts.append(Part(parsed, int(entries), ak.to_numpy(model).tobytes()))
    return parts


def _checksum(entries: int, text: bytes) -> int:
    return zlib.crc32(text, entries & 0xFFFFFFFF)


def _row(data: bytes) -> ak.Array:
    return ak.unflatten(np.frombuffer(data, np.uint8), [len(data)])


def payload_branches() -> list[Branch]:
    """Branches of the tree ``hepae_payload``: one row a cluster of events."""
    return [
        Branch("events", np.dtype(np.int64)),
        Branch("jets", np.dtype(np.int64)),
        Branch("seed", np.dtype(np.uint64)),
        Branch("crc", np.dtype(np.uint32)),
        Branch("collection", np.dtype(np.uint8), jagged=True),
        Branch("blob", np.dtype(np.uint8), jagged=True),
    ]


def payload_row(collection: str, cluster: Any) -> dict[str, ak.Array]:
    """Make a row of the tree ``hepae_payload`` of a cluster: events, jets, seed, crc and blob."""
    return {
        "events": np.array([cluster.events], np.int64),
        "jets": np.array([cluster.jets], np.int64),
        "seed": np.array([cluster.seed], np.uint64),
        "crc": np.array([cluster.crc], np.uint32),
        "collection": _row(collection.encode()),
        "blob": _row(cluster.blob),
    }


def is_compressed(path: Location) -> bool:
    """Whether a file is a compressed one; a file that is no ROOT file is none.

    Raises
    ------
    InputError
        If it is missing, or a damaged ROOT file.
    """
    with reading(path):
        with path.open("rb") as file:
            if file.read(4) != b"root":
                return False
        with open_root(path) as root:
            return HEADER_TREE in root
