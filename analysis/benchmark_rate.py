"""Bytes a jet against bound: the BoundedCodec beside what physicists use now, in one run.

    python analysis/benchmark_rate.py [FILE] --figure plots/rate_against_bound.png

Every peer holds the same bounds and gets its best settings: mantissas are cut to as few bits as hold the bound; SZ3 and
zfp take the best of their modes for each column, on logarithms where the bound is relative. Bytes of ROOT files are the
compressed bytes of the jets' branches and of ``nJet``; the others are bare streams. Seconds depend on the machine: what
counts is their ratio within the run.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import awkward as ak
import click
import numpy as np
import pcodec
import pysz
import uproot
import zfpy
from matplotlib.figure import Figure
from pcodec import standalone
from rich.console import Console
from rich.table import Table

import hepae
from hepae.bounds import Bound
from hepae.codecs.bounded import Cluster
from hepae.codecs.quantization import dither, quantize
from hepae.io.layouts import Branch
from hepae.io.readers import choose_collection, open_source
from hepae.io.writers import TreeWriter
from hepae.samples import sample_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Columns = dict[str, NDArray[np.float32]]
    Bounds = dict[str, Bound]

BOUNDS = {
    "loose": {"pt": "1%", "eta": 0.01, "phi": 0.01, "mass": "5%+1MeV"},
    "standard": {"pt": "0.1%", "eta": 1e-3, "phi": 1e-3, "mass": "1%+1MeV"},
    "tight": {"pt": "0.01%", "eta": 1e-4, "phi": 1e-4, "mass": "0.1%+1MeV"},
}


def root_bytes(columns: Columns, counts: NDArray[np.int64] | None, compression: str) -> int:
    """Compressed bytes of the columns (and nJet) as branches of a TTree, written as NanoAOD is."""
    from hepae.io.writers import parse_compression

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "jets.root"
        jagged = counts is not None
        branches = [
            Branch(f"Jet_{name}", v.dtype, jagged, "nJet" if jagged else None) for name, v in columns.items()
        ]
        arrays = {f"Jet_{n}": ak.unflatten(v, counts) if jagged else ak.Array(v) for n, v in columns.items()}
        with uproot.recreate(path, compression=parse_compression(compression)) as file:
            TreeWriter(file, "Events", branches).extend(arrays)
        with uproot.open(path) as file:
            return sum(int(branch.compressed_bytes) for branch in file["Events"].branches)


def truncated(name: str, values: NDArray[np.float32], bound: Bound) -> NDArray[np.float32]:
    """Mantissa cut to as few bits as hold the bound, rounded to nearest: what NanoAOD does."""
    for kept in range(24):
        drop = 23 - kept
        bits = values.view(np.uint32)
        half = np.uint32((1 << drop) >> 1)
        cut = ((bits + half) >> np.uint32(drop) << np.uint32(drop)).view(np.float32)
        error = np.abs(cut.astype(float) - values.astype(float))
        if np.all(error <= bound.allowed(values)):
            return cut
    raise ValueError(f"no truncation holds the bound of {name}")


def logarithmic(values: NDArray[np.float32], bound: Bound) -> tuple[NDArray[np.float64], float]:
    """Values in which the bound is an absolute one: log(1 + REL/ABS·|x|) or log x where it is relative."""
    if not bound.relative:
        return values.astype(np.float64), bound.absolute
    doubles = values.astype(np.float64)
    if bound.absolute:
        scale = bound.relative / bound.absolute
        return np.sign(doubles) * np.log1p(scale * np.abs(doubles)), np.log1p(bound.relative) * (
            1 - bound.relative
        )
    return np.log(np.maximum(doubles, 1e-30)), np.log1p(bound.relative)


def sz3_bytes(columns: Columns, bounds: Bounds) -> int:
    """SZ3, for each column the smallest of its predictors."""
    total = 0
    for name, values in columns.items():
        data, error = logarithmic(values, bounds[name])
        sizes = []
        for algorithm in ("INTERP_LORENZO", "INTERP", "LORENZO_REG", "NOPRED"):
            config = pysz.szConfig(len(data))
            config.errorBoundMode = pysz.szErrorBoundMode.ABS
            config.absErrorBound = error
            config.cmprAlgo = getattr(pysz.szAlgorithm, algorithm)
            sizes += [len(pysz.sz.compress(typed, config)[0]) for typed in (data, data.astype(np.float32))]
        total += min(sizes)
    return total


def zfp_bytes(columns: Columns, bounds: Bounds) -> int:
    """Zfp in its fixed-accuracy mode."""
    total = 0
    for name, values in columns.items():
        data, error = logarithmic(values, bounds[name])
        total += len(zfpy.compress_numpy(data, tolerance=error))
    return total


def pcodec_bytes(columns: Columns, bounds: Bounds) -> int:
    """Quantised integers, each column alone, at pcodec's highest level."""
    total = 0
    for i, (name, values) in enumerate(columns.items()):
        integers = quantize(name, values, bounds[name], dither(1, i, len(values))).integers
        narrow = integers.astype(np.int32) if np.abs(integers).max() < 2**31 else integers
        total += len(standalone.simple_compress(narrow, pcodec.ChunkConfig(compression_level=12)))
    return total


def int16_bytes(columns: Columns, counts: NDArray[np.int64] | None, bounds: Bounds) -> int:
    """Quantised integers as int16 in an RNTuple with ZSTD-9; its growth over one without the columns."""
    sizes = []
    for some in (columns, {}):
        arrays: dict[str, ak.Array] = {
            "index": np.arange(1 if counts is None else len(counts), dtype=np.int32)
        }
        for i, (name, values) in enumerate(some.items()):
            integers = quantize(name, values, bounds[name], dither(1, i, len(values))).integers
            fits = np.abs(integers - int(np.median(integers))).max() < 2**15
            typed = (integers - int(np.median(integers))).astype(np.int16 if fits else np.int32)
            arrays[name] = ak.Array(typed) if counts is None else ak.unflatten(typed, counts)
        if counts is None:
            arrays.pop("index")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "jets.root"
            with uproot.recreate(path, compression=uproot.ZSTD(9)) as file:
                if arrays:
                    file["Events"] = arrays
            sizes.append(path.stat().st_size)
    return sizes[0] - sizes[1]


def payload_bytes(columns: Columns, counts: NDArray[np.int64] | None, bounds: Bounds) -> int:
    """The BoundedCodec's payload."""
    return len(Cluster.of(columns, counts, bounds, {}).blob)


def share_bytes(columns: Columns, counts: NDArray[np.int64] | None, bounds: Bounds) -> int:
    """A whole compressed file that holds nothing but these jets: payload, counters, header, ROOT's own."""
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "before.root", Path(folder) / "after.root"
        jagged = counts is not None
        branches = [
            Branch(f"Jet_{name}", v.dtype, jagged, "nJet" if jagged else None) for name, v in columns.items()
        ]
        arrays = {f"Jet_{n}": ak.unflatten(v, counts) if jagged else ak.Array(v) for n, v in columns.items()}
        with uproot.recreate(before) as file:
            TreeWriter(file, "Events", branches).extend(arrays)
        hepae.compress_file(before, after, hepae.BoundedCodec(bounds), unit="GeV")
        return after.stat().st_size


@click.command()
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option(
    "--figure", type=click.Path(path_type=Path), help="Draw bytes a jet against bound into this PNG."
)
def main(path: Path | None, figure: Path | None) -> None:
    """Compare at three sets of bounds on the four-momenta of FILE (the bundled sample by default)."""
    with open_source(path or sample_path()) as source:
        collection = choose_collection(source)
        names = [column.branch for column in collection.columns]
        arrays = source.arrays(names, 0, source.num_entries)
        jets = collection.jets(arrays)
    counts = ak.to_numpy(ak.num(jets)).astype(np.int64) if jets.ndim > 1 else None
    columns = {
        n: hepae.kinematics.flat_column(jets, n).astype(np.float32) for n in ("pt", "eta", "phi", "mass")
    }
    length = len(columns["pt"])
    results: dict[str, dict[str, float]] = {}
    seconds: dict[str, float] = {}
    for label, asked in BOUNDS.items():
        bounds = {name: Bound.parse(text) for name, text in asked.items()}
        cut = {name: truncated(name, values, bounds[name]) for name, values in columns.items()}
        rows: dict[str, Callable[[], int]] = {
            "float32, ROOT, LZMA-9": lambda: root_bytes(columns, counts, "lzma:9"),
            "float32, ROOT, ZSTD-9": lambda: root_bytes(columns, counts, "zstd:9"),
            "truncated, ROOT, LZMA-9": lambda cut=cut: root_bytes(cut, counts, "lzma:9"),
            "truncated, ROOT, ZSTD-9": lambda cut=cut: root_bytes(cut, counts, "zstd:9"),
            "int16, RNTuple, ZSTD-9": lambda b=bounds: int16_bytes(columns, counts, b),
            "zfp": lambda b=bounds: zfp_bytes(columns, b),
            "SZ3": lambda b=bounds: sz3_bytes(columns, b),
            "pcodec, each column alone": lambda b=bounds: pcodec_bytes(columns, b),
            "hepae, whole file": lambda b=bounds: share_bytes(columns, counts, b),
            "hepae, payload": lambda b=bounds: payload_bytes(columns, counts, b),
        }
        for name, size in rows.items():
            started = time.monotonic()
            results.setdefault(name, {})[label] = size() / length
            if label == "standard":
                seconds[name] = time.monotonic() - started
    table = Table(title=f"{path or 'bundled sample'}: {length} jets, bytes a jet", title_justify="left")
    for heading in ("", *BOUNDS, "s, standard"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, sizes in results.items():
        table.add_row(name, *(f"{sizes[label]:.3f}" for label in BOUNDS), f"{seconds[name]:.2f}")
    Console(width=110).print(table)
    for name in ("SZ3", "pcodec, each column alone"):
        ratios = ", ".join(f"{results['hepae, payload'][b] / results[name][b]:.3f} ({b})" for b in BOUNDS)
        click.echo(f"payload ÷ {name}: {ratios}")
    for name in ("truncated, ROOT, LZMA-9", "int16, RNTuple, ZSTD-9"):
        ratios = ", ".join(f"{results['hepae, whole file'][b] / results[name][b]:.3f} ({b})" for b in BOUNDS)
        click.echo(f"whole file ÷ {name}: {ratios}")
    if figure is not None:
        draw(results, figure)


def draw(results: dict[str, dict[str, float]], path: Path) -> None:
    """Bytes a jet of each way to store jets, against the bound."""
    plot = Figure(figsize=(9, 6), layout="constrained")
    axes = plot.add_subplot()
    places = np.arange(len(BOUNDS))
    for name, sizes in results.items():
        ours = name.startswith("hepae")
        axes.plot(
            places,
            [sizes[b] for b in BOUNDS],
            "o-",
            lw=3 if ours else 1.3,
            label=name,
            zorder=3 if ours else 2,
        )
    labels = [f"{b}\npt {BOUNDS[b]['pt']}, η, φ {BOUNDS[b]['eta']:g}\nm {BOUNDS[b]['mass']}" for b in BOUNDS]
    axes.set_xticks(places, labels)
    axes.set_ylabel("Bytes a jet, four columns")
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    plot.savefig(path, dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main()
