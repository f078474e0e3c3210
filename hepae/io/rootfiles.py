"""ROOT files opened with uproot, which is kept from taking more memory than a file can fill."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import uproot
import uproot.containers

from hepae.errors import InputError
from hepae.io.guards import reading
from hepae.io.locations import Url

if TYPE_CHECKING:
    from hepae.io.locations import Location


class _Length(struct.Struct):
    """Length of a list of objects: at most as many as there are bytes where it was read from.

    uproot takes memory for as many objects as it reads here, 13 GB for one object of PHYSLITE whose layout it does
    not know, before it looks whether its data goes on that far.
    """

    def unpack(self, data: Any) -> tuple[Any, ...]:
        """Give the length.

        Raises
        ------
        ValueError
            If it is more than the bytes of the array that the data is a part of.
        """
        lengths = super().unpack(data)
        stored = memoryview(data if data.base is None else data.base).nbytes
        if lengths[0] > stored:
            raise ValueError(f"a list of {lengths[0]} objects in {stored} bytes")
        return lengths


uproot.containers._stl_container_size = _Length(uproot.containers._stl_container_size.format)


_KINDS = {b"root": "a ROOT file", b"\x89HDF": "an HDF5 file", b"PAR1": "a Parquet file"}


def file_kind(path: Location) -> str:
    """Say what a file is by its first bytes: a ROOT file, a model file, a text file.

    Raises
    ------
    InputError
        If it cannot be opened.
    """
    with reading(path), path.open("rb") as file:
        start = file.read(256)
    if start[4:9] == b"\0\0\0\0{":  # safetensors: the length of its JSON header in 8 bytes, then that header
        return "a model file"
    if start[:1] == b"\x80":
        return "a pickle"
    text = start.decode("utf-8", errors="replace")
    return _KINDS.get(
        start[:4], "a text file" if text and not {"\0", "\ufffd"} & {*text[:-1]} else "a file of unknown kind"
    )


def open_root(path: Location) -> Any:
    """Open a ROOT file with uproot, unless its end is missing; use it inside `reading`.

    Raises
    ------
    InputError
        If the file is shorter than it says itself.
    """
    if isinstance(path, Url):
        file = uproot.open({str(path): None} if path.gives_ranges() else path.download())
    else:
        file = uproot.open(path, handler=uproot.MultithreadedFileSource)
    missing = file.file.fEND - path.stat().st_size
    if missing > 0:
        file.close()
        raise InputError(f"cannot read {path}: it is truncated, {missing} bytes of its end are missing")
    return file
