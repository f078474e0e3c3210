"""How long a cluster should be: bytes of the payload against the time of coffea's chunks.

    python analysis/benchmark_clusters.py pythia_dijets.root

FILE is repeated until it holds a million jets, and compressed in clusters of several sizes. An analysis of pt, and one of all four
columns, reads each file in chunks of 10 000 to 100 000 events, in two ways: *one worker* takes all chunks one after the other and keeps
what it decoded last; *many workers* take one chunk each and keep nothing, so that a cluster is decoded anew for each chunk that touches it.
All sizes take turns. Times are processor time, divided by that of the size in use in the same turn; bytes are divided by those of the size in use.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from benchmarks.analyses import FreshJets, FreshPt, Jets, Pt, analyse
from benchmarks.jets import repeated
from rich.console import Console
from rich.progress import track
from rich.table import Table

import hepae
from hepae.bounded import cluster
from hepae.files.decoded import DECODED
from hepae.samples import sample_path

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZES = (25_000, 50_000, 100_000, 250_000, 500_000)
IN_USE = cluster.CLUSTER_JETS
CHUNKS = (10_000, 30_000, 100_000)


ANALYSES = {
    ("pt", "one worker"): Pt(),
    ("pt", "many workers"): FreshPt(),
    ("four columns", "one worker"): Jets(),
    ("four columns", "many workers"): FreshJets(),
}


def compressed(original: Path, folder: Path) -> dict[int, Path]:
    """The file compressed in clusters of each size."""
    files = {}
    for size in SIZES:
        cluster.CLUSTER_JETS = size
        files[size] = folder / f"{size}.root"
        hepae.compress_file(original, files[size], hepae.BoundedCodec())
    cluster.CLUSTER_JETS = IN_USE
    return files


def times(
    files: dict[int, Path], turns: int
) -> Iterator[tuple[tuple[str, str], int, dict[int, list[float]]]]:
    """Seconds of each analysis in chunks of each length, by size of the clusters, turn by turn."""
    for what, job in track(list(ANALYSES.items()), description="analyses"):
        for chunk in CHUNKS:
            seconds: dict[int, list[float]] = {size: [] for size in files}
            for _ in range(turns):
                for size, path in files.items():
                    DECODED.clear()
                    started = time.process_time()
                    analyse(path, job, chunk)
                    seconds[size].append(time.process_time() - started)
            yield what, chunk, seconds


@click.command(help=__doc__)
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("--jets", default=1_000_000, show_default=True, help="FILE is repeated until it holds so many.")
@click.option("--turns", default=3, show_default=True)
def main(path: Path | None, jets: int, turns: int) -> None:
    """Print bytes and times for each size of the clusters."""
    table = Table(
        "columns", "who", "events a chunk", *(f"{size:,}" for size in SIZES), title="jets a cluster"
    )
    with tempfile.TemporaryDirectory() as name:
        original = Path(name) / "original.root"
        found = repeated(path or sample_path(), jets, original)
        files = compressed(original, Path(name))
        sizes = {size: file.stat().st_size for size, file in files.items()}
        table.add_row("", "", "bytes a jet", *(f"{sizes[size] / found:.3f}" for size in SIZES))
        table.add_row("", "", "bytes, ratio", *(f"{sizes[size] / sizes[IN_USE]:.4f}" for size in SIZES))
        for (columns, who), chunk, seconds in times(files, turns):
            ratios = [np.median(np.divide(seconds[size], seconds[IN_USE])) for size in SIZES]
            used = f"{np.median(seconds[IN_USE]):.2f} s"
            table.add_row(columns, who, f"{chunk:,} ({used})", *(f"{ratio:.2f}" for ratio in ratios))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
