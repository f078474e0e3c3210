"""What every part of the study has: the jets, and where tables and figures go."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import awkward as ak
import click

import hepae
from hepae.validation import canvas, profiles
from study.tables import write

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

    from study.trainings import Inputs


@dataclass(frozen=True)
class Study:
    """Jets, the folder of tables and figures, and what figures say."""

    inputs: Inputs
    output: Path
    style: canvas.Style
    resolution: profiles.JetEnergyResolution

    @cached_property
    def train(self) -> ak.Array:
        """Training jets, flat."""
        return _flat(hepae.read_jets(self.inputs.train, unit="MeV"))

    @cached_property
    def test(self) -> ak.Array:
        """Test jets, flat."""
        return _flat(hepae.read_jets(self.inputs.test, unit="MeV"))

    def write(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write a table as CSV; numbers with four digits."""
        write(self.output / f"{name}.csv", rows)
        click.echo(self.output / f"{name}.csv")

    def draw(self, name: str, figure: Figure) -> None:
        """Save a figure as PNG."""
        (path,) = canvas.save(figure, self.output / name, formats=["png"])
        click.echo(path)


def _flat(jets: ak.Array) -> ak.Array:
    return ak.flatten(jets) if jets.ndim > 1 else jets
