"""Draw the gallery that the README shows: the bundled sample through the autoencoder, compared with the original.

python analysis/gallery.py plots
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import click

import hepae
from hepae.comparison import compare_files
from hepae.samples import sample_path
from hepae.validation import plotting


@click.command()
@click.argument("output", type=click.Path(path_type=Path, file_okay=False))
@click.option("--epochs", default=50, show_default=True, help="Passes over the jets in training.")
def main(output: Path, epochs: int) -> None:
    """Draw the gallery into the folder OUTPUT, as PNG."""
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        small, figures = Path(folder) / "small.root", Path(folder) / "figures"
        result = hepae.train(hepae.read_jets(sample_path()), hepae.TrainingConfig(epochs=epochs))
        hepae.compress_file(sample_path(), small, result.codec)
        compared = compare_files(sample_path(), small, figures, style=plotting.Style(label="PYTHIA dijets"))
        rows = [vars(row) for row in result.history]
        loss = plotting.loss({name: [row[name] for row in rows] for name in rows[0]})
        for figure in [*compared.figures, *plotting.save(loss, figures / "loss")]:
            if figure.suffix == ".png":
                shutil.copyfile(figure, output / figure.name)


if __name__ == "__main__":
    main()
