"""Columns ↔ integers within their bounds.

A float column is cut into steps no wider than twice its bound: equal ones for an absolute bound, growing with the value
for a relative one (linear pieces, 256 to a power of two, so that nothing has to invert a logarithm). The grid is shifted
by a hash of the jet's number, known to both sides (*subtractive dither*: Roberts 1962, Schuchman 1964): residuals are
uniform whatever the value, and restored spectra have no beats with histogram bins. Values that repeat get integers of
their own and stay exact; what cannot be restored within its bound is an exception, stored as it is. ``exact`` columns
and integers map one to one. Restoring uses only operations that give the same bits on every machine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hepae.bounded.blocks import blocks
from hepae.bounded.dither import GOLDEN
from hepae.bounded.grids import Grid, GrowingGrid, UniformGrid
from hepae.bounded.streams import read_stream, write_stream
from hepae.errors import CodecError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hepae.bounded.bytestream import Reader, Writer
    from hepae.bounds import Bound

    Integers = NDArray[np.int64]
    Floats = NDArray[np.float64]
    Mask = NDArray[np.bool_]

ALWAYS_REPEATED = (0.0, -0.0, 1.0, -1.0, -99.0, -999.0, -9999.0)
MOST_REPEATED = 16
REPEATED_SHARE = 0.01
_MOST_EXCEPTIONS = 0.2
"""Where more than this share of a column cannot be restored within its bound, every bit of it is kept instead."""
_UNTRUNCATED = 0.001
"""Share of an exact column whose values may have more bits than all others; they are exceptions."""
_UNSURE = 1e-6
"""Share of a step by which the float64 arithmetic of two machines differs at most, and far more than it ever does."""
_UNSURE_SHARE = 1e-12
"""What is added to that of the position itself, where steps are tiny."""
_HELD = 1 + 2.0**-50
"""Errors are judged this much larger: the bound holds in extended precision too, whatever float64 rounds away."""
_PI = float(np.float32(np.pi))
"""The largest angle that files hold: π as a float32, a little above π."""
_TYPES = ("<f4", "<f8", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8", "|b1")


@dataclass
class Quantized:
    """A column as integers, and all that restores it."""

    integers: Integers
    dtype: np.dtype[Any]
    grid: Grid | None = None
    shift: int = 0
    """Trailing zero bits that an exact float column does without."""
    circle: bool = False
    """Whether values beyond ±π are mirrored there, which keeps them on the side of their originals."""
    repeated: NDArray[Any] = field(default_factory=lambda: np.zeros(0))
    places: Integers = field(default_factory=lambda: np.zeros(0, np.int64))
    """Integers of the repeated values, rising."""
    exceptions: Integers = field(default_factory=lambda: np.zeros(0, np.int64))
    """Jets that are stored as they are, rising."""
    stored: NDArray[Any] = field(default_factory=lambda: np.zeros(0))

    def restore(self, integers: Integers, shifts: Floats) -> NDArray[Any]:
        """Give the column of its integers and the dither, without the exceptions' own values."""
        if self.grid is None:
            return _from_ordered(integers << self.shift, self.dtype, self.shift)
        restored = np.empty(len(integers), self.dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            for rows in blocks(0, len(integers)):
                restored[rows] = self._restore(self.grid, integers[rows], shifts[rows])
        return restored

    def _restore(self, grid: Grid, integers: Integers, shifts: Floats) -> NDArray[Any]:
        ordinary = integers
        if len(self.places):
            below = np.searchsorted(self.places, integers)
            ordinary = integers - below
        values = grid.inverse(ordinary + shifts)
        if self.circle:
            beyond = np.abs(values) > np.pi
            if beyond.any():
                values[beyond] = np.copysign(2 * np.pi, values[beyond]) - values[beyond]
        restored = values.astype(self.dtype)
        if len(self.places):
            below[below == len(self.places)] = 0
            at = np.flatnonzero(self.places[below] == integers)
            restored[at] = self.repeated[below[at]]
        return restored

    def same_as(self, other: Quantized) -> bool:
        """Whether both give the same column: of exceptions the integers do not count."""
        differing = np.flatnonzero(self.integers != other.integers)
        return (
            (self.dtype, self.grid, self.shift, self.circle)
            == (other.dtype, other.grid, other.shift, other.circle)
            and np.array_equal(self.places, other.places)
            and np.array_equal(self.exceptions, other.exceptions)
            and self.repeated.tobytes() == other.repeated.tobytes()
            and self.stored.tobytes() == other.stored.tobytes()
            and bool(np.isin(differing, self.exceptions).all())
        )

    def complete(self, shifts: Floats) -> NDArray[Any]:
        """Give the whole column back, the exceptions with their own bits."""
        column = self.restore(self.integers, shifts)
        column[self.exceptions] = self.stored
        return column

    def nearest(self, values: Floats) -> tuple[Integers, Mask]:
        """Integers that restore nearest to some values, the dither apart; all 0 where the column has no grid.

        The mask tells where a value lies so near the middle of two grid points that rounding which differs in the last
        bits could choose the other.
        """
        if self.grid is None:
            return np.zeros(len(values), np.int64), np.zeros(len(values), bool)
        position = np.clip(self.grid.forward(values), -(2.0**51), 2.0**51)
        integers = np.rint(position).astype(np.int64)
        unsure: Mask = np.abs(np.abs(position - integers) - 0.5) < _UNSURE + _UNSURE_SHARE * np.abs(position)
        return integers + np.searchsorted(self._slots, integers, side="right"), unsure

    @property
    def _slots(self) -> Integers:
        """Where the repeated values' places stand among the integers of all others."""
        return self.places - np.arange(len(self.places))

    def exact_floats(self) -> NDArray[Any] | None:
        """Values that the integers of an exact float column stand for, the exceptions apart; None for any other column."""
        if self.grid is not None or self.dtype.kind != "f":
            return None
        return _from_ordered(self.integers << self.shift, self.dtype, self.shift)

    def integers_of(self, values: NDArray[Any]) -> Integers:
        """Give the integers of `exact_floats`.

        Raises
        ------
        CodecError
            If the column is no exact one of that type.
        """
        if self.grid is not None or values.dtype != self.dtype:
            raise CodecError(f"damaged payload: {values.dtype} in a column of {self.dtype}")
        return _to_ordered(values) >> self.shift

    def except_for(self, rows: Mask, values: NDArray[Any]) -> None:
        """Store these jets as they are, too; ``values`` are the column's own."""
        self.exceptions = np.union1d(self.exceptions, np.flatnonzero(rows))
        self.stored = values[self.exceptions]

    def write(self, out: Writer) -> None:
        """Write all but the integers; the inverse is `read`."""
        out.text(self.dtype.str)
        kind = 0 if self.grid is None else self.grid.kind
        out.varint(kind + 4 * int(self.circle) + 8 * self.shift)
        if self.grid is not None:
            self.grid.write(out)
        little = self.dtype.newbyteorder("<")
        out.varint(len(self.places))
        out.raw(self.repeated.astype(little).tobytes())
        for place in self.places.tolist():
            out.varint(place % 2**64)
        write_stream(out, np.diff(self.exceptions, prepend=-1))
        if len(self.exceptions):
            ordered = _to_ordered(self.stored)
            zeros = int(np.bitwise_or.reduce(ordered)) | 1 << 63
            shift = (zeros & -zeros).bit_length() - 1
            out.varint(shift)
            write_stream(out, ordered >> shift)

    @classmethod
    def read(cls, data: Reader, jets: int, header: bytes) -> Quantized:
        """Read what `write` wrote; the integers come later, ``header`` is pcodec's."""
        text = data.text()
        if text not in _TYPES:
            raise CodecError(f"damaged payload: a column of type {text!r}")
        dtype = np.dtype(text)
        flags = data.varint(511)
        kind, circle, shift = flags & 3, bool(flags & 4), flags >> 3
        grid = Grid.read(kind, data) if kind else None
        if grid is not None and dtype.kind != "f":
            raise CodecError(f"damaged payload: a grid in a column of {dtype}")
        little = dtype.newbyteorder("<")
        count = data.varint(MOST_REPEATED)
        repeated = np.frombuffer(data.raw(count * dtype.itemsize), little).astype(dtype)
        places = np.array([data.varint() for _ in range(count)], np.uint64).astype(np.int64)
        if np.any(places[1:] <= places[:-1]):
            raise CodecError("damaged payload: repeated values out of order")
        exceptions = read_rows(data, jets, header)
        stored = np.zeros(0, dtype)
        if len(exceptions):
            shift_of_stored = data.varint(63)
            ordered = read_stream(data, len(exceptions), header)
            if len(ordered) != len(exceptions):
                raise CodecError("damaged payload: exceptions without their values")
            stored = _from_ordered(ordered << shift_of_stored, dtype, 0)
        empty = np.zeros(0, np.int64)
        return cls(empty, dtype, grid, shift, circle, repeated, places, exceptions, stored)


def read_rows(data: Reader, jets: int, header: bytes) -> Integers:
    """Read numbers of some of a cluster's jets, rising, that were written as gaps.

    Raises
    ------
    CodecError
        If they are no such numbers.
    """
    gaps = read_stream(data, jets, header)
    if np.any(gaps <= 0) or np.any(gaps > jets):  # no sum of so few of them wraps around
        raise CodecError("damaged payload: exceptions beyond the cluster")
    rows = np.cumsum(gaps) - 1
    if len(rows) and rows[-1] >= jets:
        raise CodecError("damaged payload: exceptions beyond the cluster")
    return rows


@np.errstate(over="ignore", invalid="ignore")  # NaNs of any bits, and sums of the largest values
def quantize(
    name: str, values: NDArray[Any], bound: Bound, shifts: Floats, edges: tuple[float, ...] = ()
) -> Quantized:
    """Cut a column into integers within its bound.

    Parameters
    ----------
    name
        Of the column; values of ``phi`` are restored within ±π, on the side of ±π that they were on.
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
    values = np.ascontiguousarray(values, dtype)
    if dtype.newbyteorder("<").str not in _TYPES:
        raise CodecError(f"column {name!r} has type {dtype}, which is not coded")
    if dtype.kind != "f" or bound.exact or not len(values):
        return _exact(values)
    repeated, dropped = _repeated(values)
    same = [_bits(values) == pattern for pattern in _bits(repeated)]
    special: Mask = np.logical_or.reduce(same) if same else np.zeros(len(values), bool)
    circle = name == "phi"
    outside = ~special & ~(np.abs(values) <= _PI) if circle else np.zeros(0, bool)
    if circle and np.count_nonzero(outside) > REPEATED_SHARE * len(values):
        circle = False
    special = special | outside if circle else special
    grid = _grid(bound, (values if not special.any() else values[~special]).astype(np.float64), dtype)
    if grid is None:
        return _exact(values)
    integers, ordinary = _nearest(grid, values, shifts, special)
    column = _with_places(Quantized(integers, dtype, grid, circle=circle), ordinary, repeated, same)
    restored = column.restore(integers, shifts)
    broken = violations(values, restored, bound, edges)
    if circle:
        broken |= outside
    for rows in same:
        broken |= rows & (_bits(values) != _bits(restored))
    for pattern in _bits(dropped):
        broken |= _bits(values) == pattern
    column.exceptions = np.flatnonzero(broken)
    column.stored = values[column.exceptions]
    return column if len(column.exceptions) <= _MOST_EXCEPTIONS * len(values) else _exact(values)


def _nearest(grid: Grid, values: NDArray[Any], shifts: Floats, special: Mask) -> tuple[Integers, Mask]:
    """Integers that restore nearest to values, and which of them are ordinary: finite, and not special."""
    integers, ordinary = np.empty(len(values), np.int64), ~special
    for rows in blocks(0, len(values)):
        position = grid.forward(values[rows].astype(np.float64))
        position -= shifts[rows]
        np.rint(position, out=position)
        wild = ~(np.abs(position) < 2.0**51)
        if wild.any():
            position[wild] = 0
            ordinary[rows] &= ~wild
        integers[rows] = position
    return integers, ordinary


def _with_places(column: Quantized, ordinary: Mask, repeated: NDArray[Any], same: list[Mask]) -> Quantized:
    """Give the repeated values integers of their own, between those around them or next to the last one: no gap opens.

    All integers that are not ordinary are brought into the range of the others.
    """
    integers, grid = column.integers, column.grid
    within = integers if ordinary.all() else integers[ordinary]
    low, high = (int(within.min()), int(within.max())) if len(within) else (0, 0)
    if len(within) < len(integers):
        np.clip(integers, low, high, out=integers)
    if grid is None or not len(repeated):
        return column
    natural = np.nan_to_num(grid.forward(repeated.astype(np.float64)), nan=0.0)
    slots = np.rint(np.clip(natural, low, high + 1)).astype(np.int64)
    order = np.argsort(slots, kind="stable")
    slots, column.repeated = slots[order], repeated[order]
    column.places = slots + np.arange(len(slots))
    integers += np.searchsorted(slots, integers, side="right")
    for place, number in zip(column.places, order, strict=True):
        integers[same[number]] = place
    return column


@np.errstate(invalid="ignore")
def violations(
    original: NDArray[Any], restored: NDArray[Any], bound: Bound, edges: tuple[float, ...] = ()
) -> NDArray[np.bool_]:
    """Which values break their bound or cross an edge; what came back with the same bits does neither.

    There is no way around the circle: a phi that comes back on the other side of ±π breaks its bound.
    """
    same: Mask = _bits(original) == _bits(restored)
    if bound.exact or original.dtype.kind != "f" or same.all():
        return ~same
    broken: Mask = np.empty(len(original), bool)
    for rows in blocks(0, len(original)):
        before, after = original[rows].astype(np.float64), restored[rows].astype(np.float64)
        broken[rows] = _violated(before, after, bound) | _crossed(before, after, edges, original.dtype)
    return broken & ~same


def _grid(bound: Bound, values: Floats, dtype: np.dtype[Any]) -> Grid | None:
    """Grid whose restored values hold the bound once they are rounded to the stored type; None where none can."""
    half = float(np.finfo(dtype).eps) / 2
    if bound.relative:
        return GrowingGrid.of(
            bound.relative - half * (1 + bound.relative), bound.absolute / bound.relative, values
        )
    sizes = np.abs(values)
    sizes = sizes[np.isfinite(sizes)] if not math.isfinite(float(sizes.sum())) else sizes
    largest = float(sizes.max(initial=0.0))
    if largest * half > bound.absolute / 256:  # a few outliers must not take the room from all others
        largest = float(np.partition(sizes, int(0.999 * (len(sizes) - 1)))[int(0.999 * (len(sizes) - 1))])
    room = bound.absolute - half * (largest + bound.absolute)
    return UniformGrid.of(room) if room > bound.absolute / 2 else None


def _violated(original: Floats, restored: Floats, bound: Bound) -> Mask:
    with np.errstate(invalid="ignore", over="ignore"):
        error = restored - original
        np.abs(error, out=error)
        error *= _HELD
        outside: Mask = ~((error <= bound.allowed(original)) & (error < np.inf))
    return outside


def _crossed(original: Floats, restored: Floats, edges: tuple[float, ...], dtype: np.dtype[Any]) -> Mask:
    """Which values lie on another side of an edge (as float64 or rounded to the column's type) than their originals."""
    crossed: Mask = np.zeros(len(original), bool)
    for edge in edges:
        for cut in {edge, float(dtype.type(edge))}:
            crossed |= ((original > cut) != (restored > cut)) | ((original < cut) != (restored < cut))
    return crossed


def repeated_rows(values: NDArray[Any]) -> Mask:
    """Which values are repeated ones, that have to stay exactly what they are."""
    patterns = np.concatenate([_bits(found) for found in _repeated(values)])
    return np.isin(_bits(values), patterns)


def _repeated(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Values that stay exactly what they are: the 16 most frequent get an integer each, the rest are exceptions.

    They are told apart by their bits, so that −0 and each NaN are values as well.
    """
    bits = _bits(values)
    least = max(2, math.ceil(REPEATED_SHARE * len(values)))  # a value that is there once is no repeat
    # A value that is frequent makes its slot of a hash table so: only those slots need to be sorted.
    slots = ((bits.astype(np.uint64) * np.uint64(GOLDEN)) >> np.uint64(48)).view(np.int64)
    crowded = np.bincount(slots, minlength=2**16) >= least
    found, counts = np.unique(bits[crowded[slots]] if crowded.any() else bits[:0], return_counts=True)
    always = _bits(np.array(ALWAYS_REPEATED, values.dtype))
    frequent = (counts >= least) & ~np.isin(found, always)
    patterns = np.concatenate([found[frequent], always])
    counts = np.concatenate([counts[frequent], [np.count_nonzero(bits == pattern) for pattern in always]])
    order = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    chosen, rest = patterns[order[:MOST_REPEATED]], patterns[order[MOST_REPEATED:]]
    return chosen.view(values.dtype), rest[np.isin(rest, always)].view(values.dtype)


def _exact(values: NDArray[Any]) -> Quantized:
    """Every bit: floats as integers of the same order, without the trailing zeros that nearly all of them have."""
    ordered = _to_ordered(values)
    if values.dtype.kind != "f" or not len(values):
        return Quantized(ordered, values.dtype)
    bits = _bits(values)
    shift = _trailing_zeros(bits)
    exceptions = np.flatnonzero(bits & ((1 << shift) - 1)) if shift else np.zeros(0, np.int64)
    ordered >>= shift
    return Quantized(ordered, values.dtype, shift=shift, exceptions=exceptions, stored=values[exceptions])


def _trailing_zeros(bits: NDArray[Any]) -> int:
    """Number of last bits that are zero in all values but `_UNTRUNCATED` of them."""
    lowest = (bits & -bits).view(
        f"u{bits.itemsize}"
    ) - 1  # 0 has any number of zeros: it wraps to the largest
    few = int(_UNTRUNCATED * len(bits))
    width = 23 if bits.itemsize == 4 else 52
    return min(int(np.partition(lowest, few)[few]).bit_length(), width)


def _bits(values: NDArray[Any]) -> NDArray[Any]:
    return values.view(f"i{values.itemsize}")


def _to_ordered(values: NDArray[Any]) -> Integers:
    """Numbers as integers of the same order (uint64 up to 2⁶³); −0 is −1, just below 0. The inverse is `_from_ordered`."""
    if values.dtype.kind == "f":
        bits = _bits(values).astype(np.int64)
        bits ^= (bits >> 63) & int(np.iinfo(f"i{values.itemsize}").max)
        return bits
    return values.view(np.int64) if values.dtype == np.uint64 else values.astype(np.int64)


def _from_ordered(ordered: Integers, dtype: np.dtype[Any], shift: int) -> NDArray[Any]:
    if dtype.kind == "f":
        bits = ordered ^ ((ordered >> 63) & int(np.iinfo(f"i{dtype.itemsize}").max) & -(1 << shift))
        return bits.astype(f"i{dtype.itemsize}").view(dtype)
    return ordered.view(np.uint64) if dtype == np.uint64 else ordered.astype(dtype)
