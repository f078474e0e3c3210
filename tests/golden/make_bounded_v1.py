"""Made the golden file of payload version 1, tests/data/bounded_v1.root, once; a later one gets a file of its own."""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path

import awkward as ak
import uproot

import hepae
from hepae.io.readers import open_source
from hepae.io.writers import TreeWriter
from hepae.samples import sample_path

HERE = Path(__file__).parent
BRANCHES = ("event", "nJet", "Jet_pt", "Jet_eta", "Jet_phi", "Jet_mass")


def main() -> None:
    """Compress the first events of the bundled sample, and note the checksum of what they restore to."""
    with tempfile.TemporaryDirectory() as folder, open_source(sample_path()) as source:
        first = Path(folder) / "first.root"
        with uproot.recreate(first) as file:
            writer = TreeWriter(file, "Events", [source.branches[name] for name in BRANCHES])
            writer.extend(source.arrays(BRANCHES, 0, 8000))
        codec = hepae.BoundedCodec(edges={"pt": "30,50"})
        hepae.compress_file(first, HERE / "bounded_v1.root", codec, force=True)
    with hepae.open(HERE / "bounded_v1.root") as compressed:
        jets = compressed.jets()
    digest = hashlib.sha256()
    for name in jets.fields:
        digest.update(ak.to_numpy(ak.flatten(jets[name])).tobytes())
    (HERE / "bounded_v1.json").write_text(json.dumps({"sha256": digest.hexdigest()}) + "\n")


if __name__ == "__main__":
    main()
