"""The page that shows a comparison: one HTML file with everything in it.

Nothing on it comes from elsewhere: images are data URIs, and its own policy forbids the browser any request. All text that
comes from files is escaped.
"""

from __future__ import annotations

import base64
import io
import re
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from platform import python_version
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hepae.validation.residuals import ColumnResiduals

SOFTWARE = ("hepae", "awkward", "hist", "matplotlib", "numpy", "uproot", "vector")
"""Packages whose versions the page tells."""

PAGE_BYTES = 10_000_000
"""Size that the page does not exceed: it is opened from mails and web pages."""

FIGURE_BYTES = 1_000
"""What a figure takes on the page beside its image."""


@dataclass(frozen=True)
class Shown:
    """A figure on the page: its section, its title, its description in words, and its PNG."""

    section: str
    title: str
    alt: str
    path: Path

    @property
    def uri(self) -> str:
        """The image with a palette of 256 colours, which takes a third of the bytes."""
        with Image.open(self.path) as image:
            small = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        data = io.BytesIO()
        small.save(data, "PNG", optimize=True)
        return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, from the PNG's header."""
        head = self.path.read_bytes()[16:24]
        return int.from_bytes(head[:4], "big"), int.from_bytes(head[4:], "big")


@dataclass(frozen=True)
class ComparedFile:
    """A file of the comparison: its role, what is known about it by subject, and whether it is a restored file."""

    role: str
    path: str
    bytes: int
    sha256: str
    facts: Mapping[str, str] = field(default_factory=dict)
    restored: bool = False


@dataclass(frozen=True)
class CertifiedColumn:
    """What ``hepae verify`` found of a column.

    Parameters
    ----------
    values, crossed
        How many there are, and how many crossed one of the ``edges``.
    beyond
        Values beyond their bound; None where none is promised.
    error_over_bound
        Largest error divided by its bound.
    bin_shift
        Largest change of a bin of its histogram, divided by the bin's statistical error.
    """

    values: int
    beyond: int | None
    edges: str
    crossed: int
    error_over_bound: float | None
    bin_shift: float | None


@dataclass(frozen=True)
class CertifiedFile:
    """What ``hepae verify`` says of a version.

    Parameters
    ----------
    version
        Its name.
    verdict
        In one sentence.
    told
        What was compared, and how far quantities of whole events changed: one line each.
    broken
        What is lost or changed, one line each.
    """

    version: str
    verdict: str
    told: Sequence[str]
    broken: Sequence[str]


@dataclass(frozen=True)
class ColumnResolution:
    """The bound of a column beside its resolution: means over the jets, in the column's unit."""

    source: str
    resolution: float
    bound: float
    bound_over_resolution: float
    widening: float


@dataclass(frozen=True)
class PartBytes:
    """Bytes a jet of what takes some: a column, or a latent; None where the original or the version has no such part."""

    name: str
    version: str
    before: float | None
    after: float | None

    @property
    def ratio(self) -> float | None:
        """Before ÷ after."""
        return self.before / self.after if self.before and self.after else None


@dataclass(frozen=True)
class ComparedColumn:
    """A column of one version: its bound as it was given (None where none was promised), and its residuals."""

    name: str
    version: str
    bound: str | None
    numbers: ColumnResiduals
    jets: int
    """Of the column's collection."""
    relative: bool
    """Whether mean to p99 are relative to the original."""
    deviation: tuple[float, float] = (0.0, 0.0)
    """How far it is off, as `hepae.validation.counts.Version.deviation` says."""
    certified: CertifiedColumn | None = None
    resolution: ColumnResolution | None = None

    @property
    def residual_unit(self) -> str:
        """Unit of mean to p99."""
        return "relative" if self.relative else self.numbers.unit or "1"

    @property
    def verdict(self) -> str:
        """``held``, ``broken`` or ``none`` (promised)."""
        if self.numbers.violations is None:
            return "none"
        return "broken" if self.numbers.violations else "held"

    @property
    def verdict_text(self) -> Markup:
        """The verdict in words."""
        numbers = self.numbers
        if numbers.violations:
            return Markup("✗ broken by {} of {} jets").format(_count(numbers.violations), _count(self.jets))
        if numbers.violations is not None:
            return Markup("✓ every value kept" if self.bound == "exact" else "✓ held by every jet")
        if numbers.max_abs == 0 and not numbers.non_finite:
            return Markup("none promised; all values are the same")
        unit = "" if self.residual_unit in ("relative", "1") else f" {self.residual_unit}"
        return Markup("none promised; 68 % within ±{}{}").format(_number(numbers.p68), unit)

    @property
    def changed(self) -> bool:
        """Whether any value is not what it was."""
        return bool(self.numbers.max_abs or self.numbers.non_finite)

    @property
    def loss(self) -> Markup:
        """How far the column is off, for the summary."""
        numbers = self.numbers
        if not numbers.p68:
            unit = f" {numbers.unit}" if numbers.unit else ""
            return Markup("{} is off by {}{} at most").format(self.name, _number(numbers.max_abs), unit)
        if self.relative:
            return Markup("{} is off by {} % (68 %)").format(
                self.name, _number(float(f"{100 * numbers.p68:.2g}"))
            )
        unit = f" {numbers.unit}" if numbers.unit else ""
        return Markup("{} is off by {}{} (68 %)").format(
            self.name, _number(float(f"{numbers.p68:.2g}")), unit
        )


@dataclass(frozen=True)
class Summary:
    """What the page says first of one version."""

    version: str
    columns: Sequence[ComparedColumn]
    restored: bool

    @property
    def promised(self) -> list[ComparedColumn]:
        """Columns with a bound."""
        return [column for column in self.columns if column.verdict != "none"]

    @property
    def broken(self) -> list[ComparedColumn]:
        """Columns whose bound is broken."""
        return [column for column in self.promised if column.verdict == "broken"]

    @property
    def verdict(self) -> str:
        """``held``, ``broken`` or ``none`` (promised)."""
        return "broken" if self.broken else "held" if self.promised else "none"

    @property
    def text(self) -> Markup:
        """The verdict in words."""
        promised, broken = len(self.promised), self.broken
        if broken:
            names = Markup(", ").join(
                Markup("{} ({} of {} jets)").format(c.name, _count(c.numbers.violations or 0), _count(c.jets))
                for c in broken
            )
            return Markup("✗ {} of {} promised bounds broken: {}").format(len(broken), promised, names)
        if promised:
            return Markup("✓ every promised bound held ({} of {})").format(promised, promised)
        why = "a restored file does not know its bounds" if self.restored else "no bound is promised"
        changed = [column for column in self.columns if column.changed]
        if not changed:
            return Markup("{}; all values are the same").format(why)
        lost = sum(column.numbers.non_finite for column in changed)
        strange = Markup("; {} residuals are not finite").format(_count(lost)) if lost else ""
        return Markup("{}; {}{}").format(why, max(changed, key=lambda column: column.deviation).loss, strange)


@dataclass(frozen=True)
class Page:
    """All that the page tells.

    Parameters
    ----------
    jets, events
        How many were compared.
    files
        The original first.
    columns
        Columns of each version.
    bytes
        The entry ``bytes`` of metrics.json by version.
    figures
        In their order; those that would make the page larger than :data:`PAGE_BYTES` are left out.
    without_figure
        Number of columns that changed and have no figure.
    certificates
        Of each version.
    parts
        Bytes a jet of each part of each version.
    """

    jets: int
    events: int
    files: Sequence[ComparedFile]
    columns: Sequence[ComparedColumn]
    bytes: Mapping[str, Mapping[str, float | None]]
    figures: Sequence[Shown]
    without_figure: int = 0
    certificates: Sequence[CertifiedFile] = ()
    parts: Sequence[PartBytes] = ()

    def render(self) -> str:
        """Give the page as HTML."""
        template = pages().get_template("report.html.jinja")
        software = {"Python": python_version(), **{name: metadata.version(name) for name in SOFTWARE}}
        summaries = [
            Summary(
                file.role, [column for column in self.columns if column.version == file.role], file.restored
            )
            for file in self.files[1:]
        ]

        def page(figures: Sequence[tuple[Shown, str]]) -> str:
            sections: dict[str, list[tuple[Shown, str]]] = {}
            for shown, uri in figures:
                sections.setdefault(shown.section, []).append((shown, uri))
            return template.render(
                page=self,
                sections=sections,
                versions=list(self.bytes),
                summaries=summaries,
                not_shown=len(self.figures) - len(figures),
                software=software,
            )

        left = PAGE_BYTES - len(page([]).encode("utf-8", "replace"))
        fitting = []
        for shown in self.figures:
            uri = shown.uri
            left -= len(uri) + FIGURE_BYTES
            if left < 0:
                break
            fitting.append((shown, uri))
        return page(fitting)


def pages() -> Environment:
    """Templates of pages, in which all text is escaped, with filters for numbers."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    environment.trim_blocks = environment.lstrip_blocks = True
    environment.filters |= {
        "number": _number,
        "ratio": _ratio,
        "count": _count,
        "anchor": _anchor,
        "size": _size,
        "sentence": _sentence,
    }
    return environment


def _number(value: float | None) -> Markup:
    r"""Three digits, a power of ten where it is very small or large.

    >>> str(_number(-1.5e-7)), str(_number(0.25)), str(_number(None))
    ('−1.5\u202f×\u202f10<sup>−7</sup>', '0.25', '–')
    """
    if value is None:
        return Markup("–")
    mantissa, _, power = f"{value:.3g}".replace("-", "−").partition("e")
    if not power:
        return escape(mantissa)
    power = re.sub(r"^(−?)\+?0*", r"\1", power)
    return Markup("{}\u202f×\u202f10<sup>{}</sup>").format(mantissa, power)


def _ratio(value: float | None) -> str:
    """Six digits: whether an error is a little below its bound or a little beyond it has to be seen."""
    return "–" if value is None else f"{value:.6g}"


def _sentence(text: Markup) -> Markup:
    """Make the first letter of a text a capital, behind a sign such as ✓."""
    return Markup(
        re.sub(r"^([✓✗] )?([a-z])", lambda match: (match[1] or "") + match[2].upper(), text)
    )  # escaped already


def _count(value: int) -> str:
    return f"{value:,}".replace(",", "\u202f")


def _size(value: float) -> str:
    """Bytes as a person reads them.

    >>> _size(1234), _size(2_345_678)
    ('1.23 kB', '2.35 MB')
    """
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value:.0f} B"


def _anchor(title: str) -> str:
    """Name of a section within the page."""
    return "section-" + (re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "x")
