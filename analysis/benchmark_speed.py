"""Speed of the bounded codec: alone, in files, one column of many, and inside coffea, beside what others take.

    python analysis/benchmark_speed.py pythia_dijets.root --columns pythia_jets_18columns.root --columns nanoaod_tt_v12.root

Four tables. *Codecs*: four columns at the standard bounds in memory, one cluster of 250 000 jets, one core, processor time: hepae (the check
is part of its coding), SZ3 at the settings that take the fewest bytes, pcodec. *Files*: FILE repeated until it holds two million jets; hepae's times
hold all of its work: reading, coding, writing, reading back and checking, for every branch of the file; beside it uproot copies the jets' own
branches and nothing else, into LZMA-9 and back into the storage that hepae writes (its baskets are as long as the file that is repeated, so that
LZMA cannot find that jets come again). *coffea*: one process, chunks of 20 000 events, on the LZMA-9 original and on the compressed file.
*Columns*: one column of a compressed file beside all of them. All take turns; what counts are the ratios of a turn. Start-up is not in it.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
import uproot
from benchmarks.analyses import Jets, Pt, analyse
from benchmarks.coding import speeds
from benchmarks.columns import Touched
from benchmarks.jets import FOUR, read, repeated
from benchmarks.jets import Jets as Columns
from rich.console import Console
from rich.table import Table

import hepae
from hepae.bounds import Bounds
from hepae.files.decoded import DECODED
from hepae.io.readers import choose_collection, open_source, steps
from hepae.io.writers import COMPRESSION, TreeWriter, parse_compression
from hepae.samples import sample_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.coding import Speed

STANDARD = {"pt": "0.1%", "eta": 1e-3, "phi": 1e-3, "mass": "1%+1MeV"}
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


CHUNK = 20_000
"""Events in a chunk of coffea."""


def in_coffea(path: Path, jets: int, folder: Path, turns: int) -> list[dict[str, float]]:
    """Seconds of analyses of one column and of four, on the LZMA-9 original and on the compressed file, turn by turn."""
    original, small = folder / "coffea.root", folder / "coffea_small.root"
    repeated(path, jets, original, "lzma:9")
    hepae.compress_file(original, small, hepae.BoundedCodec(), compression="lzma:9", force=True)
    times = []
    for turn_number in range(turns + 1):
        times.append({})
        for name, job in (("pt", Pt()), ("pt, eta, phi, mass", Jets())):
            for where, file in (("original", original), ("compressed", small)):
                DECODED.clear()
                times[turn_number][f"{name} {where}"] = analyse(file, job, CHUNK)[0]
    return times[1:]


@click.command(help=__doc__)
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("--jets", default=2_000_000, show_default=True, help="FILE is repeated until it holds so many.")
@click.option("--turns", default=3, show_default=True)
@click.option(
    "--columns",
    "many",
    multiple=True,
    type=click.Path(path_type=Path),
    help="File with many columns, also several times.  [default: FILE]",
)
def main(path: Path | None, jets: int, turns: int, many: tuple[Path, ...]) -> None:
    """Time hepae and others on the jets of FILE (the bundled sample by default)."""
    path = path or sample_path()
    bounds = Bounds.parse(STANDARD).in_unit("GeV")
    show_codecs(speeds(Columns(*read(path, FOUR), bounds), turns))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        show_coffea(in_coffea(path, jets, folder, turns))
        for file in many or (path,):
            touched = Touched.measure(file, folder, 3 * turns)
            click.echo(
                f"one column of {touched.columns} in {file.name}, {touched.jets:,} jets: {touched.seconds:.2f} × the time "
                f"and {touched.bytes:.2f} × the bytes of all (means over the columns)"
            )
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


def show_codecs(found: dict[str, Speed]) -> None:
    """Print the codecs' speeds, and those of hepae divided by each."""
    table = Table(title="One cluster in memory, one core", title_justify="left")
    for heading in (
        "",
        "bytes a jet",
        "coding, M jets/s",
        "decoding, M jets/s",
        "hepae coding ÷",
        "hepae decoding ÷",
    ):
        table.add_column(heading, justify="right" if heading else "left")
    ours = found["hepae"]
    for name, speed in found.items():
        ratios = (ours.coding / speed.coding, ours.decoding / speed.decoding)
        numbers = (speed.bytes_per_jet, speed.coding, speed.decoding)
        table.add_row(name, *(f"{n:.2f}" for n in numbers), *(f"{ratio:.3f}" for ratio in ratios))
    Console(width=120).print(table)


def show_coffea(times: list[dict[str, float]]) -> None:
    """Print the seconds of the analyses, and their ratios."""
    table = Table(title=f"coffea, chunks of {CHUNK:,} events, one process", title_justify="left")
    for heading in ("touched", "original, s", "compressed, s", "× the time, all turns"):
        table.add_column(heading, justify="left" if heading == "touched" else "right")
    for name in ("pt", "pt, eta, phi, mass"):
        pairs = np.array([[each[f"{name} original"], each[f"{name} compressed"]] for each in times])
        ratios = pairs[:, 1] / pairs[:, 0]
        spread = f"{np.median(ratios):.2f} ({ratios.min():.2f}–{ratios.max():.2f})"
        table.add_row(name, *(f"{np.median(seconds):.2f}" for seconds in pairs.T), spread)
    Console(width=120).print(table)


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
