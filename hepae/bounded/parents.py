"""Which earlier columns a column may be predicted from: the few that say most about it.

Every column is compared with all earlier ones by its ranks in a small sample, as in Spearman's correlation, and by how far
these are from the middle: two columns of which one widens with the other are related as well. Both are small integers,
so that float32 holds the sums of their products exactly: the choice is the same on every machine, and a matrix product makes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Integers = NDArray[np.int64]
    Floats = NDArray[np.float64]

PARENTS = 4
"""Columns that a column is predicted from at most: decoding one column reads few others."""

_ROWS = 1024
"""Jets that columns are compared with; 127² times as many is below 2²⁴."""
_LARGEST = 127
_NEAREST = 12
"""Columns that are compared with each other, too: what two of them say alike counts once."""
_BLOCK = 64
"""Columns that are compared with all earlier ones at once."""
_LEAST = 0.02
"""Share of a column's variance that a parent has to explain beyond those chosen before it."""
_COLLINEAR = 0.05
"""Share of a column's variance that the parents chosen before it have to leave unexplained."""


def candidates(columns: Sequence[Integers]) -> list[list[int]]:
    """Numbers of the earlier columns that each column may be predicted from, at most `PARENTS`, rising.

    Parameters
    ----------
    columns
        Integers of shape (jets,) each, all with their jets in the same order.
    """
    few = [list(range(number)) for number in range(min(len(columns), PARENTS + 1))]
    if len(few) == len(columns) or not len(columns[0]):
        return few + [[] for _ in columns[len(few) :]]
    step = -(-len(columns[0]) // _ROWS)
    features = np.stack([_features(column[::step]) for column in columns])
    sums = np.maximum(np.square(features, dtype=np.float64).sum(axis=2), 1.0)
    chosen = []
    for start in range(len(few), len(columns), _BLOCK):
        block = np.arange(start, min(start + _BLOCK, len(columns)))
        chosen += _chosen(features, sums, block, _nearest(features, sums, block))
    return few + chosen


def _features(sample: Integers) -> NDArray[np.float32]:
    """Ranks, and their distances from the middle, as integers in ±127 about 0; equal values have equal ranks."""
    ordered = np.sort(sample)
    ranks = np.searchsorted(ordered, sample) + np.searchsorted(ordered, sample, side="right")
    ranks = ranks * _LARGEST // len(sample) - _LARGEST
    distances = np.abs(ranks)
    return np.stack([ranks, distances - distances.sum() // len(sample)]).astype(np.float32)


def _nearest(features: NDArray[np.float32], sums: Floats, block: Integers) -> Integers:
    """The columns that each column of a block is correlated with most, of shape (block, `_NEAREST`).

    Where a column has fewer earlier ones, later ones follow them.
    """
    end = int(block[-1])
    rows = features.shape[2]
    products = features[block].reshape(-1, rows) @ features[:end].reshape(-1, rows).T
    squares = np.square(products, dtype=np.float64).reshape(len(block), 2, end, 2)
    squares /= sums[block][:, :, np.newaxis, np.newaxis]
    squares /= sums[:end]
    scores = squares[:, 0, :, 0] + squares[:, 0, :, 1] + squares[:, 1, :, 0] + squares[:, 1, :, 1]
    scores[np.arange(end) >= block[:, np.newaxis]] = -1.0
    # keys are unique, so that their order is the same whatever sorts them
    keys = np.rint(scores * 2.0**30).astype(np.int64) * len(features) + np.arange(end)
    best = min(_NEAREST, end)
    return np.sort(np.partition(keys, -best, axis=1)[:, -best:], axis=1)[:, ::-1] % len(features)


def _chosen(
    features: NDArray[np.float32], sums: Floats, block: Integers, nearest: Integers
) -> list[list[int]]:
    """Parents, one after the other, each where it explains most of what the ones before leave unexplained.

    The correlations of all are swept by those of the chosen (Goodnight, The American Statistician 33, 1979).
    """
    columns = np.concatenate([block[:, np.newaxis], nearest], axis=1)
    some = features[columns].reshape(len(block), -1, features.shape[2])
    roots = np.sqrt(sums[columns]).reshape(len(block), -1)
    left = (some @ some.transpose(0, 2, 1)).astype(np.float64)
    left /= roots[:, :, np.newaxis]
    left /= roots[:, np.newaxis, :]
    every = np.arange(len(block))
    chosen: list[list[int]] = [[] for _ in block]
    for _ in range(PARENTS):
        variances = np.einsum("bii->bi", left)
        usable = variances[:, 2:] > _COLLINEAR
        gains = sum(
            np.square(left[:, target, 2:]) / np.maximum(variances[:, target], 1e-9)[:, np.newaxis]
            for target in range(2)
        )
        gains = np.where(usable, gains / np.where(usable, variances[:, 2:], 1.0), 0.0)
        gains = np.where(nearest < block[:, np.newaxis], gains[:, ::2] + gains[:, 1::2], 0.0)
        best = np.argmax(gains, axis=1)
        for row in np.flatnonzero(gains[every, best] >= _LEAST).tolist():
            chosen[row].append(int(nearest[row, best[row]]))
        for feature in (2 + 2 * best, 3 + 2 * best):
            pivots = left[every, feature, feature]
            column = left[every, feature].copy()
            share = np.where(pivots > _COLLINEAR, 1.0 / np.where(pivots > _COLLINEAR, pivots, 1.0), 0.0)
            left -= (column * share[:, np.newaxis])[:, :, np.newaxis] * column[:, np.newaxis, :]
    return [sorted(numbers) for numbers in chosen]
