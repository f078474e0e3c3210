"""Jets: the columns that every way stores, and the bounds that they are stored at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np
import uproot

from hepae import kinematics
from hepae.io.readers import choose_collection, open_source
from hepae.io.writers import COMPRESSION, TreeWriter, parse_compression

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from hepae.bounds import Bound, Bounds

    Columns = dict[str, NDArray[Any]]

FOUR = ("pt", "eta", "phi", "mass")


@dataclass(frozen=True)
class Jets:
    """Columns of shape (jets,), jets an event (None: flat), and the bounds of all columns, in GeV."""

    columns: Columns
    counts: NDArray[np.int64] | None
    bounds: Bounds

    @property
    def length(self) -> int:
        """Number of jets."""
        return len(next(iter(self.columns.values())))

    def bound(self, name: str) -> Bound:
        """Bound of a column."""
        return self.bounds.of(name)[0]

    @property
    def records(self) -> ak.Array:
        """The jets as records, in the lists of their events."""
        flat = ak.zip(self.columns)
        return flat if self.counts is None else ak.unflatten(flat, self.counts)

    def listed(self, values: NDArray[Any]) -> ak.Array:
        """Give values the structure of the events."""
        return ak.Array(values) if self.counts is None else ak.unflatten(values, self.counts)

    def beyond(self, restored: Columns) -> float:
        """Largest share of a column's values that lie beyond their bound."""
        columns = self.columns.items()
        return max(
            float(np.mean(beyond(name, values, restored[name], self.bound(name)))) for name, values in columns
        )


def beyond(name: str, original: NDArray[Any], restored: NDArray[Any], bound: Bound) -> NDArray[np.bool_]:
    """Which values lie beyond their bound: said here anew, so that no codec is its own judge."""
    before, after = original.astype(np.float64), restored.astype(np.float64)
    with np.errstate(invalid="ignore"):
        error = np.abs(after - before)
        error = np.minimum(error, np.abs(error - 2 * np.pi)) if name == "phi" else error
        good = (error <= bound.allowed(before)) | (after == before)
    return ~good & ~(np.isnan(after) & np.isnan(before))


def read(
    path: Path, wanted: tuple[str, ...] | None, name: str | None = None
) -> tuple[Columns, NDArray[np.int64] | None]:
    """Columns of a file's jets, flat and in GeV, in the types of the file; and jets an event."""
    with open_source(path) as source:
        collection = choose_collection(source, name)
        jets = collection.jets(source.arrays([c.branch for c in collection.columns], 0, source.num_entries))
        types = {column.name: np.dtype(column.dtype) for column in collection.columns}
    counts = ak.to_numpy(ak.num(jets)).astype(np.int64) if jets.ndim > 1 else None
    columns = {}
    for name in wanted or types:
        values = kinematics.flat_column(jets, name)
        single = wanted is not None or types[name] == np.float32
        columns[name] = values.astype(np.float32) if single and values.dtype.kind == "f" else values
    return columns, counts


def repeated(
    path: Path,
    jets: int,
    output: Path,
    compression: str = COMPRESSION,
    branches: Sequence[str] | None = None,
) -> int:
    """Write a file's branches (all by default) again and again until there are this many jets; give how many there are."""
    with open_source(path) as source:
        written = {name: source.branches[name] for name in branches or source.branches}
        arrays = source.arrays(written, 0, source.num_entries)
        collection = choose_collection(source)
        once = int(ak.count(arrays[collection.columns[0].branch]))
        times = max(1, round(jets / once))
        with uproot.recreate(output, compression=parse_compression(compression)) as file:
            writer = TreeWriter(file, source.tree, written.values())
            for _ in range(times):
                writer.extend(arrays)
    return once * times
