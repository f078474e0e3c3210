"""Which figures of a comparison are drawn: those of the four-momentum and of what differs most, unless all are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from hepae.kinematics import MOMENTUM

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hepae.validation.counts import Version

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
    first
        Whether it is the collection that is looked at most closely. It has figures of tails, of a turn-on, of the response in
        bins of |eta|, and all those of events; any other one those of multiplicity, leading pt and dijet mass.
    """

    columns: tuple[str, ...]
    whole: bool = True
    left_out: tuple[str, ...] = ()
    first: bool = True


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
            prefix == ranked[0],
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
