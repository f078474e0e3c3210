"""Bytes a jet against bound: the BoundedCodec beside what physicists use now, in one run.

    python analysis/benchmark_rate.py [FILE] --figure plots/rate_against_bound.png
    python analysis/benchmark_rate.py jets.root --others 0.001 --bound pt=0.1% --bound mass=1%+1MeV
    python analysis/benchmark_rate.py nanoaod.root --others exact
    python analysis/benchmark_rate.py particles.root --collection GenCands --epochs 0

"half" are bounds that float16 holds up to |eta| = 8. Without --others the four-momenta are stored at four sets of bounds, with it all columns at the one that is asked for.
Every way to store jets gets its best settings: mantissas are cut to as few bits as hold the bound; of SZ3's predictors and
zfp's tolerances each column gets the best that hold it, on logarithms where the bound is relative. Choosing is not timed.
Real32Trunc and Real32Quant are written by ROOT where it is (extra `root`). ROOT's ways count a whole file of nothing but these jets and ``nJet``, the others bare streams. What is restored is compared with the bounds: the share beyond stands in the last column.
Seconds are processor time of this process, so other work on the machine disturbs them little; what counts is their ratio within the run.
HEPAE_ROOT=off keeps ROOT, which has a process of its own and adds its records to the file, out of the row *whole file*.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from benchmarks.jets import FOUR, Jets, read
from benchmarks.measuring import Measured, measure
from benchmarks.ours import corrected, latents, payload, whole_file
from benchmarks.peers import SZ3, ZFP, truncated
from benchmarks.real32 import real32
from benchmarks.root_files import branches, half_precision, int16_ntuple
from benchmarks.streams import by_peer, lzma_alone, pcodec_alone
from matplotlib import colormaps
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

import hepae
from hepae import kinematics
from hepae.bounds import Bounds
from hepae.io.cloning import root_is_there
from hepae.samples import sample_path

if TYPE_CHECKING:
    from benchmarks.measuring import Store

BOUNDS: dict[str, dict[str, str | float]] = {
    "loose": {"pt": "1%", "eta": 0.01, "phi": 0.01, "mass": "5%+1MeV"},
    "standard": {"pt": "0.1%", "eta": 1e-3, "phi": 1e-3, "mass": "1%+1MeV"},
    "half": {"pt": "0.0489%", "eta": 0.002, "phi": 1e-3, "mass": "0.0489%"},
    "tight": {"pt": "0.01%", "eta": 1e-4, "phi": 1e-4, "mass": "0.1%+1MeV"},
}
TIMED = "standard"


def ways(jets: Jets, codec: hepae.LatentCodec | None) -> dict[str, tuple[str, Store | None]]:
    """What each way promises, and how it stores; None where it cannot hold the bounds."""
    cut = {name: truncated(values, jets.bound(name)) for name, values in jets.columns.items()}
    found: dict[str, tuple[str, Store | None]] = {
        "float32, ROOT, LZMA-9": ("every bit", branches(jets, jets.columns, "lzma:9")),
        "float32, ROOT, ZSTD-9": ("every bit", branches(jets, jets.columns, "zstd:9")),
        "float32, LZMA-9 alone": ("every bit", lzma_alone(jets)),
        "truncated, ROOT, LZMA-9": ("relative", branches(jets, cut, "lzma:9")),
        "truncated, ROOT, ZSTD-9": ("relative", branches(jets, cut, "zstd:9")),
        "float16, ROOT, LZMA-9": ("nothing", half_precision(jets)),
        "Real32Trunc, RNTuple, LZMA-9": ("the bound", real32(jets, quantized=False)),
        "Real32Quant, RNTuple, LZMA-9": ("the bound", real32(jets, quantized=True)),
        "int16, RNTuple, ZSTD-9": ("the bound", int16_ntuple(jets)),
        "zfp": ("absolute", by_peer(jets, ZFP)),
        "SZ3": ("absolute", by_peer(jets, SZ3)),
        "pcodec, each column alone": ("the bound", pcodec_alone(jets)),
    }
    if not root_is_there():
        found = {name: way for name, way in found.items() if not name.startswith("Real32")}
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
    found["hepae, whole file"] = (promise, whole_file(jets, hepae.BoundedCodec(jets.bounds)))
    found["hepae, payload"] = (promise, payload(jets))
    return found


@click.command()
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("--bound", "asked", multiple=True, help="COLUMN=BOUND, with --others.")
@click.option("--others", help="Store all columns, those without a --bound of their own at this one.")
@click.option("--collection", help="Which jets or other objects of FILE.")
@click.option("--epochs", default=10, show_default=True, help="Of the autoencoder; 0 leaves it out.")
@click.option("--figure", type=click.Path(path_type=Path), help="Draw bytes a jet against bound into a PNG.")
def main(
    path: Path | None,
    asked: tuple[str, ...],
    others: str | None,
    collection: str | None,
    epochs: int,
    figure: Path | None,
) -> None:
    """Compare on the jets of FILE (the bundled sample by default)."""
    columns, counts = read(path or sample_path(), None if others else FOUR, collection)
    if not root_is_there():
        click.echo("Real32Trunc and Real32Quant are left out: ROOT is not here (pip install 'hepae[root]')")
    sets = {label: Bounds.parse(texts) for label, texts in BOUNDS.items()}
    if others:
        floats = [name for name, values in columns.items() if values.dtype.kind == "f"]
        given, rest = Bounds.parse(asked), Bounds.parse(dict.fromkeys(floats, others))
        sets = {TIMED: Bounds({**rest.columns, **given.columns})}
    codec = None
    if epochs and not others:
        records = kinematics.momenta(dict(columns))
        codec = hepae.train(records, hepae.TrainingConfig(columns=FOUR, epochs=epochs)).codec
    results: dict[str, dict[str, Measured]] = {}
    promises: dict[str, str] = {}
    for label, bounds in sets.items():
        jets = Jets(columns, counts, bounds.in_unit("GeV"))
        for name, (promise, store) in ways(jets, codec).items():
            promises[name] = promise
            if store is not None:
                results.setdefault(name, {})[label] = measure(store, jets)
    show(f"{path.name if path else 'bundled sample'}", jets.length, results, promises)
    if figure is not None and not others:
        draw(results, jets.length, figure)


def show(title: str, jets: int, results: dict[str, dict[str, Measured]], promises: dict[str, str]) -> None:
    """Print the table, and the ratios to what hepae is compared with; a way may not hold all of the bounds."""
    labels = list(next(iter(results.values())))
    table = Table(title=f"{title}: {jets} jets, bytes a jet", title_justify="left")
    table.add_column("")
    for heading in (*labels, "s in", "s out", "MB in", "MB out"):
        table.add_column(heading, justify="right")
    table.add_column("promises")
    table.add_column("beyond", justify="right")
    for name, sets in results.items():
        sizes = [f"{sets[label].size / jets:.3f}" if label in sets else "–" for label in labels]
        timed_set = sets.get(TIMED) or next(iter(sets.values()))
        seconds = [f"{value:.2f}" for value in timed_set.seconds]
        megabytes = [f"{value:.0f}" for value in timed_set.memory]
        beyond = max(found.beyond for found in sets.values())
        table.add_row(name, *sizes, *seconds, *megabytes, promises[name], f"{100 * beyond:.3g} %")
    Console(width=140).print(table)
    for ours, peers in (
        (
            "hepae, payload",
            ("SZ3", "pcodec, each column alone", "truncated, ROOT, LZMA-9", "float32, LZMA-9 alone"),
        ),
        ("hepae, whole file", ("truncated, ROOT, LZMA-9", "int16, RNTuple, ZSTD-9")),
    ):
        for peer in peers:
            if peer in results:
                both = [label for label in labels if label in results[peer]]
                ratios = (f"{results[ours][b].size / results[peer][b].size:.3f} ({b})" for b in both)
                click.echo(f"{ours} ÷ {peer}: {', '.join(ratios)}")


def draw(results: dict[str, dict[str, Measured]], jets: int, path: Path) -> None:
    """Bytes a jet of each way to store jets, against the bound."""
    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.add_subplot()
    for number, (name, sets) in enumerate(results.items()):
        ours = name.startswith("hepae")
        color = "black" if ours else colormaps["tab20"](number)
        axes.plot(
            [sets[label].size / jets if label in sets else float("nan") for label in BOUNDS],
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
