"""Flip every bit of compressed files with bounds once, and count what the C++ reader makes of each copy.

    python analysis/every_bit_cpp.py tests/golden/v1/flat_bounded_*.root

A program (`benchmarks/damaged.cpp`) opens each copy as RDataFrame does, and decodes all coded columns. The table says how many copies were
refused with an error, read with the right values, and read with *wrong* values without a word: 0. ROOT itself crashes on some damaged files;
these are counted apart. The exit status is 1 if a value was wrong or a copy was read for more than 30 s. analysis/mutations.py has the readers in Python.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import click
import numpy as np
from benchmarks import cpp
from rich.console import Console
from rich.table import Table

from hepae.threads import PROCESSORS

OUTCOMES = ("refused", "right", "wrong", "crash of ROOT", "no end")
MEMORY = Path("/dev/shm")


@click.command(help=__doc__)
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--bits", type=click.IntRange(1), help="Only the first ones of each file.")
def main(files: tuple[Path, ...], bits: int | None) -> None:
    """Print the table."""
    options = cpp.root_options()
    if options is None or not cpp.has_compiler():
        raise click.UsageError(f"this needs {cpp.COMPILER} and ROOT: pip install 'hepae[root]'")
    table = Table("file", "bits", *OUTCOMES)
    bad = 0
    with tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as folder:
        program = cpp.compiled(cpp.HERE / "damaged.cpp", Path(folder) / "damaged", ["-O1", *options])
        for path in files:
            number = min(bits or sys.maxsize, 8 * path.stat().st_size)
            counts = count(program, path, number, Path(folder))
            bad += int(counts[OUTCOMES.index("wrong")] + counts[OUTCOMES.index("no end")])
            table.add_row(path.name, str(number), *map(str, counts))
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    sys.exit(int(bad > 0))


def count(program: Path, path: Path, bits: int, folder: Path) -> np.ndarray:
    """How many copies had each outcome; one process for each processor."""
    edges = np.linspace(0, bits, PROCESSORS + 1).astype(int).tolist()
    with ThreadPoolExecutor(PROCESSORS) as pool:
        found = pool.map(partial(_run, program, path, folder), edges[:-1], edges[1:])
    return np.sum([*found], axis=0)


def _run(program: Path, path: Path, folder: Path, first: int, end: int) -> list[int]:
    copy = folder / f"{first}_{path.name}"
    copy.write_bytes(path.read_bytes())
    done = subprocess.run([program, copy, str(first), str(end)], capture_output=True, text=True, check=True)
    copy.unlink()
    return [int(number) for number in done.stdout.split()]


if __name__ == "__main__":
    main()
