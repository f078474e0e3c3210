"""suggest: a bound for every column, from resolutions, statistics or a budget of bytes, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import ROUND_DOWN, Context, Decimal
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np

from hepae.bounded.codec import compress_clusters
from hepae.bounded.fourvectors import COORDINATES, find_coordinates
from hepae.bounds import EXACT, Bound, Bounds
from hepae.errors import ConfigError, InputError
from hepae.io.inputs import Inputs
from hepae.io.readers import choose_collections
from hepae.kinematics import ENERGIES, GEV
from hepae.resolution.columns import ColumnKind, error_column, holds_jets, ordinary
from hepae.resolution.parametrisation import Parametrisation, usual_of
from hepae.resolution.widening import bound_over_sigma, fit_bound, statistical_bound, widening_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from hepae.io.layouts import Collection
    from hepae.io.locations import Url
    from hepae.io.sources import Source

    Values = NDArray[Any]
    Sigma = Callable[[NDArray[np.float64]], NDArray[np.float64]]

SAMPLE_JETS = 60_000
"""Jets of each collection that bounds are measured on."""


@dataclass(frozen=True)
class ColumnSuggestion:
    """The bound that is proposed for a column, why, and what it costs.

    Attributes
    ----------
    reason
        In a few words.
    before, after
        Bytes a jet: in the file, and within the bound.
    widening
        Share by which the resolution is widened, measured; None for an exact column.
    beside
        What is widened: a resolution, or the column's own distribution.
    """

    bound: Bound
    reason: str
    before: float
    after: float
    widening: float | None
    beside: str


@dataclass(frozen=True)
class Suggestion:
    """Bounds of all columns of the chosen collections.

    Attributes
    ----------
    collections
        By collection and column.
    widening
        What every resolution may be widened by; with a budget, what it came to.
    jets
        Of all collections, in the files.
    notes
        What a user should know.
    """

    collections: Mapping[str, Mapping[str, ColumnSuggestion]]
    widening: float
    jets: Mapping[str, int]
    notes: tuple[str, ...] = ()

    @property
    def bounds(self) -> Bounds:
        """The bounds, by ``Collection.column``."""
        return Bounds(
            {
                f"{name}.{column}": each.bound
                for name, columns in self.collections.items()
                for column, each in columns.items()
            }
        )

    def bytes_per_jet(self, collection: str) -> tuple[float, float]:
        """Bytes a jet of a collection, before and after."""
        columns = self.collections[collection].values()
        return sum(each.before for each in columns), sum(each.after for each in columns)


def suggest(
    inputs: str | Path | Url | Sequence[str | Path | Url],
    *,
    widen: float = 0.001,
    bytes_per_jet: float | None = None,
    resolution: str | Path | None = None,
    tree: str | None = None,
    collection: str | Sequence[str] | None = None,
    unit: str | None = None,
) -> Suggestion:
    """Propose a bound for every column of the chosen collections.

    Parameters
    ----------
    inputs, tree, collection, unit
        As for `hepae.compress_file`.
    widen
        Share by which a bound may widen a resolution, in quadrature.
    bytes_per_jet
        Budget for the coded columns of a jet instead: the widening that all columns share is found from it.
    resolution
        ``ATLAS``, ``CMS`` or a TOML file; by default CMS for NanoAOD, ATLAS for all others.

    Raises
    ------
    ConfigError
        If a number makes no sense, or the budget cannot be met.
    InputError
        If there are no jets.
    """
    if not 0 < widen < 1:
        raise ConfigError(f"--widen must be above 0 and below 100 %, got {widen:.4g}")
    if bytes_per_jet is not None and not bytes_per_jet > 0:
        raise ConfigError(f"--bytes must be above 0, got {bytes_per_jet:g}")
    notes = []
    with Inputs(inputs, tree=tree, unit=unit) as files:
        first = files.open(0)
        chosen = choose_collections(first, collection)
        named = resolution or usual_of(first.layout.name)
        parametrisation = Parametrisation.load(named)
        samples = [_Sample.of(files, one.name) for one in chosen]
        if files.unit.note:
            notes.append(files.unit.note)
    if not any(sample.jets for sample in samples):
        raise InputError(f"{first.path} has no jets in {', '.join(one.name for one in chosen)}")
    proposals = [_Proposal(sample, parametrisation) for sample in samples]
    if bytes_per_jet is None:
        found = {each.sample.name: each.within(widen) for each in proposals}
    else:
        widen = _budget(proposals, bytes_per_jet)
        found = {each.sample.name: each.within(widen, statistics=False) for each in proposals}
        if widen > 0.1:
            notes.append(f"this budget widens every resolution by {widen:.0%}: a larger one loses less")
    return Suggestion(found, widen, {each.name: each.jets for each in samples}, tuple(notes))


def _budget(proposals: Sequence[_Proposal], wanted: float) -> float:
    """Find the widening at which all collections together need so many bytes a jet."""

    def needed(widen: float) -> float:
        jets = sum(each.sample.jets for each in proposals)
        return sum(
            each.sample.jets * sum(c.after for c in each.within(widen, statistics=False).values())
            for each in proposals
        ) / max(jets, 1)

    low, high = 1e-9, 10.0
    most, least = needed(low), needed(high)
    if not least <= wanted <= most:
        raise ConfigError(
            f"--bytes {wanted:g} cannot be met: with bounds these columns need {least:.2f} to {most:.2f} bytes a jet; integers, weights "
            "and few values stay exact"
        )
    for _ in range(24):
        middle = float(np.sqrt(low * high))
        size = needed(middle)
        if abs(size / wanted - 1) < 0.004:
            return middle
        low, high = (middle, high) if size > wanted else (low, middle)
    return high


@dataclass(frozen=True)
class _Sample:
    """Columns of the first jets of a collection, and how many there are of all."""

    name: str
    collection: Collection
    columns: dict[str, Values]
    counts: NDArray[np.int64] | None
    jets: int
    stored: dict[str, float]
    """Bytes a jet in the files, by column."""

    @classmethod
    def of(cls, files: Inputs, name: str) -> _Sample:
        """Read it, as it is stored."""
        pieces: list[dict[str, ak.Array]] = []
        left, jets, stored, of = SAMPLE_JETS, 0, dict[str, float](), None
        for source in files:
            found = source.layout.collections.get(name)
            if found is None or (of is not None and {*found.column_names} != {*of.column_names}):
                raise InputError(
                    f"{files.paths[0]} and {source.path} do not have the same columns of {name}; suggest bounds for one of them"
                )
            of = found
            branches = [column.branch for column in of.columns]
            for column in of.columns:
                stored[column.name] = stored.get(column.name, 0.0) + source.stored_bytes(column.branch)
            per_entry = 1.0
            if source.num_entries and of.counter is not None:
                first = source.arrays(branches[:1], 0, min(source.num_entries, 1000))[branches[0]]
                per_entry = float(ak.count(first)) / len(first)
            stop = min(source.num_entries, int(left / max(per_entry, 1e-3)) + 1) if left > 0 else 0
            if stop:
                pieces.append(source.arrays(branches, 0, stop))
                here = int(ak.count(pieces[-1][branches[0]]))
                left -= here
                per_entry = here / stop
            jets += _count(source, of, per_entry)
        if of is None or not pieces:
            raise InputError(f"no events to suggest bounds from in {', '.join(map(str, files.paths))}")
        joined = {branch: ak.concatenate([piece[branch] for piece in pieces]) for branch in pieces[0]}
        flat = {
            column.name: np.ascontiguousarray(ak.to_numpy(ak.flatten(joined[column.branch], axis=None)))
            for column in of.columns
        }
        counts = None
        if of.counter is not None:
            counts = ak.to_numpy(ak.num(joined[of.columns[0].branch])).astype(np.int64)
        per_jet = {column: size / max(jets, 1) for column, size in stored.items()}
        return cls(name, replace(of, unit=files.unit.unit or of.unit), flat, counts, jets, per_jet)

    def gev(self, column: str) -> float:
        """One unit of the file in GeV, for a column of energies."""
        return GEV[self.collection.unit] if column in ENERGIES and self.collection.momentum else 1.0


def _count(source: Source, of: Collection, per_entry: float) -> int:
    """Jets of a file: counted where the file counts them, else in proportion to those of its first entries."""
    if of.counter is None:
        return source.num_entries
    if of.counted:
        counter = source.arrays([of.counter], 0, source.num_entries)[of.counter]
        return int(ak.sum(counter))
    return round(per_entry * source.num_entries)


class _Proposal:
    """Proposes the bounds of one collection.

    Parameters
    ----------
    sample
        Its columns.
    parametrisation
        Resolutions of jets.
    """

    def __init__(self, sample: _Sample, parametrisation: Parametrisation):
        self.sample = sample
        self._columns = dict(self._coded(sample))
        self._kinds = {
            name: ColumnKind.of(sample.name, name, values) for name, values in self._columns.items()
        }
        self._resolution = parametrisation if holds_jets(sample.name) else None
        self._exact = self._sizes(dict.fromkeys(self._columns, EXACT))

    @staticmethod
    def _coded(sample: _Sample) -> Iterator[tuple[str, Values]]:
        """Columns that bounds are for: pt, eta, phi and mass in place of E or px, py, pz."""
        coordinates = find_coordinates({name: values.dtype for name, values in sample.columns.items()})
        if coordinates is not None:
            dtype = np.result_type(*(sample.columns[name].dtype for name in coordinates.replaced))
            for name, values in coordinates.forward(sample.columns).items():
                yield name, values.astype(dtype)
        for name, values in sample.columns.items():
            if coordinates is None or name not in coordinates.replaced:
                yield name, values

    def within(self, widen: float, *, statistics: bool = True) -> dict[str, ColumnSuggestion]:
        """Propose bounds for a widening, and measure what they take."""
        proposed = {name: self._propose(name, widen, statistics) for name in self._columns}
        bounds = {name: bound for name, (bound, _, _) in proposed.items()}
        sizes = self._sizes(bounds)
        for name, kind in self._kinds.items():
            gain = 1 - sizes[name] / max(self._exact[name], 1e-12)
            if bounds[name] != EXACT and (gain <= 0 or (kind.cut and statistics)):  # a budget may cut twice
                why = kind.cut or "a bound would save nothing"
                proposed[name] = EXACT, f"exact: {why}", None
                sizes[name] = self._exact[name]
        return {
            name: ColumnSuggestion(
                bound,
                reason,
                self._before(name),
                sizes[name],
                None if bound.exact else self._widening(name, bound, sigma),
                "" if bound.exact else ("resolution" if self._has_resolution(name) else "own width"),
            )
            for name, (bound, reason, sigma) in proposed.items()
        }

    def _propose(self, name: str, widen: float, statistics: bool) -> tuple[Bound, str, Sigma | None]:
        """Bound of a column, why, and the resolution that it is fitted to."""
        kind, values = self._kinds[name], self._columns[name]
        if kind.exact:
            return EXACT, f"exact: {kind.exact}", None
        sigma, whose = self._sigma(name)
        factor = bound_over_sigma(widen)
        gev = self.sample.gev(name)
        usual = ordinary(values) * gev
        relative = (name in ENERGIES or kind.relative) and not kind.angle
        part, absolute = fit_bound(sigma, usual, factor, relative=relative)
        most = "at most " if statistics else ""
        reason = f"{whose} widened by {most}{widen * 100:.3g} %"
        if statistics and not self._has_resolution(name):
            log = relative
            largest = (
                part
                if log and part
                else absolute / float(np.median(np.abs(usual)))
                if log
                else absolute or part
            )
            found = statistical_bound(usual, self._values_of(usual), log=log, largest=largest or 1e-3)
            if found < largest or not largest:
                part, absolute = (found, 0.0) if log else (0.0, found)
                reason = "no bin of a histogram moves by a tenth of its statistical error"
        unit = "GeV" if name in ENERGIES else ""
        bound = _rounded(part, absolute, unit)
        if (
            bound != EXACT and not statistics
        ):  # what a budget shares out is the widening as it is, not its largest
            scale = float(np.sqrt(widen / max(self._widening(name, bound, sigma), 1e-12)))
            bound = _rounded(bound.relative * scale, bound.absolute * scale, unit, digits=3)
        if bound == EXACT:
            return EXACT, "exact: its resolution is below its precision", None
        what = "score in [0, 1]; " if kind.score else "angle; " if kind.angle else ""
        return bound, what + reason, sigma

    def _values_of(self, usual: Values) -> int:
        """Values in the whole file, of those that the sample has so many of."""
        jets = len(next(iter(self._columns.values())))
        return max(1, round(len(usual) * self.sample.jets / max(jets, 1)))

    def _has_resolution(self, name: str) -> bool:
        return (self._resolution is not None and name in self._resolution.columns) or self._error(
            name
        ) is not None

    def _error(self, name: str) -> str | None:
        """Column that holds the resolution of another one."""
        return error_column(name, self._columns)

    def _sigma(self, name: str) -> tuple[Sigma, str]:
        """Resolution of a column as a function of its value, and whose it is; by default its own distribution's width."""
        error = self._error(name)
        values = self._columns[name].astype(np.float64) * self.sample.gev(name)
        if error is not None:
            errors = self._columns[error].astype(np.float64) * self.sample.gev(name)
            known = np.isfinite(errors) & (errors > 0) & np.isfinite(values)
            if known.any():
                shares = errors[known] / np.maximum(np.abs(values[known]), 1e-300)
                spreads = [np.std(np.log(each)) for each in (shares, errors[known])]
                if spreads[0] < spreads[1]:
                    share = float(np.quantile(shares, 0.05))
                    return (lambda x: share * np.abs(x)), f"resolution in {error}"
                smallest = float(np.quantile(errors[known], 0.05))
                return (lambda x: np.full(np.shape(x), smallest)), f"resolution in {error}"
        if self._resolution is not None and name in self._resolution.columns:
            return self._resolution.columns[
                name
            ], f"resolution of {self._resolution.name} ({self._resolution.source})"
        usual = ordinary(self._columns[name]) * self.sample.gev(name)
        if self._kinds[name].relative or name in ENERGIES:
            usual = usual[usual != 0]
            low, high = np.quantile(np.log(np.abs(usual)), (0.16, 0.84)) if usual.size else (0.0, 0.0)
            share = float(high - low) / 2
            return (lambda x: share * np.abs(x)), "width of its distribution"
        low, high = np.quantile(usual, (0.16, 0.84)) if usual.size else (0.0, 0.0)
        width = float(high - low) / 2
        return (lambda x: np.full(np.shape(x), width)), "width of its distribution"

    def _widening(self, name: str, bound: Bound, sigma: Sigma | None) -> float:
        """Measure by how much a bound widens a resolution, on the sample."""
        values = self._columns[name]
        usual = ordinary(values) * self.sample.gev(name)
        allowed = bound.allowed(usual)
        error = self._error(name)
        width = self._sigma(name)[0](usual) if sigma is None else sigma(usual)
        if error is not None:
            errors = self._columns[error].astype(np.float64) * self.sample.gev(name)
            doubles = values.astype(np.float64) * self.sample.gev(name)
            width, allowed = errors, bound.allowed(doubles)
        random = np.random.default_rng(1).uniform(-1, 1, len(allowed))
        return widening_of(allowed * random, width)

    def _before(self, name: str) -> float:
        """Bytes a jet in the file; those of E or px, py, pz are shared by what is coded in their place."""
        if name in self.sample.stored:
            return self.sample.stored[name]
        for coordinates in COORDINATES:
            own = [self.sample.stored.get(column) for column in coordinates.replaced]
            if name in coordinates.added and None not in own:
                return sum(size for size in own if size is not None) / len(coordinates.added)
        return 0.0

    def _sizes(self, bounds: Mapping[str, Bound]) -> dict[str, float]:
        """Bytes a jet of each column, coded within these bounds; those of E or px, py, pz with them."""
        jets = len(next(iter(self.sample.columns.values())))
        if not jets:
            return dict.fromkeys(bounds, 0.0)
        in_unit = Bounds(bounds).in_unit(self.sample.collection.unit)
        coded = compress_clusters(self.sample.columns, self.sample.counts, in_unit)
        sizes = dict.fromkeys(self._columns, 0.0)
        for cluster in coded.clusters:
            for name, column in cluster.columns.items():
                key = name if name in sizes else next(iter(sizes))
                sizes[key] += len(column.data) / jets
        return sizes


def _rounded(relative: float, absolute: float, unit: str, digits: int = 2) -> Bound:
    """Round a bound down to so many digits; exact where nothing is left of it."""

    def down(number: float) -> float:
        return float(Context(prec=digits, rounding=ROUND_DOWN).create_decimal(Decimal(number)))

    relative, absolute = down(min(relative, 0.99)), down(absolute)
    if not relative and not absolute:
        return EXACT
    return Bound(relative, absolute, unit=unit if absolute else "")
