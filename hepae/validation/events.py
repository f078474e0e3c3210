"""Histograms of whole events: how many jets, the leading ones, and a cut-flow; filled chunk by chunk and added up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import awkward as ak
import hist
import numpy as np

from hepae.kinematics import flat_column, momenta
from hepae.validation.binning import AxisBinning, fit_sample, log_binning, round_median
from hepae.validation.histograms import empty_counts, empty_spectrum, flat_weights
from hepae.validation.residuals import (
    require_same_jets,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]


ETA_CUT = 2.5
"""Largest |eta| in the cut-flow: where the trackers of ATLAS and CMS end."""


MULTIPLICITY_MAX = 15


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
        leading, mass = (fit_sample(values) for values in (events.leading_pt, events.dijet_mass))
        pt = fit_sample(flat_column(original, "pt"))
        return cls(
            log_binning(leading[leading > 0]),
            log_binning(mass[mass > 0]),
            pt=round_median(pt, 30.0),
            eta=ETA_CUT,
            mass=round_median(mass, 100.0),
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
            name: EventPair(empty_spectrum(axis, "Events"), empty_spectrum(axis, "Events"))
            for name, axis in axes.items()
        }
        self.cut_flow = empty_counts(
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
        weights = None if weight is None else flat_weights(weight, before.counts)
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
