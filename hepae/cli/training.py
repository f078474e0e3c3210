"""The command that trains a model."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hepae import terminal
from hepae.cli.notes import print_replaced
from hepae.cli.options import PATH, OutputPath, force_option, input_options, options_of, quiet_option
from hepae.cli.sections import Command
from hepae.errors import ConfigError, UnitWarning

if TYPE_CHECKING:
    from hepae.training.configuration import TrainingConfig
    from hepae.training.train import TrainingResult


_training_options = options_of(
    click.option(
        "--columns",
        metavar="NAME,...",
        help="Columns to encode, by name or pattern: 'pt,eta,phi,mass,btag*', or all.  [default: pt,eta,phi,E]",
    ),
    click.option(
        "--basis",
        type=click.Choice(["physics", "minmax", "standard"]),
        help="How columns are scaled: minmax to [0, 1], standard to mean 0 and variance 1, physics the same with logarithms of pt and mass.  [default: physics]",
    ),
    click.option(
        "--preset",
        metavar="NAME",
        help="Network of an earlier study (original, connections-N, AE_3D_200, AE_3D_100), or folded: the lowest loss.",
    ),
    click.option(
        "--hidden",
        metavar="W-W-W",
        help="Layer widths of the encoder; the decoder has the reverse.  [default: 512-256-128]",
    ),
    click.option("--latent", type=int, help="Latents per jet.  [default: 3]"),
    click.option("--activation", help="leaky_relu, relu, tanh, gelu or silu.  [default: leaky_relu]"),
    click.option("--epochs", type=int, help="Passes over the training jets.  [default: 50]"),
    click.option("--batch-size", type=int, help="Jets per step.  [default: 1024]"),
    click.option(
        "--learning-rate", type=float, help="Largest learning rate of the schedule.  [default: 0.002]"
    ),
    click.option(
        "--spectra",
        is_flag=True,
        default=None,
        help="Restore each column with the spectrum of the training jets. The mean squared error becomes 1.4 to 1.6 times as large; train prints the factor.",
    ),
    click.option("--fraction", type=float, help="Fraction of the training jets to use.  [default: 1]"),
    click.option(
        "--validation",
        metavar="INPUT",
        help="File whose jets decide which epoch is kept.  [default: 10 % of the input]",
    ),
    click.option("--test", metavar="INPUT", help="File whose loss is logged after each epoch."),
    click.option(
        "--seed",
        type=int,
        help="Random seed for the split, the initial weights and the shuffling.  [default: 0]",
    ),
    click.option("--device", help="cpu, cuda or another device of torch.  [default: auto]"),
)
"""Options that say what is trained, and how."""


@click.command(cls=Command)
@click.argument("inputs", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    required=True,
    type=OutputPath(".safetensors"),
    metavar="OUT.safetensors",
    help="Model file to write.",
)
@_training_options
@click.option("--runs-dir", type=PATH, help="Folder for the run's own folder.  [default: runs]")
@click.option("--resume", type=PATH, metavar="RUN_DIR", help="Continue a run that was stopped.")
@click.option(
    "--config",
    "config_file",
    type=PATH,
    metavar="FILE.toml",
    help="Read options from a file. Options on the command line override it.",
)
@input_options
@force_option
@quiet_option
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
    """Train an autoencoder on the jets of INPUTS.

    The folder of the run has the configuration, the losses of each epoch, TensorBoard events and checkpoints. Inputs may be
    larger than memory.

    \b
    For example:
      hepae train jets.root -o model.safetensors
      hepae train jets.root -o model.safetensors --resume runs/DATE_TIME
      torchrun --nproc-per-node 2 -m hepae train jets.root -o model.safetensors
    """  # noqa: D301  # \b tells click not to wrap what follows
    from hepae.io.inputs import Inputs, OneUnit
    from hepae.io.readers import jets_of
    from hepae.training.processes import is_first_process
    from hepae.training.runs import Run
    from hepae.training.train import train as train_codec

    _check_output(output, force=force)
    given = {name: value for name, value in options.items() if value is not None}
    if resume is not None:
        if given or config_file or preset:
            raise click.UsageError(
                "--resume takes all options from the run's config.toml: leave out the other options"
            )
        run, config = Run.resume(resume)
    else:
        run, config = None, _training_config(given, preset, config_file)
        config = replace(
            config, columns=_columns(config.columns, inputs[0], tree=tree, collection=collection, unit=unit)
        )

    one_unit = OneUnit(unit)
    if not is_first_process():
        warnings.simplefilter("ignore", UnitWarning)

    def read(*paths: str) -> Any:
        return jets_of(Inputs(paths, tree=tree, unit=one_unit), collection, config.columns)

    with terminal.progress(quiet or not is_first_process(), "training", "jets") as update:
        result = train_codec(
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
    _draw_losses(result)
    _print_losses(result, config)
    if not quiet:
        print_replaced(result.codec.summary["replaced"], result.codec.summary["jets"])
    click.echo(
        f"{output}: model, {output.stat().st_size / 1e6:.2f} MB"
        + (f"; run in {result.run_dir}" if result.run_dir else "")
    )


def _check_output(output: Path, *, force: bool) -> None:
    """Refuse an output that cannot be written, before the training takes its time."""
    from hepae.errors import OutputError

    if output.exists() and not force:
        raise OutputError(f"{output} exists already; name another output or add --force")
    if not output.parent.is_dir():
        raise OutputError(f"no folder {output.parent} to write {output.name} into; make it first")


def _draw_losses(result: TrainingResult) -> None:
    """Draw the loss of each epoch into the run's folder, where there is one."""
    if result.run_dir is None:
        return
    from hepae.validation import canvas, plotting

    rows = [vars(row) for row in result.history]
    figure = plotting.loss({key: [row[key] for row in rows] for key in rows[0]})
    canvas.save(figure, result.run_dir / "loss")


def _print_losses(result: TrainingResult, config: TrainingConfig) -> None:
    """Print the losses of the best epoch, and how it was trained."""
    best = result.codec.summary["best"]
    table = terminal.table("loss (mean squared error of the features)", "", "")
    for name in ("train_loss", "validation_loss", "test_loss"):
        if best[name] is not None:
            table.add_row(name.replace("_loss", ""), f"{best[name]:.3e}")
    table.add_row("best epoch", f"{best['epoch'] + 1} of {len(result.history)}")
    if factor := result.codec.summary.get("spectra_mse_factor"):
        table.add_row("with --spectra", f"{factor:.2f} times the validation loss")
    table.add_row("basis", config.basis)
    if config.precision != "float32":
        table.add_row("precision", config.precision)
    terminal.console().print(table)


def _columns(
    asked: tuple[str, ...], path: str, *, tree: str | None, collection: str | None, unit: str | None
) -> tuple[str, ...]:
    """Names of the columns that are asked for by name or pattern; patterns are those of the first input's columns."""
    from hepae.io.locations import expand
    from hepae.io.readers import choose_collection, open_source
    from hepae.latent.features import match_columns

    asked = tuple("*" if name == "all" else name for name in asked)
    if not any({*"*?["} & {*name} for name in asked):
        return asked
    with open_source(expand(path)[0], tree=tree, unit=unit) as source:
        jets = choose_collection(source, collection)
    names, momentum = list(jets.column_names), jets.momentum
    if len(momentum) == 4 and "pt" not in momentum:  # px, py, pz: a model codes them as pt, eta, phi and mass
        names = ["pt", "eta", "phi", "mass", *(name for name in names if name not in momentum)]
    if "mass" in names and "E" not in asked:  # a model codes one of the two
        names = [name for name in names if name != "E"]
    return match_columns(asked, names)


def _training_config(given: dict[str, Any], preset: str | None, config_file: Path | None) -> Any:
    """Options of a file, then a preset, then those of the command line, each over the one before."""
    from hepae.training.configuration import TrainingConfig

    config = TrainingConfig.from_toml(config_file) if config_file else TrainingConfig()
    given.setdefault("runs_dir", config.runs_dir or Path("runs"))
    config = config.with_preset(preset) if preset else config
    shape = {name: given.pop(name) for name in ("hidden", "latent", "activation") if name in given}
    if "hidden" in shape:
        try:
            shape["hidden"] = tuple(int(width) for width in shape["hidden"].split("-"))
        except ValueError:
            raise ConfigError(f"--hidden takes widths such as 512-256-128, got {shape['hidden']!r}") from None
    if "columns" in given:
        given["columns"] = tuple(name.strip() for name in given["columns"].split(",") if name.strip())
    return replace(config, network=replace(config.network, **shape), **given)


def _loss_text(progress: Any) -> str:
    metrics = progress.metrics
    return (
        "" if metrics is None else f"loss {metrics.train_loss:.2e}, validation {metrics.validation_loss:.2e}"
    )
