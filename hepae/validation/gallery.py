"""The figures of a comparison: which ones are drawn, what each shows, and its description in words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from hepae.kinematics import MOMENTUM
from hepae.validation import canvas, maps, plotting, profiles
from hepae.validation.counts import ORIGINAL
from hepae.validation.histograms import PROFILED
from hepae.validation.labels import literal, residual_unit
from hepae.validation.report import Shown
from hepae.validation.residuals import residual_bound

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

    from hepae.bounds import Bound
    from hepae.validation.canvas import Style
    from hepae.validation.counts import Version
    from hepae.validation.histograms import ComparisonHistograms
    from hepae.validation.profiles import Curve, JetEnergyResolution

MOST_COLUMNS = 10
"""Columns beside the four-momentum that have figures, of all collections together, unless all are asked for."""

MOST_COLLECTIONS = 3
"""Collections whose four-momentum has figures, unless all are asked for."""

Figures = Literal["main", "all"]
"""Which figures are drawn: those of the columns that differ most, or of every column that changed."""


@dataclass(frozen=True)
class Selection:
    """Which figures of a collection are drawn.

    Parameters
    ----------
    columns
        Columns that have figures.
    whole
        Whether events, residuals against each other, latents and bytes have figures.
    left_out
        Columns that changed and have no figure.
    """

    columns: tuple[str, ...]
    whole: bool = True
    left_out: tuple[str, ...] = ()


def select(collections: Mapping[str, Sequence[Version]], figures: Figures = "main") -> dict[str, Selection]:
    """Choose which figures are drawn.

    Of each of the first :data:`MOST_COLLECTIONS` collections these are the figures of its four-momentum: ``Jet`` or
    ``AnalysisJets``, then the collections whose four-momentum differs most. Further columns have figures if they are
    among the :data:`MOST_COLUMNS` that differ most: first those with broken bounds or residuals that are not finite,
    then those with the largest residual relative to the spread of their values.

    Parameters
    ----------
    collections
        Versions of each collection, by what its names begin with.
    figures
        ``all`` to draw every column that changed, and all collections.
    """
    drawable = {prefix: _drawable(versions) for prefix, versions in collections.items()}
    if figures == "all":
        return {prefix: Selection(columns) for prefix, columns in drawable.items()}
    worst = {
        (prefix, name): max(
            _importance(version, name) for version in versions if name in version.residuals.columns
        )
        for prefix, versions in collections.items()
        for name in drawable[prefix]
    }
    momentum = {
        prefix: [worst[key] for key in worst if key[0] == prefix and key[1] in MOMENTUM]
        for prefix in collections
    }
    ranked = sorted(momentum, key=lambda prefix: max(momentum[prefix], default=()), reverse=True)
    ranked.sort(key=lambda prefix: prefix not in ("Jet.", "AnalysisJets."))
    whole = ranked[:MOST_COLLECTIONS]
    further = sorted((key for key in worst if key[1] not in MOMENTUM), key=worst.__getitem__, reverse=True)
    drawn = {*further[:MOST_COLUMNS], *(key for key in worst if key[0] in whole and key[1] in MOMENTUM)}
    return {
        prefix: Selection(
            tuple(name for name in columns if (prefix, name) in drawn),
            prefix in whole,
            tuple(
                name
                for name in columns
                if (prefix, name) not in drawn and _changed(collections[prefix], name)
            ),
        )
        for prefix, columns in drawable.items()
    }


def _drawable(versions: Sequence[Version]) -> tuple[str, ...]:
    """Columns that changed, and those of the four-momentum: what came back exactly, as integers do, has nothing to show."""
    names = dict.fromkeys(name for version in versions for name in version.residuals)
    return tuple(name for name in names if name in MOMENTUM or _changed(versions, name))


def _changed(versions: Sequence[Version], name: str) -> bool:
    """Whether any version has another value of this column than the original."""
    found = [version.residuals[name] for version in versions if name in version.residuals.columns]
    return any(numbers.max_abs or numbers.non_finite for numbers in found)


def _importance(version: Version, name: str) -> tuple[bool, float, float]:
    """What columns are ranked by."""
    numbers = version.residuals[name]
    return bool(numbers.violations or numbers.non_finite), *version.deviation(name)


class Gallery:
    """Figures of versions of jets beside the original, each saved as PNG and PDF when it is drawn.

    Parameters
    ----------
    folder
        Where they are saved; it is made where there is none.
    style
        What is written into their corner.
    resolution
        Jet energy resolution that is drawn beside that of the restored pt.

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
        self._draw_events(versions)
        for version in versions:
            self._draw_matrices(version, several=len(versions) > 1)
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
                version.residuals[name],
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
            bound=bound_curve(name, other, bounds.pop()) if len(bounds) == 1 else None,
            references=references(name, other, versions[0].counts.histograms, self.resolution),
            style=self.style,
        )
        alt = (
            f"Median and central 68 % of the residual of {name} in bins of the original {other}, and half the width "
            "of that band."
        )
        self._add(f"{name}_against_{other}", figure, name, f"{name}: residual against {other}", alt)

    def _draw_events(self, versions: Sequence[Version]) -> None:
        counted = {
            literal(version.name): version.counts.events
            for version in versions
            if version.counts.events is not None
        }
        if not counted:
            return
        first = next(iter(counted.values()))
        titles = {
            "multiplicity": "Jets an event",
            "leading_pt": "Leading jet's pt",
            "dijet_mass": "Mass of the two leading jets",
        }
        for name, title in titles.items():
            figure = plotting.comparison(
                first.pairs[name].original,
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
        # These show one version each, so they have to say which.
        label = f"{self.style.label} {literal(version.name)}".strip() if several else self.style.label
        style = replace(self.style, label=label)
        if of.correlation:
            residuals = {name: of.residual[name] for name in PROFILED if name in of.residual}
            figure = maps.correlations(residuals, of.correlation, style=style)
            alt = f"Residuals of {', '.join(residuals)} against each other, as a matrix, with their correlation coefficients."
            title = f"Residuals of {_of_how_many(residuals, of.residual)} against each other{whose}"
            self._add(f"correlations{suffix}", figure, "All columns", title, alt)
        if of.largest:
            panels = canvas.panels(len(of.largest))
            for panel, (name, histogram) in zip(panels, of.largest.items(), strict=True):
                figure = maps.largest(
                    histogram,
                    unit=residual_unit(name),
                    bound=constant_bound(name, version.bounds.get(name)),
                    style=style,
                    axes=panel,
                )
            alt = f"Maps of the largest residual of {', '.join(of.largest)} over eta and phi."
            title = f"Largest residuals of {_of_how_many(of.largest, of.residual)} over eta and phi{whose}"
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


def _of_how_many(shown: Mapping[str, object], every: Mapping[str, object]) -> str:
    """Names of the columns that a figure shows, and of how many they are."""
    names = ", ".join(shown)
    return names if len(shown) == len(every) else f"{names} (of {len(every)} columns)"


def residual_alt(version: Version, name: str) -> str:
    """What a residual's figure says of one version: its numbers, and how many jets are beyond the bound."""
    of = version.residuals[name]
    told = ", ".join(
        f"{what} {value:.2g}"
        for what, value in (("mean", of.mean), ("standard deviation", of.std), ("68 % within", of.p68))
        if value is not None
    )
    beyond = "" if of.violations is None else f"; {of.violations} beyond the bound {version.bounds[name]}"
    return f"Residual of {name}, {version.name}: {told or 'no finite residual'}{beyond}"


def constant_bound(name: str, bound: Bound | None) -> float | None:
    """Bound of a column's residual where it is the same for every jet."""
    return None if bound is None or (bound.relative and bound.absolute) else residual_bound(name, bound)


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


def bound_curve(name: str, other: str, bound: Bound | None) -> Curve | None:
    """Bound of a column's residual as a function of pt or eta, where it is one."""
    if bound is not None and not bound.exact and name == other == "pt":
        return lambda pt: bound.allowed(pt) / pt
    largest = constant_bound(name, bound)
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
