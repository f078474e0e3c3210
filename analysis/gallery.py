"""Draw the gallery that the README shows: the bundled sample through both codecs, compared with the original.

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
from hepae.validation import canvas, plotting

BOUNDED = ("pt_residual", "mass_residual", "pt_against_pt", "correlations", "cut_flow")
"""What is shown of the bounded codec beside the whole gallery of the latents."""

VERSIONS = ("pt", "pt_against_pt", "dijet_mass", "bytes")
"""What is shown of several versions in one figure."""


@click.command()
@click.argument("output", type=click.Path(path_type=Path, file_okay=False))
@click.option("--epochs", default=50, show_default=True, help="Passes over the jets in training.")
def main(output: Path, epochs: int) -> None:
    """Draw the gallery into the folder OUTPUT, as PNG."""
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        result = hepae.train(hepae.read_jets(sample_path()), hepae.TrainingConfig(epochs=epochs))
        latents, small, bounds = (folder / f"{stem}.root" for stem in ("latents", "8-bit latents", "bounds"))
        hepae.compress_file(sample_path(), latents, result.codec)
        hepae.compress_file(sample_path(), small, result.codec.with_latent_bits(8))
        hepae.compress_file(sample_path(), bounds, hepae.BoundedCodec())
        for prefix, versions, stems in (
            ("", [latents], None),
            ("bounded_", [bounds], BOUNDED),
            ("versions_", [bounds, latents, small], VERSIONS),
        ):
            style = canvas.Style(label="PYTHIA dijets", com=13)
            compared = compare_files(sample_path(), versions, folder / f"{prefix}figures", style=style)
            for figure in compared.figures:
                if figure.suffix == ".png" and (stems is None or figure.stem in stems):
                    shutil.copyfile(figure, output / f"{prefix}{figure.name}")
        rows = [vars(row) for row in result.history]
        loss = plotting.loss({key: [row[key] for row in rows] for key in rows[0]})
        canvas.save(loss, output / "loss", formats=["png"])


if __name__ == "__main__":
    main()
