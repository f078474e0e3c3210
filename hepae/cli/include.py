"""The command that says where the C++ reader is."""

from __future__ import annotations

import click


@click.command()
def include() -> None:
    """Print the folder of hepae.hpp, the reader for C++.

    \b
    g++ -O2 -I$(hepae include) read.cpp
    """  # noqa: D301  # \b tells click not to wrap what follows
    from hepae.files.include import include_folder

    click.echo(include_folder())
