"""Jets in plain ROOT files: branches as NanoAOD has them, and integers in an RNTuple."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np
import uproot

from benchmarks.quantized import QuantizedJets
from hepae.io.layouts import Branch
from hepae.io.tree_records import recreate
from hepae.io.writers import TreeWriter, parse_compression

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from benchmarks.jets import Columns, Jets
    from benchmarks.measuring import Store, Stored


def branches(jets: Jets, columns: Columns, compression: str) -> Store:
    """A file of branches with ``nJet``, as NanoAOD is written."""
    jagged = jets.counts is not None
    described = [
        Branch(f"Jet_{name}", values.dtype, jagged, "nJet" if jagged else None)
        for name, values in columns.items()
    ]

    def store(folder: Path) -> Stored:
        path = folder / "jets.root"
        arrays = {f"Jet_{name}": jets.listed(values) for name, values in columns.items()}
        with recreate(path, parse_compression(compression)) as file:
            TreeWriter(file, "Events", described).extend(arrays)
        return path.stat().st_size, lambda: flat_columns(path, "Jet_", columns)

    return store


def flat_columns(path: Path, prefix: str, names: Columns) -> Columns:
    """Read columns, flat, from the object ``Events`` of a file."""
    with uproot.open(path) as file:
        arrays = file["Events"].arrays([f"{prefix}{name}" for name in names])
    return {name: ak.to_numpy(ak.flatten(arrays[f"{prefix}{name}"], axis=None)) for name in names}


def int16_ntuple(jets: Jets) -> Store:
    """Quantised integers, as int16 where they fit, in an RNTuple."""

    def store(folder: Path) -> Stored:
        path, quantized = folder / "integers.root", QuantizedJets(jets)
        typed = {name: jets.listed(smallest(column)) for name, column in quantized.integers.items()}
        with recreate(path, uproot.ZSTD(9)) as file:
            file["Events"] = typed
        return path.stat().st_size, lambda: quantized.restore(flat_columns(path, "", jets.columns))

    return store


def half_precision(jets: Jets) -> Store | None:
    """Floats as float16, whose bits are branches of integers in a TTree; None where there are other columns."""
    if any(values.dtype != np.float32 for values in jets.columns.values()):
        return None
    halves = {name: values.astype(np.float16).view(np.uint16) for name, values in jets.columns.items()}

    def store(folder: Path) -> Stored:
        size, read = branches(jets, halves, "lzma:9")(folder)
        return size, lambda: {name: bits.view(np.float16).astype(np.float32) for name, bits in read().items()}

    return store


def smallest(integers: NDArray[Any]) -> NDArray[Any]:
    """Integers in the smallest type that holds them, of 16 bits and more."""
    types = (np.int16, np.int32, np.int64)
    found = (t for t in types if np.iinfo(t).min <= integers.min() and integers.max() <= np.iinfo(t).max)
    return integers.astype(next(found))
