"""Files compared: the residuals of their jets, the figures, the bytes, and a page that shows them all."""

from __future__ import annotations

import fnmatch
import hashlib
import json
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak

from hepae import kinematics, samples
from hepae.errors import InputError, OutputError
from hepae.files.compressed import CompressedFile
from hepae.files.header import is_compressed
from hepae.io.locations import Location, expand, locate
from hepae.io.readers import STEP_SIZE, Source, choose_collection, choose_collections, open_source, steps
from hepae.io.writers import atomic_output
from hepae.validation.counts import BINNING_ENTRIES, ORIGINAL, Counts, Scheme, Version, metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hepae.bounds import Bound
    from hepae.io.layouts import Collection
    from hepae.io.locations import Url
    from hepae.validation.plotting import JetEnergyResolution, Style
    from hepae.validation.report import Page, Shown

STEP_JETS = 500_000
"""Jets that a step has at most, whatever else the file holds: each takes some hundred bytes while it is compared."""


@dataclass(frozen=True)
class ComparisonResult:
    """What `compare_files` found and wrote: the content of metrics.json, the figures' files, and the page."""

    metrics: dict[str, Any]
    figures: list[Path]
    report: Path | None = None


@dataclass(frozen=True)
class StoredJets:
    """Jets of a file that is not compressed, by ranges of entries.

    Parameters
    ----------
    source
        The open file.
    collection
        Which of its jets.
    columns
        Columns that are read beside the four-momentum; by default all.
    """

    source: Source
    collection: Collection
    columns: Sequence[str] | None = None

    def read(self, start: int, stop: int) -> ak.Array:
        """Jets of these entries, as `hepae.read_jets` gives them."""
        wanted = (
            {*self.collection.column_names} if self.columns is None else {*self.columns, *kinematics.MOMENTUM}
        )
        branches = [column.branch for column in self.collection.columns if column.name in wanted]
        return self.collection.jets(self.source.arrays(branches, start, stop))

    def has(self, name: str) -> bool:
        """Whether there is such a column, or E for mass."""
        try:
            self.collection.column(name)
        except KeyError:
            return False
        return True

    def stored_bytes(self, columns: Sequence[str]) -> dict[str, int]:
        """Bytes by column."""
        branches = {name: self.collection.column(name).branch for name in columns}
        return {name: self.source.stored_bytes(branch) for name, branch in branches.items()}


@dataclass(frozen=True)
class _File:
    """A collection in a compressed or restored file beside the original, and what the version is called."""

    name: str
    path: Location
    jets: CompressedFile | StoredJets
    collection: str

    @property
    def bounds(self) -> dict[str, Bound]:
        """Bounds that it promises."""
        return self.jets.bounds(self.collection) if isinstance(self.jets, CompressedFile) else {}

    @property
    def coded(self) -> tuple[str, ...] | None:
        """Columns that were coded; None of a restored file, which does not know."""
        return self.jets.coded(self.collection) if isinstance(self.jets, CompressedFile) else None

    def read(self, start: int, stop: int) -> tuple[ak.Array, ak.Array | None]:
        """Jets of these entries, and their latents where there are some."""
        if isinstance(self.jets, CompressedFile):
            which = {"collection": self.collection}
            return self.jets.jets(start, stop, **which), self.jets.latents(start, stop, **which)
        return self.jets.read(start, stop), None

    def stored_bytes(self, before: StoredJets) -> tuple[dict[str, int], dict[str, int]]:
        """Bytes of the columns that were coded or, of a restored file, that both have, by what is known to take them."""
        if isinstance(self.jets, CompressedFile):
            coded = self.jets.coded(self.collection)
            return before.stored_bytes(coded), self.jets.stored_bytes(self.collection)
        shared = [name for name in before.collection.column_names if self.jets.has(name)]
        return before.stored_bytes(shared), self.jets.stored_bytes(shared)

    def facts(self) -> dict[str, str]:
        """What the page tells of it."""
        if isinstance(self.jets, StoredJets):
            return {"codec": "none: a restored file, which does not know its bounds"}
        header = self.jets.header
        config = header["collections"][self.collection]
        told = {
            "codec": str(header["codec"]),
            "collection": self.collection,
            "columns": ", ".join(config["coded"]),
            "latents": ", ".join(config["latents"]),
            "bounds": ", ".join(f"{name} {bound}" for name, bound in self.bounds.items()) or "none",
            "edges": "; ".join(f"{name} at {cuts}" for name, cuts in config["edges"].items()),
            "model SHA-256": str(header["model_sha256"] or ""),
            "written by": f"hepae {header['hepae']}",
        }
        return {name: text for name, text in told.items() if text}


@dataclass(frozen=True)
class _Compared:
    """One collection, compared: the original, the files beside it, and what was found of each."""

    prefix: str
    """What the names of its columns and figures begin with, where there are several."""
    before: StoredJets
    files: list[_File]
    versions: list[Version]


def compare_files(
    original: str | Path | Url,
    versions: str | Path | Url | Sequence[str | Path | Url],
    output: str | Path,
    *,
    style: Style,
    resolution: JetEnergyResolution | None = None,
    report: bool = False,
    tree: str | None = None,
    collection: str | Sequence[str] | None = None,
    unit: str | None = None,
    force: bool = False,
    step_size: str | int = STEP_SIZE,
    progress: Callable[[int, int], None] | None = None,
) -> ComparisonResult:
    """Compare the jets of an original file with those of one or more compressed or restored ones.

    All files are streamed in steps. ``metrics.json`` and the figures (each as PNG and PDF) are written into the
    folder ``output``: for every column that changed, and for the four-momentum, the original and restored spectrum with
    their ratio, and the residual; the residuals of the four-momentum against pt and eta, against each other, and over eta and phi;
    what becomes of events; latents; and bytes.

    Parameters
    ----------
    original
        The file that was compressed.
    versions
        The compressed file, or the one restored of it; or several of them, also by patterns. All may be fsspec URLs.
    output
        Folder for what is written; it is made where there is none.
    style
        What is written into the figures' corner.
    resolution
        Jet energy resolution that is drawn beside that of the restored pt; by default that of
        `hepae.samples.resolution` (ATLAS, arXiv:1910.04482).
    report
        Write the page ``report.html`` as well, which needs nothing beside it.
    tree, unit
        As for `hepae.read_jets`.
    collection
        Which jets, by names or patterns; by default all that the first compressed file coded, or as for `hepae.read_jets`.
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
    original, paths, output = locate(original), expand(versions), Path(output)
    if (output / "metrics.json").exists() and not force:
        raise OutputError(f"{output / 'metrics.json'} exists already; name another folder or add --force")
    with ExitStack() as stack:
        version_names = _version_names(paths)
        files: list[CompressedFile | Source] = []
        for path in paths:
            if is_compressed(path):
                files.append(stack.enter_context(CompressedFile(path)))
            else:
                files.append(stack.enter_context(open_source(path, tree=tree, unit=unit)))
        first = next((file for file in files if isinstance(file, CompressedFile)), None)
        source = stack.enter_context(
            open_source(original, tree=tree or (first.tree if first else None), unit=unit)
        )
        chosen = _collections(source, first, collection)
        for path, file in zip(paths, files, strict=True):
            if file.num_entries != source.num_entries:
                raise InputError(
                    f"{original} has {source.num_entries} events and {path} {file.num_entries}: "
                    "these are not the same jets"
                )
        if source.num_entries == 0:
            raise InputError(f"{original} has no events to compare")
        compared = []
        for number, name in enumerate(chosen):
            beside = [
                _File(called, path, _jets(file, name), name)
                for called, path, file in zip(version_names, paths, files, strict=True)
            ]
            done = source.num_entries * number, source.num_entries * len(chosen)
            update = None if progress is None else _after(progress, *done)
            prefix = f"{name}." if len(chosen) > 1 else ""
            compared.append(_compare(source, name, prefix, beside, step_size, update))
    found = [
        metrics(
            {one.prefix: one.versions[i] for one in compared}, original.stat().st_size, path.stat().st_size
        )
        for i, path in enumerate(paths)
    ]
    written = found[0]
    if len(paths) > 1:
        named = zip(paths, found, strict=True)
        written = {"versions": [{"file": str(path), **numbers} for path, numbers in named]}
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {output}: {error.strerror}") from None
    from hepae.validation.gallery import Gallery

    gallery = Gallery(output, style, resolution or default_resolution())
    for one in compared:
        gallery.draw(one.versions, one.prefix)
    page = output / "report.html" if report else None
    if page is not None:
        sizes = [numbers["bytes"] for numbers in found]
        text = _page(original, compared, sizes, gallery.shown).render()
        with atomic_output(page, force=True) as temporary:  # with its metrics.json, which was asked for above
            temporary.write_bytes(text.encode("utf-8", "replace"))
    with atomic_output(output / "metrics.json", force=force) as temporary:
        temporary.write_text(json.dumps(written, indent=2) + "\n")
    return ComparisonResult(written, gallery.files, page)


def _version_names(paths: Sequence[Location]) -> list[str]:
    """What versions are called in figures: by their files' names as far as that tells them apart."""
    if len(paths) == 1:
        return ["Restored"]
    for names in ([path.stem for path in paths], [str(path) for path in paths]):
        names = ["File Original" if name == ORIGINAL else name for name in names]
        if len({*names}) == len(names):
            return names
    raise InputError("a file is named twice among those to compare; name each once")


def _collections(
    source: Source, first: CompressedFile | None, asked: str | Sequence[str] | None
) -> list[str]:
    """Names of what is compared: what was asked for, or all that the first compressed file coded."""
    if first is None:
        return [collection.name for collection in choose_collections(source, asked)]
    names = list(first.collections)
    if asked:
        patterns = [asked] if isinstance(asked, str) else asked
        names = [name for p in patterns for name in fnmatch.filter(first.collections, p) or [first.choose(p)]]
    return [choose_collection(source, name).name for name in dict.fromkeys(names)]


def _jets(file: CompressedFile | Source, collection: str) -> CompressedFile | StoredJets:
    if isinstance(file, CompressedFile):
        file.choose(collection)
        return file
    return StoredJets(file, choose_collection(file, collection))


def _after(progress: Callable[[int, int], None], before: int, total: int) -> Callable[[int], None]:
    """Progress within one collection as progress of all."""
    return lambda done: progress(before + done, total)


def _compare(
    source: Source,
    name: str,
    prefix: str,
    files: list[_File],
    step_size: str | int,
    progress: Callable[[int], None] | None,
) -> _Compared:
    """Read one collection of all files step by step, and count."""
    collection = choose_collection(source, name)
    coded = [file.coded for file in files]
    columns = None if None in coded else tuple({column for some in coded if some for column in some})
    before = StoredJets(source, collection, columns)
    for file in files:
        _require_same_momentum(before, file)
    stop = min(source.num_entries, BINNING_ENTRIES)
    sample = before.read(0, stop)
    counted = [
        Counts.of(Scheme.choose(sample, *file.read(0, stop), coded=file.coded, bounds=file.bounds))
        for file in files
    ]
    step = source.entries_per_step(step_size)
    if isinstance(step_size, str):
        jets_per_entry = ak.count(sample[sample.fields[0]], axis=None) / stop
        step = min(step, max(1, int(STEP_JETS / max(jets_per_entry, 1e-9))))
    for start, end in steps(source.num_entries, step):
        jets = before.read(start, end)
        for file, counts in zip(files, counted, strict=True):
            counts.fill(jets, *file.read(start, end))
        if progress is not None:
            progress(end)
    versions = [
        Version(file.name, counts, file.stored_bytes(before))
        for file, counts in zip(files, counted, strict=True)
    ]
    return _Compared(prefix, before, files, versions)


def _require_same_momentum(before: StoredJets, file: _File) -> None:
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
            f"{lacking} has no mass or E, or no momentum, of {after.name}, and {has} has: compare a file with "
            "what was compressed or restored from it"
        )
    if not {*before.collection.column_names} & {*after.column_names} and not having[0]:
        raise InputError(f"{before.source.path} and {file.path} have no column of {after.name} in common")


def default_resolution() -> JetEnergyResolution:
    """Jet energy resolution of `hepae.samples.resolution`, as a figure draws it."""
    from hepae.validation.plotting import JetEnergyResolution

    return JetEnergyResolution(
        "Jet energy resolution, arXiv:1910.04482", samples.NOISE, samples.STOCHASTIC, samples.CONSTANT
    )


def _page(
    original: Location,
    compared: Sequence[_Compared],
    sizes: Sequence[dict[str, Any]],
    figures: Sequence[Shown],
) -> Page:
    """Put together what the page tells."""
    from hepae.validation.report import ComparedColumn, ComparedFile, Page

    source = compared[0].before.source
    facts = {
        "format": source.format,
        "layout": source.layout.name,
        "tree": source.tree,
        "collection": ", ".join(one.before.collection.name for one in compared),
    }
    files = [ComparedFile(ORIGINAL, str(original), *_size_and_hash(original), facts)]
    columns = []
    for i, file in enumerate(compared[0].files):
        told: dict[str, str] = {}
        for one in compared:
            prefix = f"{one.before.collection.name}: " if len(compared) > 1 else ""
            told |= {
                (name if name in ("codec", "written by", "model SHA-256") else prefix + name): text
                for name, text in one.files[i].facts().items()
            }
        files.append(ComparedFile(file.name, str(file.path), *_size_and_hash(file.path), told))
        for one in compared:
            bounds, numbers = one.versions[i].bounds, one.versions[i].residuals
            columns += [
                ComparedColumn(
                    one.prefix + name,
                    file.name,
                    str(bounds[name]) if name in bounds else None,
                    numbers[name],
                    jets=numbers.jets,
                    relative=name in kinematics.RELATIVE,
                )
                for name in numbers
            ]
    by_version = dict(zip((file.name for file in compared[0].files), sizes, strict=True))
    counted = [one.versions[0].residuals for one in compared]
    return Page(sum(of.jets for of in counted), counted[0].events, files, columns, by_version, figures)


def _size_and_hash(path: Location) -> tuple[int, str]:
    with path.open("rb") as file:
        return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()
