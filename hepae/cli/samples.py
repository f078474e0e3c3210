"""Commands that make jets to try hepae on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hepae import terminal
from hepae.cli.options import OutputPath, force_option, quiet_option
from hepae.cli.sections import Command

if TYPE_CHECKING:
    from pathlib import Path


@click.command(cls=Command)
@click.argument("output", type=OutputPath(".root"))
@force_option
def sample(output: Path, force: bool) -> None:
    """Write the bundled sample of 20 000 PYTHIA dijet events.

    OUTPUT is a ROOT file with the branch names of NanoAOD, in GeV.

    \b
    For example:
      hepae sample jets.root
    """  # noqa: D301  # \b tells click not to wrap what follows
    from hepae.io.outputs import atomic_output
    from hepae.samples import sample_path

    with atomic_output(output, force=force) as temporary:
        temporary.write_bytes(sample_path().read_bytes())
    click.echo(f"{output}: 20 000 dijet events, {output.stat().st_size / 1e6:.2f} MB")


@click.command(cls=Command)
@click.argument("output", type=OutputPath(".root"))
@click.option(
    "--process",
    type=click.Choice(["dijets", "ttbar"]),
    default="dijets",
    show_default=True,
    help="Hard process of the events.",
)
@click.option("--events", type=click.IntRange(1), default=1000, show_default=True, help="Number of events.")
@click.option(
    "--seed", type=click.IntRange(1, 900_000_000), default=1, show_default=True, help="Random seed of PYTHIA."
)
@click.option(
    "--constituents",
    is_flag=True,
    help="Also write GenCands, the particles that the jets are made of, a few hundred an event.",
)
@force_option
@quiet_option
def generate(
    output: Path, process: str, events: int, seed: int, constituents: bool, force: bool, quiet: bool
) -> None:
    """Generate events with PYTHIA and fastjet.

    OUTPUT is a ROOT file with the branch names of NanoAOD, in GeV. It needs an extra: pip install 'hepae[pythia]'.

    \b
    For example:
      hepae generate ttbar.root --process ttbar --events 500 --constituents
    """  # noqa: D301  # \b tells click not to wrap what follows
    from hepae import samples

    with terminal.progress(quiet, "generating", "events") as update:
        samples.generate(
            output,
            process=process,
            events=events,
            seed=seed,
            constituents=constituents,
            force=force,
            progress=lambda done: update(done, events),
        )
    click.echo(f"{output}: {events} {process} events, {output.stat().st_size / 1e6:.2f} MB")
