"""Notes on stderr."""

from __future__ import annotations

import click

from hepae.terminal import printable


def note(text: str) -> None:
    """Print a note in one line."""
    click.echo(f"note: {printable(' '.join(text.split()))}", err=True)


def print_replaced(replaced: dict[str, int], jets: int) -> None:
    """Note how many values of each column are replaced before a model encodes them."""
    for name, count in replaced.items():
        if count:
            what = f"{name} ≤ 0 or no number" if name in ("pt", "mass") else f"{name} no number"
            note(f"{count} of {jets} jets have {what}; these values are replaced before encoding")
