"""What the page of a comparison tells: certificates, columns, bytes and figures, put together for `hepae.validation.report`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hepae import kinematics
from hepae.validation.counts import ORIGINAL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hepae.resolution.beside import CollectionBesideResolution
    from hepae.validation.counts import Version
    from hepae.validation.report import CertifiedColumn, CertifiedFile, ComparedColumn, Page, PartBytes, Shown
    from hepae.verification.certificate import Certificate
    from hepae.verification.findings import ColumnFindings
    from hepae.versions import StoredJets, VersionJets

MOST_BROKEN = 20
"""Lines of what broke that the page shows of a version; ``hepae verify`` prints the others."""


@dataclass(frozen=True)
class Compared:
    """One collection, compared: the original, the files beside it, and what was found of each."""

    prefix: str
    """What the names of its columns and figures begin with, where there are several."""
    before: StoredJets
    files: list[VersionJets]
    versions: list[Version]
    resolutions: list[CollectionBesideResolution]


def page(
    compared: Sequence[Compared],
    certificates: Sequence[Certificate],
    found: Sequence[dict[str, Any]],
    figures: Sequence[Shown],
    without_figure: int,
) -> Page:
    """Put together what the page tells.

    Parameters
    ----------
    compared
        What was found of each collection.
    certificates, found
        Of each version: what `hepae.verification.verify.verify` found, and its metrics.
    figures, without_figure
        As `hepae.validation.report.Page` takes them.
    """
    from hepae.validation.report import ComparedFile, Page

    source = compared[0].before.source
    facts = {
        "format": source.format,
        "layout": source.layout.name,
        "tree": source.tree,
        "collection": ", ".join(one.before.collection.name for one in compared),
    }
    original = certificates[0].originals[0]
    files = [ComparedFile(ORIGINAL, original.path, original.bytes, original.sha256, facts)]
    columns: list[ComparedColumn] = []
    certified: list[CertifiedFile] = []
    parts: list[PartBytes] = []
    for i, (file, certificate) in enumerate(zip(compared[0].files, certificates, strict=True)):
        verified = certificate.version
        files.append(
            ComparedFile(
                file.name,
                verified.path,
                verified.bytes,
                verified.sha256,
                _facts(compared, i),
                file.restored and not certificate.findings.columns,
            )
        )
        certified.append(_certified(file.name, certificate))
        for one in compared:
            columns += _columns(one, i, certificate)
            parts += _parts(one, i)
    names = [file.name for file in compared[0].files]
    sizes = dict(zip(names, (numbers["bytes"] for numbers in found), strict=True))
    counted = [one.versions[0].residuals for one in compared]
    jets = sum(of.jets for of in counted)
    return Page(jets, counted[0].events, files, columns, sizes, figures, without_figure, certified, parts)


def _facts(compared: Sequence[Compared], i: int) -> dict[str, str]:
    """Facts about a version, by subject; with several collections, columns and bounds are in the tables."""
    told: dict[str, str] = {}
    for one in compared:
        prefix = f"{one.before.collection.name}: " if len(compared) > 1 else ""
        told |= {
            (name if name in ("codec", "written by", "model SHA-256") else prefix + name): text
            for name, text in one.files[i].facts().items()
            if not prefix or name not in ("collection", "columns", "bounds")
        }
    return told


def _certified(version: str, certificate: Certificate) -> CertifiedFile:
    """What ``hepae verify`` says of a version."""
    from hepae.validation.report import CertifiedFile

    found = certificate.findings
    told = [
        f"Bounds from: {certificate.promised_by}. Same bit for bit: {len(found.branches) - len(found.differing)} branches that "
        f"were not coded, {certificate.objects} objects, {certificate.trees} other trees. Verified {certificate.date}."
    ]
    for collection, changes in found.quantities.items():
        largest = ", ".join(
            f"{name} {changes.largest[name]:.3g}{'' if 'ΔR' in name else ' GeV'}" for name in changes.largest
        )
        told.append(
            f"{collection}, largest changes in an event: {largest}; {changes.other_pair} of {changes.events} events have "
            "another leading pair."
        )
    broken = list(certificate.broken[:MOST_BROKEN])
    if len(certificate.broken) > MOST_BROKEN:
        broken.append(f"and {len(certificate.broken) - MOST_BROKEN} more, which hepae verify lists")
    return CertifiedFile(version, certificate.verdict, [*told, *certificate.notes], broken)


def _columns(one: Compared, i: int, certificate: Certificate) -> Iterator[ComparedColumn]:
    """Columns of a version, with what ``hepae verify`` found of them and the resolution beside their bound."""
    from hepae.validation.report import ColumnResolution, ComparedColumn

    version, bounds = one.versions[i], one.files[i].bound_texts
    verified = certificate.findings.columns.get(one.before.collection.name, {})
    beside = one.resolutions[i].columns
    for name in version.residuals:
        resolution = beside.get(name)
        yield ComparedColumn(
            one.prefix + name,
            version.name,
            bounds.get(name),
            version.residuals[name],
            jets=version.residuals.jets,
            relative=name in kinematics.RELATIVE,
            deviation=version.deviation(name),
            certified=_certified_column(verified[name]) if name in verified else None,
            resolution=ColumnResolution(
                resolution.source,
                resolution.resolution,
                resolution.bound,
                resolution.bound_over_resolution,
                resolution.widening,
            )
            if resolution is not None and resolution.values
            else None,
        )


def _certified_column(found: ColumnFindings) -> CertifiedColumn:
    from hepae.validation.report import CertifiedColumn

    row = found.to_json()
    shifts = row["bin_shifts"]
    return CertifiedColumn(
        found.values,
        found.beyond + found.other_side if found.bounds else None,
        found.edges,
        found.crossed,
        row["largest_error_over_bound"],
        None if shifts is None else shifts["largest_over_error"],
    )


def _parts(one: Compared, i: int) -> Iterator[PartBytes]:
    """Bytes per jet of each column and of each latent."""
    from hepae.validation.report import PartBytes

    version = one.versions[i]
    before, after = version.stored
    jets = max(version.residuals.jets, 1)
    for name in {**before, **after}:
        sizes = (stored[name] / jets if name in stored else None for stored in (before, after))
        yield PartBytes(one.prefix + name, version.name, *sizes)
