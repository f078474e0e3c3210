"""Bytes a jet against bound: the BoundedCodec beside what physicists use now, in one run.

    python analysis/benchmark_rate.py [FILE] --figure plots/rate_against_bound.png
    python analysis/benchmark_rate.py jets.root --others 0.001 --bound pt=0.1% --bound mass=1%+1MeV
    python analysis/benchmark_rate.py nanoaod.root --others exact

Without --others the four-momenta are stored at three sets of bounds, with it all columns at the one that is asked for.
Every way to store jets gets its best settings: mantissas are cut to as few bits as hold the bound; of SZ3's predictors and
zfp's tolerances each column gets the best that hold it, on logarithms where the bound is relative. Choosing is not timed.
ROOT's ways count a whole file of nothing but these jets and ``nJet``, the others bare streams. What is restored is compared with the bounds: the share beyond stands in the last column.
Seconds depend on the machine: what counts is their ratio within the run.
"""

from __future__ import annotations

import ctypes
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import click
import numpy as np
import pysz
import uproot
import zfpy
from matplotlib import colormaps
from matplotlib.figure import Figure
from pcodec import ChunkConfig, standalone
from rich.console import Console
from rich.table import Table

import hepae
from hepae import kinematics
from hepae.bounds import Bound, parse_assignments
from hepae.codecs.clusters import Cluster, clusters_of
from hepae.codecs.quantization import Quantized, dither, quantize
from hepae.io.layouts import Branch
from hepae.io.readers import choose_collection, open_source
from hepae.io.writers import TreeWriter, parse_compression
from hepae.samples import sample_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Columns = dict[str, NDArray[Any]]
    Stored = tuple[int, Callable[[], Columns]]
    """Bytes, and what restores the columns."""
    Store = Callable[[Path], Stored]
    """Store jets, in a folder where that takes files."""

FOUR = ("pt", "eta", "phi", "mass")
BOUNDS: dict[str, dict[str, str | float]] = {
    "loose": {"pt": "1%", "eta": 0.01, "phi": 0.01, "mass": "5%+1MeV"},
    "standard": {"pt": "0.1%", "eta": 1e-3, "phi": 1e-3, "mass": "1%+1MeV"},
    "tight": {"pt": "0.01%", "eta": 1e-4, "phi": 1e-4, "mass": "0.1%+1MeV"},
}
TIMED = "standard"


@dataclass(frozen=True)
class Jets:
    """Columns of shape (jets,), jets an event (None: flat), and the columns' bounds."""

    columns: Columns
    counts: NDArray[np.int64] | None
    bounds: dict[str, Bound]

    @property
    def length(self) -> int:
        """Number of jets."""
        return len(next(iter(self.columns.values())))

    def bound(self, name: str) -> Bound:
        """Bound of a column; exact for integers."""
        return self.bounds[name] if self.columns[name].dtype.kind == "f" else Bound()

    def listed(self, values: NDArray[Any]) -> ak.Array:
        """Give values the structure of the events."""
        return ak.Array(values) if self.counts is None else ak.unflatten(values, self.counts)

    def beyond(self, restored: Columns) -> float:
        """Largest share of a column's values that lie beyond their bound."""
        shares = [0.0]
        for name, values in self.columns.items():
            found, original = restored[name].astype(np.float64), values.astype(np.float64)
            with np.errstate(invalid="ignore"):
                error = np.abs(found - original)
                error = np.minimum(error, np.abs(error - 2 * np.pi)) if name == "phi" else error
                good = (error <= self.bound(name).allowed(original)) | (found == original)
            shares.append(float(np.mean(~good & ~(np.isnan(found) & np.isnan(original)))))
        return max(shares)


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
        with uproot.recreate(path, compression=parse_compression(compression)) as file:
            TreeWriter(file, "Events", described).extend(arrays)
        return path.stat().st_size, lambda: flat_columns(path, "Jet_", columns)

    return store


def flat_columns(path: Path, prefix: str, names: Columns) -> Columns:
    """Read columns, flat, from the object ``Events`` of a file."""
    with uproot.open(path) as file:
        arrays = file["Events"].arrays([f"{prefix}{name}" for name in names])
    return {name: ak.to_numpy(ak.flatten(arrays[f"{prefix}{name}"], axis=None)) for name in names}


def truncated(values: NDArray[Any], bound: Bound) -> NDArray[Any]:
    """Mantissa rounded to as few bits as hold the bound: what NanoAOD does."""
    if bound.exact:
        return values
    unsigned = np.uint32 if values.itemsize == 4 else np.uint64
    for drop in range(np.finfo(values.dtype).nmant, 0, -1):
        bits = values.view(unsigned) + unsigned(1 << (drop - 1))
        cut: NDArray[Any] = (bits >> unsigned(drop) << unsigned(drop)).view(values.dtype)
        cut = np.where(np.isfinite(values), cut, values)
        if np.all(~(np.abs(cut.astype(float) - values) > bound.allowed(values))):
            return cut
    return values


def integers_of(jets: Jets) -> dict[str, tuple[Quantized, NDArray[np.float64]]]:
    """Columns as the BoundedCodec quantises them, and their dithers."""
    shifts = {name: dither(1, number, jets.length) for number, name in enumerate(jets.columns)}
    return {n: (quantize(n, v, jets.bound(n), shifts[n]), shifts[n]) for n, v in jets.columns.items()}


def int16_ntuple(jets: Jets) -> Store:
    """Quantised integers, as int16 where they fit, in an RNTuple."""

    def store(folder: Path) -> Stored:
        path, columns = folder / "integers.root", integers_of(jets)
        typed = {}
        for name, (column, _) in columns.items():
            kinds = (t for t in (np.int16, np.int32, np.int64) if np.iinfo(t).min <= column.integers.min())
            kind = next(t for t in kinds if column.integers.max() <= np.iinfo(t).max)
            typed[name] = jets.listed(column.integers.astype(kind))
        with uproot.recreate(path, compression=uproot.ZSTD(9)) as file:
            file["Events"] = typed
        return path.stat().st_size, lambda: completed(columns, flat_columns(path, "", jets.columns))

    return store


def completed(columns: dict[str, tuple[Quantized, NDArray[np.float64]]], integers: Columns) -> Columns:
    """Restore quantised columns of their integers."""
    for name, (column, _) in columns.items():
        column.integers = integers[name].astype(np.int64)
    return {name: column.complete(shifts) for name, (column, shifts) in columns.items()}


def pco(integers: NDArray[Any], level: int = 12) -> bytes:
    """Integers by pcodec, in 32 bits where they fit."""
    fits = len(integers) == 0 or (integers.min() >= -(2**31) and integers.max() < 2**31)
    return standalone.simple_compress(
        integers.astype(np.int32 if fits else np.int64), ChunkConfig(compression_level=level)
    )


def pcodec_alone(jets: Jets) -> Store:
    """Quantised integers by pcodec at its highest level, each column alone."""

    def store(_: Path) -> Stored:
        columns = integers_of(jets)
        streams = {name: pco(column.integers) for name, (column, _) in columns.items()}
        size = sum(len(stream) for stream in streams.values())
        return size, lambda: completed(
            columns, {n: standalone.simple_decompress(s) for n, s in streams.items()}
        )

    return store


@dataclass(frozen=True)
class Evened:
    """A column in which its bound is an absolute one, for codecs that know no other."""

    scale: float
    error: float
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, values: NDArray[Any], bound: Bound) -> Evened | None:
        """Logarithms where the bound is relative; None where every bit of a float has to be kept."""
        if values.dtype.kind != "f":
            return cls(0.0, 0.49, values.dtype)
        if bound.exact or not np.all(np.isfinite(values)):
            return None
        if not bound.relative:
            return cls(0.0, bound.absolute, values.dtype)
        smallest = float(np.abs(values[values != 0]).min(initial=1.0))
        return cls(
            bound.relative / (bound.absolute or smallest * bound.relative / 100),
            float(np.log1p(bound.relative) * (1 - bound.relative)),
            values.dtype,
        )

    def forward(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Values to what is coded; the inverse is `inverse`."""
        doubles = values.astype(np.float64)
        return np.copysign(np.log1p(self.scale * np.abs(doubles)), doubles) if self.scale else doubles

    def inverse(self, coded: NDArray[Any]) -> NDArray[Any]:
        """Give the values back."""
        doubles = coded.astype(np.float64)
        if self.scale:
            doubles = np.copysign(np.expm1(np.abs(doubles)) / self.scale, doubles)
        return (np.rint(doubles) if self.dtype.kind != "f" else doubles).astype(self.dtype)


def by_peer(jets: Jets, settings: list[Callable[[NDArray[Any], float], tuple[bytes, Any]]]) -> Store | None:
    """Each column by the one of the settings that holds the bound in the fewest bytes; None where that cannot be."""
    chosen = {}
    for name, values in jets.columns.items():
        evened = Evened.of(values, jets.bound(name))
        if evened is None:
            return None
        alone = Jets({name: values}, None, jets.bounds)
        tried = []
        for setting in settings:
            for kind in (np.float32, np.float64):
                data, restore = setting(evened.forward(values).astype(kind), evened.error)
                if not alone.beyond({name: evened.inverse(restore())}):
                    tried.append((len(data), len(tried), setting, kind))
        if not tried:
            return None
        chosen[name] = (evened, *min(tried)[2:])

    def store(_: Path) -> Stored:
        stored = {
            name: setting(evened.forward(jets.columns[name]).astype(kind), evened.error)
            for name, (evened, setting, kind) in chosen.items()
        }
        size = sum(len(data) for data, _ in stored.values())
        return size, lambda: {n: chosen[n][0].inverse(restore()) for n, (_, restore) in stored.items()}

    return store


def sz3(algorithm: str) -> Callable[[NDArray[Any], float], tuple[bytes, Any]]:
    """SZ3 with one of its predictors."""

    def code(data: NDArray[Any], error: float) -> tuple[bytes, Any]:
        config = pysz.szConfig(len(data))
        config.errorBoundMode = pysz.szErrorBoundMode.ABS
        config.absErrorBound = error
        config.cmprAlgo = getattr(pysz.szAlgorithm, algorithm)
        found = pysz.sz.compress(data, config)[0]
        return found, lambda: pysz.sz.decompress(found, data.dtype, data.shape)[0]

    return code


def zfp(factor: int) -> Callable[[NDArray[Any], float], tuple[bytes, Any]]:
    """Zfp in its fixed-accuracy mode; its errors are mostly far below the tolerance, so that this may be larger."""

    def code(data: NDArray[Any], error: float) -> tuple[bytes, Any]:
        found = zfpy.compress_numpy(data, tolerance=factor * error)
        return found, lambda: zfpy.decompress_numpy(found)

    return code


def latents(jets: Jets, codec: hepae.LatentCodec) -> Store:
    """Latents of an autoencoder as branches; no bound."""
    records = kinematics.momenta({name: jets.columns[name] for name in FOUR})

    def store(folder: Path) -> Stored:
        compressed = codec.compress(records)
        columns = {name: ak.to_numpy(compressed[name]) for name in compressed.fields}
        size, read = branches(jets, columns, "zstd:9")(folder)

        def restore() -> Columns:
            return flat_momenta(codec.decompress(ak.zip(read())))

        return size, restore

    return store


def flat_momenta(jets: ak.Array) -> Columns:
    """The four-momentum's columns, flat."""
    return {name: kinematics.flat_column(jets, name) for name in FOUR}


def corrected(jets: Jets, codec: hepae.LatentCodec) -> Store:
    """Latents, and quantised what the autoencoder's jets lack, both by pcodec."""
    records = kinematics.momenta({name: jets.columns[name] for name in FOUR})

    def store(_: Path) -> Stored:
        compressed = codec.compress(records)
        predicted = flat_momenta(codec.decompress(compressed))
        streams = [pco(ak.to_numpy(compressed[name]).astype(np.int64)) for name in compressed.fields]
        columns, corrections = integers_of(jets), {}
        for name, (column, _) in columns.items():
            steps = column.grid.forward(predicted[name]) if column.grid else np.zeros(jets.length)
            corrections[name] = pco(column.integers - np.rint(steps).astype(np.int64))
        size = sum(len(stream) for stream in [*streams, *corrections.values()])

        def restore() -> Columns:
            again = flat_momenta(codec.decompress(compressed))
            integers = {}
            for name, stream in corrections.items():
                grid = columns[name][0].grid
                steps = grid.forward(again[name]) if grid else np.zeros(jets.length)
                integers[name] = standalone.simple_decompress(stream) + np.rint(steps).astype(np.int64)
            return completed(columns, integers)

        return size, restore

    return store


def payload(jets: Jets) -> Store:
    """The BoundedCodec's clusters."""

    def store(_: Path) -> Stored:
        clusters = []
        for (start, stop), (first, last) in clusters_of(jets.length, jets.counts):
            counts = None if jets.counts is None else jets.counts[start:stop]
            part = {name: values[first:last] for name, values in jets.columns.items()}
            clusters.append((Cluster.of(part, counts, jets.bounds, {}), counts))

        def restore() -> Columns:
            parts = [cluster.columns(counts) for cluster, counts in clusters]
            return {name: np.concatenate([part[name] for part in parts]) for name in jets.columns}

        return sum(len(cluster.blob) for cluster, _ in clusters), restore

    return store


def whole_file(jets: Jets) -> Store:
    """A compressed file of nothing but these jets: payload, counters, header and ROOT's own."""

    def store(folder: Path) -> Stored:
        before, after = folder / "before.root", folder / "after.root"
        if not before.exists():
            branches(jets, jets.columns, "lz4:1")(folder)
            (folder / "jets.root").rename(before)
        floats = [name for name, values in jets.columns.items() if values.dtype.kind == "f"]
        codec = hepae.BoundedCodec({name: jets.bounds[name] for name in floats})
        hepae.compress_file(before, after, codec, unit="GeV", force=True)

        def restore() -> Columns:
            hepae.decompress_file(after, folder / "back.root", force=True)
            return flat_columns(folder / "back.root", "Jet_", jets.columns)

        return after.stat().st_size, restore

    return store


@dataclass(frozen=True)
class Measured:
    """Bytes, seconds and peak memory of both directions, and the share of restored values beyond their bound."""

    size: int
    seconds: tuple[float, float]
    memory: tuple[float, float]
    beyond: float


def measure(store: Store, jets: Jets) -> Measured:
    """Store and restore once."""
    with tempfile.TemporaryDirectory() as folder:
        (size, restore), stored, stored_peak = timed(lambda: store(Path(folder)))
        columns, restored, restored_peak = timed(restore)
        return Measured(size, (stored, restored), (stored_peak, restored_peak), jets.beyond(columns))


def timed(call: Callable[[], Any]) -> tuple[Any, float, float]:
    """Result, seconds, and by how many MB the peak of the process's memory lies above what it had (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)  # what is kept of earlier calls would hide what this one takes
    before = memory("VmRSS")
    started = time.perf_counter()
    result = call()
    return result, time.perf_counter() - started, memory("VmHWM") - before


def memory(what: str) -> float:
    """Resident memory in MB, or its peak since this was last asked for; not a number where there is no /proc."""
    status = Path("/proc/self/status")
    if not status.exists():
        return np.nan
    found = next(line for line in status.read_text().splitlines() if line.startswith(what))
    Path("/proc/self/clear_refs").write_text("5")
    return int(found.split()[1]) / 1024


def ways(jets: Jets, codec: hepae.LatentCodec | None) -> dict[str, tuple[str, Store | None]]:
    """What each way promises, and how it stores; None where it cannot hold the bounds."""
    cut = {name: truncated(values, jets.bound(name)) for name, values in jets.columns.items()}
    found: dict[str, tuple[str, Store | None]] = {
        "as it is, ROOT, LZMA-9": ("every bit", branches(jets, jets.columns, "lzma:9")),
        "as it is, ROOT, ZSTD-9": ("every bit", branches(jets, jets.columns, "zstd:9")),
        "truncated, ROOT, LZMA-9": ("relative", branches(jets, cut, "lzma:9")),
        "truncated, ROOT, ZSTD-9": ("relative", branches(jets, cut, "zstd:9")),
        "int16, RNTuple, ZSTD-9": ("the bound", int16_ntuple(jets)),
        "zfp": ("absolute", by_peer(jets, [zfp(factor) for factor in (1, 2, 4, 8)])),
        "SZ3": (
            "absolute",
            by_peer(jets, [sz3(name) for name in ("INTERP_LORENZO", "INTERP", "LORENZO_REG", "NOPRED")]),
        ),
        "pcodec, each column alone": ("the bound", pcodec_alone(jets)),
    }
    if codec is not None:
        for bits in (None, 16, 10):
            coded = codec.with_latent_bits(bits)
            found[f"latents, {f'{bits} bits' if bits else 'float32'}, ROOT, ZSTD-9"] = (
                "nothing",
                latents(jets, coded),
            )
        for bits in (16, 10, 6):
            coded = codec.with_latent_bits(bits)
            found[f"latents, {bits} bits, corrected"] = ("the bound", corrected(jets, coded))
    promise = "bound, edges, repeats"
    found["hepae, whole file"] = (promise, whole_file(jets))
    found["hepae, payload"] = (promise, payload(jets))
    return found


def read(path: Path, wanted: tuple[str, ...] | None) -> tuple[Columns, NDArray[np.int64] | None]:
    """Columns of a file's jets, flat and in GeV, in the types of the file; and jets an event."""
    with open_source(path) as source:
        collection = choose_collection(source)
        jets = collection.jets(source.arrays([c.branch for c in collection.columns], 0, source.num_entries))
        types = {column.name: np.dtype(column.dtype) for column in collection.columns}
    counts = ak.to_numpy(ak.num(jets)).astype(np.int64) if jets.ndim > 1 else None
    columns = {}
    for name in wanted or types:
        values = kinematics.flat_column(jets, name)
        single = wanted is not None or types[name] == np.float32
        columns[name] = values.astype(np.float32) if single and values.dtype.kind == "f" else values
    return columns, counts


@click.command()
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("--bound", "asked", multiple=True, help="COLUMN=BOUND, with --others.")
@click.option("--others", help="Store all columns, those without a --bound of their own at this one.")
@click.option("--epochs", default=10, show_default=True, help="Of the autoencoder; 0 leaves it out.")
@click.option("--figure", type=click.Path(path_type=Path), help="Draw bytes a jet against bound into a PNG.")
def main(
    path: Path | None, asked: tuple[str, ...], others: str | None, epochs: int, figure: Path | None
) -> None:
    """Compare on the jets of FILE (the bundled sample by default)."""
    columns, counts = read(path or sample_path(), None if others else FOUR)
    sets: Mapping[str, Mapping[str, str | float]] = BOUNDS
    if others:
        given = parse_assignments(asked, "bound")
        sets = {TIMED: {name: given.get(name, others) for name in columns}}
    codec = None
    if epochs and not others:
        records = kinematics.momenta(dict(columns))
        codec = hepae.train(records, hepae.TrainingConfig(columns=FOUR, epochs=epochs)).codec
    results: dict[str, dict[str, Measured]] = {}
    promises: dict[str, str] = {}
    for label, texts in sets.items():
        jets = Jets(columns, counts, {name: Bound.parse(text) for name, text in texts.items()})
        for name, (promise, store) in ways(jets, codec).items():
            promises[name] = promise
            if store is not None:
                results.setdefault(name, {})[label] = measure(store, jets)
    show(f"{path.name if path else 'bundled sample'}", jets.length, results, promises)
    if figure is not None and not others:
        draw(results, jets.length, figure)


def show(title: str, jets: int, results: dict[str, dict[str, Measured]], promises: dict[str, str]) -> None:
    """Print the table, and the ratios to what hepae is compared with."""
    labels = list(next(iter(results.values())))
    table = Table(title=f"{title}: {jets} jets, bytes a jet", title_justify="left")
    table.add_column("")
    for heading in (*labels, "s in", "s out", "MB in", "MB out"):
        table.add_column(heading, justify="right")
    table.add_column("promises")
    table.add_column("beyond", justify="right")
    for name, sets in results.items():
        sizes = [f"{sets[label].size / jets:.3f}" for label in labels]
        timed_set = sets[TIMED]
        seconds = [f"{value:.2f}" for value in timed_set.seconds]
        megabytes = [f"{value:.0f}" for value in timed_set.memory]
        beyond = max(found.beyond for found in sets.values())
        table.add_row(name, *sizes, *seconds, *megabytes, promises[name], f"{100 * beyond:.3g} %")
    Console(width=130).print(table)
    for ours, peers in (
        (
            "hepae, payload",
            ("SZ3", "pcodec, each column alone", "truncated, ROOT, LZMA-9", "as it is, ROOT, LZMA-9"),
        ),
        ("hepae, whole file", ("truncated, ROOT, LZMA-9", "int16, RNTuple, ZSTD-9")),
    ):
        for peer in peers:
            if peer in results:
                ratios = (f"{results[ours][b].size / results[peer][b].size:.3f} ({b})" for b in labels)
                click.echo(f"{ours} ÷ {peer}: {', '.join(ratios)}")


def draw(results: dict[str, dict[str, Measured]], jets: int, path: Path) -> None:
    """Bytes a jet of each way to store jets, against the bound."""
    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.add_subplot()
    for number, (name, sets) in enumerate(results.items()):
        ours = name.startswith("hepae")
        color = "black" if ours else colormaps["tab20"](number)
        axes.plot(
            [sets[label].size / jets for label in BOUNDS],
            {"hepae, whole file": "s-", "hepae, payload": "o-"}.get(
                name, "o--" if "latents" in name else "o-"
            ),
            color=color,
            lw=2.5 if ours else 1.3,
            label=name,
            zorder=3 if ours else 2,
        )
    labels = [f"{b}\npt {t['pt']}, η, φ {t['eta']:g}\nmass {t['mass']}" for b, t in BOUNDS.items()]
    axes.set_xticks(range(len(BOUNDS)), labels)
    axes.set_ylabel("Bytes a jet, four columns")
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    figure.savefig(path, dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main()
