"""What a verification found, chunk by chunk: it adds up, and says in one line each what broke."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hepae.verification.bin_shifts import BinShifts
from hepae.verification.judgement import judge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hepae.bounds import Bound, Edges
    from hepae.verification.bin_shifts import BinAxis
    from hepae.verification.event_quantities import QuantityChanges
    from hepae.verification.judgement import Judgement

    Values = NDArray[Any]


class Place(NamedTuple):
    """A jet of an event, and what its value became."""

    entry: int
    jet: int
    original: str
    restored: str


class Jets(NamedTuple):
    """Where the jets of a chunk are: the event of each, and its number in that event."""

    entry: NDArray[np.int64]
    jet: NDArray[np.int64]

    @classmethod
    def of(cls, counts: NDArray[np.int64] | None, first: int, jets: int) -> Jets:
        """Find them from the jets an event; None where each row is a jet. ``first`` is the first event."""
        if counts is None:
            return cls(np.arange(first, first + jets), np.zeros(jets, np.int64))
        entry = np.repeat(np.arange(first, first + len(counts)), counts)
        starts = np.repeat(np.cumsum(counts) - counts, counts)
        return cls(entry, np.arange(jets) - starts)


@dataclass(frozen=True)
class ColumnKey:
    """One column: its name, what is promised of it, and the unit and type it is judged in."""

    name: str
    bound: Bound | None
    edges: Edges | None
    unit: str
    dtype: np.dtype[Any]


@dataclass
class ColumnFindings:
    """What was found of one column."""

    bounds: tuple[str, ...] = ()
    """What is promised, as text: more than one where files with other bounds were joined; none where nothing is promised."""
    edges: str = ""
    values: int = 0
    changed: int = 0
    beyond: int = 0
    other_side: int = 0
    crossed: int = 0
    largest_error: float = 0.0
    largest_ratio: float | None = None
    first: Place | None = None
    """The first value that broke a promise; where nothing is promised, the first that changed."""
    shifts: BinShifts | None = None

    @classmethod
    def of(
        cls, key: ColumnKey, original: Values, restored: Values, where: Jets, same: Any, axis: BinAxis | None
    ) -> ColumnFindings:
        """Judge a chunk of a column; ``same`` as for `hepae.verification.judgement.judge`."""
        found = judge(
            key.name, original, restored, key.bound, key.edges, unit=key.unit, same=same, dtype=key.dtype
        )
        shifts = None
        if axis is not None:
            shifts = BinShifts(axis)
            shifts.fill(original, restored)
        return cls(
            bounds=() if key.bound is None else (str(key.bound),),
            edges="" if key.edges is None else str(key.edges),
            values=len(original),
            changed=int(np.count_nonzero(found.changed)),
            beyond=int(np.count_nonzero(found.beyond)),
            other_side=int(np.count_nonzero(found.other_side)),
            crossed=int(np.count_nonzero(found.crossed)),
            largest_error=_largest(found.error),
            largest_ratio=None if found.ratio is None else _largest(found.ratio),
            first=_first(found, original, restored, where),
            shifts=shifts,
        )

    def __add__(self, other: ColumnFindings) -> ColumnFindings:
        places = [place for place in (self.first, other.first) if place is not None]
        ratios = [ratio for ratio in (self.largest_ratio, other.largest_ratio) if ratio is not None]
        shifts = [shifts for shifts in (self.shifts, other.shifts) if shifts is not None]
        return ColumnFindings(
            tuple(dict.fromkeys((*self.bounds, *other.bounds))),
            self.edges or other.edges,
            self.values + other.values,
            self.changed + other.changed,
            self.beyond + other.beyond,
            self.other_side + other.other_side,
            self.crossed + other.crossed,
            max(self.largest_error, other.largest_error),
            max(ratios, default=None),
            min(places, default=None),
            shifts[0] if len(shifts) == 1 else shifts[0] + shifts[1] if shifts else None,
        )

    def lines(self, name: str) -> list[str]:
        """Say what broke; ``name`` is the column with its collection."""
        first = self.first
        if first is None:
            return []
        where = f"the first is {_place(first)}: {first.original} became {first.restored}"
        bound, lines = " or ".join(self.bounds), []
        if not self.bounds and self.changed:
            lines.append(
                f"{name}: no bound is promised, and {self.changed} of {self.values} values changed, by up to "
                f"{self.largest_error:.4g}; state what you accept with --bound {name}=... ({where})"
            )
        if self.beyond:
            factor = f", by up to {self.largest_ratio:.10g} times the bound" if self._ratio_is_telling else ""
            lines.append(
                f"{name}: {self.beyond} of {self.values} values are beyond the bound {bound}{factor}; {where}"
            )
        if self.other_side:
            lines.append(
                f"{name}: {self.other_side} of {self.values} values came back on the other side of ±π; {where}"
            )
        if self.crossed:
            lines.append(f"{name}: {self.crossed} of {self.values} values crossed {self.edges}; {where}")
        return lines

    @property
    def _ratio_is_telling(self) -> bool:
        """Whether the largest ratio says how far beyond: it does not where the values beyond are no numbers."""
        return self.largest_ratio is not None and 1 < self.largest_ratio < math.inf

    @property
    def _ratio_is_finite(self) -> bool:
        return self.largest_ratio is not None and math.isfinite(self.largest_ratio)

    def to_json(self) -> dict[str, Any]:
        """Give all numbers as JSON."""
        return {
            "bound": " or ".join(self.bounds) or None,
            "edges": self.edges or None,
            "values": self.values,
            "changed": self.changed,
            "beyond": self.beyond if self.bounds else None,
            "other_side": self.other_side,
            "crossed": self.crossed,
            "largest_error": self.largest_error if math.isfinite(self.largest_error) else None,
            "largest_error_over_bound": self.largest_ratio if self._ratio_is_finite else None,
            "bin_shifts": self.shifts.to_json() if self.shifts else None,
        }


def _largest(values: Values) -> float:
    finite = ~np.isnan(values)
    return float(np.max(values, where=finite, initial=0.0))


def _first(found: Judgement, original: Values, restored: Values, where: Jets) -> Place | None:
    rows = found.changed if found.ratio is None and not found.crossed.any() else found.broken
    if not rows.any():
        return None
    row = int(rows.argmax())
    return Place(int(where.entry[row]), int(where.jet[row]), _number(original[row]), _number(restored[row]))


def _number(value: Any) -> str:
    """Shortest text that gives the same number back, of NaN with its bits."""
    if value.dtype in (np.float32, np.float64) and np.isnan(value):
        return f"nan ({value.view(f'u{value.itemsize}'):#x})"
    return str(value.item()) if value.dtype.kind != "f" or value.itemsize == 8 else str(value)


def _place(place: Place) -> str:
    return f"jet {place.jet} of entry {place.entry}"


@dataclass
class Findings:
    """What was found in some events; those of all chunks add up."""

    events: int = 0
    jets: dict[str, int] = field(default_factory=dict)
    columns: dict[str, dict[str, ColumnFindings]] = field(default_factory=dict)
    """By collection and column."""
    quantities: dict[str, QuantityChanges] = field(default_factory=dict)
    branches: set[str] = field(default_factory=set)
    """Branches that were compared bit for bit; of other trees, ``TREE/BRANCH``."""
    differing: dict[str, int] = field(default_factory=dict)
    """Entry of the first difference of branches that have to be the same."""
    types: dict[str, str] = field(default_factory=dict)
    """What became of the types of branches."""
    order: tuple[int, str] | None = None
    """The first entry that is another event, and what it is."""
    lengths: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    """First entry with another number of jets, and these numbers, by collection."""
    structure: tuple[str, ...] = ()
    """What is missing or was added, one line each."""

    def __add__(self, other: Findings) -> Findings:
        return Findings(
            self.events + other.events,
            {name: self.jets.get(name, 0) + other.jets.get(name, 0) for name in {**self.jets, **other.jets}},
            {
                name: _added(self.columns.get(name, {}), other.columns.get(name, {}))
                for name in {**self.columns, **other.columns}
            },
            _added(self.quantities, other.quantities),
            self.branches | other.branches,
            {
                name: min(found[name] for found in (self.differing, other.differing) if name in found)
                for name in {**self.differing, **other.differing}
            },
            {**self.types, **other.types},
            min((order for order in (self.order, other.order) if order is not None), default=None),
            {
                name: min(found[name] for found in (self.lengths, other.lengths) if name in found)
                for name in {**self.lengths, **other.lengths}
            },
            tuple(dict.fromkeys((*self.structure, *other.structure))),
        )

    def lines(self) -> list[str]:
        """Say in one line each what broke."""
        lines = []
        if self.order is not None:
            lines.append(
                f"entry {self.order[0]} is {self.order[1]}: other events, or the same ones in another order"
            )
        for name, (entry, before, after) in self.lengths.items():
            lines.append(f"{name}: entry {entry} has {before} jets in the original and {after} now")
        lines += self.structure
        lines += [f"branch {name}: its type was {text}" for name, text in self.types.items()]
        for collection, columns in self.columns.items():
            prefix = f"{collection}." if len(self.columns) > 1 else ""
            for name, found in columns.items():
                lines += found.lines(prefix + name)
        lines += [
            f"branch {name}: not the same bit for bit, first in entry {entry}"
            for name, entry in self.differing.items()
        ]
        return lines


def _added(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Add up two mappings of what adds up."""
    return {
        name: one[name] + other[name] if name in one and name in other else (one.get(name) or other[name])
        for name in {**one, **other}
    }
