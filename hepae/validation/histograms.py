"""Histograms of original jets, restored jets and residuals, filled chunk by chunk and added up.

The binning is chosen once, from a first sample of the jets, so that the histograms of all chunks have the same
axes: their sum does not depend on how the jets were cut into chunks.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import awkward as ak
import hist
import numpy as np

from hepae.errors import ConfigError
from hepae.kinematics import MOMENTUM, UNITS, flat_column
from hepae.validation.residuals import (
    RELATIVE,
    column_residual,
    compared_columns,
    require_same_jets,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

Scale = Literal["linear", "log", "circular"]

SAMPLE_JETS = 100_000
"""Jets from which a binning should be chosen: quantiles are stable, and the first chunk usually has them."""

SYMBOLS = {
    "pt": r"p_\mathrm{T}",
    "eta": r"\eta",
    "phi": r"\phi",
    "mass": "m",
    "E": "E",
}
"""The canonical columns in the field's notation, as mathematics."""

BINS_PER_DECADE = 25
LINEAR_BINS = 50
PHI_BINS = 64
RESIDUAL_BINS = 81
MIN_BINS = 20
MAX_BINS = 100

LEADING_DIGITS = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
"""Leading digits of an axis' ends."""


def value_label(column: str) -> str:
    """What a column is called on an axis, with its unit.

    >>> value_label("E")
    '$E$ [GeV]'
    """
    unit = UNITS.get(column, "")
    return _name(column) + (f" [{unit}]" if unit else "")


def residual_label(column: str) -> str:
    """What a column's residual is called on an axis: relative for pt, E and mass, with its unit for the others."""
    if column not in SYMBOLS:
        return f"{_name(column)}, restored − original"
    restored, original = (rf"{SYMBOLS[column]}^\mathrm{{{which}}}" for which in ("restored", "original"))
    if column in RELATIVE:
        return f"${restored}$ / ${original}$ − 1"
    unit = UNITS[column]
    return f"${restored}$ − ${original}$" + (f" [{unit}]" if unit else "")


def _name(column: str) -> str:
    return f"${SYMBOLS[column]}$" if column in SYMBOLS else column.replace("$", r"\$")


@dataclass(frozen=True)
class AxisBinning:
    """Equal bins between two ends: on a linear or a logarithmic scale, or around the circle."""

    bins: int
    low: float
    high: float
    scale: Scale = "linear"

    def __post_init__(self) -> None:
        if self.bins < 1 or not -math.inf < self.low < self.high < math.inf:
            raise ConfigError(
                f"an axis needs bins between two ends, not {self.bins} from {self.low} to {self.high}"
            )
        if self.scale not in get_args(Scale):
            raise ConfigError(f"no scale {self.scale!r}: it is one of {', '.join(get_args(Scale))}")
        if self.scale == "log" and self.low <= 0:
            raise ConfigError(f"a logarithmic axis cannot start at {self.low}")

    def axis(self, name: str, label: str) -> hist.axis.Regular:
        """As hist's axis. A circular one has no ends to be beyond; what is not finite counts as beyond each."""
        return hist.axis.Regular(
            self.bins,
            self.low,
            self.high,
            name=name,
            label=label,
            circular=self.scale == "circular",
            transform=hist.axis.transform.log if self.scale == "log" else None,
        )


@dataclass(frozen=True)
class ColumnBinning:
    """Binning of one column's values and of its residual."""

    value: AxisBinning
    residual: AxisBinning


@dataclass(frozen=True)
class Binning:
    """Binning of every compared column, by name. Choose it once (:meth:`choose`) and use it for all chunks."""

    columns: Mapping[str, ColumnBinning]

    @classmethod
    def choose(cls, original: ak.Array, restored: ak.Array, columns: Sequence[str] | None = None) -> Binning:
        """Fit the axes to a sample of the jets, the first :data:`SAMPLE_JETS` of them for instance.

        pt, mass and E get logarithmic axes between round numbers, eta a symmetric one, phi the circle; integers
        get bins around integers, any other column equal bins over its central 99.8 %. Residual axes are
        symmetric and end at 1.3 times the 99.5 % quantile of |residual|, rounded up.

        Parameters
        ----------
        original, restored
            The same jets, in lists per event or flat.
        columns
            Columns to compare; by default, those of :func:`hepae.validation.residuals.compared_columns`.

        Raises
        ------
        InputError
            If these are not the same jets.
        """
        require_same_jets(original, restored)
        chosen = {}
        for name in columns or compared_columns(original, restored):
            before, after = flat_column(original, name), flat_column(restored, name)
            residual = column_residual(name, before, after)
            integers = before.dtype.kind in "biu"
            chosen[name] = ColumnBinning(
                _value_binning(name, _sane(before), integers=integers),
                _residual_binning(_sane(residual), integers=integers),
            )
        return cls(chosen)

    def to_config(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {name: asdict(column) for name, column in self.columns.items()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Binning:
        """Inverse of :meth:`to_config`."""
        return cls(
            {
                name: ColumnBinning(AxisBinning(**axes["value"]), AxisBinning(**axes["residual"]))
                for name, axes in config.items()
            }
        )


class ComparisonHistograms:
    """One histogram of the original values, the restored ones and the residual for each column.

    Entries beyond an axis are counted in its underflow and overflow, those that are not finite too.

    Attributes
    ----------
    original, restored, residual
        ``hist.Hist`` by column, all of the same binning.
    """

    def __init__(self, binning: Binning) -> None:
        self.binning = binning
        self.original: dict[str, hist.Hist] = {}
        self.restored: dict[str, hist.Hist] = {}
        self.residual: dict[str, hist.Hist] = {}
        for name, column in binning.columns.items():
            value = column.value.axis(name, value_label(name))
            residual = column.residual.axis(f"{name}_residual", residual_label(name))
            # Counts in doubles are exact up to 2⁵³, and take weights.
            self.original[name] = hist.Hist(value, storage=hist.storage.Double(), label="Jets")
            self.restored[name] = hist.Hist(value, storage=hist.storage.Double(), label="Jets")
            self.residual[name] = hist.Hist(residual, storage=hist.storage.Double(), label="Jets")

    def fill(self, original: ak.Array, restored: ak.Array, weight: Any = None) -> None:
        """Count in a chunk of jets.

        Parameters
        ----------
        original, restored
            The same jets, in lists per event or flat.
        weight
            One weight an event or one a jet; 1 by default.

        Raises
        ------
        InputError
            If these are not the same jets.
        """
        require_same_jets(original, restored)
        if weight is not None:
            weight = ak.broadcast_arrays(weight, original["pt"])[0]
            weight = np.asarray(ak.flatten(weight, axis=None), np.float64)
        for name, column in self.binning.columns.items():
            before, after = flat_column(original, name), flat_column(restored, name)
            self.original[name].fill(_fillable(before, column.value), weight=weight)
            self.restored[name].fill(_fillable(after, column.value), weight=weight)
            self.residual[name].fill(column_residual(name, before, after), weight=weight)

    def __add__(self, other: ComparisonHistograms) -> ComparisonHistograms:
        if not isinstance(other, ComparisonHistograms):
            return NotImplemented
        if self.binning != other.binning:
            raise ValueError("histograms of different binning do not add up")
        total = ComparisonHistograms(self.binning)
        for name in self.binning.columns:
            total.original[name] = self.original[name] + other.original[name]
            total.restored[name] = self.restored[name] + other.restored[name]
            total.residual[name] = self.residual[name] + other.residual[name]
        return total


def _fillable(values: NDArray[np.generic], binning: AxisBinning) -> FloatArray:
    """Values as they are filled: on a logarithmic axis, all that are not positive count as below it."""
    filled: FloatArray = np.asarray(values, np.float64)
    return np.where(filled < 0, 0.0, filled) if binning.scale == "log" else filled


def _sane(values: NDArray[np.generic]) -> FloatArray:
    """What an axis can be fitted to: finite, with room for rounding up."""
    sample: FloatArray = np.asarray(values, np.float64)
    return sample[np.abs(sample) < 1e300]


def _value_binning(name: str, values: FloatArray, *, integers: bool) -> AxisBinning:
    if name == "phi":
        return AxisBinning(PHI_BINS, -math.pi, math.pi, "circular")
    if name == "eta":
        return _eta_binning(values)
    if name in MOMENTUM:
        return _log_binning(values[values > 0])
    if not values.size:
        return AxisBinning(1, 0.0, 1.0)
    if integers:
        return _integer_binning(values.min(), values.max())
    return _linear_binning(values)


def _eta_binning(values: FloatArray) -> AxisBinning:
    reach = float(np.quantile(np.abs(values), 0.999)) if values.size else 5.0
    end = 0.5 * max(math.ceil(2 * reach), 1)
    width = 0.1 if end <= 2.5 else 0.2
    return AxisBinning(min(round(2 * end / width), MAX_BINS), -end, end)


def _log_binning(values: FloatArray) -> AxisBinning:
    if not values.size:
        return AxisBinning(BINS_PER_DECADE, 1.0, 10.0, "log")
    least, most = np.quantile(values, [0.001, 0.999]).tolist()
    low = _round(max(least, 1e-6 * most), down=True)
    # Up to the largest value, but not for a single absurd one.
    high = max(_round(min(float(values.max()), 10 * most)), 2 * low)
    bins = round(BINS_PER_DECADE * math.log10(high / low))
    return AxisBinning(min(max(bins, MIN_BINS), MAX_BINS), low, high, "log")


def _linear_binning(values: FloatArray) -> AxisBinning:
    least, most = np.quantile(values, [0.001, 0.999]).tolist()
    margin = max(0.05 * (most - least), 1e-9 * abs(most)) if most > least else 0.1 * abs(most) or 1.0
    decimals = -math.floor(math.log10(margin))
    low = round(least - margin, decimals)
    if values.min() >= 0:
        low = max(low, 0.0)
    return AxisBinning(LINEAR_BINS, low, round(most + margin, decimals))


def _integer_binning(least: float, most: float) -> AxisBinning:
    """Bins around the integers from least to most, several in a bin where there are too many."""
    width = math.ceil((most - least + 1) / MAX_BINS)
    bins = math.ceil((most - least + 1) / width)
    return AxisBinning(bins, float(least) - 0.5, float(least) - 0.5 + bins * width)


def _residual_binning(residuals: FloatArray, *, integers: bool) -> AxisBinning:
    reach = float(np.quantile(np.abs(residuals), 0.995)) if residuals.size else 0.0
    if integers:
        return _integer_binning(-max(1, round(reach)), max(1, round(reach)))
    # Where nothing changed at all, some axis is needed to show just that.
    end = _round(1.3 * reach) if reach > 0 else 1e-3
    return AxisBinning(RESIDUAL_BINS, -end, end)


def _round(value: float, *, down: bool = False) -> float:
    """Up, or down, to the next number that starts with one of ``LEADING_DIGITS``."""
    exponent = math.floor(math.log10(value))
    candidates = [
        float(f"{digits}e{power}") for power in (exponent - 1, exponent) for digits in LEADING_DIGITS
    ]
    if down:
        return max(number for number in candidates if number <= value)
    return min(number for number in candidates if number >= value)
