"""Jets as bare streams of bytes, column by column: what error-bounded codecs and pcodec make of them."""

from __future__ import annotations

import lzma
from typing import TYPE_CHECKING

import numpy as np
from pcodec import ChunkConfig, standalone

from benchmarks.peers import Chosen
from benchmarks.quantized import QuantizedJets, pco

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.jets import Columns, Jets
    from benchmarks.measuring import Store, Stored
    from benchmarks.peers import Setting


def by_peer(jets: Jets, settings: Sequence[Setting]) -> Store | None:
    """Each column by the one of the settings that holds the bound in the fewest bytes; None where that cannot be."""
    chosen: dict[str, Chosen] = {}
    for name, values in jets.columns.items():
        best = Chosen.of(name, values, jets.bound(name), settings)
        if best is None:
            return None
        chosen[name] = best

    def store(_: Path) -> Stored:
        stored = {name: chosen[name].code(values) for name, values in jets.columns.items()}
        size = sum(len(data) for data, _ in stored.values())
        return size, lambda: {name: restore() for name, (_, restore) in stored.items()}

    return store


def lzma_alone(jets: Jets) -> Store:
    """Columns as they are by LZMA at its highest level, each alone: without what a ROOT file adds to a few jets."""

    def store(_: Path) -> Stored:
        streams = {name: lzma.compress(values.tobytes(), preset=9) for name, values in jets.columns.items()}
        size = sum(len(stream) for stream in streams.values())
        return size, lambda: {
            name: np.frombuffer(lzma.decompress(stream), jets.columns[name].dtype)
            for name, stream in streams.items()
        }

    return store


def pcodec_alone(jets: Jets) -> Store:
    """Quantised integers by pcodec at its highest level, each column alone; an exact float as its values where these are smaller."""

    def store(_: Path) -> Stored:
        quantized = QuantizedJets(jets)
        streams = {name: pco(integers) for name, integers in quantized.integers.items()}
        values = {
            name: standalone.simple_compress(column, ChunkConfig(compression_level=12))
            for name, column in jets.columns.items()
            if column.dtype.kind == "f" and jets.bound(name).exact
        }
        values = {name: stream for name, stream in values.items() if len(stream) < len(streams[name])}
        size = sum(len(stream) for stream in {**streams, **values}.values())

        def restore() -> Columns:
            integers = {name: standalone.simple_decompress(stream) for name, stream in streams.items()}
            floats = {name: standalone.simple_decompress(stream) for name, stream in values.items()}
            return {**quantized.restore(integers), **floats}

        return size, restore

    return store
