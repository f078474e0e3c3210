"""The command that compares files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

import click

from hepae import summaries, terminal
from hepae.cli.notes import note
from hepae.cli.options import PATH, force_option, quiet_option, tree_option, unit_option
from hepae.cli.sections import Command

if TYPE_CHECKING:
    from pathlib import Path


@click.command(cls=Command)
@click.argument("original")
@click.argument("versions", nargs=-1, required=True, metavar="COMPRESSED_OR_RESTORED...")
@click.option("-o", "--output", required=True, type=PATH, help="Folder for metrics.json and the figures.")
@click.option(
    "--report",
    is_flag=True,
    help="Also write report.html, a single page with the certificate of verify, tables and figures.",
)
@click.option(
    "--all-figures",
    "figures",
    flag_value="all",
    default="main",
    help="Draw every column that changed.  [default: the four-momentum and the columns that changed most]",
)
@click.option("--json", "as_json", is_flag=True, help="Also print metrics.json.")
@click.option(
    "--experiment",
    type=click.Choice(["", "ATLAS", "CMS"]),
    default="",
    help="Experiment that the figures name.  [default: none]",
)
@click.option("--label", default="", help="Text after the experiment's name, such as Internal or Simulation.")
@click.option("--com", type=float, help="Centre-of-mass energy in TeV, for the label.")
@click.option("--lumi", type=float, help="Integrated luminosity in fb⁻¹, for the label.")
@tree_option
@click.option(
    "--collection",
    multiple=True,
    metavar="NAME",
    help="Collection to compare, or a pattern such as '*'. Repeat it for several.  [default: all that the first compressed file coded]",
)
@unit_option
@force_option
@quiet_option
def compare(
    original: str,
    versions: tuple[str, ...],
    output: Path,
    as_json: bool,
    experiment: Literal["", "ATLAS", "CMS"],
    label: str,
    com: float | None,
    lumi: float | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Draw what compression changed: residuals, spectra, bytes.

    Compares the jets of ORIGINAL with those of one or more COMPRESSED_OR_RESTORED files.

    \b
    For example:
      hepae compare jets.root small.root -o comparison --report
    """  # noqa: D301  # \b tells click not to wrap what follows
    from hepae.comparison import compare_files
    from hepae.validation.canvas import Style

    style = Style(experiment=experiment, label=label, com=com, lumi=lumi)
    with terminal.progress(quiet, "comparing", "events") as update:
        result = compare_files(original, versions, output, style=style, progress=update, **options)
    if not quiet:
        for text in result.notes:
            note(text)
    if as_json:
        click.echo(json.dumps(result.metrics, indent=2))
        return
    several = result.metrics.get("versions", [{"file": versions[0], **result.metrics}])
    for metrics in several:
        summaries.print_comparison(f"{metrics['file']} − {original}", metrics)
    page = "report.html, " if result.report else ""
    click.echo(f"{output}: {page}metrics.json and {len(result.figures) // 2} figures as PNG and PDF")
    if result.without_figure:
        click.echo(f"{result.without_figure} columns that changed have no figure; --all-figures draws them")
