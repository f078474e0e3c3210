"""Jets with many columns: latents, principal components and bounds at the same bytes.

    OMP_NUM_THREADS=1 python analysis/many_columns.py JETS.root -o plots

All numeric columns of JETS are coded; a tenth of the jets is held apart and measured. The autoencoder has 4, 6, 8 and 12 latents of 6, 8 and 10
bits (preset ``folded``), principal components likewise. Bounds are the same share of each column's standard deviation (of pt and mass: of their logarithm's); integers are exact.
Every way goes through pcodec, without a file's own bytes and without the model. The error is the root mean square over the columns of (restored −
original) / standard deviation, the median column; σ68 of pt and mass is relative. Writes NAME.csv and NAME.png, by default many_columns.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import click
import numpy as np
from study.figures import COLORS, Line, curves
from study.rates import PCA, integers_of, stream_bytes
from study.tables import write

import hepae
from hepae.kinematics import difference, flat_column, momenta
from hepae.latent.features import FeatureMap
from hepae.validation import canvas

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    Columns = dict[str, NDArray[Any]]

LATENTS, BITS = (4, 6, 8, 12), (6, 8, 10)
SHARES = (0.03, 0.06, 0.12, 0.25, 0.5)
"""Root mean square error of bounded columns, as a share of the standard deviation."""


def split(path: str) -> tuple[ak.Array, ak.Array]:
    """Flat jets of a file: those to train on, and a tenth that is held apart."""
    jets = hepae.read_jets(path)
    jets = ak.flatten(jets) if jets.ndim > 1 else jets
    order = np.random.default_rng(0).permutation(len(jets))
    return jets[order[len(jets) // 10 :]], jets[order[: len(jets) // 10]]


def columns_of(jets: ak.Array) -> Columns:
    """Columns by name."""
    return {name: flat_column(jets, name) for name in jets.fields}


def ways(train: ak.Array, test: ak.Array, epochs: int) -> Iterator[tuple[str, str, float, Columns]]:
    """Way, setting, bytes a jet and restored columns of the held-apart jets."""
    names = tuple(train.fields)
    features = FeatureMap.fit(columns_of(train), "physics")
    matrix, tested = features.forward(columns_of(train)), features.forward(columns_of(test))
    config = hepae.TrainingConfig(columns=names, epochs=epochs).with_preset("folded")
    network = replace(config.network, hidden=(128, 128, 64))
    for size in LATENTS:
        smaller = replace(config, network=replace(network, latent=size))
        codec = hepae.train(train, smaller).codec
        pca = PCA.fit(matrix, size)
        for bits in BITS:
            coded = codec.with_latent_bits(bits)
            latents = coded.latents(test)
            stored = np.stack([ak.to_numpy(latents[name]) for name in latents.fields], axis=1)
            restored = columns_of(coded.jets(latents))
            yield f"{size} latents", f"{bits} bits", stream_bytes(stored) / len(test), restored
            grid = integers_of(pca.forward(matrix), bits)
            stored = grid.forward(pca.forward(tested))
            restored = features.inverse(pca.inverse(grid.inverse(stored)))
            yield f"PCA-{size}", f"{bits} bits", stream_bytes(stored) / len(test), restored
    for share in SHARES:
        compressed = hepae.BoundedCodec(bounds_of(columns_of(train), share)).compress(test)
        yield (
            "bounds",
            f"{share:g} σ",
            compressed.nbytes / len(test),
            columns_of(momenta(compressed.columns())),
        )


def bounds_of(columns: Columns, share: float) -> dict[str, str | float]:
    """Bounds of the float columns whose root mean square error is this share of the spread; of pt and mass, of their logarithm's."""
    bounds: dict[str, str | float] = {}
    for name, values in columns.items():
        if name in ("pt", "mass"):
            spread = float(np.std(np.log(values[values > 0])))
            bounds[name] = f"{min(100 * share * 3**0.5 * spread, 50):.3g}%"
        elif values.dtype.kind == "f" and np.std(values) > 0:
            bounds[name] = share * 3**0.5 * float(np.std(values))
    return bounds


def errors(before: Columns, after: Columns) -> dict[str, float]:
    """Median over the columns of the error in standard deviations, and σ68 of pt and mass."""
    shares = [
        float(np.sqrt(np.mean(difference(name, values, after[name]) ** 2)) / np.std(values))
        for name, values in before.items()
        if np.std(values) > 0
    ]
    relative = {}
    for name in ("pt", "mass"):
        positive = before[name] > 0
        low, high = np.quantile(after[name][positive] / before[name][positive], [0.16, 0.84])
        relative[f"{name}_p68"] = float(high - low) / 2
    return {"error": float(np.median(shares)), **relative}


def draw(rows: list[dict[str, Any]], label: str) -> Figure:
    """Draw the error of the median column against bytes a jet."""
    points: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for row in rows:
        points[row["way"]].append((row["bytes_per_jet"], row["error"]))
    colors = dict(zip(LATENTS, COLORS, strict=False))
    lines = {}
    for name, found in points.items():
        size = "".join(filter(str.isdigit, name))
        look = "s-" if name == "bounds" else "o-" if "latents" in name else "o:"
        lines[name] = Line(
            *zip(*sorted(found), strict=True), look=look, color=colors[int(size)] if size else "black"
        )
    return curves(
        lines,
        xlabel="Bytes a jet",
        ylabel="Error of the median column [σ]",
        style=canvas.Style(label=label),
    )


@click.command()
@click.argument("path")
@click.option(
    "-o", "--output", default=".", type=click.Path(path_type=Path), help="Folder of figure and table."
)
@click.option("--epochs", default=12, show_default=True, help="Epochs of each training.")
@click.option("--label", default="PYTHIA jets", show_default=True, help="What the figure's corner says.")
@click.option("--name", default="many_columns", show_default=True, help="Name of figure and table.")
def main(path: str, output: Path, epochs: int, label: str, name: str) -> None:
    """Measure all ways on the jets of PATH."""
    train, test = split(path)
    output.mkdir(parents=True, exist_ok=True)
    before, rows = columns_of(test), []
    for way, setting, size, after in ways(train, test, epochs):
        rows.append({"way": way, "setting": setting, "bytes_per_jet": size, **errors(before, after)})
        click.echo(
            "  ".join(f"{value:.4g}" if isinstance(value, float) else value for value in rows[-1].values())
        )
    write(output / f"{name}.csv", rows)
    canvas.save(draw(rows, label), output / name, formats=["png"])


if __name__ == "__main__":
    main()
