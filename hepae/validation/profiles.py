"""Figures of a residual in bins of another column: its median, its central 68 %, and the resolution of a detector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from hist.axis import transform
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from hepae.validation.canvas import (
    GREY,
    Style,
    aligned_figure,
    atlas_style,
    beyond_text,
    by_version,
    headroom_of,
    largest_finite,
    scale_values,
    show_in_power,
    two_panels,
    version_looks,
    write_corner,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import hist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]
    Curve = Callable[[FloatArray], ArrayLike]


PROFILE_ENTRIES = 50
"""Fewest entries of a bin whose quantiles are drawn: with 50, half the central 68 % is known to about 15 %."""


@dataclass(frozen=True)
class JetEnergyResolution:
    """Relative resolution √(N²/pt² + S²/pt + C²) of the energy of jets as a detector measures it.

    Parameters
    ----------
    name
        Whose it is, as the figure says it.
    noise, stochastic, constant
        N in GeV, S in GeV^½, and C.
    """

    name: str
    noise: float
    stochastic: float
    constant: float

    def __call__(self, pt: ArrayLike) -> FloatArray:
        """Relative resolution at each pt in GeV, shape of ``pt``.

        >>> JetEnergyResolution("", 3.0, 0.0, 0.04)([100.0]).tolist()
        [0.05]
        """
        pt = np.asarray(pt, np.float64)
        return np.sqrt((self.noise / pt) ** 2 + self.stochastic**2 / pt + self.constant**2)


def response(
    histogram: hist.Hist | Mapping[str, hist.Hist],
    *,
    bound: Curve | None = None,
    references: Mapping[str, Curve] | None = None,
    style: Style = Style(),
    axes: tuple[Axes, Axes] | None = None,
) -> Figure:
    """Draw the median of a column's residual with its central 68 % in bins of another column; below, half that width.

    The band is filled for one version, and has thin lines as edges for several. Bins with fewer than :data:`PROFILE_ENTRIES`
    entries are left out, and the axis shows only the bins that are drawn.

    Parameters
    ----------
    histogram
        Entries in bins of the other column and of the residual; of several versions by name.
    bound
        Largest residual that was promised, as a function of the other column.
    references
        What to draw beside the width, as functions of the other column, by name: a jet energy resolution, for instance.
    style
        Label in the corner.
    axes
        Axes for response and resolution to draw on; by default those of a new figure.
    """
    versions = by_version(histogram)
    with atlas_style():
        main, below = two_panels() if axes is None else axes
        axis, residuals = next(iter(versions.values())).axes
        reach, widths = 0.0, []
        for (name, entries), (color, line) in zip(versions.items(), version_looks(versions), strict=True):
            low, middle, high = profile(entries)
            look: dict[str, Any] = {"color": color, "linestyle": "-" if len(versions) == 1 else line}
            main.stairs(
                middle,
                axis.edges,
                baseline=None,
                linewidth=1.8,
                label=f"{name}: median" if len(versions) == 1 else name,
                **look,
            )
            low, high = (np.where(np.isnan(low + high), np.nan, edge) for edge in (low, high))
            if len(versions) == 1:
                main.stairs(
                    high, axis.edges, baseline=low, fill=True, color=color, alpha=0.2, label="central 68%"
                )
            else:
                for edge in (low, high):
                    main.stairs(edge, axis.edges, baseline=None, linewidth=0.9, alpha=0.7, **look)
            width = (high - low) / 2
            below.stairs(width, axis.edges, baseline=None, linewidth=1.8, **look)
            widths.append(width)
            reach = max(reach, largest_finite(np.abs([low, high])))
        grid = _grid(axis)
        if bound is not None:
            promised = np.broadcast_to(np.asarray(bound(grid), np.float64), grid.shape)
            for sign, label in ((1, "bound"), (-1, None)):
                main.plot(grid, sign * promised, color="black", linestyle="--", linewidth=1.2, label=label)
            below.plot(grid, promised, color="black", linestyle="--", linewidth=1.2)
            # A bound that is not far from the band is shown.
            if np.nanmax(promised) < 5 * reach or reach == 0:
                reach = max(reach, float(np.nanmax(promised)))
        for (name, curve), color in zip((references or {}).items(), (GREY, "#a96b59"), strict=False):
            values = np.broadcast_to(np.asarray(curve(grid), np.float64), grid.shape)
            below.plot(grid, values, color=color, linewidth=2.5, label=name)
            widths.append(values)
        if bound is not None:
            widths.append(promised)
        main.axhline(0, color="black", linewidth=0.8, zorder=0)
        beyond = beyond_text(versions.values())
        columns = 2 if len(versions) > 2 else 1
        entries_of_legend = len(versions) + (bound is not None)
        lines = 1 + (entries_of_legend if len(versions) == 1 else -(-entries_of_legend // columns))
        headroom = headroom_of(lines, style, beyond)
        span = 1.15 * reach or 1e-3
        main.set_ylim(-span, span * (1 + headroom) / (1 - headroom))
        main.yaxis.set_major_locator(MaxNLocator(6))
        main.set_ylabel(residuals.label, fontsize="medium")
        _scale_widths(below, widths)
        for panel in (main, below):
            scale_values(panel, axis)
        drawn = np.flatnonzero(np.isfinite(widths[: len(versions)]).any(axis=0))
        if drawn.size:
            for panel in (main, below):
                panel.set_xlim(axis.edges[drawn[0]], axis.edges[drawn[-1] + 1])
        main.tick_params(labelbottom=False)
        below.set_xlabel(axis.label)
        if below.get_legend_handles_labels()[0]:
            below.legend(loc="upper right", fontsize="x-small")
        write_corner(main, style, beyond)
        title = None if len(versions) == 1 else "thick: median; thin: central 68%"
        main.legend(loc="upper right", ncols=columns, title=title, fontsize="small" if columns > 1 else None)
        return aligned_figure(main)


def _scale_widths(below: Axes, widths: Sequence[FloatArray]) -> None:
    """Label the axis of the half widths, logarithmic where they are far apart."""
    positive = np.concatenate([width[np.isfinite(width) & (width > 0)] for width in widths])
    width_label = "half width of\ncentral 68%"
    if positive.size:
        least, most = positive.min(), positive.max()
        if most > 20 * least:
            below.set_yscale("log")
            below.set_ylim(0.5 * least, 2 * most * (most / least) ** 0.35)
            below.yaxis.set_major_locator(LogLocator(numticks=5))
            below.yaxis.set_minor_formatter(NullFormatter())
        else:
            below.set_ylim(0, 1.6 * most)
            below.yaxis.set_major_locator(MaxNLocator(3))
            scale = show_in_power(below.yaxis, most)
            width_label += f"\n[{scale}]" if scale else ""
    below.set_ylabel(width_label, fontsize="small", loc="center")


def profile(histogram: hist.Hist) -> tuple[FloatArray, FloatArray, FloatArray]:
    """16 %, 50 % and 84 % quantiles of the second axis in each bin of the first, entries spread evenly over their bins.

    NaN where there are fewer than :data:`PROFILE_ENTRIES` entries, and where the quantile lies beyond the axis.

    Returns
    -------
    tuple of FloatArray
        Each of shape (bins of the first axis,).
    """
    contents = histogram.values(flow=True)[1:-1]
    edges = histogram.axes[1].edges
    reached = np.cumsum(contents, axis=1)
    result = np.full((3, len(contents)), np.nan)
    for i, row in enumerate(reached):
        total = row[-1]
        if total < PROFILE_ENTRIES:
            continue
        for j, fraction in enumerate((0.16, 0.5, 0.84)):
            wanted = fraction * total
            cell = int(np.searchsorted(row, wanted))
            if 0 < cell < len(row) - 1:  # neither underflow nor overflow
                part = (wanted - row[cell - 1]) / (row[cell] - row[cell - 1])
                result[j, i] = edges[cell - 1] + part * (edges[cell] - edges[cell - 1])
    return result[0], result[1], result[2]


def _grid(axis: hist.axis.Regular) -> FloatArray:
    """Points of an axis that are close enough for a curve."""
    low, high = axis.edges[0], axis.edges[-1]
    grid: FloatArray = (
        np.geomspace(low, high, 200) if axis.transform == transform.log else np.linspace(low, high, 200)
    )
    return grid
