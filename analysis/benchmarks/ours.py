"""Jets as hepae stores them: latents, latents with corrections, and bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import awkward as ak

import hepae
from benchmarks.jets import FOUR
from benchmarks.root_files import branches, flat_columns
from hepae import kinematics

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.jets import Columns, Jets
    from benchmarks.measuring import Store, Stored


def latents(jets: Jets, codec: hepae.LatentCodec) -> Store:
    """Latents of an autoencoder as branches; no bound."""
    records = kinematics.momenta({name: jets.columns[name] for name in FOUR})

    def store(folder: Path) -> Stored:
        encoded = codec.latents(records)
        columns = {name: ak.to_numpy(encoded[name]) for name in encoded.fields}
        size, read = branches(jets, columns, "zstd:9")(folder)

        def restore() -> Columns:
            return flat_momenta(codec.jets(ak.zip(read())))

        return size, restore

    return store


def flat_momenta(jets: ak.Array) -> Columns:
    """The four-momentum's columns, flat."""
    return {name: kinematics.flat_column(jets, name) for name in FOUR}


def corrected(jets: Jets, codec: hepae.LatentCodec) -> Store:
    """A compressed file of latents and the corrections that keep the bounds: both, without the model and the counters."""
    store = whole_file(jets, codec.with_bounds(jets.bounds))

    def store_coded(folder: Path) -> Stored:
        _, restore = store(folder)
        with hepae.open(folder / "after.root") as file:
            return file.header.bytes.compressed, restore

    return store_coded


def payload(jets: Jets) -> Store:
    """The BoundedCodec's clusters."""

    def store(_: Path) -> Stored:
        compressed = hepae.BoundedCodec(jets.bounds).compress(jets.records)
        return compressed.nbytes, compressed.columns

    return store


def whole_file(jets: Jets, codec: hepae.BoundedCodec | hepae.LatentCodec) -> Store:
    """A compressed file of nothing but these jets: payload, counters, header and ROOT's own."""

    def store(folder: Path) -> Stored:
        before, after = folder / "before.root", folder / "after.root"
        if not before.exists():
            branches(jets, jets.columns, "lz4:1")(folder)
            (folder / "jets.root").rename(before)
        hepae.compress_file(before, after, codec, unit="GeV", force=True)

        def restore() -> Columns:
            hepae.decompress_file(after, folder / "back.root", force=True)
            return flat_columns(folder / "back.root", "Jet_", jets.columns)

        return after.stat().st_size, restore

    return store
