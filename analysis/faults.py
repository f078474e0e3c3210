"""Kill commands at many moments, and look at what they leave.

    python analysis/faults.py FILE --moments 100

Each command runs once to its end, which tells how long it takes. Then it is started again and again, and killed (SIGKILL, and SIGTERM) after a
share of that time, from the first moment to the last. What stands under the output's name has to be complete or absent, and the inputs have to be what
they were. At the end the command runs once more: it has to end well, and nothing else may lie beside its output. The exit status is 1 if one of these fails.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
import uproot
from rich.console import Console
from rich.progress import track
from rich.table import Table

import hepae
from hepae.io.readers import open_source
from hepae.samples import sample_path

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SIGNALS = (signal.SIGKILL, signal.SIGTERM)
COLUMNS = ("killed", "ended before", "output absent", "complete", "partial", "input changed", "left behind")
BAD = COLUMNS[4:]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Command:
    """A command that writes ``output``, and whether what stands there is complete."""

    words: Sequence[str]
    output: str
    complete: Callable[[Path], bool]

    def start(self, folder: Path) -> subprocess.Popen[bytes]:
        """Start it in a folder."""
        quiet = subprocess.DEVNULL
        return subprocess.Popen(self.words, cwd=folder, stdout=quiet, stderr=quiet, env=ENVIRONMENT)


def _same(original: str) -> Callable[[Path], bool]:
    """Whether a file is what was compressed to it or restored from it."""
    return lambda output: hepae.verify(output.parent / original, output).ok


def _model(output: Path) -> bool:
    return hepae.load_codec(output).columns is not None


def _pages(output: Path) -> bool:
    """Whether a comparison has its numbers, and all the figures that it wrote."""
    names = json.loads((output / ".hepae_files.json").read_text())
    json.loads((output / "metrics.json").read_text())
    return all((output / name).stat().st_size for name in names)


def _merged(output: Path) -> bool:
    return not (output / "jets.root").exists() or _same("../jets.root")(output / "jets.root")


def commands() -> dict[str, Command]:
    """What is killed, by name, in an order in which each one's inputs are there."""
    python = (sys.executable, "-m", "hepae")
    job = (sys.executable, str(Path(__file__).with_name("compress_dataset.py").absolute()))
    train = ("train", "jets.root", "-o", "model.safetensors", "--epochs", "2", "--hidden", "16", "--quiet")
    compare = ("compare", "jets.root", "small.root", "-o", "plots", "--report", "--quiet")
    return {
        "compress": Command(
            (*python, "compress", "jets.root", "-o", "small.root", "--quiet"),
            "small.root",
            _same("jets.root"),
        ),
        "decompress": Command(
            (*python, "decompress", "small.root", "-o", "back.root", "--quiet"),
            "back.root",
            _same("jets.root"),
        ),
        "verify": Command((*python, "verify", "jets.root", "small.root", "--quiet"), "nothing", Path.exists),
        "compare": Command((*python, *compare), "plots", _pages),
        "train": Command((*python, *train), "model.safetensors", _model),
        "job": Command((*job, "fileset.json", "-o", "job", "--chunksize", "100"), "job", _merged),
    }


def state(folder: Path, output: str) -> dict[str, str]:
    """Checksums of the files beside the output."""
    files = [path for path in folder.iterdir() if path.is_file() and path.name != output]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def remove(path: Path) -> None:
    """Remove a file or a folder, where there is one."""
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


def killed(command: Command, folder: Path, number: int, seconds: float, counts: Counter[str]) -> None:
    """Start a command, send a signal after some seconds, and count what it left."""
    output, before = folder / command.output, state(folder, command.output)
    remove(output)
    process = command.start(folder)
    time.sleep(seconds)
    process.send_signal(number)
    counts["ended before" if process.wait() == 0 else "killed"] += 1
    if not output.exists():
        counts["output absent"] += 1
    else:
        try:
            counts["complete" if command.complete(output) else "partial"] += 1
        except Exception as error:  # noqa: BLE001  # whatever a half-written file makes a reader raise
            click.echo(f"{command.output}: {error}", err=True)
            counts["partial"] += 1
    after = state(folder, command.output)
    counts["input changed"] += sum(after.get(name) != checksum for name, checksum in before.items())


def rehearsed(command: Command, folder: Path) -> float:
    """Run a command to its end; give its seconds."""
    remove(folder / command.output)
    started = time.perf_counter()
    if command.start(folder).wait():
        raise click.ClickException(f"{' '.join(command.words)} fails even when nobody kills it")
    return time.perf_counter() - started


def torture(command: Command, folder: Path, number: int, moments: int, name: str) -> Counter[str]:
    """Kill a command at many moments, let it end once, and count."""
    counts: Counter[str] = Counter()
    seconds = rehearsed(command, folder)
    expected = {path.name for path in folder.iterdir()}
    steps = track(
        range(moments), description=f"{name}, {signal.Signals(number).name}", console=Console(stderr=True)
    )
    for moment in steps:
        killed(command, folder, number, seconds * (moment + 0.5) / moments, counts)
    rehearsed(command, folder)
    counts["left behind"] = len({path.name for path in folder.iterdir()} - expected)
    return counts


@click.command(help=__doc__)
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option(
    "--moments", type=click.IntRange(1), default=10, show_default=True, help="Kills a command and signal."
)
@click.option("--events", default=500, show_default=True, help="Events of FILE that are taken.")
@click.option(
    "--command",
    "names",
    multiple=True,
    type=click.Choice(list(commands())),
    help="Only this command, and what it needs.",
)
def main(path: Path | None, moments: int, events: int, names: tuple[str, ...]) -> None:
    """Print the table; the exit status is 1 if something partial, changed or left behind was found."""
    table, bad = Table("command", "signal", *COLUMNS), 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with open_source(path or sample_path()) as source, uproot.recreate(folder / "jets.root") as file:
            arrays = source.arrays([*source.branches], 0, events)
            file.mktree(source.tree or "Events", {b: arrays[b].type.content for b in arrays}).extend(arrays)
        (folder / "fileset.json").write_text(json.dumps({"jets": {"files": {"jets.root": "Events"}}}))
        for command_name, command in commands().items():
            if names and command_name not in names:
                if command_name == "compress":
                    rehearsed(command, folder)
                continue
            for number in SIGNALS:
                counts = torture(command, folder, number, moments, command_name)
                bad += sum(counts[column] for column in BAD)
                row = command_name, number.name, *(str(counts[column]) for column in COLUMNS)
                table.add_row(*row)
                click.echo("; ".join(row), err=True)  # a run of hours can be followed
    Console(width=130).print(table)
    if bad:
        sys.exit(1)


if __name__ == "__main__":
    main()
