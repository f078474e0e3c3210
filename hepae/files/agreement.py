"""What the parts of one file must have in common: the single rule for joining."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hepae.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hepae.files.header import Header
    from hepae.io.locations import Location


def differences(first: Header, other: Header, *, strict: bool) -> list[str]:
    """Give the properties that differ between two parts of one file but must be equal.

    Parameters
    ----------
    first, other
        Headers of the parts.
    strict
        Whether bounds, edges and models have to agree as well: ROOT's hadd joins files in which they differ, and each part keeps
        its own; a joined file with one header holds only one of each.
    """

    def facts(header: Header) -> dict[str, Any]:
        collections = {
            name: (coded.collection, coded.columns, coded.latents, coded.bounds is not None)
            for name, coded in header.collections.items()
        }
        common = {
            "codec": header.codec,
            "tree": header.tree,
            "storage": header.storage,
            "branches": header.branches,
            "fields": dict(header.fields),
            "collections": collections,
            "clones": {name: {*checksums} for name, checksums in header.cloned.items()},
        }
        if not strict:
            return common
        return common | {
            "bounds": {name: coded.bounds for name, coded in header.collections.items()},
            "model": header.model_sha256,
            "stored model": header.stored_model_sha256,
            "branches that were left out": header.left_out,
            "input format": (header.format, header.layout),
        }

    one, two = facts(first), facts(other)
    return [name for name in one if one[name] != two[name]]


def require_agreement(path: Location, headers: Sequence[Header]) -> None:
    """Refuse a file that was joined from parts that do not match.

    Raises
    ------
    InputError
        If they differ in something that a reader needs.
    """
    for other in headers[1:]:
        for what in differences(headers[0], other, strict=False):
            raise InputError(f"{path} was made from files whose {what} differ; decompress them one by one")
