"""What a compressed or restored file promises of its columns, or what a user accepts of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from hepae.bounded.codec import resolve
from hepae.bounds import DEFAULT_BOUNDS, EXACT, Bounds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hepae.bounds import Bound, Edges
    from hepae.files.compressed import CompressedFile
    from hepae.files.history import History
    from hepae.io.layouts import Collection


@dataclass(frozen=True)
class Promise:
    """What is promised of one collection.

    Parameters
    ----------
    collection
        As the original had it.
    coded
        Its columns that may have changed; all others have to be the same bit for bit.
    bounds, edges
        By column. A column that the collection does not have is one of its four-momentum in other coordinates: the mass of a
        file with E, for instance. A coded column without a bound is promised nothing, unless it is such a coordinate.
    """

    collection: Collection
    coded: tuple[str, ...]
    bounds: Mapping[str, Bound]
    edges: Mapping[str, Edges] = field(default_factory=dict)

    @property
    def derived(self) -> tuple[str, ...]:
        """Columns with a bound that derive from the collection's own four-momentum."""
        return tuple(name for name in self.bounds if name not in self.collection.column_names)

    @property
    def own(self) -> tuple[str, ...]:
        """Coded columns that are judged as they are stored; those that a derived column stands for are not."""
        if not self.derived:
            return self.coded
        return tuple(
            name for name in self.coded if name in self.bounds or name not in self.collection.momentum
        )

    def accepting(self, asked: Bounds) -> Promise:
        """Give this promise with the bounds and edges that a user states in place of its own.

        Raises
        ------
        ConfigError
            If one is for a column that is not there or that takes none.
        """
        stated = _stated(self.collection, asked)
        coded = tuple(name for name in self.collection.column_names if name in {*self.coded, *stated.coded})
        return replace(
            self,
            coded=coded,
            bounds={**stated.unchanged, **self.bounds, **stated.bounds},
            edges={**self.edges, **stated.edges},
        )

    @property
    def unchanged(self) -> dict[str, Bound]:
        """Exact bounds of the four-momentum's other coordinates, where it is judged in these and not all have a bound."""
        own = self.collection.column_names
        return {name: EXACT for name in DEFAULT_BOUNDS if name not in own} if self.derived else {}


@dataclass(frozen=True)
class Promises:
    """Promises by collection, for consecutive ranges of events, and where they are from.

    Parameters
    ----------
    origin
        What says so, as a person reads it.
    ranges
        First event, end (exclusive) and promises by collection, in the order of the events.
    left_out
        Branches and objects of the original that were left out when it was compressed, as the file itself lists them.
    """

    origin: str
    ranges: tuple[tuple[int, int, Mapping[str, Promise]], ...]
    left_out: frozenset[str] = frozenset()

    @classmethod
    def of_compressed(cls, file: CompressedFile) -> Promises:
        """Promises of a compressed file, as its headers have them."""
        ranges, first = [], 0
        for part in file.parts:
            promised = {
                name: Promise(
                    coded.collection,
                    coded.columns,
                    coded.bounds.columns if coded.bounds else {},
                    coded.bounds.edges if coded.bounds else {},
                )
                for name, coded in part.header.collections.items()
            }
            ranges.append((first, first + part.entries, promised))
            first += part.entries
        return cls("the compressed file", tuple(ranges), frozenset(file.history.left_out))

    @classmethod
    def of_history(
        cls, history: History, generation: int, collections: Mapping[str, Collection], entries: int
    ) -> Promises:
        """Promises of a history: what may differ from a file of this generation (0: the original).

        Parameters
        ----------
        history
            Of the version.
        generation
            Of the file that it is compared with.
        collections
            Those of that file, by name.
        entries
            Of the version.
        """
        promised = {
            name: Promise(
                replace(collections[name], unit=coded.unit),
                tuple(column for column in coded.coded if column in collections[name].column_names),
                {column: bound for column, bound in coded.bounds.items() if bound is not None},
                coded.edges,
            )
            for name, coded in history.since(generation).items()
            if name in collections
        }
        left_out = {name for step in history.steps[generation:] for name in step.left_out}
        return cls("the history of the file", ((0, entries, promised),), frozenset(left_out))

    @classmethod
    def exact(cls, entries: int) -> Promises:
        """Promise that every bit of every branch is the same."""
        return cls("none: every branch is compared bit for bit", ((0, entries, {}),))

    def accepting(self, asked: Bounds, collections: Iterable[Collection]) -> Promises:
        """Give these promises with the bounds and edges that a user states in place of their own.

        Parameters
        ----------
        asked
            The bounds; columns without one keep their promise, or have to be the same bit for bit.
        collections
            What the bounds are for, where nothing is promised.
        """
        if not asked.columns and not asked.edges:
            return self
        ranges = []
        for begin, end, promised in self.ranges:
            every = dict(promised) or {c.name: Promise(c, (), {}) for c in collections}
            ranges.append((begin, end, {name: one.accepting(asked) for name, one in every.items()}))
        return replace(self, origin="the bounds that were given", ranges=tuple(ranges))

    @property
    def collections(self) -> Mapping[str, Promise]:
        """Promises of the first events."""
        return self.ranges[0][2] if self.ranges else {}

    def within(self, start: int, stop: int) -> Sequence[tuple[int, int, Mapping[str, Promise]]]:
        """Promises of the events from ``start`` to ``stop``."""
        cut = [(max(begin, start), min(end, stop), promised) for begin, end, promised in self.ranges]
        return [each for each in cut if each[0] < each[1]]


def _stated(collection: Collection, asked: Bounds) -> Promise:
    """Bounds that are stated for the columns of a collection, by name or pattern; no default is taken for granted."""
    types = {column.name: np.dtype(column.dtype) for column in collection.columns}
    found = resolve(asked, {collection.name: types})[collection.name]
    named = asked.asked(collection.name)
    bounds = {
        name: bound
        for name, bound in found.columns.items()
        if name in named or (bound != EXACT and name not in DEFAULT_BOUNDS)
    }
    derived = [name for name in bounds if name not in types]
    replaced = [name for name in collection.momentum if derived and name not in found.columns]
    return Promise(
        collection, tuple({**dict.fromkeys(bounds), **dict.fromkeys(replaced)}), bounds, found.edges
    )
