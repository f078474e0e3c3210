"""What an open file is to the rest of the program: named branches of numbers, in any range of entries."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import awkward as ak
import numpy as np

from hepae.errors import ConfigError, HepaeError
from hepae.io.guards import require_unchanged
from hepae.io.layouts import LONG_ARRAY, Branch, Collection, Layout, find_layout, unit_of

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator

    from hepae.io.locations import Fingerprint, Location
    from hepae.io.objects import StoredObject

STEP_SIZE = "100 MB"

_SAMPLE_ENTRIES = 10_000
_LENGTHS_ENTRIES = 1_000


class Source(ABC):
    """An open file with one tree or table chosen, whichever storage it has."""

    path: Location
    format: str
    tree: str
    title: str = ""
    """Title of the tree."""
    trees: tuple[str, ...]
    branches: dict[str, Branch]
    unreadable: tuple[str, ...]
    num_entries: int
    unit: str | None
    """Unit asked for; None leaves it to the convention or the values."""
    unit_is_known: bool = True
    """Whether the user or the convention tells the unit; set with the `layout`."""
    unit_note: str | None = None
    """What was assumed of the unit, where the values suggested it; set with the `layout`."""
    fingerprint: Fingerprint | None = None
    """Of the file when it was opened."""

    @abstractmethod
    def arrays(self, names: Iterable[str], entry_start: int, entry_stop: int) -> dict[str, ak.Array]:
        """Arrays by branch name, of these entries."""

    @abstractmethod
    def entries_per_step(self, step_size: str | int) -> int:
        """How many entries take this much memory."""

    @abstractmethod
    def stored_bytes(self, name: str) -> int:
        """Bytes that a branch takes in the file, compressed."""

    def other_trees(self, wanted: Callable[[str], bool] = lambda _: True) -> Iterator[Source]:  # noqa: ARG002
        """Every other tree of the file that can be read and is wanted by its name, as a source of its own."""
        yield from ()

    def objects(self) -> list[StoredObject]:
        """Objects of the file that are no trees, and folders."""
        return []

    @property
    def uuid(self) -> str | None:
        """The file's own identifier, where it has one."""
        return None

    def histories(self) -> list[str]:
        """Histories that hepae wrote into the file, as text; none where hepae did not restore it."""
        return []

    def renamed(self, path: Location) -> None:
        """Point to the original file; the temporary copy is about to be deleted."""
        self.path = path

    def close(self) -> None:  # noqa: B027  # a table has nothing to close
        """Close the file."""

    def finish(self) -> None:
        """Close the file when it was read.

        Raises
        ------
        InputError
            If it was replaced or changed since it was opened.
        """
        self.close()
        self._require_unchanged()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close()
        if kind is None or issubclass(kind, HepaeError):  # a file that was replaced looks damaged
            self._require_unchanged()

    def _require_unchanged(self) -> None:
        if self.fingerprint is not None:
            require_unchanged(self.path, self.fingerprint)

    def _free_counters(self, real: Container[str | None] = ()) -> None:
        """Where nothing in the file counts the lists of an object, their counter must not be another branch."""
        for name, branch in self.branches.items():
            if branch.counter in self.branches and branch.counter not in real:
                free = f"{branch.counter}_"
                while free in self.branches:
                    free += "_"
                self.branches[name] = replace(branch, counter=free)

    def _find_counters(self) -> None:
        """Find what counts lists by its name and values, in a storage that does not say so itself."""
        lists: dict[str, list[str]] = {}
        for name, branch in self.branches.items():
            if branch.jagged and branch.counter not in self.branches:
                for match in re.finditer(r"[_.:/]", name):
                    for counter in (f"n{name[: match.start()]}", f"{name[: match.start()]}_size"):
                        if counter in self.branches and _counts(self.branches[counter]):
                            lists.setdefault(counter, []).append(name)
        for counter, names in lists.items():
            names = [name for name in names if self.branches[name].counter not in self.branches]
            arrays = self.arrays([counter, *names], 0, min(self.num_entries, _LENGTHS_ENTRIES))
            for name in names:
                if ak.all(ak.num(arrays[name]) == arrays[counter]):
                    self.branches[name] = replace(self.branches[name], counter=counter)

    @cached_property
    def layout(self) -> Layout:
        """Convention and collections found.

        Raises
        ------
        ConfigError
            If the convention has another unit than the one asked for.
        """
        layout = find_layout(self.branches)
        if self.unit and layout.unit and self.unit != layout.unit:
            raise ConfigError(
                f"{self.path} has the layout {layout.name}, with energies in {layout.unit}, not in {self.unit}: "
                "leave --unit out (in Python unit=)"
            )
        collections = {name: self._of_equal_length(c) for name, c in layout.collections.items()}
        layout = replace(layout, collections={name: c for name, c in collections.items() if c.columns})
        known = self.unit or layout.unit
        unit = known or self._unit_by_values(layout)
        self.unit_is_known = known is not None
        return layout.in_unit(unit or "GeV")

    def _of_equal_length(self, collection: Collection) -> Collection:
        """Give the collection without the branches whose lists are not as long as those of its momentum.

        Where nothing in the file counts them, the first entries have to tell: ``vector<float>`` of jets and of their
        constituents look alike.
        """
        if collection.counter is None or collection.counted or len(collection.columns) == 1:
            return collection
        names = [column.branch for column in collection.columns]
        if len({self.branches[name].counter or name for name in names}) == 1:  # of one object
            return collection
        arrays = self.arrays(names, 0, min(self.num_entries, _LENGTHS_ENTRIES))
        lengths = {name: ak.to_numpy(ak.num(array)).tobytes() for name, array in arrays.items()}
        if collection.momentum:
            wanted = lengths[collection.column(collection.momentum[0]).branch]
        else:
            values = [*lengths.values()]
            wanted = max(values, key=values.count)
        columns = tuple(column for column in collection.columns if lengths[column.branch] == wanted)
        return replace(collection, columns=columns)

    def _unit_by_values(self, layout: Layout) -> str | None:
        """Unit that the first jets suggest, those of the collection with the largest median pt; None without a jet."""
        momenta = [collection for collection in layout.collections.values() if collection.momentum]
        for start, stop in steps(self.num_entries if momenta else 0, _SAMPLE_ENTRIES):
            medians = {collection.name: self._median_pt(collection, start, stop) for collection in momenta}
            name = max(medians, key=lambda name: medians[name])
            if medians[name] > 0:
                unit = unit_of(np.array([medians[name]]))
                self.unit_note = (
                    f"pt, mass and E in {self.path} are taken as {unit}: the median pt of {name} is {medians[name]:.4g}; "
                    "if that is wrong, give the unit with --unit (in Python unit=)"
                )
                return unit
        return None

    def _median_pt(self, collection: Collection, start: int, stop: int) -> float:
        """Median pt of the jets in these entries, 0 where there are none."""
        axes = ("pt",) if "pt" in collection.momentum else ("px", "py")
        branches = [collection.column(axis).branch for axis in axes]
        arrays = self.arrays(branches, start, stop)
        flat = [ak.to_numpy(ak.flatten(arrays[name], axis=None)) for name in branches]
        with np.errstate(all="ignore"):
            pt = np.abs(flat[0]) if len(flat) == 1 else np.hypot(*flat)
        finite = pt[np.isfinite(pt) & (pt > 0)]  # zeros fill up arrays of fixed length
        return float(np.median(finite)) if finite.size else 0.0


def _counts(branch: Branch) -> bool:
    return branch.dtype is not None and branch.dtype.kind in "iu" and not branch.jagged and not branch.shape


def memory_size(text: str) -> int:
    """Bytes of a size such as ``100 MB``.

    >>> memory_size("100 MB"), memory_size("1.5GB")
    (100000000, 1500000000)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*([kMG]?)B\s*", text)
    if match is None:
        raise ConfigError(f"no size {text!r}: write it as '100 MB'")
    return int(float(match[1]) * {"": 1, "k": 1e3, "M": 1e6, "G": 1e9}[match[2]])


def entries_in(step_size: str | int, all_bytes: int, entries: int) -> int:
    """How many entries take this much memory, where all take so many bytes."""
    if isinstance(step_size, int):
        return step_size
    return max(1, int(memory_size(step_size) / max(all_bytes / max(entries, 1), 1)))


def steps(entries: int, size: int) -> Iterator[tuple[int, int]]:
    """Cut entries into consecutive ranges of at most this size.

    >>> list(steps(5, 2))
    [(0, 2), (2, 4), (4, 5)]
    """
    if size < 1:
        raise ConfigError(f"step_size must be at least one entry, got {size}")
    for start in range(0, entries, size):
        yield start, min(start + size, entries)


def plain_branches(name: str, form: Any, counter: str | None = None) -> Iterator[tuple[Branch, Field]]:
    """Take an awkward form apart into branches of numbers: one for each member of its records.

    Yields
    ------
    Branch, Field
        The branch, and where its values are in the whole array.

    Raises
    ------
    TypeError
        If the form has unions or missing values.
    """
    yield from _plain(name, form, counter, (), ())


class Field:
    """Where the values of a plain branch are in an array: which members of records, which element of small arrays."""

    def __init__(self, path: tuple[str, ...] = (), element: int | None = None):
        self.path, self.element = path, element

    def of(self, array: ak.Array) -> ak.Array:
        """Values of the branch."""
        for member in self.path:
            array = array[member]
        return array if self.element is None else array[..., self.element]


def _plain(
    name: str, form: Any, counter: str | None, levels: tuple[int | None, ...], path: tuple[str, ...]
) -> Iterator[tuple[Branch, Field]]:
    text = form.parameter("__array__") in ("string", "bytestring")
    if form.is_record:
        shared = counter or (f"n{name}" if levels == (None,) else None)
        for member in form.fields:
            if member.startswith(
                "@"
            ):  # what ROOT's own classes have beside their data; uproot does not give it out
                continue
            yield from _plain(f"{name}.{member}", form.content(member), shared, levels, (*path, member))
        return
    if form.is_regular and not text:
        yield from _plain(name, form.content, counter, (*levels, form.size), path)
        return
    if form.is_list and not text:
        yield from _plain(name, form.content, counter, (*levels, None), path)
        return
    if form.is_unknown or form.is_option or form.is_union:
        raise TypeError(f"{name}: its values may be missing or have several types")
    if text:
        primitive = "string" if form.parameter("__array__") == "string" else "bytes"
    else:
        primitive, levels = form.primitive, (*levels, *form.inner_shape)
    jagged, shape = levels[:1] == (None,), tuple(n for n in levels if n is not None)
    if text or None in levels[1:] or (jagged and shape and (len(shape) > 1 or shape[0] > LONG_ARRAY)):
        counts = "".join("var * " if n is None else f"{n} * " for n in levels)
        yield Branch(name, None, type=counts + primitive), Field(path)
    elif jagged and shape:  # no TTree that uproot writes has lists of arrays
        for i in range(shape[0]):
            branch = Branch(f"{name}_{i}", np.dtype(primitive), True, counter or f"n{name}")
            yield branch, Field(path, i)
    else:
        yield Branch(name, np.dtype(primitive), jagged, counter if jagged else None, shape), Field(path)


def native_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Type of the same values that awkward reads and a TTree holds: of this machine's byte order, no float16."""
    return np.dtype(np.float32) if dtype.kind == "f" and dtype.itemsize == 2 else dtype.newbyteorder("=")
