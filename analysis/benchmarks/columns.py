"""What it takes to touch one coded column of a compressed file, beside all of them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

import hepae
from benchmarks.jets import repeated
from hepae.files.decoded import DECODED
from hepae.io.readers import choose_collection, open_source

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Touched:
    """Median over the columns of a collection: time and bytes of one column, divided by those of all."""

    columns: int
    jets: int
    seconds: float
    bytes: float

    @classmethod
    def measure(cls, path: Path, jets: int, folder: Path, turns: int) -> Touched:
        """Compress the jets of a file, repeated until there are so many, and touch each column by itself."""
        original, small = folder / "columns.root", folder / "columns_small.root"
        with open_source(path) as source:
            collection = choose_collection(source)
            wanted = [column.branch for column in collection.columns]
            wanted += [collection.counter] if collection.counter else []
        found = repeated(path, jets, original, branches=wanted)
        hepae.compress_file(original, small, hepae.BoundedCodec(), unit=collection.unit, force=True)
        names = [column.name for column in collection.columns]
        everything = _touch(small, names, turns)
        single = np.array([_touch(small, [name], turns) for name in names])
        seconds, size = np.median(single, axis=0) / everything
        return cls(len(names), found, float(seconds), float(size))


def _touch(path: Path, names: Sequence[str], turns: int) -> tuple[float, float]:
    """Least seconds, and bytes beyond those of opening the file, in which columns are read and decoded."""
    seconds = []
    for _ in range(turns):
        DECODED.clear()
        with hepae.open(path) as file:
            source = file.file.file.source
            before, started = source.num_requested_bytes, time.perf_counter()
            file.jets(columns=names)
            seconds.append(time.perf_counter() - started)
            read = source.num_requested_bytes - before
    return min(seconds), float(read)
