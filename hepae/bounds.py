"""Bounds and edges as a user writes them: bounds such as ``0.1%``, ``0.001``, ``1%+1MeV`` or ``exact``, edges such as ``20,30``."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from math import isfinite
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from hepae.column_names import canonical_name, is_weight
from hepae.errors import ConfigError, listed

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

MEV = {"MeV": 1, "GeV": 1_000, "TeV": 1_000_000}
"""One of these units in MeV: whole numbers, so that a conversion rounds once."""

ENERGIES = ("pt", "mass", "E", "px", "py", "pz")
"""Columns in which a bare number means GeV."""

ANGLES = ("eta", "phi")
"""Columns that have no unit of energy."""

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_QUANTITY = re.compile(rf"\s*({_NUMBER})\s*(MeV|GeV|TeV)?\s*")
_BOUND = re.compile(rf"\s*(?:({_NUMBER})\s*%)?\s*(\+)?\s*(?:({_NUMBER})\s*(MeV|GeV|TeV)?)?\s*")


@dataclass(frozen=True)
class Bound:
    """Largest error of a column: ``relative`` times the size of the value, plus ``absolute``; or no error at all (``exact``).

    ``unit`` is the unit of ``absolute``: MeV, GeV or TeV, or empty for the column's own unit.

    >>> print(Bound.parse("1% + 1 MeV"), Bound.parse(1e-3), Bound.parse("exact"))
    1%+1MeV 0.001 exact
    """

    relative: float = 0.0
    absolute: float = 0.0
    exact: bool = False
    unit: str = ""

    def __post_init__(self) -> None:
        """Check that this is a bound.

        Raises
        ------
        ConfigError
            If a part is negative or no number, nothing is allowed at all (that is ``exact``), or the relative part is
            100 % or more.
        """
        parts = (self.relative, self.absolute)
        if not all(isfinite(part) and part >= 0 for part in parts) or self.relative >= 1:
            raise ConfigError(f"a bound is a positive number, and below 100 % of the value, not {self}")
        if self.exact == any(parts):
            raise ConfigError(
                "a bound of zero is written 'exact'"
                if not self.exact
                else f"'exact' allows no error, not {self}"
            )
        if self.unit not in ("", *MEV) or (self.unit and not self.absolute):
            raise ConfigError(f"the unit of a bound is one of {', '.join(MEV)}, not {self.unit!r}")

    @classmethod
    def parse(cls, bound: Bound | str | float) -> Bound:
        """Read ``REL%``, ``ABS``, ``REL%+ABS`` or ``exact``; a number is ABS. The inverse is `str`.

        Raises
        ------
        ConfigError
            If it is none of these.
        """
        if isinstance(bound, Bound):
            return bound
        if not isinstance(bound, str):
            if isinstance(bound, bool):
                raise ConfigError(f"a bound is a number or a text, not {bound}")
            return cls(absolute=float(bound))
        if bound.strip() == "exact":
            return cls(exact=True)
        match = _BOUND.fullmatch(bound)
        relative, plus, absolute, unit = match.groups() if match else (None,) * 4
        if not (relative or absolute) or bool(plus) != bool(relative and absolute):
            raise ConfigError(
                f"a bound is written 0.1%, 0.001, 5MeV, 1%+1MeV or exact, not {bound.strip()!r}"
            )
        for part in (relative, absolute):
            if part and not float(part) > 0:
                raise ConfigError(
                    f"a bound is positive, not {bound.strip()!r}; write 'exact' for none at all"
                )
        return cls(float(Decimal(relative or 0) / 100), float(absolute or 0), unit=unit or "")

    def __str__(self) -> str:
        if self.exact:
            return "exact"
        percent = f"{_plain(Decimal(repr(self.relative)) * 100)}%" if self.relative else ""
        absolute = f"{_plain(Decimal(repr(self.absolute)))}{self.unit}" if self.absolute else ""
        return "+".join(part for part in (percent, absolute) if part) or "0"

    def in_unit(self, unit: str) -> Bound:
        """Give the same bound as a number in this unit; a bound in the column's own unit does not change."""
        return Bound(self.relative, _convert(self.absolute, self.unit, unit)) if self.unit else self

    def allowed(self, original: ArrayLike) -> NDArray[np.float64]:
        """Largest allowed error of each value, shape of ``original``; in GeV if the bound has a unit.

        >>> Bound.parse("1%+1MeV").allowed([10.0, -20.0]).tolist()
        [0.101, 0.201]
        """
        allowed: NDArray[np.float64] = np.abs(np.asarray(original, np.float64))
        allowed *= self.relative
        allowed += self.in_unit("GeV").absolute
        return allowed


@dataclass(frozen=True)
class Edges:
    """Cuts on a column that no jet may cross, in ``unit`` or, if that is empty, in the column's own unit.

    >>> print(Edges.parse("20, 30GeV"))
    20GeV,30GeV
    """

    values: tuple[float, ...]
    unit: str = ""

    def __post_init__(self) -> None:
        """Check the values.

        Raises
        ------
        ConfigError
            If there is none, or one is no finite number.
        """
        if not self.values or not all(isfinite(value) for value in self.values):
            raise ConfigError(f"edges are finite numbers, not {self}")
        if self.unit not in ("", *MEV):
            raise ConfigError(f"the unit of an edge is one of {', '.join(MEV)}, not {self.unit!r}")

    @classmethod
    def parse(cls, edges: Edges | str | float | Iterable[float]) -> Edges:
        """Read ``X,Y,…``, each with a unit or all without; a number or a list of them is taken too. The inverse is `str`.

        Raises
        ------
        ConfigError
            If one is no number.
        """
        if isinstance(edges, Edges):
            return edges
        if not isinstance(edges, str):
            numbers = edges if isinstance(edges, Iterable) else (edges,)
            return cls(tuple(sorted({float(edge) for edge in numbers})))
        matches = [_QUANTITY.fullmatch(part) for part in edges.split(",")]
        if not all(matches):
            raise ConfigError(f"edges are written 20,30,50, each with or without a unit, not {edges!r}")
        quantities = [match.groups() for match in matches if match]
        units = {unit for _, unit in quantities if unit}
        unit = min(units, key=lambda name: MEV[name], default="")
        values = {
            _convert(float(value), own or ("GeV" if unit else ""), unit) if unit else float(value)
            for value, own in quantities
        }
        return cls(tuple(sorted(values)), unit)

    def __str__(self) -> str:
        return ",".join(f"{_plain(Decimal(repr(value)))}{self.unit}" for value in self.values)

    def in_unit(self, unit: str) -> Edges:
        """Give the same edges as numbers in this unit; edges in the column's own unit do not change."""
        if not self.unit:
            return self
        return Edges(tuple(_convert(value, self.unit, unit) for value in self.values))


EXACT = Bound(exact=True)


def loosest(bounds: Iterable[Bound]) -> Bound:
    """Give the smallest bound, as a sum of a relative and an absolute part, that allows what any of these allows.

    >>> print(loosest(map(Bound.parse, ("0.1%", "5%"))), loosest(map(Bound.parse, ("1%", "exact", "5MeV"))))
    5% 1%+5MeV
    """
    inexact = [bound for bound in bounds if not bound.exact]
    if not inexact:
        return EXACT
    units = {bound.unit for bound in inexact if bound.absolute}
    if len(units) > 1:  # a bare number is in GeV where the column is an energy
        inexact = [bound.in_unit("GeV") for bound in inexact]
    unit = units.pop() if len(units) == 1 else "" if "" in units or not units else "GeV"
    return Bound(
        max(bound.relative for bound in inexact), max(bound.absolute for bound in inexact), unit=unit
    )


DEFAULT_BOUNDS: Mapping[str, Bound] = MappingProxyType(
    {
        "pt": Bound(relative=1e-3),
        "eta": Bound(absolute=1e-3),
        "phi": Bound(absolute=1e-3),
        "mass": Bound(relative=1e-2, absolute=1.0, unit="MeV"),
    }
)
"""Bounds of columns for which none is asked; of any other column every bit is kept."""


@dataclass(frozen=True)
class Bounds:
    """Bounds and edges by column, or by ``Collection.column`` if several collections are coded.

    Parameters
    ----------
    columns
        Bounds by column name or pattern; after `resolve`, the bound of every column.
    edges
        Edges by column name.
    left_exact
        After `resolve`: columns that a pattern matches but leaves exact.
    """

    columns: Mapping[str, Bound] = field(default_factory=dict)
    edges: Mapping[str, Edges] = field(default_factory=dict)
    left_exact: tuple[str, ...] = field(default=(), compare=False)
    lines: Mapping[str, str] = field(default_factory=dict, compare=False)
    """File and line of each column's bound or edges, ``FILE, line N``, if they were read from a file."""

    def __post_init__(self) -> None:
        """Check what names alone can tell.

        Raises
        ------
        ConfigError
            If phi has a relative bound, or an angle one in GeV.
        """
        for name, bound in self.columns.items():
            if _column(name) == "phi" and bound.relative:
                raise ConfigError(
                    f"{name} takes no relative bound such as {bound}: give one in radians, as in {name}=0.001"
                )
        units = [(name, asked.unit) for name, asked in self.columns.items()]
        units += [(name, asked.unit) for name, asked in self.edges.items()]
        for name, unit in units:
            if _column(name) in ANGLES and unit:
                raise ConfigError(f"{name} has no unit of energy, and takes no {unit}")

    @classmethod
    def parse(
        cls,
        bounds: Mapping[str, Bound | str | float] | Iterable[str] = (),
        edges: Mapping[str, Edges | str | float | Iterable[float]] | Iterable[str] = (),
    ) -> Bounds:
        """Read mappings, or lists of ``COLUMN=BOUND`` and ``COLUMN=X,Y,…`` as on the command line.

        A number without a unit means GeV if the column is an energy.

        Raises
        ------
        ConfigError
            If one of them is invalid; the message names it.
        """
        return cls(
            {name: _with_unit(name, _named(name, Bound.parse, text)) for name, text in _items(bounds)},
            {name: _with_unit(name, _named(name, Edges.parse, text)) for name, text in _items(edges)},
        )

    def resolve(self, collections: Mapping[str, Mapping[str, np.dtype[Any]]]) -> dict[str, Bounds]:
        """Give every column of each collection its bound: the one asked for, or the default, or ``exact``.

        A name that no column has may be a pattern, such as ``*``, ``Jet.*`` or ``btag*``, which is compared with a column's
        name alone and with the collection's before it. A pattern applies to every float32 column that has no bound of its
        own and no default. It applies to float64 columns only if the collection has no float32 column: beside float32, float64 was
        probably chosen for its precision. It never applies to integers, nor to weights, cross sections and scale factors
        (`is_weight`): these stay exact unless a bound is given for their full name. A relative bound never applies to phi,
        such as ``SubJet.phi``. Of several patterns that match, the longest applies.

        Parameters
        ----------
        collections
            Types of columns by collection and column.

        Raises
        ------
        ConfigError
            If a bound or edges name a column that does not exist, a bound names a column of integers, or a pattern
            matches no column.
        """
        there = {
            key for name, dtypes in collections.items() for column in dtypes for key in _keys(name, column)
        }
        patterns = [key for key in self.columns if key not in there and re.search(r"[*?[]", key)]
        unused = {key for key in patterns if not fnmatch.filter(there, key)}
        for key in (*self.columns, *self.edges):
            if key in unused or (key not in there and key not in patterns):
                what = "to bound" if key in self.columns else "for edges"
                lists = "; ".join(
                    f"in {name} there are {listed([*each])}" for name, each in collections.items()
                )
                raise ConfigError(f"{self._where(key)}no column {key!r} {what}: {lists}")
        return {name: self._of_collection(name, dtypes, patterns) for name, dtypes in collections.items()}

    def _of_collection(
        self, name: str, dtypes: Mapping[str, np.dtype[Any]], patterns: Iterable[str]
    ) -> Bounds:
        """Bounds and edges of the columns of one collection."""
        smallest = min((dtype.itemsize for dtype in dtypes.values() if dtype.kind == "f"), default=0)
        bounds, edges, left_exact = {}, {}, []
        for column, dtype in dtypes.items():
            plain, own = _keys(name, column)
            asked = self.columns.get(own, self.columns.get(plain))
            if asked is None and column not in DEFAULT_BOUNDS and dtype.kind == "f":
                asked = self._by_pattern(patterns, (plain, own))
                if asked not in (None, EXACT) and (
                    dtype.itemsize > smallest or is_weight(own) or not _fits(column, asked)
                ):
                    asked = EXACT
                    left_exact.append(column)
            try:
                bounds[column] = _checked(column, dtype, asked)
            except ConfigError as error:
                raise ConfigError(f"{self._where(own) or self._where(plain)}{error}") from None
            cuts = self.edges.get(own, self.edges.get(plain))
            if cuts:
                edges[column] = cuts
        return Bounds(bounds, edges, tuple(left_exact))

    def _where(self, key: str) -> str:
        return f"{self.lines[key]}: " if key in self.lines else ""

    def _by_pattern(self, patterns: Iterable[str], names: Iterable[str]) -> Bound | None:
        """Bound of the longest pattern that matches one of a column's names."""
        matching = [p for p in patterns if any(fnmatch.fnmatchcase(name, p) for name in names)]
        return self.columns[max(matching, key=lambda p: (len(p), p))] if matching else None

    def of(self, column: str) -> tuple[Bound, tuple[float, ...]]:
        """Bound and edges of a column; a column without a bound is exact."""
        edges = self.edges.get(column)
        return self.columns.get(column, EXACT), edges.values if edges else ()

    def asked(self, collection: str) -> set[str]:
        """Columns of a collection that have a bound or edges by name, with or without the collection's name."""
        names = {*self.columns, *self.edges}
        own = {name.removeprefix(f"{collection}.") for name in names if name.startswith(f"{collection}.")}
        return names | own

    def in_unit(self, unit: str) -> Bounds:
        """Give the same bounds and edges as numbers, with energies in this unit."""
        return replace(
            self,
            columns={name: bound.in_unit(unit) for name, bound in self.columns.items()},
            edges={name: edges.in_unit(unit) for name, edges in self.edges.items()},
        )

    def to_config(self) -> dict[str, Any]:
        """Give it as JSON; the inverse is `from_config`."""
        return {
            "bounds": {name: str(bound) for name, bound in self.columns.items()},
            "edges": {
                name: list(edges.values) if edges == _with_unit(name, Edges(edges.values)) else str(edges)
                for name, edges in self.edges.items()
            },
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Bounds:
        """Rebuild bounds from what `to_config` gave."""
        return cls.parse(config["bounds"], config["edges"])


def _fits(column: str, bound: Bound) -> bool:
    """Whether a column may have this bound: no relative one for phi, no unit of energy for an angle."""
    name = _column(column)
    return not ((name == "phi" and bound.relative) or (name in ANGLES and bound.unit))


def _keys(collection: str, column: str) -> tuple[str, str]:
    """Names under which a column may be asked for; the last one has priority."""
    return column, f"{collection}.{column}"


def _checked(column: str, dtype: np.dtype[Any], asked: Bound | None) -> Bound:
    """Bound of a column of this type."""
    if dtype.kind not in "fiub" or dtype.itemsize > 8:
        raise ConfigError(f"column {column!r} cannot be coded: its type is {dtype}, not a number")
    if dtype.kind == "f":
        return asked or DEFAULT_BOUNDS.get(column, EXACT)
    if asked not in (None, EXACT):
        raise ConfigError(
            f"column {column!r} holds integers, which are always exact: leave out its bound {asked}"
        )
    return EXACT


def _column(name: str) -> str:
    return name.rpartition(".")[2]


def _items(asked: Mapping[str, Any] | Iterable[str]) -> list[tuple[str, Any]]:
    if isinstance(asked, Mapping):
        pairs = list(asked.items())
    else:
        pairs = []
        for option in asked:
            name, equals, text = option.partition("=")
            if not (name.strip() and equals and text.strip()):
                raise ConfigError(f"write COLUMN=VALUE, as in pt=0.1%, not {option!r}")
            pairs.append((name.strip(), text))
    named: dict[str, Any] = {}
    for name, value in pairs:
        canonical = canonical_name(name)
        if canonical in named:
            raise ConfigError(f"{canonical} is given twice; give it once")
        named[canonical] = value
    return list(named.items())


def _named(name: str, parse: Any, text: Any) -> Any:
    try:
        return parse(text)
    except (ConfigError, TypeError, ValueError) as error:
        raise ConfigError(f"{name}: {error}") from None


def _with_unit(name: str, asked: Any) -> Any:
    """Make a bare number GeV where the column is an energy, and all its edges GeV."""
    if _column(name) not in ENERGIES:
        return asked
    if isinstance(asked, Edges):
        return replace(asked.in_unit("GeV"), unit="GeV")
    return replace(asked, unit=asked.unit or "GeV") if asked.absolute else asked


def _convert(value: float, unit: str, to: str) -> float:
    return value * MEV[unit] / MEV[to]


def _plain(number: Decimal) -> str:
    """Shortest text of a number: 20 rather than 2E+1."""
    number = number.normalize()
    exponent = number.as_tuple().exponent
    return f"{number:f}" if isinstance(exponent, int) and -6 <= exponent <= 15 else str(number)
