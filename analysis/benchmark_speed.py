"""Seconds to compress and decompress a file of many jets, beside writing and reading the same jets with LZMA-9.

    python analysis/benchmark_speed.py pythia_dijets.root

The file is repeated until it holds two million jets. hepae's times hold all of its work: reading, coding, writing,
reading back and checking, for every branch of the file. Beside it uproot copies the jets' own branches and nothing else,
into LZMA-9 and back into the storage that hepae writes. Its baskets are as long as the file that is repeated, so that LZMA
cannot find that jets come again. All take turns; what counts are the ratios of a turn. Start-up is not in it: a turn with
the file as it is comes first.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
import uproot
from benchmarks.jets import repeated
from rich.console import Console
from rich.table import Table

import hepae
from hepae.io.readers import choose_collection, open_source, steps
from hepae.io.writers import COMPRESSION, TreeWriter, parse_compression
from hepae.samples import sample_path

if TYPE_CHECKING:
    from collections.abc import Callable

PAIRS = {
    "compress_file": "read input, write LZMA-9",
    "decompress_file": "read LZMA-9, write again",
    "open(…).jets()": "read LZMA-9",
}
"""What hepae does, and what it is compared with."""


def copy_jets(path: Path, output: Path, compression: str, basket: int) -> None:
    """Copy the branches of the jets and their number, in baskets of so many entries."""
    with open_source(path) as source:
        names = jets_branches(path)
        with uproot.recreate(output, compression=parse_compression(compression)) as file:
            writer = TreeWriter(file, source.tree, [source.branches[name] for name in names])
            for start, stop in steps(source.num_entries, basket):
                writer.extend(source.arrays(names, start, stop))


def read_jets(path: Path) -> None:
    """Read the branches of the jets, as uproot does it."""
    with open_source(path) as source:
        source.arrays(jets_branches(path), 0, source.num_entries)


def jets_branches(path: Path) -> list[str]:
    """Names of the branches of the jets and of their number."""
    with open_source(path) as source:
        collection = choose_collection(source)
        wanted = {column.branch for column in collection.columns} | {collection.counter}
        return [name for name in source.branches if name in wanted]


def operations(original: Path, folder: Path, basket: int) -> dict[str, Callable[[], object]]:
    """What is timed, in the order in which one makes the file of the next."""
    small, lzma = folder / "small.root", folder / "lzma.root"
    codec = hepae.BoundedCodec()

    def jets() -> object:
        with hepae.open(small) as file:
            return file.jets()

    return {
        "compress_file": lambda: hepae.compress_file(original, small, codec, force=True),
        "read input, write LZMA-9": lambda: copy_jets(original, lzma, "lzma:9", basket),
        "decompress_file": lambda: hepae.decompress_file(small, folder / "back.root", force=True),
        "read LZMA-9, write again": lambda: copy_jets(lzma, folder / "again.root", COMPRESSION, basket),
        "open(…).jets()": jets,
        "read LZMA-9": lambda: read_jets(lzma),
    }


def turn(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Seconds of each operation, one after the other."""
    seconds = {}
    for name, call in calls.items():
        started = time.perf_counter()
        call()
        seconds[name] = time.perf_counter() - started
    return seconds


@click.command()
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("--jets", default=2_000_000, show_default=True, help="FILE is repeated until it holds so many.")
@click.option("--turns", default=3, show_default=True)
def main(path: Path | None, jets: int, turns: int) -> None:
    """Time hepae and LZMA-9 on the jets of FILE (the bundled sample by default)."""
    path = path or sample_path()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        original = folder / "original.root"
        with open_source(path) as source:
            basket = source.num_entries
        repeated(path, 1, original)
        turn(operations(original, folder, basket))
        found = repeated(path, jets, original)
        calls = operations(original, folder, basket)
        times = [turn(calls) for _ in range(turns)]
        sizes = {file.name: file.stat().st_size for file in sorted(folder.iterdir())}
    show(f"{path.name}, {found:,} jets", times)
    click.echo(", ".join(f"{file} {size / 1e6:.1f} MB" for file, size in sizes.items()))


def show(title: str, times: list[dict[str, float]]) -> None:
    """Print median seconds, and the ratios of each turn."""
    table = Table(title=f"{title}, median of {len(times)} turns", title_justify="left")
    table.add_column("hepae")
    table.add_column("s", justify="right")
    table.add_column("uproot")
    table.add_column("s", justify="right")
    table.add_column("times as fast, all turns", justify="right")
    for ours, theirs in PAIRS.items():
        ratios = [seconds[theirs] / seconds[ours] for seconds in times]
        seconds = [f"{np.median([each[name] for each in times]):.2f}" for name in (ours, theirs)]
        spread = f"{np.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
        table.add_row(ours, seconds[0], theirs, seconds[1], spread)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
