"""What it takes to touch one coded column of a compressed file, beside all of them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

import hepae
from hepae.files.decoded import DECODED
from hepae.io.readers import choose_collection, open_source

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hepae.bounded.cluster import CodedCluster


@dataclass(frozen=True)
class Touched:
    """Mean over the columns of a collection: time, and bytes of the payload, of one column divided by those of all.

    A column is decoded with its ancestors, the columns that it is predicted from. In a file of few jets columns share a basket of ROOT, so that
    more bytes are read than these.
    """

    columns: int
    jets: int
    seconds: float
    bytes: float

    @classmethod
    def measure(cls, path: Path, folder: Path, turns: int) -> Touched:
        """Compress the jets of a file at the default bounds, and touch each column by itself."""
        small = folder / "columns.root"
        with open_source(path) as source:
            collection = choose_collection(source)
        hepae.compress_file(
            path, small, hepae.BoundedCodec(), collection=collection.name, unit=collection.unit, force=True
        )
        with hepae.open(small) as file:
            jets = file.jets()
        names = [column.name for column in collection.columns]
        (cluster,) = hepae.BoundedCodec().compress(jets).clusters
        everything = seconds(small, names, turns)
        single = np.mean([seconds(small, [name], turns) for name in names])
        size = np.mean([bytes_of(cluster, name) for name in names])
        return cls(len(names), cluster.jets, float(single / everything), float(size / cluster.nbytes))


def seconds(path: Path, names: Sequence[str], turns: int) -> float:
    """Least seconds in which columns of an open file are read and decoded."""
    found = []
    for _ in range(turns):
        DECODED.clear()
        with hepae.open(path) as file:
            started = time.perf_counter()
            file.jets(columns=names)
            found.append(time.perf_counter() - started)
    return min(found)


def bytes_of(cluster: CodedCluster, name: str) -> int:
    """Bytes of a column and of all that it is predicted from."""
    needed, wanted = set[str](), [name]
    while wanted:
        column = cluster.columns[wanted.pop()]
        if column.name not in needed:
            needed.add(column.name)
            wanted += column.parents
    return sum(len(cluster.columns[column].data) for column in needed)
