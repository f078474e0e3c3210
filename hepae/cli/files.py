"""Commands that compress, restore and describe files."""

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
from hepae.cli.sections import Command
from hepae.errors import OutputError

if TYPE_CHECKING:
    from pathlib import Path

    from hepae.bounds import Bounds
    from hepae.files.sizes import FileSizes


@click.command(cls=Command)
@click.argument("inputs", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    required=True,
    type=Output(".root"),
    metavar="OUT.root",
    help="Compressed file to write.",
)
@click.option(
    "-m",
    "--model",
    type=PATH,
    help="Store the latents of this model instead of the columns. Add --bound or --edges to store corrections too.",
)
@bound_options
@click.option(
    "--latent-bits",
    type=int,
    metavar="N",
    help="With -m: store each latent as an integer of N bits, 2 to 16. Fewer bits take fewer bytes and make larger errors.  "
    "[default: 32-bit floats; 6 with --bound or --edges]",
)
@click.option(
    "--keep",
    multiple=True,
    metavar="GLOB",
    help="Of the branches that are not coded, keep only these: a name or a pattern such as 'MET_*'. Repeat it for several.",
)
@click.option(
    "--drop",
    multiple=True,
    metavar="GLOB",
    help="Leave out these branches, branches of other trees (TREE/BRANCH) or objects such as histograms. Repeat it for several.",
)
@click.option(
    "--drop-unreadable",
    is_flag=True,
    help="Leave out branches and objects that cannot be read or copied. Without it they are an error. ROOT copies most of them: pip install 'hepae[root]'.",
)
@click.option(
    "--again",
    is_flag=True,
    help="Allow inputs that hepae restored before. The file records the sum of both bounds.",
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

    Every value of every jet stays within its bound, and is checked while the file is written. All other branches stay as
    they are. Several inputs are joined in their order.

    With a model (-m), latents replace the columns and have no bound. With -m and --bound or --edges, corrections are
    stored too, so every jet stays within its bounds.

    \b
    For example:
      hepae compress jets.root -o small.root --bound pt=0.1% --edges pt=30,50
      hepae compress nanoaod.root -o small.root --collection '*' --bound '*=0.1%'
      hepae compress jets.root -o latents.root -m model.safetensors
    """  # noqa: D301  # \b tells click not to wrap what follows
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
    """Codec that the options ask for, its name for the user, and what it promises."""
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


@click.command(cls=Command)
@click.argument("path")
@click.option(
    "-o",
    "--output",
    required=True,
    type=Output(".root", ".parquet"),
    metavar="OUT",
    help="Restored file to write, OUT.root or OUT.parquet.",
)
@storage_option
@compression_option
@click.option(
    "--drop-unreadable",
    is_flag=True,
    help="Leave out branches that only ROOT can write. Try first: pip install 'hepae[root]'.",
)
@force_option
@quiet_option
def decompress(path: str, output: str, quiet: bool, **options: Any) -> None:
    """Write a plain ROOT or Parquet file from a compressed one.

    PATH is the compressed file; nothing else is needed. Branches come back with their names, order, units and types, coded
    columns within their bounds.

    \b
    For example:
      hepae decompress small.root -o restored.root
    """  # noqa: D301  # \b tells click not to wrap what follows
    from hepae.files.decompress import decompress_file

    with terminal.progress(quiet, "restoring", "events") as update:
        summary = decompress_file(path, output, command=command_line(), progress=update, **options)
    if not quiet:
        for text in summary.notes:
            note(text)
    click.echo(f"{output}: {summary.events} events, {summary.jets} jets, {summary.file_after / 1e6:.2f} MB")


@click.command(cls=Command)
@click.argument("path")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--sizes",
    is_flag=True,
    help="Show the bytes of each collection and of the largest branches, now and after compress (an estimate).",
)
@click.option(
    "--report",
    type=PATH,
    metavar="DIR",
    help="With --sizes: also write DIR/sizes.html, a table of all branches.",
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
    """Show what a file contains, and what takes its bytes.

    PATH is a file with jets, a compressed or restored file, or a model.

    With --sizes, hepae info also estimates the file that hepae compress would write with the same options. Options for
    bounds, --all, --compression, --report and --force need --sizes.

    \b
    For example:
      hepae info jets.root
      hepae info nanoaod.root --sizes --all --bound '*=0.1%' --report sizes
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
