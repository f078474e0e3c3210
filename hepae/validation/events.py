"""Histograms of whole events: jets, HT, missing HT, the leading jets, tops, a cut-flow; filled chunk by chunk and added up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import awkward as ak
import hist
import numpy as np

from hepae.kinematics import flat_column, momenta
from hepae.validation import top
from hepae.validation.binning import AxisBinning, fit_sample, log_binning, round_median
from hepae.validation.histograms import empty_counts, empty_spectrum, flat_weights
from hepae.validation.residuals import require_same_jets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]


ETA_CUT = 2.5
"""Largest |eta| in the cut-flow: where the trackers of ATLAS and CMS end."""


MULTIPLICITY_MAX = 15


LABELS = {
    "multiplicity": r"Jets with $p_\mathrm{{T}}$ > {pt:g} GeV",
    "ht": r"$H_\mathrm{{T}}$ of jets with $p_\mathrm{{T}}$ > {pt:g} GeV [GeV]",
    "missing_ht": r"$H_\mathrm{{T}}^\mathrm{{miss}}$ of jets with $p_\mathrm{{T}}$ > {pt:g} GeV [GeV]",
    "leading_pt": r"Leading jet's $p_\mathrm{{T}}$ [GeV]",
    "dijet_mass": r"$m_{{jj}}$ of the two leading jets [GeV]",
    "delta_r": r"$\Delta R$ of the two leading jets",
    "w_mass": r"Mass of the W candidate, two jets [GeV]",
    "top_mass": r"Mass of the top candidate, three jets [GeV]",
}
"""What is looked at event by event, and how an axis says it."""


@dataclass(frozen=True)
class EventBinning:
    r"""Binning and cuts of what is looked at event by event. Choose it once (:meth:`choose`) and use it for all chunks.

    Parameters
    ----------
    axes
        By what is looked at: some of :data:`LABELS`.
    pt
        Smallest pt in GeV of the jets that are counted and summed, and of the leading jet in the cut-flow.
    eta
        Largest \\|eta\\| in the cut-flow.
    mass
        Smallest dijet mass in GeV in the cut-flow.
    """

    axes: Mapping[str, AxisBinning]
    pt: float
    eta: float
    mass: float

    @classmethod
    def choose(cls, original: ak.Array) -> Self:
        """Fit axes and cuts to a sample of jets in lists per event; cuts are round numbers near the medians.

        Masses of W and top are looked at where the sample has them, as `hepae.validation.top.has_tops` decides.
        """
        pt = round_median(fit_sample(flat_column(original, "pt")), 30.0)
        values = _Events.of(original, pt, tops=True).values
        samples = {
            name: fit_sample(values[name]) for name in ("ht", "missing_ht", "leading_pt", "dijet_mass")
        }
        axes = {name: log_binning(sample[sample > 0]) for name, sample in samples.items()}
        axes["multiplicity"] = AxisBinning(MULTIPLICITY_MAX + 1, -0.5, MULTIPLICITY_MAX + 0.5)
        axes["delta_r"] = AxisBinning(48, 0.0, 6.0)
        if top.has_tops(values["top_mass"]):
            axes |= {"w_mass": AxisBinning(40, 0.0, 200.0), "top_mass": AxisBinning(40, 0.0, 400.0)}
        mass = round_median(samples["dijet_mass"], 100.0)
        return cls({name: axes[name] for name in LABELS if name in axes}, pt, ETA_CUT, mass)

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
    """What an analysis sees of an event's jets: how many, their sums, the leading ones, tops, and a cut-flow.

    In each of original and restored jets the leading ones are those of largest pt there, as an analysis would choose.

    Attributes
    ----------
    pairs
        By what is looked at: jets above the binning's pt, the scalar sum of their pt (HT) and the size of the vector sum
        (missing HT), of events with such a jet; pt of the leading jet, mass and ΔR of the two leading jets, masses of W and top
        candidates, of events with so many jets.
    cut_flow
        Events that pass each cut, in the original, the restored and both: two category axes.
    """

    def __init__(self, binning: EventBinning) -> None:
        self.binning = binning
        self.pairs = {}
        for name, axis in binning.axes.items():
            labelled = axis.axis(name, LABELS[name].format(pt=binning.pt))
            self.pairs[name] = EventPair(
                empty_spectrum(labelled, "Events"), empty_spectrum(labelled, "Events")
            )
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
        before, after = (
            _Events.of(jets, self.binning.pt, tops="top_mass" in self.pairs) for jets in (original, restored)
        )
        weights = None if weight is None else flat_weights(weight, before.counts)
        for name, pair in self.pairs.items():
            for histogram, events in ((pair.original, before), (pair.restored, after)):
                values = events.values[name]
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
    """Events by their jets: quantities by name, NaN where there are too few jets."""

    counts: IntArray
    values: dict[str, FloatArray]
    leading_eta: FloatArray
    """Shape (2, events)."""

    @classmethod
    def of(cls, jets: ak.Array, threshold: float, *, tops: bool) -> _Events:
        """Compute them, those of the masses of W and top where asked for; jets above the threshold are counted and summed."""
        counts = ak.to_numpy(ak.num(jets)).astype(np.int64)
        columns = {
            name: np.asarray(flat_column(jets, name), np.float64) for name in ("pt", "eta", "phi", "mass")
        }
        values = _sums(columns, counts, threshold)
        first, second = _two_leading(columns["pt"], counts)
        two = second >= 0
        one, other = (
            momenta({name: column[chosen[two]] for name, column in columns.items()})
            for chosen in (first, second)
        )
        for name in ("leading_pt", "dijet_mass", "delta_r"):
            values[name] = np.full(len(counts), np.nan)
        values["leading_pt"][first >= 0] = columns["pt"][first[first >= 0]]
        values["dijet_mass"][two] = ak.to_numpy((one + other).mass)
        values["delta_r"][two] = ak.to_numpy(one.deltaR(other))
        if tops:
            values["top_mass"], values["w_mass"] = top.top_and_w_mass(columns, counts)
        eta = np.full((2, len(counts)), np.nan)
        for row, chosen in zip(eta, (first, second), strict=True):
            row[chosen >= 0] = columns["eta"][chosen[chosen >= 0]]
        return cls(counts, values, eta)

    def passing(self, cuts: EventBinning) -> list[NDArray[np.bool_]]:
        """Whether an event passes each cut and those before."""
        steps = (
            self.counts >= 2,
            self.values["leading_pt"] > cuts.pt,
            (np.abs(self.leading_eta) < cuts.eta).all(axis=0),
            self.values["dijet_mass"] > cuts.mass,
        )
        passed = [np.ones(len(self.counts), bool)]
        for step in steps:
            passed.append(passed[-1] & step)
        return passed


def _sums(columns: Mapping[str, FloatArray], counts: IntArray, threshold: float) -> dict[str, FloatArray]:
    """How many jets of each event are above the threshold, the sum of their pt, and the size of their vector sum."""
    event = np.repeat(np.arange(len(counts)), counts)
    above = columns["pt"] > threshold
    event, pt, phi = event[above], columns["pt"][above], columns["phi"][above]
    found = np.bincount(event, minlength=len(counts))
    ht, px, py = (
        np.bincount(event, weights=weights, minlength=len(counts))
        for weights in (pt, pt * np.cos(phi), pt * np.sin(phi))
    )
    some = found > 0
    return {
        "multiplicity": found.astype(np.float64),
        "ht": np.where(some, ht, np.nan),
        "missing_ht": np.where(some, np.hypot(px, py), np.nan),
    }


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
