"""Repeat the sample to many jets and many files: time a jet, memory, and what killed workers change.

    python analysis/load.py jets --jets 1e6 --jets 1e7 --jets 1e8
    python analysis/load.py workers --files 2000 --kills 24

``jets`` repeats the bundled sample until there are so many jets. No two repetitions are alike: phi is rotated, pt and mass are scaled, and the
events' numbers go on. Each step has a process of its own, with the processes that it starts: compress, verify, a coffea job that computes the energies of the
restored jets, and compare. Processor time a jet is that of the jets that the next smaller file lacks: starting Python and drawing figures
take the same time for both. Memory is the largest sum over a step's processes (Linux: PSS, read five times a second).

``workers`` writes the same events into many small files of one dataset, and compresses them as one job with two Dask workers: once undisturbed, and once while a worker,
chosen at random, is killed (SIGKILL) at random moments. The merged files must have the same bytes in every branch of every tree.

The exit status is 1 if verify or compare finds a loss, or a byte differs.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import click
import numpy as np
import uproot
from coffea.nanoevents import BaseSchema
from coffea.processor import DaskExecutor, Runner
from distributed import Client, LocalCluster, Status
from rich.console import Console
from rich.table import Table

import hepae
from hepae.io.readers import open_source
from hepae.io.writers import COMPRESSION, TreeWriter, parse_compression
from hepae.processors import CompressionProcessor, merge
from hepae.samples import sample_path

if TYPE_CHECKING:
    from collections.abc import Iterator

TREE = "Events"
LOOK = 0.2
"""Seconds between two looks at the memory of a step."""

RESTORE = """
import sys
from pathlib import Path
from benchmarks.analyses import Jets, analyse
print(analyse(Path(sys.argv[1]), Jets(), 100_000)[1])
"""


@dataclass(frozen=True)
class Step:
    """What a step took: seconds by the clock and on all processors, and MB of memory at most."""

    wall: float
    cpu: float
    memory: float


def repetitions() -> Iterator[dict[str, ak.Array]]:
    """Events of the sample without its GenJets, again and again, each time shifted."""
    with open_source(sample_path()) as source:
        names = [name for name in source.branches if not name.startswith(("GenJet", "nGenJet"))]
        first = source.arrays(names, 0, source.num_entries)
    number = 0
    while True:
        arrays, scale = dict(first), np.float32(1 + number % 997 / 1000)
        turned = first["Jet_phi"] + np.float32(number * 2.39996 % (2 * np.pi))
        arrays["Jet_phi"] = ak.values_astype(
            ak.where(turned > np.float32(np.pi), turned - np.float32(2 * np.pi), turned), np.float32
        )
        for name in ("Jet_pt", "Jet_mass"):
            arrays[name] = ak.values_astype(first[name] * scale, np.float32)
        arrays["event"] = first["event"] + np.uint64(number * len(first["event"]))
        yield arrays
        number += 1


def writer_of(file: Any) -> TreeWriter:
    """What writes the branches of `repetitions`."""
    with open_source(sample_path()) as source:
        branches = [b for b in source.branches.values() if not b.name.startswith(("GenJet", "nGenJet"))]
    return TreeWriter(file, TREE, branches)


def generate(output: Path, jets: int) -> int:
    """Write a file of so many jets at least; give how many there are."""
    found = 0
    with uproot.recreate(output, compression=parse_compression(COMPRESSION)) as file:
        writer = writer_of(file)
        for arrays in repetitions():
            writer.extend(arrays)
            found += int(ak.sum(arrays["nJet"]))
            if found >= jets:
                break
        writer.close()
    return found


def family(pid: int) -> list[int]:
    """A process and all that it started."""
    try:
        children = [
            int(child)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    except OSError:  # it has ended
        return [pid]
    return [pid, *(each for child in children for each in family(child))]


def memory_of(pid: int) -> float:
    """MB that a process and all that it started have together; what they share counts once."""
    total = 0
    for each in family(pid):
        try:
            text = Path(f"/proc/{each}/smaps_rollup").read_text()
        except OSError:
            continue
        total += next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return total / 1000


def measure(words: list[str], folder: Path) -> Step:
    """Run a step to its end."""
    here = str(Path(__file__).parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([here, os.environ.get("PYTHONPATH", "")])}
    started, peak = time.perf_counter(), 0.0
    with (folder / "said").open("w") as said:
        process = subprocess.Popen(
            [sys.executable, *words], cwd=folder, stdout=said, stderr=said, env=environment
        )
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            peak = max(peak, memory_of(process.pid))
            time.sleep(LOOK)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise click.ClickException(f"{' '.join(words)} failed:\n{(folder / 'said').read_text()[-2000:]}")
    return Step(time.perf_counter() - started, usage.ru_utime + usage.ru_stime, peak)


def steps_of(folder: Path) -> dict[str, Step]:
    """Measure every step for the file jets.root of a folder; a loss is an error."""
    cli = ["-m", "hepae"]
    steps = {
        "compress": measure([*cli, "compress", "jets.root", "-o", "small.root", "--quiet"], folder),
        "verify": measure([*cli, "verify", "jets.root", "small.root", "--quiet"], folder),
        "restore in coffea": measure(["-c", RESTORE, "small.root"], folder),
        "compare": measure([*cli, "compare", "jets.root", "small.root", "-o", "plots", "--quiet"], folder),
    }
    found = json.loads((folder / "plots" / "metrics.json").read_text())
    broken = {name: column["violations"] for name, column in found["columns"].items() if column["violations"]}
    if broken:
        raise click.ClickException(f"jets beyond their bounds: {broken}")
    return steps


@click.group(help=__doc__)
def main() -> None:
    """Many jets, or many files."""


@main.command()
@click.option("--jets", "numbers", type=float, multiple=True, default=(1e6, 1e7), show_default=True)
def jets(numbers: tuple[float, ...]) -> None:
    """Time and memory of each step for files of so many JETS."""
    table = Table()
    for heading in ("jets", "file", "step", "wall s", "CPU s", "CPU µs a jet", "peak MB"):
        table.add_column(heading, justify="right" if heading != "step" else "left")
    smaller, before = 0, {}
    for number in sorted(map(int, numbers)):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            count = generate(folder / "jets.root", number)
            size = (folder / "jets.root").stat().st_size
            steps = steps_of(folder)
        for what, step in steps.items():
            each = (step.cpu - before[what].cpu) / (count - smaller) * 1e6 if before else None
            row = f"{count:,}", f"{size / 1e6:.0f} MB", what, f"{step.wall:.1f}", f"{step.cpu:.1f}"
            row = *row, "" if each is None else f"{each:.2f}", f"{step.memory:.0f}"
            table.add_row(*row)
            click.echo("; ".join(row), err=True)  # a run of an hour can be followed
        smaller, before = count, steps
    Console(width=110).print(table)


def many_files(folder: Path, count: int, events: int) -> dict[str, Any]:
    """Write so many files of so many events; give their fileset."""
    names: list[str] = []
    for arrays in repetitions():
        for start in range(0, len(arrays["event"]) - events + 1, events):
            if len(names) == count:
                return {"jets": {"files": dict.fromkeys(names, TREE)}}
            path = folder / f"{len(names):05}.root"
            with uproot.recreate(path) as file:
                writer = writer_of(file)
                writer.extend({name: array[start : start + events] for name, array in arrays.items()})
                writer.close()
            names.append(str(path))
    raise AssertionError  # the repetitions have no end


def content(path: Path) -> dict[tuple[str, str], list[bytes]]:
    """Bytes of every branch of every tree of a file."""
    with uproot.open(path) as file:
        return {
            (name, branch): [part.tobytes() for part in ak.to_buffers(ak.to_packed(array))[2].values()]
            for name, tree in file.items(filter_classname="TTree", cycle=False)
            for branch, array in tree.arrays(how=dict).items()
        }


class Killer(threading.Thread):
    """Kill a worker of a cluster that runs, chosen at random, at random moments, until told to stop."""

    def __init__(self, cluster: Any, every: float, most: int, seed: int):
        super().__init__(daemon=True)
        self.cluster, self.every, self.most = cluster, every, most
        self.random, self.done, self.kills = random.Random(seed), threading.Event(), 0

    def run(self) -> None:
        """Wait, kill, and again."""
        while self.kills < self.most and not self.done.wait(self.random.expovariate(1 / self.every)):
            # one that is killed while it starts is given up by dask's local cluster
            running = [
                n for n in self.cluster.workers.values() if n.process and n.process.status == Status.running
            ]
            if running:
                os.kill(self.random.choice(running).process.pid, signal.SIGKILL)
                self.kills += 1


def job(fileset: dict[str, Any], folder: Path, every: float, most: int, seed: int) -> tuple[Path, int, float]:
    """Compress a fileset with two workers, some of which are killed; give the merged file, the kills and the seconds."""
    parts, started = folder / "parts", time.perf_counter()
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        killer = Killer(cluster, every, most, seed)
        killer.start()
        run = Runner(DaskExecutor(client=client, status=False), schema=BaseSchema)
        manifest = run(fileset, CompressionProcessor(hepae.BoundedCodec(), parts))
        killer.done.set()
        killer.join()
    (merged,) = merge(manifest, fileset, parts, folder).values()
    return merged, killer.kills, time.perf_counter() - started


@main.command()
@click.option("--files", default=2000, show_default=True, help="Files of the dataset.")
@click.option("--events", default=100, show_default=True, help="Events a file.")
@click.option("--kills", default=24, show_default=True, help="Workers that are killed, at most.")
@click.option("--every", default=10.0, show_default=True, help="Seconds between two kills, in the mean.")
@click.option("--seed", default=1, show_default=True, help="Random seed of the moments.")
def workers(files: int, events: int, kills: int, every: float, seed: int) -> None:
    """Compress many files as one job, undisturbed and with workers killed at random."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("input", "undisturbed", "killed"):
            (folder / part).mkdir()
        fileset = many_files(folder / "input", files, events)
        expected, _, quiet = job(fileset, folder / "undisturbed", every, 0, seed)
        found, killed, disturbed = job(fileset, folder / "killed", every, kills, seed)
        before, after = content(expected), content(found)
    differing = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    click.echo(
        f"{files} files, {files * events} events: {quiet:.0f} s undisturbed; {disturbed:.0f} s with {killed} workers killed; "
        f"{len(differing)} of {len(before)} branches differ"
    )
    if differing:
        sys.exit(1)


if __name__ == "__main__":
    main()
