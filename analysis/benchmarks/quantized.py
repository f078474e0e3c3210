"""Quantised columns without prediction: what the BoundedCodec's first step alone gives.

The one place here that uses the codec's internals.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pcodec import ChunkConfig, standalone

from hepae.bounded.dither import dither
from hepae.bounded.quantization import Quantized, quantize

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from benchmarks.jets import Columns, Jets
    from hepae.bounds import Bound


class QuantizedJets:
    """Integers of jets' columns, and what restores the columns of them."""

    def __init__(self, jets: Jets):
        names = list(jets.columns)
        self._shifts = {name: dither(1, number, jets.length) for number, name in enumerate(names)}
        self._columns: dict[str, Quantized] = {
            name: quantize(name, values, jets.bound(name), self._shifts[name])
            for name, values in jets.columns.items()
        }

    @property
    def integers(self) -> Columns:
        """Integers by column name."""
        return {name: column.integers for name, column in self._columns.items()}

    def restore(self, integers: Mapping[str, NDArray[Any]]) -> Columns:
        """Give the columns of their integers."""
        return {
            name: replace(column, integers=integers[name].astype(np.int64)).complete(self._shifts[name])
            for name, column in self._columns.items()
        }


def without_dither(name: str, values: NDArray[Any], bound: Bound) -> NDArray[Any]:
    """Quantise a column on a grid that is not shifted, and restore it."""
    still = np.zeros(len(values))
    return quantize(name, values, bound, still).complete(still)


def pco(integers: NDArray[Any], level: int = 12) -> bytes:
    """Integers by pcodec, in 32 bits where they fit."""
    fits = len(integers) == 0 or (integers.min() >= -(2**31) and integers.max() < 2**31)
    return standalone.simple_compress(
        integers.astype(np.int32 if fits else np.int64), ChunkConfig(compression_level=level)
    )
