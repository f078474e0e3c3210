"""Files to jets, whole or in steps.

A *source* is an open file with one tree or table chosen: its branches, its layout with the collections of jets, and
its arrays for any range of entries. ROOT trees and tables are sources alike.
"""

from __future__ import annotations

import contextlib
import fnmatch
from typing import TYPE_CHECKING

import awkward as ak

from hepae import kinematics
from hepae.errors import ConfigError, InputError
from hepae.io.locations import Url, expand, locate
from hepae.io.ntuples import HEADER_TREE, open_ntuple, open_root
from hepae.io.sources import STEP_SIZE, Source, memory_size, reading, steps
from hepae.io.tables import open_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from hepae.io.layouts import Collection

__all__ = [
    "HEADER_TREE",
    "STEP_SIZE",
    "Source",
    "choose_collection",
    "choose_collections",
    "iterate_jets",
    "memory_size",
    "open_root",
    "open_source",
    "read_jets",
    "reading",
    "steps",
]


def open_source(path: str | Path | Url, *, tree: str | None = None, unit: str | None = None) -> Source:
    """Open a file with jets, recognised by its first bytes.

    Raises
    ------
    InputError
        If the file is missing, damaged or of a kind that is not read.
    """
    path = locate(path)
    if unit is not None and unit not in kinematics.GEV:
        raise ConfigError(f"no unit {unit!r}: it is one of {', '.join(kinematics.GEV)}")
    with reading(path), path.open("rb") as file:
        magic = file.read(4)
    if magic == b"root":
        return open_ntuple(path, tree=tree, unit=unit)
    source = _open_copied_table(path, unit) if isinstance(path, Url) else open_table(path, unit=unit)
    if source is None:
        raise InputError(
            f"{path} is neither a ROOT file nor a pickle, an HDF5 or Parquet file, CSV with a header or DarkMachines text"
        )
    return source


def _open_copied_table(url: Url, unit: str | None) -> Source | None:
    """Open a table at a URL: what reads tables wants a file of this machine."""
    with contextlib.ExitStack() as stack:
        with reading(url):
            copy = stack.enter_context(url.copy())
        try:
            source = open_table(copy, unit=unit)
        except InputError as error:
            raise InputError(str(error).replace(str(copy), str(url))) from None
        if source is not None:
            source.moved(url)
        return source


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
            f"no jets in {where}: no branches named pt, eta, phi and mass or E with a common prefix"
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
        If one matches nothing, or several jets could be meant; the error lists what there is.
    """
    if not names:
        return [choose_collection(source)]
    found: dict[str, Collection] = {}
    for name in [names] if isinstance(names, str) else names:
        matching = fnmatch.filter(source.layout.collections, name)
        for match in matching or [name]:
            found[match] = choose_collection(source, match)
    return list(found.values())


def iterate_jets(
    paths: str | Path | Url | Sequence[str | Path | Url],
    *,
    tree: str | None = None,
    collection: str | None = None,
    unit: str | None = None,
    columns: Sequence[str] | None = None,
    step_size: str | int = STEP_SIZE,
) -> Iterator[ak.Array]:
    """Read jets of one or more files step by step.

    Parameters
    ----------
    paths
        One file or several, read in order: paths, patterns such as ``data/*.root``, and fsspec URLs.
    tree, collection
        Which tree and which jets in it; found by name where there is no choice.
    unit
        Unit of pt, mass and E in the file, where it is not what its convention or its values say.
    columns
        Further columns wanted beside the four-momentum, by name; all by default.
    step_size
        Memory a step may take (``"100 MB"``) or its number of entries.

    Yields
    ------
    ak.Array
        Jets with ``Momentum4D`` behaviour in GeV and float64: one list per event, or flat where a row is a jet.

    Raises
    ------
    InputError
        If a file is missing or damaged, has no jets, or lacks a column that is wanted.
    """
    for path in expand(paths):
        with open_source(path, tree=tree, unit=unit) as source:
            chosen = choose_collection(source, collection)
            wanted = set(chosen.column_names)
            if columns is not None:
                wanted = {"mass" if name == "m" else name for name in columns} | {*kinematics.UNITS}
            if unknown := wanted - {*chosen.column_names, *kinematics.UNITS}:
                raise InputError(
                    f"no column {min(unknown)!r} in {chosen.name} of {path}: there are {', '.join(chosen.column_names)}"
                )
            branches = [column.branch for column in chosen.columns if column.name in wanted]
            for start, stop in steps(source.num_entries, source.entries_per_step(step_size)):
                yield chosen.jets(source.arrays(branches, start, stop))


def read_jets(
    paths: str | Path | Url | Sequence[str | Path | Url],
    *,
    tree: str | None = None,
    collection: str | None = None,
    unit: str | None = None,
    columns: Sequence[str] | None = None,
) -> ak.Array:
    """Read all jets of one or more files; parameters and errors are those of `iterate_jets`.

    Returns
    -------
    ak.Array
        Jets with ``Momentum4D`` behaviour in GeV and float64: one list per event, or flat where a row is a jet.
    """
    chunks = list(iterate_jets(paths, tree=tree, collection=collection, unit=unit, columns=columns))
    if not chunks:
        raise InputError(f"no events in {paths}")
    every = set.union(*({*chunk.fields} for chunk in chunks))
    if missing := every - set.intersection(*({*chunk.fields} for chunk in chunks)):
        raise InputError(
            f"the files do not have the same columns: {', '.join(sorted(missing))} is not in all of them"
        )
    return ak.concatenate(chunks) if len(chunks) > 1 else chunks[0]
