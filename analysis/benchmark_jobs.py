"""Speed of hepae inside coffea: two workers against one, and analyses of compressed files against those of their originals.

    python analysis/benchmark_jobs.py pythia_dijets.root

The file (NanoAOD names) is repeated until it holds 1.8 million jets, with LZMA-9. A job compresses it with one worker and with two, by
the Futures and the Dask executor; workers are started and have compressed before the clock runs. Then one process runs
an analysis of MET alone, which decodes nothing, and one of the jets, on the original and on the compressed file, in turns: medians of
them. What is not coded is stored with LZMA-9 in both files. Seconds depend on the machine: what counts are the ratios.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from benchmarks.analyses import TREE, Jets, Met, analyse
from benchmarks.jets import repeated
from coffea.nanoevents import BaseSchema
from coffea.processor import Runner
from rich.console import Console
from rich.table import Table

import hepae
from hepae.io.readers import open_source
from hepae.processors import CompressionProcessor, executor
from hepae.samples import sample_path

if TYPE_CHECKING:
    from collections.abc import Callable

CHUNKS = 8


def compressing(kind: str, workers: int, path: Path, folder: Path, chunk: int) -> float:
    """Seconds in which so many workers compress a file, once they have started."""
    with executor(kind, workers=workers) as started:
        run = Runner(started, schema=BaseSchema, chunksize=chunk)
        fileset = {"jets": {"files": {str(path): TREE}}}
        seconds = []
        for turn in range(2):  # the first one has the workers import what they need
            begin = time.perf_counter()
            run(fileset, CompressionProcessor(hepae.BoundedCodec(), folder / f"{kind}{workers}{turn}"))
            seconds.append(time.perf_counter() - begin)
    return seconds[-1]


def medians(calls: dict[str, Callable[[], float]], turns: int) -> dict[str, float]:
    """Median of each call's seconds, the calls taking turns."""
    times = [{name: call() for name, call in calls.items()} for _ in range(turns + 1)]
    return {name: float(np.median([each[name] for each in times[1:]])) for name in calls}


@click.command()
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("--jets", default=1_800_000, show_default=True, help="FILE is repeated until it holds so many.")
@click.option("--turns", default=5, show_default=True)
def main(path: Path | None, jets: int, turns: int) -> None:
    """Time jobs on the jets of FILE (the bundled sample by default)."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        original, small = folder / "original.root", folder / "small.root"
        found = repeated(path or sample_path(), jets, original, "lzma:9")
        with open_source(original) as source:
            chunk = -(-source.num_entries // CHUNKS)
        one, two = (
            {kind: compressing(kind, n, original, folder, chunk) for kind in ("futures", "dask")}
            for n in (1, 2)
        )
        hepae.compress_file(original, small, hepae.BoundedCodec(), compression="lzma:9")
        analyses = {
            f"{what}, {where}": lambda file=file, job=job: analyse(file, job, chunk)[0]
            for what, job in (("MET alone", Met()), ("jets", Jets()))
            for where, file in (("original", original), ("compressed", small))
        }
        seconds = medians(analyses, turns)
    table = Table(title=f"{found:,} jets, {CHUNKS} chunks", title_justify="left")
    for heading in ("", "s", "s", "ratio"):
        table.add_column(heading, justify="right" if heading else "left")
    for kind in one:
        ratio = one[kind] / two[kind]
        row = (f"{one[kind]:.2f}", f"{two[kind]:.2f}", f"{ratio:.2f} × the speed")
        table.add_row(f"compress, {kind}: one worker, two", *row)
    for what, ends in (("MET alone", "× the time"), ("jets", "× the speed")):
        before, after = seconds[f"{what}, original"], seconds[f"{what}, compressed"]
        ratio = after / before if "time" in ends else before / after
        table.add_row(f"{what}: original, compressed", f"{before:.2f}", f"{after:.2f}", f"{ratio:.2f} {ends}")
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
