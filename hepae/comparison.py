"""Files compared: the residuals of their jets, the figures, the bytes, and a page that shows them all."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak

from hepae import kinematics
from hepae.comparison_page import Compared, page
from hepae.errors import InputError, OutputError
from hepae.files.compressed import CompressedFile
from hepae.files.parts import is_compressed
from hepae.io.inputs import OneUnit
from hepae.io.locations import Location, expand, locate
from hepae.io.outputs import output_folder
from hepae.io.readers import (
    STEP_SIZE,
    Source,
    choose_collection,
    choose_collections,
    matching_collections,
    open_source,
    steps,
)
from hepae.resolution.beside import CollectionBesideResolution
from hepae.resolution.parametrisation import Parametrisation, usual_of
from hepae.validation.counts import BINNING_ENTRIES, ORIGINAL, Counts, Scheme, Version, metrics
from hepae.verification.verify import promises_of, verify
from hepae.versions import StoredJets, VersionJets, require_same_events, require_same_lengths

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hepae.io.locations import Url
    from hepae.validation.canvas import Style
    from hepae.validation.profiles import JetEnergyResolution
    from hepae.validation.selection import Figures

STEP_JETS = 500_000
"""Jets that a step has at most, whatever else the file holds: each takes some hundred bytes while it is compared."""


@dataclass(frozen=True)
class ComparisonResult:
    """What `compare_files` found and wrote.

    Attributes
    ----------
    metrics
        The content of metrics.json.
    figures
        Files of the figures.
    report
        The page, where it was asked for.
    without_figure
        Number of columns that changed and have no figure.
    notes
        Notes for the user about the compressed files.
    """

    metrics: dict[str, Any]
    figures: list[Path]
    report: Path | None = None
    without_figure: int = 0
    notes: tuple[str, ...] = ()


def compare_files(
    original: str | Path | Url,
    versions: str | Path | Url | Sequence[str | Path | Url],
    output: str | Path,
    *,
    style: Style,
    resolution: JetEnergyResolution | None = None,
    report: bool = False,
    figures: Figures = "main",
    tree: str | None = None,
    collection: str | Sequence[str] | None = None,
    unit: str | None = None,
    force: bool = False,
    step_size: str | int = STEP_SIZE,
    progress: Callable[[int, int], None] | None = None,
) -> ComparisonResult:
    """Compare the jets of an original file with those of one or more compressed or restored ones.

    All files are streamed in steps. ``metrics.json`` and the figures (each as PNG and PDF) are written into the
    folder ``output``: for the four-momentum, and for the further columns that differ most, the original and restored
    spectrum with their ratio, and the residual; the residuals of the four-momentum against pt and eta, against each other,
    and over eta and phi; quantities of whole events; latents; and bytes.

    Parameters
    ----------
    original
        The file that was compressed.
    versions
        One or more compressed or restored files, or patterns. All may be fsspec URLs.
    output
        Folder to write into; it is created if it does not exist.
    style
        Label in the corner of the figures.
    resolution
        Jet energy resolution to draw beside the residual of pt. The default is that of CMS for NanoAOD
        (``hepae/resolution/CMS.toml``) and of ATLAS for all other files (``hepae/resolution/ATLAS.toml``).
    report
        Also write ``report.html``, a single page that needs no other file.
    figures
        ``all`` draws figures of every column that changed; the default is those that `hepae.validation.selection.select`
        chooses. ``metrics.json`` and the tables of the page always have all columns.
    tree
        As for `hepae.read_jets`.
    unit
        As for `hepae.read_jets`; by default the one that a compressed file was made with.
    collection
        Collections to compare, by name or pattern; by default all that the first compressed file coded, or as for `hepae.read_jets`.
    force
        Replace an earlier comparison in the folder. Other files in it are not touched.
    step_size
        Memory of one step (``"100 MB"``), or its number of entries.
    progress
        Called after each step with the number of entries done and of all entries.

    Raises
    ------
    InputError
        If the files do not hold the same jets.
    OutputError
        If the folder already has a comparison, or it cannot be written.
    """
    original, paths, output = locate(original), expand(versions), Path(output)
    if (output / "metrics.json").exists() and not force:
        raise OutputError(f"{output / 'metrics.json'} exists already; name another folder or add --force")
    if output.exists() and not output.is_dir():
        raise OutputError(f"{output} is a file; name a folder for the comparison")
    names = _version_names(paths)
    with ExitStack() as stack:
        source, files, first = _opened(stack, original, paths, tree, unit)
        notes = tuple(
            f"{path}: {note}"
            for path, file in zip(paths, files, strict=True)
            if isinstance(file, CompressedFile)
            for note in file.notes
        )
        chosen = _collections(source, first, collection)
        for file in files:
            _require_same_events(source, file, step_size)
        compared = []
        promised = [promises_of(file, source)[0] for file in files]
        passes = len(chosen) + (len(files) if report else 0)
        for number, name in enumerate(chosen):
            beside = [
                VersionJets(called, path, _jets(file, name), name, promises)
                for called, path, file, promises in zip(names, paths, files, promised, strict=True)
            ]
            done = source.num_entries * number, source.num_entries * passes
            update = None if progress is None else _after(progress, *done)
            prefix = f"{name}." if len(chosen) > 1 else ""
            compared.append(_compare(source, name, prefix, beside, step_size, update))
    certificates = []
    for number, path in enumerate(paths if report else ()):
        done = source.num_entries * (len(chosen) + number), source.num_entries * passes
        update = None if progress is None else _after(progress, *done)
        certificates.append(
            verify(original, path, tree=tree, unit=unit, step_size=step_size, progress=update)
        )
    found = [
        metrics(
            {one.prefix: one.versions[i] for one in compared}, original.stat().st_size, path.stat().st_size
        )
        for i, path in enumerate(paths)
    ]
    from hepae.validation.gallery import Gallery
    from hepae.validation.selection import select

    chosen_figures = select({one.prefix: one.versions for one in compared}, figures)
    left_out = sum(len(selection.left_out) for selection in chosen_figures.values())
    written = _written(paths, found)
    with output_folder(output, marker="metrics.json", force=force) as folder:
        gallery = Gallery(folder, style, resolution or default_resolution(source.layout.name))
        for one in compared:
            gallery.draw(one.versions, one.prefix, chosen_figures[one.prefix])
        if report:
            text = page(compared, certificates, found, gallery.shown, left_out).render()
            (folder / "report.html").write_bytes(text.encode("utf-8", "replace"))
        (folder / "metrics.json").write_text(json.dumps(written, indent=2) + "\n")
    drawn = [output / file.name for file in gallery.files]
    return ComparisonResult(written, drawn, output / "report.html" if report else None, left_out, notes)


def _opened(
    stack: ExitStack, original: Location, paths: Sequence[Location], tree: str | None, unit: str | None
) -> tuple[Source, list[CompressedFile | Source], CompressedFile | None]:
    """Open the original and all versions in one unit; the last one is the first compressed version, where there is one."""
    if is_compressed(original):
        raise InputError(
            f"{original} is a compressed file: name the original file first, then the compressed ones"
        )
    compressed = {path: stack.enter_context(CompressedFile(path)) for path in paths if is_compressed(path)}
    first = next(iter(compressed.values()), None)
    for file in compressed.values():
        unit = file.original_unit(unit)
    one_unit = OneUnit(unit)
    source = stack.enter_context(
        open_source(original, tree=tree or (first.tree if first else None), unit=unit)
    )
    one_unit.apply(source)
    files: list[CompressedFile | Source] = []
    for path in paths:
        if path in compressed:
            files.append(compressed[path])
            continue
        restored = stack.enter_context(open_source(path, tree=tree, unit=unit))
        one_unit.apply(restored)
        files.append(restored)
    one_unit.warn()
    return source, files, first


def _require_same_events(source: Source, file: CompressedFile | Source, step_size: str | int) -> None:
    """Refuse a version that does not have the original's events.

    Raises
    ------
    InputError
        If there are more or fewer of them, none at all, or others by their run and event numbers.
    """
    if file.num_entries != source.num_entries:
        raise InputError(
            f"{source.path} has {source.num_entries} events and {file.path} {file.num_entries}: these are not the same jets"
        )
    if source.num_entries == 0:
        raise InputError(f"{source.path} has no events to compare")
    require_same_events(source, file, source.entries_per_step(step_size))


def _written(paths: Sequence[Location], found: list[dict[str, Any]]) -> dict[str, Any]:
    """Give the content of ``metrics.json``: the metrics of one version, or a list of several."""
    if len(paths) == 1:
        return found[0]
    named = zip(paths, found, strict=True)
    return {"versions": [{"file": str(path), **numbers} for path, numbers in named]}


def _version_names(paths: Sequence[Location]) -> list[str]:
    """What versions are called in figures: by their files' names as far as that tells them apart."""
    if len(paths) == 1:
        return ["Restored"]
    for names in ([path.stem for path in paths], [str(path) for path in paths]):
        names = ["File Original" if name == ORIGINAL else name for name in names]
        if len({*names}) == len(names):
            return names
    raise InputError("a file is given twice; give each file once")


def _collections(
    source: Source, first: CompressedFile | None, asked: str | Sequence[str] | None
) -> list[str]:
    """Names of what is compared: what was asked for, or all that the first compressed file coded."""
    if first is None:
        return [collection.name for collection in choose_collections(source, asked)]
    names = list(first.collections)
    if asked:
        patterns = [asked] if isinstance(asked, str) else asked
        matching = (matching_collections(p, first.collections) or [first.choose(p)] for p in patterns)
        names = [name for found in matching for name in found]
    return [choose_collection(source, name).name for name in dict.fromkeys(names)]


def _jets(file: CompressedFile | Source, collection: str) -> CompressedFile | StoredJets:
    if isinstance(file, CompressedFile):
        file.choose(collection)
        return file
    return StoredJets(file, choose_collection(file, collection))


def _after(progress: Callable[[int, int], None], before: int, total: int) -> Callable[..., None]:
    """Progress within one pass over the events as progress of all."""
    return lambda done, _=0: progress(before + done, total)


def _compare(
    source: Source,
    name: str,
    prefix: str,
    files: list[VersionJets],
    step_size: str | int,
    progress: Callable[[int], None] | None,
) -> Compared:
    """Read one collection of all files step by step, and count."""
    collection = choose_collection(source, name)
    coded = [file.coded for file in files]
    columns = None if None in coded else tuple({column for some in coded if some for column in some})
    before = StoredJets(source, collection, columns)
    for file in files:
        _require_same_momentum(before, file)
    stop = min(source.num_entries, BINNING_ENTRIES)
    sample = before.read(0, stop)
    parametrisation = Parametrisation.load(usual_of(source.layout.name))
    resolutions = [
        CollectionBesideResolution(name, parametrisation, kinematics.GEV[collection.unit]) for _ in files
    ]
    counted = []
    for file in files:
        restored, latents = file.read(0, stop)
        require_same_lengths(before, file, sample, restored, 0)
        counted.append(
            Counts.of(Scheme.choose(sample, restored, latents, coded=file.coded, bounds=file.bounds))
        )
    step = source.entries_per_step(step_size)
    if isinstance(step_size, str):
        jets_per_entry = ak.count(sample[sample.fields[0]], axis=None) / stop
        step = min(step, max(1, int(STEP_JETS / max(jets_per_entry, 1e-9))))
    for start, end in steps(source.num_entries, step):
        jets = before.read(start, end)
        for file, counts, beside in zip(files, counted, resolutions, strict=True):
            restored, latents = file.read(start, end)
            require_same_lengths(before, file, jets, restored, start)
            promised = file.bounds_by_events(start, end)
            counts.fill(jets, restored, latents, promised=promised)
            for begin, finish, bounds in promised or ():
                events = slice(begin - start, finish - start)
                beside.fill(jets[events], restored[events], bounds)
        if progress is not None:
            progress(end)
    versions = [
        Version(file.name, counts, file.stored_bytes(before), restored=file.restored)
        for file, counts in zip(files, counted, strict=True)
    ]
    return Compared(prefix, before, files, versions, resolutions)


def _require_same_momentum(before: StoredJets, file: VersionJets) -> None:
    """Refuse jets of which one file has a four-momentum and the other has not."""
    after = (
        file.jets.collections[file.collection]
        if isinstance(file.jets, CompressedFile)
        else file.jets.collection
    )
    having = [len(collection.momentum) == 4 for collection in (before.collection, after)]
    if having[0] != having[1]:
        paths = (before.source.path, file.path)
        lacking, has = paths if having[1] else paths[::-1]
        raise InputError(
            f"{after.name} is a four-momentum in {has} but not in {lacking}: compare a file with what was compressed or "
            "restored from it"
        )
    if not {*before.collection.column_names} & {*after.column_names} and not having[0]:
        raise InputError(f"{before.source.path} and {file.path} have no column of {after.name} in common")


def default_resolution(layout: str = "") -> JetEnergyResolution:
    """Jet energy resolution (`hepae.resolution`) that a figure draws for files of a layout: CMS' for NanoAOD, else ATLAS'."""
    from hepae.validation.profiles import JetEnergyResolution

    usual = Parametrisation.load(usual_of(layout))
    terms = usual.columns["pt"]
    return JetEnergyResolution(
        f"Jet energy resolution, {usual.name} {usual.source}", terms.noise, terms.stochastic, terms.constant
    )
