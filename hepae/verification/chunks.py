"""Chunks of events verified: jets judged against what is promised of them, every other branch compared bit for bit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np

from hepae.io.layouts import event_identifiers
from hepae.verification.bin_shifts import BinAxis
from hepae.verification.event_quantities import QuantityChanges
from hepae.verification.findings import ColumnFindings, ColumnKey, Findings, Jets
from hepae.verification.judgement import extended_momentum, same_bits
from hepae.verification.sameness import value_type

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hepae.verification.promises import Promise, Promises
    from hepae.verification.tree_pair import TreePair
    from hepae.verification.tree_view import TreeView

    Arrays = Mapping[str, ak.Array]
    Values = NDArray[Any]
    Axes = Mapping[tuple[str, str], BinAxis]
    """Axes of histograms by collection and column."""

SAMPLE_ENTRIES = 50_000
"""Entries to which axes are fitted: a fixed number, so that they do not depend on how the events are cut."""


@dataclass(frozen=True)
class EventChecker:
    """Compares events of an original with those of its version.

    Parameters
    ----------
    pair
        The trees of the events.
    promises
        What is promised of the version.
    axes
        Where `fit_axes` put the bins.
    first
        Entry of the version at which the original begins: originals may have been joined.
    """

    pair: TreePair
    promises: Promises
    axes: Axes
    first: int = 0

    def check(self, start: int, stop: int) -> Findings:
        """Compare these entries of the original."""
        pair, first = self.pair, self.first
        names = pair.shared
        before = pair.before.arrays({name: name for name in names}, start, stop)
        after = pair.after.arrays(names, first + start, first + stop)
        findings = Findings(events=stop - start, order=self._order(before, after, start))
        coded: set[str] = set()
        for begin, end, promised in self.promises.within(first + start, first + stop):
            cut = slice(begin - first - start, end - first - start)
            for name, promise in promised.items():
                branches = {promise.collection.column(column).branch for column in promise.coded}
                coded |= branches
                momentum = [
                    promise.collection.column(column).branch for column in promise.collection.momentum
                ]
                wanted = [branch for branch in (*branches, *momentum) if branch in names]
                one, other = (
                    {branch: arrays[branch][cut] for branch in wanted} for arrays in (before, after)
                )
                findings += self._collection(name, promise, one, other, begin - first)
        pair.compare([name for name in names if name not in coded], before, after, start, findings)
        return findings

    def _collection(self, name: str, promise: Promise, one: Arrays, other: Arrays, start: int) -> Findings:
        """Judge the columns of one collection, and what derives from them."""
        of, findings = promise.collection, Findings()
        one, other = dict(one), dict(other)
        for branch in list(one):
            types = value_type(one[branch]), value_type(other[branch])
            if types[0] != types[1] and branch not in self.pair.types:
                findings.types[branch] = f"{types[0]} and is {types[1]}"
            if types[0] != types[1] or branch in self.pair.types:
                del one[branch], other[branch]
        if not one:
            return findings
        counts = None
        if of.counter is not None:
            lengths = [
                {branch: ak.to_numpy(ak.num(array)) for branch, array in side.items()}
                for side in (one, other)
            ]
            for branch, before in lengths[0].items():
                after = lengths[1][branch]
                if not np.array_equal(before, after):
                    entry = int((before != after).argmax())
                    findings.lengths[name] = start + entry, int(before[entry]), int(after[entry])
                    return findings
                counts = before.astype(np.int64)
        flat = [
            {branch: ak.to_numpy(ak.flatten(array, axis=None)) for branch, array in side.items()}
            for side in (one, other)
        ]
        jets = len(next(iter(flat[0].values())))
        findings.jets[name] = jets
        findings.columns[name] = self._columns(promise, flat[0], flat[1], Jets.of(counts, start, jets))
        whole = [of.column(column).branch for column in of.momentum]
        if counts is not None and len(whole) == 4 and {*whole} <= {*one}:
            changes = QuantityChanges()
            changes.fill(*(of.jets({branch: side[branch] for branch in whole}) for side in (one, other)))
            findings.quantities[name] = changes
        return findings

    def _columns(
        self, promise: Promise, one: Mapping[str, Values], other: Mapping[str, Values], where: Jets
    ) -> dict[str, ColumnFindings]:
        of, found = promise.collection, {}
        for column in promise.own:
            branch = of.column(column).branch
            if branch in one:
                found[column] = self._judge(promise, column, one[branch], other[branch], where)
        whole = {of.column(column).branch for column in of.momentum} <= {*one}
        if promise.derived and whole:  # a branch that is missing is said to be
            own = [{c: side[of.column(c).branch] for c in of.momentum} for side in (one, other)]
            same = np.logical_and.reduce([same_bits(own[0][c], own[1][c]) for c in of.momentum])
            dtype = np.result_type(*(own[0][c].dtype for c in of.momentum))
            before, after = (extended_momentum(columns) for columns in own)
            for column in promise.derived:
                found[column] = self._judge(
                    promise, column, before[column], after[column], where, same=same, dtype=dtype
                )
        return found

    def _judge(
        self,
        promise: Promise,
        column: str,
        original: Values,
        restored: Values,
        where: Jets,
        *,
        same: Any = None,
        dtype: Any = None,
    ) -> ColumnFindings:
        key = ColumnKey(
            column,
            promise.bounds.get(column),
            promise.edges.get(column),
            promise.collection.unit,
            original.dtype if dtype is None else dtype,
        )
        axis = self.axes.get((promise.collection.name, column))
        return ColumnFindings.of(key, original, restored, where, same, axis)

    def _order(self, before: Arrays, after: Arrays, start: int) -> tuple[int, str] | None:
        """Find the first entry whose run, luminosity block or event number is another one."""
        named = event_identifiers(self.pair.before.branches[name] for name in self.pair.shared)
        numbers = {what: (before[name], after[name]) for what, name in named.items()}
        first: list[NDArray[Any]] = []
        for one, other in numbers.values():
            both = [a if a.ndim == 1 else ak.fill_none(ak.firsts(a), 0) for a in (one, other)]
            first.append(ak.to_numpy(both[0]) != ak.to_numpy(both[1]))
        differing = np.logical_or.reduce(first) if first else np.zeros(0, bool)
        if not differing.any():
            return None
        entry = int(differing.argmax())
        told = [
            ", ".join(f"{what} {_first(pair[i][entry])}" for what, pair in numbers.items()) for i in (0, 1)
        ]
        return start + entry, f"{told[0]} in the original and {told[1]} now"


def _first(number: Any) -> Any:
    return number if np.isscalar(number) else next(iter(number), None)


def fit_axes(before: TreeView, promises: Promises) -> dict[tuple[str, str], BinAxis]:
    """Fit the bins of each column that may change to the first entries of an original."""
    axes = {}
    for name, promise in promises.collections.items():
        of = promise.collection
        branches = {of.column(column).branch for column in (*promise.coded, *of.momentum)}
        arrays = before.arrays(
            {branch: branch for branch in branches if branch in before.branches},
            0,
            min(before.num_entries, SAMPLE_ENTRIES),
        )
        flat = {branch: ak.to_numpy(ak.flatten(array, axis=None)) for branch, array in arrays.items()}
        values = {c: flat[of.column(c).branch] for c in promise.own if of.column(c).branch in flat}
        if promise.derived and all(of.column(c).branch in flat for c in of.momentum):
            momentum = extended_momentum({c: flat[of.column(c).branch] for c in of.momentum})
            values |= {c: momentum[c] for c in promise.derived}
        for column, sample in values.items():
            bound = promise.bounds.get(column)
            if sample.dtype.kind == "f" and (bound is None or not bound.exact):
                axis = BinAxis.fit(column, sample)
                if axis is not None:
                    axes[name, column] = axis
    return axes
