"""Mass of the two leading jets, in the binning of a search for resonances: what compression does to it.

    python analysis/dijet_mass.py fileset.json --version bounded=bounded/fileset.json --version latent=latent/fileset.json \
        --truncate 24 -o plots

The same processor counts the original and each compressed fileset: the spectrum in bins that grow with the mass, and a cut-flow
(two jets within |eta| < 2.4, the leading one above 100 GeV). A second one compares the mass event by event: its shift and its width
in each bin. Floats cut to so many bits stand beside them: --truncate 24 takes the 12 bytes a jet of three float32 latents.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import click
import hist
import jobs
import mplhep
import numpy as np
from coffea.nanoevents import NanoAODSchema, NanoEventsFactory
from coffea.processor import ProcessorABC
from matplotlib import pyplot as plt
from rich.console import Console
from rich.table import Table

import hepae
from hepae.errors import ConfigError, InputError
from hepae.processors import files_of
from hepae.processors.compression import file_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

LEADING_PT, ETA, MASS_RANGE, BINS = 100.0, 2.4, (100.0, 8000.0), 75
"""GeV and bins 6 % wide: about the mass resolution of two jets."""

CUTS = ("all events", "two jets within |eta| < 2.4", "leading pt > 100 GeV")
FEW = 100
"""Entries that a bin has at least to be judged."""


def mass_axis() -> Any:
    transform = hist.axis.transform.log
    return hist.axis.Regular(BINS, *MASS_RANGE, transform=transform, name="mass", label=r"$m_{jj}$ [GeV]")


def shift_axis() -> Any:
    """Relative change of the mass: fine near 0, where bounded files are, and wide where latents are."""
    edges = np.geomspace(1e-7, 1, 701)
    return hist.axis.Variable([*-edges[::-1], *edges], name="shift", label=r"$m$ / $m^\mathrm{original}$ − 1")


@dataclass(frozen=True)
class Selection:
    """Which events pass each cut, and the mass of the two leading jets of those that pass all (shape: of these)."""

    passing: dict[str, NDArray[np.bool_]]
    mass: NDArray[np.float64]

    @property
    def selected(self) -> NDArray[np.bool_]:
        """Events that pass all cuts."""
        return self.passing[CUTS[-1]]


def select(jets: ak.Array) -> Selection:
    """Select events by their jets, which have the methods of a schema's jets: one list an event, in GeV."""
    central = jets[abs(jets.eta) < ETA]
    two = ak.to_numpy(ak.num(central) >= 2)
    leading = ak.to_numpy(ak.fill_none(ak.max(central.pt, axis=1), 0.0)) > LEADING_PT
    selected = two & leading
    chosen = central[selected]
    chosen = chosen[ak.argsort(chosen.pt, axis=1, ascending=False)]
    mass = ak.to_numpy((chosen[:, 0] + chosen[:, 1]).mass).astype(np.float64)
    return Selection(dict(zip(CUTS, (np.ones(len(jets), bool), two, selected), strict=True)), mass)


def truncated(jets: ak.Array, bits: int) -> ak.Array:
    """Jets whose float32 columns keep so many bits, rounded."""
    for name in ("pt", "eta", "phi", "mass"):
        counts = ak.num(jets)
        values = ak.to_numpy(ak.flatten(jets[name])).astype(np.float32)
        dropped = 32 - bits
        whole = (values.view(np.uint32).astype(np.uint64) + (1 << dropped >> 1)) >> dropped << dropped
        jets = ak.with_field(jets, ak.unflatten(whole.astype(np.uint32).view(np.float32), counts), name)
    return jets


class DijetMass(ProcessorABC):
    """Spectrum and cut-flow of a fileset, be it compressed or not.

    Parameters
    ----------
    bits
        Cut the jets' floats to so many bits first.
    """

    def __init__(self, bits: int | None = None):
        self.bits = bits

    def process(self, events: Any) -> dict[str, Any]:
        """Count one chunk."""
        events = hepae.restore(events)
        found = select(events.Jet if self.bits is None else truncated(events.Jet, self.bits))
        mass = hist.Hist(mass_axis(), storage=hist.storage.Double(), label="Events").fill(found.mass)
        passing = {cut: int(events_passing.sum()) for cut, events_passing in found.passing.items()}
        # A sum over the events that passed, whatever their order: equal only for the same events.
        numbers = ak.to_numpy(events.event)[found.selected].astype(np.uint64)
        hashes = (numbers + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        hashes ^= hashes >> np.uint64(29)
        which = sum(int(value) for value in hashes)
        return {events.metadata["dataset"]: {"mass": mass, "cut_flow": passing, "which": which}}

    def postprocess(self, accumulator: Any) -> Any:
        """Nothing is left to do."""
        return accumulator


class DijetShift(ProcessorABC):
    """Change of the mass, event by event, between a fileset and its compressed files or truncated jets.

    Parameters
    ----------
    versions
        By name: the compressed file of each dataset and its tree, or the bits of truncated floats.
    offsets
        By dataset and file: the entry of the compressed file at which it begins.
    """

    def __init__(
        self,
        versions: Mapping[str, Mapping[str, tuple[str, str]] | int],
        offsets: Mapping[str, Mapping[str, int]],
    ):
        self.versions, self.offsets = versions, offsets

    def process(self, events: Any) -> dict[str, Any]:
        """Compare one chunk."""
        chunk = events.metadata
        first = self.offsets[chunk["dataset"]][chunk["filename"]]
        start, stop = first + chunk["entrystart"], first + chunk["entrystop"]
        before = select(events.Jet)
        shifts = {}
        for name, version in self.versions.items():
            if isinstance(version, int):
                jets = truncated(events.Jet, version)
            else:
                path, tree = version[chunk["dataset"]]
                compressed = NanoEventsFactory.from_root(
                    {path: tree}, schemaclass=NanoAODSchema, entry_start=start, entry_stop=stop
                )
                jets = hepae.restore(compressed.events()).Jet
            after = select(jets)
            both = before.selected & after.selected
            old, new = before.mass[both[before.selected]], after.mass[both[after.selected]]
            shifts[name] = hist.Hist(mass_axis(), shift_axis(), storage=hist.storage.Double()).fill(
                old, new / old - 1
            )
        return {chunk["dataset"]: shifts}

    def postprocess(self, accumulator: Any) -> Any:
        """Nothing is left to do."""
        return accumulator


def shift_and_width(histogram: hist.Hist) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Median and half the central 68 % of the shift in each bin of the mass; NaN where there are few events."""
    edges = histogram.axes[1].edges
    medians, widths = np.full(BINS, np.nan), np.full(BINS, np.nan)
    for i, counts in enumerate(histogram.values()):
        if counts.sum() >= FEW:
            reached = np.append(0, np.cumsum(counts)) / counts.sum()
            low, medians[i], high = np.interp([0.16, 0.5, 0.84], reached, edges)
            widths[i] = (high - low) / 2
    return medians, widths


def migration(original: hist.Hist, other: hist.Hist) -> NDArray[np.float64]:
    """(other − original) / √original in each bin; NaN where there are few events."""
    before = original.values()
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(before >= FEW, (other.values() - before) / np.sqrt(before), np.nan)


def draw(spectra: Mapping[str, hist.Hist], shifts: Mapping[str, hist.Hist]) -> Figure:
    """Spectra; below, what migrates between bins; below that, the width of the mass' change."""
    order = ("tab:red", "tab:blue", "tab:green", "tab:purple", "tab:brown", "tab:orange", "tab:cyan")
    colours = dict(zip(shifts, itertools.cycle(order)))  # a cycle has no end
    with plt.style.context(
        [
            mplhep.style.ATLAS,
            {"figure.figsize": (8, 8), "axes.labelsize": "large", "mathtext.fontset": "stixsans"},
        ]
    ):
        figure, (top, middle, bottom) = plt.subplots(
            3, 1, sharex=True, height_ratios=(2.2, 1, 1), gridspec_kw={"hspace": 0.08}
        )
        original = spectra["original"]
        mplhep.histplot(
            original, ax=top, yerr=False, flow="none", histtype="fill", color="0.85", label="Original"
        )
        for name, colour in colours.items():
            mplhep.histplot(
                spectra[name], ax=top, yerr=False, flow="none", color=colour, linewidth=1.2, label=name
            )
            moved = migration(original, spectra[name])
            middle.stairs(moved, original.axes[0].edges, baseline=None, color=colour, linewidth=1.4)
            medians, widths = shift_and_width(shifts[name])
            bottom.stairs(widths, original.axes[0].edges, baseline=None, color=colour, linewidth=1.4)
            bottom.plot(original.axes[0].centers, np.abs(medians), ".", color=colour, markersize=4)
        filled = np.flatnonzero(original.values())
        edges = original.axes[0].edges
        top.set(
            xscale="log", yscale="log", ylabel="Events / bin", xlim=(edges[filled[0]], edges[filled[-1] + 1])
        )
        top.set_ylim(0.5, 50 * original.values().max())
        top.legend(loc="upper right", ncols=2)
        middle.axhline(0, color="black", linewidth=0.8)
        moves = np.concatenate([[0.0], *(migration(original, spectra[name]) for name in colours)])
        reach = max(1.2 * float(np.nanmax(np.abs(moves))), 0.2)
        middle.set(ylim=(-reach, reach), ylabel=r"$\Delta N$ / $\sqrt{N}$")
        bottom.set(yscale="log", ylabel=r"$\Delta m$ / $m$", xlabel=original.axes[0].label)
        bottom.plot([], [], "-", color="0.4", label="width")
        bottom.plot([], [], ".", color="0.4", label="|shift|")
        bottom.legend(loc="center right", fontsize="small")
        for panel in (top, middle):
            panel.set_xlabel("")
        mplhep.label.exp_label(exp="hepae", text="", data=True, rlabel="", loc=4, ax=top)
        figure.align_ylabels()
    return figure


@click.command()
@click.argument("fileset", type=jobs.Fileset())
@click.option(
    "--version",
    "versions",
    metavar="NAME=FILESET.json",
    multiple=True,
    help="A compressed fileset to compare.",
)
@click.option("--truncate", "bits", type=click.IntRange(10, 31), help="Compare floats of so many bits, too.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder of numbers and figures."
)
@jobs.options
def main(
    fileset: dict[str, Any],
    versions: tuple[str, ...],
    bits: int | None,
    output: Path,
    tree: str | None,
    **execution: Any,
) -> None:
    """Compare the dijet mass spectrum of FILESET with those of its compressed versions."""
    with jobs.running(**execution, tree=tree) as run:
        compressed = {}
        for text in versions:
            name, equals, path = text.partition("=")
            if not equals:
                raise ConfigError(f"--version takes NAME=FILESET.json, not {text!r}")
            if name == "original" or name in compressed:
                raise ConfigError(f"the name {name!r} is taken: give every --version its own")
            compressed[name] = jobs.Fileset().convert(path, None, None)
        counted = {"original": run(fileset, DijetMass(), NanoAODSchema)}
        pairs: dict[str, Any] = {}
        for name, files in compressed.items():
            counted[name] = run(files, DijetMass(), NanoAODSchema)
            pairs[name] = {}
            for dataset, members in files_of(files, tree).items():
                if dataset not in counted["original"] or len(members) != 1:
                    raise InputError(
                        f"version {name} has no single file for the dataset {dataset} of the original"
                    )
                ((path, its_tree),) = members.items()
                pairs[name][dataset] = path, its_tree
        if bits is not None:
            name = f"{bits} bits"
            counted[name] = run(fileset, DijetMass(bits), NanoAODSchema)
            pairs[name] = bits
        shifts = run(fileset, DijetShift(pairs, jobs.offsets(fileset, tree)), NanoAODSchema)
        report(counted, shifts, output)


def report(counted: dict[str, Any], shifts: dict[str, Any], output: Path) -> None:
    """Print a table a dataset; write numbers and figure."""
    names = file_names(counted["original"])
    output.mkdir(parents=True, exist_ok=True)
    for dataset in counted["original"]:
        spectra = {name: found[dataset]["mass"] for name, found in counted.items()}
        flows = {name: found[dataset]["cut_flow"] for name, found in counted.items()}
        numbers: dict[str, Any] = {}
        table = Table(title=f"{dataset}: bins with {FEW} events and more")
        for heading in ("version", "selected", "the same", "ΔN/√N rms", "largest", "shift", "width"):
            table.add_column(heading, justify="left" if heading == "version" else "right")
        for name in spectra:
            row: dict[str, Any] = {"cut_flow": flows[name], "mass": spectra[name].values().tolist()}
            if name != "original":
                same = counted[name][dataset]["which"] == counted["original"][dataset]["which"]
                moved = migration(spectra["original"], spectra[name])
                medians, widths = shift_and_width(shifts[dataset][name])
                moved, medians, widths = (values[np.isfinite(values)] for values in (moved, medians, widths))
                row |= {
                    "same_events": same,
                    "migration_rms": float(np.sqrt(np.mean(moved**2))) if moved.size else None,
                    "migration_largest": float(np.max(np.abs(moved))) if moved.size else None,
                    "shift_largest": float(np.max(np.abs(medians))) if medians.size else None,
                    "width_median": float(np.median(widths)) if widths.size else None,
                }
                shown = [row[key] for key in list(row)[3:]]
                table.add_row(
                    name,
                    str(flows[name][CUTS[-1]]),
                    "yes" if same else "no",
                    *(f"{x:.2g}" if x is not None else "" for x in shown),
                )
            else:
                table.add_row(name, str(flows[name][CUTS[-1]]))
            numbers[name] = row
        Console(width=100).print(table)
        stem = f"dijet_mass_{names[dataset]}"
        (output / f"{stem}.json").write_text(json.dumps(numbers, indent=2) + "\n")
        if not spectra["original"].values().any():
            click.echo(f"{dataset}: no event passes the cuts, so there is no figure")
            continue
        figure = draw(spectra, shifts[dataset])
        for suffix in ("png", "pdf"):
            figure.savefig(output / f"{stem}.{suffix}", dpi=150, bbox_inches="tight")
        plt.close(figure)


if __name__ == "__main__":
    main()
