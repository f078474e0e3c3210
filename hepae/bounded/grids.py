"""Grids: value ↔ position in steps, with equal steps or with steps that grow with the value.

A position is a float64; an integer and a dither make one. `inverse` is what decoding evaluates: + − × ÷, comparison,
table look-up and arithmetic on a float's exponent, so that it gives the same bits on every machine.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hepae.bounded.blocks import blocks
from hepae.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from hepae.bounded.bytestream import Reader, Writer

    Floats = NDArray[np.float64]

PIECES = 256
"""Linear pieces of a power of two, each 2^(1/256) times as wide as the one before: within 0.003 bits of logarithmic steps."""

_MARGIN = 1 - 2.0**-20
"""Steps are this much narrower than what is allowed, for the rounding of whoever checks the error in another unit."""
_LEAST = 2.0**-40
"""Relative bounds below this are no grid: positions would need more bits than a float64 has."""
_LOG2 = PIECES.bit_length() - 1
_MANTISSA = 52


class Grid(ABC):
    """Value ↔ position in steps."""

    kind: ClassVar[int]

    @abstractmethod
    def forward(self, values: Floats) -> Floats:
        """Values to positions; the inverse is `inverse`."""

    @abstractmethod
    def inverse(self, positions: Floats) -> Floats:
        """Positions to values, which may take their place in memory."""

    @abstractmethod
    def write(self, out: Writer) -> None:
        """Write the grid; the inverse is `read`."""

    @staticmethod
    def read(kind: int, data: Reader) -> Grid:
        """Read a grid of this kind.

        Raises
        ------
        CodecError
            If it makes no sense.
        """
        if kind == UniformGrid.kind:
            numbers: tuple[float, ...] = (data.float64(),)
            sensible = numbers[0] > 0
        else:
            numbers = (data.float64(), data.float64(), data.float64())
            sensible = numbers[0] > 0 and numbers[1] >= 0
        if not (sensible and all(math.isfinite(number) for number in numbers) and kind in (1, 2)):
            raise CodecError("damaged payload: a grid that makes no sense")
        return UniformGrid(*numbers) if kind == UniformGrid.kind else GrowingGrid(*numbers)


@dataclass(frozen=True)
class UniformGrid(Grid):
    """Equal steps."""

    kind: ClassVar[int] = 1
    step: float

    @classmethod
    def of(cls, error: float) -> UniformGrid | None:
        """Steps for this largest error."""
        step = 2 * error * _MARGIN
        return cls(step) if step > 0 else None

    def forward(self, values: Floats) -> Floats:
        """Values to positions; the inverse is `inverse`."""
        return values / self.step

    def inverse(self, positions: Floats) -> Floats:
        """Positions to values."""
        positions *= self.step
        return positions

    def write(self, out: Writer) -> None:
        """Write the grid; the inverse is `Grid.read`."""
        out.float64(self.step)


@dataclass(frozen=True)
class GrowingGrid(Grid):
    """Steps that grow with w = |value| + ``offset``, mirrored for negative values.

    The powers of two of w are cut at 2^(k/256); each piece has ``width`` equal steps. ``origin`` is the position that is
    called 0.
    """

    kind: ClassVar[int] = 2
    width: float
    offset: float
    origin: float

    @classmethod
    def of(cls, relative: float, offset: float, values: Floats) -> GrowingGrid | None:
        """Steps for errors of at most ``relative`` · (|value| + ``offset``)."""
        if relative < _LEAST:
            return None
        grid = cls(_steps(relative * _MARGIN), offset, 0.0)
        sizes = np.abs(values)
        smallest = float(sizes.min(initial=np.inf, where=sizes > 0)) + offset
        if not np.finfo(np.float64).tiny <= smallest < np.inf:
            smallest = float(np.finfo(np.float32).tiny)
        # Without an offset the smallest value is at 1, and so the two signs stay apart.
        origin = float(grid._along(np.array([offset or smallest]))[0]) - (0.0 if offset else 1.0)
        return cls(grid.width, offset, origin)

    def forward(self, values: Floats) -> Floats:
        """Values to positions; the inverse is `inverse`."""
        return _in_blocks(self._forward, values)

    def inverse(self, positions: Floats) -> Floats:
        """Positions to values."""
        return _in_blocks(self._inverse, positions)

    def _forward(self, values: Floats) -> Floats:
        sizes = np.abs(values)
        sizes += self.offset
        positions = self._along(sizes)
        positions -= self.origin
        np.copysign(positions, values, out=positions)
        return positions

    def _inverse(self, positions: Floats) -> Floats:
        starts, lengths, _ = _pieces()
        along = np.abs(positions)
        along += self.origin
        along /= self.width
        whole = np.floor(along)
        along -= whole
        piece = whole.astype(np.int64)
        power = piece >> _LOG2
        piece &= PIECES - 1
        along *= lengths[piece]
        along += starts[piece]
        power <<= _MANTISSA
        bits = along.view(np.int64)
        bits += power
        along -= self.offset
        np.copysign(along, positions, out=along)
        return along

    def _along(self, sizes: Floats) -> Floats:
        starts, lengths, first = _pieces()
        bits = sizes.view(np.int64)
        piece = first[(bits >> (_MANTISSA - _LOG2 - 1)) & (2 * PIECES - 1)]
        mantissa: Floats = ((bits & (2**_MANTISSA - 1)) | (1023 << _MANTISSA)).view(np.float64)
        piece += mantissa >= starts[piece + 1]
        mantissa -= starts[piece]
        mantissa /= lengths[piece]
        piece += ((bits >> _MANTISSA) - 1023) << _LOG2
        mantissa += piece
        mantissa *= self.width
        return mantissa

    def write(self, out: Writer) -> None:
        """Write the grid; the inverse is `Grid.read`."""
        out.float64(self.width)
        out.float64(self.offset)
        out.float64(self.origin)


def _in_blocks(function: Callable[[Floats], Floats], values: Floats) -> Floats:
    """Evaluate a function piece by piece, so that what it needs on the way stays in the processor's cache."""
    result = np.empty(len(values))
    for rows in blocks(0, len(values)):
        result[rows] = function(values[rows])
    return result


def _steps(relative: float) -> float:
    """Fewest steps in a piece such that half a step up from w is never more than ``relative`` · w.

    Within a piece the worst w is its start: half a step is ``relative`` · start. Where a piece is shorter than half a step
    the grid is as good as logarithmic, a chord lying above its curve by (ln 2 / 256)² / 8 at most.
    """
    growth = _pieces()[0][1] - 1.0
    steps = growth / (2 * relative)
    if steps >= 0.5:
        return float(steps)
    chord = math.log1p(growth) ** 2 / 8
    return 0.5 * math.log1p(growth) / (math.log1p(relative) - chord)


@cache
def _pieces() -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Starts 2^(k/256) and lengths of the pieces of [1, 2), and the piece in which each 512th of it begins.

    Powers are products of repeated square roots of 2: IEEE rounds both in the same way everywhere.
    """
    roots = [2.0]
    for _ in range(_LOG2):
        roots.append(math.sqrt(roots[-1]))
    starts = [
        math.prod(roots[_LOG2 - bit] for bit in range(_LOG2) if piece >> bit & 1) for piece in range(PIECES)
    ]
    ends = np.array([*starts, 2.0])
    first = np.searchsorted(ends, 1 + np.arange(2 * PIECES) / (2 * PIECES), side="right") - 1
    return ends, np.diff(ends), first.astype(np.int64)
