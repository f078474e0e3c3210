"""The page that shows what takes the bytes of a file: one HTML file whose tables can be sorted, with everything in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from hepae.validation.report import pages

if TYPE_CHECKING:
    from collections.abc import Sequence


class Sized(Protocol):
    """Bytes of a branch, of a collection or of a whole file, as `hepae.files.sizes.Size` has them."""

    @property
    def bytes(self) -> int:
        """Bytes now."""

    @property
    def estimate(self) -> int | None:
        """Bytes once it is compressed."""


def size_page(
    path: str,
    events: int,
    whole: Sized,
    rest: Sized,
    collections: Sequence[Sized],
    branches: Sequence[Sized],
    *,
    sampled: int,
    note: str | None = None,
) -> str:
    """Give the page as HTML; parameters are those of `hepae.files.sizes.FileSizes`."""
    told: dict[str, Any] = dict(locals())
    return pages().get_template("sizes.html.jinja").render(told, estimated=whole.estimate is not None)
