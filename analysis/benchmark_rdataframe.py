"""Jets a second that the C++ reader decodes, and a dijet mass with RDataFrame on a compressed file, beside LZMA-9.

    python analysis/benchmark_rdataframe.py pythia_dijets.root

First the four columns of a cluster are decoded on one core, from memory: in C++ (g++ -O2), in Python and by SZ3 at the same bounds.
Then the file is repeated until it holds two million jets, and RDataFrame makes a histogram of the mass of the two leading jets: of the
compressed file, and of the same jets with LZMA-9, with one and with two threads. Both take turns in one process, after a turn on a small
file in which cling compiles. What counts are the ratios of a turn.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from benchmark_decoding import BOUNDS
from benchmark_speed import copy_jets
from benchmarks import cpp
from benchmarks.jets import FOUR, read, repeated
from benchmarks.peers import SZ3, Chosen
from rich.console import Console
from rich.table import Table

import hepae
from hepae.bounded.cluster import CLUSTER_JETS, ClusterInput, encode_cluster
from hepae.bounds import Bounds
from hepae.io.readers import open_source
from hepae.samples import sample_path

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

THREADS = (1, 2)
FRAME = Path(__file__).parent / "benchmarks" / "dijet_frame.py"


def decoding(path: Path, rounds: int) -> tuple[int, dict[str, float]]:
    """Jets of a cluster, and the least processor seconds that each way takes to decode four columns of it."""
    columns, counts = read(path, FOUR)
    assert counts is not None
    events = int(np.searchsorted(np.cumsum(counts), CLUSTER_JETS, side="right"))
    counts = counts[:events]
    jets = {name: values[: counts.sum()] for name, values in columns.items()}
    bounds = Bounds.parse(BOUNDS).in_unit("GeV")
    cluster = encode_cluster(ClusterInput(jets, counts, bounds))
    python = least(lambda: cluster.decode(cluster.columns, counts), rounds)
    restore = []
    for name, values in jets.items():
        chosen = Chosen.of(name, values, bounds.of(name)[0], SZ3)
        assert chosen is not None
        restore.append(chosen.code(values)[1])
    sz3 = least(lambda: [call() for call in restore], rounds)
    with tempfile.TemporaryDirectory() as folder:
        program = cpp.compiled(cpp.HERE / "decode.cpp", Path(folder) / "decode")
        seconds = cpp.decode(program, [(cluster, counts)], Path(folder), rounds).seconds
    return int(counts.sum()), {"C++": seconds, "Python": python, "SZ3": sz3}


def least(call: Callable[[], object], rounds: int) -> float:
    """The least processor seconds of some rounds."""
    seconds = []
    for _ in range(rounds):
        started = time.process_time()
        call()
        seconds.append(time.process_time() - started)
    return min(seconds)


def dijets(threads: int, files: Sequence[Path], turns: int) -> list[dict[str, Any]]:
    """Run dijet_frame.py: seconds of each turn on the compressed file and on the plain one, which give the same entries."""
    command = [sys.executable, str(FRAME), str(threads), *map(str, files), str(turns)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    assert all(turn["compressed entries"] == turn["plain entries"] for turn in found)
    return found


@click.command()
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("--jets", default=2_000_000, show_default=True, help="FILE is repeated until it holds so many.")
@click.option("--turns", default=5, show_default=True)
def main(path: Path | None, jets: int, turns: int) -> None:
    """Time the C++ reader on the jets of FILE (the bundled sample by default)."""
    path = path or sample_path()
    number, seconds = decoding(path, 4 * turns)
    table = Table(title=f"{path.name}, {number:,} jets decoded on one core", title_justify="left")
    for title in ("", "million jets/s", "C++ is times as fast"):
        table.add_column(title, justify="right")
    for way, spent in seconds.items():
        table.add_row(way, f"{number / spent / 1e6:.2f}", f"{spent / seconds['C++']:.2f}")
    Console(width=120).print(table)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        original, small, plain = (folder / f"{kind}.root" for kind in ("original", "small", "plain"))
        with open_source(path) as source:
            basket = source.num_entries
        warm = [folder / "warm.root", path]
        hepae.compress_file(path, warm[0], hepae.BoundedCodec())
        found = repeated(path, jets, original)
        hepae.compress_file(original, small, hepae.BoundedCodec())
        copy_jets(original, plain, "lzma:9", basket)
        times = {threads: dijets(threads, [small, plain, *warm], turns) for threads in THREADS}
        sizes = {file.name: file.stat().st_size for file in (small, plain)}
    show(f"{path.name}, {found:,} jets, dijet mass with RDataFrame, {turns} turns", times)
    click.echo(", ".join(f"{file} {size / 1e6:.1f} MB" for file, size in sizes.items()))


def show(title: str, times: dict[int, list[dict[str, Any]]]) -> None:
    """Print median seconds, and the ratios of the turns."""
    table = Table(title=title, title_justify="left")
    for heading in ("threads", "compressed, s", "LZMA-9, s", "times as fast, all turns"):
        table.add_column(heading, justify="right")
    for threads, turns in times.items():
        ratios = [turn["plain"] / turn["compressed"] for turn in turns]
        seconds = [f"{np.median([turn[name] for turn in turns]):.2f}" for name in ("compressed", "plain")]
        spread = f"{np.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
        table.add_row(str(threads), *seconds, spread)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
