"""Jets and passed-through branches to ROOT: streamed, checked, and under their name only when complete."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np
import uproot

from hepae.errors import ConfigError, OutputError
from hepae.io.readers import steps

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from hepae.io.layouts import Branch

COMPRESSION = "zstd:5"


def parse_compression(text: str) -> Any:
    """Make uproot's compression object of ``NAME:LEVEL``.

    >>> parse_compression("zstd:5")
    ZSTD(5)
    """
    match = re.fullmatch(r"(zstd|lz4|lzma|zlib):(\d+)", text.lower())
    limits = {"zstd": 22, "lz4": 12, "lzma": 9, "zlib": 9}
    if match is None or not 1 <= int(match[2]) <= limits[match[1]]:
        known = ", ".join(f"{name}:1–{limit}" for name, limit in limits.items())
        raise ConfigError(f"no compression {text!r}: it is one of {known}")
    return getattr(uproot, match[1].upper())(int(match[2]))


@contextlib.contextmanager
def atomic_output(path: str | Path, *, force: bool = False) -> Iterator[Path]:
    """Give a temporary name beside the output; move it into place when the block ends well, remove it when not.

    Raises
    ------
    OutputError
        If the output exists (unless ``force``), its folder does not, or the disk is full.
    """
    path = Path(path)
    if path.exists() and not force:
        raise OutputError(f"{path} exists already; name another output or add --force")
    if not path.parent.is_dir():
        raise OutputError(f"no folder {path.parent} to write {path.name} into; make it first")
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(descriptor)
        temporary = Path(name)
        try:
            yield temporary
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}; nothing was written") from error


class Digests:
    """Checksum of each branch's values, the same however its entries are cut into chunks."""

    def __init__(self) -> None:
        self.crc: dict[str, tuple[int, int]] = {}
        """Of the lists' lengths (0 where there are none) and of the values, by branch name."""

    def update(self, arrays: Mapping[str, ak.Array]) -> None:
        """Take in a chunk of arrays by branch name."""
        for name, array in arrays.items():
            lengths, values = self.crc.get(name, (0, 0))
            layout = ak.to_layout(array)
            if layout.is_list and not layout.is_regular:
                lengths = zlib.crc32(ak.to_numpy(ak.num(layout)).astype("<i8"), lengths)
            flat = np.ascontiguousarray(ak.to_numpy(ak.flatten(layout, axis=None)))
            values = zlib.crc32(flat.astype(flat.dtype.newbyteorder("<"), copy=False).data.cast("B"), values)
            self.crc[name] = lengths, values


class TreeWriter:
    """A TTree written chunk by chunk.

    Parameters
    ----------
    file
        An open file of ``uproot.recreate``.
    name
        Name of the tree.
    branches
        Its branches in order. A jagged one without a counter gets ``n<name>``; jagged ones that share a counter
        become one set of counted branches, as in NanoAOD.
    """

    def __init__(self, file: Any, name: str, branches: Iterable[Branch]):
        self.branches = {branch.name: branch for branch in branches}
        types: dict[str, Any] = {}
        counters: dict[str, str] = {}
        for branch in self.branches.values():
            if branch.dtype is None:
                raise OutputError(
                    f"branch {branch.name!r} of tree {name!r} cannot be written into a TTree; leave it out with "
                    f"--drop {branch.name!r}"
                )
            if branch.jagged:
                types[branch.name] = f"var * {'bool' if branch.dtype.kind == 'b' else branch.dtype.name}"
                counters[branch.name] = branch.counter or f"n{branch.name}"
            else:
                types[branch.name] = (branch.dtype, branch.shape) if branch.shape else branch.dtype
        self.added = tuple(dict.fromkeys(c for c in counters.values() if c not in self.branches))
        self.digests = Digests()
        self.num_entries = 0
        self.name = name
        self._tree = (  # a tree without branches cannot be written, and needs not be: the header knows its entries
            file.mktree(name, types, counter_name=lambda branch: counters.get(branch, f"n{branch}"))
            if types
            else None
        )

    def extend(self, arrays: Mapping[str, ak.Array]) -> None:
        """Write a chunk: one array of equal length for each branch."""
        arrays = {name: arrays[name] for name in self.branches}
        length = len(next(iter(arrays.values()), ()))
        if length == 0:  # ROOT misreads a tree that was extended by nothing
            return
        assert self._tree is not None
        self._tree.extend(arrays)
        self.digests.update({name: array for name, array in arrays.items() if not self._counts(name)})
        self.num_entries += length

    def _counts(self, name: str) -> bool:
        """Whether a branch is the counter of others: it comes back as int32, and what it counts is checked itself."""
        return any(branch.counter == name for branch in self.branches.values())


def check_tree(path: Path, written: TreeWriter, step: int) -> None:
    """Read a tree back and compare each branch's checksum with what had been written.

    Raises
    ------
    OutputError
        If a branch differs.
    """
    found = Digests()
    if not written.branches:
        return
    name = written.name
    with uproot.open(path) as file:
        tree = file[name]
        for start, stop in steps(int(tree.num_entries), step):
            found.update(tree.arrays(list(written.digests.crc), entry_start=start, entry_stop=stop, how=dict))
        entries = int(tree.num_entries)
    wrong = [branch for branch, crc in written.digests.crc.items() if found.crc.get(branch) != crc]
    if wrong or entries != written.num_entries:
        what = f"branches {', '.join(wrong[:5])}" if wrong else f"{entries} of {written.num_entries} entries"
        raise OutputError(
            f"tree {name!r} reads back differently than it was written ({what}); nothing was written"
        )
