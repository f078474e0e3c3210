"""Jets → groups whose residuals are distributed alike, by a tree of yes-or-no questions about known integers.

A value is coded in as many bits as its distribution is wide. Where that distribution depends on what is known already,
jets are sorted into groups by it, and every group gets a distribution of its own. The questions are chosen greedily, each
where it saves most bits of a sample (a classification tree: Breiman et al. 1984, with the entropy of the binned residual).
Counting in integers makes the choice the same on every machine.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from hepae.bounded.polynomials import LIMIT, unzigzag, zigzag

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from hepae.bounded.bytestream import Reader, Writer

    Integers = NDArray[np.int64]
    Bases = Sequence[NDArray[np.int32]]

GROUPS = 24
_MOST = 255
_BINS = 32
_THRESHOLDS = 16
_QUANTILES = np.arange(1, _THRESHOLDS)
_SMALLEST = 50
"""Jets of the sample that a group has at least."""
_PRICE = 400
"""Bits that a further group costs: its stream's own header."""
_UNIT = 1024
"""Bits are counted in integers, in units of 1/1024."""
_BIAS = 739
"""Bits (in units) that each further filled bin makes an entropy look smaller than it is, 1/(2 ln 2): Miller 1955."""


@dataclass(frozen=True)
class Tree:
    """Questions (group, base, threshold) in order: jets of the group whose base is not below the threshold form a new one."""

    questions: tuple[tuple[int, int, int], ...] = ()

    @property
    def groups(self) -> int:
        """Number of groups."""
        return len(self.questions) + 1

    def __call__(self, bases: Bases) -> NDArray[np.uint8]:
        """Group of each jet."""
        group = np.zeros(len(bases[0]), np.uint8)
        for new, (old, base, threshold) in enumerate(self.questions, 1):
            asked = bases[base] >= threshold
            if new > 1:
                asked &= group == old
            group += asked.view(np.uint8) * np.uint8(new - old)
        return group

    def write(self, out: Writer) -> None:
        """Write it; the inverse is `read`."""
        out.varint(len(self.questions))
        for group, base, threshold in self.questions:
            out.varint(group)
            out.varint(base)
            out.varint(zigzag(threshold))

    @classmethod
    def read(cls, data: Reader, bases: int) -> Tree:
        """Read a tree that asks about so many bases.

        Raises
        ------
        CodecError
            If it is damaged.
        """
        questions = range(data.varint(_MOST))
        return cls(
            tuple(
                (data.varint(new), data.varint(bases - 1), unzigzag(data.varint(4 * LIMIT)))
                for new in questions
            )
        )


def grow(questions: Questions, residual: Integers, share: float, groups: int = GROUPS) -> tuple[Tree, float]:
    """Choose a tree, and estimate the bits of all jets' residuals when they are coded by its groups.

    Parameters
    ----------
    questions
        What may be asked of the sample's jets.
    residual
        What is to be coded, shape (sample,).
    share
        Jets that each jet of the sample stands for.
    groups
        The most there may be.
    """
    counting = _Counting(questions, residual)
    members = [np.arange(len(residual))]
    counts = [counting.counts(members[0])]
    best = [counting.best(counts[0])]
    spent = counting.bits(counts[0]) + counting.within
    chosen: list[tuple[int, int, int]] = []
    while len(members) < groups:
        old = max(range(len(best)), key=lambda group: best[group][0])
        saved, base, threshold = best[old]
        if saved * share < _PRICE * _UNIT:
            break
        row = questions.row(base)
        asked = questions.steps[row, members[old]] > _THRESHOLDS * row + threshold
        chosen.append((old, base, questions.thresholds[base][threshold]))
        members.append(members[old][asked])
        members[old] = members[old][~asked]
        best.append((0, 0, 0))
        if len(members) < groups:
            fewer = min(old, len(best) - 1, key=lambda group: len(members[group]))
            part = counting.counts(members[fewer])
            counts.append(part if fewer != old else counts[old] - part)
            counts[old] = part if fewer == old else counts[old] - part
            best[old], best[-1] = counting.best(counts[old]), counting.best(counts[-1])
        spent -= saved
    return Tree(tuple(chosen)), spent / _UNIT * share + _PRICE * len(members)


class Questions:
    """What may be asked of a sample's jets: whether a base is below one of its quantiles.

    Parameters
    ----------
    bases
        Integers of shape (sample,) each; nothing is asked about those that are the same for all jets.
    """

    def __init__(self, bases: Bases) -> None:
        self.thresholds: dict[int, list[int]] = {}
        """By the number of a base, in the order of the rows of `steps` behind its first."""
        self.steps = self._with(np.zeros((1, len(bases[0])), np.int64), enumerate(bases))
        """How many thresholds each jet reaches; row r counts from 16·r on. The first row asks nothing."""

    def _with(self, steps: Integers, bases: Iterable[tuple[int, NDArray[np.int32]]]) -> Integers:
        rows = [steps]
        for number, base in bases:
            ordered = np.sort(base)
            if ordered[0] != ordered[-1]:
                thresholds = ordered[_QUANTILES * len(base) // _THRESHOLDS]
                self.thresholds[number] = thresholds.tolist()
                reached = thresholds.searchsorted(base, side="right")
                reached += _THRESHOLDS * len(self.thresholds)
                rows.append(reached[np.newaxis])
        return np.concatenate(rows)

    def row(self, base: int) -> int:
        """Row of `steps` about a base."""
        return 1 + list(self.thresholds).index(base)

    def with_base(self, number: int, base: NDArray[np.int32]) -> Questions:
        """These questions, and those about one more base."""
        more = copy(self)
        more.thresholds = dict(self.thresholds)
        more.steps = more._with(self.steps, [(number, base)])
        return more


class _Counting:
    """Counts of binned residuals on either side of every threshold of every base."""

    def __init__(self, questions: Questions, residual: Integers) -> None:
        self._questions = list(questions.thresholds)
        bins, self._bins, self.within = _binned(residual)
        self._cells = questions.steps * self._bins
        self._cells += bins

    def counts(self, members: Integers) -> Integers:
        """Members by base (the first one is the same for all), thresholds that they reach, and bin."""
        bases, jets = self._cells.shape
        cells = self._cells if len(members) == jets else self._cells[:, members]
        counts = np.bincount(cells.ravel(), minlength=bases * _THRESHOLDS * self._bins)
        return counts.reshape(bases, _THRESHOLDS, self._bins)

    def bits(self, counts: Integers) -> int:
        """Entropy of the members' bins, in units, with what its estimate misses."""
        bins = counts[0, 0]
        return int(_xlogx()[bins.sum()] - _biased()[bins].sum()) - _BIAS

    def best(self, counts: Integers) -> tuple[int, int, int]:
        """Saved units, base and threshold of the question that saves most."""
        total = counts[0, 0]
        size = int(total.sum())
        if size < 2 * _SMALLEST or not self._questions:
            return 0, 0, 0
        below = np.cumsum(counts[1:], axis=1)[:, :-1]
        few = below.sum(axis=2)
        xlogx, biased = _xlogx(), _biased()
        saved = biased[below].sum(axis=2) + biased[total - below].sum(axis=2)
        saved += self.bits(counts) + 2 * _BIAS - xlogx[few] - xlogx[size - few]
        saved[(few < _SMALLEST) | (few > size - _SMALLEST)] = 0
        best, threshold = divmod(int(np.argmax(saved)), _THRESHOLDS - 1)
        return int(saved[best, threshold]), self._questions[best], threshold


def _binned(residual: Integers) -> tuple[Integers, int, int]:
    """Bins of about equal content, how many there are, and the units that say where in its bin each residual lies."""
    ordered = np.sort(residual)
    edges = ordered[np.arange(_BINS) * len(ordered) // _BINS]
    edges = edges[np.append(True, edges[1:] != edges[:-1])]
    bins = np.searchsorted(edges, residual, side="right") - 1
    widths = np.diff(np.append(edges, ordered[-1]).astype(np.float64))
    widths[-1] += 1.0
    counts = np.bincount(bins, minlength=len(edges))
    return bins, len(edges), int((counts * _log2(np.maximum(widths, 1.0))).sum())


@cache
def _xlogx() -> Integers:
    """n·log₂ n in units, for n up to the size of any sample."""
    numbers = np.arange(1 << 14, dtype=np.float64)
    return np.rint(numbers * _log2(np.maximum(numbers, 1.0))).astype(np.int64)


@cache
def _biased() -> Integers:
    """What n residuals in a bin take off an entropy, in units: n·log₂ n, less the bias of a filled bin."""
    biased = _xlogx() - _BIAS
    biased[0] = 0
    return biased


def _log2(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Binary logarithm in units, by operations that round the same everywhere: ln m = 2·artanh((m−1)/(m+1))."""
    mantissa, exponent = np.frexp(values)
    ratio = (mantissa - 0.75) / (mantissa + 0.75)
    square, term, total = ratio * ratio, ratio, ratio
    for odd in range(3, 16, 2):
        term = term * square
        total = total + term / odd
    return np.rint(_UNIT * (exponent + (total * 2.8853900817779268 - 0.4150374992788438)))
