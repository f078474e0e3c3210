"""Files to jets, whole or in steps.

A *source* is an open file with one tree or table chosen: its branches, its layout with the collections of jets, and
its arrays for any range of entries. ROOT trees and pickled tables are sources alike.
"""

from __future__ import annotations

import contextlib
import fnmatch
import re
from abc import ABC, abstractmethod
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import awkward as ak
import numpy as np
import uproot

from hepae import kinematics
from hepae.errors import ConfigError, HepaeError, InputError
from hepae.io.layouts import Branch, Collection, Layout, find_layout, unit_of
from hepae.io.unpickling import read_pickle

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

STEP_SIZE = "100 MB"
HEADER_TREE = "hepae"
"""Tree of a compressed file that tells it from others."""

_SAMPLE_ENTRIES = 10_000


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever a damaged or missing file makes a library raise into one line."""
    try:
        yield
    except (HepaeError, MemoryError, NameError):  # a NameError is a fault of ours, never of a file
        raise
    except FileNotFoundError:
        raise InputError(f"no such file: {path}") from None
    except PermissionError:
        raise InputError(f"no permission to read {path}") from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder; name a file in it") from None
    # uproot raises nearly anything on damaged files: struct, zlib, index, key, value and its own errors.
    except Exception as error:
        reason = (str(error).strip().splitlines() or [""])[0] or type(error).__name__
        raise InputError(f"cannot read {path}: it is damaged or incomplete ({reason[:120]})") from error


def open_root(path: Path) -> Any:
    """Open a ROOT file with uproot, unless its end is missing; use it inside `reading`.

    Raises
    ------
    InputError
        If the file is shorter than it says itself.
    """
    file = uproot.open(path)
    missing = file.file.fEND - path.stat().st_size
    if missing > 0:
        file.close()
        raise InputError(f"cannot read {path}: it is truncated, {missing} bytes of its end are missing")
    return file


class Source(ABC):
    """An open file with one tree or table chosen, whichever storage it has."""

    path: Path
    format: str
    tree: str
    trees: tuple[str, ...]
    branches: dict[str, Branch]
    unreadable: tuple[str, ...]
    num_entries: int
    unit: str | None
    """Unit asked for; None leaves it to the convention or the values."""

    @cached_property
    def unit_notes(self) -> dict[str, str]:
        """How the unit of a collection was found, where the values had to tell it."""
        return {}

    @abstractmethod
    def arrays(self, names: Iterable[str], entry_start: int, entry_stop: int) -> dict[str, ak.Array]:
        """Arrays by branch name, of these entries."""

    @abstractmethod
    def entries_per_step(self, step_size: str | int) -> int:
        """How many entries take this much memory."""

    @abstractmethod
    def stored_bytes(self, name: str) -> int:
        """Bytes that a branch takes in the file, compressed."""

    def close(self) -> None:  # noqa: B027  # a table has nothing to close
        """Close the file."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @cached_property
    def layout(self) -> Layout:
        """Convention and collections found."""
        layout = find_layout(self.branches)
        if self.unit or layout.unit:
            return layout.in_unit(self.unit or layout.unit or "GeV")
        return replace(
            layout, collections={name: self._by_values(c) for name, c in layout.collections.items()}
        )

    def _by_values(self, collection: Collection) -> Collection:
        """Give the collection with the unit that its first values of pt tell."""
        branch = collection.column("pt").branch
        sample = self.arrays([branch], 0, min(self.num_entries, _SAMPLE_ENTRIES))[branch]
        pt = ak.to_numpy(ak.flatten(sample, axis=None))
        unit = unit_of(pt)
        median = float(np.median(pt)) if pt.size else 0.0
        self.unit_notes[collection.name] = (
            f"pt, mass and E taken as {unit} (median pt is {median:.4g}); --unit overrides"
        )
        return replace(collection, unit=unit)


class TableSource(Source):
    """A table in memory, one jet a row."""

    def __init__(
        self, path: Path, columns: dict[str, NDArray[Any]], *, file_format: str, unit: str | None = None
    ):
        self.path, self.format, self.unit = path, file_format, unit
        self.tree, self.trees = "jets", ("jets",)
        self.unreadable: tuple[str, ...] = ()
        self._columns = columns
        self.branches = {name: Branch(name, column.dtype) for name, column in columns.items()}
        self.num_entries = len(next(iter(columns.values()), ()))

    def arrays(self, names: Iterable[str], entry_start: int, entry_stop: int) -> dict[str, ak.Array]:
        """Arrays by column name, of these rows."""
        return {name: ak.Array(self._columns[name][entry_start:entry_stop]) for name in names}

    def entries_per_step(self, step_size: str | int) -> int:
        """How many rows take this much memory."""
        if isinstance(step_size, int):
            return step_size
        row = sum(column.dtype.itemsize for column in self._columns.values())
        return max(1, memory_size(step_size) // max(row, 1))

    def stored_bytes(self, name: str) -> int:
        """Bytes of a column in memory: a table's file has no bytes of one column."""
        return self._columns[name].nbytes


class TreeSource(Source):
    """A TTree of a ROOT file."""

    format = "ttree"

    def __init__(self, path: Path, *, tree: str | None = None, unit: str | None = None):
        self.path, self.unit = path, unit
        with reading(path):
            self.file = open_root(path)
            classes = self.file.classnames(recursive=True, cycle=False)
            self.trees = tuple(
                name for name, kind in classes.items() if kind in ("TTree", "TNtuple", "TNtupleD")
            )
            if HEADER_TREE in self.trees:
                self.file.close()
                raise InputError(
                    f"{path} is a compressed file; restore it with: hepae decompress {path} -o OUT.root"
                )
            self.tree = self._choose(tree)
            self._tree = self.file[self.tree]
            self.num_entries = int(self._tree.num_entries)
            found = {branch.name: _describe(branch) for branch in self._tree.branches}
        self.branches = {name: branch for name, branch in found.items() if branch is not None}
        self.unreadable = tuple(name for name, branch in found.items() if branch is None)

    def _choose(self, tree: str | None) -> str:
        if tree is not None:
            if tree not in self.trees:
                raise InputError(
                    f"no tree {tree!r} in {self.path}: it has {', '.join(self.trees) or 'no tree'}"
                )
            return tree
        if not self.trees:
            raise InputError(f"no tree in {self.path}: hepae reads jets from TTrees")
        if "Events" in self.trees or len(self.trees) == 1:
            return "Events" if "Events" in self.trees else self.trees[0]
        with_jets = [name for name in self.trees if find_layout(_branches(self.file[name])).collections]
        if len(with_jets) != 1:
            names = ", ".join(with_jets or self.trees)
            what = (
                "several trees with jets" if with_jets else "several trees, none with jets known by its names"
            )
            raise InputError(f"{what} in {self.path}: {names}; choose one with --tree")
        return with_jets[0]

    def arrays(self, names: Iterable[str], entry_start: int, entry_stop: int) -> dict[str, ak.Array]:
        """Arrays by branch name, of these entries."""
        names = list(names)
        if not names:
            return {}
        with reading(self.path):
            arrays: dict[str, ak.Array] = self._tree.arrays(
                names, entry_start=entry_start, entry_stop=entry_stop, how=dict
            )
        return arrays

    def entries_per_step(self, step_size: str | int) -> int:
        """How many entries take this much memory."""
        return tree_entries(self._tree, step_size)

    def stored_bytes(self, name: str) -> int:
        """Bytes that a branch takes in the file, compressed."""
        return int(self._tree[name].compressed_bytes)

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def tree_entries(tree: Any, step_size: str | int) -> int:
    """How many entries of an uproot tree take this much memory, all branches read."""
    if isinstance(step_size, int):
        return step_size
    per_entry = tree.uncompressed_bytes / max(int(tree.num_entries), 1)
    return max(1, int(memory_size(step_size) / max(per_entry, 1)))


def _branches(tree: Any) -> dict[str, Branch]:
    described = (_describe(branch) for branch in tree.branches)
    return {branch.name: branch for branch in described if branch is not None}


def _describe(branch: Any) -> Branch | None:
    """Describe a branch by what uproot makes of it; None where it can make nothing of it."""
    try:
        interpretation = branch.interpretation
    except uproot.interpretation.identify.UnknownInterpretation:
        return None
    if isinstance(interpretation, uproot.AsJagged):
        content, jagged = interpretation.content, True
    else:
        content, jagged = interpretation, False
    if not isinstance(content, uproot.AsDtype) or content.to_dtype.names is not None:
        return (
            None
            if isinstance(content, uproot.interpretation.identify.UnknownInterpretation)
            else Branch(branch.name, None)
        )
    dtype, shape = content.to_dtype.base, content.to_dtype.shape
    counter = branch.count_branch.name if jagged and branch.count_branch is not None else None
    return Branch(branch.name, dtype.newbyteorder("="), jagged, counter, shape)


def open_source(path: str | Path, *, tree: str | None = None, unit: str | None = None) -> Source:
    """Open a file with jets, recognised by its first bytes.

    Raises
    ------
    InputError
        If the file is missing, damaged or of a kind that is not read.
    """
    path = Path(path)
    if unit is not None and unit not in kinematics.GEV:
        raise ConfigError(f"no unit {unit!r}: it is one of {', '.join(kinematics.GEV)}")
    with reading(path), path.open("rb") as file:
        magic = file.read(4)
    if magic == b"root":
        return TreeSource(path, tree=tree, unit=unit)
    if magic[:1] == b"\x80" and len(magic) == 4:
        with reading(path):
            return TableSource(path, read_pickle(path), file_format="pickle", unit=unit)
    raise InputError(
        f"{path} is neither a ROOT file nor a pickle: hepae reads jets from TTrees and pickled DataFrames"
    )


def choose_collection(source: Source, name: str | None = None) -> Collection:
    """Choose the jets of a source: by name, else ``Jet``, else ``AnalysisJets``, else the only collection.

    Raises
    ------
    InputError
        If there is none, or several could be meant; the error lists them.
    """
    collections = source.layout.collections
    where = f"tree {source.tree!r} of {source.path}"
    if not collections:
        raise InputError(
            f"no jets in {where}: no branches named pt, eta, phi and mass or E with a common prefix"
        )
    for candidate in (name,) if name else ("Jet", "AnalysisJets"):
        if candidate in collections:
            return collections[candidate]
    if name is None and len(collections) == 1:
        return next(iter(collections.values()))
    found = f"{where} has collections {', '.join(collections)}"
    raise InputError(
        f"no collection {name!r}: {found}" if name else f"which jets? {found}; choose with --collection"
    )


def choose_collections(source: Source, names: str | Sequence[str] | None = None) -> list[Collection]:
    """Choose the collections of a source by names and patterns such as ``*Jet``, or the jets where none is given.

    Raises
    ------
    InputError
        If one matches nothing, or several jets could be meant; the error lists what there is.
    """
    if not names:
        return [choose_collection(source)]
    found: dict[str, Collection] = {}
    for name in [names] if isinstance(names, str) else names:
        matching = fnmatch.filter(source.layout.collections, name)
        for match in matching or [name]:
            found[match] = choose_collection(source, match)
    return list(found.values())


def memory_size(text: str) -> int:
    """Bytes of a size such as ``100 MB``.

    >>> memory_size("100 MB"), memory_size("1.5GB")
    (100000000, 1500000000)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*([kMG]?)B\s*", text)
    if match is None:
        raise ConfigError(f"no size {text!r}: write it as '100 MB'")
    return int(float(match[1]) * {"": 1, "k": 1e3, "M": 1e6, "G": 1e9}[match[2]])


def steps(entries: int, size: int) -> Iterator[tuple[int, int]]:
    """Cut entries into consecutive ranges of at most this size.

    >>> list(steps(5, 2))
    [(0, 2), (2, 4), (4, 5)]
    """
    if size < 1:
        raise ConfigError(f"a step of {size} entries does not get on; take at least one")
    for start in range(0, entries, size):
        yield start, min(start + size, entries)


def iterate_jets(
    paths: str | Path | Sequence[str | Path],
    *,
    tree: str | None = None,
    collection: str | None = None,
    unit: str | None = None,
    columns: Sequence[str] | None = None,
    step_size: str | int = STEP_SIZE,
) -> Iterator[ak.Array]:
    """Read jets of one or more files step by step.

    Parameters
    ----------
    paths
        One file or several, read in order.
    tree, collection
        Which tree and which jets in it; found by name where there is no choice.
    unit
        Unit of pt, mass and E in the file, where it is not what its convention or its values say.
    columns
        Further columns wanted beside the four-momentum, by name; all by default.
    step_size
        Memory a step may take (``"100 MB"``) or its number of entries.

    Yields
    ------
    ak.Array
        Jets with ``Momentum4D`` behaviour in GeV and float64: one list per event, or flat where a row is a jet.

    Raises
    ------
    InputError
        If a file is missing or damaged, or has no jets.
    """
    for path in [paths] if isinstance(paths, (str, Path)) else paths:
        with open_source(path, tree=tree, unit=unit) as source:
            chosen = choose_collection(source, collection)
            wanted = {*columns, *kinematics.MOMENTUM} if columns is not None else set(chosen.column_names)
            branches = [column.branch for column in chosen.columns if column.name in wanted]
            for start, stop in steps(source.num_entries, source.entries_per_step(step_size)):
                yield chosen.jets(source.arrays(branches, start, stop))


def read_jets(
    paths: str | Path | Sequence[str | Path],
    *,
    tree: str | None = None,
    collection: str | None = None,
    unit: str | None = None,
    columns: Sequence[str] | None = None,
) -> ak.Array:
    """Read all jets of one or more files; parameters and errors are those of `iterate_jets`.

    Returns
    -------
    ak.Array
        Jets with ``Momentum4D`` behaviour in GeV and float64: one list per event, or flat where a row is a jet.
    """
    chunks = list(iterate_jets(paths, tree=tree, collection=collection, unit=unit, columns=columns))
    if not chunks:
        raise InputError(f"no events in {paths}")
    return ak.concatenate(chunks) if len(chunks) > 1 else chunks[0]
