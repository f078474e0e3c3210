"""Commands that compress and restore files, and say what is in them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from hepae import summaries, terminal
from hepae.cli.group import command_line
from hepae.cli.notes import note, print_replaced
from hepae.cli.options import (
    PATH,
    Output,
    asked_bounds,
    bounds_file_option,
    compression_option,
    force_option,
    input_options,
    quiet_option,
    storage_option,
    tree_option,
    unit_option,
)

if TYPE_CHECKING:
    from pathlib import Path

    from hepae.bounds import Bounds


@click.command()
@click.argument("inputs", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    required=True,
    type=Output(".root"),
    metavar="OUT.root",
    help="The compressed file.",
)
@click.option(
    "-m",
    "--model",
    type=PATH,
    help="Store the latents of this model instead of the columns.",
)
@click.option(
    "--bound",
    "bounds",
    multiple=True,
    metavar="COLUMN=BOUND",
    help="Largest error of a column: 0.1%, 0.001, 1%+1MeV or exact. A pattern (Jet.*=0.1%, *=0.1%) applies to every float32 "
    "column that has no bound of its own and no default; to float64 columns only in a collection without float32 ones; and "
    "never to weights, cross sections and scale factors, which stay exact unless you give their full name.  [default: pt=0.1%, eta=0.001, phi=0.001, mass=1%+1MeV, any other float exact]",
)
@bounds_file_option
@click.option(
    "--edges",
    multiple=True,
    metavar="COLUMN=X,Y,...",
    help="Cuts that select the same jets before and after, such as pt=20,30; for |eta| < 2.4 write eta=-2.4,2.4.",
)
@click.option(
    "--latent-bits",
    type=int,
    metavar="N",
    help="Store latents as N-bit integers, 2 to 16; from 7 bits on, jets unlike the training jets are restored better.  [default: float32; with bounds 6 bits]",
)
@click.option(
    "--keep",
    multiple=True,
    metavar="GLOB",
    help="Keep only these other branches: a name or a pattern such as 'MET_*', also several times.",
)
@click.option(
    "--drop",
    multiple=True,
    metavar="GLOB",
    help="Leave out these other branches, branches of other trees (TREE/BRANCH) and other objects, such as histograms.",
)
@click.option(
    "--drop-unreadable",
    is_flag=True,
    help="Leave out branches that uproot cannot read, where ROOT is not there to clone them, and objects that cannot be copied.",
)
@click.option(
    "--again",
    is_flag=True,
    help="Compress files that were restored from compressed ones; the sum of both bounds is recorded.",
)
@storage_option
@compression_option
@tree_option
@click.option(
    "--collection",
    multiple=True,
    metavar="NAME",
    help="Which jets or other objects, also several times or as a pattern ('*').  [default: Jet, AnalysisJets or the only one]",
)
@click.option(
    "--all",
    "all_numbers",
    is_flag=True,
    help="Code all collections, and the numbers of the event as well: MET, trigger bits, weights. Their collection is called as "
    "the tree, --bound Events.MET_pt=0.1%; without a bound floats are exact.",
)
@unit_option
@force_option
@quiet_option
def compress(
    inputs: tuple[str, ...],
    output: str,
    model: Path | None,
    bounds: tuple[str, ...],
    bounds_file: Path | None,
    edges: tuple[str, ...],
    latent_bits: int | None,
    storage: str | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Compress the jets of INPUTS into one ROOT file.

    Inputs are joined in order; other branches pass through untouched. Every column of every jet stays within its bound, which
    needs no training. With a model, the latents replace the columns, and no bound is promised, unless --bound or --edges are
    given: then corrections are stored too, so that every jet stays within its bounds. With several collections,
    --bound Muon.pt=0.01% is for one of them, --bound pt=0.1% for all others.
    """
    from hepae.files.compress import compress_file

    if model is not None and options["all_numbers"]:
        raise click.UsageError("--all is for bounds, not for a model: leave -m or --all out")
    codec, coding, promise = _codec(model, asked_bounds(bounds, edges, bounds_file), latent_bits)
    with terminal.progress(quiet, "compressing", "events") as update:
        summary = compress_file(
            inputs,
            output,
            codec,
            storage=storage,
            command=command_line(),
            progress=update,
            **options,
        )
    if not quiet:
        for text in summary.notes:
            note(text)
        print_replaced(summary.replaced, summary.jets)
    summaries.print_compression(output, coding, summary)
    click.echo(f"{summary.events} events, {summary.jets} jets; {promise}")


def _codec(model: Path | None, asked: Bounds, latent_bits: int | None) -> tuple[Any, str, str]:
    """Codec that the options ask for, what to call it, and what it promises."""
    promise = "every jet was restored and checked against its bounds"
    if model is None:
        from hepae.bounded.codec import BoundedCodec

        if latent_bits is not None:
            raise click.UsageError("--latent-bits needs a model: add -m MODEL")
        return BoundedCodec(asked), "integers within bounds", promise
    from hepae.latent.codec import load_codec

    latents = load_codec(model)
    if latent_bits is not None:
        latents = latents.with_latent_bits(latent_bits)
    if asked.columns or asked.edges:
        latents = latents.with_bounds(asked)
    bits = latents.integers.bits if latents.integers else None
    kind = f"{len(latents.latent_names)} latents in {f'{bits}-bit integers' if bits else 'float32'}"
    if latents.bounds is not None:
        return latents, f"{kind}, corrected", promise
    return latents, kind, "no bound is promised: see the residuals with hepae compare"


@click.command()
@click.argument("path")
@click.option(
    "-o",
    "--output",
    required=True,
    type=Output(".root", ".parquet"),
    metavar="OUT",
    help="The restored file, OUT.root or OUT.parquet.",
)
@storage_option
@compression_option
@click.option(
    "--drop-unreadable",
    is_flag=True,
    help="Leave out branches that ROOT cloned and that cannot be written without it.",
)
@force_option
@quiet_option
def decompress(path: str, output: str, quiet: bool, **options: Any) -> None:
    """Restore the file that was compressed to PATH.

    Its branches come back with their names, order, units and types.
    """
    from hepae.files.decompress import decompress_file

    with terminal.progress(quiet, "restoring", "events") as update:
        summary = decompress_file(path, output, command=command_line(), progress=update, **options)
    if not quiet:
        for text in summary.notes:
            note(text)
    click.echo(f"{output}: {summary.events} events, {summary.jets} jets, {summary.file_after / 1e6:.2f} MB")


@click.command()
@click.argument("path")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@input_options
@quiet_option
def info(path: str, as_json: bool, quiet: bool, **options: Any) -> None:  # noqa: ARG001  # --quiet acts where it is read
    """Show what PATH contains: jets, compressed jets or a model."""
    from hepae.files.description import describe

    content = describe(path, **options)
    if as_json:
        click.echo(json.dumps(content, indent=2))
        return
    summaries.print_description(path, content)
