"""What files hold beside their events: other trees and objects, compared bit for bit."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hepae.files.findings import Findings
from hepae.files.tree_pair import TreePair, accepted_of
from hepae.files.tree_view import objects, other_trees
from hepae.io.sources import steps

if TYPE_CHECKING:
    from collections.abc import Collection

    from hepae.files.compressed import CompressedFile
    from hepae.files.tree_view import TreeView
    from hepae.io.objects import ObjectRecord
    from hepae.io.sources import Source


@dataclass
class Rest:
    """Other trees and objects of a version, beside those of its originals in their order.

    Parameters
    ----------
    after_trees, after_objects
        Of the version.
    accepted
        Names of branches and objects that may be missing.
    """

    after_trees: dict[str, TreeView]
    after_objects: set[ObjectRecord]
    accepted: Collection[str]
    findings: Findings = field(default_factory=Findings)
    _entries: Counter[str] = field(default_factory=Counter)
    """Entries of each other tree in the originals so far."""
    _objects: set[ObjectRecord] = field(default_factory=set)
    _lines: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, after: CompressedFile | Source, accepted: Collection[str]) -> Rest:
        """Open the other trees of a version."""
        return cls({tree.name: tree for tree in other_trees(after)}, objects(after), accepted)

    @property
    def trees(self) -> int:
        """Number of other trees in the originals."""
        return len(self._entries)

    @property
    def objects(self) -> int:
        """Number of objects in the originals."""
        return len(self._objects)

    def compare(self, source: Source, step_size: str | int) -> None:
        """Compare the next original."""
        self._objects |= objects(source)
        for tree in other_trees(source):
            prefix, first = f"{tree.name}/", self._entries[tree.name]
            self._entries[tree.name] += tree.num_entries
            names = [prefix + name for name in (*tree.branches, *tree.unreadable)]
            accepted = accepted_of((*names, tree.name), self.accepted)
            after = self.after_trees.get(tree.name)
            if after is None:
                if tree.name not in accepted and (not names or not {*names} <= accepted):
                    self._lines.append(f"tree {tree.name}: it is missing")
                continue
            pair = TreePair(tree, after, accepted, prefix)
            self.findings += pair.findings
            shared = pair.shared
            both = max(0, min(tree.num_entries, after.num_entries - first))
            for start, stop in steps(both, tree.entries_per_step(step_size)):
                one = tree.arrays({name: name for name in shared}, start, stop)
                other = after.arrays(shared, first + start, first + stop)
                pair.compare(shared, one, other, start, self.findings)

    def finish(self, before: int, after: int) -> None:
        """Find what is missing, differs or was added, when all originals were compared.

        Parameters
        ----------
        before, after
            Number of events of all originals, and of the version.
        """
        lines = [] if before == after else [f"events: {before} in the original and {after} now"]
        self.findings += Findings(structure=(*lines, *self._tree_lines(), *self._object_lines()))

    def _tree_lines(self) -> list[str]:
        lines = list(self._lines)
        for name, entries in self._entries.items():
            tree = self.after_trees.get(name)
            if tree is not None and tree.num_entries != entries:
                lines.append(f"tree {name}: {entries} entries in the original and {tree.num_entries} now")
        lines += [
            f"tree {name}: the original does not have it"
            for name in self.after_trees
            if name not in self._entries
        ]
        return lines

    def _object_lines(self) -> list[str]:
        before, after = (
            {record.name for record in records} for records in (self._objects, self.after_objects)
        )
        differing = {record.name for record in self._objects - self.after_objects}
        missing = [name for name in sorted(before - after) if name not in self.accepted]
        return [
            *(f"object {name}: it is missing" for name in missing),
            *(f"object {name}: not the same bit for bit" for name in sorted(differing & after)),
            *(f"object {name}: the original does not have it" for name in sorted(after - before)),
        ]
