"""How a kind of file names its jets: branches to collections of canonical columns and back.

A layout is found by looking at the names and shapes of a file's branches: the first of `CONVENTIONS` that names a
four-momentum, else ``flat``: pt, eta, phi (or px, py, pz) and mass or E behind a common prefix, a jet a row or a list an event.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np

from hepae import kinematics
from hepae.column_names import ALIASES
from hepae.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

UNNAMED = "jets"
"""What a collection without a name of its own is called: the only one of a table, or of a tree with bare pt, eta, phi."""

LONG_ARRAY = 16
"""Lists of arrays of at most this many numbers are split into one list for each position."""

_CANONICAL = {name: name for name in ("pt", "eta", "phi", "mass")} | ALIASES | {"e": "E", "energy": "E"}
_CARTESIAN = {name: name for name in kinematics.CARTESIAN}


@dataclass(frozen=True)
class Branch:
    """What a tree or table holds under one name.

    ``dtype`` is the element type of a number a row, or of a list of numbers (``jagged``) a row. A list's length is in
    the branch ``counter``, where the file has one; without one in the file, lists that share this name are of equal
    length. ``shape`` is that of a fixed-size element. Anything else (texts, lists in lists) has ``dtype`` None and
    its ``type`` as awkward's datashape, such as ``var * var * float32``; "" where not even that is known. Branches that differ
    in their ``title`` alone are equal.
    """

    name: str
    dtype: np.dtype[Any] | None
    jagged: bool = False
    counter: str | None = None
    shape: tuple[int, ...] = ()
    type: str = ""
    title: str = field(default="", compare=False)

    @property
    def datashape(self) -> str:
        """Type of an entry, as awkward's datashape."""
        if self.dtype is None:
            return self.type
        sizes = "".join(f"{size} * " for size in self.shape)
        return ("var * " if self.jagged else "") + sizes + self.dtype.name

    def to_config(self) -> list[Any]:
        """Give it as JSON; the inverse is `from_config`."""
        dtype = None if self.dtype is None else self.dtype.str
        config = [self.name, dtype, self.jagged, self.counter, list(self.shape)]
        return [*config, self.type] if self.type else config

    @classmethod
    def from_config(cls, config: Sequence[Any]) -> Branch:
        """Rebuild a branch from what `to_config` gave."""
        name, dtype, jagged, counter, shape, *further = config
        return cls(name, None if dtype is None else np.dtype(dtype), jagged, counter, tuple(shape), *further)


@dataclass(frozen=True)
class Column:
    """A number of a jet: its canonical or own name, the branch that holds it and the type it is stored in."""

    name: str
    branch: str
    dtype: str


@dataclass(frozen=True)
class Collection:
    """The jets (or other objects) of one kind in a file.

    ``counter`` is the branch with the number of jets an event (None where each row is a jet), ``counted`` whether the
    file itself has that branch. ``unit`` is that of energies in the file.
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
    def momentum(self) -> tuple[str, ...]:
        """Columns that make the momentum: four, or pt, eta and phi alone, or none; see `kinematics.form`."""
        return kinematics.form(self.column_names)

    @property
    def prefix(self) -> str:
        """What stands before the names of new branches that belong to this collection."""
        return "" if self.name == UNNAMED and self.counter is None else f"{self.name}_"

    def column(self, name: str) -> Column:
        """Give the column of this canonical or own name, E for mass or mass for E where there is one of them; else a KeyError."""
        other = {"mass": "E", "E": "mass"}.get(name, name)
        return self._by_name[name if name in self._by_name else other]

    @cached_property
    def _by_name(self) -> dict[str, Column]:
        """Columns by name, the first of each."""
        return {column.name: column for column in reversed(self.columns)}

    def jets(self, arrays: Mapping[str, ak.Array], columns: Sequence[str] | None = None) -> ak.Array:
        """Make jets in GeV of the file's own arrays, by branch name; the inverse is `arrays`.

        Parameters
        ----------
        arrays
            Arrays by branch name, as a source gives them.
        columns
            Which further columns to take beside the momentum; all by default.

        Returns
        -------
        ak.Array
            Jets with ``Momentum4D`` behaviour (pt, eta, phi and mass or E, also where the file has px, py, pz);
            ``Momentum3D`` of objects without energy, plain records of objects without a momentum.

        Raises
        ------
        InputError
            If the columns have lists of different lengths.
        """
        found = {column.name: arrays[column.branch] for column in self.columns if column.branch in arrays}
        form = kinematics.form(found)
        momentum, further = {}, {}
        for name, array in found.items():
            if name in form:
                momentum[name] = ak.values_astype(array, np.float64) * self._factor(name)
            elif name in kinematics.UNITS and form:
                continue  # another word for the same momentum: E beside the mass, which keeps the precision
            elif columns is None or name in columns:
                further[name] = array
        try:
            return kinematics.momenta({**momentum, **further}) if momentum else ak.zip(further)
        except ValueError as error:  # lists of different lengths
            raise InputError(
                f"columns {', '.join([*momentum, *further])} of collection {self.name!r} do not define a four-momentum ({error})"
            ) from None

    def arrays(self, jets: ak.Array, names: Iterable[str]) -> dict[str, ak.Array]:
        """Give columns of jets as the file's own arrays, in its unit and types; the inverse is `jets`."""
        result = {}
        for name in names:
            column = self.column(name)
            values = kinematics.column(jets, column.name)
            if column.name in kinematics.ENERGIES and self.momentum:
                values = values / self._factor(column.name)
            result[column.branch] = ak.values_astype(values, np.dtype(column.dtype))
        return result

    def _factor(self, name: str) -> float:
        return kinematics.GEV[self.unit] if name in kinematics.ENERGIES else 1.0

    def to_config(self) -> dict[str, Any]:
        """Give it as JSON; the inverse is `from_config`."""
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
        """Rebuild a collection from what `to_config` gave, whatever else stands beside it."""
        own = {field.name: config[field.name] for field in fields(cls)}
        return cls(**{**own, "columns": tuple(Column(*column) for column in config["columns"])})


@dataclass(frozen=True)
class Layout:
    """The convention that a file follows, and the collections of jets found by it."""

    name: str
    collections: dict[str, Collection]
    unit: str | None
    """Unit of energies that the convention fixes; None where the values have to tell."""

    def in_unit(self, unit: str) -> Layout:
        """Give the same layout with energies in this unit."""
        return replace(
            self, unit=unit, collections={name: replace(c, unit=unit) for name, c in self.collections.items()}
        )


@dataclass(frozen=True)
class Convention:
    """How the branches of one kind of file are named.

    ``pattern`` splits a branch's name into collection and column; ``counter`` is the name of a collection's counter,
    which has to be there where it is given. Without the branches ``signs`` others may name their branches the same
    way: then the values have to tell the unit.
    """

    name: str
    unit: str
    pattern: str
    counter: str | None = None
    signs: tuple[str, ...] = ()


LORENTZ_VECTORS = (
    {"fP.fX": "px", "fP.fY": "py", "fP.fZ": "pz", "fE": "E"},
    *(
        {f"fCoordinates.{own}": name for own, name in zip(members, names, strict=True)}
        for members, names in (
            (("fPt", "fEta", "fPhi", "fE"), ("pt", "eta", "phi", "E")),
            (("fPt", "fEta", "fPhi", "fM"), ("pt", "eta", "phi", "mass")),
            (("fX", "fY", "fZ", "fT"), ("px", "py", "pz", "E")),
            (("fX", "fY", "fZ", "fM"), ("px", "py", "pz", "mass")),
        )
    ),
)
"""Members of ROOT's TLorentzVector and of LorentzVector in its coordinate systems, by canonical column."""


def vector_names(names: Iterable[str]) -> dict[str, str]:
    """Better names of branches that are members of a Lorentz vector: ``jets.px`` of ``jets.fP.fX``.

    >>> vector_names(["j.fP.fX", "j.fP.fY", "j.fP.fZ", "j.fE", "k.fE"])
    {'j.fP.fX': 'j.px', 'j.fP.fY': 'j.py', 'j.fP.fZ': 'j.pz', 'j.fE': 'j.E'}
    """
    names = {*names}
    better = {}
    for members in LORENTZ_VECTORS:
        first = next(iter(members))
        for base in [name.removesuffix(first) for name in names if name.endswith(f".{first}")]:
            if {base + member for member in members} <= names:
                better.update({base + member: base + column for member, column in members.items()})
    return better


CONVENTIONS = (
    Convention("xaod", "MeV", r"(?P<collection>.+?)Aux(Dyn)?[.:](?P<column>.+)"),
    Convention("delphes", "GeV", r"(?P<collection>[^.:]+)[.:](?P<column>.+)", "{}_size"),
    Convention(
        "nanoaod",
        "GeV",
        r"(?P<collection>.+?)_(?P<column>.+)",
        "n{}",
        ("run", "luminosityBlock", "event"),
    ),
)

_EVENT_IDENTIFIER = re.compile(
    r"(?i)(?:EventInfo(?:Aux(?:Dyn)?)?[.:])?(?P<what>run|lumi(?:nosity)?_?block|event)(?:_?number)?|Event[.:]Number"
)
"""Names of what identifies an event: in NanoAOD, in xAOD and PHYSLITE, in flat ntuples, and in Delphes."""


def event_identifiers(branches: Iterable[Branch]) -> dict[str, str]:
    """Branches whose integers identify an event, by what each of them is: run, luminosity block or event.

    >>> integer = np.dtype(np.int64)
    >>> event_identifiers([Branch("run", integer), Branch("Event.Number", integer, jagged=True), Branch("nJet", integer)])
    {'run': 'run', 'event': 'Event.Number'}
    """
    found: dict[str, str] = {}
    for branch in branches:
        match = _EVENT_IDENTIFIER.fullmatch(branch.name)
        if match and branch.dtype is not None and branch.dtype.kind in "iu" and not branch.shape:
            what = (match["what"] or "event").lower()
            found.setdefault("luminosity block" if what.startswith("lumi") else what, branch.name)
    return {what: found[what] for what in ("run", "luminosity block", "event") if what in found}


def find_layout(branches: Mapping[str, Branch]) -> Layout:
    """Find the jets among the branches of a tree or the columns of a table.

    Returns
    -------
    Layout
        Without collections where nothing looks like a jet.
    """
    for convention in CONVENTIONS:
        found = _by_convention(convention, branches)
        if any(len(collection.momentum) == 4 for collection in found.values()):
            sure = {*convention.signs} <= branches.keys()
            return Layout(convention.name, found, convention.unit if sure else None)
    return Layout("flat", _flat(branches), None)


def unit_of(pt: NDArray[Any]) -> str:
    """Unit that a median pt suggests: MeV above 1000, else GeV.

    >>> unit_of(np.array([25e3, 31e3])), unit_of(np.array([25.0, 1200.0, 31.0]))
    ('MeV', 'GeV')
    """
    finite = pt[np.isfinite(pt)]
    return "MeV" if finite.size and float(np.median(finite)) > 1000 else "GeV"


def _by_convention(convention: Convention, branches: Mapping[str, Branch]) -> dict[str, Collection]:
    """Collections of jagged branches that are named, and counted, as the convention says."""
    members: dict[str, dict[str, Branch]] = {}
    for branch in branches.values():
        match = re.fullmatch(convention.pattern, branch.name) if branch.jagged else None
        if match is None:
            continue
        name, own = match["collection"], match["column"]
        if convention.counter is not None:
            own_counter = convention.counter.format(branch.name)  # some files have one a branch beside nJet
            pattern = convention.counter.format("(.+)")
            counted = re.fullmatch(pattern, branch.counter or "") if branch.counter != own_counter else None
            if counted and branch.name.startswith(f"{counted[1]}_"):  # nAK4_jet counts AK4_jet_pt
                name, own = counted[1], branch.name[len(counted[1]) + 1 :]
            if convention.counter.format(name) not in branches:
                continue
            if branch.counter not in (convention.counter.format(name), own_counter):
                continue
        members.setdefault(name, {})[own] = branch
    result = {}
    for name, own_branches in members.items():
        counter = convention.counter.format(name) if convention.counter else None
        collection = _collection(name, own_branches, branches, counter)
        if collection is not None:
            result[name] = collection
    return result


def _collection(
    name: str, members: Mapping[str, Branch], branches: Mapping[str, Branch], counter: str | None = None
) -> Collection | None:
    """Make a collection of branches by column name, or None where they hold no numbers."""
    numeric = {own: b for own, b in members.items() if b.dtype is not None and not b.shape}
    if not numeric:
        return None
    canonical = {_CANONICAL[own.lower()] for own in numeric if own.lower() in _CANONICAL}
    known = _CANONICAL if {"pt", "eta", "phi"} <= canonical else {**_CANONICAL, **_CARTESIAN}
    columns: dict[str, Column] = {}
    for own, branch in numeric.items():
        column = known.get(own.lower(), own.replace(":", "."))  # an RNTuple has : where a TTree has .
        if column in columns:  # a second word for the same
            column = own
        while column in columns or (column in kinematics.COORDINATES and column not in known.values()):
            column += "_"  # another coordinate would make jets ambiguous
        if branch.dtype is not None:
            columns[column] = Column(column, branch.name, branch.dtype.str)
    if not next(iter(numeric.values())).jagged:
        return Collection(name, tuple(columns.values()))
    shared = (b.counter for b in numeric.values() if b.counter in branches and b.counter != f"n{b.name}")
    counter = counter or next(shared, None)
    if counter in branches:
        return Collection(name, tuple(columns.values()), counter)
    counter = f"n{name}"
    while counter in branches:  # a branch of that name which counts something else
        counter += "_"
    return Collection(name, tuple(columns.values()), counter, counted=False)


def _flat(branches: Mapping[str, Branch]) -> dict[str, Collection]:
    """Collections by a common prefix of pt or px, then of what further branches a counter counts."""
    counters = {branch.counter for branch in branches.values()}
    free = {name: branch for name, branch in branches.items() if name not in counters}
    found = _affixed(
        r"(?P<name>.*?)[_./:]?(?P<own>p[tx](_NOSYS)?)", free, branches
    )  # jet_pt; ATLAS marks what it varies
    found = found or _affixed(
        r"(?P<own>p[tx])[_./:]?(?P<name>.+)", free, branches
    )  # pt_jet, or pxj1 of the LHC Olympics
    taken = {column.branch for collection in found.values() for column in collection.columns}
    for counter in dict.fromkeys(branch.counter for branch in free.values() if branch.counter):
        members = {b.name: b for b in free.values() if b.counter == counter and b.name not in taken}
        prefix = _common_prefix([*members]) if len(members) > 1 else ""
        name = prefix.rstrip("_./:") or re.sub(r"^[nN]_?|_(n|size)$", "", counter)
        own = {member[len(prefix) :]: branch for member, branch in members.items()}
        own_counter = counter == f"n{next(iter(members), '')}" and len(members) == 1
        collection = None if own_counter else _collection(name, own, branches, counter)
        if collection is not None and name not in found:
            found[name] = collection
    return found


def _affixed(
    pattern: str, free: Mapping[str, Branch], branches: Mapping[str, Branch]
) -> dict[str, Collection]:
    """Collections of branches with the same text before, or behind, the names of their columns."""
    affixes: dict[str, tuple[str, str, Branch]] = {}
    for branch in free.values():
        match = re.fullmatch(f"(?i){pattern}", branch.name)
        if match is not None and branch.dtype is not None:
            before, behind = branch.name[: match.start("own")], branch.name[match.end("own") :]
            affixes.setdefault(match["name"] or UNNAMED, (before, behind, branch))
    found: dict[str, Collection] = {}
    taken: set[str] = set()
    # jet_sub_pt is none of jet's, where it has a four-momentum of its own: longer names first
    for name, (before, behind, first) in sorted(
        affixes.items(), key=lambda item: -len(item[1][0] + item[1][1])
    ):
        members: dict[str, Branch] = {}
        for branch in free.values():
            own = branch.name[len(before) : len(branch.name) - len(behind)]
            fits = own and branch.name == f"{before}{own}{behind}" and branch.name not in taken
            if fits and branch.jagged == first.jagged and _alike(branch, first):
                short = own.removesuffix("_NOSYS")
                members[own if short in members else short] = branch
        collection = _collection(name, members, branches)
        if collection is not None and collection.momentum:
            found[name] = collection
            if len(collection.momentum) == 4:
                taken |= {column.branch for column in collection.columns}
    return {name: found[name] for name in affixes if name in found}


def _common_prefix(names: Sequence[str]) -> str:
    """What all names begin with, up to the last sign that parts a prefix from a name.

    >>> _common_prefix(["sv_x", "sv_xy"])
    'sv_'
    """
    common = 0
    for letters in zip(*names, strict=False):
        if len({*letters}) > 1:
            break
        common += 1
    return re.sub(r"[^_./:]*$", "", names[0][:common])


def _alike(branch: Branch, other: Branch) -> bool:
    """Whether two jagged branches may have lists of equal length: of one counter, or of one each."""
    own = branch.counter in (None, f"n{branch.name}") and other.counter in (None, f"n{other.name}")
    return own or branch.counter == other.counter
