"""Verification of compressed datasets as a coffea job: the certificate of ``hepae verify``, a dataset at a time."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coffea.processor import ProcessorABC

from hepae.bounds import Bounds
from hepae.errors import InputError
from hepae.files.compressed import CompressedFile
from hepae.io.locations import locate
from hepae.io.outputs import atomic_output
from hepae.io.readers import open_source
from hepae.io.sources import STEP_SIZE
from hepae.processors.compression import file_names, files_of
from hepae.processors.executors import decoding
from hepae.verification.certificate import VerifiedFile
from hepae.verification.findings import Findings
from hepae.verification.other_content import OtherContent
from hepae.verification.verify import Plan, open_version, view_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hepae.bounds import Bound, Edges
    from hepae.processors.compression import Fileset
    from hepae.verification.certificate import Certificate


@dataclass(frozen=True)
class _Dataset:
    """What is verified of a dataset."""

    name: str
    """Of the file with its certificate."""
    version: Path
    plan: Plan
    unit: str | None
    offsets: dict[str, tuple[str, int]]
    """Tree of each file, and the entry of the version at which the file begins."""
    entries: int


class VerificationProcessor(ProcessorABC):  # type: ignore[misc]  # coffea has no types
    """Check that compressed or restored files lost nothing of a fileset beyond their bounds.

    The job runs over the original files and compares the events of each chunk. When it is done, the client compares names,
    other trees and objects. The certificate of a dataset is the same as that of `hepae.verify`.

    Parameters
    ----------
    fileset, treename
        The fileset and tree name of the job.
    versions
        The compressed or restored file of each dataset.
    output
        Folder for the certificates, ``DATASET.json``; without it none are written.
    bounds, edges, accept_left_out, collection, unit
        As for `hepae.verify`.

    Raises
    ------
    InputError
        If a file is missing, or two datasets would get the same file name.
    """

    def __init__(
        self,
        fileset: Fileset,
        versions: Mapping[str, str | Path],
        *,
        output: str | Path | None = None,
        treename: str | None = None,
        bounds: Mapping[str, Bound | str | float] | None = None,
        edges: Mapping[str, Edges | str | float | Iterable[float]] | None = None,
        accept_left_out: bool = False,
        collection: str | None = None,
        unit: str | None = None,
    ):
        self.output = None if output is None else Path(output)
        asked = Bounds.parse(bounds or {}, edges or {})
        files = files_of(fileset, treename)
        names = file_names(files)
        self.datasets: dict[str, _Dataset] = {}
        for dataset, trees in files.items():
            if dataset not in versions:
                raise InputError(
                    f"no version of the dataset {dataset}: there is one for {', '.join(versions)}"
                )
            version = Path(versions[dataset]).absolute()
            offsets, total, plan = {}, 0, None
            with open_version(version, unit=unit) as after:
                own = after.original_unit(unit) if isinstance(after, CompressedFile) else unit
                for file, tree in trees.items():
                    with open_source(locate(file), tree=tree, unit=own) as source:
                        plan = plan or Plan.of(
                            after, source, asked, collection, accept_left_out=accept_left_out
                        )
                        offsets[file] = tree, total
                        total += source.num_entries
            if plan is None:
                raise InputError(f"the dataset {dataset} has no files")
            self.datasets[dataset] = _Dataset(names[dataset], version, plan, own, offsets, total)

    def process(self, events: Any) -> dict[str, Findings]:
        """Compare one chunk.

        Returns
        -------
        dict
            By dataset, what was found.
        """
        chunk = events.metadata
        dataset = self.datasets[chunk["dataset"]]
        tree, first = dataset.offsets[chunk["filename"]]
        start, stop = int(chunk["entrystart"]), int(chunk["entrystop"])
        with (
            open_source(locate(chunk["filename"]), tree=tree, unit=dataset.unit) as source,
            open_version(dataset.version, unit=dataset.unit) as after,
        ):
            view = view_of(after)
            checker = dataset.plan.checker(source, view, first)
            stop = min(stop, view.num_entries - first)
            if stop <= start:  # the version ends before
                return {chunk["dataset"]: Findings()}
            if not isinstance(after, CompressedFile):
                return {chunk["dataset"]: checker.check(start, stop)}
            with decoding(after):
                return {chunk["dataset"]: checker.check(start, stop)}

    def postprocess(self, accumulator: dict[str, Findings]) -> dict[str, Certificate]:
        """Compare what is in no chunk, and write the certificates, on the client.

        Raises
        ------
        InputError
            If chunks are missing.
        OutputError
            If the output cannot be written.
        """
        certificates = {}
        for name, dataset in self.datasets.items():
            found = accumulator.get(name, Findings())
            with open_version(dataset.version, unit=dataset.unit) as after:
                view, rest, originals = view_of(after), OtherContent.of(after, dataset.plan.accepted), []
                if found.events != min(dataset.entries, view.num_entries):
                    raise InputError(
                        f"{found.events} of {dataset.entries} events of {name} were verified: run the job again, without skipping "
                        "files"
                    )
                for file, (tree, first) in dataset.offsets.items():
                    with open_source(locate(file), tree=tree, unit=dataset.unit) as source:
                        found += dataset.plan.checker(source, view, first).pair.findings
                        rest.compare(source, STEP_SIZE)
                        originals.append(VerifiedFile.of(source.path))
                rest.finish(dataset.entries, view.num_entries)
                certificate = dataset.plan.certificate(
                    tuple(originals), VerifiedFile.of(locate(dataset.version)), after, found, rest
                )
            certificates[name] = certificate
            if self.output is not None:
                self.output.mkdir(parents=True, exist_ok=True)
                with atomic_output(self.output / f"{dataset.name}.json", force=True) as temporary:
                    text = json.dumps(certificate.to_json(), indent=2, ensure_ascii=False)
                    temporary.write_text(text + "\n", encoding="utf-8")
        return certificates
