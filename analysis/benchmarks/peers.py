"""SZ3, zfp and cut mantissas: codecs of one column with a bound, each at its best settings."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pysz
import zfpy

from benchmarks.jets import beyond

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from hepae.bounds import Bound

    Floats = NDArray[np.floating[Any]]
    Setting = Callable[[Floats, float], tuple[bytes, Callable[[], Floats]]]
    """Floats and the largest error to bytes, and what restores them."""


def truncated(values: NDArray[Any], bound: Bound) -> NDArray[Any]:
    """Mantissa rounded to as few bits as hold the bound: what NanoAOD does."""
    if bound.exact:
        return values
    unsigned = np.uint32 if values.itemsize == 4 else np.uint64
    for drop in range(np.finfo(values.dtype).nmant, 0, -1):
        bits = values.view(unsigned) + unsigned(1 << (drop - 1))
        cut: NDArray[Any] = (bits >> unsigned(drop) << unsigned(drop)).view(values.dtype)
        cut = np.where(np.isfinite(values), cut, values)
        if np.all(~(np.abs(cut.astype(float) - values) > bound.allowed(values))):
            return cut
    return values


def sz3(algorithm: str) -> Setting:
    """SZ3 with one of its predictors."""

    def code(data: Floats, error: float) -> tuple[bytes, Callable[[], Floats]]:
        config = pysz.szConfig(len(data))
        config.errorBoundMode = pysz.szErrorBoundMode.ABS
        config.absErrorBound = error
        config.cmprAlgo = getattr(pysz.szAlgorithm, algorithm)
        found = pysz.sz.compress(data, config)[0]
        return found, lambda: pysz.sz.decompress(found, data.dtype, data.shape)[0]

    return code


def zfp(factor: int) -> Setting:
    """Zfp in its fixed-accuracy mode; its errors are mostly far below the tolerance, so that this may be larger."""

    def code(data: Floats, error: float) -> tuple[bytes, Callable[[], Floats]]:
        found = zfpy.compress_numpy(data, tolerance=factor * error)
        return found, lambda: zfpy.decompress_numpy(found)

    return code


SZ3 = tuple(sz3(name) for name in ("INTERP_LORENZO", "INTERP", "LORENZO_REG", "NOPRED"))
ZFP = tuple(zfp(factor) for factor in (1, 2, 4, 8))


@dataclass(frozen=True)
class Evened:
    """A column in which its bound is an absolute one, for codecs that know no other."""

    scale: float
    error: float
    dtype: np.dtype[Any]

    @classmethod
    def all_of(cls, values: NDArray[Any], bound: Bound) -> list[Evened]:
        """Logarithms where the bound is relative, about zero in two ways; none where every bit of a float has to be kept."""
        if values.dtype.kind != "f":
            return [cls(0.0, 0.49, values.dtype)]
        if bound.exact or not np.all(np.isfinite(values)):
            return []
        if not bound.relative:
            return [cls(0.0, bound.absolute, values.dtype)]
        smallest = float(np.abs(values[values != 0]).min(initial=1.0))
        error = float(np.log1p(bound.relative) * (1 - bound.relative))
        absolutes = (
            [bound.absolute] if bound.absolute else [smallest * bound.relative / part for part in (100, 1e6)]
        )
        return [cls(bound.relative / absolute, error, values.dtype) for absolute in absolutes]

    def forward(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Values to what is coded; the inverse is `inverse`."""
        doubles = values.astype(np.float64)
        return np.copysign(np.log1p(self.scale * np.abs(doubles)), doubles) if self.scale else doubles

    def inverse(self, coded: NDArray[Any]) -> NDArray[Any]:
        """Give the values back."""
        doubles = coded.astype(np.float64)
        if self.scale:
            doubles = np.copysign(np.expm1(np.abs(doubles)) / self.scale, doubles)
        return (np.rint(doubles) if self.dtype.kind != "f" else doubles).astype(self.dtype)


@dataclass(frozen=True)
class Chosen:
    """The setting, the type and the scale that hold a column's bound in the fewest bytes."""

    evened: Evened
    setting: Setting
    dtype: type[np.floating[Any]]

    @classmethod
    def of(cls, name: str, values: NDArray[Any], bound: Bound, settings: Sequence[Setting]) -> Chosen | None:
        """Try all; None where none holds the bound."""
        tried = []
        for evened, setting, dtype in product(
            Evened.all_of(values, bound), settings, (np.float32, np.float64)
        ):
            chosen = cls(evened, setting, dtype)
            data, restore = chosen.code(values)
            if not beyond(name, values, restore(), bound).any():
                tried.append((len(data), len(tried), chosen))
        return min(tried)[2] if tried else None

    def code(self, values: NDArray[Any]) -> tuple[bytes, Callable[[], NDArray[Any]]]:
        """Bytes of a column, and what restores it."""
        data, restore = self.setting(self.evened.forward(values).astype(self.dtype), self.evened.error)
        return data, lambda: self.evened.inverse(restore())
