"""Files to jets, whole or in steps.

A *source* is an open file with one tree or table chosen: its branches, its layout with the collections of jets, and
its arrays for any range of entries. ROOT trees and tables are sources alike.
"""

from __future__ import annotations

import difflib
import fnmatch
from typing import TYPE_CHECKING

import awkward as ak

from hepae import kinematics
from hepae.column_names import ALIASES
from hepae.errors import ConfigError, InputError, listed
from hepae.io.guards import reading
from hepae.io.inputs import Inputs, open_source
from hepae.io.ntuples import HEADER_TREE
from hepae.io.rootfiles import file_kind, open_root
from hepae.io.sources import STEP_SIZE, Source, memory_size, steps

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from hepae.io.layouts import Collection
    from hepae.io.locations import Url

__all__ = [
    "HEADER_TREE",
    "STEP_SIZE",
    "Source",
    "choose_collection",
    "choose_collections",
    "file_kind",
    "iterate_jets",
    "memory_size",
    "open_root",
    "open_source",
    "read_jets",
    "reading",
    "steps",
]


def choose_collection(source: Source, name: str | None = None) -> Collection:
    """Choose the jets of a source: by name, else ``Jet``, else ``AnalysisJets``, else the only collection.

    Raises
    ------
    InputError
        If there is none, or several could be meant; the error lists them.
    """
    collections = source.layout.collections
    where = f"tree {source.tree!r} of {source.path}"
    if not collections:
        raise InputError(
            f"no jets in {where}: hepae looks for branches pt, eta, phi and mass or E (or px, py, pz, E) with a common prefix"
            f"{_there_are([*source.branches])}"
        )
    for candidate in (name,) if name else ("Jet", "AnalysisJets"):
        if candidate in collections:
            return collections[candidate]
    with_momentum = [collection for collection in collections.values() if len(collection.momentum) == 4]
    if name is None and len(with_momentum or collections) == 1:
        return next(iter(with_momentum or collections.values()))
    choice = collections if name or len(with_momentum) < 2 else (c.name for c in with_momentum)
    found = f"{where} has collections {', '.join(choice)}"
    raise InputError(
        f"no collection {name!r}: {found}" if name else f"which jets? {found}; choose with --collection"
    )


def choose_collections(source: Source, names: str | Sequence[str] | None = None) -> list[Collection]:
    """Choose the collections of a source by names and patterns such as ``*Jet``, or the jets where none is given.

    Raises
    ------
    InputError
        If there is no collection of a name, or several jets could be meant; the error lists what there is.
    ConfigError
        If a pattern matches nothing.
    """
    if not names:
        return [choose_collection(source)]
    found: dict[str, Collection] = {}
    for name in [names] if isinstance(names, str) else names:
        for match in matching_collections(name, source.layout.collections) or [name]:
            found[match] = choose_collection(source, match)
    return list(found.values())


def matching_collections(pattern: str, collections: Iterable[str]) -> list[str]:
    """Give the collections that a pattern matches; none where it is a name that is not among them.

    Raises
    ------
    ConfigError
        If a pattern with ``*``, ``?`` or ``[`` matches nothing.
    """
    collections = list(collections)
    matching = fnmatch.filter(collections, pattern)
    if not matching and is_pattern(pattern):
        raise ConfigError(f"--collection {pattern!r} matches nothing{nearest(pattern, collections)}")
    return matching


def is_pattern(text: str) -> bool:
    """Whether a text has wildcards."""
    return any(sign in text for sign in "*?[")


def _there_are(names: list[str]) -> str:
    return f"; there are {listed(names)}" if names else ""


def nearest(pattern: str, names: Iterable[str]) -> str:
    """End of an error about a pattern that matches nothing: the names that are most like it.

    >>> nearest("MTE_*", ["MET_pt", "nJet"])
    '; the nearest name is MET_pt'
    """
    names = list(names)
    text = pattern.strip("*?")
    by_lower = {name.lower(): name for name in names}
    found = [by_lower[name] for name in difflib.get_close_matches(text.lower(), by_lower, cutoff=0.5)]
    if not found:
        return _there_are(names)
    return (
        f"; the nearest names are {', '.join(found)}"
        if len(found) > 1
        else f"; the nearest name is {found[0]}"
    )


def iterate_jets(
    paths: str | Path | Url | Sequence[str | Path | Url],
    *,
    tree: str | None = None,
    collection: str | None = None,
    unit: str | None = None,
    columns: Sequence[str] | None = None,
    step_size: str | int = STEP_SIZE,
) -> Iterator[ak.Array]:
    """Read jets of one or more files step by step; one file is open at a time.

    Parameters
    ----------
    paths
        One file or several, read in order: paths, patterns such as ``data/*.root``, and fsspec URLs.
    tree, collection
        Tree and collection; found by name if there is only one choice.
    unit
        Unit of pt, mass and E in the files, MeV or GeV. Layouts such as NanoAOD and xAOD fix it. For other files the default is MeV
        if the median pt is above 1000, otherwise GeV, with a warning.
    columns
        Columns to read besides the four-momentum, by name; all by default.
    step_size
        Memory of one step (``"100 MB"``), or its number of entries.

    Yields
    ------
    ak.Array
        Jets with ``Momentum4D`` behaviour in GeV and float64: one list per event, or flat where a row is a jet.

    Warns
    -----
    hepae.errors.UnitWarning
        If the unit was assumed from the values.

    Raises
    ------
    InputError
        If a file is missing or damaged, has no jets or not the columns asked for, seems to have another unit than the first file,
        or was replaced while it was read (raised after its last step).
    ConfigError
        If the unit contradicts the layout of a file.
    """
    return jets_of(Inputs(paths, tree=tree, unit=unit), collection, columns, step_size)


def jets_of(
    inputs: Inputs,
    collection: str | None = None,
    columns: Sequence[str] | None = None,
    step_size: str | int = STEP_SIZE,
    *,
    stacklevel: int = 2,
) -> Iterator[ak.Array]:
    """Read the jets of inputs step by step; parameters and errors are those of `iterate_jets`."""
    with inputs:
        for source in inputs:
            chosen = choose_collection(source, collection)
            branches = _wanted_branches(source, chosen, columns)
            inputs.unit.warn(stacklevel)
            for start, stop in steps(source.num_entries, source.entries_per_step(step_size)):
                yield chosen.jets(source.arrays(branches, start, stop))


def _wanted_branches(source: Source, chosen: Collection, columns: Sequence[str] | None) -> list[str]:
    """Branches of the four-momentum and of the further columns that are wanted, all by default."""
    wanted = set(chosen.column_names)
    if columns is not None:
        wanted = {ALIASES.get(name, name) for name in columns} | {*kinematics.UNITS}
    if unknown := wanted - {*chosen.column_names, *kinematics.UNITS}:
        raise InputError(
            f"no column {min(unknown)!r} in {chosen.name} of {source.path}: there are {listed(chosen.column_names)}"
        )
    return [column.branch for column in chosen.columns if column.name in wanted]


def read_jets(
    paths: str | Path | Url | Sequence[str | Path | Url],
    *,
    tree: str | None = None,
    collection: str | None = None,
    unit: str | None = None,
    columns: Sequence[str] | None = None,
) -> ak.Array:
    """Read all jets of one or more files; parameters, warnings and errors are those of `iterate_jets`.

    Returns
    -------
    ak.Array
        Jets with ``Momentum4D`` behaviour in GeV and float64: one list per event, or flat where a row is a jet.
    """
    chunks = list(jets_of(Inputs(paths, tree=tree, unit=unit), collection, columns, stacklevel=3))
    if not chunks:
        raise InputError(f"no events in {paths}")
    every = set.union(*({*chunk.fields} for chunk in chunks))
    if missing := every - set.intersection(*({*chunk.fields} for chunk in chunks)):
        raise InputError(
            f"the files do not have the same columns: {', '.join(sorted(missing))} is not in all of them"
        )
    return ak.concatenate(chunks) if len(chunks) > 1 else chunks[0]
