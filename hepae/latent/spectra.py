"""Spectra: what a decoder restores, moved so that each column is distributed as it was before.

A decoder that learnt the mean of what fits piles jets up. In ranges of the restored pt, a monotone map of each feature from restored
quantiles to original ones spreads them again; of all maps of one feature it costs the least squared error (Freirich et
al. 2021, arXiv:2107.02555).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hepae.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

RANGES = 16
"""Ranges of the restored pt, with as many jets each."""
_JETS = 1000
"""Fewest jets of a range."""
_QUANTILES = 256
"""Quantiles of a column in all ranges together; each range has rarer ones too at both ends, down to 2⁻¹¹."""
_MOST_RANGES, _MOST_KNOTS = 64, 1024
"""What is accepted from a file."""


@dataclass(frozen=True)
class Spectra:
    """What is added to each restored feature: straight lines between knots, constant beyond them.

    ``edges`` of the ranges of restored pt have shape (ranges − 1,); ``knots``, in ascending order, and ``shifts`` have shape
    (ranges, columns, knots); all are float32. ``pt`` is the index of its column.
    """

    pt: int
    edges: NDArray[np.float32]
    knots: NDArray[np.float32]
    shifts: NDArray[np.float32]

    @classmethod
    def fit(cls, restored: NDArray[Any], original: NDArray[Any], pt: int, *, ranges: int = RANGES) -> Spectra:
        """Learn the maps from restored and original features of the same jets, each of shape (jets, columns)."""
        leading = restored[:, pt].astype(np.float32)
        ranges = max(1, min(ranges, len(leading) // _JETS))
        # Edges are values of jets above the lowest one, each once: then no range is without jets.
        edges = np.unique(np.quantile(leading, np.arange(1, ranges) / ranges, method="lower"))
        edges = edges[edges > leading.min()]
        places, shares = np.searchsorted(edges, leading, side="right"), _shares(_QUANTILES // ranges)
        maps = np.array(
            [
                [
                    _column(restored[places == i, j], original[places == i, j], shares)
                    for j in range(restored.shape[1])
                ]
                for i in range(len(edges) + 1)
            ],
            np.float32,
        )
        return cls(pt, edges, maps[:, :, 0], maps[:, :, 1])

    def __call__(self, features: NDArray[Any]) -> NDArray[np.float64]:
        """Move restored features, shape (jets, columns), each jet by its own values alone."""
        moved = np.array(features, np.float64)
        places = np.searchsorted(self.edges, features[:, self.pt], side="right")
        for i, maps in enumerate(zip(self.knots, self.shifts, strict=True)):
            inside = places == i
            for j, (knots, shifts) in enumerate(zip(*maps, strict=True)):
                moved[inside, j] += np.interp(moved[inside, j], knots, shifts)
        return moved

    def to_tensors(self) -> dict[str, NDArray[np.float32]]:
        """Give the maps as tensors of a model file; the inverse is `from_tensors`."""
        return {f"spectra.{name}": getattr(self, name) for name in ("edges", "knots", "shifts")}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[Any]], columns: int, pt: int) -> Spectra:
        """Rebuild the maps from what `to_tensors` gave.

        Raises
        ------
        CodecError
            If these are no maps of so many columns.
        """
        if {*tensors} != {"spectra.edges", "spectra.knots", "spectra.shifts"}:
            raise CodecError(f"the tensors {', '.join(sorted(tensors))} are not those of a map of spectra")
        edges, knots, shifts = (tensors[f"spectra.{name}"] for name in ("edges", "knots", "shifts"))
        if edges.ndim != 1 or len(edges) >= _MOST_RANGES:
            raise CodecError(f"spectra.edges has shape {edges.shape}, not one axis below {_MOST_RANGES}")
        start = (len(edges) + 1, columns)
        if knots.ndim != 3 or knots.shape[:2] != start or not 1 < knots.shape[2] <= _MOST_KNOTS:
            raise CodecError(
                f"spectra.knots has shape {knots.shape}, not {start} and 2 to {_MOST_KNOTS} knots"
            )
        if shifts.shape != knots.shape:
            raise CodecError(f"spectra.shifts has shape {shifts.shape}, not that of spectra.knots")
        for name, values in tensors.items():
            if values.dtype != np.float32 or not np.isfinite(values).all():
                raise CodecError(f"{name} is not of finite float32 numbers")
            if name != "spectra.shifts" and np.any(np.diff(values) < 0):
                raise CodecError(f"{name} is not in ascending order")
        return cls(pt, edges.copy(), knots.copy(), shifts.copy())


def _shares(count: int) -> NDArray[np.float64]:
    """Probabilities of the quantiles: so many, and halves of the last one at both ends."""
    tails = 2.0 ** -np.arange(1, 12)
    tails = tails[tails < 1 / count]
    return np.unique(np.concatenate([np.arange(1, count) / count, tails, 1 - tails]))


def _column(
    restored: NDArray[Any], original: NDArray[Any], shares: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Knots and shifts of one column in one range."""
    knots, target = (np.quantile(each.astype(np.float64), shares) for each in (restored, original))
    different, place = np.unique(knots.astype(np.float32), return_inverse=True)
    # Jets that are restored to one value stay together: they move by the mean of what they lack.
    weights = np.gradient(shares)
    shifts = np.bincount(place, weights * (target - knots)) / np.bincount(place, weights)
    return different.astype(np.float64)[place], shifts[place]
