"""A tree of an original beside the same tree of its version: what is missing or added, and the branches compared bit for bit."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import awkward as ak
import numpy as np

from hepae.io.baskets import BasketChecksums
from hepae.verification.findings import Findings
from hepae.verification.sameness import first_difference, value_type

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from hepae.io.layouts import Branch
    from hepae.verification.tree_view import TreeView


@dataclass(frozen=True)
class TreePair:
    """One tree twice.

    Parameters
    ----------
    before, after
        Of the original and of the version.
    accepted
        Names of branches that may be missing.
    prefix
        What stands before the names of branches in what is reported: ``TREE/`` of another tree than that of the events.
    """

    before: TreeView
    after: TreeView
    accepted: Collection[str] = ()
    prefix: str = ""

    @cached_property
    def shared(self) -> dict[str, str]:
        """Branches of both: name in the version by the original's name."""
        return self.after.names_of(self.before.branches)

    @cached_property
    def types(self) -> dict[str, str]:
        """What became of the types of branches that have other ones now."""
        found = {}
        for name, own in self.shared.items():
            one, other = self.before.branches[name], self.after.branches[own]
            if one.datashape != other.datashape and not (self._counts(name) and _integers(one, other)):
                found[self.prefix + name] = f"{one.datashape} and is {other.datashape}"
        return found

    @property
    def findings(self) -> Findings:
        """What the names and types of the branches tell."""
        return Findings(types=dict(self.types), structure=tuple(self._lines()))

    def _lines(self) -> list[str]:
        """Say in one line each which branches are missing, cannot be compared, or were added."""
        lines = []
        if self.before.named and self.after.named and self.before.name != self.after.name:
            lines.append(f"tree {self.before.name}: it is called {self.after.name} now")
        lines += [
            f"branch {self.prefix}{name}: it is missing"
            for name in self.before.branches
            if name not in self.shared and self.prefix + name not in self.accepted
        ]
        unreadable = [
            name
            for name in self.before.unreadable
            if self.prefix + name not in self.accepted and name not in self._equal_baskets
        ]
        if unreadable:
            names = ", ".join(self.prefix + name for name in unreadable[:3])
            more = f" and {len(unreadable) - 3} more" if len(unreadable) > 3 else ""
            lines.append(f"branches that uproot cannot read, and that cannot be compared: {names}{more}")
        # What counts lists is written with them, where the original had no such branch.
        known = {*self.shared.values(), *self.after.counters}
        lines += [
            f"branch {self.prefix}{name}: the original does not have it"
            for name in self.after.branches
            if name not in known
        ]
        return lines

    @cached_property
    def _equal_baskets(self) -> set[str]:
        """Branches that uproot cannot read and whose baskets hold the same bytes in both trees."""
        if self.before.stored is None or self.after.stored is None or not self.before.unreadable:
            return set()
        (one, paths), (other, _) = self.before.stored, self.after.stored
        found = []
        for tree in (one, other):
            found.append(BasketChecksums())
            found[-1].update(tree, 0, int(tree.num_entries), paths=paths.values())
        before, after = (checksums.by_branch for checksums in found)
        return {name for name, path in paths.items() if path in after and before[path] == after[path]}

    def compare(
        self,
        names: Iterable[str],
        one: Mapping[str, ak.Array],
        other: Mapping[str, ak.Array],
        first: int,
        findings: Findings,
    ) -> None:
        """Compare branches of a chunk bit for bit; ``first`` is the entry of the original that the chunk begins with."""
        for name in names:
            called = self.prefix + name
            findings.branches.add(called)
            before, after = one[name], other[name]
            types = value_type(before), value_type(after)
            if None not in types and types[0] != types[1]:
                if self._counts(name) and all(dtype.kind in "iu" for dtype in types if dtype):
                    before, after = (ak.values_astype(array, np.int64) for array in (before, after))
                else:
                    findings.types.setdefault(called, f"{types[0]} and is {types[1]}")
                    continue
            if called in self.types:
                continue
            entry = first_difference(before, after)
            if entry is not None:
                findings.differing[called] = min(first + entry, findings.differing.get(called, first + entry))

    def _counts(self, name: str) -> bool:
        """Whether a branch counts lists: a TTree has int32 there whatever the original had."""
        return name in self.before.counters


def _integers(*branches: Branch) -> bool:
    return all(
        branch.dtype is not None and branch.dtype.kind in "iu" and not branch.jagged and not branch.shape
        for branch in branches
    )


def accepted_of(names: Iterable[str], left_out: Collection[str]) -> frozenset[str]:
    """Names among those that a file lists as left out: by name, or ``TREE/*``."""
    patterns = [pattern for pattern in left_out if pattern.endswith("/*")]
    return frozenset(
        name
        for name in names
        if name in left_out or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
    )
