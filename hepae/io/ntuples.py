"""TTrees and RNTuples of ROOT files, their objects taken apart into plain branches."""

from __future__ import annotations

import contextlib
import re
from abc import abstractmethod
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import uproot

from hepae.errors import InputError
from hepae.io.baskets import Origin, branch_paths
from hepae.io.guards import reading, reason
from hepae.io.layouts import Branch, find_layout, vector_names
from hepae.io.objects import TREES, StoredObject, history_texts, is_tree, objects_of
from hepae.io.packed_vectors import packed_vectors
from hepae.io.rootfiles import open_root
from hepae.io.sources import Field, Source, entries_in, plain_branches
from hepae.io.tree_records import title_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import awkward as ak
    from numpy.typing import NDArray

    from hepae.io.locations import Location

HEADER_TREE = "hepae"
"""Tree of a compressed file that tells it from others."""
_AZIMUTH = re.compile(rb"phi|py|vector3|lorentzvector", re.IGNORECASE)
"""What is in the name of a column, a member or a class of every four-momentum."""
_BASKETS = 4
"""Baskets of a branch that tell how well it compresses."""
_COLLECTIONS = (3, 4)
"""What TBranchElement says of a TClonesArray and of a collection of C++: the lists of its members are of equal length."""


def open_ntuple(path: Location, *, tree: str | None = None, unit: str | None = None) -> Source:
    """Open a ROOT file and choose one of its TTrees and RNTuples: by name, else the one with jets.

    The branches' names and types tell which one has jets; of the others no entry is read.

    Raises
    ------
    InputError
        If there is none, or several could be meant; the error lists them.
    """
    with reading(path):
        file = open_root(path)
        try:
            return _choose(path, file, tree, unit)
        except BaseException:
            file.close()
            raise


def _choose(path: Location, file: Any, tree: str | None, unit: str | None) -> Source:
    kinds = file.classnames(recursive=True, cycle=False)
    trees = {name: kind for name, kind in kinds.items() if is_tree(kind)}
    if HEADER_TREE in trees:
        raise InputError(f"{path} is a compressed file; restore it with: hepae decompress {path} -o OUT.root")
    if tree is not None:
        return _source(path, file, trees, _named(path, trees, tree), unit)
    return _with_jets(path, file, trees, unit)


def _named(path: Location, trees: Iterable[str], name: str) -> str:
    if name not in trees:
        raise InputError(f"no tree {name!r} in {path}: it has {', '.join(trees) or 'no tree'}")
    return name


def _with_jets(path: Location, file: Any, trees: dict[str, str], unit: str | None) -> Source:
    if not trees:
        raise InputError(f"no tree in {path}: hepae reads jets from TTrees and RNTuples")
    preferred = [name for name in ("Events", "CollectionTree") if name in trees]
    if preferred or len(trees) == 1:
        return _source(path, file, trees, next(iter(preferred or trees)), unit)
    opened = [name for name, kind in trees.items() if kind not in TREES or _names_a_momentum(file, name)]
    momenta = {
        name: _momentum(_source(path, file, trees, name, unit, probe=False)) if name in opened else 0
        for name in trees
    }
    most = max(momenta.values())
    with_jets = [name for name, columns in momenta.items() if columns == most]
    if most == 0 or len(with_jets) != 1:
        what = "several trees with jets" if most else "several trees, none with jets known by its names"
        raise InputError(f"{what} in {path}: {', '.join(with_jets)}; choose one with --tree")
    return _source(path, file, trees, with_jets[0], unit)


def _names_a_momentum(file: Any, name: str) -> bool:
    """Whether the record of a TTree has phi or py in any name, or names a class with such a member.

    To open the tree of PHYSLITE's metadata takes 5 s and 70 MB.
    """
    record = file.key(name).get_uncompressed_chunk_cursor()[0].raw_data.tobytes()
    with_azimuth = [
        classname.encode()
        for classname, versions in file.file.streamers.items()
        if any(
            _AZIMUTH.search(f"{e.name} {e.typename}".encode()) for v in versions.values() for e in v.elements
        )
    ]
    return bool(_AZIMUTH.search(record)) or any(classname in record for classname in with_azimuth)


def _momentum(source: Source) -> int:
    """How many columns of a four-momentum the best collection has: 4, 3 (pt, eta and phi alone) or none."""
    collections = find_layout(source.branches).collections.values()
    return max((len(collection.momentum) for collection in collections), default=0)


def _source(
    path: Location, file: Any, trees: dict[str, str], name: str, unit: str | None, *, probe: bool = True
) -> Source:
    """One tree as a source; without ``probe`` it may have branches that turn out to be unreadable."""
    if trees[name] in TREES:
        return TreeSource(path, file, trees, name, unit, probe=probe)
    return TupleSource(path, file, trees, name, unit)


def tree_source(path: Location, file: Any, name: str) -> Source:
    """One tree of an open file as a source, be it of a compressed file."""
    return _source(path, file, {name: file.classname_of(name)}, name, None)


@dataclass(frozen=True)
class _Stored:
    """What the file holds: something that uproot reads, and the plain branches it is taken apart into."""

    name: str
    branch: Any
    form: Any
    counter: str | None = None
    title: str = ""
    path: str = ""

    @cached_property
    def columns(self) -> list[int]:
        """Numbers of an RNTuple's columns that it is made of."""
        return columns_of(self.form)


class NtupleSource(Source):
    """A TTree or RNTuple of a ROOT file."""

    def __init__(self, path: Location, file: Any, trees: dict[str, str], name: str, unit: str | None):
        self.path, self.unit, self.file = path, unit, file
        self.tree, self.trees, self._kinds = name, tuple(trees), trees
        self._ntuple = file[name]
        self.title = title_of(self._ntuple)
        self._others: dict[str, Source] = {}
        self.num_entries = int(self._ntuple.num_entries)
        self.branches = {}
        self._fields: dict[str, tuple[_Stored, Field]] = {}
        self._parts: dict[int, int] = {}
        unreadable: dict[str, str] = {}
        for stored in self._stored(unreadable):
            try:
                found = list(plain_branches(stored.name, stored.form, stored.counter))
            except (TypeError, AttributeError):
                found = []
            if not found:  # a type that uproot does not read, or objects without a number in them
                unreadable[stored.name] = stored.path
                continue
            self._parts[id(stored)] = len(found)
            for branch, field in found:
                whole = replace(branch, title=stored.title) if len(found) == 1 else branch
                self._add(whole, stored, field)
        self.unreadable, self._unreadable_paths = tuple(unreadable), unreadable
        better = vector_names(self.branches)
        self.branches = {
            (new := better.get(old, old)): replace(b, name=new) for old, b in self.branches.items()
        }
        self._fields = {better.get(name, name): field for name, field in self._fields.items()}
        self._free_counters({stored.counter for stored, _ in self._fields.values()})

    def _add(self, branch: Branch, stored: _Stored, field: Field) -> None:
        name, number = branch.name, 2
        while name in self.branches:  # a file may have the same name twice
            name, number = f"{branch.name}_{number}", number + 1
        self.branches[name] = replace(branch, name=name)
        self._fields[name] = stored, field

    @abstractmethod
    def _stored(self, unreadable: dict[str, str]) -> Iterator[_Stored]:
        """What the file holds, with its awkward form; names of what cannot be read are added with their paths."""

    @abstractmethod
    def _read(self, stored: _Stored, entry_start: int, entry_stop: int) -> ak.Array:
        """Read entries of one of these."""

    def arrays(self, names: Iterable[str], entry_start: int, entry_stop: int) -> dict[str, ak.Array]:
        """Arrays by branch name, of these entries."""
        result = {}
        read: dict[int, ak.Array] = {}
        for name in names:
            stored, field = self._fields[name]
            with reading(self.path):
                if id(stored) not in read:
                    try:
                        read[id(stored)] = self._read(stored, entry_start, entry_stop)
                    except (MemoryError, NameError, OSError):
                        raise
                    except Exception as error:
                        raise InputError(
                            f"cannot read branch {name!r} of {self.path}: it is damaged, or of a kind that uproot does "
                            f"not read ({reason(error)}); leave it out with --drop {name!r}"
                        ) from error
                result[name] = field.of(read[id(stored)])
        return result

    def other_trees(self, wanted: Callable[[str], bool] = lambda _: True) -> Iterator[Source]:
        """Every other tree of the file, as a source of its own; they share the open file, and each is taken apart once."""
        for name in self.trees:
            if name != self.tree and wanted(name):
                if name not in self._others:
                    with reading(self.path):
                        self._others[name] = _source(self.path, self.file, self._kinds, name, self.unit)
                yield self._others[name]

    def objects(self) -> list[StoredObject]:
        """Objects of the file that are no trees, and folders."""
        with reading(self.path):
            return objects_of(self.file)

    @property
    def uuid(self) -> str | None:
        """The file's own identifier."""
        return str(self.file.file.uuid)

    def histories(self) -> list[str]:
        """Histories that hepae wrote into the file: one, or one of each part that hadd joined."""
        with reading(self.path):
            return history_texts(self.file)

    def close(self) -> None:
        """Close the file."""
        self.file.close()


class TreeSource(NtupleSource):
    """A TTree of a ROOT file."""

    format = "ttree"

    def __init__(self, *arguments: Any, probe: bool = True):
        self._probe = probe
        super().__init__(*arguments)

    def _stored(self, unreadable: dict[str, str]) -> Iterator[_Stored]:
        self.paths = {id(branch): path for path, branch in branch_paths(self._ntuple)}
        top = {branch.name for branch in self._ntuple.branches}
        seen: Counter[str] = Counter()
        for branch in self._ntuple.branches:
            name = plain_name(branch.name)
            seen[name] += 1  # a file may have the same name twice
            if seen[name] > 1:
                name = f"{name}_{seen[name]}"
            yield from self._leaves(branch, name, None, top, unreadable)

    def _leaves(
        self, branch: Any, name: str, counter: str | None, top: set[str], unreadable: dict[str, str]
    ) -> Iterator[_Stored]:
        if branch.branches:  # its own values, if any, are the lengths of its members' lists
            if branch.member("fType", none_if_missing=True) in _COLLECTIONS:
                counter = next((c for c in (f"{name}_size", f"n{name}") if c in top), f"n{name}")
            members = {member.name: member for member in branch.branches}
            for member in branch.branches:
                own = plain_name(member.name)
                nested = own.startswith(f"{branch.name.rstrip('.')}.")
                last = own[len(branch.name.rstrip(".")) + 1 :] if nested else own
                other = members.get(member.name.replace("fBits", "fUniqueID"), member)
                shorter = (
                    len(other.name) - len(member.name)
                ) * member.num_baskets  # the name is in each basket
                if member.uncompressed_bytes != other.uncompressed_bytes - shorter:
                    # those of objects that others refer to have two bytes more, which uproot does not know
                    unreadable[f"{name}.{last}"] = self.paths[id(member)]
                    continue
                yield from self._leaves(member, f"{name.rstrip('.')}.{last}", counter, top, unreadable)
            return
        interpretation = self._interpretation(branch)
        path = self.paths[id(branch)]
        if interpretation is None:
            unreadable[name] = path
            return
        form = interpretation.awkward_form(branch.file)
        count = branch.count_branch
        if count is not None and count.name in top:
            counter = count.name
        yield _Stored(name, (branch, interpretation), form, counter, title_of(branch), path)

    def _interpretation(self, branch: Any) -> Any:
        """What uproot makes of a branch, or None; where that is not sure before reading, a little is read."""
        for interpretation in (packed_vectors(branch.typename), branch.interpretation):
            # Whatever uproot has no reader for ends in nearly any error.
            with contextlib.suppress(Exception):
                interpretation.awkward_form(branch.file)
                content = getattr(interpretation, "content", interpretation)
                plain = isinstance(content, uproot.AsDtype) and content.to_dtype.names is None
                if not plain and self.num_entries and self._probe:
                    branch.array(interpretation, entry_stop=1, array_cache=None)
                return interpretation
        return None

    def _read(self, stored: _Stored, entry_start: int, entry_stop: int) -> ak.Array:
        branch, interpretation = stored.branch
        return branch.array(interpretation, entry_start=entry_start, entry_stop=entry_stop, array_cache=None)

    @cached_property
    def _by_path(self) -> dict[str, Any]:
        return dict(branch_paths(self._ntuple))

    def branch_of(self, name: str) -> Any:
        """The branch of uproot that holds the values of a plain branch."""
        return self._fields[name][0].branch[0]

    def origin(self, name: str) -> Origin:
        """Where the values of a branch stand in the tree, be it readable or not."""
        if name in self._unreadable_paths:
            return Origin(self._unreadable_paths[name])
        stored, field = self._fields[name]
        return Origin(stored.path, ".".join(field.path), field.element)

    def entries_per_step(self, step_size: str | int) -> int:
        """How many entries take this much memory."""
        return entries_in(step_size, int(self._ntuple.uncompressed_bytes), self.num_entries)

    def stored_bytes(self, name: str) -> int:
        """Compressed bytes of a branch in the file, readable or not; its share if it is one member of an object."""
        if name in self._unreadable_paths:
            return int(self._by_path[self._unreadable_paths[name]].compressed_bytes)
        stored, _ = self._fields[name]
        return int(stored.branch[0].compressed_bytes) // self._parts[id(stored)]

    def recompressed(self, name: str, compression: Any) -> float:
        """Share of its bytes that a branch would take in this compression where that is smaller, by a few of its baskets."""
        path = self._unreadable_paths.get(name) or self._fields[name][0].path
        branch = self._by_path[path]
        before = after = 0
        for number in range(0, branch.num_baskets, max(1, branch.num_baskets // _BASKETS)):
            basket = branch.basket(number)
            head = basket.member("fKeylen")
            packed = uproot.compression.compress(basket.raw_data.tobytes(), compression)
            before += basket.compressed_bytes + head
            after += min(basket.compressed_bytes, len(packed)) + head
        return after / before if before else 1.0


def plain_name(name: str) -> str:
    """Name of a branch without the sizes of its arrays, ``Jet.Tau`` of ``Jet.Tau[5]``."""
    return re.sub(r"(\[[^\]]*\])+$", "", name)


def tuple_fields(ntuple: Any) -> dict[str, Any]:
    """Fields of an RNTuple by name.

    uproot looks for the members of each field among all fields, which takes 7 s for NanoAOD; here they are found at once.
    """
    children: dict[int, list[Any]] = {}
    for i, record in enumerate(ntuple.field_records):
        if record.parent_field_id != i:
            children.setdefault(record.parent_field_id, []).append(ntuple.all_fields[i])

    def members(number: int) -> list[Any]:
        found = children.get(number, [])
        return [m for f in found for m in (members(f.field_id) if f.is_anonymous else [f])]

    for field in ntuple.all_fields:
        field._fields = members(field.field_id)
    return {field.name: field for field in ntuple.fields}


class TupleSource(NtupleSource):
    """An RNTuple of a ROOT file."""

    format = "rntuple"

    def __init__(self, *arguments: Any):
        super().__init__(*arguments)
        self._find_counters()

    def _stored(self, unreadable: dict[str, str]) -> Iterator[_Stored]:
        fields = tuple_fields(self._ntuple)
        forms = {}
        for name, field in fields.items():
            # NanoAOD of before ROOT 6.34 has the lists of an object in one collection and shows each under its name
            if (
                name.startswith("_")
                and field.fields
                and all(member.name in fields for member in field.fields)
            ):
                continue
            # Whatever uproot has no reader for ends in nearly any error.
            try:
                forms[name] = field.to_akform()[0].content(name)
            except Exception:  # noqa: BLE001
                unreadable[name] = name
        counters = {}
        for name, form in forms.items():
            key = getattr(form, "form_key", None) or ""
            if key.endswith("-cardinality"):
                counters[key.removesuffix("-cardinality")] = name
        for name, form in forms.items():
            title = str(fields[name].record.field_desc)
            yield _Stored(name, fields[name], form, counters.get(form.form_key or ""), title)

    def _read(self, stored: _Stored, entry_start: int, entry_stop: int) -> ak.Array:
        return stored.branch.array(entry_start=entry_start, entry_stop=entry_stop, array_cache=None)

    @cached_property
    def _column_bytes(self) -> NDArray[np.int64]:
        with reading(self.path):
            return column_bytes(self._ntuple)

    @cached_property
    def _bytes_below(self) -> dict[str, int]:
        """Bytes of each field in the file, with those of all its members."""
        parents = [record.parent_field_id for record in self._ntuple.field_records]
        found = [0] * len(parents)
        for record, size in zip(self._ntuple.column_records, self._column_bytes[:, 1].tolist(), strict=True):
            field = record.field_id
            while parents[field] != field:
                field = parents[field]
            found[field] += size
        return {field.name: found[field.field_id] for field in self._ntuple.fields}

    def entries_per_step(self, step_size: str | int) -> int:
        """How many entries take this much memory."""
        return entries_in(step_size, int(self._column_bytes[:, 0].sum()), self.num_entries)

    def stored_bytes(self, name: str) -> int:
        """Compressed bytes of a field in the file, readable or not; its share if it is one member of an object."""
        if name in self._unreadable_paths:
            return self._bytes_below[name]
        stored, _ = self._fields[name]
        return int(self._column_bytes[stored.columns, 1].sum()) // self._parts[id(stored)]


def column_bytes(ntuple: Any) -> NDArray[np.int64]:
    """Bytes of each column of an RNTuple in memory and in the file."""
    records = ntuple.column_records
    total = np.zeros((len(records), 2), np.int64)
    for cluster in ntuple.page_link_list:
        for i, column in enumerate(cluster):
            for page in column.pages:
                total[i] += page.num_elements * records[i].nbits // 8, page.locator.num_bytes
    return total


def columns_of(form: Any) -> list[int]:
    """Numbers of the columns that a field's form is made of."""
    return sorted({int(number) for number in re.findall(r'"column-(\d+)', form.to_json())})
