"""Jets and passed-through branches to ROOT and Parquet: streamed, checked, under their name only when complete."""

from __future__ import annotations

import contextlib
import re
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Self

import awkward as ak
import numpy as np
import uproot

from hepae.errors import ConfigError, InputError, OutputError
from hepae.io.checksums import Checksums
from hepae.io.forms import form_of, in_form
from hepae.io.ntuples import tuple_fields
from hepae.io.sources import steps
from hepae.io.tree_records import TreeRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from hepae.io.layouts import Branch

COMPRESSION = "zstd:5"

SMALLEST = "lzma:9"
"""For what is small and compresses well: 60 000 counters take 26.7 kB, with ZSTD 29.1 kB at best, 43.8 kB at level 5."""

_COUNTER_BYTES = 4
"""Longest type of a counter: ROOT takes the length of lists from an integer of 32 bits at most."""

STORAGES = ("ttree", "rntuple")
"""What a ROOT file can hold branches as; `open_writer` makes either."""


def not_for_ttrees(branches: Iterable[Branch]) -> list[str]:
    """Names of the branches that uproot cannot write into a TTree."""
    return [b.name for b in branches if (b.dtype is None and b.type != "string") or (b.jagged and b.shape)]


def storage_of(source_format: str) -> str:
    """What a tree or table of this format is written as by default: an RNTuple as it is, all else as a TTree."""
    return source_format if source_format in STORAGES else "ttree"


def parse_compression(text: str | None) -> Any:
    """Make uproot's compression object of ``NAME:LEVEL``; None is `COMPRESSION`.

    >>> parse_compression("zstd:5")
    ZSTD(5)
    """
    text = COMPRESSION if text is None else text
    match = re.fullmatch(r"(zstd|lz4|lzma|zlib):(\d+)", text.lower())
    limits = {"zstd": 22, "lz4": 12, "lzma": 9, "zlib": 9}
    if match is None or not 1 <= int(match[2]) <= limits[match[1]]:
        known = ", ".join(f"{name}:1–{limit}" for name, limit in limits.items())
        raise ConfigError(f"no compression {text!r}; choose one of {known}")
    return getattr(uproot, match[1].upper())(int(match[2]))


class Writer(ABC):
    """Branches written chunk by chunk, into any storage.

    ``added`` are the counters that the storage needs beside the branches.

    Parameters
    ----------
    name
        Name of the tree.
    branches
        Its branches in order.
    """

    added: tuple[str, ...] = ()

    def __init__(self, name: str, branches: Iterable[Branch]):
        self.name = name
        self.branches = {branch.name: branch for branch in branches}
        self.checksums = Checksums()
        self.num_entries = 0
        counted: dict[str, list[str]] = {}
        for branch in self.branches.values():
            if branch.jagged:
                counted.setdefault(branch.counter or f"n{branch.name}", []).append(branch.name)
        self._counted = counted
        """Jagged branches by the counter that they share."""
        self.fields: dict[str, str] = {}
        """Names in the file of the branches that the storage calls otherwise."""

    def extend(self, arrays: Mapping[str, ak.Array]) -> None:
        """Write a chunk: one array of equal length for each branch.

        Raises
        ------
        InputError
            If a counter says something else than the lists that it counts.
        """
        arrays = {name: arrays[name] for name in self.branches}
        length = len(next(iter(arrays.values()), ()))
        if length == 0:  # ROOT misreads a tree that was extended by nothing
            return
        self._check_counters(arrays)
        self._write(arrays)
        self.checksums.update(self._as_read_back(arrays))
        self.num_entries += length

    def _as_read_back(self, arrays: Mapping[str, ak.Array]) -> dict[str, ak.Array]:
        """Arrays of the branches as they will be read back."""
        return dict(arrays)

    def _check_counters(self, arrays: Mapping[str, ak.Array]) -> None:
        for counter, names in self._counted.items():
            first = (
                np.asarray(arrays[counter]) if counter in arrays else ak.to_numpy(ak.num(arrays[names[0]]))
            )
            for name in names if counter in arrays else names[1:]:
                if not np.array_equal(first, ak.to_numpy(ak.num(arrays[name]))):
                    other = counter if counter in arrays else names[0]
                    raise InputError(
                        f"branch {name!r} of tree {self.name!r} has lists of another length than {other!r} says; leave "
                        f"one of them out with --drop"
                    )

    @abstractmethod
    def _write(self, arrays: Mapping[str, ak.Array]) -> None:
        """Write a chunk that is not empty."""

    def close(self) -> None:  # noqa: B027  # some storages have nothing to add
        """Write what stands once in the file, when all chunks are written."""

    @abstractmethod
    def read_back(self, path: Path, step: int) -> Iterator[dict[str, ak.Array]]:
        """Iterate over what was written, in steps of this many entries, by branch name."""


class TreeWriter(Writer):
    """A TTree written chunk by chunk. uproot makes the counters of its lists itself.

    Branches keep their titles, and counters their type where that is of at most 4 bytes; any other is int32.

    Parameters
    ----------
    file
        An open file of ``uproot.recreate``.
    name
        Name of the tree.
    branches
        Its branches in order. A jagged one without a counter gets ``n<name>``; jagged ones that share a counter
        become one set of counted branches, as in NanoAOD.
    compression
        Of its branches, where it is not that of the file; counters always have the smallest.
    counters
        Branches that count what is not in this tree.
    title
        Title of the tree.
    compact
        Write the description of the branches once, compressed, when the writer is closed: without that the tree cannot be read.

    Raises
    ------
    OutputError
        If a branch is of a type that uproot does not write into a TTree.
    """

    def __init__(
        self,
        file: Any,
        name: str,
        branches: Iterable[Branch],
        *,
        compression: str | None = None,
        counters: Iterable[str | None] = (),
        title: str = "",
        compact: bool = False,
    ):
        super().__init__(name, branches)
        if impossible := not_for_ttrees(self.branches.values()):
            which = ", ".join(impossible[:5]) + (
                f", and {more} more" if (more := len(impossible) - 5) > 0 else ""
            )
            options = " ".join(f"--drop {branch!r}" for branch in impossible[:5])
            raise OutputError(
                f"tree {name!r} has branches that uproot cannot write into a TTree ({which}): keep them with ROOT (pip install "
                f"'hepae[root]') or with --format rntuple, or leave them out with {options}{' …' if more > 0 else ''}"
            )
        counter_of = {branch: counter for counter, names in self._counted.items() for branch in names}
        types: dict[str, Any] = {}
        for branch in self.branches.values():
            if branch.dtype is None:
                types[branch.name] = "string"
            elif branch.jagged:
                types[branch.name] = ak.types.ListType(ak.types.NumpyType(branch.dtype.name))
            else:
                types[branch.name] = (branch.dtype, branch.shape) if branch.shape else branch.dtype
        self.added = tuple(counter for counter in self._counted if counter not in self.branches)
        self._tree = (  # a tree without branches cannot be written, and needs not be: the header knows its entries
            file.mktree(
                name, types, title=title, counter_name=lambda branch: counter_of.get(branch, f"n{branch}")
            )
            if types
            else None
        )
        if self._tree is not None:
            usual = file.compression if compression is None else parse_compression(compression)
            apart = [counter for counter in counters if counter in self.branches]
            smallest = dict.fromkeys([*self._counted, *apart], parse_compression(SMALLEST))
            self._tree.compression = {**dict.fromkeys(self.branches, usual), **smallest}
            titles = {branch.name: branch.title for branch in self.branches.values() if branch.title}
            counted = {counter: self._counter_type(counter) for counter in self._counted}
            self._record = TreeRecord(file, self._tree, titles, counted, compact=compact)

    def _counter_type(self, counter: str) -> np.dtype[Any]:
        """Type of a counter in the file: its own where ROOT takes it as the length of lists."""
        dtype = self.branches[counter].dtype if counter in self.branches else None
        return dtype if dtype is not None and dtype.itemsize <= _COUNTER_BYTES else np.dtype(np.int32)

    def _write(self, arrays: Mapping[str, ak.Array]) -> None:
        assert self._tree is not None
        # uproot counts the lists itself
        self._tree.extend({name: array for name, array in arrays.items() if name not in self._counted})

    def _as_read_back(self, arrays: Mapping[str, ak.Array]) -> dict[str, ak.Array]:
        counters = {
            counter: ak.values_astype(ak.num(arrays[names[0]]), self._counter_type(counter))
            for counter, names in self._counted.items()
        }
        return {**arrays, **counters}

    def close(self) -> None:
        """Write the description of the branches, compressed; the tree takes no more chunks."""
        if self._tree is not None:
            self._record.write(parse_compression(SMALLEST))

    def read_back(self, path: Path, step: int) -> Iterator[dict[str, ak.Array]]:
        """Iterate over what was written, in steps of this many entries, by branch name."""
        with uproot.open(path) as file:
            tree = file[self.name]
            branches = {
                branch.name: branch for branch in tree.branches if branch.name in self.checksums.by_branch
            }
            for start, stop in steps(int(tree.num_entries), step):
                yield {
                    name: branch.array(entry_start=start, entry_stop=stop, array_cache=None)
                    for name, branch in branches.items()
                }


class TupleWriter(Writer):
    """An RNTuple written chunk by chunk: it takes branches of any type; parameters are those of `TreeWriter`.

    Lists know their lengths, so no counters are added. A name may hold no ``.``, which becomes ``:``.
    """

    def __init__(self, file: Any, name: str, branches: Iterable[Branch], *, compression: str | None = None):
        super().__init__(name, branches)
        unknown = [branch.name for branch in self.branches.values() if not branch.datashape]
        if unknown:
            raise OutputError(
                f"branch {unknown[0]!r} of tree {name!r} has an unknown type; leave it out with --drop {unknown[0]!r}"
            )
        self.names: dict[str, str] = {}
        """Name of the field of each branch."""
        for branch in self.branches:
            field = re.sub(r"[./\\\s]", ":", branch)
            while field in self.names.values():
                field += ":"
            self.names[branch] = field
        self.fields = {branch: field for branch, field in self.names.items() if branch != field}
        self._forms = {b.name: form_of(b) for b in self.branches.values()}
        form = ak.forms.RecordForm([*self._forms.values()], [*self.names.values()])
        self._compression = None if compression is None else parse_compression(compression)
        self._file = file
        with self._compressed():
            self._tuple = file.mkrntuple(name, form) if self.branches else None

    @contextlib.contextmanager
    def _compressed(self) -> Iterator[None]:
        """Compression of this RNTuple: uproot knows only that of the file."""
        before = self._file.compression
        if self._compression is not None:
            self._file.compression = self._compression
        try:
            yield
        finally:
            self._file.compression = before

    def _write(self, arrays: Mapping[str, ak.Array]) -> None:
        assert self._tuple is not None
        contents = [in_form(array, self._forms[name]) for name, array in arrays.items()]
        with self._compressed():
            self._tuple.extend(ak.Array(ak.contents.RecordArray(contents, [*self.names.values()])))

    def read_back(self, path: Path, step: int) -> Iterator[dict[str, ak.Array]]:
        """Iterate over what was written, in steps of this many entries, by branch name."""
        with uproot.open(path) as file:
            fields = tuple_fields(file[self.name])
            for start, stop in steps(int(file[self.name].num_entries), step):
                yield {
                    name: fields[self.names[name]].array(entry_start=start, entry_stop=stop, array_cache=None)
                    for name in self.checksums.by_branch
                }


class ParquetWriter(Writer):
    """A Parquet file written row group by row group; close it, or use it in a with statement.

    Parameters
    ----------
    path
        The file.
    branches
        Its columns in order, of any type.
    compression
        As ``NAME:LEVEL``.
    metadata
        Texts by key that the file holds beside its columns.
    """

    def __init__(
        self,
        path: Path,
        branches: Iterable[Branch],
        *,
        compression: str | None = None,
        metadata: Mapping[bytes, str] | None = None,
    ):
        import pyarrow.parquet  # late: it takes a while to import

        super().__init__("jets", branches)
        compression = COMPRESSION if compression is None else compression
        parse_compression(compression)
        codec, level = compression.lower().split(":")
        codec, level = ("gzip", level) if codec == "zlib" else (codec, level)
        if codec == "lzma":
            raise ConfigError(f"no compression {compression!r} in Parquet: it has zstd, lz4 and zlib")
        self._forms = {branch.name: form_of(branch) for branch in self.branches.values()}
        empty = {name: ak.Array(form.length_zero_array()) for name, form in self._forms.items()}
        self._schema = self._table(empty).schema.with_metadata(dict(metadata or {}))
        self._writer = pyarrow.parquet.ParquetWriter(
            path, self._schema, compression=codec, compression_level=int(level)
        )

    def _table(self, arrays: Mapping[str, ak.Array]) -> Any:
        import pyarrow as pa

        columns = {
            name: ak.to_arrow(ak.Array(in_form(array, self._forms[name])), extensionarray=False)
            for name, array in arrays.items()
        }
        return pa.table(columns)

    def _write(self, arrays: Mapping[str, ak.Array]) -> None:
        self._writer.write_table(self._table(arrays).replace_schema_metadata(self._schema.metadata))

    def read_back(self, path: Path, step: int) -> Iterator[dict[str, ak.Array]]:
        """Iterate over what was written, in steps of this many entries, by branch name."""
        from hepae.io.parquet import ParquetTable

        with ParquetTable(path) as table:
            for start, stop in steps(table.num_entries, step):
                yield dict(table.columns(self.checksums.by_branch, start, stop))

    def close(self) -> None:
        """Write the end of the file."""
        self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_writer(
    file: Any,
    name: str,
    branches: Iterable[Branch],
    storage: str = "ttree",
    *,
    compression: str | None = None,
    counters: Iterable[str | None] = (),
    title: str = "",
    compact: bool = False,
) -> TreeWriter | TupleWriter:
    """Begin a TTree or an RNTuple in an open file of ``uproot.recreate``; parameters as those of `TreeWriter`.

    Raises
    ------
    ConfigError
        If there is no such storage.
    OutputError
        If a branch cannot be written into it.
    """
    if storage not in STORAGES:
        raise ConfigError(f"no format {storage!r}; choose one of {', '.join(STORAGES)}")
    if storage == "ttree":
        return TreeWriter(
            file, name, branches, compression=compression, counters=counters, title=title, compact=compact
        )
    return TupleWriter(file, name, branches, compression=compression)


def check_tree(path: Path, written: Writer, step: int) -> None:
    """Read a tree back and compare each branch's checksum with what had been written.

    Raises
    ------
    OutputError
        If a branch differs.
    """
    if not written.branches:
        return
    found, entries = Checksums(), 0
    for arrays in written.read_back(path, step):
        found.update(arrays)
        entries += len(next(iter(arrays.values()), ()))
    expected = written.checksums.by_branch
    wrong = found.differing(expected)
    if wrong or (entries != written.num_entries and expected):
        what = f"branches {', '.join(wrong[:5])}" if wrong else f"{entries} of {written.num_entries} entries"
        raise OutputError(
            f"tree {written.name!r} reads back differently from how it was written ({what}); nothing was written"
        )
