"""Trees of files that hepae wrote, read branch by branch: those that `hepae.io.writers` wrote, and those that ROOT cloned."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING, Any

import uproot

from hepae.io.baskets import BasketChecksums
from hepae.io.ntuples import TreeSource, column_bytes, columns_of, plain_name, tuple_fields
from hepae.io.objects import TREES
from hepae.io.tree_records import title_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import awkward as ak

    from hepae.io.locations import Location


class WrittenTree:
    """A TTree or RNTuple that `io.writers` wrote: its branches are plain and are read as they are.

    Parameters
    ----------
    file
        The open file.
    name
        Name of the tree.
    fields
        Names in the file of those branches that the storage calls otherwise.
    """

    def __init__(self, file: Any, name: str, fields: Mapping[str, str] | None = None):
        self._ntuple = file[name]
        self.storage = "ttree" if file.classname_of(name) in TREES else "rntuple"
        self.title = title_of(self._ntuple)
        self.num_entries = int(self._ntuple.num_entries)
        found = (
            {branch.name: branch for branch in self._ntuple.branches}
            if self.storage == "ttree"
            else tuple_fields(self._ntuple)
        )
        self._branches = {**found, **{branch: found[field] for branch, field in (fields or {}).items()}}

    @property
    def branches(self) -> list[str]:
        """Names of the branches."""
        return list(self._branches)

    @property
    def titles(self) -> dict[str, str]:
        """Titles of the branches by their names; of an RNTuple that uproot wrote there are none."""
        return {name: title_of(branch) for name, branch in self._branches.items()}

    def arrays(self, names: Iterable[str], entry_start: int, entry_stop: int) -> dict[str, ak.Array]:
        """Arrays by branch name, of these entries."""
        entries = {"entry_start": entry_start, "entry_stop": entry_stop}
        found = {name: self._branches[name].array(**entries, array_cache=None) for name in names}
        if short := [name for name, array in found.items() if len(array) != entry_stop - entry_start]:
            raise ValueError(f"branch {short[0]} is shorter than its tree")
        return found

    @property
    def uncompressed_bytes(self) -> int:
        """Bytes of all branches in memory."""
        if self.storage == "ttree":
            return int(self._ntuple.uncompressed_bytes)
        return int(column_bytes(self._ntuple)[:, 0].sum())

    def stored_bytes(self, names: Iterable[str]) -> int:
        """Bytes that branches take in the file, compressed."""
        if self.storage == "ttree":
            return sum(int(self._branches[name].compressed_bytes) for name in names)
        columns = column_bytes(self._ntuple)[:, 1]
        return sum(
            int(columns[columns_of(self._branches[n].to_akform()[0].content(self._branches[n].name))].sum())
            for n in names
        )


class ClonedTree:
    """A TTree that ROOT cloned: its objects are taken apart into the plain branches that its original was read as.

    Parameters
    ----------
    path, file
        The file, and the same opened.
    name
        Name of the tree.
    """

    storage = "ttree"

    def __init__(self, path: Location, file: Any, name: str):
        self._path, self._file, self._name = path, file, name
        self.tree = file[name]
        self.num_entries = int(self.tree.num_entries)
        self.title = title_of(self.tree)
        names = Counter(plain_name(branch.name) for branch in self.tree.branches)
        self._plain = {
            name: branch
            for branch in self.tree.branches
            if names[name := plain_name(branch.name)] == 1 and not branch.branches
        }

    @cached_property
    def _source(self) -> TreeSource:
        """The tree with all its objects taken apart, which takes seconds where they are many."""
        return TreeSource(self._path, self._file, {self._name: "TTree"}, self._name, None, probe=False)

    @property
    def branches(self) -> list[str]:
        """Names of the plain branches."""
        return list(self._source.branches)

    @property
    def titles(self) -> dict[str, str]:
        """Titles of the branches by their names; members of objects have none."""
        return {name: title_of(branch) for name, branch in self._plain.items()}

    def arrays(self, names: Iterable[str], entry_start: int, entry_stop: int) -> dict[str, ak.Array]:
        """Arrays by branch name, of these entries."""
        names = list(names)
        found: dict[str, ak.Array] = {}
        for name in names:
            branch = self._plain.get(name)
            if branch is not None and isinstance(_content(branch), uproot.AsDtype):
                found[name] = branch.array(entry_start=entry_start, entry_stop=entry_stop, array_cache=None)
        members = [name for name in names if name not in found]
        if members:  # an object is read once for all its members
            found |= self._source.arrays(members, entry_start, entry_stop)
        return {name: found[name] for name in names}

    def checksums(
        self, names: Iterable[str], entry_start: int, entry_stop: int
    ) -> dict[str, tuple[str, list[int]]]:
        """Paths of the branches that hold these, and the checksums of their baskets in these entries."""
        paths = {name: self._source.origin(name).path for name in names}
        found = BasketChecksums()
        found.update(self.tree, entry_start, entry_stop, paths=paths.values())
        return {name: (path, found.by_branch[path]) for name, path in paths.items()}

    @property
    def uncompressed_bytes(self) -> int:
        """Bytes of all branches in memory."""
        return int(self.tree.uncompressed_bytes)

    def stored_bytes(self, names: Iterable[str]) -> int:
        """Bytes that branches take in the file, compressed."""
        return sum(
            int(self._plain[name].compressed_bytes)
            if name in self._plain
            else self._source.stored_bytes(name)
            for name in names
        )


def _content(branch: Any) -> Any:
    """How uproot reads the numbers of a branch, or of its lists."""
    try:
        interpretation = branch.interpretation
    except uproot.interpretation.identify.UnknownInterpretation:
        return None
    content = getattr(interpretation, "content", interpretation)
    plain = isinstance(content, uproot.AsDtype) and content.to_dtype.names is None
    return content if plain else None
