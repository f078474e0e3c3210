"""The files of a comparison: jets of the original, and of its compressed or restored versions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np

from hepae import kinematics
from hepae.bounds import loosest
from hepae.errors import InputError
from hepae.files.compressed import CompressedFile
from hepae.files.description import bound_texts
from hepae.files.history import History
from hepae.io.layouts import event_identifiers
from hepae.io.readers import Source, steps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from hepae.bounds import Bound
    from hepae.io.layouts import Branch, Collection
    from hepae.io.locations import Location
    from hepae.verification.promises import Promises


@dataclass(frozen=True)
class StoredJets:
    """Jets of a file that is not compressed, by ranges of entries.

    Parameters
    ----------
    source
        The open file.
    collection
        Which of its jets.
    columns
        Columns that are read beside the four-momentum; by default all.
    """

    source: Source
    collection: Collection
    columns: Sequence[str] | None = None

    def read(self, start: int, stop: int) -> ak.Array:
        """Jets of these entries, as `hepae.read_jets` gives them."""
        wanted = (
            {*self.collection.column_names} if self.columns is None else {*self.columns, *kinematics.MOMENTUM}
        )
        branches = [column.branch for column in self.collection.columns if column.name in wanted]
        return self.collection.jets(self.source.arrays(branches, start, stop))

    def has(self, name: str) -> bool:
        """Whether there is such a column, or E for mass."""
        try:
            self.collection.column(name)
        except KeyError:
            return False
        return True

    def stored_bytes(self, columns: Sequence[str]) -> dict[str, int]:
        """Bytes by column."""
        branches = {name: self.collection.column(name).branch for name in columns}
        return {name: self.source.stored_bytes(branch) for name, branch in branches.items()}


@dataclass(frozen=True)
class VersionJets:
    """Jets of a collection in a compressed or restored file.

    Parameters
    ----------
    name
        What the version is called in figures.
    path
        Its file.
    jets
        The open file.
    collection
        Name of the collection.
    promises
        What it promises of the original's jets: a restored file by its history.
    """

    name: str
    path: Location
    jets: CompressedFile | StoredJets
    collection: str
    promises: Promises

    @property
    def bounds(self) -> dict[str, Bound]:
        """Bounds that it promises; the loosest of each column where hadd joined files with other bounds."""
        ranges = [bounds for _, _, bounds in self.bounds_by_events(0, self._entries) or ()]
        return {name: loosest(bounds[name] for bounds in ranges) for name in (ranges[0] if ranges else ())}

    def bounds_by_events(self, start: int, stop: int) -> list[tuple[int, int, dict[str, Bound]]] | None:
        """Bounds by ranges of these events; None of a file that says nothing of this collection."""
        found: list[tuple[int, int, dict[str, Bound]]] = []
        for begin, end, promised in self.promises.within(start, stop):
            if self.collection not in promised:
                return None
            bounds = dict(promised[self.collection].bounds)
            if found and found[-1][2] == bounds:
                begin = found.pop()[0]
            found.append((begin, end, bounds))
        return found or None

    @property
    def bound_texts(self) -> dict[str, str]:
        """Bounds that it promises, as `hepae.files.description.bound_texts` writes them."""
        return bound_texts(self.bounds, self.bounds_by_events(0, self._entries) or [])

    @property
    def restored(self) -> bool:
        """Whether the file is a restored one."""
        return isinstance(self.jets, StoredJets)

    @property
    def _entries(self) -> int:
        jets = self.jets.source if isinstance(self.jets, StoredJets) else self.jets
        return jets.num_entries

    @property
    def coded(self) -> tuple[str, ...] | None:
        """Columns that were coded; None of a restored file, which does not know."""
        return self.jets.coded(self.collection) if isinstance(self.jets, CompressedFile) else None

    def read(self, start: int, stop: int) -> tuple[ak.Array, ak.Array | None]:
        """Jets of these entries, and their latents where there are some."""
        if isinstance(self.jets, CompressedFile):
            which = {"collection": self.collection}
            return self.jets.jets(start, stop, **which), self.jets.latents(start, stop, **which)
        return self.jets.read(start, stop), None

    def stored_bytes(self, before: StoredJets) -> tuple[dict[str, int], dict[str, int]]:
        """Bytes of the columns that were coded or, of a restored file, that both have, by what is known to take them."""
        if isinstance(self.jets, CompressedFile):
            coded = self.jets.coded(self.collection)
            return before.stored_bytes(coded), self.jets.stored_bytes(self.collection)
        shared = [name for name in before.collection.column_names if self.jets.has(name)]
        return before.stored_bytes(shared), self.jets.stored_bytes(shared)

    def facts(self) -> dict[str, str]:
        """What the page says about it, by subject."""
        if isinstance(self.jets, StoredJets):
            history = History.of_source(self.jets.source)
            if history is None:
                return {"codec": "unknown: this file does not say how it was compressed, nor its bounds"}
            changed = history.since(0).get(self.collection)
            bounds = changed.bounds if changed else {}
            return {
                "codec": ", ".join(dict.fromkeys(step.algorithm for step in history.steps)),
                "collection": self.collection,
                "bounds": ", ".join(f"{name} {bound or 'none'}" for name, bound in bounds.items()) or "exact",
                "generation": str(history.generation),
                "written by": history.steps[-1].implementation,
            }
        header = self.jets.header
        coded = header.collections[self.collection]
        edges = coded.bounds.edges if coded.bounds is not None else {}
        told = {
            "codec": header.codec,
            "collection": self.collection,
            "columns": ", ".join(coded.columns),
            "latents": ", ".join(coded.latents),
            "bounds": ", ".join(f"{name} {text}" for name, text in self.bound_texts.items()) or "none",
            "edges": "; ".join(f"{name} at {cuts}" for name, cuts in edges.items()),
            "model SHA-256": header.model_sha256 or "",
            "written by": f"hepae {header.hepae}",
        }
        return {name: text for name, text in told.items() if text}


def require_same_events(original: Source, version: CompressedFile | Source, step: int) -> None:
    """Refuse a version whose events are not those of the original, or stand in another order.

    Compared are the run, luminosity block and event numbers, as far as both files have them.

    Parameters
    ----------
    original, version
        The open files, with equally many entries.
    step
        Entries that are read at once.

    Raises
    ------
    InputError
        If an event has other numbers in the version.
    """
    branches: Iterable[Branch]
    read: Callable[[list[str], int, int], dict[str, ak.Array]]
    if isinstance(version, CompressedFile):
        branches, read = version.original_branches, version.original_arrays
    else:
        branches, read = version.branches.values(), version.arrays
    before, after = event_identifiers(original.branches.values()), event_identifiers(branches)
    shared = [what for what in before if what in after]
    for start, stop in steps(original.num_entries, step) if shared else ():
        one = original.arrays([before[what] for what in shared], start, stop)
        other = read([after[what] for what in shared], start, stop)
        pairs = {
            what: (_first_numbers(one[before[what]]), _first_numbers(other[after[what]])) for what in shared
        }
        differing = np.any([numbers[0] != numbers[1] for numbers in pairs.values()], axis=0)
        if differing.any():
            entry = int(differing.argmax())
            told = [", ".join(f"{what} {pairs[what][i][entry]}" for what in shared) for i in (0, 1)]
            raise InputError(
                f"entry {start + entry} of {original.path} is {told[0]}, and of {version.path} {told[1]}: "
                "these are not the same events, or they are in another order"
            )


def _first_numbers(array: ak.Array) -> NDArray[Any]:
    """One integer an event: Delphes has a list with one number."""
    numbers: NDArray[Any] = ak.to_numpy(array if array.ndim == 1 else ak.fill_none(ak.firsts(array), 0))
    return numbers


def require_same_lengths(
    original: StoredJets, version: VersionJets, before: ak.Array, after: ak.Array, start: int
) -> None:
    """Refuse a version that has another number of jets in an event.

    Parameters
    ----------
    original, version
        Where the jets are from.
    before, after
        Their jets.
    start
        Entry of the first event.

    Raises
    ------
    InputError
        If an event has more or fewer jets in the version.
    """
    if before.ndim == 1 or after.ndim == 1 or len(before) != len(after):
        return  # residuals refuse these
    counts = [ak.to_numpy(ak.num(jets)) for jets in (before, after)]
    differing = np.flatnonzero(counts[0] != counts[1])
    if differing.size:
        entry = differing[0]
        raise InputError(
            f"entry {start + entry} of {original.source.path} has {counts[0][entry]} {version.collection}, and of "
            f"{version.path} {counts[1][entry]}: these are not the same events, or they are in another order"
        )
