"""Made the golden files of format 1 with each codec, storage and layout, once; a later format gets files of its own.

The jets are random numbers. ``expected.json`` has for each file the SHA-256 of every restored branch, and for latents alone, which a network
decodes, the values. Run it with HEPAE_ROOT=off: files that ROOT writes have 15 kB more of its own records.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path

import awkward as ak
import numpy as np
import uproot

import hepae
from hepae.io.layouts import Branch
from hepae.io.writers import TreeWriter

HERE = Path(__file__).parent
EVENTS = 30


def layouts() -> dict[str, tuple[str, dict[str, ak.Array], str | None]]:
    """Tree, arrays and the counter of the jets of each layout."""
    rng = np.random.default_rng(25)
    counts = rng.integers(0, 6, EVENTS)
    counts[7] = 0
    jets = int(counts.sum())
    momentum = {
        "pt": -np.sort(-(20 * rng.pareto(3, jets) + 20)),
        "eta": rng.normal(0, 2, jets),
        "phi": rng.uniform(-np.pi, np.pi, jets),
        "mass": np.abs(rng.normal(8, 5, jets)),
    }
    discriminator = rng.random(jets)
    discriminator[::7] = -999
    number = np.arange(EVENTS)

    def lists(values: np.ndarray, dtype: str) -> ak.Array:
        return ak.unflatten(values.astype(dtype), counts)

    nanoaod = {
        "run": ak.Array(np.ones(EVENTS, np.uint32)),
        "luminosityBlock": ak.Array(number.astype(np.uint32) // 10),
        "event": ak.Array(number.astype(np.uint64) + 2**40),
        "MET_pt": ak.Array(rng.exponential(30, EVENTS).astype(np.float32)),
        **{f"Jet_{name}": lists(values, "f4") for name, values in momentum.items()},
        "Jet_btag": lists(discriminator, "f4"),
        "Jet_nConstituents": lists(rng.poisson(20, jets), "u1"),
        "Jet_hadronFlavour": lists(rng.choice([0, 4, 5], jets), "i4"),
    }
    scales = {"pt": 1000, "eta": 1, "phi": 1, "mass": 1000}
    physlite = {"EventInfoAuxDyn.eventNumber": ak.Array(number.astype(np.uint64))} | {
        f"AnalysisJetsAuxDyn.{name.replace('mass', 'm')}": lists(values * scales[name], "f4")
        for name, values in momentum.items()
    }
    energy = np.hypot(momentum["pt"] * np.cosh(momentum["eta"]), momentum["mass"])
    flat = {name: ak.Array(momentum[name]) for name in ("pt", "eta", "phi")} | {"E": ak.Array(energy)}
    return {
        "nanoaod": ("Events", nanoaod, "nJet"),
        "physlite": ("CollectionTree", physlite, "nAnalysisJets"),
        "flat": ("tree", flat, None),
    }


def write(path: Path, tree: str, arrays: dict[str, ak.Array], counter: str | None) -> None:
    """Write a tree with its own types."""
    branches = [
        Branch(
            name,
            (array.layout.content if array.ndim > 1 else array.layout).dtype,
            array.ndim > 1,
            counter if array.ndim > 1 else None,
        )
        for name, array in arrays.items()
    ]
    with uproot.recreate(path) as file:
        TreeWriter(file, tree, branches).extend(arrays)


def expected(path: Path) -> dict[str, str] | dict[str, list[float]]:
    """Checksums of the restored branches; the jets' values where a network decodes them."""
    with hepae.open(path) as file:
        if not file.header.bounded:
            jets = file.jets()
            flat = {name: ak.flatten(jets[name], axis=None).tolist() for name in jets.fields}
            return {name: [float(f"{value:.7g}") for value in values] for name, values in flat.items()}
        names = [branch.name for branch in file.original_branches]
        arrays = file.original_arrays(names, 0, file.num_entries)
    return {
        name: hashlib.sha256(ak.to_numpy(ak.flatten(arrays[name], axis=None)).tobytes()).hexdigest()
        for name in names
    }


def main() -> None:
    """Write the files, and what they restore to."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for layout, (tree, arrays, counter) in layouts().items():
            source = Path(folder) / f"{layout}.root"
            write(source, tree, arrays, counter)
            network = hepae.AutoencoderConfig(hidden=(8,))
            config = hepae.TrainingConfig(epochs=20, batch_size=16, network=network)
            latent = hepae.train(hepae.read_jets(source), config).codec
            codecs = {
                "bounded": hepae.BoundedCodec(edges={"pt": "30"}),
                "latent": latent,
                "integers": latent.with_latent_bits(8),
                "corrected": latent.with_bounds({"pt": "0.2%"}),
            }
            for name, codec in codecs.items():
                for storage in ("ttree", "rntuple"):
                    path = HERE / f"{layout}_{name}_{storage}.root"
                    hepae.compress_file(source, path, codec, storage=storage, force=True)
                    found[path.stem] = expected(path)
    (HERE / "expected.json").write_text(json.dumps(found, indent=0) + "\n")


if __name__ == "__main__":
    main()
