"""Jets as hepae stores them: latents, latents with corrections, and bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import awkward as ak
import numpy as np
from pcodec import standalone

import hepae
from benchmarks.jets import FOUR
from benchmarks.quantized import QuantizedJets, pco
from benchmarks.root_files import branches, flat_columns
from hepae import kinematics
from hepae.codecs.bounded import Cluster, clusters_of

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.jets import Columns, Jets
    from benchmarks.measuring import Store, Stored


def latents(jets: Jets, codec: hepae.LatentCodec) -> Store:
    """Latents of an autoencoder as branches; no bound."""
    records = kinematics.momenta({name: jets.columns[name] for name in FOUR})

    def store(folder: Path) -> Stored:
        compressed = codec.compress(records)
        columns = {name: ak.to_numpy(compressed[name]) for name in compressed.fields}
        size, read = branches(jets, columns, "zstd:9")(folder)

        def restore() -> Columns:
            return flat_momenta(codec.decompress(ak.zip(read())))

        return size, restore

    return store


def flat_momenta(jets: ak.Array) -> Columns:
    """The four-momentum's columns, flat."""
    return {name: kinematics.flat_column(jets, name) for name in FOUR}


def corrected(jets: Jets, codec: hepae.LatentCodec) -> Store:
    """Latents, and quantised what the autoencoder's jets lack, both by pcodec."""
    records = kinematics.momenta({name: jets.columns[name] for name in FOUR})

    def store(_: Path) -> Stored:
        compressed = codec.compress(records)
        latents = [pco(ak.to_numpy(compressed[name]).astype(np.int64)) for name in compressed.fields]
        quantized = QuantizedJets(jets)
        predicted = flat_momenta(codec.decompress(compressed))
        corrections = {
            name: pco(integers - quantized.steps(name, predicted[name]))
            for name, integers in quantized.integers.items()
        }
        size = sum(len(stream) for stream in [*latents, *corrections.values()])

        def restore() -> Columns:
            again = flat_momenta(codec.decompress(compressed))
            return quantized.restore(
                {
                    name: standalone.simple_decompress(stream) + quantized.steps(name, again[name])
                    for name, stream in corrections.items()
                }
            )

        return size, restore

    return store


def payload(jets: Jets) -> Store:
    """The BoundedCodec's clusters."""

    def store(_: Path) -> Stored:
        clusters = []
        for (start, stop), (first, last) in clusters_of(jets.length, jets.counts):
            counts = None if jets.counts is None else jets.counts[start:stop]
            part = {name: values[first:last] for name, values in jets.columns.items()}
            clusters.append((Cluster.of(part, counts, jets.bounds, {}), counts))

        def restore() -> Columns:
            parts = [cluster.columns(counts) for cluster, counts in clusters]
            return {name: np.concatenate([part[name] for part in parts]) for name in jets.columns}

        return sum(len(cluster.blob) for cluster, _ in clusters), restore

    return store


def whole_file(jets: Jets) -> Store:
    """A compressed file of nothing but these jets: payload, counters, header and ROOT's own."""

    def store(folder: Path) -> Stored:
        before, after = folder / "before.root", folder / "after.root"
        if not before.exists():
            branches(jets, jets.columns, "lz4:1")(folder)
            (folder / "jets.root").rename(before)
        floats = [name for name, values in jets.columns.items() if values.dtype.kind == "f"]
        codec = hepae.BoundedCodec({name: jets.bounds[name] for name in floats})
        hepae.compress_file(before, after, codec, unit="GeV", force=True)

        def restore() -> Columns:
            hepae.decompress_file(after, folder / "back.root", force=True)
            return flat_columns(folder / "back.root", "Jet_", jets.columns)

        return after.stat().st_size, restore

    return store
