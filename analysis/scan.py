"""Search configurations: a grid or a random scan of training options, over a pool of processes, in one table.

    python analysis/scan.py jets.root --test test.root -o scan.csv --vary learning_rate=1e-3,3e-3 --vary network.activation=tanh,gelu
    python analysis/scan.py jets.root --test test.root -o scan.csv --config base.toml --random 20 --vary learning_rate=3e-4..1e-2

Each configuration is a run in the folder RUNS, with its config.toml, which `hepae train --config` takes. A scan that was
stopped goes on where it was. One that diverges stands at the table's end, without numbers.
"""

from __future__ import annotations

import csv
import itertools
import random
import statistics
import tomllib
from pathlib import Path
from typing import Any

import click
from jobs import one_line
from study.trainings import Inputs, train_all

import hepae
from hepae import terminal
from hepae.errors import CodecError, ConfigError
from hepae.io.outputs import atomic_output

RANGE = ".."
LOSSES = ("train_loss", "validation_loss", "test_loss")


def choices(text: str) -> tuple[str, list[Any] | tuple[float, float]]:
    """Take ``OPTION=VALUE,VALUE`` or ``OPTION=LOW..HIGH`` apart: values as TOML has them, or else as text."""
    name, _, values = text.partition("=")
    if not values:
        raise ConfigError(f"--vary takes OPTION=VALUE,VALUE or OPTION=LOW..HIGH, not {text!r}")
    if RANGE in values:
        low, high = (_value(end) for end in values.split(RANGE, 1))
        if not all(isinstance(end, int | float) for end in (low, high)) or not 0 < low < high:
            raise ConfigError(f"a range goes from a number above zero to a larger one, not {values!r}")
        return name, (low, high)
    return name, [_value(value) for value in values.split(",")]


def _value(text: str) -> Any:
    """A value of TOML; widths as 512-256-128, and anything else as text."""
    if len(widths := text.split("-")) > 1 and all(width.isdigit() for width in widths):
        return [int(width) for width in widths]
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def points(
    varied: dict[str, list[Any] | tuple[float, float]], number: int | None, seed: int
) -> list[dict[str, Any]]:
    """Combinations of the options: all of them, or so many drawn at random, ranges on a logarithmic scale."""
    if number is None:
        ranges = [name for name, values in varied.items() if isinstance(values, tuple)]
        if ranges:
            raise ConfigError(f"{ranges[0]} is a range; say how many values to draw with --random")
        return [dict(zip(varied, values, strict=True)) for values in itertools.product(*varied.values())]
    draw = random.Random(seed)
    return [
        {
            name: draw.choice(values)
            if isinstance(values, list)
            else float(f"{values[0] * (values[1] / values[0]) ** draw.random():.3g}")
            for name, values in varied.items()
        }
        for _ in range(number)
    ]


def configuration(base: hepae.TrainingConfig, point: dict[str, Any]) -> hepae.TrainingConfig:
    """Give the base with the options of a point; those of the network are ``network.NAME``."""
    options = base.to_config()
    for name, value in point.items():
        table = options
        *tables, last = name.split(".")
        for key in tables:
            table = table.setdefault(key, {})
            if not isinstance(table, dict):
                raise ConfigError(f"no training option {name!r}: {key} is no table")
        table[last] = [value] if last == "hidden" and isinstance(value, int) else value
    return hepae.TrainingConfig.from_config(options)


@click.command()
@click.argument("jets", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--test", type=click.Path(path_type=Path, exists=True), required=True, help="Jets whose loss is logged."
)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The table, as CSV.")
@click.option("--config", type=click.Path(path_type=Path), help="What does not vary, as TOML.")
@click.option(
    "--vary",
    "texts",
    multiple=True,
    required=True,
    metavar="OPTION=…",
    help="Values, or LOW..HIGH with --random.",
)
@click.option(
    "--random", "number", type=click.IntRange(1), help="Draw so many configurations instead of all."
)
@click.option("--seed", default=0, show_default=True, help="Of the draws.")
@click.option(
    "--runs", type=click.Path(path_type=Path), default=Path("runs/scan"), show_default=True, help="Runs."
)
@click.option("--processes", type=click.IntRange(1), help="Trainings at once.  [default: one a core]")
@click.option("--force", is_flag=True, help="Replace an existing table.")
@one_line()
def main(
    jets: Path,
    test: Path,
    output: Path,
    config: Path | None,
    texts: tuple[str, ...],
    number: int | None,
    seed: int,
    runs: Path,
    processes: int | None,
    force: bool,
) -> None:
    """Train every configuration on JETS and write one table, the smallest validation loss first."""
    base = hepae.TrainingConfig.from_toml(config) if config else hepae.TrainingConfig()
    found = points(dict(choices(text) for text in texts), number, seed)
    named = {
        ",".join(f"{name}={value}" for name, value in point.items()).replace("/", "_"): point
        for point in found
    }
    configurations = {name: configuration(base, point) for name, point in named.items()}
    with atomic_output(output, force=force) as temporary:
        results = train_all(configurations, Inputs(jets, test), runs, processes=processes)
        if not results:
            raise CodecError("no configuration could be trained")
        rows = [
            {
                **named[name],
                **{kind: result.codec.summary["best"][kind] for kind in LOSSES},
                "best_epoch": result.codec.summary["best"]["epoch"] + 1,
                "epochs": len(result.history),
                "jets_per_s": round(statistics.median(row.jets_per_s for row in result.history)),
                "parameters": sum(tensor.numel() for tensor in result.codec.network.parameters()),
                "run": result.run_dir,
            }
            for name, result in results.items()
        ]
        rows.sort(key=lambda row: row["validation_loss"])
        with temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
            writer.writerows(point for name, point in named.items() if name not in results)
    shown = [*named[next(iter(named))], "validation_loss", "test_loss", "best_epoch", "parameters"]
    table = terminal.table(f"{len(rows)} configurations", *shown)
    for row in rows:
        table.add_row(
            *(f"{row[name]:.3g}" if isinstance(row[name], float) else str(row[name]) for name in shown)
        )
    terminal.console().print(table)
    click.echo(f"{output}: table; runs in {runs}")


if __name__ == "__main__":
    main()
