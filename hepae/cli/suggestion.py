"""The command that proposes bounds."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import click

from hepae import terminal
from hepae.cli.group import command_line
from hepae.cli.notes import note
from hepae.cli.options import OutputPath, force_option, quiet_option, tree_option, unit_option
from hepae.cli.sections import Command
from hepae.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hepae.resolution.suggest import Suggestion


class Percent(click.ParamType[Any]):
    """A share, written ``0.1%`` or ``0.001``."""

    name = "PERCENT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Give it as a number."""
        if isinstance(value, float):
            return value
        text = str(value).strip()
        try:
            return float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            self.fail(f"{value!r} is not a share such as 0.1%", param, ctx)


@click.command(cls=Command)
@click.argument("inputs", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    required=True,
    type=OutputPath(".toml"),
    metavar="OUT.toml",
    help="File to write, for hepae compress --bounds.",
)
@click.option(
    "--widen",
    type=Percent(),
    metavar="PERCENT",
    help="How much a bound may widen the resolution of a column (added in quadrature).  [default: 0.1%]",
)
@click.option(
    "--bytes",
    "bytes_per_jet",
    type=float,
    metavar="N",
    help="Bytes that a jet may take: all resolutions are then widened by the same share. Not with --widen.",
)
@click.option(
    "--resolution",
    metavar="ATLAS|CMS|FILE.toml",
    help="Jet resolution to use.  [default: CMS for NanoAOD, ATLAS for all other files]",
)
@tree_option
@click.option(
    "--collection",
    multiple=True,
    metavar="NAME",
    help="Collection to look at, or a pattern such as '*'. Repeat it for several.  [default: Jet, AnalysisJets or the only one]",
)
@unit_option
@force_option
@quiet_option
def suggest(
    inputs: tuple[str, ...],
    output: Path,
    widen: float | None,
    bytes_per_jet: float | None,
    force: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Propose a bound for every column of INPUTS.

    With a known resolution, the bound is so small that it widens the resolution by --widen at most. Without one, no bin of
    a histogram moves by more than a tenth of its statistical error. Columns that were truncated before stay exact.

    \b
    For example:
      hepae suggest jets.root -o bounds.toml --widen 0.1%
      hepae compress jets.root -o small.root --bounds bounds.toml
    """  # noqa: D301  # \b tells click not to wrap what follows
    from hepae.bounds_files import bounds_text
    from hepae.files.history import without_secrets
    from hepae.io.outputs import atomic_output
    from hepae.resolution.suggest import suggest as suggest_bounds

    if widen is not None and bytes_per_jet is not None:
        raise ConfigError("--widen and --bytes exclude each other: the budget decides how much is widened")
    found = suggest_bounds(
        inputs, widen=0.001 if widen is None else widen, bytes_per_jet=bytes_per_jet, **options
    )
    command = _compression(inputs, output, options)
    with atomic_output(output, force=force) as temporary:
        entries = {
            name: {column: (each.bound, each.reason) for column, each in columns.items()}
            for name, columns in found.collections.items()
        }
        head = (
            str(without_secrets(command_line())),
            "A bound is written 0.1%, 0.001, 1%+1MeV or exact; without a unit pt, mass and E are in GeV.",
            f"{command} takes this file.",
        )
        temporary.write_text(bounds_text(entries, head), encoding="utf-8")
    if not quiet:
        for text in found.notes:
            note(text)
    _print(found)
    click.echo(f"{output}: {command}")


def _compression(inputs: tuple[str, ...], output: Path, options: Mapping[str, Any]) -> str:
    """Command that compresses the same jets within the bounds, as it is typed into the shell."""
    from hepae.files.history import without_secrets

    chosen = [word for name in options["collection"] for word in ("--collection", name)]
    for name in ("tree", "unit"):
        chosen += [f"--{name}", options[name]] if options[name] else []
    command = ["hepae", "compress", *inputs, *chosen, "--bounds", str(output), "-o", "OUT.root"]
    return str(without_secrets(shlex.join(command)))


def _print(found: Suggestion) -> None:
    """Print a row a column: bound, reason, bytes and cost."""
    for name, columns in found.collections.items():
        before, after = found.bytes_per_jet(name)
        table = terminal.table(
            f"{name}: {found.jets[name]} jets, {before:.2f} bytes a jet in the file, {after:.2f} within these bounds",
            *("column", "bound", "bytes before", "after", "widened by", "reason"),
        )
        table.columns[-1].justify = "left"
        table.columns[-1].no_wrap = False
        for column, each in columns.items():
            widened = "–" if each.widening is None else f"{each.widening:.3%} of {each.beside}"
            table.add_row(
                column, str(each.bound), f"{each.before:.2f}", f"{each.after:.2f}", widened, each.reason
            )
        terminal.console().print(table)
