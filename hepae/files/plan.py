"""The plan of `compress_file`, made from its inputs before anything is written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from hepae.bounded.codec import resolve
from hepae.bounds import EXACT
from hepae.errors import CodecError, ConfigError, InputError
from hepae.files.clone import find_clone
from hepae.files.history import History, InputFile
from hepae.files.other_trees import Unreadable, check_patterns, find_unreadable, wanted
from hepae.io.cloning import INSTALL
from hepae.io.event_numbers import event_collections
from hepae.io.readers import choose_collections

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hepae.bounds import Bounds
    from hepae.codec import Codec
    from hepae.files.clone import Clone
    from hepae.io.inputs import Inputs
    from hepae.io.layouts import Branch, Collection
    from hepae.io.locations import Location
    from hepae.io.sources import Source


@dataclass(frozen=True)
class Options:
    """Which jets and branches of the inputs are taken, and which entries; as the parameters of `compress_file`."""

    collection: str | Sequence[str] | None
    keep: Sequence[str]
    drop: Sequence[str]
    drop_unreadable: bool
    entry_start: int
    entry_stop: int | None
    again: bool = False
    """Whether files that were restored from compressed ones may be compressed again."""
    all_numbers: bool = False
    by_root: bool = False
    """Whether ROOT may clone what is not coded."""


@dataclass(frozen=True)
class PlannedInput:
    """The range of entries taken from one input, and their share of its bytes and of each collection's coded branches."""

    begin: int
    end: int
    file_bytes: int
    coded_bytes: Mapping[str, int]
    gives_trees: bool
    """Whether its other trees are copied: they are once, with its first entry."""


@dataclass(frozen=True)
class Plan:
    """What is read and written.

    ``branches`` are those of the first input that are read, coded or not; ``left_out`` those that are not kept. ``bounds`` and
    ``columns`` (those that are coded) are by collection. ``unit_note`` says what was assumed of the unit. ``clone`` says what
    ROOT clones; None where uproot passes everything through.
    """

    path: Location
    tree: str
    title: str
    source: dict[str, str]
    collections: tuple[Collection, ...]
    columns: dict[str, tuple[str, ...]]
    bounds: dict[str, Bounds]
    branches: dict[str, Branch]
    left_out: tuple[str, ...]
    unreadable: Unreadable
    inputs: tuple[PlannedInput, ...]
    unit_note: str | None
    clone: Clone | None
    files: tuple[InputFile, ...] = ()
    """Names and UUIDs of the inputs that entries are taken of."""
    histories: tuple[History, ...] = ()
    """Of the inputs that were restored from compressed files."""

    @property
    def entries(self) -> int:
        """Entries that are taken of all inputs."""
        return sum(planned.end - planned.begin for planned in self.inputs)

    @property
    def bytes_before(self) -> dict[str, int]:
        """Bytes of the coded branches in the inputs, by collection."""
        return {
            collection.name: sum(planned.coded_bytes[collection.name] for planned in self.inputs)
            for collection in self.collections
        }


def plan(files: Inputs, codec: Codec, options: Options) -> Plan:
    """Open each input once, and decide what will be done.

    Raises
    ------
    InputError
        If an input cannot be read, has no jets, or differs from the first in its branches.
    CodecError
        If the jets lack a column of the model.
    ConfigError
        If a bound or an edge is for a column that is not there or takes none, or a pattern matches nothing.
    """
    first = files.open(0)
    path, tree, source = first.path, first.tree, {"format": first.format, "layout": first.layout.name}
    branches, beside = first.branches, first.unreadable
    chosen = choose_collections(first, options.collection or ("*" if options.all_numbers else None))
    if options.all_numbers:
        chosen += event_collections(branches, tree, first.layout.collections.values())
    columns = {c.name: _coded_columns(codec, c, str(path)) for c in chosen}
    clone = _clone(first, chosen, columns, options)
    stays = clone.stays if clone else frozenset()
    columns = {
        c.name: tuple(name for name in columns[c.name] if c.column(name).branch not in stays) for c in chosen
    }
    chosen = [c for c in chosen if columns[c.name]]
    if not chosen:
        raise InputError(
            f"ROOT could not put the columns of {path} back where they stood; set HEPAE_ROOT=off to code them"
        )
    bounds = _bounds(codec.bounds, chosen, columns, str(path))
    check_patterns(first, options.keep, options.drop)
    coded = {c.column(name).branch for c in chosen for name in columns[c.name]}
    needed = coded | {collection.counter for collection in chosen}
    cloned = {tree, *clone.others} if clone else set()
    unreadable = find_unreadable(first, options.keep, options.drop, cloned=cloned)
    if unreadable.names and not options.drop_unreadable:
        by_root = (
            "" if options.by_root or not unreadable.branches else f"keep them with ROOT ({INSTALL}), or "
        )
        raise InputError(
            f"{path} has {unreadable}; {by_root}leave them out with --drop-unreadable, or by name with --drop"
        )
    kept = {
        name: branch
        for name, branch in branches.items()
        if name in needed or wanted(name, options.keep, options.drop)
    }
    found, named, histories = [], [], []
    for number in range(len(files)):
        opened = files.open(number)
        _check_alike(path, tree, branches, opened)
        named.append(InputFile.of(opened))
        if (history := History.of_source(opened)) is not None:
            if not options.again:
                _require_unchanged(opened, history, bounds, columns)
            histories.append(history)
        size = opened.path.stat().st_size
        stored = {
            c.name: sum(opened.stored_bytes(c.column(name).branch) for name in columns[c.name])
            for c in chosen
        }
        found.append((opened.num_entries, size, stored))
    unit = files.unit.unit
    there = {*kept, *unreadable.branches}
    planned = _planned(found, options.entry_start, options.entry_stop)
    taken = [one for one, each in zip(named, planned, strict=True) if each.begin < each.end]
    return Plan(
        path,
        tree,
        first.title,
        source,
        tuple(replace(c, unit=unit or c.unit) for c in chosen),
        columns,
        bounds,
        kept,
        tuple(name for name in (*branches, *beside) if name not in there)
        if clone is None
        else clone.left_out,
        unreadable,
        tuple(planned),
        files.unit.note,
        clone,
        tuple(taken or named),
        tuple(histories),
    )


def _clone(
    source: Source, chosen: Sequence[Collection], columns: Mapping[str, Sequence[str]], options: Options
) -> Clone | None:
    """What ROOT clones, where it may."""
    if not options.by_root:
        return None
    coded = {c.column(name).branch for c in chosen for name in columns[c.name]}
    momenta = {c.column(name).branch for c in chosen for name in c.momentum}
    counters = {c.counter for c in chosen}
    return find_clone(source, coded, momenta & coded, coded | counters, options.keep, options.drop)


def _require_unchanged(
    source: Source,
    history: History,
    bounds: Mapping[str, Bounds],
    columns: Mapping[str, Sequence[str]],
) -> None:
    """Refuse to code columns a second time: the errors of both would add up, and the second bound would be no bound of the original.

    Raises
    ------
    InputError
        If a column that will be coded within a bound, or as latents, is off the original already.
    """
    for name, before in history.since(0).items():
        if name not in columns:
            continue
        now = bounds[name].columns if name in bounds else dict.fromkeys(columns[name])
        again = [
            column
            for column, bound in now.items()
            if column in {*before.coded, *before.bounds} and bound != EXACT
        ]
        if again:
            told = ", ".join(
                f"{column} {before.bounds.get(column) or 'without a bound'}" for column in again[:4]
            )
            raise InputError(
                f"{source.path} was restored from a compressed file ({told}{', …' if again[4:] else ''}), and compressing it again "
                "adds up both errors: compress the original, or add --again to record the sum of both bounds"
            )


def _coded_columns(codec: Codec, collection: Collection, where: str) -> tuple[str, ...]:
    """Columns of a collection that the codec codes; ``where`` names the file in errors."""
    try:
        return codec.coded_columns(collection.column_names)
    except CodecError as error:
        raise CodecError(f"{error} (collection {collection.name!r} of {where})") from None


def _bounds(
    asked: Bounds | None,
    collections: Sequence[Collection],
    columns: Mapping[str, Sequence[str]],
    where: str,
) -> dict[str, Bounds]:
    """Bounds of the columns that will be coded, by collection; none where none is asked for."""
    if asked is None:
        return {}
    types = {
        collection.name: {name: np.dtype(collection.column(name).dtype) for name in columns[collection.name]}
        for collection in collections
    }
    try:
        return resolve(asked, types)
    except ConfigError as error:
        raise ConfigError(f"{error} (in {where})") from None


def _check_alike(path: Location, tree: str, branches: Mapping[str, Branch], other: Source) -> None:
    if other.tree != tree or other.branches != branches:
        differing = sorted({*branches.items()} ^ {*other.branches.items()}, key=lambda item: item[0])
        what = f"branch {differing[0][0]!r}" if differing else f"tree {other.tree!r}"
        raise InputError(
            f"{path} and {other.path} cannot be joined: {what} is not the same in both; compress them one by one"
        )


def _planned(
    found: Sequence[tuple[int, int, Mapping[str, int]]], entry_start: int, entry_stop: int | None
) -> list[PlannedInput]:
    """Cut a range of entries of the inputs joined into one of each.

    Parameters
    ----------
    found
        Of each input its entries, its bytes, and those of the coded branches by collection.
    entry_start, entry_stop
        The range; it may count from the end, as that of a slice.
    """
    total = sum(entries for entries, _, _ in found)
    begin, end, _ = slice(entry_start, entry_stop).indices(total)
    planned: list[PlannedInput] = []
    first = 0
    for entries, size, coded in found:
        start = min(max(begin - first, 0), entries)
        stop = min(max(end - first, start), entries)
        gives_trees = begin <= first < end or first == end == total  # an empty input has trees all the same
        shares = {name: _share(stored, entries, start, stop) for name, stored in coded.items()}
        planned.append(PlannedInput(start, stop, _share(size, entries, start, stop), shares, gives_trees))
        first += entries
    if begin >= end and not any(each.gives_trees for each in planned):
        planned[0] = replace(planned[0], gives_trees=True)
    return planned


def _share(size: int, entries: int, begin: int, end: int) -> int:
    """Bytes of a range of entries; the sum over all ranges is the whole."""
    return size * end // entries - size * begin // entries if entries else size
