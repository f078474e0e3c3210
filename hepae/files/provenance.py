"""The history that a compressed file's header tells."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hepae.files.coded_columns import CodedColumns
from hepae.files.history import History, Step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hepae.files.header import CodedCollection, Header

_ALGORITHMS = {"bounded": "subtractive_dither", "latent": "autoencoder"}


def history_of(headers: Sequence[Header]) -> History:
    """Give the history of a compressed file, of the headers of its parts."""
    return History.joined([(header.origin.earlier or History(())).then(_step(header)) for header in headers])


def _step(header: Header) -> Step:
    """Give the compression that made a file."""
    return Step(
        _ALGORITHMS[header.codec],
        f"hepae version {header.hepae}",
        {name: _coded_columns(coded) for name, coded in header.collections.items()},
        replace(header.origin, earlier=None),
        tuple(dict.fromkeys((*header.left_out, *header.unreadable, *header.origin.left_out))),
    )


def _coded_columns(coded: CodedCollection) -> CodedColumns:
    """Give the columns of a collection that may differ, with their bounds."""
    of = coded.collection
    if coded.bounds is None:
        names = tuple(of.column(name).name for name in coded.columns)
        return CodedColumns(of.unit, names, dict.fromkeys(names))
    every = coded.bounds.columns
    bounds = {name: bound for name, bound in every.items() if not bound.exact}
    derived = any(name not in of.column_names for name in bounds)
    if derived:  # a coordinate that is exact is a promise too: the columns that it derives from change
        bounds = {
            name: bound for name, bound in every.items() if name in bounds or name not in of.column_names
        }
    replaced = {name for name in of.momentum if derived and name not in every}
    names = tuple(name for name in of.column_names if name in bounds or name in replaced)
    edges = {name: edges for name, edges in coded.bounds.edges.items() if name in bounds}
    return CodedColumns(of.unit, names, bounds, edges)
