"""How help is laid out: the options of a command in sections, each under a title."""

from __future__ import annotations

import click

SECTIONS = {
    "Output": "--output --part --format --compression --sizes --report --all-figures --json --force",
    "Bounds": "--bound --bounds --edges --widen --bytes --resolution",
    "Model": "--model --latent-bits",
    "Input": "--tree --collection --all --unit --again",
    "Leave out": "--keep --drop --drop-unreadable --accept-left-out",
    "Events": "--process --events --constituents",
    "Network": "--columns --basis --preset --hidden --latent --activation",
    "Training": "--epochs --batch-size --learning-rate --spectra --fraction --validation --test --device --config --runs-dir --resume",
    "Label of the figures": "--experiment --label --com --lumi",
    "Other": "--seed --quiet --help",
}
"""Titles, in the order in which help shows them, and their options."""


class Command(click.Command):
    """A command whose help shows its options by `SECTIONS`."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options of each section under its title."""
        options = {max(each.opts, key=len): each for each in self.get_params(ctx)}
        for title, names in SECTIONS.items():
            records = [options[name].get_help_record(ctx) for name in names.split() if name in options]
            if rows := [record for record in records if record is not None]:
                with formatter.section(title):
                    formatter.write_dl(rows)
