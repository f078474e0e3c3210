"""Which idea of the prediction saves how many bytes: each of them alone, and all together.

    python analysis/benchmark_ideas.py pythia_dijets.root

Bytes a jet of the payload of four columns at the default bounds. *Anchors* are the jet before, the recoil and the nearest earlier column;
*fits* are linear forms of all that is known, with products; *groups* code jets with residuals of like width apart.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import click
from benchmarks.jets import FOUR, read
from rich.console import Console
from rich.table import Table

from hepae.bounded import prediction
from hepae.bounded.codec import compress_clusters
from hepae.bounded.polynomials import Form
from hepae.bounds import DEFAULT_BOUNDS, Bounds
from hepae.samples import sample_path

if TYPE_CHECKING:
    from collections.abc import Iterator

IDEAS = ("anchors", "fits", "groups")


@contextmanager
def without(ideas: set[str]) -> Iterator[None]:
    """Take ideas out of the choice of a model."""
    with ExitStack() as stack:
        if "anchors" in ideas:
            nothing = [prediction._NOTHING]
            stack.enter_context(mock.patch.object(prediction._Regimes, "_anchors", return_value=nothing))
        if "fits" in ideas:
            stack.enter_context(mock.patch.object(Form, "fit", return_value=Form()))
        for name in ("GROUPS", "_TRIED") if "groups" in ideas else ():
            stack.enter_context(mock.patch.object(prediction, name, 1))
        yield


@click.command()
@click.argument("path", required=False, type=click.Path(path_type=Path))
def main(path: Path | None) -> None:
    """Measure on the jets of FILE (the bundled sample by default)."""
    path = path or sample_path()
    columns, counts = read(path, FOUR)
    bounds = Bounds(DEFAULT_BOUNDS).in_unit("GeV")
    table = Table("prediction", "bytes a jet", title=path.name, title_justify="left")
    for kept in (set(), *({idea} for idea in IDEAS), {*IDEAS}):
        with without({*IDEAS} - kept):
            size = compress_clusters(columns, counts, bounds).nbytes / len(columns["pt"])
        name = "all" if len(kept) == len(IDEAS) else next(iter(kept), "none: each column alone")
        table.add_row(name, f"{size:.3f}")
    Console(width=80).print(table)


if __name__ == "__main__":
    main()
