"""Validation of compressed datasets as a coffea job: the numbers and figures of ``hepae compare``."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
from coffea.processor import ProcessorABC

from hepae import comparison
from hepae.codecs.compressed import CompressedFile
from hepae.errors import InputError, OutputError
from hepae.io.locations import locate
from hepae.io.writers import atomic_output
from hepae.processors.compression import file_name, files_of
from hepae.processors.executors import decoding
from hepae.validation.histograms import (
    Binning,
    ComparisonHistograms,
    EventBinning,
    EventHistograms,
    LatentBinning,
    LatentHistograms,
)
from hepae.validation.residuals import ResidualSums

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hepae.bounds import Bound
    from hepae.processors.compression import Fileset
    from hepae.validation.plotting import Style


@dataclass(frozen=True)
class Validated:
    """Residuals and histograms of some chunks of a dataset; those of all chunks add up."""

    sums: ResidualSums
    histograms: ComparisonHistograms
    events: EventHistograms | None
    latents: LatentHistograms | None

    def __add__(self, other: Validated) -> Validated:
        return Validated(
            self.sums + other.sums,
            self.histograms + other.histograms,
            self.events + other.events if self.events and other.events else None,
            self.latents + other.latents if self.latents and other.latents else None,
        )


@dataclass(frozen=True)
class _Dataset:
    """What is compared of a dataset, chosen once from its first entries."""

    version: Path
    collection: str
    coded: tuple[str, ...]
    columns: tuple[str, ...]
    bounds: dict[str, Bound]
    offsets: dict[str, int]
    """Entry of the compressed file at which each file of the dataset begins."""
    entries: int
    binning: Binning
    events: EventBinning | None
    latents: LatentBinning | None
    sizes: dict[str, int]
    stored: tuple[dict[str, int], dict[str, int]]
    """Bytes of the coded columns by what takes them, before and after."""


class ValidationProcessor(ProcessorABC):  # type: ignore[misc]  # coffea has no types
    """Compare the original jets of a fileset with those that its compressed files give back.

    The job runs over the original files. The histograms of all its chunks, and the sums for the residuals, add up to those of
    ``hepae compare`` exactly, in whatever order and however the files were cut. Sums of weights do so to the last bits of a double,
    and exactly where the weights differ in nothing but their sign.

    Parameters
    ----------
    fileset, treename
        What the job will run over.
    versions
        The compressed file of each dataset, as `hepae.processors.merge` gives it.
    output
        Folder for ``DATASET/metrics.json`` and the figures, written when the job is done; nothing is drawn without.
    collection, unit
        As for `hepae.read_jets`.
    weight
        Branch with the weight of each event, such as genWeight, or of each jet. Spectra are filled with it, and those of events with
        one of each event alone; residuals, their profiles and matrices count every jet once.
    style
        What is written into the figures' corner.

    Raises
    ------
    InputError
        If a file is missing, or a compressed file has other events than its dataset.
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
        self.datasets = {}
        for name, files in files_of(fileset, treename).items():
            if name not in versions:
                raise InputError(
                    f"no compressed file for the dataset {name}: there is one for {', '.join(versions)}"
                )
            self.datasets[name] = self._plan(files, Path(versions[name]).absolute(), collection)

    def _plan(self, files: Mapping[str, str], version: Path, collection: str | None) -> _Dataset:
        with CompressedFile(version) as after, ExitStack() as stack:
            collection = after.choose(collection)
            coded = after.coded(collection)
            before = [
                comparison._open(stack, locate(file), tree, collection, self.unit, coded)
                for file, tree in files.items()
            ]
            offsets, total = {}, 0
            for file, jets in zip(files, before, strict=True):
                if self.weight is not None and self.weight not in jets.source.branches:
                    raise InputError(f"no branch {self.weight!r} for the weights in {file}")
                offsets[file] = total
                total += jets.source.num_entries
            if total != after.num_entries:
                raise InputError(
                    f"the files of the dataset have {total} events and {version} {after.num_entries}: these are not the same jets"
                )
            sample, left = [], min(total, comparison.BINNING_ENTRIES)
            for jets in before:
                sample.append(jets.read(0, min(left, jets.source.num_entries)))
                left -= len(sample[-1])
            first = ak.concatenate(sample)
            bounds = comparison._promised(after, collection)
            with decoding(after):
                restored = after.jets(0, len(first), collection=collection)
            columns = comparison.columns_to_compare(first, restored, coded)
            binning = comparison.choose_binning(first, restored, columns, bounds)
            events = EventBinning.choose(first) if first.ndim > 1 else None
            latents = after.latents(0, len(first), collection=collection)
            stored_before = [jets.stored_bytes(coded) for jets in before]
            stored = (
                {name: sum(sizes[name] for sizes in stored_before) for name in coded},
                comparison.stored_bytes(after, collection),
            )
            sizes = {
                "file_original": sum(locate(file).stat().st_size for file in files),
                "file_compressed": version.stat().st_size,
                "original": sum(stored[0].values()),
                "compressed": sum(stored[1].values()),
            }
        return _Dataset(
            version,
            collection,
            coded,
            columns,
            bounds,
            offsets,
            total,
            binning,
            events,
            None if latents is None else LatentBinning.choose(latents, first),
            sizes,
            stored,
        )

    def process(self, events: Any) -> dict[str, Validated]:
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
        with ExitStack() as stack:
            before = comparison._open(
                stack,
                locate(chunk["filename"]),
                chunk["treename"],
                dataset.collection,
                self.unit,
                dataset.coded,
            )
            original = before.read(start, stop)
            weight = None
            if self.weight is not None:
                weight = before.source.arrays([self.weight], start, stop)[self.weight]
        with CompressedFile(dataset.version) as after, decoding(after):
            restored = after.jets(first + start, first + stop, collection=dataset.collection)
            latents = after.latents(first + start, first + stop, collection=dataset.collection)
        validated = Validated(
            ResidualSums(dataset.columns, bounds=dataset.bounds or None),
            ComparisonHistograms(dataset.binning),
            EventHistograms(dataset.events) if dataset.events else None,
            LatentHistograms(dataset.latents) if dataset.latents else None,
        )
        validated.sums.fill(original, restored)
        validated.histograms.fill(original, restored, weight)
        if validated.events is not None:
            # A weight of each jet is none of its event.
            of_event = weight if weight is not None and weight.ndim == 1 else None
            validated.events.fill(original, restored, of_event)
        if validated.latents is not None:
            validated.latents.fill(latents, original)
        return {chunk["dataset"]: validated}

    def postprocess(self, accumulator: dict[str, Validated]) -> dict[str, Validated]:
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
            for name, validated in accumulator.items():
                self._write(self.output / file_name(name), self.datasets[name], validated)
        return accumulator

    def _write(self, folder: Path, dataset: _Dataset, validated: Validated) -> None:
        from hepae.validation.plotting import Style

        residuals = validated.sums.result()
        before, after = dataset.sizes["original"], dataset.sizes["compressed"]
        sizes = {
            **dataset.sizes,
            "per_jet": after / residuals.jets if residuals.jets else None,
            "ratio": before / after if after else None,
        }
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make the folder {folder}: {error.strerror}") from None
        counted = comparison.Counted(
            "Restored",
            residuals,
            validated.histograms,
            dataset.bounds,
            validated.events,
            validated.latents,
            dataset.stored,
        )
        comparison.draw([counted], folder, self.style or Style())
        with atomic_output(folder / "metrics.json", force=True) as temporary:
            temporary.write_text(json.dumps({**residuals.to_dict(), "bytes": sizes}, indent=2) + "\n")
