"""Jets a second that the C++ reader decodes on one core, beside Python.

    python analysis/benchmark_decoding.py pythia_dijets.root
    python analysis/benchmark_decoding.py pythia_dijets.root --option=-O3 --option=-march=native

The file's jets, four columns at the standard bounds, are repeated until they fill a cluster, and decoded from memory: no file is
read. Both times are the least processor time of some rounds; what counts is their ratio within the run.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import click
import numpy as np
from benchmarks import cpp
from benchmarks.jets import FOUR, read

from hepae.bounded.cluster import CLUSTER_JETS, ClusterInput, encode_cluster
from hepae.bounds import Bounds
from hepae.samples import sample_path

BOUNDS: dict[str, str | float] = {"pt": "0.1%", "eta": 1e-3, "phi": 1e-3, "mass": "1%+1MeV"}


@click.command()
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("--option", "options", multiple=True, default=("-O2",), show_default=True, help="Of g++.")
@click.option("--rounds", default=20, show_default=True, help="Rounds of which the fastest counts.")
def main(path: Path | None, options: tuple[str, ...], rounds: int) -> None:
    """Decode the jets of FILE (the bundled sample by default) in C++ and in Python."""
    columns, counts = read(path or sample_path(), FOUR)
    times = -(-CLUSTER_JETS // len(columns["pt"]))
    jets = {name: np.tile(values, times) for name, values in columns.items()}
    if counts is None:
        counts = np.ones(len(columns["pt"]), np.int64)
    counts = np.tile(counts, times)
    counts = counts[: np.searchsorted(np.cumsum(counts), CLUSTER_JETS, side="right")]
    length = int(counts.sum())
    jets = {name: values[:length] for name, values in jets.items()}
    cluster = encode_cluster(ClusterInput(jets, counts, Bounds.parse(BOUNDS).in_unit("GeV")))
    python = []
    for _ in range(rounds):
        start = time.process_time()
        cluster.decode(cluster.columns, counts)
        python.append(time.process_time() - start)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = cpp.compiled(cpp.HERE / "decode.cpp", folder / "decode", options)
        seconds = cpp.decode(program, [(cluster, counts)], folder, rounds).seconds
    for label, spent in (("Python", min(python)), ("C++", seconds)):
        click.echo(f"{label:8}{length / spent / 1e6:8.2f} million jets/s")
    click.echo(f"ratio   {min(python) / seconds:8.2f}")


if __name__ == "__main__":
    main()
