"""Columns that may differ from an original, and by how much: after one compression, after several, or in files that were joined."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hepae.bounds import MEV, Bound, Bounds, Edges, loosest
from hepae.errors import ConfigError
from hepae.files.json_record import MalformedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hepae.files.header import CodedCollection
    from hepae.files.json_record import Record


@dataclass(frozen=True)
class CodedColumns:
    """Columns of a collection that may differ from the original.

    Parameters
    ----------
    unit
        Of the energies in the file.
    coded
        The file's own columns; all others are the same bit for bit.
    bounds
        By column, None where nothing is promised. A column that is not ``coded`` is one of the four-momentum in other
        coordinates, such as the mass of a file with E.
    edges
        Values that no jet crossed, by column.
    """

    unit: str
    coded: tuple[str, ...]
    bounds: Mapping[str, Bound | None]
    edges: Mapping[str, Edges] = field(default_factory=dict)

    @classmethod
    def of(cls, coded: CodedCollection) -> CodedColumns:
        """Take them from a header."""
        of = coded.collection
        if coded.bounds is None:
            names = tuple(of.column(name).name for name in coded.columns)
            return cls(of.unit, names, dict.fromkeys(names))
        every = coded.bounds.columns
        bounds = {name: bound for name, bound in every.items() if not bound.exact}
        derived = any(name not in of.column_names for name in bounds)
        replaced = {name for name in of.momentum if derived and name not in every}
        names = tuple(name for name in of.column_names if name in bounds or name in replaced)
        edges = {name: edges for name, edges in coded.bounds.edges.items() if name in bounds}
        return cls(of.unit, names, bounds, edges)

    def then(self, other: CodedColumns) -> CodedColumns:
        """Give what may differ after both: their bounds together, and the edges that both kept."""
        bounds = {
            name: together(self.bounds[name], other.bounds[name])
            if name in self.bounds and name in other.bounds
            else {**self.bounds, **other.bounds}[name]
            for name in {**self.bounds, **other.bounds}
        }
        edges = {}
        for name in bounds:
            kept = [
                own.edges.get(name) if name in own.bounds else None
                for own in (self, other)
                if name in own.bounds
            ]
            values = [set(_values(edge)) for edge in kept]
            shared = set.intersection(*values) if values else set()
            if shared:
                first = next(edge for edge in kept if edge is not None)
                edges[name] = Edges(tuple(sorted(shared)), "GeV" if first.unit else "")
        return CodedColumns(other.unit, tuple(dict.fromkeys((*self.coded, *other.coded))), bounds, edges)

    def beside(self, other: CodedColumns) -> CodedColumns:
        """Give what may differ in either of two files that were joined: the loosest bounds, and the edges of both."""
        bounds = {
            name: None
            if None in (found := [own.bounds[name] for own in (self, other) if name in own.bounds])
            else loosest(bound for bound in found if bound is not None)
            for name in {**self.bounds, **other.bounds}
        }
        edges = {name: edges for name, edges in self.edges.items() if other.edges.get(name) == edges}
        return CodedColumns(self.unit, tuple(dict.fromkeys((*self.coded, *other.coded))), bounds, edges)

    def to_json(self) -> dict[str, Any]:
        """Give them as JSON; the inverse is `from_json`."""
        return {
            "unit": self.unit,
            "coded": list(self.coded),
            "bounds": {name: "none" if bound is None else str(bound) for name, bound in self.bounds.items()},
            "edges": {name: str(edges) for name, edges in self.edges.items()},
        }

    @classmethod
    def from_json(cls, record: Record) -> CodedColumns:
        """Read what `to_json` gave; every field is checked."""
        texts = record.text_mapping("bounds")
        try:
            bounds = Bounds.parse({name: text for name, text in texts.items() if text != "none"})
            edges = Bounds.parse({}, record.text_mapping("edges")).edges
        except ConfigError as error:
            raise MalformedError(str(error)) from None
        found = {name: bounds.columns.get(name) for name in texts}
        return cls(record.choice("unit", ("MeV", "GeV")), record.texts("coded"), found, edges)


def _values(edges: Edges | None) -> tuple[float, ...]:
    return () if edges is None else edges.in_unit("GeV").values


def together(first: Bound | None, second: Bound | None) -> Bound | None:
    """Give the bound that holds after one error and then another one; None where either has none.

    The second error is relative to a value that is off already: 0.1 % after 0.1 % is 0.2001 %.

    >>> print(together(Bound.parse("0.1%"), Bound.parse("0.1%")), together(Bound.parse("1MeV"), Bound.parse("1%+1MeV")))
    0.2001% 1%+2.01MeV
    """
    if first is None or second is None:
        return None
    if first.exact or second.exact:
        return second if first.exact else first
    relative = [Decimal(repr(bound.relative)) for bound in (first, second)]
    units = {bound.unit for bound in (first, second) if bound.absolute}
    unit = units.pop() if len(units) == 1 else "GeV" if units else ""
    absolute = [_absolute(bound, unit) for bound in (first, second)]
    total = relative[0] + relative[1] * (1 + relative[0])
    return Bound(float(total), float(absolute[0] * (1 + relative[1]) + absolute[1]), unit=unit)


def _absolute(bound: Bound, unit: str) -> Decimal:
    """Absolute part of a bound in a unit; a bare number is in GeV where the unit is one of energy."""
    number = Decimal(repr(bound.absolute))
    return number * MEV[bound.unit or "GeV"] / MEV[unit] if unit else number


def bound_text(bound: Bound | None) -> str:
    """Say what a bound means, in ASCII as ROOT's titles are.

    >>> bound_text(Bound.parse("1%+1MeV"))
    '|value - original| <= 1% of |original| + 1MeV'
    """
    if bound is None:
        return "no bound is promised"
    if bound.exact:
        return "unchanged"
    relative, plus, absolute = str(bound).partition("+")
    if relative.endswith("%"):
        relative += " of |original|"
    return f"|value - original| <= {relative}" + (f" + {absolute}" if plus else "")
