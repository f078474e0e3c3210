"""The figures of a comparison: which ones are drawn, what each shows, and its description in words."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from hepae.validation import canvas, maps, plotting, profiles, thresholds
from hepae.validation.counts import ORIGINAL
from hepae.validation.histograms import PROFILED
from hepae.validation.labels import literal, residual_unit
from hepae.validation.report import Shown
from hepae.validation.residuals import residual_bound
from hepae.validation.selection import Selection, select

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

    from hepae.bounds import Bound
    from hepae.validation.canvas import Style
    from hepae.validation.counts import Version
    from hepae.validation.histograms import ComparisonHistograms
    from hepae.validation.profiles import Curve, JetEnergyResolution

EVENT_TITLES = {
    "multiplicity": "Jets an event",
    "ht": "HT, the scalar sum of the jets' pt",
    "missing_ht": "Missing HT, the size of the vector sum of the jets' pt",
    "leading_pt": "Leading jet's pt",
    "dijet_mass": "Mass of the two leading jets",
    "delta_r": "ΔR of the two leading jets",
    "w_mass": "Mass of the W candidate",
    "top_mass": "Mass of the top candidate",
}
"""Titles of what is looked at event by event."""


class Gallery:
    """Figures of versions of jets beside the original, each saved as PNG and PDF when it is drawn.

    Parameters
    ----------
    folder
        Folder to save them in; it is created if it does not exist.
    style
        What is written into their corner.
    resolution
        Jet energy resolution to draw beside the residual of pt.

    Attributes
    ----------
    files
        All that was saved, in order.
    shown
        The figures as a page shows them.
    """

    def __init__(self, folder: Path, style: Style, resolution: JetEnergyResolution):
        self.folder, self.style, self.resolution = folder, style, resolution
        self.files: list[Path] = []
        self.shown: list[Shown] = []
        self._prefix = ""
        self._stems: set[str] = set()

    def draw(self, versions: Sequence[Version], prefix: str = "", selection: Selection | None = None) -> None:
        """Draw the figures of one collection.

        These are, for each column selected, the spectra with their ratio, the residual, and of the four-momentum the residual
        against pt and eta; what becomes of events; residuals against each other and over eta and phi; latents; and bytes.

        Parameters
        ----------
        versions
            What was found of each version, all of the same jets.
        prefix
            What names of files, sections and titles begin with, where there are several collections.
        selection
            Which figures; by default those that `select` chooses of this collection alone.

        Raises
        ------
        OutputError
            If a figure cannot be written.
        """
        self._prefix = prefix
        selection = selection or select({prefix: versions})[prefix]
        for name in selection.columns:
            having = [version for version in versions if name in version.residuals.columns]
            self._draw_column(name, having)
            self._draw_residuals(name, having)
            for other in ("pt", "eta"):
                self._draw_response(name, other, having)
        if not selection.whole:
            return
        several = len(versions) > 1
        if selection.first:
            self._draw_tails(versions)
            self._draw_turn_on(versions)
            for version in versions:
                self._draw_by_eta(version, several=several)
        self._draw_events(versions, every=selection.first)
        for version in versions:
            self._draw_matrices(version, several=several)
        self._draw_bytes(versions)

    def _add(self, stem: str, figure: Figure, section: str, title: str, alt: str) -> None:
        stem = (self._prefix + stem).replace("/", "_").replace(" ", "_")
        while stem in self._stems:  # a column may be called as another figure is
            stem += "_"
        self._stems.add(stem)
        written = canvas.save(figure, self.folder / stem)
        self.files += written
        self.shown.append(Shown(self._prefix + section, self._prefix + title, alt, written[0]))

    def _draw_column(self, name: str, versions: Sequence[Version]) -> None:
        spectra = {literal(version.name): version.counts.histograms.restored[name] for version in versions}
        original = versions[0].counts.histograms.original[name]
        figure = plotting.comparison(original, spectra, style=self.style)
        alt = (
            f"Spectrum of {name} of original and restored jets, the ratio of each bin, and its change over its "
            "statistical error."
        )
        self._add(name, figure, name, f"{name}: original and restored", alt)

    def _draw_residuals(self, name: str, versions: Sequence[Version]) -> None:
        # One panel a version, each on its own scale: a small residual beside a large one is a spike.
        panels = canvas.panels(len(versions))
        for panel, version in zip(panels, versions, strict=True):
            bound = version.bounds.get(name)
            figure = plotting.residual(
                version.counts.histograms.residual[name],
                version.shown(name),
                bound=None if bound is None else residual_bound(name, bound),
                bound_text=bound_text(name, bound),
                title="" if len(versions) == 1 else literal(version.name),
                style=self.style,
                axes=panel,
            )
        alt = "; ".join(residual_alt(version, name) for version in versions)
        self._add(f"{name}_residual", figure, name, f"{name}: residual", alt)

    def _draw_response(self, name: str, other: str, versions: Sequence[Version]) -> None:
        residuals = {
            literal(version.name): version.counts.histograms.against[name, other]
            for version in versions
            if (name, other) in version.counts.histograms.against
        }
        if not residuals:
            return
        bounds = {version.bounds.get(name) for version in versions}
        figure = profiles.response(
            residuals,
            bound=bound_curve(name, other, bounds.pop(), floor_of(versions, name))
            if len(bounds) == 1
            else None,
            references=references(name, other, versions[0].counts.histograms, self.resolution),
            style=self.style,
        )
        alt = (
            f"Median and central 68 % of the residual of {name} in bins of the original {other}, and half the width "
            "of that band."
        )
        self._add(f"{name}_against_{other}", figure, name, f"{name}: residual against {other}", alt)

    def _draw_tails(self, versions: Sequence[Version]) -> None:
        names = [name for name in PROFILED if all(name in version.residuals.columns for version in versions)]
        if not names:
            return
        panels = canvas.panels(len(names))
        for panel, name in zip(panels, names, strict=True):
            bounds = {version.bounds.get(name) for version in versions}
            figure = thresholds.tails(
                name,
                {literal(version.name): version.tail(name) for version in versions},
                bound=constant_bound(name, bounds.pop(), floor_of(versions, name))
                if len(bounds) == 1
                else None,
                floor=floor_of(versions, name),
                style=self.style,
                axes=panel,
            )
        alt = f"Share of the jets with at least so large a residual, of {', '.join(names)}, on logarithmic axes."
        self._add("tails", figure, "All columns", "Tails of the residuals", alt)

    def _draw_turn_on(self, versions: Sequence[Version]) -> None:
        having = [version for version in versions if version.counts.histograms.turn_on]
        if not having:
            return
        told = []
        for axes, version in zip(thresholds.turn_on_panels(len(having)), having, strict=True):
            of = version.counts.histograms
            threshold = of.binning.threshold
            assert threshold is not None
            lost, gained = thresholds.crossings(of.turn_on["wide"])
            told.append(f"{version.name}: {lost} jets lost, {gained} gained")
            figure = thresholds.turn_on(
                of.turn_on["wide"],
                of.turn_on["near"],
                threshold,
                resolution=self.resolution,
                resolution_name=self.resolution.name.replace("Jet energy resolution, ", "detector, "),
                title="" if len(having) == 1 else literal(version.name),
                style=self.style,
                axes=axes,
            )
        alt = f"Efficiency of a threshold of the restored pt at {threshold:g} GeV as a function of the original pt; {'; '.join(told)}."
        self._add("turn_on", figure, "All columns", f"Turn-on of a threshold of pt at {threshold:g} GeV", alt)

    def _draw_by_eta(self, version: Version, *, several: bool) -> None:
        histogram = version.counts.histograms.by_eta
        if histogram is None:
            return
        edges = histogram.axes[0].edges
        slices = {
            rf"{low:g} < $|\eta|$ < {high:g}": histogram[i, :, :]
            for i, (low, high) in enumerate(pairwise(edges))
        }
        figure = profiles.response(
            {name: part for name, part in slices.items() if part.sum()} or slices,
            bound=bound_curve("pt", "pt", version.bounds.get("pt")),
            style=self._style_of(version, several=several),
        )
        suffix, whose = (f"_{version.name}", f", {version.name}") if several else ("", "")
        alt = "Median and central 68 % of the residual of pt in bins of the original pt, for bins of |eta|."
        title = f"pt: residual against pt in bins of |eta|{whose}"
        self._add(f"pt_response_by_eta{suffix}", figure, "pt", title, alt)

    def _style_of(self, version: Version, *, several: bool) -> Style:
        """Style of a figure that shows one version, and has to say which."""
        if not several:
            return self.style
        return replace(self.style, label=f"{self.style.label} {literal(version.name)}".strip())

    def _draw_events(self, versions: Sequence[Version], *, every: bool) -> None:
        counted = {
            literal(version.name): version.counts.events
            for version in versions
            if version.counts.events is not None
        }
        if not counted:
            return
        first = next(iter(counted.values()))
        for name, pair in first.pairs.items():
            if not every and name not in ("multiplicity", "leading_pt", "dijet_mass"):
                continue
            title = EVENT_TITLES[name]
            figure = plotting.comparison(
                pair.original,
                {version: events.pairs[name].restored for version, events in counted.items()},
                style=self.style,
            )
            alt = (
                f"{title} in original and restored events, the ratio of each bin, and its change over its statistical "
                "error."
            )
            self._add(name, figure, "Events", title, alt)
        flows = {version: events.cut_flow for version, events in counted.items()}
        last = first.cut_flow[-1, :].values()
        alt = (
            f"Events that pass each of {len(first.cut_flow.axes[0])} cuts; at the last, {last[0]:g} original and "
            f"{last[1]:g} restored events, {last[2]:g} of them the same."
        )
        self._add("cut_flow", plotting.cut_flow(flows, style=self.style), "Events", "Cut-flow", alt)

    def _draw_matrices(self, version: Version, *, several: bool) -> None:
        suffix, whose = (f"_{version.name}", f", {version.name}") if several else ("", "")
        of, latents = version.counts.histograms, version.counts.latents
        style = self._style_of(version, several=several)
        others = len([name for name in of.residual if name not in PROFILED and name != "E"])
        if others:
            shown = len([name for name in of.residual if name in PROFILED])
            style = replace(style, label=f"{style.label} {shown} of {shown + others} columns".strip())
        if of.correlation:
            residuals = {name: of.residual[name] for name in PROFILED if name in of.residual}
            figure = maps.correlations(residuals, of.correlation, style=style)
            alt = f"Residuals of {', '.join(residuals)} against each other, as a matrix, with their correlation coefficients."
            title = f"Residuals of {', '.join(residuals)} against each other{whose}"
            self._add(f"correlations{suffix}", figure, "All columns", title, alt)
        if of.largest:
            panels = canvas.panels(len(of.largest))
            for panel, (name, histogram) in zip(panels, of.largest.items(), strict=True):
                figure = maps.largest(
                    histogram,
                    unit=residual_unit(name),
                    bound=constant_bound(name, version.bounds.get(name), floor_of([version], name)),
                    style=style,
                    axes=panel,
                )
            alt = f"Maps of the largest residual of {', '.join(of.largest)} over eta and phi."
            title = f"Largest residuals of {', '.join(of.largest)} over eta and phi{whose}"
            self._add(f"largest{suffix}", figure, "All columns", title, alt)
        if latents is not None:
            figure = maps.latents(latents.single, latents.pairs, style=style)
            alt = "Each latent, and each pair of latents coloured by the mean logarithm of the jets' pt."
            self._add(f"latents{suffix}", figure, "Latents and bytes", f"Latents{whose}", alt)

    def _draw_bytes(self, versions: Sequence[Version]) -> None:
        jets = versions[0].residuals.jets
        if not jets:
            return
        before = {part: size for version in versions for part, size in version.stored[0].items()}
        after = {literal(version.name): version.stored[1] for version in versions}
        if len(versions) == 1:
            after = {"Restored" if versions[0].restored else "Compressed": versions[0].stored[1]}
        per_jet = {
            name: {literal(part): size / jets for part, size in sizes.items()}
            for name, sizes in {ORIGINAL: before, **after}.items()
        }
        alt = "; ".join(f"{name}: {sum(parts.values()):.2f} bytes a jet" for name, parts in per_jet.items())
        figure = plotting.stored_bytes(per_jet, style=self.style)
        self._add("bytes", figure, "Latents and bytes", "Bytes of the coded columns", alt)


def floor_of(versions: Sequence[Version], name: str) -> float | None:
    """Original value below which jets are left out of the figures of a column's residual, the same in all versions."""
    floors = {version.counts.scheme.binning.columns[name].floor for version in versions}
    return floors.pop() if len(floors) == 1 else None


def residual_alt(version: Version, name: str) -> str:
    """What a residual's figure says of one version: its numbers, and how many jets are beyond the bound."""
    of = version.shown(name)
    told = ", ".join(
        f"{what} {value:.2g}"
        for what, value in (("mean", of.mean), ("standard deviation", of.std), ("68 % within", of.p68))
        if value is not None
    )
    beyond = "" if of.violations is None else f"; {of.violations} beyond the bound {version.bounds[name]}"
    return f"Residual of {name}, {version.name}: {told or 'no finite residual'}{beyond}"


def constant_bound(name: str, bound: Bound | None, floor: float | None = None) -> float | None:
    """Bound of a column's residual where it is the same for every jet; of those above a floor in GeV, the largest of all.

    >>> from hepae.bounds import Bound
    >>> constant_bound("mass", Bound.parse("1%+1MeV")), constant_bound("mass", Bound.parse("1%+1MeV"), floor=1.0)
    (None, 0.011)
    """
    if bound is None or bound.exact:
        return None
    if bound.relative and bound.absolute:
        return None if floor is None else float(bound.allowed(floor)) / floor
    return residual_bound(name, bound)


def bound_text(name: str, bound: Bound | None) -> str:
    """How a bound is written where a line at :func:`residual_bound` does not say all of it.

    >>> from hepae.bounds import Bound
    >>> bound_text("mass", Bound.parse("1%+1MeV")), bound_text("pt", Bound.parse("50MeV")), bound_text("pt", Bound.parse("1%"))
    ('1% (+ 1 MeV)', '50MeV', '')
    """
    if bound is None or constant_bound(name, bound) is not None:
        return ""
    if residual_bound(name, bound) is None:
        return str(bound)
    return f"{replace(bound, absolute=0.0, unit='')} (+ {f'{bound.absolute:g} {bound.unit}'.strip()})"


def bound_curve(name: str, other: str, bound: Bound | None, floor: float | None = None) -> Curve | None:
    """Bound of a column's residual as a function of pt or eta, where it is one; ``floor`` as for `constant_bound`."""
    if bound is not None and not bound.exact and name == other == "pt":
        return lambda pt: bound.allowed(pt) / pt
    largest = constant_bound(name, bound, floor)
    return None if largest is None else lambda _: largest


def references(
    name: str, other: str, histograms: ComparisonHistograms, resolution: JetEnergyResolution
) -> dict[str, Curve]:
    """Jet energy resolution beside the residual of pt; against eta, that of the median pt."""
    if name != "pt":
        return {}
    if other == "pt":
        return {resolution.name: resolution}
    spectrum = histograms.original["pt"]
    reached = spectrum.values().cumsum()
    if not reached[-1] > 0:  # of weights that are negative, too
        return {}
    median = spectrum.axes[0].centers[(reached >= reached[-1] / 2).argmax()]
    return {f"{resolution.name}, at {median:.2g} GeV": lambda _: resolution(median)}
