"""Figures of what passes a threshold: jets a cut on pt, and residuals a size."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from hepae.validation.canvas import (
    BLUE,
    GREY,
    RED,
    Style,
    aligned_figure,
    atlas_style,
    number_text,
    version_looks,
    write_above,
    write_corner,
)
from hepae.validation.labels import change_label, column_symbol, residual_unit

if TYPE_CHECKING:
    from collections.abc import Mapping

    import hist
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from hepae.validation.profiles import Curve

    FloatArray = NDArray[np.float64]

FAR = 1e6
"""How many times the largest residual is above the smallest one that a figure of tails shows at most."""


def turn_on_panels(count: int) -> list[tuple[Axes, Axes]]:
    """Give a new figure for the turn-on of so many versions: two panels each, one above the other."""
    with atlas_style():
        width = 8.0 if count == 1 else 7.0 * count
        axes = Figure(figsize=(width, 8.0)).subplots(
            2, count, squeeze=False, gridspec_kw={"hspace": 0.4, "wspace": 0.3 if count > 1 else None}
        )
        return [(axes[0, i], axes[1, i]) for i in range(count)]


def turn_on(
    wide: hist.Hist,
    near: hist.Hist,
    threshold: float,
    *,
    resolution: Curve | None = None,
    resolution_name: str = "",
    title: str = "",
    style: Style = Style(),
    axes: tuple[Axes, Axes] | None = None,
) -> Figure:
    """Draw the efficiency of a threshold of the restored pt as a function of the original pt.

    Without any loss it is a step at the threshold. The upper panel shows it as wide as a detector sees it, the lower one as near
    as residuals reach, there for many thresholds together, as few jets are so near to one; errors are Wilson's 68 % intervals.

    Parameters
    ----------
    wide, near
        Entries by the original pt, and by original / nearest threshold − 1, and by whether the restored pt is above the threshold.
    threshold
        In GeV.
    resolution, resolution_name
        Relative resolution of a detector as a function of pt in GeV, whose turn-on is drawn as well, and whose it is.
    title
        What stands above the panels, such as the version's name.
    style
        Label in the corner.
    axes
        Axes to draw on; by default those of a new figure.
    """
    with atlas_style():
        above, below = turn_on_panels(1)[0] if axes is None else axes
        if resolution is not None:
            grid = np.linspace(wide.axes[0].edges[0], wide.axes[0].edges[-1], 300)
            width = grid * np.asarray(resolution(grid), np.float64)
            above.plot(
                grid,
                [0.5 * (1 + math.erf(x / math.sqrt(2))) for x in (grid - threshold) / width],
                color=GREY,
                linewidth=2.2,
                label=resolution_name or "detector",
            )
        for panel, histogram, step in ((above, wide, threshold), (below, near, 0.0)):
            edges = histogram.axes[0].edges
            panel.plot(
                [edges[0], step, step, edges[-1]],
                [0, 0, 1, 1],
                color="black",
                linewidth=1.0,
                linestyle="--",
                label="no loss" if panel is above else None,
            )
            _draw_efficiency(panel, histogram, "restored" if panel is above else "")
            panel.set_xlim(edges[0], edges[-1])
            panel.set_ylim(-0.05, 1.6 if panel is above else 1.25)
            panel.set_yticks([0, 0.5, 1])
            panel.set_xlabel(
                histogram.axes[0].label, labelpad=4 if panel is above else 22
            )  # below the power of ten
        below.xaxis.label.set_fontsize("small")
        below.xaxis.set_major_locator(MaxNLocator(6, symmetric=True))
        below.ticklabel_format(axis="x", style="sci", scilimits=(-2, 3))
        above.set_ylabel(rf"Share with restored $p_\mathrm{{T}}$ > {threshold:g} GeV", fontsize="small")
        below.set_ylabel("Share above threshold", fontsize="small")
        lost, gained = crossings(wide)
        write_corner(above, style, f"lost: {lost}, gained: {gained}")
        above.legend(loc="upper right", fontsize="small")
        above.set_title(title, loc="right", fontsize="small")
        return aligned_figure(above)


def crossings(histogram: hist.Hist) -> tuple[int, int]:
    """How many jets fell below the threshold, and how many rose above it, those beyond the axis included."""
    entries = histogram.values(flow=True)
    middle = len(entries) // 2  # the threshold is an edge: as many bins are below it as above
    return int(entries[middle:, 0].sum()), int(entries[:middle, 1].sum())


def _draw_efficiency(panel: Axes, histogram: hist.Hist, label: str) -> None:
    """Draw points with Wilson's interval of one standard deviation."""
    failing, passing = histogram.values().T
    total = failing + passing
    some = total > 0
    share, count = passing[some] / total[some], total[some]
    center = (share + 0.5 / count) / (1 + 1 / count)
    half = np.sqrt(share * (1 - share) / count + 0.25 / count**2) / (1 + 1 / count)
    errors = np.maximum([share - center + half, center + half - share], 0)
    axis = histogram.axes[0]
    panel.errorbar(
        axis.centers[some],
        share,
        yerr=errors,
        xerr=axis.widths[some] / 2,
        fmt="o",
        markersize=4,
        color=RED,
        linewidth=1.2,
        label=label or None,
    )


def tails(
    column: str,
    versions: Mapping[str, tuple[FloatArray, FloatArray]],
    *,
    bound: float | None = None,
    floor: float | None = None,
    style: Style = Style(),
    axes: Axes | None = None,
) -> Figure:
    """Draw which share of the jets has a residual of at least a size, both on logarithmic axes.

    Parameters
    ----------
    column
        Whose residual it is.
    versions
        Sizes of the residuals, rising, and the share of the jets with as large ones, by version.
    bound
        Largest residual that was promised, where it is the same for every jet.
    floor
        Original value below which jets are left out.
    style
        What is written above the panel.
    axes
        Axes to draw on; by default those of a new figure.
    """
    with atlas_style():
        panel = Figure().add_subplot() if axes is None else axes
        ends, typical, least = [bound] if bound else [], list[float](), 1.0
        looks = [(BLUE, "-")] if len(versions) == 1 else version_looks(versions)
        for (name, (sizes, shares)), (color, line) in zip(versions.items(), looks, strict=True):
            some = sizes > 0
            if some.any():
                # The last jet falls to nothing, which a logarithmic axis shows as a line to its end.
                x, y = np.append(sizes[some], sizes[-1]), np.append(shares[some], 1e-12)
                panel.plot(
                    x, y, color=color, linestyle=line, linewidth=1.8, drawstyle="steps-pre", label=name
                )
                ends.append(float(sizes[-1]))
                typical.append(float(sizes[some][np.argmax(shares[some] <= 0.5 * shares[some][0])]))
                least = min(least, float(shares[-1]))
        if bound:
            panel.axvline(
                bound, color="black", linestyle="--", linewidth=1.2, label=f"bound ±{number_text(bound)}"
            )
        panel.set_xscale("log")
        panel.set_yscale("log")
        end = max(ends, default=1.0)
        panel.set_xlim(max(min(typical, default=end) / 10, end / FAR), 3 * end)
        panel.set_ylim(0.4 * least, 1.6)
        panel.xaxis.set_major_locator(LogLocator(numticks=8))
        panel.xaxis.set_minor_formatter(NullFormatter())
        unit = residual_unit(column)
        where = "" if floor is None else f", {column_symbol(column)} ≥ {floor:g} GeV"
        panel.set_xlabel(f"x = |{change_label(column)}|{where}" + (f" [{unit}]" if unit else ""))
        panel.set_ylabel("Share of jets with residuals ≥ x", fontsize="medium")
        if panel.get_legend_handles_labels()[0]:
            panel.legend(loc="lower left", fontsize="small")
        write_above(panel, style)
        return aligned_figure(panel)
