"""What is counted of restored jets beside the original ones, chunk by chunk: numbers and histograms, which add up.

Files are compared with it, step by step, and the chunks of a job.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hepae.kinematics import MOMENTUM, RELATIVE
from hepae.validation.binning import Binning, LatentBinning
from hepae.validation.events import EventBinning, EventHistograms
from hepae.validation.histograms import ComparisonHistograms, LatentHistograms, spread
from hepae.validation.residuals import (
    ColumnResiduals,
    Residuals,
    ResidualSums,
    compared_columns,
    residual_bound,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import awkward as ak
    import numpy as np
    from numpy.typing import NDArray

    from hepae.bounds import Bound

    FloatArray = NDArray[np.float64]

ORIGINAL = "Original"
"""What the original is called in figures, and no version."""

BINNING_ENTRIES = 50_000
"""Entries from which a scheme is chosen: a fixed number, so that figures do not depend on how the jets are cut."""


@dataclass(frozen=True)
class Scheme:
    """What is counted, and on which axes. Choose it once (:meth:`choose`) and use it for all chunks.

    Parameters
    ----------
    columns
        Columns that are compared.
    bounds
        Bounds that were promised, by column.
    binning, events, latents
        Axes; None where there are no events with four-momenta, and no latents.
    """

    columns: tuple[str, ...]
    bounds: Mapping[str, Bound]
    binning: Binning
    events: EventBinning | None
    latents: LatentBinning | None

    @classmethod
    def choose(
        cls,
        original: ak.Array,
        restored: ak.Array,
        latents: ak.Array | None = None,
        *,
        coded: Sequence[str] | None,
        bounds: Mapping[str, Bound],
    ) -> Scheme:
        """Fit the axes to the first jets, those of :data:`BINNING_ENTRIES` entries for instance, and to the bounds.

        Parameters
        ----------
        original, restored, latents
            The same jets, in lists per event or flat, and the latents that restored them.
        coded
            Columns that were coded, which are compared beside the four-momentum; all of both where that is not known.
        bounds
            Bounds that were promised, by column.

        Raises
        ------
        InputError
            If these are not the same jets.
        """
        shared = compared_columns(original, restored)
        columns = tuple(name for name in shared if coded is None or name in {*MOMENTUM, *coded})
        lines = {name: residual_bound(name, bound) for name, bound in bounds.items()}
        known = {name: line for name, line in lines.items() if line is not None}
        return cls(
            columns,
            bounds,
            Binning.choose(original, restored, columns, bounds=known),
            EventBinning.choose(original) if original.ndim > 1 and {*MOMENTUM} <= {*columns} else None,
            None if latents is None else LatentBinning.choose(latents, original),
        )


@dataclass(frozen=True)
class Counts:
    """Residuals and histograms of some chunks; those of all chunks add up.

    Parameters
    ----------
    scheme
        What is counted.
    sums, histograms
        Of all columns.
    events, latents
        Where the scheme has them.
    """

    scheme: Scheme
    sums: ResidualSums
    histograms: ComparisonHistograms
    events: EventHistograms | None
    latents: LatentHistograms | None

    @classmethod
    def of(cls, scheme: Scheme) -> Counts:
        """Counts of no jets yet."""
        return cls(
            scheme,
            ResidualSums(scheme.columns, bounds=scheme.bounds or None),
            ComparisonHistograms(scheme.binning),
            EventHistograms(scheme.events) if scheme.events else None,
            LatentHistograms(scheme.latents) if scheme.latents else None,
        )

    def fill(
        self,
        original: ak.Array,
        restored: ak.Array,
        latents: ak.Array | None = None,
        weight: Any = None,
        *,
        promised: Sequence[tuple[int, int, Mapping[str, Bound]]] | None = None,
    ) -> None:
        """Count in a chunk of jets.

        Parameters
        ----------
        original, restored, latents
            The same jets, and the latents that restored them.
        weight
            One weight an event or one a jet, which spectra are filled with; those of events with one an event alone, as a
            weight of each jet is none of its event. Everything else counts each jet once.
        promised
            Bounds by consecutive ranges of events, as `CompressedFile.bounds_by_events` gives them for this chunk; violations
            are counted against these. By default they are counted against the bounds of the scheme.

        Raises
        ------
        InputError
            If these are not the same jets, or the weights are not theirs or not finite.
        """
        self.histograms.fill(original, restored, weight)
        if promised is None:
            self.sums.fill(original, restored)
        else:
            first = promised[0][0]
            for begin, end, bounds in promised:
                events = slice(begin - first, end - first)
                self.sums.fill(original[events], restored[events], bounds)
        if self.events is not None:
            self.events.fill(original, restored, weight if weight is not None and weight.ndim == 1 else None)
        if self.latents is not None:
            self.latents.fill(latents, original)

    def __add__(self, other: Counts) -> Counts:
        if not isinstance(other, Counts):
            return NotImplemented
        return Counts(
            self.scheme,
            self.sums + other.sums,
            self.histograms + other.histograms,
            self.events + other.events if self.events and other.events else None,
            self.latents + other.latents if self.latents and other.latents else None,
        )


@dataclass(frozen=True)
class Version:
    """All that was found of one version of the jets.

    Parameters
    ----------
    name
        What the figures call it.
    counts
        Of all jets.
    stored
        Bytes of the coded columns by what takes them (a column, a latent, the payload), in the original and in the version.
    restored
        Whether it is of a restored file, and not a compressed one.
    """

    name: str
    counts: Counts
    stored: tuple[Mapping[str, int], Mapping[str, int]]
    restored: bool = False

    @cached_property
    def residuals(self) -> Residuals:
        """The numbers."""
        return self.counts.sums.result()

    def shown(self, name: str) -> ColumnResiduals:
        """The numbers of a column as its figures show them: of the jets above the column's floor, where it has one."""
        numbers = self.residuals[name]
        above = self.counts.histograms.above.get(name)
        return numbers if above is None else replace(above.result()[name], violations=numbers.violations)

    def tail(self, name: str) -> tuple[FloatArray, FloatArray]:
        """Sizes of a column's residuals and the share of the jets with as large ones, as its figures show them."""
        return self.counts.histograms.above.get(name, self.counts.sums).tail(name)

    @property
    def bounds(self) -> Mapping[str, Bound]:
        """Bounds that were promised, by column."""
        return self.counts.scheme.bounds

    def deviation(self, name: str) -> tuple[float, float]:
        """How far a column is off, so that columns can be compared: half width of the residual's central 68 %, and its std.

        Both are relative to the original value for pt, E and mass, and to the spread of the original values for other
        columns.
        """
        numbers = self.residuals[name]
        unit = 1.0 if name in RELATIVE else spread(self.counts.histograms.original[name])
        return (numbers.p68 or 0.0) / unit, (numbers.std or 0.0) / unit


def metrics(versions: Mapping[str, Version], file_original: int, file_compressed: int) -> dict[str, Any]:
    """Content of metrics.json for one version of the jets.

    Parameters
    ----------
    versions
        What was found in each of its collections, by what the names of its columns begin with: nothing where there is one.
    file_original, file_compressed
        Bytes of the whole files.
    """
    results = {prefix: version.residuals for prefix, version in versions.items()}
    jets = sum(result.jets for result in results.values())
    before, after = (sum(sum(version.stored[i].values()) for version in versions.values()) for i in (0, 1))
    return {
        "jets": jets,
        "events": next(iter(results.values())).events,
        "columns": {
            prefix + name: numbers.to_dict()
            for prefix, result in results.items()
            for name, numbers in result.columns.items()
        },
        "bytes": {
            "file_original": file_original,
            "file_compressed": file_compressed,
            "original": before,
            "compressed": after,
            "per_jet": after / jets if jets else None,
            "ratio": before / after if after else None,
        },
    }
