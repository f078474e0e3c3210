"""The command that prints the folder of the C++ reader."""

from __future__ import annotations

import click

from hepae.cli.sections import Command


@click.command(cls=Command)
def include() -> None:
    """Print the folder of hepae.hpp, the reader for C++.

    \b
    For example:
      g++ -O2 -I$(hepae include) program.cpp $(root-config --cflags --libs) -o program
    """  # noqa: D301  # \b tells click not to wrap what follows
    from hepae.files.include import include_folder

    click.echo(include_folder())
