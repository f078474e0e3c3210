"""Histograms of original jets, restored jets and residuals, filled chunk by chunk and added up.

The binning is chosen once, from a first sample of the jets, so that the histograms of all chunks have the same
axes: their sum does not depend on how the jets were cut into chunks. All contents are counts or maxima, which add up
without rounding; sums of weights do so to the last bits.

Weights are of the spectra alone, which have the sum of their squares for an error. Residuals describe what was done to the jets, and
count every jet once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

import awkward as ak
import hist
import numpy as np

from hepae.errors import ConfigError, InputError
from hepae.kinematics import MOMENTUM, RELATIVE, UNITS, column_residual, flat_column, momenta
from hepae.validation.residuals import (
    compared_columns,
    require_same_jets,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

Scale = Literal["linear", "log", "circular"]

SYMBOLS = {
    "pt": r"p_\mathrm{T}",
    "eta": r"\eta",
    "phi": r"\phi",
    "mass": "m",
    "E": "E",
}
"""The canonical columns in the field's notation, as mathematics."""

PROFILED = ("pt", "eta", "phi", "mass")
"""Columns whose residuals are looked at against pt and eta, against each other, and over eta and phi."""

ETA_CUT = 2.5
"""Largest |eta| in the cut-flow: where the trackers of ATLAS and CMS end."""

BINS_PER_DECADE = 25
LINEAR_BINS = 50
PHI_BINS = 64
RESIDUAL_BINS = 81
BOUND_BIN = 27
"""Bins of a residual's axis between the middle one and the one that begins at the bound."""

MIN_BINS = 20
MAX_BINS = 100
PROFILE_BINS = 24
PROFILE_RESIDUAL_BINS = 801
CORRELATION_BINS = 41
MAP_BINS = (45, 32)
LATENT_PT_BINS = 40
MULTIPLICITY_MAX = 15

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


def change_label(column: str) -> str:
    """Short for :func:`residual_label`, where there is little room; its unit is :func:`residual_unit`."""
    name = _name(column)
    return f"Δ{name} / {name}" if column in RELATIVE else f"Δ{name}"


def residual_unit(column: str) -> str:
    """Unit of a column's residual: none where it is relative."""
    return "" if column in RELATIVE else UNITS.get(column, "")


def literal(name: str) -> str:
    r"""Give a name from a file as figures show it letter for letter: a dollar begins no mathematics.

    matplotlib leaves out of legends what begins with an underscore.

    >>> literal("a$^$x"), literal("_b")
    ('a\\$^\\$x', ' _b')
    """
    return (" " if name.startswith("_") else "") + name.replace("$", r"\$")


def _name(column: str) -> str:
    return f"${SYMBOLS[column]}$" if column in SYMBOLS else literal(column)


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
    and smallest.
    """

    value: AxisBinning
    residual: AxisBinning
    profiled: AxisBinning


@dataclass(frozen=True)
class Binning:
    """Binning of every compared column, by name. Choose it once (:meth:`choose`) and use it for all chunks."""

    columns: Mapping[str, ColumnBinning]

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
        bins end at it.

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
            residual = _sane(column_residual(name, before, after))
            integers = before.dtype.kind in "biu"
            chosen[name] = ColumnBinning(
                _value_binning(name, _sane(before), integers=integers),
                _residual_binning(residual, (bounds or {}).get(name), integers=integers),
                AxisBinning(PROFILE_RESIDUAL_BINS, -(end := _residual_end(residual, 4)), end),
            )
        return cls(chosen)


class ComparisonHistograms:
    r"""Histograms of each column, and of the residuals of those in :data:`PROFILED` against other columns.

    Entries beyond an axis are counted in its underflow and overflow, those that are not finite too.

    Attributes
    ----------
    original, restored
        ``hist.Hist`` by column: entries, or sums of their weights, each with its variance.
    residual
        ``hist.Hist`` by column: entries.
    against
        ``hist.Hist`` by column and "pt" or "eta": entries in bins of the original pt or eta, and of the residual.
    correlation
        ``hist.Hist`` by two columns: entries in bins of the residual of each.
    largest
        ``hist.Hist`` by column: the largest \\|residual\\| in bins of the original eta and phi, 0 where there is no jet.
    """

    def __init__(self, binning: Binning) -> None:
        self.binning = binning
        self.original: dict[str, hist.Hist] = {}
        self.restored: dict[str, hist.Hist] = {}
        self.residual: dict[str, hist.Hist] = {}
        self.against: dict[tuple[str, str], hist.Hist] = {}
        self.correlation: dict[tuple[str, str], hist.Hist] = {}
        self.largest: dict[str, hist.Hist] = {}
        for name, column in binning.columns.items():
            value = column.value.axis(name, value_label(name))
            residual = column.residual.axis(f"{name}_residual", residual_label(name))
            self.original[name] = _spectrum(value, "Jets")
            self.restored[name] = _spectrum(value, "Jets")
            self.residual[name] = _counts(residual)
        profiled = [name for name in PROFILED if name in binning.columns]
        for name in profiled:
            residual = binning.columns[name].profiled.axis(f"{name}_residual", residual_label(name))
            for other in ("pt", "eta"):
                if other in binning.columns:
                    value = binning.columns[other].value.coarse(PROFILE_BINS).axis(other, value_label(other))
                    self.against[name, other] = _counts(value, residual)
        coarse = {
            name: binning.columns[name]
            .residual.coarse(CORRELATION_BINS)
            .axis(f"{name}_residual", residual_label(name))
            for name in profiled
        }
        for one, other in combinations(profiled, 2):
            self.correlation[one, other] = _counts(coarse[one], coarse[other])
        if {"eta", "phi"} <= binning.columns.keys():
            eta = binning.columns["eta"].value.coarse(MAP_BINS[0]).axis("eta", value_label("eta"))
            phi = AxisBinning(MAP_BINS[1], -math.pi, math.pi, "circular").axis("phi", value_label("phi"))
            for name in profiled:
                self.largest[name] = _counts(eta, phi, label=change_label(name))

    def fill(self, original: ak.Array, restored: ak.Array, weight: Any = None) -> None:
        """Count in a chunk of jets.

        Parameters
        ----------
        original, restored
            The same jets, in lists per event or flat.
        weight
            One weight an event or one a jet; 1 by default. Spectra are filled with it; residuals count every jet once.

        Raises
        ------
        InputError
            If these are not the same jets, or the weights are not theirs or not finite.
        """
        require_same_jets(original, restored)
        weights = None if weight is None else _weights(weight, original[original.fields[0]])
        values, residuals = {}, {}
        for name, column in self.binning.columns.items():
            before, after = flat_column(original, name), flat_column(restored, name)
            residual = column_residual(name, before, after)
            before = _fillable(before, column.value)
            self.original[name].fill(before, weight=weights)
            self.restored[name].fill(_fillable(after, column.value), weight=weights)
            self.residual[name].fill(residual)
            if name in PROFILED:
                values[name], residuals[name] = before, residual
        for (name, other), histogram in self.against.items():
            histogram.fill(values[other], residuals[name])
        for (name, other), histogram in self.correlation.items():
            histogram.fill(residuals[name], residuals[other])
        if self.largest:
            axes = next(iter(self.largest.values())).axes
            phi = flat_column(original, "phi")
            # Hist counts from the first bin, its view from the underflow; a circle has none.
            cells = axes[0].index(values["eta"]) + 1, axes[1].index(np.where(np.isfinite(phi), phi, 0.0))
            shape = next(iter(self.largest.values())).view(flow=True).shape
            flat = np.ravel_multi_index(cells, shape)  # many times faster than a pair of indices
            for name, histogram in self.largest.items():
                residual = np.abs(residuals[name])
                most = np.zeros(math.prod(shape))
                np.maximum.at(most, flat, np.where(np.isfinite(residual), residual, 0))
                view = histogram.view(flow=True)
                np.maximum(view, most.reshape(shape), out=view)

    def __add__(self, other: ComparisonHistograms) -> ComparisonHistograms:
        if not isinstance(other, ComparisonHistograms):
            return NotImplemented
        if self.binning != other.binning:
            raise ValueError("histograms of different binning do not add up")
        total = ComparisonHistograms(self.binning)
        for kind in ("original", "restored", "residual", "against", "correlation"):
            _add(getattr(total, kind), getattr(self, kind), getattr(other, kind))
        for name, histogram in total.largest.items():
            np.maximum(
                self.largest[name].view(flow=True),
                other.largest[name].view(flow=True),
                out=histogram.view(flow=True),
            )
        return total


@dataclass(frozen=True)
class EventBinning:
    r"""Binning and cuts of what is looked at event by event. Choose it once (:meth:`choose`) and use it for all chunks.

    Parameters
    ----------
    leading_pt, dijet_mass
        Axes in GeV.
    pt
        Smallest pt in GeV of the jets that are counted, and of the leading jet in the cut-flow.
    eta
        Largest \\|eta\\| in the cut-flow.
    mass
        Smallest dijet mass in GeV in the cut-flow.
    """

    leading_pt: AxisBinning
    dijet_mass: AxisBinning
    pt: float
    eta: float
    mass: float

    @classmethod
    def choose(cls, original: ak.Array) -> Self:
        """Fit axes and cuts to a sample of jets in lists per event; cuts are round numbers near the medians."""
        events = _Events.of(original)
        leading, mass = (_sane(values) for values in (events.leading_pt, events.dijet_mass))
        pt = _sane(flat_column(original, "pt"))
        return cls(
            _log_binning(leading[leading > 0]),
            _log_binning(mass[mass > 0]),
            pt=_median(pt, 30.0),
            eta=ETA_CUT,
            mass=_median(mass, 100.0),
        )

    @property
    def cuts(self) -> tuple[str, ...]:
        """Names of the cuts, each after the one before."""
        return (
            "All events",
            "≥ 2 jets",
            rf"$p_\mathrm{{T}}^{{1}}$ > {self.pt:g} GeV",
            rf"$|\eta^{{1,2}}|$ < {self.eta:g}",
            rf"$m_{{jj}}$ > {self.mass:g} GeV",
        )


@dataclass(frozen=True)
class EventPair:
    """A spectrum of the original events and one of the restored ones, of the same axis."""

    original: hist.Hist
    restored: hist.Hist


class EventHistograms:
    """What an analysis sees of an event's jets: how many, the leading one, the leading two, and a cut-flow.

    In each of original and restored jets the leading ones are those of largest pt there, as an analysis would choose.

    Attributes
    ----------
    multiplicity
        Jets above the binning's pt.
    leading_pt, dijet_mass
        Of the events with one or two jets.
    cut_flow
        Events that pass each cut, in the original, the restored and both: two category axes.
    """

    def __init__(self, binning: EventBinning) -> None:
        self.binning = binning
        multiplicity = AxisBinning(MULTIPLICITY_MAX + 1, -0.5, MULTIPLICITY_MAX + 0.5)
        axes = {
            "multiplicity": multiplicity.axis(
                "multiplicity", rf"Jets with $p_\mathrm{{T}}$ > {binning.pt:g} GeV"
            ),
            "leading_pt": binning.leading_pt.axis("leading_pt", r"Leading jet's $p_\mathrm{T}$ [GeV]"),
            "dijet_mass": binning.dijet_mass.axis("dijet_mass", r"$m_{jj}$ of the two leading jets [GeV]"),
        }
        self.pairs = {
            name: EventPair(_spectrum(axis, "Events"), _spectrum(axis, "Events"))
            for name, axis in axes.items()
        }
        self.cut_flow = _counts(
            hist.axis.StrCategory(binning.cuts, name="cut", label=""),
            hist.axis.StrCategory(["original", "restored", "both"], name="passing"),
            label="Events",
        )

    def fill(self, original: ak.Array, restored: ak.Array, weight: Any = None) -> None:
        """Count in a chunk of events.

        Parameters
        ----------
        original, restored
            The same jets, in lists per event.
        weight
            One weight an event; 1 by default.

        Raises
        ------
        InputError
            If these are not the same jets, or the weights are not theirs or not finite.
        """
        require_same_jets(original, restored)
        before, after = _Events.of(original), _Events.of(restored)
        weights = None if weight is None else _weights(weight, before.counts)
        for name, pair in self.pairs.items():
            for histogram, events in ((pair.original, before), (pair.restored, after)):
                if name == "multiplicity":
                    histogram.fill(events.jets_above(self.binning.pt), weight=weights)
                else:
                    values = getattr(events, name)
                    some = ~np.isnan(values)
                    histogram.fill(values[some], weight=None if weights is None else weights[some])
        view = self.cut_flow.view()
        passing = before.passing(self.binning), after.passing(self.binning)
        for i, (one, other) in enumerate(zip(*passing, strict=True)):
            for j, selected in enumerate((one, other, one & other)):
                view[i, j] += selected.sum() if weights is None else weights[selected].sum()

    def __add__(self, other: EventHistograms) -> EventHistograms:
        if not isinstance(other, EventHistograms):
            return NotImplemented
        if self.binning != other.binning:
            raise ValueError("histograms of different binning do not add up")
        total = EventHistograms(self.binning)
        for name in total.pairs:
            one, another = self.pairs[name], other.pairs[name]
            total.pairs[name] = EventPair(one.original + another.original, one.restored + another.restored)
        total.cut_flow = self.cut_flow + other.cut_flow
        return total


@dataclass(frozen=True)
class _Events:
    """Events by their two leading jets; NaN where there are too few jets."""

    pt: FloatArray
    counts: IntArray
    leading_pt: FloatArray
    leading_eta: FloatArray
    """Shape (2, events)."""
    dijet_mass: FloatArray

    @classmethod
    def of(cls, jets: ak.Array) -> _Events:
        counts = ak.to_numpy(ak.num(jets)).astype(np.int64)
        columns = {
            name: np.asarray(flat_column(jets, name), np.float64) for name in ("pt", "eta", "phi", "mass")
        }
        first, second = _two_leading(columns["pt"], counts)
        two = second >= 0
        pair = (
            momenta({name: values[chosen[two]] for name, values in columns.items()})
            for chosen in (first, second)
        )
        one, other = pair
        mass = np.full(len(counts), np.nan)
        mass[two] = ak.to_numpy((one + other).mass)
        eta = np.full((2, len(counts)), np.nan)
        leading = np.full(len(counts), np.nan)
        leading[first >= 0] = columns["pt"][first[first >= 0]]
        for row, chosen in zip(eta, (first, second), strict=True):
            row[chosen >= 0] = columns["eta"][chosen[chosen >= 0]]
        return cls(columns["pt"], counts, leading, eta, mass)

    def jets_above(self, pt: float) -> IntArray:
        passing = np.append(0, np.cumsum(self.pt > pt))
        ends = np.cumsum(self.counts)
        counted: IntArray = passing[ends] - passing[ends - self.counts]
        return counted

    def passing(self, cuts: EventBinning) -> list[NDArray[np.bool_]]:
        """Whether an event passes each cut and those before."""
        steps = (
            self.counts >= 2,
            self.leading_pt > cuts.pt,
            (np.abs(self.leading_eta) < cuts.eta).all(axis=0),
            self.dijet_mass > cuts.mass,
        )
        passed = [np.ones(len(self.counts), bool)]
        for step in steps:
            passed.append(passed[-1] & step)
        return passed


def _two_leading(pt: FloatArray, counts: IntArray) -> tuple[IntArray, IntArray]:
    """Positions of the two jets of largest pt of each event, −1 where there is none; the first of equal ones."""
    left = np.where(np.isnan(pt), -np.inf, pt)
    starts = np.cumsum(counts) - counts
    some = np.flatnonzero(counts)
    chosen = np.full((2, len(counts)), -1, np.int64)
    if some.size:
        for rank in range(2):
            largest = np.maximum.reduceat(left, starts[some])
            position = np.flatnonzero(left == np.repeat(largest, counts[some]))
            event = np.searchsorted(starts[some], position, side="right") - 1
            position = position[np.append(True, event[1:] != event[:-1])]
            chosen[rank, some] = position
            left[position] = -np.inf
    chosen[1, counts < 2] = -1
    return chosen[0], chosen[1]


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
                sample = _sane(values)
                axes[name] = _linear_binning(sample) if sample.size else AxisBinning(1, 0.0, 1.0)
        pt = _sane(flat_column(original, "pt"))
        return cls(axes, _log_binning(pt[pt > 0]).coarse(LATENT_PT_BINS))


class LatentHistograms:
    """What a network makes of jets.

    Attributes
    ----------
    single
        ``hist.Hist`` by latent: entries.
    pairs
        ``hist.Hist`` by two latents: entries in bins of each and of the original pt.
    """

    def __init__(self, binning: LatentBinning) -> None:
        self.binning = binning
        axes = {name: axis.axis(name, _name(name)) for name, axis in binning.latents.items()}
        pt = binning.pt.axis("pt", value_label("pt"))
        self.single = {name: _counts(axis) for name, axis in axes.items()}
        # A matrix of more than four latents shows nothing.
        self.pairs = {
            (one, other): _counts(axes[one], axes[other], pt)
            for one, other in combinations(list(axes)[:4], 2)
        }

    def fill(self, latents: ak.Array, original: ak.Array) -> None:
        """Count in a chunk of latents and of the jets that they were made of."""
        values = {name: np.asarray(flat_column(latents, name), np.float64) for name in latents.fields}
        pt = _fillable(flat_column(original, "pt"), self.binning.pt)
        for name, histogram in self.single.items():
            histogram.fill(values[name])
        for (one, other), histogram in self.pairs.items():
            histogram.fill(values[one], values[other], pt)

    def __add__(self, other: LatentHistograms) -> LatentHistograms:
        if not isinstance(other, LatentHistograms):
            return NotImplemented
        if self.binning != other.binning:
            raise ValueError("histograms of different binning do not add up")
        total = LatentHistograms(self.binning)
        _add(total.single, self.single, other.single)
        _add(total.pairs, self.pairs, other.pairs)
        return total


def _spectrum(axis: Any, label: str) -> hist.Hist:
    """An empty histogram that knows the error of its contents, with weights too."""
    return hist.Hist(axis, storage=hist.storage.Weight(), label=label)


def _weights(weight: Any, entries: Any) -> FloatArray:
    """One weight an entry: given as such, or one for each list of them."""
    try:
        given = np.asarray(ak.flatten(weight, axis=None), np.float64)
        flat: FloatArray = np.asarray(
            ak.flatten(ak.broadcast_arrays(weight, entries)[0], axis=None), np.float64
        )
    except (TypeError, ValueError):
        given = flat = np.empty(0)
    if len(flat) != ak.count(entries, axis=None):
        raise InputError(f"weights are one number an event or one a jet, not {ak.type(ak.Array(weight))}")
    wrong = np.count_nonzero(~np.isfinite(given))
    if wrong:
        raise InputError(
            f"{wrong} of {len(given)} weights are not finite: leave those events out, or the weights"
        )
    return flat


def _counts(*axes: Any, label: str = "Jets") -> hist.Hist:
    """An empty histogram. Counts in doubles are exact up to 2⁵³."""
    return hist.Hist(*axes, storage=hist.storage.Double(), label=label)


def _add(total: dict[Any, hist.Hist], one: dict[Any, hist.Hist], other: dict[Any, hist.Hist]) -> None:
    for name in total:
        total[name] = one[name] + other[name]


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


def _median(values: FloatArray, otherwise: float) -> float:
    """A round number at or below the median."""
    positive = values[values > 0]
    return _round(float(np.median(positive)), down=True) if positive.size else otherwise


def _round(value: float, *, down: bool = False) -> float:
    """Up, or down, to the next number that starts with one of ``LEADING_DIGITS``."""
    exponent = math.floor(math.log10(value))
    candidates = [
        float(f"{digits}e{power}") for power in (exponent - 1, exponent) for digits in LEADING_DIGITS
    ]
    if down:
        return max(number for number in candidates if number <= value)
    return min(number for number in candidates if number >= value)
