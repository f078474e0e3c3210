"""Figures of two columns at once: residuals against each other, over eta and phi, and latents."""

from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hepae.validation.canvas import (
    BLUE,
    RED,
    Style,
    atlas_style,
    draw_entries,
    number_text,
    root_figure,
    show_in_power,
    unit_text,
    write_above,
)
from hepae.validation.labels import change_label, residual_unit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import hist
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]
    Curve = Callable[[FloatArray], ArrayLike]


def correlations(
    residuals: Mapping[str, hist.Hist],
    pairs: Mapping[tuple[str, str], hist.Hist],
    *,
    style: Style = Style(),
    axes: NDArray[Any] | None = None,
) -> Figure:
    """Draw the residuals of several columns against each other, as a matrix, with the residuals alone on its diagonal.

    Above the diagonal stand the linear correlation coefficients, of the entries within the axes.

    Parameters
    ----------
    residuals
        Histograms by column.
    pairs
        Histograms by two columns.
    style
        Label in the corner.
    axes
        Axes to draw on, of shape (columns, columns); by default those of a new figure.
    """
    names = list(dict.fromkeys(name for pair in pairs for name in pair))
    with atlas_style():
        labels = []
        for name in names:
            end = float(residuals[name].axes[0].edges[-1])
            unit = unit_text(end, residual_unit(name))
            labels.append((change_label(name) + (f" [{unit}]" if unit else ""), end))
        grid = _matrix(len(names)) if axes is None else axes
        _draw_matrix(grid, [residuals[name] for name in names], labels)
        for row, column in combinations(range(len(names)), 2):
            pair = pairs[names[row], names[column]]
            _draw_image(grid[column, row], pair)
            coefficient = correlation_coefficient(pair)
            text = "–" if coefficient is None else f"{round(coefficient, 2) + 0.0:.2f}".replace("-", "−")
            grid[row, column].text(0.5, 0.45, text, ha="center", transform=grid[row, column].transAxes)
        write_above(grid[0, 0], style)
        return root_figure(grid[0, 0])


def correlation_coefficient(histogram: hist.Hist) -> float | None:
    """Linear correlation coefficient of the entries within the axes of a histogram of two; None where one is constant."""
    contents = histogram.values()
    total = contents.sum()
    if not total:
        return None
    x, y = (axis.centers for axis in histogram.axes)
    across, along = contents.sum(axis=1) / total, contents.sum(axis=0) / total
    x, y = x - across @ x, y - along @ y
    variance = (across @ x**2) * (along @ y**2)
    return float(x @ (contents / total) @ y / math.sqrt(variance)) if variance > 0 else None


def largest(
    histogram: hist.Hist,
    *,
    unit: str = "",
    bound: float | None = None,
    style: Style = Style(),
    axes: Axes | None = None,
) -> Figure:
    """Draw a map of the largest residuals over eta and phi.

    Parameters
    ----------
    histogram
        Largest residual by bins of eta and phi, 0 where there is no jet.
    unit
        The residual's unit.
    bound
        Largest residual that was promised, where it is the same for every jet.
    style
        Label in the corner.
    axes
        Axes to draw on; by default those of a new figure.
    """
    with atlas_style():
        panel = Figure().add_subplot() if axes is None else axes
        contents = histogram.values()
        filled = np.ma.masked_equal(contents.T, 0)
        top = max(bound or 0.0, float(contents.max(initial=0))) or 1.0
        eta, phi = histogram.axes
        # A single absurd jet must not darken all others.
        typical = float(np.median(contents[contents > 0])) if contents.any() else top
        log = top > 50 * typical
        norm = LogNorm(typical / 10, top) if log else Normalize(0, top)
        image = panel.pcolormesh(eta.edges, phi.edges, filled, norm=norm, cmap="cividis", rasterized=True)
        bar = root_figure(panel).colorbar(image, ax=panel, pad=0.02)
        if not log:
            show_in_power(bar.ax.yaxis, top)
            unit = unit_text(top, unit)
        bar.set_label(f"Largest |{histogram.label}|" + (f" [{unit}]" if unit else ""))
        if bound is not None:
            bar.ax.axhline(bound, color=RED, linewidth=3)
        panel.set_xlabel(eta.label)
        panel.set_ylabel(phi.label)
        panel.set_xlim(*eta.edges[[0, -1]])
        panel.set_ylim(*phi.edges[[0, -1]])
        text = f"largest: {number_text(float(contents.max(initial=0)))}"
        beyond = float(histogram.values(flow=True)[[0, -1]].max(initial=0))
        text += f", beyond the axis: {number_text(beyond)}" if beyond else ""
        text += f", bound: {number_text(bound)}" if bound is not None else ""
        panel.annotate(text, (0, 0), (0, -26), "axes fraction", "offset points", va="top", fontsize="small")
        write_above(panel, style)
        return root_figure(panel)


def latents(
    single: Mapping[str, hist.Hist],
    pairs: Mapping[tuple[str, str], hist.Hist],
    *,
    style: Style = Style(),
    axes: NDArray[Any] | None = None,
) -> Figure:
    """Draw latents alone, on the diagonal of a matrix, and against each other, coloured by the jets' mean log pt.

    Parameters
    ----------
    single
        Histograms by latent.
    pairs
        Histograms by two latents, with a third axis of pt in GeV.
    style
        Label in the corner.
    axes
        Axes to draw on, of shape (latents, latents); by default those of a new figure.
    """
    names = list(dict.fromkeys(name for pair in pairs for name in pair)) or list(single)[:1]
    with atlas_style():
        grid = _matrix(len(names)) if axes is None else axes
        _draw_matrix(
            grid, [single[name] for name in names], [(single[name].axes[0].label, 1.0) for name in names]
        )
        image = None
        for row, column in combinations(range(len(names)), 2):
            image = _draw_mean_pt(grid[column, row], pairs[names[row], names[column]])
        figure = root_figure(grid[0, 0])
        if image is not None:
            bar = figure.colorbar(image, ax=list(grid.flat), pad=0.02, shrink=0.7, anchor=(0, 0))
            bar.set_label(next(iter(pairs.values())).axes[2].label + ", mean of its logarithm")
        write_above(grid[0, 0], style)
        return figure


def _matrix(size: int) -> NDArray[Any]:
    panels: NDArray[Any] = Figure(figsize=(9.0, 8.0)).subplots(
        size, size, squeeze=False, gridspec_kw={"hspace": 0.06, "wspace": 0.06}
    )
    return panels


def _draw_image(axes: Axes, histogram: hist.Hist) -> None:
    contents = histogram.values().T
    x, y = histogram.axes
    axes.pcolormesh(
        x.edges,
        y.edges,
        np.ma.masked_equal(contents, 0),
        norm=LogNorm(1, max(contents.max(initial=0), 2)),
        cmap="Blues",
        rasterized=True,
    )


def _draw_mean_pt(axes: Axes, histogram: hist.Hist) -> Any:
    x, y, pt = histogram.axes
    contents = histogram.values()
    entries = contents.sum(axis=2)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.exp(contents @ np.log(pt.centers) / entries)
    return axes.pcolormesh(
        x.edges,
        y.edges,
        np.ma.masked_invalid(mean.T),
        norm=LogNorm(pt.edges[0], pt.edges[-1]),
        cmap="viridis",
        rasterized=True,
    )


def _draw_matrix(
    grid: NDArray[Any], single: Sequence[hist.Hist], labels: Sequence[tuple[str, float]]
) -> None:
    """Draw histograms on the diagonal of a matrix, with axes for pairs below it and none above."""
    ends = [histogram.axes[0].edges[[0, -1]] for histogram in single]
    for (row, column), panel in np.ndenumerate(grid):
        if row < column:
            panel.axis("off")
            continue
        if row == column:
            draw_entries(panel, single[column], color=BLUE, linewidth=1.4)
            panel.set_xlabel("")
            panel.set_ylim(bottom=0)
            panel.set_yticks([])
        else:
            panel.set_ylim(*ends[row])
        panel.set_xlim(*ends[column])
        _label_matrix_panel(panel, row, column, labels)


def _label_matrix_panel(panel: Axes, row: int, column: int, labels: Sequence[tuple[str, float]]) -> None:
    """Ticks and labels at the left and lower side of a matrix only; labels come with the unit of their numbers."""
    last = row == len(labels) - 1
    panel.tick_params(labelsize="x-small", labelbottom=last, labelleft=column == 0 and row > 0)
    for axis, (label, reach), shown in (
        (panel.xaxis, labels[column], last),
        (panel.yaxis, labels[row], column == 0 and row > 0),
    ):
        if axis is panel.yaxis and row == column:
            continue
        axis.set_major_locator(MaxNLocator(4, prune="both"))
        show_in_power(axis, reach)
        if shown:
            axis.set_label_text(label, fontsize="small")
    panel.xaxis.label.set(x=0.5, ha="center")
    panel.yaxis.label.set(y=0.5, ha="center")
