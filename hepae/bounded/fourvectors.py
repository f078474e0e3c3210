"""Four-momenta in other columns than pt, eta, phi and mass ↔ these, so that they can be coded under their bounds.

A file may have E in place of the mass, or px, py, pz. Where no bound is asked for such a column by name, pt, eta, phi and
mass are coded, and the file's own columns are computed of what is restored: with the same bits on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hepae.bounded.exact_math import sin_cos, sinh_cosh

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    Columns = Mapping[str, NDArray[Any]]
    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Coordinates:
    """Columns of a file that are one four-momentum: ``own`` are the file's, ``added`` are coded in place of ``replaced``."""

    own: tuple[str, ...]
    replaced: tuple[str, ...]
    added: tuple[str, ...]

    def forward(self, columns: Columns) -> dict[str, Floats]:
        """Columns that are coded in place of the replaced ones, of the file's own; the inverse is `inverse`.

        A spacelike four-momentum has mass −√(−m²), vector's own convention.
        """
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            own = {name: columns[name].astype(np.float64) for name in self.own}
            if "px" in own:
                pt = np.hypot(own["px"], own["py"])
                found: dict[str, Floats] = {
                    "pt": pt,
                    "eta": np.where(pt > 0, np.arcsinh(own["pz"] / pt), np.sign(own["pz"]) * np.inf),
                    "phi": np.arctan2(own["py"], own["px"]),
                }
                p = np.hypot(pt, own["pz"])
            else:
                found, p = {}, own["pt"] * np.cosh(own["eta"])
            if "E" in own:
                square = (own["E"] - p) * (own["E"] + p)
                found["mass"] = np.copysign(np.sqrt(np.abs(square)), square)
        return found

    def inverse(self, columns: Columns, dtypes: Mapping[str, np.dtype[Any]]) -> dict[str, NDArray[Any]]:
        """Give the replaced columns, in their types, of pt, eta, phi and mass."""
        with np.errstate(invalid="ignore", over="ignore"):
            pt, eta, phi = (columns[name].astype(np.float64) for name in ("pt", "eta", "phi"))
            sinh, cosh = sinh_cosh(eta)
            found: dict[str, Floats] = {}
            if "px" in self.replaced:
                sine, cosine = sin_cos(phi)
                found.update(px=pt * cosine, py=pt * sine, pz=pt * sinh)
            if "E" in self.replaced:
                mass, p = columns["mass"].astype(np.float64), pt * cosh
                square = p * p + mass * np.abs(mass)
                found["E"] = np.sqrt(np.maximum(square, 0.0))
            return {name: found[name].astype(dtypes[name]) for name in self.replaced}


SYSTEMS = (
    Coordinates(("pt", "eta", "phi", "E"), ("E",), ("mass",)),
    Coordinates(("px", "py", "pz", "E"), ("px", "py", "pz", "E"), ("pt", "eta", "phi", "mass")),
    Coordinates(("px", "py", "pz", "mass"), ("px", "py", "pz"), ("pt", "eta", "phi")),
)
"""What stands for pt, eta, phi and mass in files; a payload names them by their number, from 1."""


def find_coordinates(dtypes: Mapping[str, np.dtype[Any]], asked: Collection[str] = ()) -> Coordinates | None:
    """Coordinates of the four-momentum in these columns, unless a column that it replaces is asked for by name."""
    for coordinates in SYSTEMS:
        floats = all(name in dtypes and dtypes[name].kind == "f" for name in coordinates.own)
        if floats and not {*coordinates.added} & {*dtypes} and not {*coordinates.replaced} & {*asked}:
            return coordinates
    return None


def coded_types(
    dtypes: Mapping[str, np.dtype[Any]], coordinates: Coordinates | None
) -> dict[str, np.dtype[Any]]:
    """Types of the columns that are coded: those that coordinates replace give way to float64."""
    if coordinates is None:
        return dict(dtypes)
    kept = {name: dtype for name, dtype in dtypes.items() if name not in coordinates.replaced}
    return {**dict.fromkeys(coordinates.added, np.dtype(np.float64)), **kept}
