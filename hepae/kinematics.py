"""Jets as awkward arrays of vector's ``Momentum4D`` records, in GeV and radians, in float64.

A four-momentum is (pt, eta, phi) and one of mass and E; the other of the two is derived by vector.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import awkward as ak
import numpy as np
import vector

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]

MOMENTUM = ("pt", "eta", "phi", "mass", "E")
"""The canonical columns of a four-momentum, all of which vector gives for any jet."""

UNITS = {"pt": "GeV", "eta": "", "phi": "rad", "mass": "GeV", "E": "GeV"}
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

GEV = {"GeV": 1.0, "MeV": 1e-3, "TeV": 1e3}
"""One of these units in GeV."""


def momenta(columns: Mapping[str, ArrayLike | ak.Array]) -> ak.Array:
    """Make jets of columns of equal structure (flat, or one list per event).

    Parameters
    ----------
    columns
        pt, eta, phi and one of mass and E, in GeV and radians, and any further columns. The four-momentum
        becomes float64; further columns keep their type.

    Raises
    ------
    ValueError
        If the four-momentum is incomplete, or both mass and E are given.
    """
    found = [name for name in MOMENTUM if name in columns]
    if found not in (["pt", "eta", "phi", "mass"], ["pt", "eta", "phi", "E"]):
        raise ValueError(
            f"a jet needs pt, eta, phi and one of mass and E, not {', '.join(found) or 'none of them'}"
        )
    arrays = {
        name: ak.values_astype(ak.Array(array), np.float64) if name in MOMENTUM else ak.Array(array)
        for name, array in columns.items()
    }
    return ak.zip(arrays, with_name="Momentum4D", behavior=vector.backends.awkward.behavior)


def column(jets: ak.Array, name: str) -> ak.Array:
    """One column of jets by its canonical or own name, derived by vector where the record does not hold it.

    A spacelike jet has mass −√(−m²), vector's own convention.

    Raises
    ------
    KeyError
        If the jets have no such column.
    """
    if name in MOMENTUM:
        return getattr(jets, name)
    return jets[name]


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
