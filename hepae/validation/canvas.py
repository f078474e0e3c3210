"""What all figures share: the field's style, panels, scales, the text in the corner, and files.

Nothing is registered with pyplot, so there is nothing to close.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import matplotlib as mpl
import matplotlib.style
import mplhep
import numpy as np
from hist.axis import transform
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from hepae.errors import ConfigError, OutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractContextManager

    import hist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from numpy.typing import ArrayLike, NDArray

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


HEADROOM = {"residual": 0.42, "loss": 0.2}
"""Part of the panel's height that is kept free for the corner and the legend, by kind of figure."""

LINE = 0.095
"""Part of a panel's height that a line of the corner or the legend takes, where two or three panels share a figure."""


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


def panels(count: int) -> list[Axes]:
    """Give a new figure of so many panels in two columns, for what is drawn once a version."""
    with atlas_style():
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
            with atlas_style():
                figure.savefig(target, dpi=150, metadata=metadata[suffix])
        except OSError as error:
            with suppress(OSError):
                target.unlink(missing_ok=True)
            raise OutputError(f"cannot write figure {target}: {error.strerror or error}") from error
        written.append(target)
    return written


def atlas_style() -> AbstractContextManager[None]:
    """Style of ATLAS figures, of which only the word ATLAS is the collaboration's."""
    smaller = {"axes.labelsize": "large", "xtick.labelsize": "medium", "ytick.labelsize": "medium"}
    ticks = {"ytick.major.size": 10, "ytick.minor.size": 5, "xtick.major.size": 8, "xtick.minor.size": 4}
    figure = {"figure.figsize": (8.0, 6.0), "legend.borderpad": 0.6, "axes.formatter.limits": (-2, 5)}
    context: AbstractContextManager[None] = mpl.style.context([mplhep.style.ATLAS, smaller | ticks | figure])
    return context


def two_panels() -> tuple[Axes, Axes]:
    """Give the axes of a new figure: a large panel, and a small one below."""
    figure = Figure(figsize=(8.0, 7.0))
    main, below = figure.subplots(2, 1, sharex=True, height_ratios=(1.9, 1), gridspec_kw={"hspace": 0.07})
    return main, below


def by_version(histograms: Any) -> Mapping[str, Any]:
    """Histograms by the name of their version; one alone is called Restored."""
    return histograms if isinstance(histograms, Mapping) else {"Restored": histograms}


def headroom_of(legend: int, style: Style, beyond: str = "") -> float:
    """Part of the panel's height to keep free for so many lines of the legend, and for the corner beside it."""
    corner = 1 + (style.com is not None or style.lumi is not None) + bool(beyond)
    return min(0.09 + LINE * max(legend, corner), 0.62)


def version_looks(versions: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Colour and line of each version."""
    return list(islice(cycle(LOOKS), len(versions)))


def largest_finite(values: FloatArray) -> float:
    """Largest finite value, 0 where there is none."""
    finite = values[np.isfinite(values)]
    return float(finite.max()) if finite.size else 0.0


def show_in_power(axis: Axis, reach: float) -> str:
    """Show numbers up to ``reach`` in units of a power of ten; give that power as text."""
    axis.set_major_formatter(FuncFormatter(partial(_in_unit, 10.0 ** _power(reach))))
    return unit_text(reach, "")


def _power(reach: float) -> int:
    power = math.floor(math.log10(reach)) if reach > 0 else 0
    return power if not -2 < power < 5 else 0


def unit_text(reach: float, unit: str) -> str:
    """Unit of numbers up to ``reach``, with the power of ten that they are shown in."""
    power = _power(reach)
    return " ".join(part for part in (f"10$^{{{power}}}$" if power else "", unit) if part)


def _in_unit(unit: float, value: float, _: int) -> str:
    return f"{value / unit:g}".replace("-", "−")


def aligned_figure(axes: Axes) -> Figure:
    """Figure of these axes, with the labels of its panels aligned."""
    figure = root_figure(axes)
    figure.align_ylabels()
    return figure


def root_figure(axes: Axes) -> Figure:
    """Figure of these axes."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    return figure


def draw_entries(axes: Axes, histogram: hist.Hist, **look: Any) -> None:
    """Draw a histogram without errors and without what is beyond its axis."""
    mplhep.histplot(histogram, ax=axes, yerr=False, flow="none", **look)


def scale_values(axes: Axes, axis: hist.axis.Regular) -> None:
    """Scale the values as the axis does: logarithmic where it is."""
    axes.set_xlim(axis.edges[0], axis.edges[-1])
    if axis.transform == transform.log:
        axes.set_xscale("log")
        if axis.edges[-1] < 1e4 * axis.edges[0]:  # room for numbers within the decades
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_formatter(NullFormatter())


def scale_entries(axes: Axes, *values: NDArray[np.float64], headroom: float, log: bool | None = None) -> None:
    """Scale the entries: logarithmic where they span more than a factor of 500, as falling spectra do."""
    filled = np.concatenate([content[content > 0] for content in values])
    if not filled.size:
        axes.set_ylim(0, 1)
        return
    peak = filled.max()
    if log is None:
        log = bool(peak > 500 * filled.min())
    axes.set_yscale("log" if log else "linear")
    make_headroom(axes, 0.5 * filled.min() if log else 0.0, peak, headroom=headroom)


def make_headroom(axes: Axes, low: float, high: float, *, headroom: float) -> None:
    """Show low to high below a part of the panel that is left free."""
    stretch = 1 / (1 - headroom)
    axes.set_ylim(
        low, low * (high / low) ** stretch if axes.get_yscale() == "log" else low + (high - low) * stretch
    )


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


def write_above(axes: Axes, style: Style) -> None:
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


def beyond_text(
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


def entries_label(histogram: hist.Hist) -> str:
    """Label of the axis of entries."""
    return f"{histogram.label or 'Entries'} / bin"


def number_text(value: float) -> str:
    """Two significant digits, in the field's notation where it is very small or large.

    >>> number_text(-0.0123), number_text(0.02), number_text(12), number_text(2134.0)
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
