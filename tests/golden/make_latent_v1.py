"""Made the golden files of format 1, latent_v1.root and corrected_v1.root, once; a later format gets files of its own."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import uproot

import hepae
from hepae.io.readers import open_source
from hepae.io.writers import TreeWriter
from hepae.samples import sample_path

HERE = Path(__file__).parent
BRANCHES = ("event", "MET_pt", "nJet", "Jet_pt", "Jet_eta", "Jet_phi", "Jet_mass")


def main() -> None:
    network = hepae.AutoencoderConfig(hidden=(16, 8))
    codec = hepae.train(
        hepae.read_jets(sample_path()), hepae.TrainingConfig(epochs=10, network=network, batch_size=64)
    ).codec
    with tempfile.TemporaryDirectory() as folder, uproot.open(sample_path()):
        first = Path(folder) / "first.root"
        with open_source(sample_path()) as source, uproot.recreate(first) as file:
            writer = TreeWriter(file, "Events", [source.branches[name] for name in BRANCHES])
            writer.extend(source.arrays(BRANCHES, 0, 40))
        hepae.compress_file(first, HERE / "latent_v1.root", codec, force=True)
        corrected = codec.with_bounds({"pt": "0.2%"}, {"pt": "30,50"})
        hepae.compress_file(first, HERE / "corrected_v1.root", corrected, force=True)
        jets = hepae.read_jets(first)
        original = {name: jets[name].tolist() for name in ("pt", "eta", "phi", "mass")}
        (HERE / "corrected_v1.json").write_text(json.dumps(original) + "\n")
    with hepae.open(HERE / "latent_v1.root") as compressed:
        jets = compressed.jets()
        expected = {name: jets[name].tolist() for name in ("pt", "eta", "phi", "mass")}
    (HERE / "latent_v1.json").write_text(json.dumps(expected) + "\n")


if __name__ == "__main__":
    main()
