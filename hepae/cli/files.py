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
    bound_options,
    chosen_options,
    compression_option,
    force_option,
    quiet_option,
    storage_option,
    tree_option,
    unit_option,
)
from hepae.errors import OutputError

if TYPE_CHECKING:
    from pathlib import Path

    from hepae.bounds import Bounds
    from hepae.files.sizes import FileSizes


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
@bound_options
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
@chosen_options
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
@click.option(
    "--sizes",
    is_flag=True,
    help="Show the bytes of each collection and branch, and an estimate of what compress would make of them.",
)
@click.option(
    "--report",
    type=PATH,
    metavar="DIR",
    help="With --sizes: also write DIR/sizes.html, a page with a table of all branches that can be sorted.",
)
@bound_options
@tree_option
@chosen_options
@unit_option
@compression_option
@force_option
@quiet_option
def info(
    path: str,
    as_json: bool,
    sizes: bool,
    report: Path | None,
    bounds: tuple[str, ...],
    bounds_file: Path | None,
    edges: tuple[str, ...],
    tree: str | None,
    collection: tuple[str, ...],
    unit: str | None,
    force: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Show what PATH contains: jets, compressed jets or a model.

    With --sizes it shows what takes the bytes, and an estimate, from a sample, of the file that compress would write with
    the same options. Nothing is written but the page of --report.

    \b
      hepae info jets.root --sizes --all --bound '*=0.1%' --report sizes
    """  # noqa: D301  # \b tells click not to wrap what follows
    from hepae.files.description import describe

    if not sizes:
        _only_with_sizes()
        content = describe(path, tree=tree, collection=collection[0] if collection else None, unit=unit)
        if as_json:
            click.echo(json.dumps(content, indent=2))
        else:
            summaries.print_description(path, content)
        return
    from hepae.files.sizes import file_sizes

    with terminal.progress(quiet, "estimating", "events") as update:
        found = file_sizes(
            path,
            asked_bounds(bounds, edges, bounds_file),
            tree=tree,
            collection=collection,
            unit=unit,
            progress=update,
            **options,
        )
    if found.note and not quiet:
        note(found.note)
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=2))
    else:
        summaries.print_sizes(found)
    if report is not None:
        page = _write_size_page(found, report, force)
        if not as_json:
            click.echo(f"{page}: all {len(found.branches)} branches")


def _write_size_page(found: FileSizes, folder: Path, force: bool) -> Path:
    from hepae.io.outputs import atomic_output
    from hepae.validation.size_page import size_page

    page = folder / "sizes.html"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot make the folder {folder}: {error.strerror}; choose another place"
        ) from error
    with atomic_output(page, force=force) as temporary:
        text = size_page(
            found.path,
            found.events,
            found.whole,
            found.rest,
            found.collections,
            found.branches,
            sampled=found.sampled,
            note=found.note,
        )
        temporary.write_text(text, encoding="utf-8", errors="replace")
    return page


def _only_with_sizes() -> None:
    """Refuse options that say how to compress, and several collections, where no sizes are asked for."""
    context = click.get_current_context()
    given = click.core.ParameterSource.COMMANDLINE
    for parameter in context.command.params:
        name = parameter.name or ""
        several = name == "collection" and len(context.params[name]) > 1
        if several or (
            name in ("report", "bounds", "bounds_file", "edges", "all_numbers", "compression", "force")
            and context.get_parameter_source(name) == given
        ):
            what = f"several {parameter.opts[0]}" if several else parameter.opts[0]
            raise click.UsageError(f"{what} needs --sizes")
