"""Validation of compressed datasets as a coffea job: the numbers and figures of ``hepae compare``."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
from coffea.processor import ProcessorABC

from hepae.comparison import default_resolution
from hepae.errors import InputError
from hepae.files.compressed import CompressedFile
from hepae.io.locations import locate
from hepae.io.outputs import output_folder
from hepae.io.readers import choose_collection, open_source
from hepae.processors.compression import file_names, files_of
from hepae.processors.executors import decoding
from hepae.validation.counts import BINNING_ENTRIES, Counts, Scheme, Version, metrics
from hepae.versions import StoredJets

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hepae.processors.compression import Fileset
    from hepae.validation.canvas import Style


@dataclass(frozen=True)
class _Dataset:
    """What is compared of a dataset, chosen once from its first entries."""

    folder: str
    version: Path
    collection: str
    coded: tuple[str, ...]
    unit: str
    scheme: Scheme
    offsets: dict[str, int]
    """Entry of the compressed file at which each file of the dataset begins."""
    entries: int
    file_bytes: tuple[int, int]
    """Of the whole files, before and after."""
    stored: tuple[dict[str, int], dict[str, int]]
    """Bytes of the coded columns by what takes them, before and after."""
    layout: str


class ValidationProcessor(ProcessorABC):  # type: ignore[misc]  # coffea has no types
    """Compare the original jets of a fileset with those that its compressed files give back.

    The job runs over the original files. Its histograms and residuals are exactly those of ``hepae compare``, in whatever order and
    chunks the files are read. Sums of weights may differ in the last bits of a double, unless all weights have the same size.

    Parameters
    ----------
    fileset, treename
        The fileset and tree name of the job.
    versions
        The compressed file of each dataset, as `hepae.processors.merge` gives it.
    output
        Folder for ``DATASET/metrics.json`` and the figures, written at the end of the job; without it nothing is written.
    collection
        As for `hepae.read_jets`.
    unit
        Unit of the energies in the files, MeV or GeV; by default the unit in which they were compressed.
    weight
        Branch with the weight of each event, such as genWeight, or of each jet. It is used for spectra (those of events need a
        weight of each event); residuals count every jet once.
    style
        Label in the corner of the figures.

    Raises
    ------
    InputError
        If a file is missing, a compressed file has other events than its dataset, or two datasets would get the same file name.
    """

    def __init__(
        self,
        fileset: Fileset,
        versions: Mapping[str, str | Path],
        *,
        output: str | Path | None = None,
        treename: str | None = None,
        collection: str | None = None,
        unit: str | None = None,
        weight: str | None = None,
        style: Style | None = None,
    ):
        self.output = None if output is None else Path(output)
        self.unit, self.weight, self.style = unit, weight, style
        files = files_of(fileset, treename)
        folders = file_names(files)
        self.datasets = {}
        for name in files:
            if name not in versions:
                raise InputError(
                    f"no compressed file for the dataset {name}: there is one for {', '.join(versions)}"
                )
            version = Path(versions[name]).absolute()
            self.datasets[name] = self._plan(folders[name], files[name], version, collection)

    def _plan(self, folder: str, files: Mapping[str, str], version: Path, collection: str | None) -> _Dataset:
        with CompressedFile(version) as after:
            collection = after.choose(collection)
            coded = after.coded(collection)
            unit = after.original_unit(self.unit)
            offsets, total, layout = {}, 0, ""
            sample, stored, left = [], [], BINNING_ENTRIES
            for file, tree in files.items():
                with self._open(file, tree, collection, coded, unit) as jets:
                    if self.weight is not None and self.weight not in jets.source.branches:
                        raise InputError(f"no branch {self.weight!r} for the weights in {file}")
                    offsets[file] = total
                    total += jets.source.num_entries
                    sample.append(jets.read(0, min(left, jets.source.num_entries)))
                    left -= len(sample[-1])
                    stored.append(jets.stored_bytes(coded))
                    layout = jets.source.layout.name
            if total != after.num_entries:
                raise InputError(
                    f"the files of the dataset have {total} events and {version} {after.num_entries}: these are not the same jets"
                )
            first = ak.concatenate(sample)
            with decoding(after):
                restored = after.jets(0, len(first), collection=collection)
            latents = after.latents(0, len(first), collection=collection)
            return _Dataset(
                folder,
                version,
                collection,
                coded,
                unit,
                Scheme.choose(first, restored, latents, coded=coded, bounds=after.bounds(collection)),
                offsets,
                total,
                (sum(locate(file).stat().st_size for file in files), version.stat().st_size),
                (
                    {name: sum(sizes[name] for sizes in stored) for name in coded},
                    after.stored_bytes(collection),
                ),
                layout,
            )

    @contextmanager
    def _open(
        self, file: str, tree: str, collection: str, coded: Sequence[str], unit: str
    ) -> Iterator[StoredJets]:
        with open_source(locate(file), tree=tree, unit=unit) as source:
            yield StoredJets(source, choose_collection(source, collection), coded)

    def process(self, events: Any) -> dict[str, Counts]:
        """Compare one chunk.

        Returns
        -------
        dict
            By dataset, what was counted.
        """
        chunk = events.metadata
        dataset = self.datasets[chunk["dataset"]]
        start, stop = int(chunk["entrystart"]), int(chunk["entrystop"])
        first = dataset.offsets[chunk["filename"]]
        which = (dataset.collection, dataset.coded, dataset.unit)
        with self._open(chunk["filename"], chunk["treename"], *which) as before:
            original = before.read(start, stop)
            weight = None
            if self.weight is not None:
                weight = before.source.arrays([self.weight], start, stop)[self.weight]
        with CompressedFile(dataset.version) as after, decoding(after):
            restored = after.jets(first + start, first + stop, collection=dataset.collection)
            latents = after.latents(first + start, first + stop, collection=dataset.collection)
            bounds = after.bounds_by_events(first + start, first + stop, collection=dataset.collection)
        counts = Counts.of(dataset.scheme)
        counts.fill(original, restored, latents, weight, promised=bounds)
        return {chunk["dataset"]: counts}

    def postprocess(self, accumulator: dict[str, Counts]) -> dict[str, Counts]:
        """Write numbers and figures, on the client.

        Raises
        ------
        InputError
            If chunks are missing.
        OutputError
            If the output cannot be written.
        """
        for name, dataset in self.datasets.items():
            done = accumulator[name].sums.events if name in accumulator else 0
            if done != dataset.entries:
                raise InputError(
                    f"{done} of {dataset.entries} events of {name} were compared: run the job again, without skipping files"
                )
        if self.output is not None:
            for name, counts in accumulator.items():
                dataset = self.datasets[name]
                self._write(self.output / dataset.folder, dataset, counts)
        return accumulator

    def _write(self, folder: Path, dataset: _Dataset, counts: Counts) -> None:
        from hepae.validation.canvas import Style
        from hepae.validation.gallery import Gallery

        version = Version("Restored", counts, dataset.stored)
        found = metrics({"": version}, *dataset.file_bytes)
        with output_folder(folder, marker="metrics.json", force=True) as temporary:
            Gallery(temporary, self.style or Style(), default_resolution(dataset.layout)).draw([version])
            (temporary / "metrics.json").write_text(json.dumps(found, indent=2) + "\n")
