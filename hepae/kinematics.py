"""Jets as awkward arrays of vector's ``Momentum4D`` records, in GeV and radians, in float64; and how far apart two are.

A four-momentum is (pt, eta, phi) and one of mass and E; the other of the two is derived by vector. One given as
(px, py, pz) and one of E and mass becomes (pt, eta, phi, mass) at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import awkward as ak
import numpy as np
import vector

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]

MOMENTUM = ("pt", "eta", "phi", "mass", "E")
"""The canonical columns of a four-momentum, all of which vector gives for any jet."""

CARTESIAN = ("px", "py", "pz")
"""The canonical columns of a momentum in a file that has no pt, eta and phi."""

ENERGIES = ("pt", "mass", "E", *CARTESIAN)
"""The canonical columns with the unit of an energy."""

UNITS = {"eta": "", "phi": "rad", **dict.fromkeys(ENERGIES, "GeV")}
"""Unit of each canonical column; any other column is in its own unit."""

COORDINATES = frozenset(
    [
        "x",
        "y",
        "z",
        "t",
        "rho",
        "theta",
        "tau",
        "px",
        "py",
        "pz",
        "m",
        "M",
        "e",
        "energy",
        "e2",
        "t2",
        "mass",
        "E",
        "pt",
        "eta",
        "phi",
    ]
)
"""Names that mean a coordinate to vector: a further column of such a name would make jets ambiguous."""

RELATIVE = frozenset({"pt", "E", "mass"})
"""Columns whose residual is taken relative to the original value."""

CENTRAL = 0.68
"""Fraction of the jets that lie within ±p68 around the middle of the residuals: ±1σ for a Gaussian."""

GEV = {"GeV": 1.0, "MeV": 1e-3, "TeV": 1e3}
"""One of these units in GeV."""


def form(names: Iterable[str]) -> tuple[str, ...]:
    """Which canonical columns among these make the momentum of a jet; the mass before E, it keeps the precision.

    Returns
    -------
    tuple of str
        Four names where there is a four-momentum, three where there is pt, eta and phi alone, else none.

    >>> form(["pt", "eta", "phi", "E", "mass"]), form(["px", "py", "pz", "E"]), form(["pt", "phi"])
    (('pt', 'eta', 'phi', 'mass'), ('px', 'py', 'pz', 'E'), ())
    """
    names = {*names}
    for momentum in (MOMENTUM[:3], CARTESIAN):
        for energy in ("mass", "E"):
            if {*momentum, energy} <= names:
                return (*momentum, energy)
    return MOMENTUM[:3] if {*MOMENTUM[:3]} <= names else ()


def momenta(columns: Mapping[str, ArrayLike | ak.Array]) -> ak.Array:
    """Make jets of columns of equal structure (flat, or one list per event).

    Parameters
    ----------
    columns
        pt, eta, phi, or px, py, pz, and one of mass and E, in GeV and radians, and any further columns. The
        four-momentum becomes float64; further columns keep their type. pt, eta and phi alone make momenta without
        energy (``Momentum3D``).

    Returns
    -------
    ak.Array
        Records of pt, eta, phi, then mass or E as given (of px, py, pz always mass), then the further columns. Where px and
        py are 0, eta is infinite and vector's pz and E are NaN.

    Raises
    ------
    ValueError
        If the momentum is incomplete, or both mass and E are given.
    """
    found = [name for name in (*MOMENTUM, *CARTESIAN) if name in columns]
    if set(found) != set(form(found)) or not found:
        raise ValueError(
            "a jet needs pt, eta, phi (or px, py, pz) and one of mass and E, not "
            f"{', '.join(found) or 'none of them'}"
        )
    arrays = {
        name: ak.values_astype(ak.Array(array), np.float64) if name in found else ak.Array(array)
        for name, array in columns.items()
    }
    if "px" in arrays:
        vectors = _records({name: arrays[name] for name in found}, "Momentum4D")
        further = {name: array for name, array in arrays.items() if name not in found}
        arrays = {**{name: getattr(vectors, name) for name in MOMENTUM[:4]}, **further}
    return _records(arrays, "Momentum4D" if len(found) == 4 else "Momentum3D")


def _records(arrays: Mapping[str, ak.Array], name: str) -> ak.Array:
    return ak.zip(dict(arrays), with_name=name, behavior=vector.backends.awkward.behavior)


def column(jets: ak.Array, name: str) -> ak.Array:
    """One column of jets by its canonical or own name, derived by vector where the record does not hold it.

    A spacelike jet has mass −√(−m²), vector's own convention.

    Raises
    ------
    KeyError
        If the jets have no such column.
    """
    if name not in UNITS or name in jets.fields:
        return jets[name]
    try:
        return getattr(jets, name)
    except AttributeError:  # records that are no momenta, or without energy
        raise KeyError(name) from None


def columns_of(jets: ak.Array) -> tuple[str, ...]:
    """Names of the columns that the jets' records hold, in their order."""
    return tuple(jets.fields)


def flat_column(jets: ak.Array, name: str) -> NDArray[np.generic]:
    """One column of all jets as a flat numpy array, the events' lists joined."""
    flat: NDArray[np.generic] = ak.to_numpy(ak.flatten(column(jets, name), axis=None))
    return flat


def wrap_phi(phi: ArrayLike) -> FloatArray:
    """Angles in radians brought into (−π, π]; what lies there already is not touched.

    >>> wrap_phi([np.pi, -np.pi, 4.0]).round(4).tolist()
    [3.1416, 3.1416, -2.2832]
    """
    phi = np.asarray(phi, np.float64)
    wrapped = np.pi - np.mod(np.pi - phi, 2 * np.pi)
    return np.where((phi > -np.pi) & (phi <= np.pi), phi, wrapped)


def difference(column: str, original: ArrayLike, restored: ArrayLike) -> FloatArray:
    """Restored − original in the column's unit, around the circle for phi; 0 for what came back as it was."""
    original, restored = np.asarray(original, np.float64), np.asarray(restored, np.float64)
    same = (original == restored) | (np.isnan(original) & np.isnan(restored))
    with np.errstate(invalid="ignore", over="ignore"):
        change = restored - original
        if column == "phi":
            change = wrap_phi(change)
    return np.where(same, 0.0, change)


def relative(change: FloatArray, original: ArrayLike) -> FloatArray:
    """A difference relative to |original|: infinite where 0 came back as something else."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio: FloatArray = np.where(change == 0, 0.0, change / np.abs(np.asarray(original, np.float64)))
    return ratio


def column_residual(column: str, original: ArrayLike, restored: ArrayLike) -> FloatArray:
    """Residual of each jet in one column, as it is averaged and drawn: relative for pt, E and mass."""
    change = difference(column, original, restored)
    return relative(change, original) if column in RELATIVE else change
