"""The command that exports a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from hepae.cli.options import PATH, OutputPath, force_option
from hepae.cli.sections import Command

if TYPE_CHECKING:
    from pathlib import Path


@click.command(cls=Command)
@click.argument("model", type=PATH)
@click.option(
    "-o", "--output", required=True, type=OutputPath(".onnx"), metavar="OUT.onnx", help="ONNX file to write."
)
@click.option(
    "--part",
    type=click.Choice(["encoder", "decoder"]),
    help="Write the encoder (jets to latents) or the decoder (latents to jets).  [default: both, one after the other]",
)
@force_option
def export(model: Path, output: Path, part: Literal["encoder", "decoder"] | None, force: bool) -> None:
    """Write the network of MODEL as ONNX, which runs without Python.

    Jets are float32 [N, columns] in GeV and radians, in the order that the command prints; latents are float32 [N, latents].
    The scaling is in the graph. Integer latents (--latent-bits), bounds, and what train --spectra adds to the decoder's jets
    are not. The file is checked against the model. It needs an extra: pip install 'hepae[onnx]'.

    \b
    For example:
      hepae export model.safetensors -o encoder.onnx --part encoder
    """  # noqa: D301  # \b tells click not to wrap what follows
    from hepae import kinematics
    from hepae.latent.codec import load_codec
    from hepae.latent.onnx import export as write

    codec = load_codec(model)
    write(codec, output, part=part, force=force)
    columns = [f"{name} {kinematics.UNITS.get(name, '')}".strip() for name in codec.columns]
    ends = {"encoder": "jets → latents", "decoder": "latents → jets", None: "jets → restored"}[part]
    click.echo(f"{output}: {ends}, {output.stat().st_size / 1e6:.2f} MB")
    if codec.spectra is not None and part != "encoder":
        click.echo(
            "restored jets are the decoder's own: the graph does not contain the spectra of train --spectra"
        )
    click.echo(f"columns: {', '.join(columns)}; latents: {', '.join(codec.latent_names)}")
