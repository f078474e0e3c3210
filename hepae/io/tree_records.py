"""What of uproot's TTree writer is private and used all the same, in one place; uproot offers no other way to it.

uproot gives every branch a title of its own making and every counter the type int32, writes the description of a tree (its record)
uncompressed, with room for baskets to come, and writes it again at each extension. Used here: of ``WritableTree`` its
``_cascading``; of that its ``_branch_data`` (``fTitle``, ``dtype`` and ``kind`` of each branch), ``_build_out``, ``_directory``,
``_key``, ``_name``, ``_relocate``, ``_title``, ``write_anew`` and ``write_updates``; and ``_move_tree`` of the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import uproot

from hepae.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

MADE_FOR = "5.7"
"""Release of uproot whose private members these are."""


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
            raise OutputError(
                f"this hepae was made for uproot {MADE_FOR} and finds uproot {uproot.__version__} ({error}); "
                f"install uproot=={MADE_FOR}.*"
            ) from error

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
