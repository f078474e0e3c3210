"""Residuals in numbers: what restored jets differ by from the original ones.

Sums are exact, counts are integers and the largest residual is a maximum, so the numbers of a file are the
same, bit for bit, however it was cut into chunks and in whatever order the chunks were added up.

The *residual* of a column is restored − original: around the circle for phi, and relative to |original| for
pt, E and mass. A value that came back as it was has residual 0, be it 0, NaN or infinite.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Protocol

import awkward as ak
import numpy as np

from hepae.errors import InputError
from hepae.kinematics import (
    CENTRAL,
    MOMENTUM,
    RELATIVE,
    UNITS,
    columns_of,
    difference,
    flat_column,
    form,
    relative,
)
from hepae.validation.sketch import Sketch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from hepae.bounds import Bound

    FloatArray = NDArray[np.float64]

WITHOUT_RELATIVE = frozenset({"eta", "phi"})
"""Columns whose zero means nothing special, so that a relative residual would mean nothing either."""


class Allowance(Protocol):
    """What a promised bound has to say here (``hepae.bounds.Bound`` does)."""

    def allowed(self, original: FloatArray) -> FloatArray:
        """Largest |restored − original| that was promised for each original value."""


def residual_bound(column: str, bound: Bound) -> float | None:
    """Bound of a column's residual in the residual's unit, where it has one.

    Of a relative and an absolute part it is the one that the residual is of, which jets may pass by the other; where the residual
    is of none of them, and of an exact bound, there is none.

    >>> from hepae.bounds import Bound
    >>> residual_bound("pt", Bound.parse("1%+1MeV")), residual_bound("pt", Bound.parse("1MeV"))
    (0.01, None)
    """
    if bound.exact:
        return None
    if column in RELATIVE:
        return bound.relative or None
    return None if bound.relative else bound.in_unit("GeV").absolute


def compared_columns(original: ak.Array, restored: ak.Array) -> tuple[str, ...]:
    """Numeric columns of both: first those of the four-momentum, mass and E included, where both have one."""
    shared = _columns(original) & _columns(restored)
    names = (*MOMENTUM, *(name for name in columns_of(original) if name not in MOMENTUM))
    return tuple(
        name for name in names if name in shared and flat_column(original[:0], name).dtype.kind in "biuf"
    )


def _columns(jets: ak.Array) -> set[str]:
    """Columns that jets have, or that derive from a four-momentum."""
    return {*jets.fields, *(MOMENTUM if len(form(jets.fields)) == 4 else ())}


def require_same_jets(original: ak.Array, restored: ak.Array) -> None:
    """Check that both arrays hold the same number of jets in each event.

    Raises
    ------
    InputError
        If they do not: then no jet of one can be compared with one of the other.
    """
    same = len(original) == len(restored) and original.ndim == restored.ndim
    if same and original.ndim > 1:
        same = bool(ak.all(ak.num(original) == ak.num(restored)))
    if not same:
        found = " and ".join(
            f"{_count(jets)} in {len(jets)} events" if jets.ndim > 1 else f"{len(jets)} in a flat list"
            for jets in (original, restored)
        )
        raise InputError(
            f"original and restored jets differ in number or in their events ({found}): "
            "compare a file with what was compressed or restored from it"
        )


@dataclass(frozen=True)
class ColumnResiduals:
    """Residuals of one column over all jets; None stands for a number that does not exist.

    Attributes
    ----------
    unit
        The column's unit.
    max_abs
        Largest |restored − original|, in the column's unit.
    max_rel
        Largest |restored − original| / |original|, over the jets where it is finite; None for eta and phi.
    mean, median, std, p68, p99
        Of the residual, relative for pt, E and mass: standard deviation (of the jets, not an estimate for a
        larger sample), half the width of the central 68 %, and the 99 % quantile of its absolute value.
    violations
        Jets that break the promised bound; None where none was promised.
    non_finite
        Jets whose residual is not finite: NaN or infinite on one side only or, where the residual is
        relative, an original 0 that came back as something else. They are in none of mean to p99.
    """

    unit: str
    max_abs: float | None
    max_rel: float | None
    mean: float | None
    median: float | None
    std: float | None
    p68: float | None
    p99: float | None
    violations: int | None
    non_finite: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self)


@dataclass(frozen=True)
class Residuals:
    """Residuals of all columns, by name, and how many jets in how many events (rows) were compared."""

    jets: int
    events: int
    columns: Mapping[str, ColumnResiduals]

    def __getitem__(self, column: str) -> ColumnResiduals:
        return self.columns[column]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it, and as it stands in metrics.json."""
        columns = {name: column.to_dict() for name, column in self.columns.items()}
        return {"jets": self.jets, "events": self.events, "columns": columns}


def residuals(
    original: ak.Array,
    restored: ak.Array,
    columns: Sequence[str] | None = None,
    *,
    bounds: Mapping[str, Allowance] | None = None,
) -> Residuals:
    """Compare restored jets with the original ones.

    Parameters
    ----------
    original, restored
        Jets (``Momentum4D`` records in GeV and radians, in lists per event or flat): the same jets in the same order.
    columns
        Columns to compare. By default all numeric columns that both have, and those that follow from the four-momentum.
    bounds
        Bounds that were promised, by column.

    Raises
    ------
    InputError
        If these are not the same jets, or do not have such a column.

    Examples
    --------
    >>> from hepae.kinematics import momenta
    >>> jets = momenta({"pt": [50.0, 40.0], "eta": [0.1, 2.0], "phi": [3.0, 0.0], "mass": [5.0, 4.0]})
    >>> shifted = momenta({"pt": [50.5, 40.0], "eta": [0.1, 2.0], "phi": [3.0, 0.0], "mass": [5.0, 4.0]})
    >>> round(residuals(jets, shifted)["pt"].max_rel, 6)
    0.01
    """
    sums = ResidualSums(columns, bounds=bounds)
    sums.fill(original, restored)
    return sums.result()


class ResidualSums:
    """Residuals of jets that come in chunks: fill it chunk by chunk, add up those of several, ask for the result.

    Parameters
    ----------
    columns
        Columns to compare; by default, those that :func:`compared_columns` finds in the first chunk.
    bounds
        Bounds that were promised, by column; the same for all sums that are added up.
    """

    def __init__(
        self, columns: Iterable[str] | None = None, *, bounds: Mapping[str, Allowance] | None = None
    ) -> None:
        self._bounds = dict(bounds or {})
        self._columns: dict[str, _ColumnSums] = {}
        self.events = 0
        self.jets = 0
        self._start(columns or ())

    def _start(self, columns: Iterable[str]) -> None:
        self._columns = {name: _ColumnSums(name, self._bounds.get(name)) for name in columns}

    def fill(
        self, original: ak.Array, restored: ak.Array, bounds: Mapping[str, Allowance] | None = None
    ) -> None:
        """Count in a chunk of jets.

        Parameters
        ----------
        original, restored
            The same jets.
        bounds
            Bounds that were promised of this chunk, by column, where they are not those of the whole.

        Raises
        ------
        InputError
            If these are not the same jets, or do not have such a column.
        """
        require_same_jets(original, restored)
        if not self._columns:
            self._start(compared_columns(original, restored))
        shared = _columns(original) & _columns(restored)
        missing = [name for name in self._columns if name not in shared]
        if missing:
            raise InputError(
                f"the original and restored jets do not share a column {', '.join(missing)}; "
                f"they share {', '.join(compared_columns(original, restored))}"
            )
        for name, sums in self._columns.items():
            bound = sums.bound if bounds is None else bounds.get(name)
            sums.fill(flat_column(original, name), flat_column(restored, name), bound)
        self.events += len(original)
        self.jets += _count(original)

    def __add__(self, other: ResidualSums) -> ResidualSums:
        if not isinstance(other, ResidualSums):
            return NotImplemented
        if self._columns and other._columns and self._columns.keys() != other._columns.keys():
            raise ValueError(f"sums of other columns: {list(self._columns)} and {list(other._columns)}")
        total = ResidualSums(self._columns or other._columns, bounds=self._bounds | other._bounds)
        for part in (self, other):
            for name, sums in part._columns.items():
                total._columns[name] += sums
        total.events = self.events + other.events
        total.jets = self.jets + other.jets
        return total

    def tail(self, column: str) -> tuple[FloatArray, FloatArray]:
        """Sizes of a column's residuals, rising, and the share of the finite ones that are as large or larger."""
        return self._columns[column].sketch.absolute().tail()

    def result(self) -> Residuals:
        """The numbers of what was filled so far."""
        columns = {name: sums.result() for name, sums in self._columns.items()}
        return Residuals(jets=self.jets, events=self.events, columns=columns)


@dataclass
class _ColumnSums:
    """What :class:`ColumnResiduals` is worked out from: each number adds up without rounding."""

    name: str
    bound: Allowance | None
    finite: int = 0
    non_finite: int = 0
    violations: int = 0
    max_abs: float = -math.inf
    max_rel: float = -math.inf
    total: Fraction = Fraction(0)
    squares: Fraction = Fraction(0)
    sketch: Sketch = field(default_factory=lambda: Sketch.of(np.empty(0)))

    def fill(
        self, original: NDArray[np.generic], restored: NDArray[np.generic], bound: Allowance | None
    ) -> None:
        change = difference(self.name, original, restored)
        self.max_abs = max(self.max_abs, _largest(change))
        ratio = change if self.name in WITHOUT_RELATIVE else relative(change, original)
        if self.name not in WITHOUT_RELATIVE:
            self.max_rel = max(self.max_rel, _largest(ratio))
        if bound is not None:
            with np.errstate(invalid="ignore", over="ignore"):
                allowed = bound.allowed(np.asarray(original, np.float64))
            within = (np.abs(change) <= allowed) & ~np.isinf(np.asarray(original, np.float64))
            self.violations += int(np.count_nonzero((change != 0) & ~within))
        residual = ratio if self.name in RELATIVE else change
        finite = residual[np.isfinite(residual)]
        self.finite += finite.size
        self.non_finite += residual.size - finite.size
        self.total += _exact_sum(*np.frexp(finite))
        self.squares += _exact_sum_of_squares(finite)
        self.sketch += Sketch.of(finite)

    def __add__(self, other: _ColumnSums) -> _ColumnSums:
        return _ColumnSums(
            self.name,
            self.bound,
            finite=self.finite + other.finite,
            non_finite=self.non_finite + other.non_finite,
            violations=self.violations + other.violations,
            max_abs=max(self.max_abs, other.max_abs),
            max_rel=max(self.max_rel, other.max_rel),
            total=self.total + other.total,
            squares=self.squares + other.squares,
            sketch=self.sketch + other.sketch,
        )

    def result(self) -> ColumnResiduals:
        lower, upper = (1 - CENTRAL) / 2, (1 + CENTRAL) / 2
        some = self.finite > 0
        return ColumnResiduals(
            unit=UNITS.get(self.name, ""),
            max_abs=self.max_abs if math.isfinite(self.max_abs) else None,
            max_rel=self.max_rel if math.isfinite(self.max_rel) else None,
            mean=float(self.total / self.finite) if some else None,
            median=self.sketch.quantile(0.5) if some else None,
            std=self._std() if some else None,
            p68=(self.sketch.quantile(upper) - self.sketch.quantile(lower)) / 2 if some else None,
            p99=self.sketch.absolute().quantile(0.99) if some else None,
            violations=None if self.bound is None else self.violations,
            non_finite=self.non_finite,
        )

    def _std(self) -> float:
        mean_square = self.squares / self.finite
        # In units of the root mean square neither overflows, and the exact difference loses no digits.
        variance = mean_square - (self.total / self.finite) ** 2
        if variance <= 0:  # of equal residuals: their squares are rounded, in the last bit
            return 0.0
        scale = Fraction(2) ** (
            math.floor(math.log2(variance.numerator) - math.log2(variance.denominator)) // 2
        )
        return math.sqrt(variance / scale**2) * float(scale)


def _exact_sum(mantissas: FloatArray, exponents: NDArray[np.int32]) -> Fraction:
    """Σ mantissa · 2^exponent without rounding, for mantissas of 53 bits and |mantissa| < 1.

    The mantissas of one exponent are added up as integers, in two halves so that 2³⁶ of them fit.
    """
    if not mantissas.size:
        return Fraction(0)
    integers = (mantissas * 2.0**53).astype(np.int64)
    lowest = int(exponents.min())
    bins = exponents - lowest
    high, low = np.zeros((2, int(bins.max()) + 1), np.int64)
    np.add.at(high, bins, integers >> 26)
    np.add.at(low, bins, integers & (2**26 - 1))
    total = sum(
        ((int(upper) << 26) + int(lower)) << shift
        for shift, (upper, lower) in enumerate(zip(high, low, strict=True))
    )
    return total * Fraction(2) ** (lowest - 53)


def _exact_sum_of_squares(values: FloatArray) -> Fraction:
    """Sum without rounding of the squares, each rounded to 53 bits but of any size."""
    mantissas, exponents = np.frexp(values)
    squares, shifts = np.frexp(mantissas * mantissas)
    return _exact_sum(squares, 2 * exponents + shifts)


def _largest(values: FloatArray) -> float:
    """Largest finite absolute value, −∞ where there is none."""
    absolute = np.abs(values)
    return float(np.max(absolute, where=np.isfinite(absolute), initial=-math.inf))


def _count(jets: ak.Array) -> int:
    return len(jets) if jets.ndim == 1 else int(ak.sum(ak.num(jets)))
