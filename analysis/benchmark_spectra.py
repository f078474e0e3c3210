"""What storing pt within a bound does to its spectrum, and to the cuts of an analysis.

    python analysis/benchmark_spectra.py --figure plots/spectra_shift.png

Ten million values of a falling spectrum are stored by each codec at one bound. Counted are the entries of each bin before
and after, and the jets that a cut keeps before and not after, or the reverse. An error within the bound moves jets over
the edges of bins whatever makes it; what independent uniform errors of that bound are expected to do stands below the
codecs as *migration alone*. Codecs that round to a fixed grid do more: bins hold one grid point more or less than others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import click
import numpy as np
from benchmarks.peers import SZ3, Chosen, truncated
from benchmarks.quantized import without_dither
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

import hepae
from hepae.bounds import Bounds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    from hepae.bounds import Bound

    Values = NDArray[np.float32]
    Trip = Callable[[Values], Values]
    """Store values and restore them."""

LOWEST, HIGHEST = 20.0, 7000.0
CUTS = (25.0, 30.0, 50.0, 100.0)
CHUNK = 1_000_000
WIDTHS = {"6 %": 0.06, "1 %": 0.01}
MIGRATION = "migration alone"
SHARE = {"6 %": 0.1, "1 %": 0.01}
"""Bins that hold this share of all jets, 10⁶ and 10⁵ of ten million, make the root mean square."""


@dataclass(frozen=True)
class Spectrum:
    """Values of pt in GeV with dN/dpt ∝ pt to the power −``power`` between `LOWEST` and `HIGHEST`."""

    values: int
    power: float
    seed: int

    def chunks(self) -> Iterator[Values]:
        """Generate the values, the same ones each time."""
        random = np.random.default_rng(self.seed)
        rise = 1 - self.power
        low, high = LOWEST**rise, HIGHEST**rise
        for start in range(0, self.values, CHUNK):
            uniform = random.random(min(CHUNK, self.values - start))
            yield ((low + uniform * (high - low)) ** (1 / rise)).astype(np.float32)

    def migrating(self, edges: ArrayLike, bound: Bound) -> NDArray[np.float64]:
        """Jets expected to cross these edges, up or down, under uniform errors within the bound.

        Of jets at a distance d below an edge, (a − d)/2a cross it where errors are uniform in ±a: a/4 of the density, and
        as many from above.
        """
        at = np.asarray(edges, np.float64)
        rise = 1 - self.power
        density = self.values * rise * at**-self.power / (HIGHEST**rise - LOWEST**rise)
        return density * bound.allowed(at) / 2

    def migrated(self, label: str, bound: Bound) -> NDArray[np.float64]:
        """Standard deviation of the shift of each bin that this makes: the crossings of both edges are Poisson counts."""
        crossing = self.migrating(bins(WIDTHS[label]), bound)
        return np.sqrt(crossing[:-1] + crossing[1:])


def bins(width: float) -> NDArray[np.float64]:
    """Edges of bins of this relative width, from just above the spectrum's own lower end: nothing comes in from below it."""
    first = LOWEST * 1.01
    return first * (1 + width) ** np.arange(int(np.log(HIGHEST / first) / np.log1p(width)) + 1)


@dataclass
class Counts:
    """Entries of each bin, by the bins' width."""

    entries: dict[str, NDArray[np.int64]] = field(default_factory=dict)

    def fill(self, values: Values) -> None:
        """Add values."""
        for label, width in WIDTHS.items():
            found = np.histogram(values, bins(width))[0]
            self.entries[label] = self.entries.get(label, np.zeros(len(found), np.int64)) + found


@dataclass
class Restored:
    """What a codec made of the spectrum: its bins, and the jets that crossed each cut."""

    counts: Counts = field(default_factory=Counts)
    crossed: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(CUTS), np.int64))

    def fill(self, original: Values, restored: Values) -> None:
        """Add values, and what became of them."""
        self.counts.fill(restored)
        self.crossed += [np.count_nonzero((original >= cut) != (restored >= cut)) for cut in CUTS]

    def shift(self, truth: Counts, label: str) -> NDArray[np.int64]:
        """Restored less original entries of each bin."""
        difference: NDArray[np.int64] = self.counts.entries[label] - truth.entries[label]
        return difference


def rms(numbers: NDArray[np.float64]) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(numbers**2)))


def by_hepae(codec: hepae.BoundedCodec) -> Trip:
    """Jets of this pt and nothing else, through the codec as anyone calls it."""

    def trip(values: Values) -> Values:
        others = dict.fromkeys(("eta", "phi", "mass"), np.zeros(len(values), np.float32))
        restored = codec.decompress(codec.compress(ak.zip({"pt": values, **others})))
        return ak.to_numpy(restored.pt).astype(np.float32)

    return trip


def by_sz3(sample: Values, bound: Bound) -> Trip:
    """SZ3 with the predictor that is best on a sample, each chunk on its own."""
    chosen = Chosen.of("pt", sample, bound, SZ3)
    if chosen is None:
        raise click.ClickException(f"SZ3 cannot hold {bound}")
    return lambda values: chosen.code(values)[1]()


def compare(spectrum: Spectrum, bound: Bound) -> tuple[Counts, dict[str, Restored]]:
    """Send the spectrum through every codec, chunk by chunk."""
    trips: dict[str, Trip] = {
        "mantissa truncation": lambda pt: truncated(pt, bound),
        "SZ3": by_sz3(next(spectrum.chunks()), bound),
        "hepae without dither": lambda pt: without_dither("pt", pt, bound),
        "hepae": by_hepae(hepae.BoundedCodec({"pt": bound})),
        "hepae, edges at the cuts": by_hepae(hepae.BoundedCodec({"pt": bound}, {"pt": CUTS})),
    }
    truth, results = Counts(), {name: Restored() for name in trips}
    for pt in spectrum.chunks():
        truth.fill(pt)
        for name, trip in trips.items():
            results[name].fill(pt, trip(pt))
    return truth, results


@click.command()
@click.option("--values", default=10_000_000, show_default=True, help="How many.")
@click.option("--power", default=6.0, show_default=True, help="dN/dpt falls with this power of pt.")
@click.option("--bound", "asked", default="0.1%", show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--figure", type=click.Path(path_type=Path), help="Draw the shifts into a PNG.")
def main(values: int, power: float, asked: str, seed: int, figure: Path | None) -> None:
    """Count what each codec does to a falling spectrum."""
    bound = Bounds.parse({"pt": asked}).in_unit("GeV").of("pt")[0]
    spectrum = Spectrum(values, power, seed)
    truth, results = compare(spectrum, bound)
    title = f"{values:,} jets, falling as pt^−{power:g} from {LOWEST:g} GeV, |error| ≤ {bound}"
    show(title, spectrum, bound, truth, results)
    if figure is not None:
        draw(title, spectrum, truth, results, figure)


def show(title: str, spectrum: Spectrum, bound: Bound, truth: Counts, results: dict[str, Restored]) -> None:
    """Print the table."""
    table = Table(title=title, title_justify="left")
    table.add_column("rms shift of bins")
    shifts: dict[str, dict[str, NDArray[np.float64]]] = {
        label: {
            **{name: result.shift(truth, label).astype(float) for name, result in results.items()},
            MIGRATION: spectrum.migrated(label, bound),
        }
        for label in WIDTHS
    }
    crossed: dict[str, NDArray[Any]] = {name: result.crossed for name, result in results.items()}
    crossed[MIGRATION] = spectrum.migrating(CUTS, bound)
    cells: dict[str, list[str]] = {name: [] for name in crossed}
    for label in WIDTHS:
        entries = truth.entries[label]
        fewest = SHARE[label] * spectrum.values
        full = entries >= fewest
        table.add_column(f"{np.count_nonzero(full)} bins\n{label} wide\n≥ {fewest:,.0f}\n%", justify="right")
        table.add_column("\n\n\n/ √N", justify="right")
        for name, shift in shifts[label].items():
            cells[name].append(f"{100 * rms(shift[full] / entries[full]):.4f}")
            cells[name].append(f"{rms(shift[full] / np.sqrt(entries[full])):.3f}")
    for cut in CUTS:
        table.add_column(f"jets\nacross\n{cut:g} GeV", justify="right")
    for name, counts in crossed.items():
        table.add_row(name, *cells[name], *(f"{count:,.0f}" for count in counts))
    Console(width=120).print(table)


DRAWN = {
    "mantissa truncation": "tab:red",
    "SZ3": "tab:orange",
    "hepae without dither": "tab:blue",
    "hepae": "black",
}


def draw(title: str, spectrum: Spectrum, truth: Counts, results: dict[str, Restored], path: Path) -> None:
    """Shift of every bin against pt: a row for each codec, a column for each width."""
    figure = Figure(figsize=(10, 7.5), layout="constrained")
    rows = figure.subplots(len(DRAWN), len(WIDTHS), sharex=True, sharey="col")
    for row, name in zip(rows, DRAWN, strict=True):
        for axes, label in zip(row, WIDTHS, strict=True):
            draw_shifts(axes, spectrum.values, label, truth, results[name], DRAWN[name])
        row[0].set_ylabel(f"{name}\nshift [%]")
    for axes, label in zip(rows[0], WIDTHS, strict=True):
        axes.set_title(f"bins {label} wide; band: ±√N", fontsize="medium")
    for axes in rows[-1]:
        axes.set_xlabel("pt [GeV]")
    figure.suptitle(title, fontsize="medium")
    figure.savefig(path, dpi=110, metadata={"Software": None})


def draw_shifts(axes: Axes, values: int, label: str, truth: Counts, restored: Restored, color: str) -> None:
    """Shifts of the fuller bins, over the band of the original's own statistical error."""
    entries = truth.entries[label]
    shown = int(np.argmax(np.append(entries, 0) < values * WIDTHS[label] / 60))
    edges, entries = bins(WIDTHS[label])[: shown + 1], entries[:shown]
    band = 100 / np.sqrt(np.append(entries, entries[-1:]))
    axes.fill_between(edges, -band, band, step="post", color="0.8", lw=0)
    shifts = 100 * restored.shift(truth, label)[:shown] / entries
    axes.stairs(shifts, edges, baseline=None, color=color, lw=1.5)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("{x:g}")
    axes.grid(axis="y", alpha=0.3)


if __name__ == "__main__":
    main()
