"""Every float32 there is through every kind of grid: no bound broken, no edge crossed, no repeated value changed.

    python analysis/every_float.py

All 2³² patterns of bits, NaNs and infinities included, are quantized within each bound in blocks of 2¹⁸ consecutive ones, restored as
the decoder restores them, and judged in long double, apart from the codec's own judgement. Blocks are shared out to all processors. What is done is
written to ``--state`` block by block: the same command goes on where it was stopped. ``--sample N`` takes N patterns only, in
blocks that are spread evenly over all. The exit status is 1 if a value fails.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from benchmarks.hostile import SENTINELS
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from hepae.bounded.dither import dither
from hepae.bounded.quantization import quantize
from hepae.bounds import Bound
from hepae.threads import PROCESSORS

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK = 1 << 18
BLOCKS = (1 << 32) // BLOCK
COUNTS = ("patterns", "on the grid", "bound broken", "edge crossed", "repeated changed")
FAILURES = slice(2, None)


@dataclass(frozen=True)
class Kind:
    """A column's name, bound and edges, in GeV or its own unit."""

    column: str
    bound: str
    edges: tuple[float, ...] = ()


KINDS = (
    Kind("pt", "0.1%"),
    Kind("pt", "0.00005%"),
    Kind("pt", "60%"),
    Kind("pt", "0.1%", (20.0, 30.1, -5.5, 1e-40, 3e38)),
    Kind("eta", "0.001"),
    Kind("eta", "1e30"),
    Kind("eta", "0.001", (-2.5, 2.5, 0.8, 1e-30)),
    Kind("phi", "0.001"),
    Kind("mass", "1%+0.001"),
    Kind("mass", "1%+0.001", (0.0, 80.4, 1e-3)),
    Kind("score", "exact", (0.5,)),
)


@np.errstate(all="ignore")
def check(kind: Kind, block: int) -> list[int]:
    """Quantize, restore and judge the patterns of a block: `COUNTS`."""
    values = np.arange(block * BLOCK, (block + 1) * BLOCK, dtype=np.uint32).view(np.float32)
    bound = Bound.parse(kind.bound).in_unit("GeV")
    shifts = dither(block, 0, BLOCK)
    quantized = quantize(kind.column, values, bound, shifts, kind.edges)
    restored = quantized.complete(shifts)
    changed = values.view(np.uint32) != restored.view(np.uint32)
    before, after = values[changed].astype(np.longdouble), restored[changed].astype(np.longdouble)
    error = np.abs(after - before)
    allowed = np.longdouble(bound.relative) * np.abs(before) + np.longdouble(bound.absolute)
    within: NDArray[np.bool_] = np.isfinite(before) & (error <= allowed) & (not bound.exact)
    crossed = np.zeros(len(before), bool)
    for edge in kind.edges:
        for cut in (np.longdouble(edge), np.longdouble(np.float32(edge))):
            crossed |= np.sign(before - cut) != np.sign(after - cut)
    on_grid = 0 if quantized.grid is None else BLOCK - len(quantized.exceptions)
    failed = (~within, crossed, np.isin(values[changed], np.array(SENTINELS, np.float32)))
    return [BLOCK, on_grid, *(int(np.count_nonzero(some)) for some in failed)]


def check_all(block: int) -> list[list[int]]:
    """Counts of a block for each kind."""
    return [check(kind, block) for kind in KINDS]


def blocks_done(state: Path | None) -> dict[int, list[list[int]]]:
    """Counts by block that an earlier run wrote; a line that it could not end does not count."""
    found = {}
    lines = state.read_text().splitlines(keepends=True) if state is not None and state.exists() else []
    for line in lines:
        if line.endswith("\n"):
            block, counts = json.loads(line)
            found[block] = counts
    if state is not None and lines:
        state.write_text("".join(line for line in lines if line.endswith("\n")))
    return found


@click.command(help=__doc__)
@click.option("--sample", type=click.IntRange(1, BLOCKS * BLOCK), help="Patterns to take.  [default: all]")
@click.option(
    "--state", type=click.Path(path_type=Path), help="File in which what is done is kept, to go on from."
)
def main(sample: int | None, state: Path | None) -> None:
    """Print what was found; the exit status is 1 if a value failed."""
    count = BLOCKS if sample is None else -(-sample // BLOCK)
    wanted = [number * BLOCKS // count for number in range(count)]
    done = {block: counts for block, counts in blocks_done(state).items() if block in set(wanted)}
    console = Console(stderr=True)
    with ProcessPoolExecutor(PROCESSORS) as pool, Progress(console=console) as progress:
        task = progress.add_task("blocks", total=len(wanted), completed=len(done))
        running = {pool.submit(check_all, block): block for block in wanted if block not in done}
        for future in as_completed(running):
            done[running[future]] = counts = future.result()
            if state is not None:
                with state.open("a") as file:
                    file.write(json.dumps([running[future], counts]) + "\n")
            progress.advance(task)
    sums = np.sum(list(done.values()), axis=0)
    show(sums)
    if sums[:, FAILURES].any():
        sys.exit(1)


def show(sums: NDArray[np.int64]) -> None:
    """Print the table."""
    table = Table("column", "bound", "edges", *COUNTS)
    for kind, total in zip(KINDS, sums, strict=True):
        edges = ", ".join(f"{edge:g}" for edge in kind.edges) or "—"
        failures = (f"{count:,}" for count in total[FAILURES])
        table.add_row(
            kind.column, kind.bound, edges, f"{total[0]:,}", f"{total[1] / total[0]:.1%}", *failures
        )
    Console(width=130).print(table)


if __name__ == "__main__":
    main()
