"""Figures of the study, in the style of the package's own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import LogFormatterSciNotation, NullFormatter

from hepae.validation import canvas

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = (
    "#3f90da",
    "#bd1f01",
    "#ffa90e",
    "#832db6",
    "#94a4a2",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#717581",
    "#92dadd",
)
"""The colour sequence of M. A. Petroff, arXiv:2107.02270."""


@dataclass(frozen=True)
class Line:
    """Points of a line, with errors where they are known; ``look`` is matplotlib's marker and line, as in "o-"."""

    x: Sequence[float]
    y: Sequence[float]
    error: Sequence[float] | None = None
    look: str = "-"
    color: str | None = None


def curves(
    lines: Mapping[str, Line],
    *,
    xlabel: str,
    ylabel: str,
    style: canvas.Style,
    xscale: str = "linear",
    levels: Mapping[str, float] | None = None,
) -> Figure:
    """Draw lines on a logarithmic scale, and levels to compare them with, each with its name."""
    (axes,) = canvas.panels(1)
    draw_curves(axes, lines, levels)
    axes.set_xscale(xscale)
    axes.margins(x=0.04)
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    low, high = axes.get_ylim()
    columns = 1 if len(lines) < 5 else 2
    axes.set_ylim(low, high * (high / low) ** (0.15 + 0.07 * math.ceil(len(lines) / columns)))
    axes.legend(loc="upper right", fontsize="small", ncols=columns)
    canvas.write_corner(axes, style)
    return axes.get_figure()


def draw_curves(axes: Axes, lines: Mapping[str, Line], levels: Mapping[str, float] | None = None) -> None:
    """Draw lines and levels on axes whose y is logarithmic."""
    for (name, line), color in zip(lines.items(), cycle(COLORS), strict=False):
        axes.errorbar(
            line.x,
            line.y,
            line.error,
            fmt=line.look,
            color=line.color or color,
            label=name,
            linewidth=1.8,
            markersize=5,
            capsize=4,
        )
    for (name, level), dash in zip((levels or {}).items(), cycle(("--", ":", "-.")), strict=False):
        axes.axhline(level, color="black", linestyle=dash, linewidth=1.2, label=name)
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.yaxis.set_minor_formatter(
        NullFormatter() if high > 10 * low else LogFormatterSciNotation(minor_thresholds=(2, 0.5))
    )


def rate_distortion(lines: Mapping[str, Mapping[str, Line]], style: canvas.Style) -> Figure:
    """Draw a panel a column: half the width of the central 68 % of its residual against bytes a jet.

    Parameters
    ----------
    lines
        By the label of the column's axis, and by way.
    style
        What is written into the corner.
    """
    panels = canvas.panels(len(lines))
    for panel, (label, ways) in zip(panels, lines.items(), strict=True):
        draw_curves(panel, ways)
        panel.set_xlim(0, 13)
        panel.set_xlabel("Bytes a jet")
        panel.set_ylabel(label)
        values = np.concatenate([line.y for line in ways.values()])
        low, high = values[values > 0].min(), values.max()
        panel.set_ylim(low / 2, high * (high / low) ** 0.25)
        canvas.write_corner(panel, style)
    figure = panels[0].get_figure()
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + 1.2)
    figure.subplots_adjust(top=0.84, bottom=0.08, left=0.09, right=0.97)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="upper center", bbox_to_anchor=(0.53, 0.985), ncols=3, fontsize="medium"
    )
    return figure
