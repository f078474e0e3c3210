"""The command that exports a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from hepae.cli.options import PATH, OutputPath, force_option

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.argument("model", type=PATH)
@click.option("-o", "--output", required=True, type=OutputPath(".onnx"), help="The ONNX file, MODEL.onnx.")
@click.option(
    "--part",
    type=click.Choice(["encoder", "decoder"]),
    help="Jets to latents, or latents to jets.  [default: one after the other]",
)
@force_option
def export(model: Path, output: Path, part: Literal["encoder", "decoder"] | None, force: bool) -> None:
    """Write the network of MODEL as ONNX, which runs without Python.

    This needs an extra: pip install 'hepae[onnx]'. Scaling is in the graph: jets are float32 [N, columns] in GeV and radians, in the order that is printed; latents are float32
    [N, latent]. Latents as integers (--latent-bits) and bounds are not part of it. The file is checked against the model.
    """
    from hepae import kinematics
    from hepae.latent.codec import load_codec
    from hepae.latent.onnx import export as write

    codec = load_codec(model)
    write(codec, output, part=part, force=force)
    columns = [f"{name} {kinematics.UNITS.get(name, '')}".strip() for name in codec.columns]
    ends = {"encoder": "jets → latents", "decoder": "latents → jets", None: "jets → restored"}[part]
    click.echo(f"{output}: {ends}, {output.stat().st_size / 1e6:.2f} MB")
    click.echo(f"columns: {', '.join(columns)}; latents: {', '.join(codec.latent_names)}")
