"""Figures in the field's style: a ``Hist`` goes in, a matplotlib ``Figure`` comes out.

Original and restored jets are the same jets. So their ratio is drawn plainly: errors and pulls as of two independent
samples would be wrong. What lies beyond an axis is counted on the figure. Scaling all weights changes no ratio.

Nothing is registered with pyplot, so there is nothing to close.
"""

from __future__ import annotations

import math
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from hepae.validation.canvas import (
    BLUE,
    GREY,
    HEADROOM,
    LOOKS,
    ORANGE,
    RED,
    Style,
    aligned_figure,
    atlas_style,
    beyond_text,
    by_version,
    draw_entries,
    entries_label,
    headroom_of,
    largest_finite,
    make_headroom,
    number_text,
    root_figure,
    scale_entries,
    scale_values,
    two_panels,
    version_looks,
    write_corner,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import hist
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    from hepae.validation.residuals import ColumnResiduals

    FloatArray = NDArray[np.float64]
    Curve = Callable[[FloatArray], ArrayLike]


MOST_PARTS = 8
"""Parts of a bar of bytes whose names have room in it."""

MOST_ROWS = 30
"""Rows of a figure of bytes; what takes less has none."""

RATIO_STEPS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Distances from 1 of the ticks of a ratio."""

DIFFERENCE_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
"""Distances from 0 of the ticks of a difference over the statistical error."""


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
        Label in the corner.
    axes
        Axes for spectrum, ratio and difference to draw on; by default those of a new figure.
    """
    versions = by_version(restored)
    with atlas_style():
        main, middle, below = _three_panels() if axes is None else axes
        axis = original.axes[0]
        draw_entries(main, original, color=BLUE, histtype="fill", alpha=0.35, label="Original")
        draw_entries(main, original, color=BLUE, linewidth=1.2)
        for (name, histogram), (color, line) in zip(versions.items(), version_looks(versions), strict=True):
            draw_entries(main, histogram, color=color, linewidth=1.6, linestyle=line, label=name)
        contents = [histogram.values() for histogram in versions.values()]
        beyond = beyond_text(versions.values(), original=original)
        headroom = headroom_of(1 + len(versions), style, beyond)
        scale_entries(main, original.values(), *contents, headroom=headroom)
        main.set_ylabel(entries_label(original))
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
            scale_values(panel, axis)
        main.tick_params(labelbottom=False)
        middle.tick_params(labelbottom=False)
        below.set_xlabel(axis.label)
        write_corner(main, style, beyond)
        main.legend(loc="upper right")
        return aligned_figure(main)


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
        Label in the corner.
    axes
        Axes to draw on; by default those of a new figure.
    """
    with atlas_style():
        panel = Figure().add_subplot() if axes is None else axes
        axis = histogram.axes[0]
        draw_entries(panel, histogram, color=BLUE, linewidth=1.8)
        panel.set_xlim(axis.edges[0], axis.edges[-1])
        # Where most residuals are 0, the others would not be seen on a linear scale.
        entries = histogram.values()
        log = bool(0.5 * entries.sum() < entries.max(initial=0) < entries.sum())
        scale_entries(panel, entries, headroom=HEADROOM["residual"], log=log)
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
                label=f"bound {bound_text or '±' + number_text(bound)}",
            )
        elif bound_text:
            panel.plot([], [], " ", label=f"bound {bound_text}")
        if stats is not None and stats.violations is not None:
            panel.plot([], [], " ", label=f"{stats.violations} beyond the bound")
        panel.xaxis.set_major_locator(MaxNLocator(6, symmetric=True))
        panel.set_xlabel(axis.label, labelpad=22)  # below the axis' power of ten
        panel.set_ylabel(entries_label(histogram))
        panel.set_title(title, loc="right", fontsize="small")
        write_corner(panel, style, beyond_text([histogram], ""))
        if panel.get_legend_handles_labels()[0]:
            panel.legend(loc="upper right")
        return aligned_figure(panel)


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
        Label in the corner.
    axes
        Axes for numbers and changes to draw on; by default those of a new figure.
    """
    versions = by_version(histogram)
    with atlas_style():
        main, below = two_panels() if axes is None else axes
        first = next(iter(versions.values()))
        cuts = list(first.axes[0])
        edges = np.arange(len(cuts) + 1) - 0.5
        before = first[:, "original"].values()
        main.stairs(before, edges, fill=True, color=BLUE, alpha=0.35, label="Original")
        main.stairs(before, edges, baseline=None, color=BLUE, linewidth=1.2)
        changes = []
        for (name, entries), (color, line) in zip(versions.items(), version_looks(versions), strict=True):
            after, both = entries[:, "restored"].values(), entries[:, "both"].values()
            main.stairs(after, edges, baseline=None, color=color, linestyle=line, linewidth=1.6, label=name)
            with np.errstate(divide="ignore", invalid="ignore"):
                lost, gained = (1e3 * np.nan_to_num((part - both) / before) for part in (before, after))
            changes += [lost, gained]
            if len(versions) > 1:
                below.stairs(gained, edges, color=color, label=name, linestyle=line)
                below.stairs(-lost, edges, color=color, linestyle=line)
            else:
                below.stairs(gained, edges, fill=True, color=RED, alpha=0.6, label="gained")
                below.stairs(-lost, edges, fill=True, color=GREY, alpha=0.8, label="lost")
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
        make_headroom(main, 0, before.max(initial=0) or 1, headroom=headroom_of(1 + len(versions), style))
        below.axhline(0, color="black", linewidth=0.8)
        reach = 1.9 * max(largest_finite(change) for change in changes) or 1.0
        below.set_ylim(-reach, reach)
        below.yaxis.set_major_locator(MaxNLocator(4, symmetric=True))
        below.set_ylabel("Gained, lost\n[‰ of original]", fontsize="small", loc="center")
        main.set_ylabel(first.label)
        main.set_xlim(edges[0], edges[-1])
        main.tick_params(labelbottom=False)
        below.set_xlim(edges[0], edges[-1])
        # Of one version the numbers stand above its bars.
        below.legend(
            loc="lower left" if len(versions) == 1 else "upper left",
            ncols=max(2, len(versions)),
            fontsize="x-small",
        )
        for panel in (main, below):
            panel.tick_params(axis="x", which="minor", bottom=False, top=False)
        below.set_xticks(range(len(cuts)), cuts, fontsize="small")
        write_corner(main, style, "")
        main.legend(loc="upper right")
        return aligned_figure(main)


def stored_bytes(
    files: Mapping[str, Mapping[str, float]], *, style: Style = Style(), axes: Axes | None = None
) -> Figure:
    """Draw what the coded columns of each file take: a bar a file or, of more than :data:`MOST_PARTS` parts, a row a part.

    Parameters
    ----------
    files
        Bytes a jet by what takes them (a column, a latent, the payload), by file.
    style
        Label in the corner.
    axes
        Axes to draw on; by default those of a new figure.
    """
    parts = list(dict.fromkeys(part for sizes in files.values() for part in sizes))
    if len(parts) > MOST_PARTS:
        return _bytes_by_part(files, parts, style, axes)
    with atlas_style():
        panel = Figure(figsize=(8, 2.6 + 0.7 * len(files))).add_subplot() if axes is None else axes
        shades = (BLUE, "#92dadd", "#b9ac70", GREY)
        longest = max((sum(parts.values()) for parts in files.values()), default=0) or 1
        for row, sizes in enumerate(files.values()):
            left = 0.0
            for (name, size), color in zip(sizes.items(), cycle(shades)):
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
        return aligned_figure(panel)


def _bytes_by_part(
    files: Mapping[str, Mapping[str, float]], parts: Sequence[str], style: Style, axes: Axes | None
) -> Figure:
    """Draw a row for each part with a bar for each file, the largest first: names in one bar would overprint each other."""
    every = len(parts)
    parts = sorted(parts, key=lambda part: -max(sizes.get(part, 0.0) for sizes in files.values()))[:MOST_ROWS]
    with atlas_style():
        height = 1.6 + len(parts) * (0.12 + 0.16 * len(files))
        panel = axes or Figure(figsize=(8, height)).add_subplot()
        if axes is None:  # room for the longest name
            root_figure(panel).subplots_adjust(left=min(0.5, 0.04 + 0.0115 * max(map(len, parts))))
        shades = (GREY, BLUE, "#b9ac70", "#92dadd", "#bd1f01")
        thick = 0.8 / len(files)
        longest = max(size for sizes in files.values() for size in sizes.values()) or 1.0
        for number, ((name, sizes), color) in enumerate(zip(files.items(), cycle(shades))):
            rows = [row for row, part in enumerate(parts) if part in sizes]
            widths = [sizes[parts[row]] for row in rows]
            places = [row + (number - (len(files) - 1) / 2) * thick for row in rows]
            label = f"{name}: {sum(sizes.values()):.2f} B"
            panel.barh(places, widths, height=0.9 * thick, color=color, label=label)
            for place, width in zip(places, widths, strict=True):
                panel.text(width + 0.01 * longest, place, f"{width:.2f}", va="center", fontsize="xx-small")
        panel.set_yticks(range(len(parts)), parts, fontsize="small")
        panel.tick_params(axis="y", which="both", left=False, right=False)
        panel.set_ylim(len(parts) - 0.4, -2.2 - 0.5 * len(files))  # room for the corner and the legend
        panel.set_xlim(0, 1.15 * longest)
        panel.set_xlabel(
            "Bytes a jet" + (f" (the {len(parts)} largest of {every})" if every > len(parts) else "")
        )
        panel.legend(loc="upper right", fontsize="small")
        write_corner(panel, style)
        return aligned_figure(panel)


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
        Label in the corner.
    axes
        Axes to draw on; by default those of a new figure.
    """
    with atlas_style():
        panel = Figure().add_subplot() if axes is None else axes
        epochs = _numbers(history["epoch"]) + 1
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
            make_headroom(panel, min(0.7 * low, 0.1 * high), high, headroom=HEADROOM["loss"])
            panel.yaxis.set_minor_formatter(NullFormatter())
            panel.set_xscale("log")  # most of the loss falls in the first epochs
            panel.set_xlim(0.9 * epochs.min(), 1.1 * epochs.max())
            panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            panel.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            panel.xaxis.set_minor_formatter(NullFormatter())
            panel.legend(loc="upper right")
        panel.set_xlabel("Epoch")
        panel.set_ylabel("Loss (mean squared error)")
        write_corner(panel, style)
        return aligned_figure(panel)


def _three_panels() -> tuple[Axes, Axes, Axes]:
    figure = Figure(figsize=(8.0, 7.0))
    main, middle, below = figure.subplots(
        3, 1, sharex=True, height_ratios=(2.6, 1, 1), gridspec_kw={"hspace": 0.08}
    )
    return main, middle, below


def _draw_deviations(
    axes: Axes, edges: FloatArray, deviating: Sequence[FloatArray], *, around: float, steps: Sequence[float]
) -> None:
    axes.axhline(around, color="black", linewidth=0.8)
    # Bins with few jets may lie far off: they must not flatten all others, so they are marked at the panel's edge.
    deviations = np.abs(np.concatenate(deviating) - around)
    deviations = deviations[np.isfinite(deviations) & (deviations > 0)]
    most = float(np.quantile(deviations, 0.9)) if deviations.size else 0.0
    step = next((step for step in steps if 1.2 * step >= most), steps[-1])
    reach = 1.4 * step
    axes.set_ylim(around - reach, around + reach)
    axes.set_yticks([around - step, around, around + step])
    centers = (edges[:-1] + edges[1:]) / 2
    # Of several versions the first ones are drawn broader, and show behind the others where they agree.
    widths = [1.6] if len(deviating) == 1 else np.linspace(3.6, 1.2, len(deviating)).tolist()
    looks = islice(cycle(LOOKS), len(deviating))
    for values, width, (color, _) in zip(deviating, widths, looks, strict=True):
        axes.stairs(values, edges, baseline=None, color=color, linewidth=width)
        for beyond, sign, marker in ((values > around + reach, 1, "^"), (values < around - reach, -1, "v")):
            edge = np.full(beyond.sum(), around + 0.88 * sign * reach)
            axes.plot(centers[beyond], edge, marker, color=color, markersize=5)
    axes.ticklabel_format(axis="y", useOffset=False, style="plain")


def _draw_stats(axes: Axes, stats: ColumnResiduals) -> None:
    for name, value in (("mean", stats.mean), (r"$\sigma$", stats.std)):
        if value is not None:
            axes.plot([], [], " ", label=f"{name}: {number_text(value)}")
    if stats.median is not None and stats.p68 is not None:
        axes.axvspan(
            stats.median - stats.p68,
            stats.median + stats.p68,
            ymax=1 - HEADROOM["residual"],
            color=ORANGE,
            alpha=0.3,
            linewidth=0,
            zorder=0,
            label=f"68%: ±{number_text(stats.p68)}",
        )
    if stats.p99 is not None:
        axes.plot([], [], " ", label=f"99%: ±{number_text(stats.p99)}")


def _numbers(column: Sequence[Any]) -> NDArray[np.float64]:
    return np.array([math.nan if value in ("", None) else value for value in column], np.float64)
