"""Floats of fewer bits in RNTuples, written by ROOT itself: mantissas cut (Real32Trunc), or numbers in a range (Real32Quant)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np
import uproot

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.jets import Jets
    from benchmarks.measuring import Store, Stored
    from hepae.bounds import Bound

    Lossy = tuple[int, float, float]
    """Bits, and the range of what is quantised; 0 and 0 where bits are cut."""

_BITS = range(10, 32)
"""What ROOT takes for Real32Trunc."""

_LZMA = 209
"""LZMA-9, as ROOT counts."""

_WORKER = """
import sys
import numpy as np
import ROOT
header, path, output, compression = sys.argv[1:]
if not ROOT.gInterpreter.ProcessLine(f'#include "{header}"') == 0:
    sys.exit("the header does not compile")
with np.load(path) as file:
    content = {name: file[name] for name in file}
counts = content.pop("counts")
writer = ROOT.LossyWriter()
columns = {name: np.ascontiguousarray(values) for name, values in content.items() if not name.startswith("bits_")}
for name, values in columns.items():
    bits, low, high = content[f"bits_{name}"]
    writer.Add(name, values, int(bits), low, high)
writer.Write(output, counts, len(counts), int(compression))
"""


def real32(jets: Jets, *, quantized: bool) -> Store | None:
    """An RNTuple of ROOT with as few bits as hold the bounds; None where a column is not float32 or has to keep every bit.

    Parameters
    ----------
    jets
        The jets.
    quantized
        Use Real32Quant for the columns where it takes fewer bits than Real32Trunc.
    """
    lossy: dict[str, Lossy] = {}
    for name, values in jets.columns.items():
        bound = jets.bound(name)
        if values.dtype != np.float32 or bound.exact:
            return None
        bits = truncated_bits(values, bound)
        found = quantized_bits(values, bound) if quantized else None
        if found is not None and (bits is None or found[0] < bits):
            lossy[name] = found
        elif bits is not None:
            lossy[name] = (bits, 0.0, 0.0)
        else:
            return None

    def store(folder: Path) -> Stored:
        path, output = folder / "columns.npz", folder / "real32.root"
        counts = np.ones(jets.length, np.int64) if jets.counts is None else jets.counts.astype(np.int64)
        bits = {f"bits_{name}": np.array(kind, np.float32) for name, kind in lossy.items()}
        np.savez(path, counts=counts, **jets.columns, **bits)  # type: ignore[arg-type]
        header = Path(__file__).with_name("real32.hpp")
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", _WORKER, *map(str, (header, path, output, _LZMA))],
            check=True,
        )

        def restore() -> dict[str, NDArray[Any]]:
            with uproot.open(output) as file:
                records = ak.flatten(file["Events"].arrays()["Jet"])
            return {name: ak.to_numpy(records[name]) for name in jets.columns}

        return output.stat().st_size, restore

    return store


def truncated_bits(values: NDArray[np.float32], bound: Bound) -> int | None:
    """Fewest bits that hold a bound where ROOT cuts the rest of the mantissa; None where none do."""
    for bits in _BITS:
        cut = (values.view(np.uint32) & np.uint32(0xFFFFFFFF << (32 - bits) & 0xFFFFFFFF)).view(np.float32)
        if np.all(np.abs(cut.astype(np.float64) - values) <= bound.allowed(values.astype(np.float64))):
            return bits
    return None


def quantized_bits(values: NDArray[np.float32], bound: Bound) -> Lossy | None:
    """Fewest bits, and the range, that hold a bound where ROOT divides the range into equal steps; None where none do."""
    low, high = float(values.min()), float(values.max())
    least = float(bound.allowed(values.astype(np.float64)).min())
    error = least - float(np.spacing(np.float32(max(abs(low), abs(high)))))
    if error <= 0 or not low < high or not np.isfinite(high - low):
        return None
    bits = max(1, int(np.ceil(np.log2((high - low) / (2 * error) + 1))))
    return (bits, low, high) if bits <= 32 else None
