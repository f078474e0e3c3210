"""How a kind of file names its jets: branches to collections of canonical columns and back.

A layout is found by looking at the names and shapes of a file's branches. ``nanoaod``: branches ``Jet_pt`` counted
by ``nJet``, in GeV. ``flat``: any other tree or table with pt, eta, phi and mass or E behind a common prefix, one jet
a row or one list of jets an event.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np

from hepae import kinematics
from hepae.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

UNNAMED = "jets"
"""What a collection without a name of its own is called: the only one of a table, or of a tree with bare pt, eta, phi."""

_CANONICAL = {"pt": "pt", "eta": "eta", "phi": "phi", "m": "mass", "mass": "mass", "e": "E", "energy": "E"}
_ENERGIES = ("pt", "mass", "E")


@dataclass(frozen=True)
class Branch:
    """What a tree or table holds under one name.

    ``dtype`` is the element type, None where the values are no numbers. ``jagged`` says whether there is one list an
    event, with its length in the branch ``counter`` where the file has one. ``shape`` is that of a fixed-size element.
    """

    name: str
    dtype: np.dtype[Any] | None
    jagged: bool = False
    counter: str | None = None
    shape: tuple[int, ...] = ()


@dataclass(frozen=True)
class Column:
    """A number of a jet: its canonical or own name, the branch that holds it and the type it is stored in."""

    name: str
    branch: str
    dtype: str


@dataclass(frozen=True)
class Collection:
    """The jets of one kind in a file.

    ``counter`` is the branch with the number of jets an event (None where each row is a jet), ``counted`` whether the
    file itself has that branch. ``unit`` is that of pt, mass and E in the file.
    """

    name: str
    columns: tuple[Column, ...]
    counter: str | None = None
    counted: bool = True
    unit: str = "GeV"

    @property
    def column_names(self) -> tuple[str, ...]:
        """Canonical or own names of the columns, in the file's order."""
        return tuple(column.name for column in self.columns)

    @property
    def prefix(self) -> str:
        """What stands before the names of new branches that belong to this collection."""
        return "" if self.name == UNNAMED and self.counter is None else f"{self.name}_"

    def column(self, name: str) -> Column:
        """Give the column of this canonical or own name; mass stands for E and E for mass where the file has only one.

        Raises
        ------
        KeyError
            If there is no such column.
        """
        alternatives = {"mass": ("mass", "E"), "E": ("E", "mass")}.get(name, (name,))
        for alternative in alternatives:
            for column in self.columns:
                if column.name == alternative:
                    return column
        raise KeyError(name)

    def jets(self, arrays: Mapping[str, ak.Array], columns: Sequence[str] | None = None) -> ak.Array:
        """Make jets in GeV of the file's own arrays, by branch name; the inverse is `arrays`.

        Parameters
        ----------
        arrays
            Arrays by branch name, as a source gives them.
        columns
            Which further columns to take beside the four-momentum; all by default.

        Raises
        ------
        InputError
            If the columns have lists of different lengths.
        """
        momentum, further = {}, {}
        for column in self.columns:
            array = arrays.get(column.branch)
            if array is None or (columns is not None and column.name not in {*columns, *kinematics.MOMENTUM}):
                continue
            if column.name in kinematics.MOMENTUM:
                momentum[column.name] = ak.values_astype(array, np.float64) * self._factor(column.name)
            else:
                further[column.name] = array
        if "mass" in momentum and "E" in momentum:  # one degree of freedom: the mass keeps the precision
            del momentum["E"]
        try:
            return kinematics.momenta({**momentum, **further})
        except ValueError as error:  # lists of different lengths
            raise InputError(
                f"columns {', '.join([*momentum, *further])} of collection {self.name!r} do not make jets ({error})"
            ) from None

    def arrays(self, jets: ak.Array, names: Iterable[str]) -> dict[str, ak.Array]:
        """Give columns of jets as the file's own arrays, in its unit and types; the inverse is `jets`."""
        result = {}
        for name in names:
            column = self.column(name)
            values = kinematics.column(jets, column.name)
            if column.name in kinematics.MOMENTUM:
                values = values / self._factor(column.name)
            result[column.branch] = ak.values_astype(values, np.dtype(column.dtype))
        return result

    def _factor(self, name: str) -> float:
        return kinematics.GEV[self.unit] if name in _ENERGIES else 1.0

    def to_config(self) -> dict[str, Any]:
        """Say all this as JSON; the inverse is `from_config`."""
        columns = [[column.name, column.branch, column.dtype] for column in self.columns]
        return {
            "name": self.name,
            "columns": columns,
            "counter": self.counter,
            "counted": self.counted,
            "unit": self.unit,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Collection:
        """Rebuild a collection from what `to_config` gave."""
        return cls(**{**config, "columns": tuple(Column(*column) for column in config["columns"])})


@dataclass(frozen=True)
class Layout:
    """The convention that a file follows, and the collections of jets found by it."""

    name: str
    collections: dict[str, Collection]
    unit: str | None
    """Unit of pt, mass and E that the convention fixes; None where the values of each collection have to tell."""

    def in_unit(self, unit: str) -> Layout:
        """Give the same layout with pt, mass and E in this unit."""
        return replace(
            self, unit=unit, collections={name: replace(c, unit=unit) for name, c in self.collections.items()}
        )


def find_layout(branches: Mapping[str, Branch]) -> Layout:
    """Find the jets among the branches of a tree or the columns of a table.

    Returns
    -------
    Layout
        Without collections where nothing looks like a jet.
    """
    nanoaod = _nanoaod(branches)
    if nanoaod:
        return Layout("nanoaod", nanoaod, "GeV")
    return Layout("flat", _flat(branches), None)


def _collection(name: str, members: Mapping[str, Branch], **options: Any) -> Collection | None:
    """Make a collection of branches by column name, or None where they are no four-momentum."""
    columns = [
        Column(_column_name(own), branch.name, branch.dtype.str)
        for own, branch in members.items()
        if branch.dtype is not None and not branch.shape
    ]
    names = {column.name for column in columns}
    if not ({"pt", "eta", "phi"} <= names and names & {"mass", "E"}):
        return None
    return Collection(name, tuple(columns), **options)


def _column_name(own: str) -> str:
    """Canonical or own name of a column; what would be another coordinate of the jet gets an underscore."""
    name = _CANONICAL.get(own.lower(), own)
    return f"{name}_" if name in kinematics.COORDINATES and name not in kinematics.MOMENTUM else name


def _nanoaod(branches: Mapping[str, Branch]) -> dict[str, Collection]:
    members: dict[str, dict[str, Branch]] = {}
    for branch in branches.values():
        name, _, own = branch.name.partition("_")
        counters = (f"n{name}", f"n{branch.name}")  # some files have a counter a branch beside nJet
        if own and branch.jagged and branch.counter in counters and f"n{name}" in branches:
            members.setdefault(name, {})[own] = branch
    found = {name: _collection(name, own, counter=f"n{name}") for name, own in members.items()}
    return {name: collection for name, collection in found.items() if collection is not None}


def _flat(branches: Mapping[str, Branch]) -> dict[str, Collection]:
    found = {}
    counters = {branch.counter for branch in branches.values()}
    branches = {name: branch for name, branch in branches.items() if name not in counters}
    for branch in branches.values():
        match = re.fullmatch(r"(?i)(.*?)_?pt", branch.name)
        if match is None:
            continue
        prefix = branch.name[: match.end(1)] + ("_" if branch.name[match.end(1)] == "_" else "")
        members = {
            other.name[len(prefix) :]: other
            for other in branches.values()
            if other.name.startswith(prefix) and other.jagged == branch.jagged
        }
        name = match[1] or UNNAMED
        counter = f"n{name}" if branch.jagged else None
        while counter in branches:  # a branch of that name which counts something else
            counter += "_"
        collection = _collection(name, members, counter=counter, counted=counter in counters)
        if collection is not None:
            found[name] = collection
    return found


def unit_of(pt: NDArray[Any]) -> str:
    """Unit that a median pt suggests: MeV above 1000, else GeV.

    >>> unit_of(np.array([25e3, 31e3])), unit_of(np.array([25.0, 1200.0, 31.0]))
    ('MeV', 'GeV')
    """
    finite = pt[np.isfinite(pt)]
    return "MeV" if finite.size and float(np.median(finite)) > 1000 else "GeV"
