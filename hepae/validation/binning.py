"""Axes of histograms, fitted to a first sample of the jets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self, get_args

import hist
import numpy as np

from hepae.errors import ConfigError
from hepae.kinematics import MOMENTUM, column_residual, flat_column
from hepae.validation.residuals import (
    compared_columns,
    require_same_jets,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import awkward as ak
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]


Scale = Literal["linear", "log", "circular"]


BINS_PER_DECADE = 25


LINEAR_BINS = 50


PHI_BINS = 64


RESIDUAL_BINS = 81


BOUND_BIN = 27
"""Bins of a residual's axis between the middle one and the one that begins at the bound."""


MIN_BINS = 20


MAX_BINS = 100


PROFILE_RESIDUAL_BINS = 801


LATENT_PT_BINS = 40


MASS_FLOOR = 1.0
"""Mass in GeV below which a relative residual says nothing."""


LEADING_DIGITS = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
"""Leading digits of an axis' ends."""


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
            raise ConfigError(f"no scale {self.scale!r}; choose one of {', '.join(get_args(Scale))}")
        if self.scale == "log" and self.low <= 0:
            raise ConfigError(f"a logarithmic axis cannot start at {self.low}")

    def coarse(self, bins: int) -> AxisBinning:
        """Give the same axis with no more bins than these."""
        return AxisBinning(min(bins, self.bins), self.low, self.high, self.scale)

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
    """Binning of one column's values, of its residual, and of its residual where that is taken in bins of another column.

    ``profiled`` reaches further than ``residual`` and is finer, for the quantiles of the bins where residuals are largest
    and smallest. Histograms of residuals leave out jets whose original value is below ``floor``.
    """

    value: AxisBinning
    residual: AxisBinning
    profiled: AxisBinning
    floor: float | None = None


@dataclass(frozen=True)
class Binning:
    """Binning of every compared column, by name. Choose it once (:meth:`choose`) and use it for all chunks."""

    columns: Mapping[str, ColumnBinning]
    threshold: float | None = None
    """pt in GeV that an efficiency is looked at for."""

    @classmethod
    def choose(
        cls,
        original: ak.Array,
        restored: ak.Array,
        columns: Sequence[str] | None = None,
        *,
        bounds: Mapping[str, float] | None = None,
    ) -> Binning:
        """Fit the axes to a sample of the jets.

        pt, mass and E get logarithmic axes between round numbers, eta a symmetric one, phi the circle; integers
        get bins around integers, any other column equal bins over its central 99.8 %. Residual axes are
        symmetric and end at 1.3 times the 99.5 % quantile of |residual|, rounded up; where a bound is given and reached, the
        bins end at it. Residuals of the mass leave out jets below :data:`MASS_FLOOR` where most jets are above it: a
        relative error says nothing of a mass that is nearly zero. The threshold of pt is a round number near the median.

        Parameters
        ----------
        original, restored
            The same jets, in lists per event or flat.
        columns
            Columns to compare; by default, those of :func:`hepae.validation.residuals.compared_columns`.
        bounds
            Largest residual that was promised, by column, where it is the same for every jet.

        Raises
        ------
        InputError
            If these are not the same jets.
        """
        require_same_jets(original, restored)
        chosen = {}
        for name in columns or compared_columns(original, restored):
            before, after = flat_column(original, name), flat_column(restored, name)
            residual, floor = column_residual(name, before, after), None
            values = np.asarray(before, np.float64)
            if name == "mass" and values.size and np.median(values) > MASS_FLOOR:
                residual, floor = residual[values >= MASS_FLOOR], MASS_FLOOR
            residual = fit_sample(residual)
            integers = before.dtype.kind in "biu"
            chosen[name] = ColumnBinning(
                _value_binning(name, fit_sample(before), integers=integers),
                _residual_binning(residual, (bounds or {}).get(name), integers=integers),
                AxisBinning(PROFILE_RESIDUAL_BINS, -(end := _residual_end(residual, 4)), end),
                floor,
            )
        pt = fit_sample(flat_column(original, "pt")) if "pt" in chosen else np.empty(0)
        return cls(chosen, round_median(pt, 30.0) if pt.size else None)


@dataclass(frozen=True)
class LatentBinning:
    """Axes of the latents, by name, and of the pt in GeV that colours them."""

    latents: Mapping[str, AxisBinning]
    pt: AxisBinning

    @classmethod
    def choose(cls, latents: ak.Array, original: ak.Array) -> Self:
        """Fit the axes to a sample: records of latents, and the jets that they were made of."""
        axes = {}
        for name in latents.fields:
            values = flat_column(latents, name)
            if values.dtype.kind in "biu" and values.size:
                axes[name] = _integer_binning(float(values.min()), float(values.max()), LINEAR_BINS)
            else:
                sample = fit_sample(values)
                axes[name] = _linear_binning(sample) if sample.size else AxisBinning(1, 0.0, 1.0)
        pt = fit_sample(flat_column(original, "pt"))
        return cls(axes, log_binning(pt[pt > 0]).coarse(LATENT_PT_BINS))


def fit_sample(values: NDArray[np.generic]) -> FloatArray:
    """What an axis can be fitted to: finite, with room for rounding up."""
    sample: FloatArray = np.asarray(values, np.float64)
    return sample[np.abs(sample) < 1e300]


def _value_binning(name: str, values: FloatArray, *, integers: bool) -> AxisBinning:
    if name == "phi":
        return AxisBinning(PHI_BINS, -math.pi, math.pi, "circular")
    if name == "eta":
        return _eta_binning(values)
    if name in MOMENTUM:
        return log_binning(values[values > 0])
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


def log_binning(values: FloatArray) -> AxisBinning:
    """Logarithmic axis between round numbers for a sample of positive values."""
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


def _integer_binning(least: float, most: float, most_bins: int = MAX_BINS) -> AxisBinning:
    """Bins around the integers from least to most, several in a bin where there are too many, or float64 does not tell them apart."""
    margin = max(0.5, float(np.spacing(max(abs(least), abs(most)))))
    reach = most - least + 2 * margin
    width = math.ceil(max(reach / most_bins, 2 * margin))
    bins = math.ceil(reach / width)
    return AxisBinning(bins, float(least) - margin, float(least) - margin + bins * width)


def _residual_binning(residuals: FloatArray, bound: float | None, *, integers: bool) -> AxisBinning:
    reach = _reach(residuals)
    if integers:
        reach = max(1, round(reach))
        return _integer_binning(-reach, reach)
    if bound and 0.5 * bound < reach <= 1.2 * bound:
        end = RESIDUAL_BINS / (2 * BOUND_BIN + 1) * bound
        return AxisBinning(RESIDUAL_BINS, -end, end)
    end = _residual_end(residuals, 1.3)
    return AxisBinning(RESIDUAL_BINS, -end, end)


def _residual_end(residuals: FloatArray, margin: float) -> float:
    """Where a residual's axis ends; where nothing changed at all, some axis is needed to show just that."""
    reach = _reach(residuals)
    return _round(margin * reach) if reach > 0 else 1e-3


def _reach(residuals: FloatArray) -> float:
    return float(np.quantile(np.abs(residuals), 0.995)) if residuals.size else 0.0


def round_median(values: FloatArray, otherwise: float) -> float:
    """A round number at or below the median."""
    positive = values[values > 0]
    return _round(float(np.median(positive)), down=True) if positive.size else otherwise


def nearest_round(values: FloatArray) -> FloatArray:
    """Nearest number to each positive value that starts with one of :data:`LEADING_DIGITS`, by ratio; 1 for any other value.

    >>> nearest_round(np.array([19.0, 23.0, 0.71])).tolist()
    [20.0, 25.0, 0.8]
    """
    some = np.isfinite(values) & (values > 0)
    usual = np.where(some, values, 1.0)
    digits = np.array(LEADING_DIGITS)
    powers = np.floor(np.log10(usual)).astype(np.int64)
    mantissas = usual / 10.0**powers
    places = np.searchsorted(np.sqrt(digits[1:] * digits[:-1]), mantissas)
    # Divided by a power of ten where that is the number as it is written: 0.8, and not 0.8000000000000001.
    rounded: FloatArray = np.where(
        powers >= 0, digits[places] * 10.0**powers, digits[places] / 10.0 ** (-powers)
    )
    return rounded


def _round(value: float, *, down: bool = False) -> float:
    """Up, or down, to the next number that starts with one of ``LEADING_DIGITS``."""
    exponent = math.floor(math.log10(value))
    candidates = [
        float(f"{digits}e{power}") for power in (exponent - 1, exponent) for digits in LEADING_DIGITS
    ]
    if down:
        return max(number for number in candidates if number <= value)
    return min(number for number in candidates if number >= value)
