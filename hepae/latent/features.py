"""Columns to features and back: one invertible transform a column, fitted on the training jets.

A basis is a choice of transforms. ``minmax`` scales the raw columns to [0, 1], as the original experiment did;
``standard`` to mean 0 and standard deviation 1; ``physics`` takes the logarithms of pt and mass first, so that restored
jets have a mass above zero (are timelike) by construction and small jets count as much as large ones.
"""

from __future__ import annotations

import fnmatch
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hepae import kinematics
from hepae.errors import CodecError, ConfigError, listed
from hepae.latent.batches import BUFFER, batches

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]

BASES = ("physics", "minmax", "standard")
SENTINELS = (-99.0, -999.0, -9999.0)
"""Values that mean "there is none" in the files of the field."""

_LOGARITHMIC = ("pt", "mass")
_FLOOR = 1e-3
"""Smallest value that a logarithmic column keeps, as a fraction of its median."""
LOG_LARGEST = 88.0
"""Its exponential is the largest value of a logarithmic column: still a float32."""


@dataclass(frozen=True)
class Transform:
    """One column ↔ one feature: (f(x) − offset) / scale, with f the logarithm or the identity.

    ``floor`` is the smallest value that a logarithmic column keeps; ``fill`` stands for what is no number: NaN,
    infinities and sentinels.
    """

    column: str
    logarithmic: bool
    offset: float
    scale: float
    fill: float
    floor: float = 0.0

    def __post_init__(self) -> None:
        """Check what a model file may have made of it.

        Raises
        ------
        CodecError
            If it cannot be evaluated or inverted.
        """
        numbers = (self.offset, self.scale, self.fill, self.floor)
        if (
            not isinstance(self.column, str)
            or type(self.logarithmic) is not bool
            or not all(type(number) in (int, float) and math.isfinite(number) for number in numbers)
            or self.scale <= 0
            or (self.logarithmic and self.floor <= 0)
        ):
            raise CodecError(
                f"column {self.column!r} cannot be scaled by {self.scale!r}, floor {self.floor!r}"
            )

    @classmethod
    def fit(cls, column: str, values: ArrayLike, basis: str, *, buffer: int = BUFFER) -> Transform:
        """Fit the transform of a column to its training values, shape (jets,); the parameters are those of `FeatureMap.fit`."""
        values = np.asarray(values)
        every = math.ceil(len(values) / buffer) or 1
        numbers = np.concatenate([block[::every] for block in _numbers(values, buffer)] or [np.empty(0)])
        if not numbers.size:
            raise CodecError(
                f"column {column!r} holds no number in the training jets; leave it out of --columns"
            )
        logarithmic, floor = basis == "physics" and column in _LOGARITHMIC, 0.0
        fill = float(np.median(numbers))
        if logarithmic:
            positive = np.concatenate([block[block > 0][::every] for block in _numbers(values, buffer)])
            if not positive.size:
                raise CodecError(f"no {column} above zero in the training jets; train with --basis minmax")
            floor = _FLOOR * float(np.median(positive))
            fill = max(fill, floor)

        def blocks() -> Iterator[FloatArray]:
            for block in _numbers(values, buffer):
                yield np.log(np.maximum(block, floor)) if logarithmic else block

        low, high = min(block.min() for block in blocks()), max(block.max() for block in blocks())
        offset, scale = float(low), float(high - low)
        if basis == "standard":
            count = sum(block.size for block in blocks())
            offset = float(sum(block.sum() for block in blocks()) / count)
            scale = math.sqrt(sum(((block - offset) ** 2).sum() for block in blocks()) / count)
        # Equal numbers can have a standard deviation that is tiny and not zero, and tiny numbers one that is zero.
        return cls(column, logarithmic, offset, scale if scale and high > low else 1.0, fill, floor)

    def forward(self, values: ArrayLike) -> FloatArray:
        """Values in GeV and radians to features; the inverse is `inverse`."""
        values = np.asarray(values, np.float64)
        values = np.where(_is_number(values), values, self.fill)
        if self.logarithmic:
            values = np.log(np.maximum(values, self.floor))
        return (values - self.offset) / self.scale

    def inverse(self, features: ArrayLike) -> FloatArray:
        """Features to values in GeV and radians; phi comes back in (−π, π]."""
        values = np.asarray(features, np.float64) * self.scale + self.offset
        if self.logarithmic:
            # What a network says of jets unlike those it saw has to stay above zero and finite all the same.
            return np.exp(np.clip(values, np.log(self.floor), LOG_LARGEST))
        return kinematics.wrap_phi(values) if self.column == "phi" else values

    def replaced(self, values: ArrayLike) -> int:
        """Number of these values that the feature cannot represent: below the floor, or not a number."""
        values = np.asarray(values, np.float64)
        kept = _is_number(values)
        return int(np.count_nonzero(~(kept & (values >= self.floor) if self.logarithmic else kept)))


def _numbers(values: NDArray[Any], buffer: int) -> Iterator[FloatArray]:
    """What is a number among the values, in blocks that fit into memory."""
    for batch in batches(values, buffer):
        block = np.asarray(batch, np.float64)
        if (block := block[_is_number(block)]).size:
            yield block


def _is_number(values: FloatArray) -> NDArray[np.bool_]:
    return np.isfinite(values) & ~np.isin(values, SENTINELS)


@dataclass(frozen=True)
class FeatureMap:
    """The features of a jet: one transform a column, in the columns' order."""

    basis: str
    transforms: tuple[Transform, ...]

    @classmethod
    def fit(
        cls, columns: Mapping[str, ArrayLike], basis: str = "physics", *, buffer: int = BUFFER
    ) -> FeatureMap:
        """Fit a basis to training jets.

        Parameters
        ----------
        columns
            Values by column name, each of shape (jets,), in GeV and radians; they may be memory-mapped.
        basis
            One of `BASES`.
        buffer
            Values that are in memory at a time; of more, medians are those of evenly spaced ones.

        Raises
        ------
        ConfigError
            If there is no such basis.
        CodecError
            If a column holds nothing that the basis can scale.
        """
        if basis not in BASES:
            raise ConfigError(f"no basis {basis!r}; choose one of {', '.join(BASES)}")
        fitted = (Transform.fit(name, values, basis, buffer=buffer) for name, values in columns.items())
        return cls(basis, tuple(fitted))

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, in the order of the features."""
        return tuple(transform.column for transform in self.transforms)

    def forward(self, columns: Mapping[str, ArrayLike]) -> NDArray[np.float32]:
        """Columns, each of shape (jets,), to features of shape (jets, columns); the inverse is `inverse`."""
        features = [transform.forward(columns[transform.column]) for transform in self.transforms]
        with np.errstate(
            over="ignore"
        ):  # infinite features make latents that are counted as outside the range
            return np.stack(features, axis=1).astype(np.float32)

    def inverse(self, features: NDArray[np.floating[Any]]) -> dict[str, FloatArray]:
        """Features of shape (jets, columns) to columns by name, each of shape (jets,)."""
        return {
            transform.column: transform.inverse(features[:, i]) for i, transform in enumerate(self.transforms)
        }

    def replaced(self, columns: Mapping[str, ArrayLike]) -> dict[str, int]:
        """Number of values of each column that the features cannot represent: m ≤ 0 in ``physics``, sentinels, NaN, infinities."""
        return {
            transform.column: transform.replaced(columns[transform.column]) for transform in self.transforms
        }

    def to_config(self) -> dict[str, Any]:
        """Give the map as JSON; the inverse is `from_config`."""
        return {"basis": self.basis, "transforms": [asdict(transform) for transform in self.transforms]}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> FeatureMap:
        """Rebuild a map from what `to_config` gave.

        Raises
        ------
        CodecError
            If there is no such basis, or a transform cannot be inverted.
        """
        if config["basis"] not in BASES:
            raise CodecError(f"no basis {config['basis']!r}; choose one of {', '.join(BASES)}")
        return cls(config["basis"], tuple(Transform(**transform) for transform in config["transforms"]))


def basis_columns(columns: Sequence[str], basis: str) -> tuple[str, ...]:
    """Columns that a basis codes for those asked for: ``physics`` codes a four-momentum's mass in place of its E.

    >>> basis_columns(["pt", "eta", "phi", "E"], "physics")
    ('pt', 'eta', 'phi', 'mass')

    Raises
    ------
    ConfigError
        If two name the same number, or the four-momentum is incomplete: no jet could be restored from the others.
    """
    names = [
        ("mass" if name in ("m", "E") and basis == "physics" else "mass" if name == "m" else name)
        for name in columns
    ]
    if len(set(names)) != len(names):
        raise ConfigError(f"columns {listed(columns)} contain the same quantity twice; keep one")
    if not {"pt", "eta", "phi"} <= {*names} or not {"mass", "E"} & {*names}:
        missing = [name for name in ("pt", "eta", "phi") if name not in names]
        missing += [] if {"mass", "E"} & {*names} else ["mass or E"]
        raise ConfigError(
            f"columns {listed(columns)} do not define a jet: add {', '.join(missing)} to --columns"
        )
    return tuple(names)


def match_columns(asked: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    """Names of the columns that are asked for, by name or by a pattern such as ``btag*``, each once.

    >>> match_columns(["pt", "btag*", "*"], ["pt", "eta", "btagCvB", "btagCvL"])
    ('pt', 'btagCvB', 'btagCvL', 'eta')

    Raises
    ------
    ConfigError
        If a pattern matches no column.
    """
    found: list[str] = []
    for pattern in asked:
        if pattern in names or not {*"*?["} & {*pattern}:
            found.append(pattern)
        elif matching := fnmatch.filter(names, pattern):
            found += matching
        else:
            raise ConfigError(f"no column matches {pattern!r} in --columns: there are {listed(names)}")
    return tuple(dict.fromkeys(found))
