"""Columns ↔ integers within their bounds.

A float column is cut into steps no wider than twice its bound: equal ones for an absolute bound, growing with the value
for a relative one (linear pieces within powers of two, so that nothing has to invert a logarithm). The grid is shifted
by a hash of the jet's number, known to both sides (*subtractive dither*: Roberts 1962, Schuchman 1964): residuals are
uniform whatever the value, and restored spectra have no beats with histogram bins. Values that repeat get integers of
their own and stay exact; what cannot be restored within its bound is an exception, stored as it is. ``exact`` columns
and integers map one to one. Restoring uses only operations that give the same bits on every machine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hepae.errors import CodecError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hepae.bounds import Bound
    from hepae.codecs.bytestream import Reader, Writer

    Integers = NDArray[np.int64]
    Floats = NDArray[np.float64]

PIECES = 64
"""Linear pieces of a power of two: a step is at most 1/64 narrower than its bound allows."""

ALWAYS_REPEATED = (0.0, 1.0, -1.0, -99.0, -999.0, -9999.0)
MOST_REPEATED = 16
REPEATED_SHARE = 0.01
_LEAST_STEPS = 2.0**-20
"""A relative bound below this is exact: its steps would be too near the precision of a float32."""
_CIRCLE = ("phi",)


def dither(seed: int, column: int, jets: int) -> Floats:
    """Shift of the grid for each jet in [−½, ½), by a hash of (seed, column, jet).

    The finaliser of splitmix64 (Steele, Lea and Flood 2014) over the jet's number.
    """
    with np.errstate(over="ignore"):
        state = np.uint64(seed) + np.uint64(0x9E3779B97F4A7C15) * np.uint64(2 * column + 1)
        x = (np.arange(jets, dtype=np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        x += state
        x ^= x >> np.uint64(30)
        x *= np.uint64(0xBF58476D1CE4E5B9)
        x ^= x >> np.uint64(27)
        x *= np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    return (x >> np.uint64(11)).astype(np.float64) * 2.0**-53 - 0.5


@dataclass(frozen=True)
class Grid:
    """Value ↔ position on a grid whose steps hold a bound: integers are grid points, shifted by the dither.

    ``relative`` and ``absolute`` are what the steps hold, a little less than the bound: the rounding of the stored type
    needs room. Magnitudes from 2**low to 2**high are cut into pieces of equal steps.
    """

    relative: float
    absolute: float
    low: int
    high: int
    from_zero: bool = False
    """Whether a piece of the absolute bound's steps lies between 0 and the first power of two."""

    @classmethod
    def of(cls, bound: Bound, values: Floats, precision: float) -> Grid | None:
        """Choose the grid for finite values; ``precision`` is half the relative spacing of the stored type."""
        largest = float(np.abs(values).max(initial=0.0))
        if bound.relative:
            relative = (bound.relative - precision) * (1 - bound.relative)
            if relative < _LEAST_STEPS:
                return None
            smallest = float(np.abs(values[values != 0]).min(initial=max(largest, 1e-300)))
            linear = bound.absolute / bound.relative / PIECES
            low, high = (_exponent(v) for v in (max(smallest, linear), max(largest, linear)))
            low, wanted = max(low, high - 400), low
            return cls(
                relative,
                bound.absolute * (1 - bound.relative),
                low,
                high + 2,
                from_zero=smallest < linear and low == wanted,
            )
        absolute = bound.absolute - largest * precision * 1.01
        if absolute < 0.5 * bound.absolute:
            return None
        return cls(0.0, absolute, 0, 0)

    def forward(self, values: Floats) -> Floats:
        """Values to positions in steps; the inverse is `inverse`."""
        if not self.relative:
            return values / (2 * self.absolute)
        starts, positions, steps = _pieces(self)
        magnitude = np.abs(values)
        piece = np.clip(np.searchsorted(starts, magnitude, side="right") - 1, 0, len(steps) - 1)
        return np.copysign(positions[piece] + (magnitude - starts[piece]) / steps[piece], values)

    def inverse(self, positions: Floats) -> Floats:
        """Positions to values."""
        if not self.relative:
            return positions * (2 * self.absolute)
        starts, bases, steps = _pieces(self)
        magnitude = np.abs(positions)
        piece = np.clip(np.searchsorted(bases, magnitude, side="right") - 1, 0, len(steps) - 1)
        return np.copysign(starts[piece] + (magnitude - bases[piece]) * steps[piece], positions)

    def write(self, out: Writer) -> None:
        """Write the grid."""
        out.float64(self.relative)
        out.float64(self.absolute)
        out.varint(self.low + 2000)
        out.varint(self.high + 2000)
        out.varint(int(self.from_zero))

    @classmethod
    def read(cls, data: Reader) -> Grid:
        """Read what `write` wrote."""
        relative, absolute = data.float64(), data.float64()
        low, high, from_zero = data.varint(4000) - 2000, data.varint(4000) - 2000, bool(data.varint(1))
        finite = np.isfinite(relative) and np.isfinite(absolute)
        if not (
            finite and relative >= 0 and absolute >= 0 and relative + absolute > 0 and 0 <= high - low <= 500
        ):
            raise CodecError("damaged payload: a grid that makes no sense")
        return cls(relative, absolute, low, high, from_zero)


def _exponent(value: float) -> int:
    """Power of two below a value, within those of a double whose square of steps stays finite."""
    return min(max(math.frexp(value)[1] - 1, -1000), 1000)


@lru_cache(maxsize=64)
def _pieces(grid: Grid) -> tuple[Floats, Floats, Floats]:
    """Start, position and step of each piece of a relative grid; the first piece begins at 0."""
    powers = np.ldexp(1.0, np.arange(grid.low, grid.high))
    fractions = 1.0 + np.arange(PIECES) / PIECES
    starts = np.multiply.outer(powers, fractions).reshape(-1)
    ends = np.append(starts[1:], np.ldexp(1.0, grid.high))
    steps = 2.0 * (grid.relative * starts + grid.absolute)
    counts = (ends - starts) / steps
    if grid.from_zero:
        starts, steps = np.append(0.0, starts), np.append(2.0 * grid.absolute, steps)
        counts = np.append(starts[1] / steps[0], counts)
        first = 0.0
    else:
        first = 2.0  # both signs stay apart
    # accumulate adds in order, one after the other, on every machine
    positions = np.add.accumulate(np.append(first, counts[:-1]))
    return starts, positions, steps


@dataclass
class Quantized:
    """A column as integers, and all that restores it."""

    integers: Integers
    dtype: np.dtype[Any]
    grid: Grid | None = None
    shift: int = 0
    """Trailing zero bits that an exact float column does without."""
    circle: bool = False
    repeated: NDArray[Any] = field(default_factory=lambda: np.zeros(0))
    places: Integers = field(default_factory=lambda: np.zeros(0, np.int64))
    """Integers of the repeated values, rising."""
    exceptions: Integers = field(default_factory=lambda: np.zeros(0, np.int64))
    """Jets that are stored as they are, rising."""
    stored: NDArray[Any] = field(default_factory=lambda: np.zeros(0))

    def restore(self, integers: Integers, shifts: Floats) -> NDArray[Any]:
        """Give the column of its integers and the dither, without the exceptions' own values."""
        if self.dtype.kind != "f":
            return _from_bits(integers, self.dtype)
        if self.grid is None:
            return _from_ordered(integers, self.dtype, self.shift)
        ordinary = integers
        if len(self.places):
            below = np.searchsorted(self.places, integers, side="left")
            ordinary = integers - below
        with np.errstate(over="ignore", invalid="ignore"):
            values = self.grid.inverse(ordinary + shifts)
            if self.circle:
                values = np.where(values > np.pi, values - 2 * np.pi, values)
                values = np.where(values <= -np.pi, values + 2 * np.pi, values)
            restored = values.astype(self.dtype)
        if len(self.places):
            at = np.minimum(np.searchsorted(self.places, integers), len(self.places) - 1)
            restored = np.where(self.places[at] == integers, self.repeated[at], restored)
        return restored

    def complete(self, shifts: Floats) -> NDArray[Any]:
        """Give the whole column back, the exceptions with their own bits."""
        column = self.restore(self.integers, shifts)
        column[self.exceptions] = self.stored
        return column

    def write(self, out: Writer) -> None:
        """Write all but the integers; the inverse is `read`."""
        out.text(self.dtype.str)
        out.varint(int(self.grid is not None) + 2 * int(self.circle) + 4 * self.shift)
        if self.grid is not None:
            self.grid.write(out)
        out.varint(len(self.places))
        out.raw(self.repeated.astype(self.dtype.newbyteorder("<")).tobytes())
        for place in self.places.tolist():
            out.varint(place & (2**64 - 1))
        out.varint(len(self.exceptions))
        for gap in np.diff(self.exceptions, prepend=-1).tolist():
            out.varint(gap)
        out.raw(self.stored.astype(self.dtype.newbyteorder("<")).tobytes())

    @classmethod
    def read(cls, data: Reader, jets: int) -> Quantized:
        """Read what `write` wrote; the integers come later."""
        text = data.text()
        if text.lstrip("<>|=") not in _TYPES:
            raise CodecError(f"damaged payload: a column of type {text!r}")
        dtype = np.dtype(text)
        flags = data.varint(1023)
        grid = Grid.read(data) if flags & 1 else None
        little = dtype.newbyteorder("<")
        count = data.varint(MOST_REPEATED)
        repeated = np.frombuffer(data.raw(count * dtype.itemsize), little).astype(dtype)
        places = np.array([data.varint() for _ in range(count)], np.uint64).astype(np.int64)
        exceptions = np.cumsum(np.array([data.varint(jets) for _ in range(data.varint(jets))], np.int64)) - 1
        if len(exceptions) and (
            np.any(np.diff(exceptions) <= 0) or exceptions[0] < 0 or exceptions[-1] >= jets
        ):
            raise CodecError("damaged payload: exceptions beyond the cluster")
        stored = np.frombuffer(data.raw(len(exceptions) * dtype.itemsize), little).astype(dtype)
        empty = np.zeros(0, np.int64)
        return cls(empty, dtype, grid, flags >> 2, bool(flags & 2), repeated, places, exceptions, stored)


_TYPES = ("f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1")


def quantize(
    name: str, values: NDArray[Any], bound: Bound, shifts: Floats, edges: tuple[float, ...] = ()
) -> Quantized:
    """Cut a column into integers within its bound.

    Parameters
    ----------
    name
        Of the column; phi's error is taken around the circle.
    values
        Shape (jets,), float32, float64, integers or booleans, in the file's unit.
    bound
        In the same unit.
    shifts
        The dither of each jet.
    edges
        Values that restored and original lie on the same side of, in the same unit.

    Raises
    ------
    CodecError
        If the type is none that is coded.
    """
    dtype = values.dtype.newbyteorder("=")
    values = values.astype(dtype, copy=False)
    if dtype.str.lstrip("<>|=") not in _TYPES:
        raise CodecError(f"column {name!r} has type {dtype}, which is not coded")
    if dtype.kind != "f":
        return Quantized(_to_bits(values), dtype)
    finite = np.isfinite(values)
    doubles = np.where(finite, values, 0).astype(np.float64)
    grid = None if bound.exact or not len(values) else Grid.of(bound, doubles, float(np.finfo(dtype).eps) / 2)
    if grid is None:
        return _exact(values)
    repeated = _repeated(values)
    circle = name in _CIRCLE and bool(np.all(np.abs(doubles) <= np.pi + 1e-6))
    with np.errstate(over="ignore", invalid="ignore"):
        position = np.rint(grid.forward(doubles) - shifts)
        ordinary = np.where(np.abs(position) < 2.0**52, position, 0.0).astype(np.int64)
    integers, places = ordinary, np.zeros(0, np.int64)
    if len(repeated):
        # A repeated value gets an integer of its own between those around it: the order stays.
        natural = np.rint(grid.forward(repeated.astype(np.float64))).astype(np.int64)
        places = natural + np.arange(len(repeated))
        integers = ordinary + np.searchsorted(natural, ordinary, side="right")
        at = np.minimum(np.searchsorted(repeated, values), len(repeated) - 1)
        same = (repeated[at] == values) & ~((values == 0) & np.signbit(values))
        integers = np.where(same, places[at], integers)
    column = Quantized(integers, dtype, grid, circle=circle, repeated=repeated, places=places)
    restored = column.restore(integers, shifts)
    broken = ~finite | ((values == 0) & np.signbit(values)) | _violated(name, values, restored, bound)
    if len(repeated):
        broken |= same & (restored != values)
    broken |= _crossed(values, restored, edges)
    column.exceptions = np.flatnonzero(broken)
    column.stored = values[column.exceptions]
    if len(column.exceptions) > 0.2 * len(values):
        return _exact(values)
    if len(column.exceptions):
        column.integers = integers.copy()
        column.integers[column.exceptions] = int(np.median(integers[~broken])) if not broken.all() else 0
    return column


def violations(
    name: str, original: NDArray[Any], restored: NDArray[Any], bound: Bound, edges: tuple[float, ...] = ()
) -> NDArray[np.bool_]:
    """Which values break their bound or cross an edge; a NaN or an infinity that came back does neither."""
    if bound.exact or original.dtype.kind != "f":
        differs: NDArray[np.bool_] = original.view(f"V{original.itemsize}") != restored.view(
            f"V{restored.itemsize}"
        )
        return differs
    same = (original == restored) | (np.isnan(original) & np.isnan(restored))
    broken: NDArray[np.bool_] = _violated(name, original, restored, bound) & ~same
    return broken | _crossed(original, restored, edges)


def _violated(name: str, original: NDArray[Any], restored: NDArray[Any], bound: Bound) -> NDArray[np.bool_]:
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.abs(restored.astype(np.float64) - original.astype(np.float64))
        if name in _CIRCLE:
            error = np.minimum(error, np.abs(error - 2 * np.pi))
        inside: NDArray[np.bool_] = np.isfinite(original) & (error <= bound.allowed(original))
    return ~inside


def _crossed(original: NDArray[Any], restored: NDArray[Any], edges: tuple[float, ...]) -> NDArray[np.bool_]:
    """Which values lie on another side of an edge (as float64 or rounded to the column's type) than their originals."""
    crossed: NDArray[np.bool_] = np.zeros(len(original), bool)
    before, after = original.astype(np.float64), restored.astype(np.float64)
    for edge in edges:
        for cut in {edge, float(original.dtype.type(edge))}:
            crossed |= ((before > cut) != (after > cut)) | ((before < cut) != (after < cut))
    return crossed


def _repeated(values: NDArray[Any]) -> NDArray[Any]:
    """Values that stay exactly what they are: sentinels, and what fills a hundredth of the column; rising, at most 16."""
    step = max(1, len(values) // 20_000)
    sample, counts = np.unique(values[::step], return_counts=True)
    candidates = sample[(counts >= 0.5 * REPEATED_SHARE * len(values[::step])) & (counts > 1)]
    candidates = np.unique(np.concatenate([candidates, np.array(ALWAYS_REPEATED, values.dtype)]))
    candidates = candidates[np.isfinite(candidates)]
    counts = np.array([np.count_nonzero(values == candidate) for candidate in candidates])
    always = np.isin(candidates, ALWAYS_REPEATED)
    chosen = (counts > 0) & (always | ((counts >= REPEATED_SHARE * len(values)) & (counts > 1)))
    order = np.argsort(-(counts[chosen] + always[chosen] * len(values)), kind="stable")[:MOST_REPEATED]
    found: NDArray[Any] = np.sort(candidates[chosen][order]) + values.dtype.type(0)
    return found


def _exact(values: NDArray[Any]) -> Quantized:
    """Every bit: floats as integers of the same order, without trailing zeros that all of them have."""
    seen = int(np.bitwise_or.reduce(_magnitude(values))) if len(values) else 0
    shift = (seen & -seen).bit_length() - 1 if seen else 0
    return Quantized(_to_ordered(values, shift), values.dtype, shift=shift)


def _magnitude(values: NDArray[Any]) -> Integers:
    """Bits of floats without the sign."""
    bits = values.view(np.int32 if values.itemsize == 4 else np.int64).astype(np.int64)
    return bits & (2**31 - 1 if values.itemsize == 4 else 2**63 - 1)


def _to_ordered(values: NDArray[Any], shift: int) -> Integers:
    """Bits of floats as integers in the floats' order: −0 is −1, just below 0; the inverse is `_from_ordered`."""
    magnitude = _magnitude(values) >> shift
    return np.where(np.signbit(values), -1 - magnitude, magnitude)


def _from_ordered(ordered: Integers, dtype: np.dtype[Any], shift: int) -> NDArray[Any]:
    negative = ordered < 0
    magnitude = np.where(negative, -1 - ordered, ordered) << shift
    if dtype.itemsize == 4:
        return (magnitude | np.where(negative, 2**31, 0)).astype(np.uint32).view(dtype)
    return (magnitude | np.where(negative, np.int64(-(2**63)), 0)).view(dtype)


def _to_bits(values: NDArray[Any]) -> Integers:
    if values.dtype == np.uint64:
        return values.view(np.int64)
    return values.astype(np.int64)


def _from_bits(integers: Integers, dtype: np.dtype[Any]) -> NDArray[Any]:
    return integers.view(np.uint64) if dtype == np.uint64 else integers.astype(dtype)
