"""Spectra: what a decoder restores, moved so that each column is distributed as it was before.

A decoder that learnt the mean of what fits piles jets up. A monotone map of each feature, restored quantiles to original ones,
takes the pile-up away at the smallest price in squared error that one column allows (Freirich et al. 2021, arXiv:2107.02555).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hepae.errors import CodecError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TAILS = 2.0 ** -np.arange(8, 12)
_SHARES = np.unique(np.concatenate([np.arange(1, 128) / 128, _TAILS, 1 - _TAILS]))
"""The quantiles that are kept: every 128th of the jets, and 2⁻⁸ to 2⁻¹¹ at both ends."""
_MOST_KNOTS = 1024


@dataclass(frozen=True)
class Spectra:
    """What is added to each restored feature: straight lines between knots, constant beyond them.

    ``knots`` (in ascending order) and ``shifts`` have shape (columns, knots), float32.
    """

    knots: NDArray[np.float32]
    shifts: NDArray[np.float32]

    @classmethod
    def fit(cls, restored: NDArray[Any], original: NDArray[Any]) -> Spectra:
        """Learn the map from restored and original features of the same jets, each of shape (jets, columns)."""
        pairs = zip(restored.T, original.T, strict=True)
        knots, shifts = zip(*(_column(after, before) for after, before in pairs), strict=True)
        return cls(np.stack(knots), np.stack(shifts))

    def __call__(self, features: NDArray[Any]) -> NDArray[np.float64]:
        """Move restored features, shape (jets, columns), each jet by its own values alone."""
        moved = np.array(features, np.float64)
        for values, knots, shifts in zip(moved.T, self.knots, self.shifts, strict=True):
            values += np.interp(values, knots, shifts)
        return moved

    @property
    def steepness(self) -> NDArray[np.float64]:
        """Largest slope of each column's map, shape (columns,): how much it widens a difference of features."""
        steepest: NDArray[np.float64] = np.maximum(1 + self.slopes, 1).max(axis=1)
        return steepest

    @property
    def slopes(self) -> NDArray[np.float64]:
        """Slopes of the shifts between knots, shape (columns, knots − 1); 0 between equal knots, whose shifts are equal."""
        widths, rises = (np.diff(each.astype(np.float64)) for each in (self.knots, self.shifts))
        return np.divide(rises, widths, out=np.zeros_like(rises), where=widths > 0)

    def to_tensor(self) -> NDArray[np.float32]:
        """Give the map as one tensor of a model file, shape (2, columns, knots); the inverse is `from_tensor`."""
        return np.stack([self.knots, self.shifts])

    @classmethod
    def from_tensor(cls, tensor: NDArray[Any], columns: int) -> Spectra:
        """Rebuild the map from what `to_tensor` gave.

        Raises
        ------
        CodecError
            If it is no map of so many columns.
        """
        shape = tensor.shape
        if tensor.dtype != np.float32 or len(shape) != 3 or shape[:2] != (2, columns):
            raise CodecError(f"the tensor spectra is not float32 of shape (2, {columns}, knots)")
        if not 1 < shape[2] <= _MOST_KNOTS:
            raise CodecError(f"the tensor spectra has {shape[2]} knots, not 2 to {_MOST_KNOTS}")
        knots, shifts = tensor.copy()
        if not np.isfinite(tensor).all() or np.any(np.diff(knots) < 0):
            raise CodecError("the knots of the tensor spectra are not finite and in ascending order")
        return cls(knots, shifts)


def _column(
    restored: NDArray[Any], original: NDArray[Any]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Knots and shifts of one column."""
    knots, target = (np.quantile(each.astype(np.float64), _SHARES) for each in (restored, original))
    different, place = np.unique(knots.astype(np.float32), return_inverse=True)
    # Jets that are restored to one value stay together: they move by the mean of what they lack.
    shares = np.gradient(_SHARES)
    shifts = np.bincount(place, shares * (target - knots)) / np.bincount(place, shares)
    return different[place], shifts[place].astype(np.float32)
