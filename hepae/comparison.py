"""Files compared: the residuals of their jets, the figures, the bytes, and a page that shows them all."""

from __future__ import annotations

import fnmatch
import hashlib
import json
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak

from hepae import kinematics
from hepae.bounds import Bound
from hepae.codecs.compressed import CompressedFile
from hepae.errors import InputError, OutputError
from hepae.io.container import is_compressed
from hepae.io.locations import Location, expand, locate
from hepae.io.readers import STEP_SIZE, Source, choose_collection, choose_collections, open_source, steps
from hepae.io.writers import atomic_output
from hepae.validation.histograms import (
    PROFILED,
    Binning,
    ComparisonHistograms,
    EventBinning,
    EventHistograms,
    LatentBinning,
    LatentHistograms,
    literal,
    residual_unit,
)
from hepae.validation.residuals import RELATIVE, Residuals, ResidualSums, compared_columns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hepae.io.layouts import Collection
    from hepae.io.locations import Url
    from hepae.validation.plotting import Curve, JetEnergyResolution, Style
    from hepae.validation.report import Page, Shown

BINNING_ENTRIES = 50_000
"""Entries from which the binning is chosen: a fixed number, so that figures do not depend on the steps of reading."""

ORIGINAL = "Original"
"""What the original is called in figures, and no version."""

STEP_JETS = 500_000
"""Jets that a step has at most, whatever else the file holds: each takes some hundred bytes while it is compared."""


@dataclass(frozen=True)
class ComparisonResult:
    """What `compare_files` found and wrote: the content of metrics.json, the figures' files, and the page."""

    metrics: dict[str, Any]
    figures: list[Path]
    report: Path | None = None


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
class Counted:
    """What was counted of one version of the jets, for the figures.

    Attributes
    ----------
    name
        What the figures call it.
    residuals, histograms
        Of all jets.
    bounds
        Bounds that were promised, by column.
    events, latents
        Where there are events, and latents.
    stored
        Bytes of the coded columns by what takes them, in the original and in the version, where they are known.
    """

    name: str
    residuals: Residuals
    histograms: ComparisonHistograms
    bounds: Mapping[str, Bound]
    events: EventHistograms | None = None
    latents: LatentHistograms | None = None
    stored: tuple[Mapping[str, int], Mapping[str, int]] | None = None


class _Version:
    """A collection in a compressed or restored file beside the original, and what is counted of it."""

    def __init__(self, name: str, path: Location, file: CompressedFile | _Jets, collection: str):
        self.name, self.path, self.file, self.collection = name, path, file, collection
        self.bounds = _promised(file, collection) if isinstance(file, CompressedFile) else {}

    @property
    def coded(self) -> tuple[str, ...] | None:
        """Columns that were coded; None of a restored file, which does not know."""
        return self.file.coded(self.collection) if isinstance(self.file, CompressedFile) else None

    def read(self, start: int, stop: int) -> ak.Array:
        if isinstance(self.file, CompressedFile):
            return self.file.jets(start, stop, collection=self.collection)
        return self.file.read(start, stop)

    def latents(self, start: int, stop: int) -> ak.Array | None:
        """Latents of these entries; None where the file has none."""
        if isinstance(self.file, CompressedFile):
            return self.file.latents(start, stop, collection=self.collection)
        return None

    def begin(self, sample: ak.Array, stop: int, events: EventBinning | None) -> None:
        """Start to count, with axes that fit the first entries."""
        restored = self.read(0, stop)
        columns = columns_to_compare(sample, restored, self.coded)
        latents = self.latents(0, stop)
        self.sums = ResidualSums(columns, bounds=self.bounds or None)
        self.histograms = ComparisonHistograms(choose_binning(sample, restored, columns, self.bounds))
        self.events = EventHistograms(events) if events else None
        self.latent = None if latents is None else LatentHistograms(LatentBinning.choose(latents, sample))

    def fill(self, original: ak.Array, start: int, stop: int) -> None:
        restored = self.read(start, stop)
        self.sums.fill(original, restored)
        self.histograms.fill(original, restored)
        if self.events is not None:
            self.events.fill(original, restored)
        if self.latent is not None:
            self.latent.fill(self.latents(start, stop), original)

    def counted(self, before: _Jets) -> Counted:
        """What was found so far."""
        coded = self.columns_beside(before)
        return Counted(
            self.name,
            self.sums.result(),
            self.histograms,
            self.bounds,
            self.events,
            self.latent,
            (before.stored_bytes(coded), self.stored_bytes(coded)),
        )

    def columns_beside(self, before: _Jets) -> tuple[str, ...]:
        """Columns that were coded or, of a restored file, that both have."""
        if isinstance(self.file, CompressedFile):
            return self.file.coded(self.collection)
        return tuple(name for name in before.collection.column_names if self.file.has(name))

    def stored_bytes(self, coded: Sequence[str]) -> dict[str, int]:
        """Bytes of the coded columns, by what is known to take them."""
        if isinstance(self.file, _Jets):
            return self.file.stored_bytes(coded)
        return stored_bytes(self.file, self.collection)

    def facts(self) -> dict[str, str]:
        """What the page tells of it."""
        if isinstance(self.file, _Jets):
            return {"codec": "none: a restored file, which does not know its bounds"}
        header = self.file.header
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
    """One collection, compared: the original, its versions, and what was counted of each."""

    before: _Jets
    versions: list[_Version]
    counted: list[Counted]


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
                _Version(called, path, _jets(file, name), name)
                for called, path, file in zip(version_names, paths, files, strict=True)
            ]
            done = source.num_entries * number, source.num_entries * len(chosen)
            update = None if progress is None else _after(progress, *done)
            compared.append(_compare(source, name, beside, step_size, update))
        metrics_of = [_metrics(original, compared, i) for i in range(len(paths))]
    metrics: dict[str, Any] = metrics_of[0]
    if len(paths) > 1:
        named = zip(paths, metrics_of, strict=True)
        metrics = {"versions": [{"file": str(path), **numbers} for path, numbers in named]}
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {output}: {error.strerror}") from None
    gallery = _Gallery(output, style)
    for one in compared:
        gallery.prefix = f"{one.before.collection.name}." if len(compared) > 1 else ""
        _draw(gallery, one.counted, resolution or _default_resolution())
    page = output / "report.html" if report else None
    if page is not None:
        sizes = [numbers["bytes"] for numbers in metrics_of]
        text = _page(original, compared, sizes, gallery.shown).render()
        with atomic_output(page, force=True) as temporary:  # with its metrics.json, which was asked for above
            temporary.write_bytes(text.encode("utf-8", "replace"))
    with atomic_output(output / "metrics.json", force=force) as temporary:
        temporary.write_text(json.dumps(metrics, indent=2) + "\n")
    return ComparisonResult(metrics, gallery.files, page)


def stored_bytes(file: CompressedFile, collection: str) -> dict[str, int]:
    """Bytes of a collection in a compressed file, by what is known to take them."""
    payload = file.payload_bytes(collection)
    return file.latent_bytes(collection) | ({"payload": payload} if payload else {})


def columns_to_compare(
    original: ak.Array, restored: ak.Array, coded: Sequence[str] | None
) -> tuple[str, ...]:
    """Columns that are compared: the four-momentum, and those that were coded; all of both where that is not known."""
    shared = compared_columns(original, restored)
    return (
        shared if coded is None else tuple(name for name in shared if name in {*kinematics.MOMENTUM, *coded})
    )


def choose_binning(
    original: ak.Array, restored: ak.Array, columns: Sequence[str], bounds: Mapping[str, Bound]
) -> Binning:
    """Binning that fits the first jets and the bounds."""
    known = {name: _bound_line(name, bound) for name, bound in bounds.items()}
    reached = {name: bound for name, bound in known.items() if bound is not None}
    return Binning.choose(original, restored, columns, bounds=reached)


def _promised(file: CompressedFile, collection: str) -> dict[str, Bound]:
    """Bounds of the columns of a collection that a file promises; none where it has latents alone."""
    bounds = file.header["collections"][collection]["bounds"]
    return {name: Bound.parse(text) for name, text in bounds.items()}


def _open(
    stack: ExitStack,
    path: Location,
    tree: str | None,
    collection: str | None,
    unit: str | None,
    columns: Sequence[str] | None,
) -> _Jets:
    source = stack.enter_context(open_source(path, tree=tree, unit=unit))
    return _Jets(source, choose_collection(source, collection), columns)


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


def _jets(file: CompressedFile | Source, collection: str) -> CompressedFile | _Jets:
    if isinstance(file, CompressedFile):
        file.choose(collection)
        return file
    return _Jets(file, choose_collection(file, collection), None)


def _after(progress: Callable[[int, int], None], before: int, total: int) -> Callable[[int], None]:
    """Progress within one collection as progress of all."""
    return lambda done: progress(before + done, total)


def _compare(
    source: Source,
    name: str,
    versions: list[_Version],
    step_size: str | int,
    progress: Callable[[int], None] | None,
) -> _Compared:
    """Read one collection of all files step by step, and count."""
    collection = choose_collection(source, name)
    coded = [version.coded for version in versions]
    columns = None if None in coded else tuple({column for some in coded if some for column in some})
    before = _Jets(source, collection, columns)
    for version in versions:
        _require_same_momentum(before, version)
    stop = min(source.num_entries, BINNING_ENTRIES)
    sample = before.read(0, stop)
    events = EventBinning.choose(sample) if sample.ndim > 1 and len(collection.momentum) == 4 else None
    for version in versions:
        version.begin(sample, stop, events)
    step = source.entries_per_step(step_size)
    if isinstance(step_size, str):
        jets_per_entry = ak.count(sample[sample.fields[0]], axis=None) / stop
        step = min(step, max(1, int(STEP_JETS / max(jets_per_entry, 1e-9))))
    for start, end in steps(source.num_entries, step):
        jets = before.read(start, end)
        for version in versions:
            version.fill(jets, start, end)
        if progress is not None:
            progress(end)
    return _Compared(before, versions, [version.counted(before) for version in versions])


def _require_same_momentum(before: _Jets, version: _Version) -> None:
    """Refuse jets of which one file has a four-momentum and the other has not."""
    after = (
        version.file.collections[version.collection]
        if isinstance(version.file, CompressedFile)
        else version.file.collection
    )
    having = [len(collection.momentum) == 4 for collection in (before.collection, after)]
    if having[0] != having[1]:
        paths = (before.source.path, version.path)
        lacking, has = paths if having[1] else paths[::-1]
        raise InputError(
            f"{lacking} has no mass or E, or no momentum, of {after.name}, and {has} has: compare a file with "
            "what was compressed or restored from it"
        )
    if not {*before.collection.column_names} & {*after.column_names} and not having[0]:
        raise InputError(f"{before.source.path} and {version.path} have no column of {after.name} in common")


def _metrics(original: Location, compared: Sequence[_Compared], version: int) -> dict[str, Any]:
    """Content of metrics.json for one version: of one collection by column, of several by ``Collection.column``."""
    results = [one.counted[version].residuals for one in compared]
    prefixes = [f"{one.before.collection.name}." if len(compared) > 1 else "" for one in compared]
    jets = sum(result.jets for result in results)
    stored = [one.counted[version].stored or ({}, {}) for one in compared]
    before, after = (sum(sum(sizes[i].values()) for sizes in stored) for i in (0, 1))
    return {
        "jets": jets,
        "events": results[0].events,
        "columns": {
            prefix + name: result[name].to_dict()
            for prefix, result in zip(prefixes, results, strict=True)
            for name in result
        },
        "bytes": {
            "file_original": original.stat().st_size,
            "file_compressed": compared[0].versions[version].path.stat().st_size,
            "original": before,
            "compressed": after,
            "per_jet": after / jets if jets else None,
            "ratio": before / after if after else None,
        },
    }


def _default_resolution() -> JetEnergyResolution:
    from hepae import samples
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
    for i, version in enumerate(compared[0].versions):
        told: dict[str, str] = {}
        for one in compared:
            prefix = f"{one.before.collection.name}: " if len(compared) > 1 else ""
            told |= {
                (name if name in ("codec", "written by", "model SHA-256") else prefix + name): text
                for name, text in one.versions[i].facts().items()
            }
        files.append(ComparedFile(version.name, str(version.path), *_size_and_hash(version.path), told))
        for one in compared:
            prefix = f"{one.before.collection.name}." if len(compared) > 1 else ""
            bounds, numbers = one.counted[i].bounds, one.counted[i].residuals
            columns += [
                ComparedColumn(
                    prefix + name,
                    version.name,
                    str(bounds[name]) if name in bounds else None,
                    numbers[name],
                    jets=numbers.jets,
                    relative=name in RELATIVE,
                )
                for name in numbers
            ]
    by_version = dict(zip((version.name for version in compared[0].versions), sizes, strict=True))
    counted = [one.counted[0].residuals for one in compared]
    return Page(sum(of.jets for of in counted), counted[0].events, files, columns, by_version, figures)


def _size_and_hash(path: Location) -> tuple[int, str]:
    with path.open("rb") as file:
        return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()


class _Gallery:
    """Figures that were drawn, in order, each saved as PNG and PDF."""

    def __init__(self, folder: Path, style: Style):
        self.folder, self.style = folder, style
        self.files: list[Path] = []
        self.shown: list[Shown] = []
        self.prefix = ""
        self._stems: set[str] = set()

    def add(self, stem: str, figure: Any, section: str, title: str, alt: str) -> None:
        from hepae.validation import plotting
        from hepae.validation.report import Shown

        stem = (self.prefix + stem).replace("/", "_").replace(" ", "_")
        while stem in self._stems:  # a column may be called as another figure is
            stem += "_"
        self._stems.add(stem)
        written = plotting.save(figure, self.folder / stem)
        self.files += written
        self.shown.append(Shown(self.prefix + section, self.prefix + title, alt, written[0]))


def draw(
    versions: Sequence[Counted], folder: Path, style: Style, resolution: JetEnergyResolution | None = None
) -> list[Path]:
    """Draw all figures of one collection and save them in a folder.

    Parameters
    ----------
    versions
        What was counted of each version, all of them of the same jets.
    folder
        Where they are saved, as PNG and PDF.
    style, resolution
        As in `compare_files`.
    """
    gallery = _Gallery(folder, style)
    _draw(gallery, versions, resolution or _default_resolution())
    return gallery.files


def _draw(gallery: _Gallery, versions: Sequence[Counted], resolution: JetEnergyResolution) -> None:
    for name in dict.fromkeys(name for version in versions for name in version.histograms.original):
        having = [version for version in versions if name in version.histograms.original]
        found = [version.residuals[name] for version in having]
        changed = any(numbers.max_abs or numbers.non_finite for numbers in found)
        if not changed and name not in kinematics.MOMENTUM:
            continue  # a column that came back exactly, as integers do, has nothing to show
        _draw_column(gallery, name, having, resolution)
    _draw_events(gallery, versions)
    for version in versions:
        _draw_matrices(gallery, version, len(versions) > 1)
    _draw_bytes(gallery, versions)


def _draw_column(
    gallery: _Gallery, name: str, versions: Sequence[Counted], resolution: JetEnergyResolution
) -> None:
    from hepae.validation import plotting

    first = versions[0].histograms
    spectra = {literal(version.name): version.histograms.restored[name] for version in versions}
    figure = plotting.comparison(first.original[name], spectra, style=gallery.style)
    alt = (
        f"Spectrum of {name} of original and restored jets, the ratio of each bin, and its change over its "
        "statistical error."
    )
    gallery.add(name, figure, name, f"{name}: original and restored", alt)
    # One panel a version, each on its own scale: a small residual beside a large one is a spike.
    panels = plotting.panels(len(versions))
    for panel, version in zip(panels, versions, strict=True):
        bound = version.bounds.get(name)
        plotting.residual(
            version.histograms.residual[name],
            version.residuals[name],
            bound=_bound_line(name, bound),
            bound_text=_bound_text(name, bound),
            title="" if len(versions) == 1 else literal(version.name),
            style=gallery.style,
            axes=panel,
        )
    alt = "; ".join(_residual_alt(version, name) for version in versions)
    gallery.add(f"{name}_residual", panels[0].get_figure(), name, f"{name}: residual", alt)
    for other in ("pt", "eta"):
        profiles = {
            literal(version.name): version.histograms.against[name, other]
            for version in versions
            if (name, other) in version.histograms.against
        }
        if not profiles:
            continue
        bounds = {version.bounds.get(name) for version in versions}
        figure = plotting.response(
            profiles,
            bound=_bound_curve(name, other, bounds.pop()) if len(bounds) == 1 else None,
            references=_references(name, other, first, resolution),
            style=gallery.style,
        )
        alt = (
            f"Median and central 68 % of the residual of {name} in bins of the original {other}, and half the width "
            "of that band."
        )
        gallery.add(f"{name}_against_{other}", figure, name, f"{name}: residual against {other}", alt)


def _residual_alt(version: Counted, name: str) -> str:
    of = version.residuals[name]
    told = ", ".join(
        f"{what} {value:.2g}"
        for what, value in (("mean", of.mean), ("standard deviation", of.std), ("68 % within", of.p68))
        if value is not None
    )
    beyond = "" if of.violations is None else f"; {of.violations} beyond the bound {version.bounds[name]}"
    return f"Residual of {name}, {version.name}: {told or 'no finite residual'}{beyond}"


def _bound_line(name: str, bound: Bound | None) -> float | None:
    """Where a bound is drawn over a column's residual; of a sum the relative part, which jets may pass by the other."""
    if bound is None or bound.exact:
        return None
    if name in RELATIVE:
        return bound.relative or None
    return None if bound.relative else bound.in_unit("GeV").absolute


def _constant_bound(name: str, bound: Bound | None) -> float | None:
    """Bound of a column's residual where it is the same for every jet."""
    return None if bound is None or (bound.relative and bound.absolute) else _bound_line(name, bound)


def _bound_text(name: str, bound: Bound | None) -> str:
    """How a bound is written where its line does not say all of it."""
    if bound is None or _constant_bound(name, bound) is not None:
        return ""
    if _bound_line(name, bound) is None:
        return str(bound)
    return f"{replace(bound, absolute=0.0, unit='')} (+ {f'{bound.absolute:g} {bound.unit}'.strip()})"


def _bound_curve(name: str, other: str, bound: Bound | None) -> Curve | None:
    """Bound of a column's residual as a function of pt or eta, where it is one."""
    if bound is not None and not bound.exact and name == other == "pt":
        return lambda pt: bound.allowed(pt) / pt
    largest = _constant_bound(name, bound)
    return None if largest is None else lambda _: largest


def _references(
    name: str, other: str, histograms: ComparisonHistograms, resolution: JetEnergyResolution
) -> dict[str, Curve]:
    """Jet energy resolution beside the residual of pt; against eta, that of the median pt."""
    if name != "pt":
        return {}
    if other == "pt":
        return {resolution.name: resolution}
    spectrum = histograms.original["pt"]
    reached = spectrum.values().cumsum()
    if not reached[-1] > 0:  # of weights that are negative, too
        return {}
    median = spectrum.axes[0].centers[(reached >= reached[-1] / 2).argmax()]
    return {f"{resolution.name}, at {median:.2g} GeV": lambda _: resolution(median)}


def _draw_events(gallery: _Gallery, versions: Sequence[Counted]) -> None:
    from hepae.validation import plotting

    counted = {literal(version.name): version.events for version in versions if version.events is not None}
    if not counted:
        return
    first = next(iter(counted.values()))
    titles = {
        "multiplicity": "Jets an event",
        "leading_pt": "Leading jet's pt",
        "dijet_mass": "Mass of the two leading jets",
    }
    for name, title in titles.items():
        figure = plotting.comparison(
            first.pairs[name].original,
            {version: events.pairs[name].restored for version, events in counted.items()},
            style=gallery.style,
        )
        alt = f"{title} in original and restored events, the ratio of each bin, and its change over its statistical error."
        gallery.add(name, figure, "Events", title, alt)
    flows = {version: events.cut_flow for version, events in counted.items()}
    last = first.cut_flow[-1, :].values()
    alt = (
        f"Events that pass each of {len(first.cut_flow.axes[0])} cuts; at the last, {last[0]:g} original and "
        f"{last[1]:g} restored events, {last[2]:g} of them the same."
    )
    gallery.add("cut_flow", plotting.cut_flow(flows, style=gallery.style), "Events", "Cut-flow", alt)


def _draw_matrices(gallery: _Gallery, version: Counted, several: bool) -> None:
    from hepae.validation import plotting

    suffix, whose = (f"_{version.name}", f", {version.name}") if several else ("", "")
    of = version.histograms
    if of.correlation:
        residuals = {name: of.residual[name] for name in PROFILED if name in of.residual}
        figure = plotting.correlations(residuals, of.correlation, style=gallery.style)
        alt = f"Residuals of {', '.join(residuals)} against each other, as a matrix, with their correlation coefficients."
        gallery.add(
            f"correlations{suffix}", figure, "All columns", f"Residuals against each other{whose}", alt
        )
    if of.largest:
        panels = plotting.panels(len(of.largest))
        for panel, (name, histogram) in zip(panels, of.largest.items(), strict=True):
            plotting.largest(
                histogram,
                unit=residual_unit(name),
                bound=_constant_bound(name, version.bounds.get(name)),
                style=gallery.style,
                axes=panel,
            )
        alt = f"Maps of the largest residual of {', '.join(of.largest)} over eta and phi."
        gallery.add(
            f"largest{suffix}",
            panels[0].get_figure(),
            "All columns",
            f"Largest residuals over eta and phi{whose}",
            alt,
        )
    if version.latents is not None:
        figure = plotting.latents(version.latents.single, version.latents.pairs, style=gallery.style)
        alt = "Each latent, and each pair of latents coloured by the mean logarithm of the jets' pt."
        gallery.add(f"latents{suffix}", figure, "Latents and bytes", f"Latents{whose}", alt)


def _draw_bytes(gallery: _Gallery, versions: Sequence[Counted]) -> None:
    from hepae.validation import plotting

    jets = versions[0].residuals.jets
    bars = {literal(version.name): version.stored for version in versions if version.stored is not None}
    if not jets or not bars:
        return
    before = {part: size for sizes, _ in bars.values() for part, size in sizes.items()}
    after = {name: sizes for name, (_, sizes) in bars.items()}
    if len(versions) == 1:
        (sizes,) = after.values()
        after = {"Restored" if sizes.keys() == before.keys() else "Compressed": sizes}
    per_jet = {
        name: {literal(part): size / jets for part, size in sizes.items()}
        for name, sizes in {ORIGINAL: before, **after}.items()
    }
    alt = "; ".join(f"{name}: {sum(parts.values()):.2f} bytes a jet" for name, parts in per_jet.items())
    figure = plotting.stored_bytes(per_jet, style=gallery.style)
    gallery.add("bytes", figure, "Latents and bytes", "Bytes of the coded columns", alt)
