"""Draw how the bounded codec works: the dithered grid, and what prediction saves.

    python analysis/explain_codec.py plots

The figures are codec_dither.png and codec_prediction.png, which the documentation shows. Values are rounded and coded by the
codec's own functions; the jets of the second figure are those of the bundled sample.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import awkward as ak
import click
import numpy as np
from benchmark_ideas import IDEAS, without
from benchmarks.jets import FOUR, read
from matplotlib.figure import Figure

from hepae.bounded.codec import compress_clusters
from hepae.bounded.dither import dither
from hepae.bounded.quantization import quantize
from hepae.bounds import DEFAULT_BOUNDS, Bound, Bounds
from hepae.samples import sample_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

BOUND = Bound(relative=0.01)
LOWEST = 50.0
LOOKS = {"fixed grid": "#bd1f01", "dithered grid": "#3f90da"}
"""Colour of each kind of grid."""


def restored(pt: Floats, shifts: Floats) -> Floats:
    """Round to the grid, which is shifted by these parts of its step for each jet, and restore."""
    return quantize("pt", pt, BOUND, shifts).complete(shifts)


def by_grid(pt: Floats) -> dict[str, Floats]:
    """Restored values, by the kind of the grid."""
    return {
        "fixed grid": restored(pt, np.zeros(len(pt))),
        "dithered grid": restored(pt, dither(1, 0, len(pt))),
    }


def draw_dither(values: int) -> Figure:
    """Restored against original values, and how far the bins of a falling spectrum move."""
    figure = Figure(figsize=(7, 8), layout="constrained")
    near, spectrum = figure.subplots(2, 1)
    pt = np.linspace(96, 108, 1500)
    for name, found in by_grid(pt).items():
        near.plot(pt, found, ".", ms=3, color=LOOKS[name], label=name)
    near.set_xlabel("original pt [GeV]")
    near.set_ylabel("restored pt [GeV]")
    near.set_title("bound 1 %", fontsize="medium")
    near.legend(frameon=False, markerscale=4)

    pt = LOWEST * (1 - np.random.default_rng(1).random(values)) ** (-1 / 4)
    edges = np.geomspace(1.2 * LOWEST, 4 * LOWEST, 41)
    truth, centres = np.histogram(pt, edges)[0], np.sqrt(edges[1:] * edges[:-1])
    for name, found in by_grid(pt).items():
        shift = 100 * (np.histogram(found, edges)[0] / truth - 1)
        spectrum.step(centres, shift, where="mid", color=LOOKS[name], label=name)
    spectrum.fill_between(
        centres, -100 / np.sqrt(truth), 100 / np.sqrt(truth), step="mid", color="0.85", label="±√N"
    )
    spectrum.set_xscale("log")
    spectrum.set_xticks([60, 80, 100, 150, 200], ["60", "80", "100", "150", "200"], minor=False)
    spectrum.minorticks_off()
    spectrum.set_xlabel("pt [GeV]")
    spectrum.set_ylabel("shift of each bin [%]")
    spectrum.set_title(f"{values:,} jets, bins 3 % wide", fontsize="medium")
    spectrum.legend(frameon=False, ncols=3, loc="upper right")
    spectrum.set_ylim(top=1.35 * spectrum.get_ylim()[1])
    return figure


def draw_prediction() -> Figure:
    """The angle between a jet and the recoil of the jets before it, and the bytes of each column."""
    columns, counts = read(sample_path(), FOUR)
    figure = Figure(figsize=(7, 8), layout="constrained")
    angle, sizes = figure.subplots(2, 1)
    draw_recoil(angle, ak.unflatten(ak.zip(columns), counts))

    bounds = Bounds(DEFAULT_BOUNDS).in_unit("GeV")
    with without({*IDEAS}):
        alone = compress_clusters(columns, counts, bounds)
    together = compress_clusters(columns, counts, bounds)
    places = np.arange(len(FOUR))
    looks = {"each column alone": (alone, -0.2, "0.7"), "with prediction": (together, 0.2, "#3f90da")}
    for label, (found, shift, color) in looks.items():
        of_column = [
            sum(len(cluster.columns[name].data) for cluster in found.clusters) / len(columns[name])
            for name in FOUR
        ]
        bars = sizes.bar(
            places + shift, of_column, 0.38, color=color, label=f"{label}: {sum(of_column):.2f} in all"
        )
        sizes.bar_label(bars, fmt="%.2f")
    sizes.set_xticks(places, FOUR)
    sizes.set_ylabel("bytes a jet")
    sizes.set_ylim(top=1.3 * sizes.get_ylim()[1])
    sizes.legend(frameon=False, loc="upper right")
    sizes.set_title("default bounds", fontsize="medium")
    return figure


def draw_recoil(axes: Axes, jets: ak.Array) -> None:
    """φ of the second jets as it is, and measured from the direction opposite to the first jets."""
    second = jets[ak.num(jets) > 1]
    phi = ak.to_numpy(second.phi[:, 1])
    recoil = ak.to_numpy(second.phi[:, 0]) + np.pi
    looks = {"φ": (phi, "0.7"), "φ − φ of the recoil": (phi - recoil, "#3f90da")}
    for label, (values, color) in looks.items():
        around = (values + np.pi) % (2 * np.pi) - np.pi
        axes.hist(around, bins=60, range=(-np.pi, np.pi), histtype="step", lw=2, color=color, label=label)
    axes.set_yscale("log")
    axes.set_xlabel("angle [rad]")
    axes.set_ylabel("second jets")
    axes.set_title("bundled PYTHIA dijets", fontsize="medium")
    axes.legend(frameon=False)


@click.command()
@click.argument("output", type=click.Path(path_type=Path, file_okay=False))
@click.option("--values", default=4_000_000, show_default=True, help="Jets of the falling spectrum.")
def main(output: Path, values: int) -> None:
    """Draw the figures into the folder OUTPUT, as PNG."""
    output.mkdir(parents=True, exist_ok=True)
    for name, figure in (
        ("codec_dither", draw_dither(values)),
        ("codec_prediction", draw_prediction()),
    ):
        figure.savefig(output / f"{name}.png", dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main()
