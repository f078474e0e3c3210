"""The page that shows a comparison: one HTML file with everything in it.

Nothing on it comes from elsewhere: images are data URIs, and its own policy forbids the browser any request. All text that
comes from files is escaped.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from platform import python_version
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hepae.validation.residuals import ColumnResiduals

SOFTWARE = ("hepae", "awkward", "hist", "matplotlib", "numpy", "uproot", "vector")
"""Packages whose versions the page tells."""


@dataclass(frozen=True)
class Shown:
    """A figure on the page: where it stands, what it is called, what it says to who cannot see it, and its PNG."""

    section: str
    title: str
    alt: str
    path: Path

    @property
    def uri(self) -> str:
        """The PNG itself."""
        return "data:image/png;base64," + base64.b64encode(self.path.read_bytes()).decode()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, from the PNG's header."""
        head = self.path.read_bytes()[16:24]
        return int.from_bytes(head[:4], "big"), int.from_bytes(head[4:], "big")


@dataclass(frozen=True)
class ComparedFile:
    """A file of the comparison: what it is in it, and what is known of it, by what that is called."""

    role: str
    path: str
    bytes: int
    sha256: str
    facts: Mapping[str, str] = field(default_factory=dict)


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
        In their order.
    """

    jets: int
    events: int
    files: Sequence[ComparedFile]
    columns: Sequence[ComparedColumn]
    bytes: Mapping[str, Mapping[str, float | None]]
    figures: Sequence[Shown]

    def render(self) -> str:
        """Give the page as HTML."""
        environment = Environment(
            loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
        )
        environment.trim_blocks = environment.lstrip_blocks = True
        environment.filters |= {"number": _number, "count": _count, "anchor": _anchor, "size": _size}
        sections: dict[str, list[Shown]] = {}
        for figure in self.figures:
            sections.setdefault(figure.section, []).append(figure)
        promised = [column for column in self.columns if column.verdict != "none"]
        return environment.get_template("report.html.jinja").render(
            page=self,
            sections=sections,
            versions=list(self.bytes),
            promised=promised,
            broken=[column for column in promised if column.verdict == "broken"],
            software={"Python": python_version(), **{name: metadata.version(name) for name in SOFTWARE}},
        )


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
