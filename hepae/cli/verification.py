"""The command that verifies a compressed or restored file before its original is deleted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from hepae import terminal
from hepae.cli.notes import note
from hepae.cli.options import asked_bounds, bounds_file_option, quiet_option, tree_option, unit_option
from hepae.cli.sections import Command

if TYPE_CHECKING:
    from pathlib import Path

    from hepae.verification.certificate import Certificate

MOST_LINES = 50
"""Lines of what broke that are printed; ``--json`` has all of them."""


@click.command(cls=Command)
@click.argument("original")
@click.argument("version", metavar="COMPRESSED_OR_RESTORED")
@click.option(
    "--bound",
    "bounds",
    multiple=True,
    metavar="COLUMN=BOUND",
    help="Largest error that you accept, instead of the bound in the file. Needed for latents, which have no bound.",
)
@bounds_file_option
@click.option(
    "--edges",
    multiple=True,
    metavar="COLUMN=X,Y,...",
    help="Cuts that must select the same jets, instead of those in the file.",
)
@click.option(
    "--accept-left-out",
    is_flag=True,
    help="Accept the loss of what compress left out with --keep, --drop or --drop-unreadable.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the certificate as JSON.")
@tree_option
@click.option(
    "--collection",
    multiple=True,
    metavar="NAME",
    help="Collection that --bound applies to, if the file has no bounds of its own.  [default: as for compress]",
)
@unit_option
@quiet_option
def verify(
    original: str,
    version: str,
    bounds: tuple[str, ...],
    bounds_file: Path | None,
    edges: tuple[str, ...],
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Check that a file lost nothing of ORIGINAL beyond its bounds.

    Run it before you delete ORIGINAL. It compares every coded value of COMPRESSED_OR_RESTORED with its bound and edges, and
    everything else bit for bit. Exit status 0: every error is within its bound and everything else is identical, except
    branches whose loss you accept with --accept-left-out. Exit status 1: something is lost, and the output says what. If
    several files were joined, give ORIGINAL as a pattern in quotes.

    \b
    For example:
      hepae verify jets.root small.root
      hepae verify jets.root small.root --json > certificate.json
    """  # noqa: D301  # \b tells click not to wrap what follows
    from hepae.verification.verify import verify as verify_files

    asked = asked_bounds(bounds, edges, bounds_file)
    with terminal.progress(quiet, "verifying", "events") as update:
        certificate = verify_files(original, version, bounds=asked, progress=update, **options)
    if not quiet:
        for text in certificate.notes:
            note(text)
    if as_json:
        click.echo(json.dumps(certificate.to_json(), indent=2, ensure_ascii=False))
    else:
        _print(original, version, certificate)
    if not certificate.ok:
        raise click.ClickException(f"{version}: {certificate.verdict}")
    if not as_json:
        click.echo(f"{version}: {certificate.verdict}")


def _print(original: str, version: str, certificate: Certificate) -> None:
    """Print what was found: a row a column, what derives from the jets, and what broke."""
    found = certificate.findings
    several = len(found.columns) > 1
    table = terminal.table(
        f"{version} beside {original}",
        *(
            "column",
            "bound",
            "values",
            "changed",
            "beyond",
            "crossed",
            "largest error",
            "error ÷ bound",
            "bin shift ÷ its error",
        ),
    )
    for collection, columns in found.columns.items():
        for name, column in columns.items():
            if not column.changed and len(columns) > 4:
                continue
            row = column.to_json()
            shifts = row["bin_shifts"]
            table.add_row(
                f"{collection}.{name}" if several else name,
                row["bound"] or "none",
                *(str(row[key]) for key in ("values", "changed")),
                "–" if row["beyond"] is None else str(row["beyond"] + row["other_side"]),
                str(row["crossed"]),
                _number(row["largest_error"]),
                _number(row["largest_error_over_bound"]),
                "–" if shifts is None else _number(shifts["largest_over_error"]),
            )
    if table.rows:
        terminal.console().print(table)
    for collection, changes in found.quantities.items():
        told = [
            f"{name} {changes.largest[name]:.3g}{'' if 'ΔR' in name else ' GeV'} ({changes.largest_relative[name]:.2g} of it)"
            for name in changes.largest
        ]
        click.echo(
            f"{collection}: largest changes: {', '.join(told)}; {changes.other_pair} of {changes.events} events have another "
            "leading pair"
        )
    jets = ", ".join(f"{count} {name}" for name, count in found.jets.items())
    click.echo(
        f"{found.events} events{', ' if jets else ''}{jets}; bit for bit: {len(found.branches)} branches, "
        f"{certificate.objects} objects, {certificate.trees} other trees"
    )
    for name in certificate.left_out:
        click.echo(f"left out on request: {terminal.printable(name)}")
    for line in certificate.broken[:MOST_LINES]:
        click.echo(f"broken: {terminal.printable(line)}")
    if len(certificate.broken) > MOST_LINES:
        click.echo(f"and {len(certificate.broken) - MOST_LINES} more, which --json lists")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.6g}"
