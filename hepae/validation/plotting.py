"""Figures in the field's style: a ``Hist`` goes in, a matplotlib ``Figure`` comes out.

Original and restored jets are the same jets. So their ratio is drawn plainly: errors and pulls as of two independent
samples would be wrong. What lies beyond an axis is counted on the figure. Scaling all weights changes no ratio.

Nothing is registered with pyplot, so there is nothing to close.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import combinations, cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import matplotlib as mpl
import matplotlib.style
import mplhep
import numpy as np
from hist.axis import transform
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from hepae.errors import ConfigError, OutputError
from hepae.validation.histograms import change_label, residual_unit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractContextManager

    import hist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from numpy.typing import ArrayLike, NDArray

    from hepae.validation.residuals import ColumnResiduals

    FloatArray = NDArray[np.float64]
    Curve = Callable[[FloatArray], ArrayLike]

Experiment = Literal["", "ATLAS", "CMS"]

# Of the colour sequence of M. A. Petroff, arXiv:2107.02270, which CMS recommends: told apart by colour-blind eyes.
BLUE, ORANGE, RED, GREY, VIOLET = "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6"

LOOKS = (
    (RED, "--"),
    (VIOLET, "-."),
    ("#e76300", ":"),
    ("#717581", (0, (6, 1, 1, 1, 1, 1))),
    ("#a96b59", (0, (1, 1))),
)
"""Colour and line of each restored version that is drawn over the original."""

HEADROOM = {"comparison": 0.38, "residual": 0.42, "loss": 0.3, "response": 0.36, "cut_flow": 0.4}
"""Part of the panel's height that is kept free for the corner and the legend, by kind of figure."""

RATIO_STEPS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Distances from 1 of the ticks of a ratio."""

DIFFERENCE_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
"""Distances from 0 of the ticks of a difference over the statistical error."""

PROFILE_ENTRIES = 20
"""Entries that a bin of a profile needs to have quantiles worth drawing."""


@dataclass(frozen=True)
class Style:
    """What is written into the corner of a figure.

    Parameters
    ----------
    experiment
        "ATLAS" or "CMS" for figures that may carry the collaboration's name; by default the figure says "hepae".
    label
        Text behind that, such as "Internal" or the sample's name.
    com
        Centre-of-mass energy in TeV.
    lumi
        Integrated luminosity in fb⁻¹.
    """

    experiment: Experiment = ""
    label: str = ""
    com: float | None = None
    lumi: float | None = None

    def __post_init__(self) -> None:
        if self.experiment not in get_args(Experiment):
            raise ConfigError(f"no label for experiment {self.experiment!r}: choose ATLAS, CMS or none")


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


def comparison(
    original: hist.Hist,
    restored: hist.Hist | Mapping[str, hist.Hist],
    *,
    style: Style = Style(),
    axes: tuple[Axes, Axes, Axes] | None = None,
) -> Figure:
    """Draw a column of the original and of the restored jets, and below, how they differ.

    The middle panel has the ratio of restored to original, the lowest the change of each bin over the statistical error of its
    content: √original, or with weights the root of the sum of their squares. Original and restored are the same jets, so
    it is no pull. The axis is logarithmic where the histogram's is, and the entries' where the spectrum falls steeply.

    Parameters
    ----------
    original, restored
        Histograms of the same axis, with Weight storage where they have weights; of several restored versions by name.
    style
        What is written into the corner.
    axes
        Axes for spectrum, ratio and difference to draw on; by default those of a new figure.
    """
    versions = _versions(restored)
    with _atlas_style():
        main, middle, below = _three_panels() if axes is None else axes
        axis = original.axes[0]
        _draw_entries(main, original, color=BLUE, histtype="fill", alpha=0.35, label="Original")
        _draw_entries(main, original, color=BLUE, linewidth=1.2)
        for (name, histogram), (color, line) in zip(versions.items(), _looks(versions), strict=True):
            _draw_entries(main, histogram, color=color, linewidth=1.6, linestyle=line, label=name)
        contents = [histogram.values() for histogram in versions.values()]
        _scale_entries(main, original.values(), *contents, headroom=_headroom("comparison", versions))
        main.set_ylabel(_entries_label(original))
        before = original.values()
        with np.errstate(divide="ignore", invalid="ignore"):
            error = np.sqrt(original.variances())
            ratios = [np.where(before > 0, after / before, np.nan) for after in contents]
            differences = [np.where(error > 0, (after - before) / error, np.nan) for after in contents]
        _draw_deviations(middle, axis.edges, ratios, around=1, steps=RATIO_STEPS)
        _draw_deviations(below, axis.edges, differences, around=0, steps=DIFFERENCE_STEPS)
        middle.set_ylabel("Ratio to\noriginal", fontsize="small", loc="center")
        below.set_ylabel("Change\n/ stat. error", fontsize="small", loc="center")
        for panel in (main, middle, below):
            _scale_values(panel, axis)
        main.tick_params(labelbottom=False)
        middle.tick_params(labelbottom=False)
        below.set_xlabel(axis.label)
        write_corner(main, style, _beyond_text(versions.values(), original=original))
        main.legend(loc="upper right")
        return _figure_of(main)


def residual(
    histogram: hist.Hist,
    stats: ColumnResiduals | None = None,
    *,
    bound: float | None = None,
    bound_text: str = "",
    title: str = "",
    style: Style = Style(),
    axes: Axes | None = None,
) -> Figure:
    """Draw the residual of a column, its numbers and its bound.

    Parameters
    ----------
    histogram
        Residuals.
    stats
        Numbers of all jets to write beside it: mean, σ, the central 68 % (drawn as a
        band), the 99 % quantile, and how many are beyond their bound.
    bound
        Largest residual that was promised, in the residual's unit, where there is a line to draw.
    bound_text
        How the bound is written, where it is another than that number.
    title
        What stands above the panel, such as the version's name.
    style
        What is written into the corner.
    axes
        Axes to draw on; by default those of a new figure.
    """
    with _atlas_style():
        panel = Figure().add_subplot() if axes is None else axes
        axis = histogram.axes[0]
        _draw_entries(panel, histogram, color=BLUE, linewidth=1.8)
        panel.set_xlim(axis.edges[0], axis.edges[-1])
        # Where most residuals are 0, the others would not be seen on a linear scale.
        entries = histogram.values()
        log = bool(0.5 * entries.sum() < entries.max(initial=0) < entries.sum())
        _scale_entries(panel, entries, headroom=HEADROOM["residual"], log=log)
        if stats is not None:
            _draw_stats(panel, stats)
        if bound is not None:
            for position in (-bound, bound):
                panel.axvline(
                    position, ymax=1 - HEADROOM["residual"], color=RED, linestyle="--", linewidth=1.6
                )
            panel.plot(
                [],
                [],
                color=RED,
                linestyle="--",
                linewidth=1.6,
                label=f"bound {bound_text or '±' + _number(bound)}",
            )
        elif bound_text:
            panel.plot([], [], " ", label=f"bound {bound_text}")
        if stats is not None and stats.violations is not None:
            panel.plot([], [], " ", label=f"{stats.violations} beyond the bound")
        panel.xaxis.set_major_locator(MaxNLocator(6, symmetric=True))
        panel.set_xlabel(axis.label, labelpad=22)  # below the axis' power of ten
        panel.set_ylabel(_entries_label(histogram))
        panel.set_title(title, loc="right", fontsize="small")
        write_corner(panel, style, _beyond_text([histogram], ""))
        if panel.get_legend_handles_labels()[0]:
            panel.legend(loc="upper right")
        return _figure_of(panel)


def response(
    histogram: hist.Hist | Mapping[str, hist.Hist],
    *,
    bound: Curve | None = None,
    references: Mapping[str, Curve] | None = None,
    style: Style = Style(),
    axes: tuple[Axes, Axes] | None = None,
) -> Figure:
    """Draw the median of a column's residual with its central 68 % in bins of another column; below, half that width.

    The band is filled for one version; of several, lines bound it. Bins of less than :data:`PROFILE_ENTRIES` entries are left out.

    Parameters
    ----------
    histogram
        Entries in bins of the other column and of the residual; of several versions by name.
    bound
        Largest residual that was promised, as a function of the other column.
    references
        What to draw beside the width, as functions of the other column, by name: a jet energy resolution, for instance.
    style
        What is written into the corner.
    axes
        Axes for response and resolution to draw on; by default those of a new figure.
    """
    versions = _versions(histogram)
    with _atlas_style():
        main, below = _two_panels() if axes is None else axes
        axis, residuals = next(iter(versions.values())).axes
        reach, widths = 0.0, []
        for (name, entries), (color, line) in zip(versions.items(), _looks(versions), strict=True):
            low, middle, high = profile(entries)
            look: dict[str, Any] = {"color": color, "linestyle": "-" if len(versions) == 1 else line}
            main.stairs(middle, axis.edges, baseline=None, linewidth=1.8, label=f"{name}: median", **look)
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
            reach = max(reach, _most(np.abs([low, high])))
        grid = _grid(axis)
        if bound is not None:
            promised = np.broadcast_to(np.asarray(bound(grid), np.float64), grid.shape)
            for sign in (-1, 1):
                main.plot(grid, sign * promised, color="black", linestyle="--", linewidth=1.2)
            below.plot(grid, promised, color="black", linestyle="--", linewidth=1.2, label="bound")
            # Twice the band, but the bound is worth to be seen near it.
            if np.nanmax(promised) < 5 * reach or reach == 0:
                reach = max(reach, float(np.nanmax(promised)))
        for (name, curve), color in zip((references or {}).items(), (GREY, "#a96b59"), strict=False):
            values = np.broadcast_to(np.asarray(curve(grid), np.float64), grid.shape)
            below.plot(grid, values, color=color, linewidth=2.5, label=name)
            widths.append(values)
        if bound is not None:
            widths.append(promised)
        main.axhline(0, color="black", linewidth=0.8, zorder=0)
        span, headroom = 1.25 * reach or 1e-3, _headroom("response", versions)
        main.set_ylim(-span, span * (1 + headroom) / (1 - headroom))
        main.yaxis.set_major_locator(MaxNLocator(6))
        main.set_ylabel(residuals.label, fontsize="medium")
        positive = np.concatenate([width[np.isfinite(width) & (width > 0)] for width in widths])
        width_label = "68% half-width"
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
                scale = _show_in_power(below.yaxis, most)
                width_label += f"\n[{scale}]" if scale else ""
        below.set_ylabel(width_label, fontsize="small", loc="center")
        for panel in (main, below):
            _scale_values(panel, axis)
        main.tick_params(labelbottom=False)
        below.set_xlabel(axis.label)
        if below.get_legend_handles_labels()[0]:
            below.legend(loc="upper right", fontsize="x-small", ncols=2)
        write_corner(main, style, _beyond_text(versions.values()))
        main.legend(loc="upper right")
        return _figure_of(main)


def profile(histogram: hist.Hist) -> tuple[FloatArray, FloatArray, FloatArray]:
    """16 %, 50 % and 84 % quantiles of the second axis in each bin of the first, entries spread evenly over their bins.

    NaN where there are less than :data:`PROFILE_ENTRIES` entries, and where the quantile lies beyond the axis.

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


def cut_flow(
    histogram: hist.Hist | Mapping[str, hist.Hist],
    *,
    style: Style = Style(),
    axes: tuple[Axes, Axes] | None = None,
) -> Figure:
    """Draw how many events pass each cut before and after; below, how many of them are lost and gained.

    Parameters
    ----------
    histogram
        Entries by cut and by "original", "restored" and "both"; of several versions by name.
    style
        What is written into the corner.
    axes
        Axes for numbers and changes to draw on; by default those of a new figure.
    """
    versions = _versions(histogram)
    with _atlas_style():
        main, below = _two_panels() if axes is None else axes
        first = next(iter(versions.values()))
        cuts = list(first.axes[0])
        edges = np.arange(len(cuts) + 1) - 0.5
        before = first[:, "original"].values()
        main.stairs(before, edges, fill=True, color=BLUE, alpha=0.35, label="Original")
        main.stairs(before, edges, baseline=None, color=BLUE, linewidth=1.2)
        changes = []
        for (name, entries), (color, line) in zip(versions.items(), _looks(versions), strict=True):
            after, both = entries[:, "restored"].values(), entries[:, "both"].values()
            main.stairs(after, edges, baseline=None, color=color, linestyle=line, linewidth=1.6, label=name)
            with np.errstate(divide="ignore", invalid="ignore"):
                lost, gained = (1e3 * np.nan_to_num((part - both) / before) for part in (before, after))
            below.stairs(gained, edges, fill=len(versions) == 1, alpha=0.5, color=color)
            below.stairs(-lost, edges, fill=len(versions) == 1, alpha=0.5, color=color)
            changes += [lost, gained]
            if len(versions) == 1:
                for i, (out, come) in enumerate(zip(before - both, after - both, strict=True)):
                    text = f"+{come:g}  −{out:g}" if out or come else "0"
                    below.annotate(
                        text,
                        (i, 0.93),
                        xycoords=("data", "axes fraction"),
                        ha="center",
                        va="top",
                        fontsize="x-small",
                    )
        _make_headroom(main, 0, before.max(initial=0) or 1, headroom=_headroom("cut_flow", versions))
        below.axhline(0, color="black", linewidth=0.8)
        reach = 1.9 * max(_most(change) for change in changes) or 1.0
        below.set_ylim(-reach, reach)
        below.yaxis.set_major_locator(MaxNLocator(4, symmetric=True))
        below.set_ylabel("Gained, lost\n[‰ of original]", fontsize="small", loc="center")
        main.set_ylabel(first.label)
        main.set_xlim(edges[0], edges[-1])
        main.tick_params(labelbottom=False)
        below.set_xlim(edges[0], edges[-1])
        for panel in (main, below):
            panel.tick_params(axis="x", which="minor", bottom=False, top=False)
        below.set_xticks(range(len(cuts)), cuts, fontsize="small")
        write_corner(main, style, "")
        main.legend(loc="upper right")
        return _figure_of(main)


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
        What is written into the corner.
    axes
        Axes to draw on, of shape (columns, columns); by default those of a new figure.
    """
    names = list(dict.fromkeys(name for pair in pairs for name in pair))
    with _atlas_style():
        labels = []
        for name in names:
            end = float(residuals[name].axes[0].edges[-1])
            unit = _unit_text(end, residual_unit(name))
            labels.append((change_label(name) + (f" [{unit}]" if unit else ""), end))
        grid = _matrix(len(names)) if axes is None else axes
        _draw_matrix(grid, [residuals[name] for name in names], labels)
        for row, column in combinations(range(len(names)), 2):
            pair = pairs[names[row], names[column]]
            _draw_image(grid[column, row], pair)
            coefficient = correlation_coefficient(pair)
            text = "–" if coefficient is None else f"{round(coefficient, 2) + 0.0:.2f}".replace("-", "−")
            grid[row, column].text(0.5, 0.45, text, ha="center", transform=grid[row, column].transAxes)
        _write_above(grid[0, 0], style)
        return _root(grid[0, 0])


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
        What is written into the corner.
    axes
        Axes to draw on; by default those of a new figure.
    """
    with _atlas_style():
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
        bar = _root(panel).colorbar(image, ax=panel, pad=0.02)
        if not log:
            _show_in_power(bar.ax.yaxis, top)
            unit = _unit_text(top, unit)
        bar.set_label(f"Largest |{histogram.label}|" + (f" [{unit}]" if unit else ""))
        if bound is not None:
            bar.ax.axhline(bound, color=RED, linewidth=3)
        panel.set_xlabel(eta.label)
        panel.set_ylabel(phi.label)
        panel.set_xlim(*eta.edges[[0, -1]])
        panel.set_ylim(*phi.edges[[0, -1]])
        text = f"largest: {_number(float(contents.max(initial=0)))}"
        beyond = float(histogram.values(flow=True)[[0, -1]].max(initial=0))
        text += f", beyond the axis: {_number(beyond)}" if beyond else ""
        text += f", bound: {_number(bound)}" if bound is not None else ""
        panel.annotate(text, (0, 0), (0, -26), "axes fraction", "offset points", va="top", fontsize="small")
        _write_above(panel, style)
        return _root(panel)


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
        What is written into the corner.
    axes
        Axes to draw on, of shape (latents, latents); by default those of a new figure.
    """
    names = list(dict.fromkeys(name for pair in pairs for name in pair)) or list(single)[:1]
    with _atlas_style():
        grid = _matrix(len(names)) if axes is None else axes
        _draw_matrix(
            grid, [single[name] for name in names], [(single[name].axes[0].label, 1.0) for name in names]
        )
        image = None
        for row, column in combinations(range(len(names)), 2):
            image = _draw_mean_pt(grid[column, row], pairs[names[row], names[column]])
        figure = _root(grid[0, 0])
        if image is not None:
            bar = figure.colorbar(image, ax=list(grid.flat), pad=0.02, shrink=0.7, anchor=(0, 0))
            bar.set_label(next(iter(pairs.values())).axes[2].label + ", mean of its logarithm")
        _write_above(grid[0, 0], style)
        return figure


def stored_bytes(
    files: Mapping[str, Mapping[str, float]], *, style: Style = Style(), axes: Axes | None = None
) -> Figure:
    """Draw what the coded columns of each file take, a bar a file.

    Parameters
    ----------
    files
        Bytes a jet by what takes them (a column, a latent, the payload), by file.
    style
        What is written into the corner.
    axes
        Axes to draw on; by default those of a new figure.
    """
    with _atlas_style():
        panel = Figure(figsize=(8, 2.6 + 0.7 * len(files))).add_subplot() if axes is None else axes
        shades = (BLUE, "#92dadd", "#b9ac70", GREY)
        longest = max((sum(parts.values()) for parts in files.values()), default=0) or 1
        for row, parts in enumerate(files.values()):
            left = 0.0
            for (name, size), color in zip(parts.items(), cycle(shades)):
                panel.barh(row, size, left=left, height=0.6, color=color, edgecolor="white")
                if size > 0.06 * longest:
                    panel.text(
                        left + size / 2,
                        row,
                        f"{name}\n{size:.2f}",
                        ha="center",
                        va="center",
                        fontsize="x-small",
                    )
                left += size
            panel.text(left + 0.01 * longest, row, f"{left:.2f}", va="center", fontsize="small")
        panel.set_yticks(range(len(files)), list(files), fontsize="small")
        panel.tick_params(axis="y", which="both", left=False, right=False)
        panel.set_ylim(len(files) - 0.4, -0.6 - 1.2)
        panel.set_xlim(0, 1.12 * longest)
        panel.set_xlabel("Bytes a jet")
        write_corner(panel, style)
        return _figure_of(panel)


def loss(
    history: Mapping[str, Sequence[Any]],
    *,
    style: Style = Style(),
    axes: Axes | None = None,
) -> Figure:
    """Draw the loss of each epoch.

    Parameters
    ----------
    history
        Columns of a run's metrics.csv: epoch, train_loss, validation_loss, test_loss. A loss that is missing or
        empty is left out.
    style
        What is written into the corner.
    axes
        Axes to draw on; by default those of a new figure.
    """
    with _atlas_style():
        panel = Figure().add_subplot() if axes is None else axes
        epochs = _numbers(history["epoch"])
        looks = {"train": (BLUE, "-"), "validation": (ORANGE, "--"), "test": (RED, ":")}
        for name, (color, line) in looks.items():
            losses = _numbers(history.get(f"{name}_loss", ()))
            if np.isfinite(losses).any():
                marker = "o" if epochs.size == 1 else ""
                panel.plot(
                    epochs, losses, color=color, linestyle=line, marker=marker, label=name.capitalize()
                )
        if panel.lines:
            low, high = panel.dataLim.minposy, panel.dataLim.y1
            panel.set_yscale("log")
            _make_headroom(panel, min(0.7 * low, 0.1 * high), high, headroom=HEADROOM["loss"])
            panel.yaxis.set_minor_formatter(NullFormatter())
            panel.set_xlim(epochs.min() - 0.5, epochs.max() + 0.5)
            panel.legend(loc="upper right")
        panel.xaxis.set_major_locator(MaxNLocator(8, integer=True, steps=[1, 2, 5, 10]))
        panel.set_xlabel("Epoch")
        panel.set_ylabel("Loss (mean squared error)")
        write_corner(panel, style)
        return _figure_of(panel)


def panels(count: int) -> list[Axes]:
    """Give a new figure of so many panels in two columns, for what is drawn once a version."""
    with _atlas_style():
        columns = min(count, 2)
        rows = math.ceil(count / columns)
        size = (8.0, 6.0) if count == 1 else (7.6 * columns, 6.0 * rows)
        axes = Figure(figsize=size).subplots(
            rows, columns, squeeze=False, gridspec_kw={"hspace": 0.35, "wspace": 0.3} if count > 1 else None
        )
        for unused in axes.flat[count:]:
            unused.remove()
        return list(axes.flat[:count])


def save(figure: Figure, path: Path | str, *, formats: Sequence[str] = ("png", "pdf")) -> list[Path]:
    """Write a figure, the same bytes each time it is drawn.

    Parameters
    ----------
    figure
        What to write.
    path
        Where, without a suffix. Its folder is made where it does not exist.
    formats
        Suffixes of the files, ``png`` or ``pdf``.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    OutputError
        If they cannot be written.
    """
    path = Path(path)
    written = []
    # Without the time of day and the version of matplotlib, a gallery changes only where a figure does.
    metadata: dict[str, dict[str, Any]] = {"png": {"Software": None}, "pdf": {"CreationDate": None}}
    for suffix in formats:
        target = path.parent / f"{path.name}.{suffix}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with _atlas_style():
                figure.savefig(target, dpi=150, metadata=metadata[suffix])
        except OSError as error:
            with suppress(OSError):
                target.unlink(missing_ok=True)
            raise OutputError(f"cannot write figure {target}: {error.strerror or error}") from error
        written.append(target)
    return written


def _atlas_style() -> AbstractContextManager[None]:
    """Style of ATLAS figures, of which only the word ATLAS is the collaboration's."""
    smaller = {"axes.labelsize": "large", "xtick.labelsize": "medium", "ytick.labelsize": "medium"}
    ticks = {"ytick.major.size": 10, "ytick.minor.size": 5, "xtick.major.size": 8, "xtick.minor.size": 4}
    figure = {"figure.figsize": (8.0, 6.0), "legend.borderpad": 0.6, "axes.formatter.limits": (-2, 5)}
    context: AbstractContextManager[None] = mpl.style.context([mplhep.style.ATLAS, smaller | ticks | figure])
    return context


def _two_panels() -> tuple[Axes, Axes]:
    figure = Figure(figsize=(8.0, 7.0))
    main, below = figure.subplots(2, 1, sharex=True, height_ratios=(1.9, 1), gridspec_kw={"hspace": 0.07})
    return main, below


def _three_panels() -> tuple[Axes, Axes, Axes]:
    figure = Figure(figsize=(8.0, 7.0))
    main, middle, below = figure.subplots(
        3, 1, sharex=True, height_ratios=(2.6, 1, 1), gridspec_kw={"hspace": 0.08}
    )
    return main, middle, below


def _matrix(size: int) -> NDArray[Any]:
    panels: NDArray[Any] = Figure(figsize=(9.0, 8.0)).subplots(
        size, size, squeeze=False, gridspec_kw={"hspace": 0.06, "wspace": 0.06}
    )
    return panels


def _versions(histograms: Any) -> Mapping[str, Any]:
    return histograms if isinstance(histograms, Mapping) else {"Restored": histograms}


def _headroom(kind: str, versions: Mapping[str, Any]) -> float:
    """With a line of the legend for each further version."""
    return min(HEADROOM[kind] + 0.08 * max(len(versions) - 2, 0), 0.62)


def _looks(versions: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return list(islice(cycle(LOOKS), len(versions)))


def _most(values: FloatArray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.max()) if finite.size else 0.0


def _grid(axis: hist.axis.Regular) -> FloatArray:
    """Points of an axis that are close enough for a curve."""
    low, high = axis.edges[0], axis.edges[-1]
    grid: FloatArray = (
        np.geomspace(low, high, 200) if axis.transform == transform.log else np.linspace(low, high, 200)
    )
    return grid


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
            _draw_entries(panel, single[column], color=BLUE, linewidth=1.4)
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
        _show_in_power(axis, reach)
        if shown:
            axis.set_label_text(label, fontsize="small")
    panel.xaxis.label.set(x=0.5, ha="center")
    panel.yaxis.label.set(y=0.5, ha="center")


def _show_in_power(axis: Axis, reach: float) -> str:
    """Show numbers up to ``reach`` in units of a power of ten; give that power as text."""
    axis.set_major_formatter(FuncFormatter(partial(_in_unit, 10.0 ** _power(reach))))
    return _unit_text(reach, "")


def _power(reach: float) -> int:
    power = math.floor(math.log10(reach)) if reach > 0 else 0
    return power if not -2 < power < 5 else 0


def _unit_text(reach: float, unit: str) -> str:
    power = _power(reach)
    return " ".join(part for part in (f"10$^{{{power}}}$" if power else "", unit) if part)


def _in_unit(unit: float, value: float, _: int) -> str:
    return f"{value / unit:g}".replace("-", "−")


def _figure_of(axes: Axes) -> Figure:
    figure = _root(axes)
    figure.align_ylabels()
    return figure


def _root(axes: Axes) -> Figure:
    figure = axes.get_figure(root=True)
    assert figure is not None
    return figure


def _draw_entries(axes: Axes, histogram: hist.Hist, **look: Any) -> None:
    mplhep.histplot(histogram, ax=axes, yerr=False, flow="none", **look)


def _scale_values(axes: Axes, axis: hist.axis.Regular) -> None:
    axes.set_xlim(axis.edges[0], axis.edges[-1])
    if axis.transform == transform.log:
        axes.set_xscale("log")
        if axis.edges[-1] < 1e4 * axis.edges[0]:  # room for numbers within the decades
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_formatter(NullFormatter())


def _scale_entries(
    axes: Axes, *values: NDArray[np.float64], headroom: float, log: bool | None = None
) -> None:
    """Scale the entries: logarithmic where they span more than a factor of 500, as falling spectra do."""
    filled = np.concatenate([content[content > 0] for content in values])
    if not filled.size:
        axes.set_ylim(0, 1)
        return
    peak = filled.max()
    if log is None:
        log = bool(peak > 500 * filled.min())
    axes.set_yscale("log" if log else "linear")
    _make_headroom(axes, 0.5 * filled.min() if log else 0.0, peak, headroom=headroom)


def _make_headroom(axes: Axes, low: float, high: float, *, headroom: float) -> None:
    """Show low to high below a part of the panel that is left free."""
    stretch = 1 / (1 - headroom)
    axes.set_ylim(
        low, low * (high / low) ** stretch if axes.get_yscale() == "log" else low + (high - low) * stretch
    )


def _draw_deviations(
    axes: Axes, edges: FloatArray, deviating: Sequence[FloatArray], *, around: float, steps: Sequence[float]
) -> None:
    axes.axhline(around, color="black", linewidth=0.8)
    # Bins with few jets may lie far off: they must not flatten all others, so they are marked at the panel's edge.
    deviations = np.abs(np.concatenate(deviating) - around)
    deviations = deviations[np.isfinite(deviations)]
    most = float(np.quantile(deviations, 0.9)) if deviations.size else 0.0
    step = next((step for step in steps if 1.2 * step >= most), steps[-1])
    reach = 1.4 * step
    axes.set_ylim(around - reach, around + reach)
    axes.set_yticks([around - step, around, around + step])
    centers = (edges[:-1] + edges[1:]) / 2
    for values, (color, _) in zip(deviating, islice(cycle(LOOKS), len(deviating)), strict=True):
        axes.stairs(values, edges, baseline=None, color=color, linewidth=1.6)
        for beyond, sign, marker in ((values > around + reach, 1, "^"), (values < around - reach, -1, "v")):
            edge = np.full(beyond.sum(), around + 0.88 * sign * reach)
            axes.plot(centers[beyond], edge, marker, color=color, markersize=5)
    axes.ticklabel_format(axis="y", useOffset=False, style="plain")


def _draw_stats(axes: Axes, stats: ColumnResiduals) -> None:
    for name, value in (("mean", stats.mean), (r"$\sigma$", stats.std)):
        if value is not None:
            axes.plot([], [], " ", label=f"{name}: {_number(value)}")
    if stats.median is not None and stats.p68 is not None:
        axes.axvspan(
            stats.median - stats.p68,
            stats.median + stats.p68,
            ymax=1 - HEADROOM["residual"],
            color=ORANGE,
            alpha=0.3,
            linewidth=0,
            zorder=0,
            label=f"68%: ±{_number(stats.p68)}",
        )
    if stats.p99 is not None:
        axes.plot([], [], " ", label=f"99%: ±{_number(stats.p99)}")


def write_corner(axes: Axes, style: Style, beyond: str = "") -> None:
    """Write the style's label into the corner of axes, and below it, small, what lies beyond them."""
    write = mplhep.cms.label if style.experiment == "CMS" else mplhep.atlas.label
    texts = write(
        style.label,
        exp=style.experiment or "hepae",
        data=True,  # otherwise "Simulation" is put before the label
        com=None if style.com is None else f"{style.com:g}",
        lumi=None if style.lumi is None else f"{style.lumi:g}",
        loc=4,
        fontstyle=(_slant(style), "normal", "normal", "normal"),
        math_fontfamily="stixsans",  # ATLAS' own has no root sign
        ax=axes,
    )
    lowest = [text for text in texts if text is not None and text.get_text()][-1]
    axes.annotate(
        beyond,
        (0, 0),
        (0, -5),
        xycoords=(texts[0], lowest),
        textcoords="offset points",
        va="top",
        fontsize="small",
        color="0.3",
    )


def _write_above(axes: Axes, style: Style) -> None:
    """Write what else stands in the corner above the panel, in one line; mplhep would make a figure in pyplot."""
    energy = "" if style.com is None else rf"$\sqrt{{s}}$ = {style.com:g} TeV"
    amount = "" if style.lumi is None else rf"{style.lumi:g} fb$^{{-1}}$"
    name = axes.annotate(
        style.experiment or "hepae",
        (0, 1),
        (0, 5),
        xycoords="axes fraction",
        textcoords="offset points",
        va="baseline",
        fontsize="large",
        fontweight="bold",
        fontstyle=_slant(style),
    )
    axes.annotate(
        ", ".join(part for part in (style.label, energy, amount) if part),
        (1, 1),
        (6, 5),
        xycoords=(name, axes.transAxes),
        textcoords="offset points",
        va="baseline",
        math_fontfamily="stixsans",
    )


def _slant(style: Style) -> Literal["normal", "italic"]:
    return "normal" if style.experiment == "CMS" else "italic"


def _beyond_text(
    histograms: Iterable[hist.Hist], what: str = "restored", *, original: hist.Hist | None = None
) -> str:
    """How many entries no bin shows, of several versions from the least to the most."""
    beyond = sorted(_beyond(histogram) for histogram in histograms)
    counted = [] if original is None else [([_beyond(original)], "original")]
    counted.append((beyond, what))
    if not any(counts[-1] for counts, _ in counted):
        return ""
    return "beyond the axis: " + ", ".join(
        " to ".join(f"{count:.6g}" for count in dict.fromkeys([counts[0], counts[-1]])) + f" {whose}".rstrip()
        for counts, whose in counted
    )


def _beyond(histogram: hist.Hist) -> float:
    """Entries, or weights, beyond the axes; of weights the difference of two sums would not be 0 where it is."""
    contents = histogram.values(flow=True).copy()
    contents[
        tuple(
            slice(int(axis.traits.underflow), len(axis) + int(axis.traits.underflow))
            for axis in histogram.axes
        )
    ] = 0
    return float(contents.sum())


def _entries_label(histogram: hist.Hist) -> str:
    return f"{histogram.label or 'Entries'} / bin"


def _number(value: float) -> str:
    """Two significant digits, in the field's notation where it is very small or large.

    >>> _number(-0.0123), _number(0.02), _number(12), _number(2134.0)
    ('−0.012', '0.020', '12', '2100')
    """
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 100:
        return f"{value:#.2g}".rstrip(".").replace("-", "−")
    if 100 <= abs(value) < 1e5:
        return f"{float(f'{value:.2g}'):.0f}".replace("-", "−")
    digits, exponent = f"{value:.1e}".split("e")
    return rf"{digits}×$\mathrm{{10^{{{int(exponent)}}}}}$".replace("-", "−")


def _numbers(column: Sequence[Any]) -> NDArray[np.float64]:
    return np.array([math.nan if value in ("", None) else value for value in column], np.float64)
