"""The page that shows a comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Shown:
    """A figure on the page: where it stands, what it is called, what it says to who cannot see it, and its PNG."""

    section: str
    title: str
    alt: str
    path: Path
