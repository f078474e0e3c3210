"""Two files compared: the residuals of their jets, the figures, and the bytes."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hepae import kinematics
from hepae.bounds import Bound
from hepae.codecs.compressed import CompressedFile
from hepae.errors import InputError, OutputError
from hepae.io.container import is_compressed
from hepae.io.readers import STEP_SIZE, Source, choose_collection, open_source, steps
from hepae.io.writers import atomic_output
from hepae.validation.histograms import Binning, ComparisonHistograms
from hepae.validation.residuals import ResidualSums

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import awkward as ak

    from hepae.io.layouts import Collection
    from hepae.validation.plotting import Style

BINNING_ENTRIES = 50_000
"""Entries from which the binning is chosen: a fixed number, so that figures do not depend on the steps of reading."""


@dataclass(frozen=True)
class ComparisonResult:
    """What `compare_files` found and wrote: the content of metrics.json, and the figures' files."""

    metrics: dict[str, Any]
    figures: list[Path]


@dataclass(frozen=True)
class _Jets:
    """Jets of a file that is not compressed, by ranges of entries."""

    source: Source
    collection: Collection
    columns: Sequence[str] | None

    def read(self, start: int, stop: int) -> ak.Array:
        wanted = (
            {*self.collection.column_names} if self.columns is None else {*self.columns, *kinematics.MOMENTUM}
        )
        branches = [column.branch for column in self.collection.columns if column.name in wanted]
        return self.collection.jets(self.source.arrays(branches, start, stop))

    def stored_bytes(self, columns: Sequence[str]) -> int:
        names = {self.collection.column(name).branch for name in columns}
        return sum(self.source.stored_bytes(name) for name in names)


def compare_files(
    original: str | Path,
    version: str | Path,
    output: str | Path,
    *,
    style: Style,
    tree: str | None = None,
    collection: str | None = None,
    unit: str | None = None,
    force: bool = False,
    step_size: str | int = STEP_SIZE,
    progress: Callable[[int, int], None] | None = None,
) -> ComparisonResult:
    """Compare the jets of an original file with those of a compressed or restored one.

    Both files are streamed in steps. ``metrics.json`` and the figures (each as PNG and PDF) are written into the
    folder ``output``: for every column, and for the mass and E, the original and restored spectrum with their ratio,
    and the residual.

    Parameters
    ----------
    original
        The file that was compressed.
    version
        The compressed file, or the one restored of it.
    output
        Folder for what is written; it is made where there is none.
    style
        What is written into the figures' corner.
    tree, collection, unit
        As for `hepae.read_jets`.
    force
        Replace the metrics.json of an earlier comparison.
    step_size
        Memory a step may take, or its number of entries.
    progress
        Called with the entries done and all entries after each step.

    Raises
    ------
    InputError
        If the files do not hold the same jets.
    OutputError
        If there is a comparison in the folder already, or it cannot be written.
    """
    original, version, output = Path(original), Path(version), Path(output)
    if (output / "metrics.json").exists() and not force:
        raise OutputError(f"{output / 'metrics.json'} exists already; name another folder or add --force")
    with ExitStack() as stack:
        after: CompressedFile | _Jets
        read: Callable[[int, int], ak.Array]
        if is_compressed(version):
            after = stack.enter_context(CompressedFile(version))
            name = after.choose(collection)
            coded = after.coded(name)
            before = _open(stack, original, tree or after.tree, name, unit, coded)
            entries, read = after.num_entries, partial(after.jets, collection=name)
        else:
            before = _open(stack, original, tree, collection, unit, None)
            coded = before.collection.column_names
            after = _open(stack, version, tree or before.source.tree, before.collection.name, unit, None)
            entries, read = after.source.num_entries, after.read
        total = before.source.num_entries
        if total != entries:
            raise InputError(
                f"{original} has {total} events and {version} {entries}: these are not the same jets"
            )
        if total == 0:
            raise InputError(f"{original} has no events to compare")

        columns = None if isinstance(after, _Jets) else tuple(dict.fromkeys((*coded, "mass", "E")))
        sample = min(total, BINNING_ENTRIES)
        histograms = ComparisonHistograms(Binning.choose(before.read(0, sample), read(0, sample), columns))
        sums = ResidualSums(columns, bounds=_promised(after, before.collection.name))
        for start, stop in steps(total, before.source.entries_per_step(step_size)):
            chunk = before.read(start, stop), read(start, stop)
            sums.fill(*chunk)
            histograms.fill(*chunk)
            if progress is not None:
                progress(stop, total)
        residuals = sums.result()

        size_before = before.stored_bytes(coded)
        size_after = (
            after.stored_bytes(coded) if isinstance(after, _Jets) else after.header["bytes"]["compressed"]
        )
    metrics = {
        **residuals.to_dict(),
        "bytes": {
            "file_original": original.stat().st_size,
            "file_compressed": version.stat().st_size,
            "original": size_before,
            "compressed": size_after,
            "per_jet": size_after / residuals.jets if residuals.jets else None,
            "ratio": size_before / size_after if size_after else None,
        },
    }
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {output}: {error.strerror}") from None
    figures = _draw(histograms, residuals.columns, output, style)
    with atomic_output(output / "metrics.json", force=force) as temporary:
        temporary.write_text(json.dumps(metrics, indent=2) + "\n")
    return ComparisonResult(metrics, figures)


def _promised(version: CompressedFile | _Jets, collection: str) -> dict[str, Bound] | None:
    """Bounds of the columns that a compressed file coded within one; None where nothing was promised."""
    if isinstance(version, _Jets):
        return None
    bounds = version.header["collections"][collection]["bounds"]
    return {name: Bound.parse(text) for name, text in bounds.items()} or None


def _open(
    stack: ExitStack,
    path: Path,
    tree: str | None,
    collection: str | None,
    unit: str | None,
    columns: Sequence[str] | None,
) -> _Jets:
    source = stack.enter_context(open_source(path, tree=tree, unit=unit))
    return _Jets(source, choose_collection(source, collection), columns)


def _draw(histograms: ComparisonHistograms, residuals: Any, output: Path, style: Style) -> list[Path]:
    from hepae.validation import plotting

    written = []
    for name in histograms.original:
        stem = name.replace("/", "_").replace(" ", "_")
        spectrum = plotting.comparison(histograms.original[name], histograms.restored[name], style=style)
        written += plotting.save(spectrum, output / stem)
        residual = plotting.residual(histograms.residual[name], residuals[name], style=style)
        written += plotting.save(residual, output / f"{stem}_residual")
    return written
