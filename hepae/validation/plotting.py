"""Figures in the field's style: a ``Hist`` goes in, a matplotlib ``Figure`` comes out.

Original and restored jets are the same jets. So their ratio is drawn plainly: errors and pulls as of two independent
samples would be wrong. What lies beyond an axis is counted on the figure.

Nothing is registered with pyplot, so there is nothing to close.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import matplotlib as mpl
import matplotlib.style
import mplhep
import numpy as np
from hist.axis import transform
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from hepae.errors import ConfigError, OutputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    import hist
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from hepae.validation.residuals import ColumnResiduals

Experiment = Literal["", "ATLAS", "CMS"]

# Of the colour sequence of M. A. Petroff, arXiv:2107.02270, which CMS recommends: told apart by colour-blind eyes.
BLUE, ORANGE, RED, GREY, VIOLET = "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6"

HEADROOM = {"comparison": 0.36, "residual": 0.42, "loss": 0.3}
"""Part of the panel's height that is kept free for the corner and the legend, by kind of figure."""

RATIO_STEPS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Distances from 1 of the ticks of a ratio."""


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


def comparison(
    original: hist.Hist,
    restored: hist.Hist,
    *,
    style: Style = Style(),
    axes: tuple[Axes, Axes] | None = None,
) -> Figure:
    """Draw a column of the original and of the restored jets, and below, the ratio of restored to original.

    The axis is logarithmic where the histogram's is, and the entries' where the spectrum falls steeply.

    Parameters
    ----------
    original, restored
        Histograms of the same axis.
    style
        What is written into the corner.
    axes
        Axes for spectrum and ratio to draw on; by default those of a new figure.
    """
    with _atlas_style():
        main, below = _two_panels() if axes is None else axes
        axis = original.axes[0]
        _draw_entries(main, original, color=BLUE, histtype="fill", alpha=0.35, label="Original")
        _draw_entries(main, original, color=BLUE, linewidth=1.2)
        _draw_entries(main, restored, color=RED, linewidth=1.6, linestyle="--", label="Restored")
        _scale_entries(main, original.values(), restored.values(), headroom=HEADROOM["comparison"])
        main.set_ylabel(_entries_label(original))
        _draw_ratio(below, axis.edges, original.values(), restored.values())
        for panel in (main, below):
            _scale_values(panel, axis)
        main.tick_params(labelbottom=False)
        below.set_xlabel(axis.label)
        _write_corner(main, style, _beyond_text(original, restored))
        main.legend(loc="upper right")
        return _figure_of(main)


def residual(
    histogram: hist.Hist,
    stats: ColumnResiduals | None = None,
    *,
    bound: float | None = None,
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
        band), the 99 % quantile.
    bound
        Largest residual that was promised, in the residual's unit.
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
            panel.plot([], [], color=RED, linestyle="--", linewidth=1.6, label=f"bound ±{_number(bound)}")
        panel.xaxis.set_major_locator(MaxNLocator(6, symmetric=True))
        panel.set_xlabel(axis.label, labelpad=22)  # below the axis' power of ten
        panel.set_ylabel(_entries_label(histogram))
        _write_corner(panel, style, _beyond_text(histogram))
        if panel.get_legend_handles_labels()[0]:
            panel.legend(loc="upper right")
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
        _write_corner(panel, style, "")
        return _figure_of(panel)


def save(figure: Figure, path: Path | str) -> list[Path]:
    """Write a figure as PNG and PDF, the same bytes each time it is drawn.

    Parameters
    ----------
    figure
        What to write.
    path
        Where, without a suffix. Its folder is made where it does not exist.

    Returns
    -------
    list of Path
        The two files.

    Raises
    ------
    OutputError
        If they cannot be written.
    """
    path = Path(path)
    written = []
    # Without the time of day and the version of matplotlib, a gallery changes only where a figure does.
    metadata: dict[str, dict[str, Any]] = {"png": {"Software": None}, "pdf": {"CreationDate": None}}
    for suffix, content in metadata.items():
        target = path.parent / f"{path.name}.{suffix}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with _atlas_style():
                figure.savefig(target, dpi=150, metadata=content)
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
    main, below = Figure().subplots(2, 1, sharex=True, height_ratios=(2.6, 1), gridspec_kw={"hspace": 0.06})
    return main, below


def _figure_of(axes: Axes) -> Figure:
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.align_ylabels()
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


def _draw_ratio(
    axes: Axes, edges: NDArray[np.float64], original: NDArray[np.float64], restored: NDArray[np.float64]
) -> None:
    ratio = np.divide(restored, original, out=np.full(original.shape, np.nan), where=original != 0)
    axes.axhline(1, color="black", linewidth=0.8)
    axes.stairs(ratio, edges, baseline=None, color=RED, linewidth=1.6)
    # Bins with few jets may lie far off: they must not flatten all others, so they are marked at the panel's edge.
    deviations = np.abs(ratio[np.isfinite(ratio)] - 1)
    most = float(np.quantile(deviations, 0.9)) if deviations.size else 0.0
    step = next((step for step in RATIO_STEPS if 1.2 * step >= most), RATIO_STEPS[-1])
    reach = 1.4 * step
    axes.set_ylim(1 - reach, 1 + reach)
    axes.set_yticks([1 - step, 1, 1 + step])
    centers = (edges[:-1] + edges[1:]) / 2
    for beyond, edge, marker in ((ratio > 1 + reach, 1 + reach, "^"), (ratio < 1 - reach, 1 - reach, "v")):
        shift = 0.12 * reach * (1 if marker == "v" else -1)
        axes.plot(centers[beyond], np.full(beyond.sum(), edge + shift), marker, color=RED, markersize=5)
    axes.ticklabel_format(axis="y", useOffset=False, style="plain")
    axes.set_ylabel("Restored / Original", fontsize="small", loc="center")


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


def _write_corner(axes: Axes, style: Style, beyond: str) -> None:
    write = mplhep.cms.label if style.experiment == "CMS" else mplhep.atlas.label
    texts = write(
        style.label,
        exp=style.experiment or "hepae",
        data=True,  # otherwise "Simulation" is put before the label
        com=style.com,
        lumi=style.lumi,
        loc=4,
        fontstyle=("normal" if style.experiment == "CMS" else "italic", "normal", "normal", "normal"),
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


def _beyond_text(*histograms: hist.Hist) -> str:
    """How many entries no bin shows."""
    beyond = [histogram.sum(flow=True) - histogram.sum() for histogram in histograms]
    if not any(beyond):
        return ""
    counts = (f"{count:.6g}" for count in beyond)
    if len(histograms) == 1:
        return f"beyond the axis: {next(counts)}"
    return "beyond the axis: {} original, {} restored".format(*counts)


def _entries_label(histogram: hist.Hist) -> str:
    return f"{histogram.label or 'Entries'} / bin"


def _number(value: float) -> str:
    """Two significant digits, in the field's notation where it is very small or large.

    >>> _number(-0.0123), _number(0.02), _number(12)
    ('−0.012', '0.020', '12')
    """
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e4:
        return f"{value:#.2g}".rstrip(".").replace("-", "−")
    digits, exponent = f"{value:.1e}".split("e")
    return rf"{digits}×$\mathrm{{10^{{{int(exponent)}}}}}$".replace("-", "−")


def _numbers(column: Sequence[Any]) -> NDArray[np.float64]:
    return np.array([math.nan if value in ("", None) else value for value in column], np.float64)
