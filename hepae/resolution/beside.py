"""Bounds and errors beside resolutions: how large they are in units of what a detector measures."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from hepae.kinematics import ENERGIES, difference, flat_column
from hepae.resolution.columns import error_column, holds_jets

if TYPE_CHECKING:
    from collections.abc import Mapping

    import awkward as ak
    from numpy.typing import NDArray

    from hepae.bounds import Bound
    from hepae.resolution.parametrisation import Parametrisation

    Floats = NDArray[np.float64]


@dataclass
class BesideResolution:
    """Errors and bounds of one column beside its resolution; those of chunks add up.

    Attributes
    ----------
    source
        Whose resolution it is.
    values
        Values whose resolution is known.
    """

    source: str
    values: int = 0
    _sigma: float = 0.0
    _bound: float = 0.0
    _share: float = 0.0
    _squares: float = 0.0

    def fill(self, sigma: Floats, allowed: Floats, error: Floats) -> None:
        """Count in a chunk, each of shape (jets,): resolution, bound and error of each value, in the same unit."""
        known = np.isfinite(sigma) & (sigma > 0) & np.isfinite(error) & np.isfinite(allowed)
        self.values += int(np.count_nonzero(known))
        self._sigma += float(sigma[known].sum())
        self._bound += float(allowed[known].sum())
        self._share += float((allowed[known] / sigma[known]).sum())
        self._squares += float(((error[known] / sigma[known]) ** 2).sum())

    @property
    def resolution(self) -> float:
        """Mean resolution."""
        return self._sigma / self.values

    @property
    def bound(self) -> float:
        """Mean bound."""
        return self._bound / self.values

    @property
    def bound_over_resolution(self) -> float:
        """Mean of bound ÷ resolution."""
        return self._share / self.values

    @property
    def widening(self) -> float:
        """Share by which the errors widen the resolution, in quadrature: √(1 + ⟨error²/σ²⟩) − 1."""
        return math.sqrt(1 + self._squares / self.values) - 1


@dataclass
class CollectionBesideResolution:
    """Columns of one collection that have both a bound and a resolution.

    The resolution is that of a parametrisation where the collection holds jets that a detector measured, or that in a column
    of the file such as ptErr, which goes first.

    Parameters
    ----------
    collection
        Its name.
    parametrisation
        Resolution of jets.
    gev
        One unit of the file's energies in GeV.
    """

    collection: str
    parametrisation: Parametrisation
    gev: float = 1.0
    columns: dict[str, BesideResolution] = field(default_factory=dict)

    def fill(self, original: ak.Array, restored: ak.Array, bounds: Mapping[str, Bound]) -> None:
        """Count in a chunk of jets, the same in both, and their bounds."""
        for name, bound in bounds.items():
            if name not in restored.fields and name not in ENERGIES:
                continue
            values = np.asarray(flat_column(original, name), np.float64)
            found = self._sigma(name, values, original)
            if found is None:
                continue
            sigma, source = found
            error = np.asarray(difference(name, values, flat_column(restored, name)), np.float64)
            allowed = np.zeros(len(values)) if bound.exact else bound.allowed(values)
            self.columns.setdefault(name, BesideResolution(source)).fill(sigma, allowed, error)

    def _sigma(self, name: str, values: Floats, jets: ak.Array) -> tuple[Floats, str] | None:
        """Resolution of each value, and whose it is."""
        error = error_column(name, jets.fields)
        if error is not None:
            sigma = np.asarray(flat_column(jets, error), np.float64)
            return sigma * (self.gev if name in ENERGIES else 1.0), f"column {error}"
        if holds_jets(self.collection) and name in self.parametrisation.columns:
            source = f"{self.parametrisation.name} ({self.parametrisation.source})"
            return self.parametrisation.columns[name](values), source
        return None
