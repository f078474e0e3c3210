"""Predictions of a column's integers: sums of products of known ones, with fixed-point coefficients.

Everything that is evaluated is arithmetic of integers; the fit takes sums of integers that float64 holds exactly, in
whatever order a machine adds them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from hepae.bounded.bytestream import Reader, Writer

    Integers = NDArray[np.int64]
    Base = NDArray[np.int32]
    """What is known of jets, as integers in ±2¹⁵."""

WIDTH = 14
LIMIT = 1 << 15
TERMS = 12
TERM_BITS = 80
"""Bits that a term of a form costs, and has to save."""

_FRACTION = 20
_LARGEST = 1 << 18
_SAMPLE = 8192
_COLLINEAR = 1e-6
_INNER = 95
"""Per cent of the jets that the last fit is for."""
_NOISE = 8
"""What a term has to explain of a sample, in units of what chance explains."""


@dataclass(frozen=True)
class Scale:
    """A column's integers brought to a common width: 98 % of them lie within 2¹⁴ units of each other.

    An integer i is the base (i − center)·2^exponent, bounded by ±2¹⁵.
    """

    center: int
    exponent: int

    @classmethod
    def of(cls, integers: Integers) -> Scale:
        """Median and width of some integers (at least one), the same on every machine."""
        sample = np.sort(integers[:: max(1, len(integers) // _SAMPLE)])
        low, middle, high = (int(sample[len(sample) * percent // 100]) for percent in (1, 50, 99))
        return cls(middle, WIDTH - (high - low).bit_length())

    def base(self, integers: Integers) -> Base:
        """Integers as a base."""
        offset = integers - np.int64(self.center)
        if self.exponent < 0:
            return _bounded(offset >> -self.exponent, LIMIT)
        return _bounded(offset, LIMIT >> self.exponent) << self.exponent

    def integers(self, totals: Integers) -> Integers:
        """Integers nearest to totals of a form, which are bases with 20 binary places more."""
        shift = _FRACTION + self.exponent
        if shift > 0:
            return np.int64(self.center) + ((totals + np.int64(1 << (shift - 1))) >> shift)
        return np.int64(self.center) + (totals << -shift)

    def write(self, out: Writer) -> None:
        """Write it; the inverse is `read`."""
        out.varint(zigzag(self.center))
        out.varint(WIDTH - self.exponent)

    @classmethod
    def read(cls, data: Reader) -> Scale:
        """Read what `write` wrote."""
        return cls(unzigzag(data.varint()), WIDTH - data.varint(64))


@dataclass(frozen=True)
class Form:
    """Σ coefficient · base · base; base 0 is 1, so that linear terms are products with it."""

    terms: tuple[tuple[int, int, int], ...] = ()

    def totals(self, bases: Sequence[Base]) -> Integers:
        """Evaluate for every jet, with 20 binary places."""
        totals = np.zeros(len(bases[0]), np.int64)
        for first, second, coefficient in self.terms:
            totals += np.multiply(_product(bases, first, second), coefficient, dtype=np.int64)
        return totals

    @staticmethod
    def base(totals: Integers) -> Base:
        """Totals as a base."""
        return _bounded(totals >> _FRACTION, LIMIT)

    @classmethod
    def fit(cls, bases: Sequence[Base], target: Base, jets: int) -> Form:
        """Least squares on a sample, with the terms that pay: of the bases first, then of products of those chosen.

        The jets that are farthest from the fit are left out of a second one: squares would give them too much weight,
        while what counts is the logarithm of a residual.

        Parameters
        ----------
        bases, target
            Of shape (sample,) each.
        jets
            For how many jets the form will be used.
        """
        pairs = [(number, 0) for number, base in enumerate(bases) if base.any()]
        kept = [pairs[term] for term in _select([_product(bases, *pair) for pair in pairs], target, jets)]
        linear = sorted(base for base, _ in kept if base)
        pairs = kept + [(b, a) for a, b in combinations_with_replacement(linear, 2)]
        products = [_product(bases, *pair) for pair in pairs]
        form = cls._of(pairs, _select(products, target, jets))
        distances = np.abs(target - cls.base(form.totals(bases)))
        most = len(distances) * _INNER // 100
        inner = distances <= np.partition(distances, most)[most]
        return cls._of(pairs, _select([product[inner] for product in products], target[inner], jets))

    @classmethod
    def _of(cls, pairs: Sequence[tuple[int, int]], coefficients: Mapping[int, float]) -> Form:
        """Form of some of the pairs; an empty one where a coefficient is too large."""
        if any(abs(coefficient) >= _LARGEST for coefficient in coefficients.values()):
            return cls()
        return cls(tuple((*pairs[term], round(c * 2**_FRACTION)) for term, c in sorted(coefficients.items())))

    def write(self, out: Writer) -> None:
        """Write it; the inverse is `read`."""
        out.varint(len(self.terms))
        for first, second, coefficient in self.terms:
            out.varint(first)
            out.varint(second)
            out.varint(zigzag(coefficient))

    @classmethod
    def read(cls, data: Reader, bases: int) -> Form:
        """Read a form of so many bases.

        Raises
        ------
        CodecError
            If it is damaged.
        """
        largest = 2 * _LARGEST << _FRACTION
        terms = range(data.varint(TERMS))
        return cls(
            tuple(
                (data.varint(bases - 1), data.varint(bases - 1), unzigzag(data.varint(largest)))
                for _ in terms
            )
        )


def zigzag(value: int) -> int:
    """0, −1, 1, −2, … as 0, 1, 2, 3, …; the inverse is `unzigzag`.

    >>> [unzigzag(zigzag(value)) for value in (0, -1, 1, -(2**63), 2**63 - 1)] == [0, -1, 1, -(2**63), 2**63 - 1]
    True
    """
    return 2 * value if value >= 0 else -2 * value - 1


def unzigzag(value: int) -> int:
    """Inverse of `zigzag`."""
    return -(value // 2) - 1 if value % 2 else value // 2


def _bounded(integers: Integers, limit: int) -> Base:
    bounded: Base = np.minimum(np.maximum(integers, -limit), limit).astype(np.int32)
    return bounded


def _product(bases: Sequence[Base], first: int, second: int) -> Base:
    return (bases[first] * bases[second]) >> WIDTH if second else bases[first]


def _select(features: list[Base], target: Base, jets: int) -> dict[int, float]:
    """Features that explain the target best, one after the other (the constant first), with their coefficients.

    The sums are of integers below 2⁵³, so exact in any order; the rest is Goodnight's sweep operator (The American
    Statistician 33, 1979), one numpy operation at a time.
    """
    last = len(features)
    design = np.empty((last + 1, len(target)))
    for row, values in zip(design, (*features, target), strict=True):
        row[:] = values
    gram = design @ design.T
    squares = np.diagonal(gram)[:last].copy()
    least = max(2 * TERM_BITS / jets, _NOISE / len(target))
    chosen: list[int] = []
    free = squares > 0
    while len(chosen) < TERMS:
        pivots = np.diagonal(gram)[:last]
        usable = free & (pivots > _COLLINEAR * squares)
        explained = gram[:last, last]
        gains = np.where(usable, explained * explained, 0.0) / np.where(usable, pivots, 1.0)
        best = int(np.argmax(gains)) if chosen else 0
        # What is left of a target that the terms explain exactly may be rounded to less than zero.
        if chosen and gains[best] <= max(least * gram[last, last], 0.0):
            break
        pivot, column = gram[best, best], gram[:, best].copy()
        gram -= np.multiply.outer(column, column) / pivot
        gram[best] = gram[:, best] = column / pivot
        gram[best, best] = -1.0 / pivot
        chosen.append(best)
        free[best] = False
    return {term: float(gram[term, last]) for term in chosen}
