"""Hadronic top quarks of an event: the three jets that belong together by their transverse momentum, and the W among them.

The top is the three of the :data:`MOST_JETS` leading central jets whose sum has the largest pt, the W the two of these three
whose sum has the largest pt: the simplest choice that does not look at a mass, as in searches and in tutorials of open data.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

PT = 25.0
"""Smallest pt of the jets in GeV."""

ETA = 2.5
"""Largest |eta| of the jets."""

FEWEST_JETS, MOST_JETS = 4, 6
"""Jets that an event has at least, and leading ones of which three are chosen."""

WINDOW = (140.0, 200.0)
"""Mass of three jets in GeV where tops are."""

FEWEST_EVENTS, SHARE = 20, 0.25
"""Events with enough jets from which a sample can have tops, and the share of these within the window that says it has."""


def top_and_w_mass(columns: Mapping[str, FloatArray], counts: IntArray) -> tuple[FloatArray, FloatArray]:
    """Masses of the top and the W of each event in GeV; NaN where it has too few central jets.

    Parameters
    ----------
    columns
        pt, eta, phi and mass of the jets, in GeV and radians.
    counts
        Jets of each event.
    """
    event = np.repeat(np.arange(len(counts)), counts)
    central = (columns["pt"] > PT) & (np.abs(columns["eta"]) < ETA)
    event = event[central]
    order = np.lexsort((-columns["pt"][central], event))
    event = event[order]
    pt, eta, phi, mass = (columns[name][central][order] for name in ("pt", "eta", "phi", "mass"))
    found = np.bincount(event, minlength=len(counts))
    rank = np.arange(len(event)) - np.repeat(np.cumsum(found) - found, found)
    used = (rank < MOST_JETS) & (found[event] >= FEWEST_JETS)
    momenta = np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)])
    energy = np.sqrt((momenta**2).sum(axis=0) + np.copysign(mass**2, mass))
    padded = np.full((4, len(counts), MOST_JETS), np.nan)
    padded[:, event[used], rank[used]] = np.vstack([momenta, energy])[:, used]
    enough = np.flatnonzero(found >= FEWEST_JETS)
    masses = np.full((2, len(counts)), np.nan)
    if enough.size:
        three = _highest(padded[:, enough], 3)
        masses[0, enough] = _mass(three.sum(axis=2))
        masses[1, enough] = _mass(_highest(three, 2).sum(axis=2))
    return masses[0], masses[1]


def has_tops(top_mass: FloatArray) -> bool:
    """Whether a sample has hadronic tops: enough events with enough jets, and many of these near the mass of the top."""
    masses = top_mass[np.isfinite(top_mass)]
    if masses.size < FEWEST_EVENTS:
        return False
    return bool(np.mean((masses > WINDOW[0]) & (masses < WINDOW[1])) >= SHARE)


def _highest(jets: FloatArray, many: int) -> FloatArray:
    """So many of the jets, those whose sum has the largest pt; shape (4, events, many). Jets that are not there are NaN."""
    choices = np.array(list(combinations(range(jets.shape[2]), many)))
    px, py = (jets[i][:, choices].sum(axis=2) for i in (0, 1))
    square = px**2 + py**2
    best = np.where(np.isnan(square), -1.0, square).argmax(axis=1)
    chosen: FloatArray = np.take_along_axis(jets, choices[best][None], axis=2)
    return chosen


def _mass(sums: FloatArray) -> FloatArray:
    px, py, pz, energy = sums
    square = energy**2 - px**2 - py**2 - pz**2
    mass: FloatArray = np.copysign(np.sqrt(np.abs(square)), square)
    return mass
