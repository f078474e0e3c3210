"""Compare the jets of a fileset with those that its compressed files give back, as a coffea job.

    python analysis/validate_dataset.py fileset.json compressed/fileset.json -o plots --executor futures --workers 8

Numbers and figures are those of ``hepae compare``, one folder a dataset.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import jobs
from coffea.nanoevents import BaseSchema

from hepae.processors import ValidationProcessor
from hepae.validation.canvas import Style


@click.command()
@click.argument("fileset", type=jobs.Fileset())
@click.argument("compressed", type=jobs.Fileset())
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Folder of numbers and figures; none are written without.",
)
@click.option("--weight", metavar="BRANCH", help="Weight of each event or jet, such as genWeight.")
@click.option("--collection", metavar="NAME", help="Which jets, where the tree has several collections.")
@click.option(
    "--unit", type=click.Choice(["MeV", "GeV"]), help="Of pt, mass and E, where names and values do not tell."
)
@click.option("--label", default="", help="Written into the figures' corner.")
@jobs.options
def main(
    fileset: dict[str, Any],
    compressed: dict[str, Any],
    output: Path | None,
    weight: str | None,
    collection: str | None,
    unit: str | None,
    label: str,
    tree: str | None,
    **execution: Any,
) -> None:
    """Compare the jets of FILESET with those of COMPRESSED, which has one file a dataset."""
    with jobs.running(**execution, tree=tree) as run:
        versions = jobs.one_file_each(compressed)
        job = ValidationProcessor(
            fileset,
            versions,
            output=output,
            treename=tree,
            collection=collection,
            unit=unit,
            weight=weight,
            style=Style(label=label),
        )
        validated = run(fileset, job, BaseSchema)
        for dataset, found in sorted(validated.items()):
            residuals = found.sums.result()
            click.echo(f"{dataset}: {residuals.jets} jets in {residuals.events} events")
            for name in residuals:
                numbers = residuals[name]
                if numbers.max_abs is None or numbers.p68 is None:
                    click.echo(f"  {name}: no jet that can be compared")
                    continue
                kept = "" if numbers.violations is None else f", {numbers.violations} beyond their bound"
                click.echo(
                    f"  {name}: largest change {numbers.max_abs:.4g} {numbers.unit}, 68 % within {numbers.p68:.3g}{kept}"
                )


if __name__ == "__main__":
    main()
