"""What it costs to restore jets with the spectra of the originals: squared error and deviation a bin, of several ways.

    OMP_NUM_THREADS=1 python analysis/restored_spectra.py [TTBAR.root] [-o plots]

Trains the default network and the preset ``folded`` on four fifths of the bundled dijets; the rest is held apart and measured, and TTBAR beside it,
which no network has seen. The ways start from what the decoder gives, and learn from the training or the validation jets (a tenth of them):

- ``decoder``: nothing is done;
- ``map of each column``: restored quantiles to original ones;
- ``maps in ranges of pt``: the same in 16 ranges of restored pt, which ``hepae train --spectra`` learns from the training jets;
- ``residual of a neighbour``: the whole residual of one of 32 jets that are nearest in restored pt and mass, drawn by a hash of the jet's latents;
- ``half of it``: the mean residual of these jets, and half of what the drawn one differs from it.

"error" is the mean squared error of the features over the decoder's. Deviations are root mean squares of restored / original − 1, of bins with 100 jets or
more; "mass in pt" is that of the mass in four ranges of each jet's pt. Writes restored_spectra.csv and restored_spectra_mass.png.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import click
import numpy as np
import torch
from scipy.spatial import cKDTree
from study.tables import write

import hepae
from hepae.kinematics import flat_column, momenta
from hepae.latent.autoencoder import evaluate
from hepae.latent.spectra import RANGES, Spectra
from hepae.samples import sample_path
from hepae.validation import canvas, plotting
from hepae.validation.counts import Counts, Scheme

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import awkward as ak
    from numpy.typing import NDArray

    Matrix = NDArray[Any]
    Way = Callable[[Matrix, Matrix], Matrix]
    """Latents and restored features to features."""

COLUMNS = ("mass", "pt", "eta", "phi")
NEIGHBOURS, FEWEST = 32, 100


class Sample:
    """Latents of jets, their features, and the features that the decoder gives."""

    def __init__(self, codec: hepae.LatentCodec, jets: ak.Array):
        self.original = codec.features.forward({name: flat_column(jets, name) for name in codec.columns})
        self.latents = codec.encode(jets)
        decoded = evaluate(codec.network.decoder, torch.from_numpy(self.latents), len(codec.columns))
        self.restored = decoded.astype(np.float64)


def ways(codec: hepae.LatentCodec, learn: Sample) -> Iterator[tuple[str, Way]]:
    """Ways that learn from a sample."""
    pt, mass = (codec.columns.index(name) for name in ("pt", "mass"))
    for name, ranges in (("map of each column", 1), ("maps in ranges of pt", RANGES)):
        spectra = Spectra.fit(learn.restored, learn.original, pt, ranges=ranges)
        yield name, lambda _, restored, spectra=spectra: spectra(restored)

    scale = np.std(learn.original[:, [pt, mass]], axis=0)
    tree = cKDTree(learn.restored[:, [pt, mass]] / scale)
    residuals = learn.original - learn.restored

    def drawn(share: float) -> Way:
        def way(latents: Matrix, restored: Matrix) -> Matrix:
            near = tree.query(restored[:, [pt, mass]] / scale, NEIGHBOURS)[1]
            hashed = np.array([zlib.crc32(row.tobytes()) % NEIGHBOURS for row in latents])
            one = residuals[near[np.arange(len(near)), hashed]]
            mean = residuals[near].mean(axis=1) if share < 1 else 0.0
            return restored + mean + share * (one - mean)

        return way

    yield "residual of a neighbour", drawn(1.0)
    yield "half of it", drawn(0.5)


def jets_of(codec: hepae.LatentCodec, features: Matrix) -> ak.Array:
    """Jets of features."""
    return momenta(codec.features.inverse(features))


def deviations(original: ak.Array, restored: ak.Array) -> dict[str, float]:
    """Root mean square of restored / original − 1 of the bins of each column, and of the mass in ranges of pt."""
    counts = Counts.of(Scheme.choose(original, restored, coded=COLUMNS, bounds={}))
    counts.fill(original, restored)
    found = {}
    for name in COLUMNS:
        before, after = (
            each[name].values() for each in (counts.histograms.original, counts.histograms.restored)
        )
        found[name] = rms(before, after)
    pts = [flat_column(jets, "pt") for jets in (original, restored)]
    masses = [flat_column(jets, "mass") for jets in (original, restored)]
    edges = [
        counts.histograms.original["mass"].axes[0].edges,
        np.array([0, *np.quantile(pts[0], [0.25, 0.5, 0.75]), np.inf]),
    ]
    before, after = (np.histogram2d(mass, pt, bins=edges)[0] for mass, pt in zip(masses, pts, strict=True))
    return {**found, "mass in pt": rms(before, after)}


def rms(before: Matrix, after: Matrix) -> float:
    """Root mean square of after / before − 1, of bins that are filled."""
    filled = before >= FEWEST
    return float(np.sqrt(np.mean((after[filled] / before[filled] - 1) ** 2)))


def split(jets: ak.Array) -> tuple[ak.Array, ak.Array, ak.Array]:
    """Events to train on, a tenth of them for validation, and a fifth of all that is held apart."""
    order = np.random.default_rng(7).permutation(len(jets))
    apart, rest = order[: len(jets) // 5], order[len(jets) // 5 :]
    return jets[rest[len(rest) // 10 :]], jets[rest[: len(rest) // 10]], jets[apart]


def draw(original: ak.Array, versions: dict[str, ak.Array], label: str) -> Any:
    """Draw the mass of original and restored jets."""
    scheme = Scheme.choose(original, original, coded=COLUMNS, bounds={})
    restored = {}
    for name, jets in versions.items():
        counts = Counts.of(scheme)
        counts.fill(original, jets)
        restored[name] = counts.histograms.restored["mass"]
    return plotting.comparison(counts.histograms.original["mass"], restored, style=canvas.Style(label=label))


@click.command()
@click.argument("ttbar", required=False)
@click.option(
    "-o", "--output", default=".", type=click.Path(path_type=Path), help="Folder of figure and table."
)
@click.option("--epochs", type=int, help="Epochs of each training.  [default: 50]")
def main(ttbar: str | None, output: Path, epochs: int | None) -> None:
    """Measure all ways on held-apart dijets, and on the jets of TTBAR."""
    train, validation, apart = split(hepae.read_jets(sample_path()))
    output.mkdir(parents=True, exist_ok=True)
    tested = {"dijets": apart, **({"ttbar": hepae.read_jets(ttbar)} if ttbar else {})}
    options = {"epochs": epochs} if epochs else {}
    default = hepae.TrainingConfig(**options)
    rows = []
    for network, config in (("default", default), ("folded", default.with_preset("folded"))):
        codec = hepae.train(train, config, validation=validation).codec
        learnt = {
            f"{way} ({name})": move
            for name, jets in (("training", train), ("validation", validation))
            for way, move in ways(codec, Sample(codec, jets))
        }
        everything: dict[str, Way] = {"decoder": lambda _, restored: restored, **learnt}
        for name, jets in tested.items():
            sample = Sample(codec, jets)
            original = jets_of(codec, sample.original)
            plain, shown = np.mean((sample.restored - sample.original) ** 2), {}
            for way, move in everything.items():
                moved = move(sample.latents, sample.restored)
                error = float(np.mean((moved - sample.original) ** 2) / plain)
                restored = jets_of(codec, moved)
                row = {"network": network, "jets": name, "way": way, "error": error}
                rows.append(row | deviations(original, restored))
                click.echo("  ".join(f"{v:.3f}" if isinstance(v, float) else v for v in rows[-1].values()))
                shown |= {"Decoder": restored} if way == "decoder" else {}
                shown |= {"--spectra": restored} if way == "maps in ranges of pt (training)" else {}
            if (network, name) == ("default", "dijets"):
                figure = draw(original, shown, "PYTHIA dijets, held apart")
                canvas.save(figure, output / "restored_spectra_mass", formats=["png"])
    write(output / "restored_spectra.csv", rows)


if __name__ == "__main__":
    main()
