"""The command line."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from hepae import terminal
from hepae.errors import ConfigError, HepaeError

if TYPE_CHECKING:
    from collections.abc import Callable

    Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

_PATH = click.Path(path_type=Path)


class _WrongOption(click.ClickException):
    exit_code = 2


class _Commands(click.Group):
    """Turns an error of hepae into one line on stderr: status 1, or 2 where the options were wrong."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except HepaeError as error:
            line = " ".join(str(error).split())
            raise (_WrongOption if isinstance(error, ConfigError) else click.ClickException)(line) from error


def _options(*decorators: Decorator) -> Decorator:
    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


_quiet = click.option("--quiet", is_flag=True, help="No progress and no notes.")
_force = click.option("--force", is_flag=True, help="Replace an output that exists.")
_compression = click.option(
    "--compression",
    default="zstd:5",
    show_default=True,
    help="Of the branches: zstd, lz4, lzma or zlib, and a level.",
)
_storage = click.option(
    "--format",
    "storage",
    type=click.Choice(["ttree", "rntuple"]),
    help="Storage of the events; an RNTuple takes branches of any type.  [default: ttree, or as it was compressed]",
)
_tree = click.option("--tree", metavar="NAME", help="Tree to read, where the file has several with jets.")
_unit = click.option(
    "--unit",
    type=click.Choice(["MeV", "GeV"]),
    help="Unit of pt, mass and E in the file, where neither its convention nor its values tell.",
)
_input_options = _options(
    _tree,
    click.option("--collection", metavar="NAME", help="Which jets, where the tree has several collections."),
    _unit,
)


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(package_name="hepae")
def main() -> None:
    r"""Make jets smaller, and measure what that cost.

    \b
    The main job:
      hepae sample jets.root                              jets to try it on
      hepae train jets.root -o model.safetensors          train an autoencoder
      hepae compress jets.root -m model.safetensors -o small.root
      hepae compress jets.root -o bounded.root            no model: every jet within its bounds
      hepae compare jets.root small.root -o plots         residuals and figures
      hepae decompress small.root -o restored.root

    Jets are read from TTrees and RNTuples (NanoAOD, PHYSLITE and xAOD, Delphes, flat ntuples, LorentzVectors), HDF5,
    Parquet, CSV, DarkMachines text and pickled tables. Files are named by path, by a pattern in quotes ('data/*.root') or by
    URL (https://, root://, and whatever else fsspec knows).
    """
    # Of itself xrootd tries for ten minutes to reach a server that refuses it.
    os.environ.setdefault("XRD_CONNECTIONRETRY", "1")


@main.command()
@click.argument("output", type=_PATH)
@_force
def sample(output: Path, force: bool) -> None:
    """Write the bundled sample of 20 000 PYTHIA dijet events to OUTPUT (ROOT, NanoAOD names, GeV)."""
    from hepae.io.writers import atomic_output
    from hepae.samples import sample_path

    with atomic_output(output, force=force) as temporary:
        temporary.write_bytes(sample_path().read_bytes())
    click.echo(f"{output}: 20 000 dijet events, {output.stat().st_size / 1e6:.2f} MB")


@main.command()
@click.argument("output", type=_PATH)
@click.option("--process", type=click.Choice(["dijets", "ttbar"]), default="dijets", show_default=True)
@click.option("--events", type=click.IntRange(1), default=1000, show_default=True, help="Number of events.")
@click.option("--seed", type=click.IntRange(1, 900_000_000), default=1, show_default=True, help="Of PYTHIA.")
@_force
@_quiet
def generate(output: Path, process: str, events: int, seed: int, force: bool, quiet: bool) -> None:
    """Generate jets with PYTHIA and fastjet (extra: pip install 'hepae[pythia]') into OUTPUT."""
    from hepae import samples

    with terminal.progress(quiet, "generating", "events") as update:
        samples.generate(
            output,
            process=process,
            events=events,
            seed=seed,
            force=force,
            progress=lambda done: update(done, events),
        )
    click.echo(f"{output}: {events} {process} events, {output.stat().st_size / 1e6:.2f} MB")


@main.command()
@click.argument("inputs", nargs=-1, required=True)
@click.option("-o", "--output", required=True, type=_PATH, help="The model file, MODEL.safetensors.")
@click.option("--columns", help="Columns to code.  [default: pt,eta,phi,E]")
@click.option(
    "--basis",
    type=click.Choice(["physics", "minmax", "standard"]),
    help="How columns become features.  [default: physics]",
)
@click.option(
    "--preset", metavar="NAME", help="Network by name: original, connections-N, AE_3D_200 or AE_3D_100."
)
@click.option(
    "--hidden",
    metavar="W-W-W",
    help="Widths of the encoder, mirrored by the decoder.  [default: 512-256-128]",
)
@click.option("--latent", type=int, help="Latents a jet.  [default: 3]")
@click.option("--activation", help="leaky_relu, relu, tanh, gelu or silu.  [default: leaky_relu]")
@click.option("--epochs", type=int, help="Passes over the jets.  [default: 50]")
@click.option("--batch-size", type=int, help="Jets a step.  [default: 1024]")
@click.option("--learning-rate", type=float, help="Largest step size.  [default: 0.002]")
@click.option("--fraction", type=float, help="Share of the training jets to use.  [default: 1]")
@click.option(
    "--validation",
    metavar="INPUT",
    help="Jets that decide which weights are kept.  [default: 10 % of the input]",
)
@click.option("--test", metavar="INPUT", help="Jets whose loss is logged every epoch.")
@click.option("--seed", type=int, help="Of the split, the weights and the order of the jets.  [default: 0]")
@click.option("--device", help="cpu, cuda, …  [default: auto]")
@click.option("--runs-dir", type=_PATH, help="Where the run's folder is made.  [default: runs]")
@click.option("--resume", type=_PATH, metavar="RUN_DIR", help="Go on with a run that was stopped.")
@click.option(
    "--config",
    "config_file",
    type=_PATH,
    metavar="FILE.toml",
    help="Options from a file; those given here win.",
)
@_input_options
@_force
@_quiet
def train(
    inputs: tuple[str, ...],
    output: Path,
    config_file: Path | None,
    resume: Path | None,
    preset: str | None,
    validation: str | None,
    test: str | None,
    tree: str | None,
    collection: str | None,
    unit: str | None,
    force: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Train an autoencoder on the jets of INPUTS and write it as a model file.

    A run's folder keeps the configuration, the losses of each epoch, TensorBoard events and checkpoints. Inputs may be
    larger than memory; torchrun --nproc-per-node N -m hepae train ... trains on N processors or GPUs together.
    """
    from hepae.errors import OutputError
    from hepae.io.readers import iterate_jets
    from hepae.latent import codec as latent
    from hepae.training.processes import is_first_process
    from hepae.training.runs import Run

    if output.exists() and not force:
        raise OutputError(f"{output} exists already; name another output or add --force")
    if not output.parent.is_dir():
        raise OutputError(f"no folder {output.parent} to write {output.name} into; make it first")
    given = {name: value for name, value in options.items() if value is not None}
    if resume is not None:
        if given or config_file or preset:
            raise click.UsageError(
                "--resume takes its options from the run's config.toml; give none beside it"
            )
        run, config = Run.resume(resume)
    else:
        run, config = None, _training_config(given, preset, config_file)

    def read(*paths: str) -> Any:
        return iterate_jets(paths, tree=tree, collection=collection, unit=unit, columns=config.columns)

    with terminal.progress(quiet or not is_first_process(), "training", "jets") as update:
        result = latent.train(
            read(*inputs),
            config,
            validation=read(validation) if validation else None,
            test=read(test) if test else None,
            resume=run,
            progress=lambda done: update(done.jets, done.total, _loss_text(done)),
        )
    if not is_first_process():
        return
    result.codec.save(output, force=force)
    if result.run_dir is not None:
        from hepae.validation import plotting

        rows = [vars(row) for row in result.history]
        plotting.save(
            plotting.loss({key: [row[key] for row in rows] for key in rows[0]}), result.run_dir / "loss"
        )
    best = result.codec.summary["best"]
    table = terminal.table("loss (mean squared error of the features)", "", "")
    for name in ("train_loss", "validation_loss", "test_loss"):
        if best[name] is not None:
            table.add_row(name.replace("_loss", ""), f"{best[name]:.3e}")
    table.add_row("best epoch", f"{best['epoch'] + 1} of {len(result.history)}")
    table.add_row("basis", config.basis)
    terminal.console().print(table)
    if not quiet:
        _print_replaced(result.codec.summary["replaced"], result.codec.summary["jets"])
    click.echo(
        f"{output}: model, {output.stat().st_size / 1e6:.2f} MB"
        + (f"; run in {result.run_dir}" if result.run_dir else "")
    )


def _training_config(given: dict[str, Any], preset: str | None, config_file: Path | None) -> Any:
    """Options of a file, then a preset, then those of the command line, each over the one before."""
    from dataclasses import replace

    from hepae.latent.autoencoder import AutoencoderConfig
    from hepae.training.loop import TrainingConfig

    config = TrainingConfig.from_toml(config_file) if config_file else TrainingConfig()
    given.setdefault("runs_dir", config.runs_dir or Path("runs"))
    network = AutoencoderConfig.preset(preset) if preset else config.network
    shape = {name: given.pop(name) for name in ("hidden", "latent", "activation") if name in given}
    if "hidden" in shape:
        try:
            shape["hidden"] = tuple(int(width) for width in shape["hidden"].split("-"))
        except ValueError:
            raise ConfigError(f"--hidden is widths such as 512-256-128, not {shape['hidden']!r}") from None
    if "columns" in given:
        given["columns"] = tuple(name.strip() for name in given["columns"].split(",") if name.strip())
    return replace(config, network=replace(network, **shape), **given)


@main.command()
@click.argument("inputs", nargs=-1, required=True)
@click.option("-o", "--output", required=True, metavar="OUT.root", help="The compressed file.")
@click.option(
    "-m",
    "--model",
    type=_PATH,
    help="Code the jets as this model's latents: without a bound, unless --bound or --edges ask for one.",
)
@click.option(
    "--bound",
    "bounds",
    multiple=True,
    metavar="COLUMN=BOUND",
    help="Largest error of a column: 0.1%, 0.001, 1%+1MeV or exact. A pattern (Jet.*=0.1%, *=0.1%) is of all floats that have "
    "neither a bound of their own nor a default.  [default: pt=0.1%, eta=0.001, phi=0.001, mass=1%+1MeV, any other float exact]",
)
@click.option(
    "--edges",
    multiple=True,
    metavar="COLUMN=X,Y,...",
    help="Cuts that select the same jets before and after, such as pt=20,30; one on |eta| needs both signs.",
)
@click.option(
    "--latent-bits",
    type=int,
    metavar="N",
    help="Latents as N-bit integers, 2 to 16.  [default: float32, with bounds 6]",
)
@click.option("--keep", multiple=True, metavar="GLOB", help="Keep only these other branches.")
@click.option(
    "--drop",
    multiple=True,
    metavar="GLOB",
    help="Leave these other branches out; of another tree: TREE/BRANCH.",
)
@_storage
@_compression
@_tree
@click.option(
    "--collection",
    multiple=True,
    metavar="NAME",
    help="Which jets or other objects, also several times or as a pattern ('*').  [default: Jet, AnalysisJets or the only one]",
)
@_unit
@_force
@_quiet
def compress(
    inputs: tuple[str, ...],
    output: str,
    model: Path | None,
    bounds: tuple[str, ...],
    edges: tuple[str, ...],
    latent_bits: int | None,
    storage: str | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Compress the jets of INPUTS, joined in order, into one ROOT file; other branches pass through untouched.

    Every column of every jet stays within its bound, which needs no training. With a model, its latents take the place
    of the columns instead, and nothing is promised, unless there are bounds: then what the latents lack is stored as well.
    With several collections, --bound Muon.pt=0.01% is of one of them, --bound pt=0.1% of all others.
    """
    from hepae.files import compress as files

    codec, coding, promise = _codec(model, bounds, edges, latent_bits)
    with terminal.progress(quiet, "compressing", "events") as update:
        summary = files.compress_file(
            inputs, output, codec, storage=storage or "ttree", progress=update, **options
        )
    if not quiet:
        for note in summary.notes:
            click.echo(f"note: {note}", err=True)
        _print_replaced(summary.replaced, summary.jets)
    title = f"{output}: {', '.join(summary.collections)} as {coding}"
    table = terminal.table(title, "", "before", "after", "ratio")
    table.add_row("whole file", *_before_after(summary.file_before, summary.file_after))
    table.add_row("coded columns", *_before_after(summary.coded_before, summary.coded_after))
    if summary.jets:
        sizes = (f"{size / summary.jets:.2f} B" for size in (summary.coded_before, summary.coded_after))
        table.add_row("a jet", *sizes, "")
    terminal.console().print(table)
    if summary.bounds:
        click.echo("bounds: " + ", ".join(f"{name} {bound}" for name, bound in summary.bounds.items()))
    click.echo(f"{summary.events} events, {summary.jets} jets; {promise}")


def _codec(
    model: Path | None, bounds: tuple[str, ...], edges: tuple[str, ...], latent_bits: int | None
) -> tuple[Any, str, str]:
    """Codec that the options ask for, what to call it, and what it promises."""
    from hepae.bounds import Bounds

    promise = "every jet was restored and checked against its bounds"
    asked = Bounds.parse(bounds, edges)
    if model is None:
        from hepae.bounded.codec import BoundedCodec

        if latent_bits is not None:
            raise click.UsageError("--latent-bits is of a model's latents; name the model with -m")
        return BoundedCodec(asked), "integers within bounds", promise
    from hepae.latent.codec import load_codec

    latents = load_codec(model)
    if latent_bits is not None:
        latents = latents.with_latent_bits(latent_bits)
    if bounds or edges:
        latents = latents.with_bounds(asked)
    bits = latents.integers.bits if latents.integers else None
    kind = f"{len(latents.latent_names)} latents in {f'{bits}-bit integers' if bits else 'float32'}"
    if latents.bounds is not None:
        return latents, f"{kind}, corrected", promise
    return latents, kind, "no bound is promised: see the residuals with hepae compare"


@main.command()
@click.argument("path")
@click.option(
    "-o", "--output", required=True, metavar="OUT", help="The restored file, OUT.root or OUT.parquet."
)
@_storage
@_compression
@_force
@_quiet
def decompress(
    path: str, output: str, storage: str | None, compression: str, force: bool, quiet: bool
) -> None:
    """Give back the file that was compressed to PATH: same branches, order, units and types."""
    from hepae.files import compress as files

    with terminal.progress(quiet, "restoring", "events") as update:
        summary = files.decompress_file(
            path, output, storage=storage, compression=compression, force=force, progress=update
        )
    click.echo(f"{output}: {summary.events} events, {summary.jets} jets, {summary.file_after / 1e6:.2f} MB")


@main.command()
@click.argument("model", type=_PATH)
@click.option("-o", "--output", required=True, type=_PATH, help="The ONNX file, MODEL.onnx.")
@click.option(
    "--part",
    type=click.Choice(["encoder", "decoder"]),
    help="Jets to latents, or latents to jets.  [default: one after the other]",
)
@_force
def export(model: Path, output: Path, part: Literal["encoder", "decoder"] | None, force: bool) -> None:
    """Write MODEL's network as ONNX, which runs without Python (extra: pip install 'hepae[onnx]').

    Scaling is in the graph: jets are float32 [N, columns] in GeV and radians, in the order that is printed; latents are float32
    [N, latent]. Latents as integers (--latent-bits) and bounds are no part of it. The file is checked against the model.
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


@main.command()
@click.argument("path")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@_input_options
def info(path: str, as_json: bool, tree: str | None, collection: str | None, unit: str | None) -> None:
    """Say what PATH is: a file with jets, a compressed file or a model file."""
    from hepae.files.description import describe

    content = describe(path, tree=tree, collection=collection, unit=unit)
    if as_json:
        click.echo(json.dumps(content, indent=2))
        return
    table = terminal.table(path, "", "")
    collections = content.pop("collections", {}) if content["kind"] == "jets" else {}
    if content["kind"] == "compressed":
        content["collections"] = [f"{n} ({entry['jets']})" for n, entry in content["collections"].items()]
    for key, value in content.items():
        table.add_row(key.replace("_", " "), _plain(value))
    for name, entry in collections.items():
        columns = (
            f"{column} ({' '.join([of['type'], of['unit']]).strip()}, {of['bytes'] / 1e3:.1f} kB)"
            for column, of in entry["columns"].items()
        )
        table.add_row(f"{name}: {entry['jets']}", ", ".join(columns))
    terminal.console().print(table)


def _plain(value: Any) -> str:
    """JSON as a person reads it."""
    if isinstance(value, dict):
        return "\n".join(f"{key.replace('_', ' ')}: {_plain(entry)}" for key, entry in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "–" if value is None else str(value)


@main.command()
@click.argument("original")
@click.argument("versions", nargs=-1, required=True, metavar="COMPRESSED_OR_RESTORED...")
@click.option("-o", "--output", required=True, type=_PATH, help="Folder for metrics.json and the figures.")
@click.option(
    "--report", is_flag=True, help="Write the page report.html as well, which needs nothing beside it."
)
@click.option("--json", "as_json", is_flag=True, help="Print metrics.json as well.")
@click.option(
    "--experiment",
    type=click.Choice(["", "ATLAS", "CMS"]),
    default="",
    help="Whose label stands on the figures, such as ATLAS or CMS.  [default: none]",
)
@click.option("--label", default="", help="Text behind it, such as Internal or Simulation.")
@click.option("--com", type=float, help="Centre-of-mass energy in TeV, for the label.")
@click.option("--lumi", type=float, help="Integrated luminosity in fb⁻¹, for the label.")
@_tree
@click.option(
    "--collection",
    multiple=True,
    metavar="NAME",
    help="Which jets, also several times or as a pattern ('*').  [default: all that the first compressed file coded]",
)
@_unit
@_force
@_quiet
def compare(
    original: str,
    versions: tuple[str, ...],
    output: Path,
    as_json: bool,
    experiment: Literal["", "ATLAS", "CMS"],
    label: str,
    com: float | None,
    lumi: float | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Compare ORIGINAL jets with compressed or restored files: residuals, figures and bytes, side by side."""
    from hepae.comparison import compare_files
    from hepae.validation.plotting import Style

    style = Style(experiment=experiment, label=label, com=com, lumi=lumi)
    with terminal.progress(quiet, "comparing", "events") as update:
        result = compare_files(original, versions, output, style=style, progress=update, **options)
    if as_json:
        click.echo(json.dumps(result.metrics, indent=2))
        return
    several = result.metrics.get("versions", [{"file": versions[0], **result.metrics}])
    for metrics in several:
        _print_comparison(f"{metrics['file']} − {original}", metrics)
    page = "report.html, " if result.report else ""
    click.echo(f"{output}: {page}metrics.json and {len(result.figures) // 2} figures as PNG and PDF")


def _print_comparison(title: str, metrics: dict[str, Any]) -> None:
    names = ("mean", "median", "std", "p68", "p99")
    table = terminal.table(
        title, "column", "unit", *names, "largest", "largest rel.", "not finite", "violations"
    )
    for name, column in metrics["columns"].items():
        relative = column["max_rel"] is not None and name in ("pt", "mass", "E")
        table.add_row(
            name,
            "relative" if relative else column["unit"] or "1",
            *(_number(column[key]) for key in names),
            f"{_number(column['max_abs'])} {column['unit']}".strip(),
            _number(column["max_rel"]),
            str(column["non_finite"]),
            "–" if column["violations"] is None else str(column["violations"]),
        )
    terminal.console().print(table)
    sizes = metrics["bytes"]
    click.echo(
        f"{metrics['jets']} jets, {sizes['per_jet'] or 0:.2f} bytes a jet in the coded columns, "
        f"{sizes['original'] / 1e6:.2f} MB before, {sizes['compressed'] / 1e6:.2f} MB after"
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _before_after(before: int, after: int) -> tuple[str, str, str]:
    return f"{before / 1e6:.3f} MB", f"{after / 1e6:.3f} MB", f"{after / before:.3f}" if before else ""


def _print_replaced(replaced: dict[str, int], jets: int) -> None:
    for name, count in replaced.items():
        if count:
            what = f"{name} ≤ 0 or no number" if name in ("pt", "mass") else f"{name} no number"
            click.echo(f"note: {count} of {jets} jets have {what}; the model replaces these values", err=True)


def _loss_text(progress: Any) -> str:
    metrics = progress.metrics
    return (
        "" if metrics is None else f"loss {metrics.train_loss:.2e}, validation {metrics.validation_loss:.2e}"
    )
