"""Memory and seconds that files of growing size take to compress and to decompress.

    python analysis/benchmark_memory.py                       0.5, 1 and 2 GB
    python analysis/benchmark_memory.py --size "100 MB"

The inputs are like NanoAOD: the jets of the bundled sample, again and again, beside a collection of 800 bytes an event that
passes through. Sizes are those of the branches in memory. Each call has a process of its own, whose largest resident
memory (Linux: VmHWM) is shown, and its time by the clock and on all processors: others at work disturb the latter less.
The memory holds Python with numpy, awkward and uproot, which alone take some 200 MB.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import awkward as ak
import click
import numpy as np
import uproot
from rich.console import Console
from rich.table import Table

from hepae.io.layouts import Branch
from hepae.io.readers import memory_size, open_source
from hepae.io.writers import COMPRESSION, TreeWriter, parse_compression
from hepae.samples import sample_path

TRACKS, TRACK_COLUMNS = 10, 20
"""Mean number an event of what passes through, and its columns."""

CHILD = """
import json, sys, time
from pathlib import Path
import hepae
before, after = sys.argv[2:]
started = time.perf_counter()
if sys.argv[1] == "compress":
    hepae.compress_file(before, after, hepae.BoundedCodec())
else:
    hepae.decompress_file(before, after)
seconds = time.perf_counter() - started
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(json.dumps({"seconds": seconds, "cpu": time.process_time(), "peak": int(status["VmHWM"].split()[0]) * 1024}))
"""


def generate(output: Path, size: int) -> tuple[int, int]:
    """Write a file whose branches take so many bytes in memory; give how many they take, and its events."""
    random = np.random.default_rng(1)
    with open_source(sample_path()) as source:
        arrays = source.arrays(source.branches, 0, source.num_entries)
        names = [f"Track_x{i}" for i in range(TRACK_COLUMNS)]
        tracks = [Branch(name, np.dtype(np.float32), jagged=True, counter="nTrack") for name in names]
        written = events = 0
        with uproot.recreate(output, compression=parse_compression(COMPRESSION)) as file:
            writer = TreeWriter(file, source.tree, [*source.branches.values(), *tracks])
            while written < size:
                counts = random.poisson(TRACKS, source.num_entries)
                for name in names:
                    values = random.standard_normal(counts.sum()).astype(np.float16).astype(np.float32)
                    arrays[name] = ak.unflatten(values, counts)
                writer.extend(arrays)
                written += sum(array.nbytes for array in arrays.values())
                events += source.num_entries
    return written, events


def measure(verb: str, before: Path, after: Path) -> tuple[float, float, int]:
    """Seconds, those of all processors together, and bytes of memory at most that it takes to compress or decompress a file in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, verb, str(before), str(after)], stdout=subprocess.PIPE, check=True
    )
    found = json.loads(done.stdout)
    return found["seconds"], found["cpu"], found["peak"]


@click.command()
@click.option(
    "--size",
    "sizes",
    multiple=True,
    default=("0.5 GB", "1 GB", "2 GB"),
    show_default=True,
    help="Of an input.",
)
def main(sizes: tuple[str, ...]) -> None:
    """Measure memory and seconds for inputs of each SIZE."""
    table = Table(title="hepae, files of growing size", title_justify="left")
    heads = (
        "in memory",
        "events",
        "file",
        "compress",
        "CPU",
        "peak",
        "compressed",
        "decompress",
        "CPU",
        "peak",
    )
    for head in heads:
        table.add_column(head, justify="right")
    for size in sizes:
        with tempfile.TemporaryDirectory() as name:
            original, small, back = (Path(name) / f"{stem}.root" for stem in ("original", "small", "back"))
            written, events = generate(original, memory_size(size))
            cells = [f"{written / 1e9:.2f} GB", f"{events:,}", f"{original.stat().st_size / 1e6:.0f} MB"]
            for verb, before, after in (("compress", original, small), ("decompress", small, back)):
                seconds, cpu, peak = measure(verb, before, after)
                cells += [f"{seconds:.1f} s", f"{cpu:.1f} s", f"{peak / 1e6:.0f} MB"]
                if verb == "compress":
                    cells.append(f"{small.stat().st_size / 1e6:.0f} MB")
            table.add_row(*cells)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
