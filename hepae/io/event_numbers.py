"""Numbers of the event that are in no collection (MET, trigger bits, weights), as collections of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hepae.column_names import ALIASES
from hepae.io.layouts import Collection, Column, event_identifiers
from hepae.kinematics import COORDINATES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hepae.io.layouts import Branch


def event_collections(
    branches: Mapping[str, Branch], tree: str, collections: Iterable[Collection]
) -> list[Collection]:
    """Make collections of the numbers that others leave: one of all single ones, named by the tree, and one of each list.

    Counters stay branches, and so does what identifies an event: run, luminosity block and event number.

    Parameters
    ----------
    branches
        All branches of the tree.
    tree
        Its name.
    collections
        All collections of the tree, coded or not.

    Returns
    -------
    list of Collection
        Columns are called as their branches; with ``_`` behind them where that would be a coordinate, such as ``pt``.

    Examples
    --------
    >>> import numpy as np
    >>> from hepae.io.layouts import Branch
    >>> numbers = {"run": "u4", "nJet": "u4", "MET_pt": "f4", "HLT_IsoMu24": "?"}
    >>> branches = {name: Branch(name, np.dtype(kind)) for name, kind in numbers.items()}
    >>> branches |= {"Weight": Branch("Weight", np.dtype("f4"), True, "nWeight"), "Jet_pt": Branch("Jet_pt", np.dtype("f4"), True, "nJet")}
    >>> found = event_collections(branches, "Events", [Collection("Jet", (Column("pt", "Jet_pt", "<f4"),), "nJet")])
    >>> {collection.name: collection.column_names for collection in found}
    {'Events': ('MET_pt', 'HLT_IsoMu24'), 'Weight': ('Weight',)}
    """
    collections = list(collections)
    taken = {column.branch for collection in collections for column in collection.columns}
    taken |= {branch.counter for branch in branches.values() if branch.counter}
    taken |= {collection.counter for collection in collections if collection.counter}
    taken |= {*event_identifiers(branches.values()).values()}
    free = [b for b in branches.values() if b.name not in taken and b.dtype is not None and not b.shape]
    names = {collection.name for collection in collections}
    found = []
    if single := [branch for branch in free if not branch.jagged]:
        found.append(Collection(_free(tree.rpartition("/")[2], names), tuple(_column(b) for b in single)))
    for branch in free:
        if branch.jagged:
            counted = branch.counter in branches
            counter = branch.counter if counted else _free(f"n{branch.name}", {*branches})
            name = _free(branch.name, {*names, *(collection.name for collection in found)})
            found.append(Collection(name, (_column(branch),), counter, counted))
    return found


def _column(branch: Branch) -> Column:
    assert branch.dtype is not None
    name = branch.name
    if name in COORDINATES or name in ALIASES:
        name += "_"
    return Column(name, branch.name, branch.dtype.str)


def _free(name: str, taken: Iterable[str]) -> str:
    while name in taken:
        name += "_"
    return name
