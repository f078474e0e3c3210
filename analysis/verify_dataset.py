"""Verify that the compressed files of a fileset hold all of it, but for what their bounds allow, as a coffea job.

    python analysis/verify_dataset.py fileset.json compressed/fileset.json -o certificates --executor futures --workers 8

The certificate of a dataset is that of ``hepae verify``. The exit status is 1 if anything is lost.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import jobs
from coffea.nanoevents import BaseSchema

from hepae.processors import VerificationProcessor


@click.command()
@click.argument("fileset", type=jobs.Fileset())
@click.argument("compressed", type=jobs.Fileset())
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Folder for the certificates, DATASET.json; none are written without.",
)
@click.option("--accept-left-out", is_flag=True, help="Accept that what was left out on request is lost.")
@jobs.options
def main(
    fileset: dict[str, Any],
    compressed: dict[str, Any],
    output: Path | None,
    accept_left_out: bool,
    tree: str | None,
    **execution: Any,
) -> None:
    """Verify FILESET against COMPRESSED, which has one compressed or restored file a dataset."""
    with jobs.running(**execution, tree=tree) as run:
        versions = jobs.one_file_each(compressed)
        job = VerificationProcessor(
            fileset, versions, output=output, treename=tree, accept_left_out=accept_left_out
        )
        certificates = run(fileset, job, BaseSchema)
    for dataset, certificate in sorted(certificates.items()):
        click.echo(f"{dataset}: {certificate.findings.events} events: {certificate.verdict}")
        for line in certificate.broken:
            click.echo(f"  broken: {line}")
    if not all(certificate.ok for certificate in certificates.values()):
        raise click.exceptions.Exit(1)


if __name__ == "__main__":
    main()
