"""What a user asks for: how far a restored value may lie from the original, and which cuts it must not cross.

A bound is written ``0.1%``, ``0.001``, ``1%+1MeV`` or ``exact``: |restored − original| ≤ REL·|original| + ABS.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hepae.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

ENERGIES = frozenset({"pt", "mass", "E", "px", "py", "pz"})
"""Columns in which a bare absolute bound is in GeV; in any other it is in the column's own unit."""

ANGLES = frozenset({"eta", "phi"})
"""Columns that are no energies: their bounds have no unit."""

_GEV = {"MeV": 1e-3, "GeV": 1.0, "TeV": 1e3}
_NUMBER = r"[0-9]+\.?[0-9]*(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?"
_GRAMMAR = re.compile(
    rf"(?:(?P<relative>{_NUMBER})\s*%)?\s*(?P<plus>\+)?\s*(?:(?P<absolute>{_NUMBER})\s*(?P<unit>MeV|GeV|TeV)?)?"
)


@dataclass(frozen=True)
class Bound:
    r"""Largest error of a column: ``relative``·\\|original\\| + ``absolute``, or every bit kept where both are 0.

    ``absolute`` is in GeV for pt, mass, E, px, py and pz, and in the column's own unit otherwise.
    """

    relative: float = 0.0
    absolute: float = 0.0

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises
        ------
        ConfigError
            If one is negative or not finite, or the relative one reaches 100 %.
        """
        if not (0 <= self.relative < 1 and 0 <= self.absolute < math.inf):
            raise ConfigError(
                f"a bound is positive and below 100 %, not {self.relative:g} and {self.absolute:g}"
            )

    @property
    def exact(self) -> bool:
        """Whether every bit is kept."""
        return self.relative == 0 and self.absolute == 0

    @classmethod
    def parse(cls, text: str | float | Bound, column: str = "") -> Bound:
        """Read a bound, of this column where it is known; the inverse is `str`.

        >>> Bound.parse("1%+1MeV")
        Bound(relative=0.01, absolute=0.001)
        >>> str(Bound.parse(0.001)), str(Bound.parse("0.1 %")), str(Bound.parse("exact"))
        ('0.001', '0.1%', 'exact')

        Raises
        ------
        ConfigError
            If it is none, or gives an angle a unit of energy.
        """
        if isinstance(text, Bound):
            return text
        given = str(text).strip()
        if given == "exact":
            return cls()
        match = _GRAMMAR.fullmatch(given)
        parts = match.groupdict() if match else {}
        if not match or bool(parts["plus"]) != bool(parts["relative"] and parts["absolute"]) or not given:
            raise ConfigError(f"no bound {given!r}: write 0.1%, 0.001, 1%+1MeV or exact")
        if parts["unit"] and column in ANGLES:
            raise ConfigError(f"{column} has no unit of energy: write its bound as 0.001, not {given!r}")
        relative = float(parts["relative"] or 0) / 100
        bound = cls(relative, float(parts["absolute"] or 0) * _GEV.get(parts["unit"] or "", 1.0))
        if bound.exact:
            raise ConfigError(f"no bound {given!r}: a bound of zero is written exact")
        return bound

    def __str__(self) -> str:
        """Give the form that `parse` reads; absolute parts in GeV or the column's own unit."""
        parts = [f"{self.relative * 100:.12g}%"] if self.relative else []
        parts += [f"{self.absolute:.12g}"] if self.absolute else []
        return "+".join(parts) or "exact"

    def allowed(self, original: ArrayLike) -> NDArray[np.float64]:
        """Largest error of each value, shape of ``original``."""
        return self.relative * np.abs(np.asarray(original, np.float64)) + self.absolute

    def in_unit(self, gev: float) -> Bound:
        """Give the bound for values in another unit of energy, one of which is ``gev`` GeV."""
        return Bound(self.relative, self.absolute / gev)


DEFAULT_BOUNDS: dict[str, Bound] = {
    "pt": Bound(relative=0.001),
    "eta": Bound(absolute=0.001),
    "phi": Bound(absolute=0.001),
    "mass": Bound(relative=0.01, absolute=0.001),
}
"""Bounds of the four-momentum where none are given; any other float is exact."""


def resolve(
    asked: Mapping[str, str | float | Bound], dtypes: Mapping[str, np.dtype[Any]], *, where: str = "the jets"
) -> dict[str, Bound]:
    """Give each column its bound: the one asked for, the default, or exact.

    Parameters
    ----------
    asked
        Bounds by column name.
    dtypes
        Type of every column that is there.
    where
        Names the jets in errors.

    Raises
    ------
    ConfigError
        If a column is not there, is an integer, or is phi with a relative bound.
    """
    known = {("mass" if name == "m" else name): Bound.parse(bound, name) for name, bound in asked.items()}
    for name, bound in known.items():
        if name not in dtypes:
            raise ConfigError(f"no column {name!r} to bound in {where}: there are {', '.join(dtypes)}")
        if dtypes[name].kind != "f" and not bound.exact:
            raise ConfigError(
                f"column {name!r} of {where} holds integers, which are always exact; leave its bound out"
            )
        if name == "phi" and bound.relative:
            raise ConfigError(
                "phi is an angle and takes no relative bound; write an absolute one such as phi=0.001"
            )
    return {
        name: known.get(name, DEFAULT_BOUNDS.get(name, Bound()) if dtype.kind == "f" else Bound())
        for name, dtype in dtypes.items()
    }


def resolve_edges(
    asked: Mapping[str, tuple[float, ...]], columns: Collection[str], *, where: str = "the jets"
) -> dict[str, tuple[float, ...]]:
    """Give the edges by the columns' own names.

    Raises
    ------
    ConfigError
        If a column is not there.
    """
    edges = {("mass" if name == "m" else name): cuts for name, cuts in asked.items()}
    for name in edges:
        if name not in columns:
            raise ConfigError(f"no column {name!r} for edges in {where}: there are {', '.join(columns)}")
    return edges


def parse_assignments(texts: Sequence[str], what: str) -> dict[str, str]:
    """Split ``COLUMN=VALUE`` options.

    >>> parse_assignments(["pt=0.1%", "mass=exact"], "--bound")
    {'pt': '0.1%', 'mass': 'exact'}

    Raises
    ------
    ConfigError
        If one has no ``=``, or a column is named twice.
    """
    result: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name.strip() and equals and value.strip()):
            raise ConfigError(f"{what} takes COLUMN=VALUE, not {text!r}")
        if name.strip() in result:
            raise ConfigError(f"{what} names column {name.strip()!r} twice")
        result[name.strip()] = value.strip()
    return result


def parse_edges(text: str | Sequence[float]) -> tuple[float, ...]:
    """Read the edges of a column, ``20,30,50``, in rising order.

    >>> parse_edges("50, 20")
    (20.0, 50.0)

    Raises
    ------
    ConfigError
        If one is no finite number.
    """
    try:
        parts = text.split(",") if isinstance(text, str) else text
        values = sorted({float(value) for value in parts})
    except ValueError:
        values = []
    if not values or not all(math.isfinite(value) for value in values):
        raise ConfigError(f"edges are numbers such as 20,30,50, not {text!r}")
    return tuple(values)
