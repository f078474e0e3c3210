"""Histograms of original jets, restored jets and residuals, filled chunk by chunk and added up.

The binning is chosen once, from a first sample of the jets, so that the histograms of all chunks have the same
axes: their sum does not depend on how the jets were cut into chunks. All contents are counts or maxima, which add up
without rounding; sums of weights do so to the last bits.

Weights are of the spectra alone, which have the sum of their squares for an error. Residuals describe what was done to the jets, and
count every jet once.
"""

from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING, Any

import awkward as ak
import hist
import numpy as np

from hepae.errors import InputError
from hepae.kinematics import CENTRAL, UNITS, column_residual, flat_column
from hepae.validation.binning import AxisBinning, Binning, ColumnBinning, LatentBinning, nearest_round
from hepae.validation.labels import SYMBOLS, change_label, column_symbol, residual_label, value_label
from hepae.validation.residuals import ResidualSums, require_same_jets

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]


PROFILED = ("pt", "eta", "phi", "mass")
"""Columns whose residuals are looked at against pt and eta, against each other, and over eta and phi."""


PROFILE_BINS = 24
CORRELATION_BINS = 41
NEAR_BINS = 16
ETA_PROFILE_BINS = 16
ETA_EDGES = (0.0, 0.8, 1.3, 2.5, 5.0)
"""Bins of |eta|: the barrel, its end, the end of the trackers, and the forward calorimeters."""
MAP_BINS = (45, 32)


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
    by_eta
        Entries in bins of the original \\|eta\\|, of its pt and of the residual of pt; None where there is no eta.
    turn_on
        Entries by the original pt, and whether the restored pt is above the binning's threshold: "wide" around it; and "near"
        by original / threshold − 1, as far as residuals reach, for the nearest of all round thresholds.
    above
        Residuals of the columns with a floor, of the jets above it.
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
            residual = column.residual.axis(f"{name}_residual", _residual_label(name, column))
            self.original[name] = empty_spectrum(value, "Jets")
            self.restored[name] = empty_spectrum(value, "Jets")
            self.residual[name] = empty_counts(residual)
        profiled = [name for name in PROFILED if name in binning.columns]
        for name in profiled:
            column = binning.columns[name]
            residual = column.profiled.axis(f"{name}_residual", _residual_label(name, column))
            for other in ("pt", "eta"):
                if other in binning.columns:
                    value = binning.columns[other].value.coarse(PROFILE_BINS).axis(other, value_label(other))
                    self.against[name, other] = empty_counts(value, residual)
        coarse = {
            name: binning.columns[name]
            .residual.coarse(CORRELATION_BINS)
            .axis(f"{name}_residual", _residual_label(name, binning.columns[name]))
            for name in profiled
        }
        for one, other in combinations(profiled, 2):
            self.correlation[one, other] = empty_counts(coarse[one], coarse[other])
        if {"eta", "phi"} <= binning.columns.keys():
            eta = binning.columns["eta"].value.coarse(MAP_BINS[0]).axis("eta", value_label("eta"))
            phi = AxisBinning(MAP_BINS[1], -math.pi, math.pi, "circular").axis("phi", value_label("phi"))
            for name in profiled:
                self.largest[name] = empty_counts(eta, phi, label=change_label(name))
        self.by_eta = self._empty_by_eta()
        self.turn_on = self._empty_turn_on()
        self.above = {
            name: ResidualSums([name]) for name, column in binning.columns.items() if column.floor is not None
        }

    def _empty_by_eta(self) -> hist.Hist | None:
        columns = self.binning.columns
        if not {"pt", "eta"} <= columns.keys():
            return None
        return empty_counts(
            hist.axis.Variable(ETA_EDGES, name="abs_eta", label=r"$|\eta|$"),
            columns["pt"].value.coarse(ETA_PROFILE_BINS).axis("pt", value_label("pt")),
            columns["pt"].profiled.axis("pt_residual", residual_label("pt")),
        )

    def _empty_turn_on(self) -> dict[str, hist.Hist]:
        threshold = self.binning.threshold
        if threshold is None:
            return {}
        reach = min(self.binning.columns["pt"].residual.high, 0.5)
        axes = {
            "wide": AxisBinning(40, 0.5 * threshold, 1.5 * threshold).axis(
                "pt", "Original " + value_label("pt")
            ),
            "near": AxisBinning(NEAR_BINS, -reach, reach).axis(
                "pt", r"Original $p_\mathrm{T}$ / nearest threshold (20, 25, 30, 40, … GeV) − 1"
            ),
        }
        return {name: empty_counts(axis, hist.axis.Boolean(name="passing")) for name, axis in axes.items()}

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
        weights = None if weight is None else flat_weights(weight, original[original.fields[0]])
        values, residuals, taken = {}, {}, {}
        for name, column in self.binning.columns.items():
            before, after = flat_column(original, name), flat_column(restored, name)
            residual = column_residual(name, before, after)
            some = np.ones(len(residual), bool)
            if column.floor is not None:
                some = np.asarray(before, np.float64) >= column.floor
                self.above[name].fill(*(ak.zip({name: part[some]}) for part in (before, after)))
            before = _fillable(before, column.value)
            self.original[name].fill(before, weight=weights)
            self.restored[name].fill(_fillable(after, column.value), weight=weights)
            self.residual[name].fill(residual[some])
            if name in PROFILED:
                values[name], residuals[name] = before, residual
                taken[name] = some
        for (name, other), histogram in self.against.items():
            histogram.fill(values[other][taken[name]], residuals[name][taken[name]])
        for (name, other), histogram in self.correlation.items():
            both = taken[name] & taken[other]
            histogram.fill(residuals[name][both], residuals[other][both])
        if self.by_eta is not None:
            self.by_eta.fill(np.abs(values["eta"]), values["pt"], residuals["pt"])
        if self.turn_on:
            pt, threshold = np.asarray(flat_column(restored, "pt"), np.float64), self.binning.threshold or 0.0
            self.turn_on["wide"].fill(values["pt"], pt > threshold)
            nearest = nearest_round(values["pt"])
            self.turn_on["near"].fill(values["pt"] / nearest - 1, pt > nearest)
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
                np.maximum.at(most, flat, np.where(np.isfinite(residual) & taken[name], residual, 0))
                view = histogram.view(flow=True)
                np.maximum(view, most.reshape(shape), out=view)

    def __add__(self, other: ComparisonHistograms) -> ComparisonHistograms:
        if not isinstance(other, ComparisonHistograms):
            return NotImplemented
        if self.binning != other.binning:
            raise ValueError("histograms of different binning do not add up")
        total = ComparisonHistograms(self.binning)
        for kind in ("original", "restored", "residual", "against", "correlation", "turn_on", "above"):
            _add(getattr(total, kind), getattr(self, kind), getattr(other, kind))
        for name, histogram in total.largest.items():
            np.maximum(
                self.largest[name].view(flow=True),
                other.largest[name].view(flow=True),
                out=histogram.view(flow=True),
            )
        if self.by_eta is not None:
            total.by_eta = self.by_eta + other.by_eta
        return total


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
        axes = {name: axis.axis(name, column_symbol(name)) for name, axis in binning.latents.items()}
        pt = binning.pt.axis("pt", value_label("pt"))
        self.single = {name: empty_counts(axis) for name, axis in axes.items()}
        # A matrix of more than four latents shows nothing.
        self.pairs = {
            (one, other): empty_counts(axes[one], axes[other], pt)
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


def spread(spectrum: hist.Hist) -> float:
    """Half the width of the central 68 % of a spectrum, to the width of a bin; it is never zero."""
    axis = spectrum.axes[0]
    reached = np.cumsum(spectrum.values())
    if not reached[-1] > 0:
        return float(axis.edges[-1] - axis.edges[0]) / 2
    low, high = (
        int((reached >= share * reached[-1]).argmax()) for share in ((1 - CENTRAL) / 2, (1 + CENTRAL) / 2)
    )
    return float(axis.edges[high + 1] - axis.edges[low]) / 2


def empty_spectrum(axis: Any, label: str) -> hist.Hist:
    """An empty histogram that knows the error of its contents, with weights too."""
    return hist.Hist(axis, storage=hist.storage.Weight(), label=label)


def flat_weights(weight: Any, entries: Any) -> FloatArray:
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


def empty_counts(*axes: Any, label: str = "Jets") -> hist.Hist:
    """An empty histogram. Counts in doubles are exact up to 2⁵³."""
    return hist.Hist(*axes, storage=hist.storage.Double(), label=label)


def _residual_label(name: str, column: ColumnBinning) -> str:
    """Label of a residual, with the floor where jets are left out."""
    floor = "" if column.floor is None else f" (${SYMBOLS[name]}$ ≥ {column.floor:g} {UNITS[name]})"
    return residual_label(name) + floor


def _add(total: dict[Any, Any], one: dict[Any, Any], other: dict[Any, Any]) -> None:
    for name in total:
        total[name] = one[name] + other[name]


def _fillable(values: NDArray[np.generic], binning: AxisBinning) -> FloatArray:
    """Values as they are filled: on a logarithmic axis, all that are not positive count as below it."""
    filled: FloatArray = np.asarray(values, np.float64)
    return np.where(filled < 0, 0.0, filled) if binning.scale == "log" else filled
