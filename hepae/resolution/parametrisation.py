"""Resolutions of columns as functions of their value, from TOML files: those of this package, or a user's."""

from __future__ import annotations

import importlib.resources
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hepae.column_names import canonical_name
from hepae.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

KNOWN = ("ATLAS", "CMS")
"""Parametrisations of this package."""


@dataclass(frozen=True)
class ColumnResolution:
    """Standard deviation of a column: √(noise² + stochastic²·|x| + (constant·x)² + (relative·x)² + absolute²).

    Energies are in GeV; ``noise``, ``stochastic`` and ``constant`` are the three terms that calorimeters are described with.
    """

    noise: float = 0.0
    stochastic: float = 0.0
    constant: float = 0.0
    relative: float = 0.0
    absolute: float = 0.0

    def __call__(self, values: ArrayLike) -> Floats:
        """Standard deviation of each value, in the column's unit and shape.

        >>> ColumnResolution(noise=3.33, stochastic=0.71, constant=0.03)([20.0, 100.0]).round(2).tolist()
        [4.64, 8.4]
        """
        sizes = np.abs(np.asarray(values, np.float64))
        squares: Floats = np.sqrt(
            self.noise**2
            + self.stochastic**2 * sizes
            + (self.constant**2 + self.relative**2) * sizes**2
            + self.absolute**2
        )
        return squares


@dataclass(frozen=True)
class Parametrisation:
    """Resolutions by column.

    Parameters
    ----------
    name, source
        Whose they are, and where they were published.
    columns
        By canonical name.
    """

    name: str
    source: str
    columns: Mapping[str, ColumnResolution]

    @classmethod
    def load(cls, name: str | Path) -> Parametrisation:
        """Load one of `KNOWN`, or a TOML file of the same form.

        Raises
        ------
        ConfigError
            If there is none of this name, or the file is not of this form.
        """
        if str(name) in KNOWN:
            text = (importlib.resources.files("hepae.resolution") / f"{name}.toml").read_text(
                encoding="utf-8"
            )
        elif str(name).endswith(".toml"):
            try:
                text = Path(name).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(
                    f"cannot read {name}: {getattr(error, 'strerror', None) or error}"
                ) from None
        else:
            raise ConfigError(f"no resolution {str(name)!r}: it is {', '.join(KNOWN)} or a file FILE.toml")
        try:
            return cls._parsed(tomllib.loads(text), str(name))
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{name}: {error}") from None

    @classmethod
    def _parsed(cls, content: Mapping[str, Any], where: str) -> Parametrisation:
        terms = {each.name for each in fields(ColumnResolution)}
        columns = {}
        for column, values in content.items():
            if column in ("name", "source"):
                continue
            if not isinstance(values, dict):
                raise ConfigError(f"{where}: write [{column}] and below it relative = {values}, for instance")
            for term, value in values.items():
                if term not in terms:
                    raise ConfigError(
                        f"{where}: [{column}] has {term!r}, which is none of {', '.join(sorted(terms))}"
                    )
                number = isinstance(value, int | float) and not isinstance(value, bool)
                if not number or not 0 <= value < float("inf"):
                    raise ConfigError(f"{where}: {term} of [{column}] is a number, 0 or more, not {value!r}")
            if not any(values.values()):
                raise ConfigError(f"{where}: [{column}] has no term above 0")
            columns[canonical_name(column)] = ColumnResolution(**values)
        if not columns:
            raise ConfigError(f"{where} has no column: write [pt] and below it noise = 3.33, for instance")
        return cls(str(content.get("name", where)), str(content.get("source", where)), columns)


def usual_of(layout: str) -> str:
    """Name of the parametrisation that fits files of a layout: CMS' for NanoAOD, else ATLAS'."""
    return "CMS" if layout == "nanoaod" else "ATLAS"
