"""What of uproot's writer is private and used all the same, in one place; uproot offers no other way to it.

uproot gives every branch a title of its own making and every counter the type int32, writes the description of a tree (its record)
uncompressed, with room for baskets to come, and writes it again at each extension. Used here: of ``WritableTree`` its
``_cascading``; of that its ``_branch_data`` (``fTitle``, ``dtype`` and ``kind`` of each branch), ``_build_out``, ``_directory``,
``_key``, ``_name``, ``_relocate``, ``_title``, ``write_anew`` and ``write_updates``; and ``_move_tree`` of the file.

The descriptions of all classes (ROOT's streamer info) are written uncompressed as well, 20 kB a file, and again where a class is added. Used
here: of the file its ``_cascading``; of that ``fileheader``, ``freesegments`` and ``streamers``; of these ``_allocation``, ``_data``,
``_header``, ``_key``, ``_rawstreamers`` and ``write``.
"""

from __future__ import annotations

import os
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import uproot

from hepae.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import numpy as np

MADE_FOR = "5.7"
"""Release of uproot whose private members these are."""


@contextmanager
def recreate(path: Path, compression: Any) -> Iterator[Any]:
    """Make a file as ``uproot.recreate`` does, with its classes described once and compressed, at its end."""
    with uproot.recreate(path, compression=compression) as file:
        _keep_classes_back(file.file)
        yield file
        end = _write_classes(file.file)
    os.truncate(path, end)


@contextmanager
def update(path: Path, compression: Any) -> Iterator[Any]:
    """Open a file as ``uproot.update`` does, with its classes described once and compressed, at its end."""
    with uproot.update(path) as file:
        file.file.compression = compression
        _keep_classes_back(file.file)
        yield file
        end = _write_classes(file.file)
    os.truncate(path, end)


def _keep_classes_back(file: Any) -> None:
    """Free the place of the classes' descriptions, and collect them until `_write_classes`."""
    try:
        classes, key = file._cascading.streamers, file._cascading.streamers._key
        file._cascading.freesegments.release(
            key.location, key.location + key.allocation + classes._allocation
        )
        classes.write = _nothing
    except AttributeError as error:
        raise _another_uproot(error) from error


def _write_classes(file: Any) -> int:
    """Write the descriptions of all classes, compressed; give the end of the file."""
    try:
        header, free = file._cascading.fileheader, file._cascading.freesegments
        classes, key = file._cascading.streamers, file._cascading.streamers._key
        parts = [classes._header, *classes._rawstreamers]
        classes._header.data_bytes = sum(part.num_bytes for part in parts)
        classes._header.num_entries = len(classes._rawstreamers)
        content = b"".join(part.serialize() for part in parts)
        stored = uproot.compression.compress(content, uproot.LZMA(9))
        key.location = key.seek_location = free.allocate(key.num_bytes + len(stored), dry_run=True)
        free.allocate(key.num_bytes + len(stored))  # the key is longer behind 2 GB
        key.uncompressed_bytes, key.compressed_bytes = len(content), len(stored)
        header.info_location, header.info_num_bytes = key.location, key.num_bytes + len(stored)
        key.write(file.sink)
        file.sink.write(key.location + key.num_bytes, stored)
        *others, last = free._data.slices or [(0, 0)]
        if last[1] == free._key.location and free.at_end:  # nothing but what is free follows
            free._data.slices, free._key.location = tuple(others), last[0]
            free._data.end = free._data.required_end(free._key.location + free._key.num_bytes)
        free.write(file.sink)
        for start, stop in free._data.slices:  # as ROOT says it
            file.sink.write(start, struct.pack(">i", max(start - stop, -(2**31)))[: stop - start])
        file.sink.flush()
        return int(free._data.end)
    except AttributeError as error:
        raise _another_uproot(error) from error


def _another_uproot(error: AttributeError) -> OutputError:
    return OutputError(
        f"this hepae was made for uproot {MADE_FOR} and finds uproot {uproot.__version__} ({error}); "
        f"install uproot=={MADE_FOR}.*"
    )


class TreeRecord:
    """The record of a TTree that uproot has just made, with the titles and types of the original.

    Parameters
    ----------
    file, tree
        What ``uproot.recreate`` and ``mktree`` gave.
    titles
        Titles of branches that are not to be called as uproot does it.
    counter_types
        Types of counters: integers of at most 4 bytes.
    compact
        Keep the record out of the file until `write`.

    Raises
    ------
    OutputError
        If this uproot has not the members.
    """

    def __init__(
        self,
        file: Any,
        tree: Any,
        titles: Mapping[str, str],
        counter_types: Mapping[str, np.dtype[Any]],
        *,
        compact: bool,
    ):
        self._compact = compact
        try:
            self._file, self._tree = file.file, tree._cascading
            before = [(branch["fTitle"], branch["dtype"]) for branch in self._tree._branch_data]
            for branch in self._tree._branch_data:
                name = branch["fName"]
                if branch["kind"] == "counter":
                    again = self._tree._branch_np(name, "", counter_types[name], kind="counter")
                    branch.update(dtype=again["dtype"], fTitle=again["fTitle"])
                branch["fTitle"] = titles.get(name, branch["fTitle"])
            if compact:
                self._replace(b"", 0)
                for member in ("_relocate", "write_updates"):  # what writes the record at each extension
                    getattr(self._tree, member)
                    setattr(self._tree, member, _nothing)
            elif before != [(branch["fTitle"], branch["dtype"]) for branch in self._tree._branch_data]:
                self._replace(b"", 0)  # the record goes where the first one was
                start = self._tree._key.seek_location
                self._tree.write_anew(self._file.sink)
                self._file._move_tree(start, self._tree._key.seek_location)
        except AttributeError as error:
            raise _another_uproot(error) from error

    def write(self, compression: Any) -> None:
        """Write a record that was kept back, compressed; then the tree can be extended no more."""
        if self._compact:
            record = _Memory(self._tree)
            type(self._tree).write_updates(
                self._tree, record
            )  # the largest length of lists, which _build_out leaves at 0
            content = bytes(record.content)
            self._replace(uproot.compression.compress(content, compression), len(content))

    def _replace(self, stored: bytes, length: int) -> None:
        tree, before = self._tree, self._tree._key
        tree._key = tree._directory.add_object(
            self._file.sink, "TTree", tree._name, tree._title, stored, length, replaces=before, big=True
        )
        self._file._move_tree(before.seek_location, tree._key.seek_location)


def _nothing(*_: object) -> None:
    """Write nothing."""


class _Memory:
    """A record in memory, which takes what uproot would write into the file.

    Parameters
    ----------
    tree
        The ``_cascading`` of the tree.
    """

    def __init__(self, tree: Any):
        self.content = bytearray(b"".join(tree._build_out()))
        self._start = tree._key.seek_location + tree._key.num_bytes

    def write(self, position: int, data: bytes) -> None:
        """Write at this position of the file."""
        first = position - self._start
        self.content[first : first + len(data)] = data

    def flush(self) -> None:
        """Everything is written already."""


def title_of(branch: Any) -> str:
    """Title of a branch or a tree that uproot read; empty where there is none."""
    return str(getattr(branch, "title", "") or "")
