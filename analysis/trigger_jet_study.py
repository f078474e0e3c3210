"""The original experiment, asked again: what a 4→3 autoencoder can do for trigger jets, and where it is worth having.

    python analysis/trigger_jet_study.py DATA -o plots
    python analysis/trigger_jet_study.py --train jets.root --test others.root -o study

DATA is a folder with all_jets_train_4D_100_percent.pkl and all_jets_test_4D_100_percent.pkl. Every training is a run in the folder
RUNS, described by its config.toml; a study that was stopped goes on where it was, and one that is done draws its figures anew
within minutes. On two cores all of it takes about an hour.

The recipes lie in analysis/configurations; `hepae train --config` takes each of them. Tables are CSV beside the figures; all
their names begin with ``trigger_``, but loss_against_fraction.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from benchmarks.jets import FOUR
from study import losses, rates
from study.figures import Line, rate_distortion
from study.study import Study
from study.trainings import Inputs, train_all

import hepae
from hepae.comparison import default_resolution
from hepae.validation import canvas, plotting, profiles
from hepae.validation.counts import Counts, Scheme

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hepae.training.train import TrainingResult
    from hepae.validation.residuals import Residuals

LOOKS = {
    "autoencoder [0, 1], float32": ("s", "#3f90da"),
    "autoencoder [0, 1], n bits": (".-", "#3f90da"),
    "autoencoder [0, 1], bounded": ("x--", "#3f90da"),
    "autoencoder physics, float32": ("s", "#bd1f01"),
    "autoencoder physics, n bits": (".-", "#bd1f01"),
    "autoencoder physics, bounded": ("x--", "#bd1f01"),
    "bounds": ("o-", "black"),
    "bounds, mass as pt": ("o--", "0.4"),
    "integers, physics": (".-", "#ffa90e"),
    "integers, [0, 1]": (".:", "#ffa90e"),
    "PCA-3, physics": (".-", "#832db6"),
    "PCA-3, [0, 1]": (".:", "#832db6"),
}
"""Marker, line and colour of each way."""

SHOWN = {
    "autoencoder physics, n bits": "autoencoder",
    "bounds": "bounds",
    "integers, physics": "integers",
    "PCA-3, physics": "PCA-3",
}
"""Ways in the figures of resolution against pt, and what these call them."""

RESOLUTION = default_resolution()

BUDGETS = (2, 3, 4, 5, 6, 8, 12)
"""Bytes a jet at which all ways are compared."""

SHOWN_BUDGET = 5
"""Bytes a jet of the figures of resolution against pt."""


def histograms(study: Study, result: TrainingResult) -> None:
    """Draw the original's eight figures, of each column on training and test jets, and the residuals that it left out."""
    for which in ("train", "test"):
        jets = getattr(study, which)
        restored = result.codec.decompress(result.codec.compress(jets))
        counts = Counts.of(Scheme.choose(jets, restored, coded=result.codec.columns, bounds={}))
        counts.fill(jets, restored)
        numbers, drawn = counts.sums.result(), counts.histograms
        for column in ("mass", "pt", "phi", "eta"):
            figure = plotting.comparison(drawn.original[column], drawn.restored[column], style=study.style)
            study.draw(f"trigger_{which}_{column}", figure)
            figure = plotting.residual(drawn.residual[column], numbers[column], style=study.style)
            study.draw(f"trigger_{which}_{column}_residual", figure)


def rate_distortions(study: Study, results: Mapping[str, TrainingResult]) -> None:
    """Draw what jets cost against what that does to them, and say which ways nobody should use."""
    codecs = {
        "autoencoder [0, 1]": results["best_mass"].codec,
        "autoencoder physics": results["best_physics"].codec,
    }
    measured = [
        (point, hepae.residuals(study.test, point.restored))
        for point in rates.points(study.train, study.test, codecs)
    ]
    study.write("trigger_rate_distortion", [_distortion(point, found) for point, found in measured])
    study.write("trigger_equal_bytes", [row for budget in BUDGETS for row in equal_bytes(measured, budget)])
    lines: dict[str, dict[str, Line]] = {}
    for column in FOUR:
        relative = "relative " if column in ("pt", "mass") else ""
        families: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for point, found in measured:
            if found[column].p68:  # not where all jets are given one value
                families[point.family].append((point.bytes_per_jet, found[column].p68))
        lines[f"{column}: 68% half-width of the {relative}residual"] = {
            name: Line(*zip(*sorted(found), strict=True), look=LOOKS[name][0], color=LOOKS[name][1])
            for name, found in families.items()
        }
    study.draw("trigger_rate_distortion", rate_distortion(lines, study.style))
    resolution_figures(study, measured)


def _distortion(point: rates.Point, found: Residuals) -> dict[str, Any]:
    return {
        "way": point.family,
        "setting": point.setting,
        "bytes_per_jet": point.bytes_per_jet,
        **{f"{name}_p68": found[name].p68 for name in FOUR},
        **{f"{name}_median": found[name].median for name in FOUR},
        **{f"{name}_p99": found[name].p99 for name in FOUR},
        "spacelike": losses.spacelike(point.restored),
    }


def equal_bytes(measured: Sequence[tuple[rates.Point, Residuals]], budget: float) -> list[dict[str, Any]]:
    """Rows of a table: what each way does within so many bytes a jet, and which ways are better in every column."""
    rows = []
    for name in dict.fromkeys(point.family for point, _ in measured):
        within = [one for one in measured if one[0].family == name and one[0].bytes_per_jet <= budget]
        if within:
            point, found = max(within, key=lambda one: one[0].bytes_per_jet)
            rows.append({"budget": budget, **_distortion(point, found)})
    for row in rows:
        better = [
            other["way"] for other in rows if all(other[f"{name}_p68"] < row[f"{name}_p68"] for name in FOUR)
        ]
        row["better_in_every_column"] = "; ".join(better)
    return rows


def resolution_figures(study: Study, measured: Sequence[tuple[rates.Point, Residuals]]) -> None:
    """Draw response and resolution of pt and mass against pt at equal bytes, beside a jet energy resolution."""
    chosen = []
    for name in SHOWN:
        within = [
            point for point, _ in measured if point.family == name and point.bytes_per_jet <= SHOWN_BUDGET
        ]
        chosen.append(max(within, key=lambda point: point.bytes_per_jet))
    against = {}
    for point in chosen:  # each on axes of its own: a small residual in wide bins has the width of a bin
        counts = Counts.of(Scheme.choose(study.test, point.restored, coded=FOUR, bounds={}))
        counts.fill(study.test, point.restored)
        against[f"{SHOWN[point.family]}, {point.bytes_per_jet:.1f} B"] = counts.histograms.against
    for column in ("pt", "mass"):
        figure = profiles.response(
            {name: of[column, "pt"] for name, of in against.items()},
            references={study.resolution.name: study.resolution} if column == "pt" else None,
            style=study.style,
        )
        study.draw(f"trigger_{column}_response", figure)


@click.command()
@click.argument("data", required=False, type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--train", type=click.Path(path_type=Path, exists=True), help="Jets to train on, instead of DATA."
)
@click.option(
    "--test", type=click.Path(path_type=Path, exists=True), help="Jets to test with, instead of DATA."
)
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder of figures and tables."
)
@click.option(
    "--runs",
    type=click.Path(path_type=Path),
    default=Path("runs/study"),
    show_default=True,
    help="Folder of the trainings.",
)
@click.option("--processes", type=click.IntRange(1), help="Trainings at once.  [default: one a core]")
@click.option(
    "--at-most", type=click.IntRange(1), metavar="EPOCHS", help="Train no longer than this, for a quick look."
)
@click.option(
    "--label",
    default="ATLAS trigger jets",
    show_default=True,
    help="What the figures' corner says of the jets.",
)
@click.option(
    "--resolution",
    nargs=3,
    type=float,
    default=(RESOLUTION.noise, RESOLUTION.stochastic, RESOLUTION.constant),
    show_default=True,
    metavar="N S C",
    help="Jet energy resolution √(N²/pt² + S²/pt + C²) that pt is compared with, pt in GeV.",
)
@click.option(
    "--resolution-name",
    default=RESOLUTION.name,
    show_default=True,
    help="Whose it is.",
)
def main(
    data: Path | None,
    train: Path | None,
    test: Path | None,
    output: Path,
    runs: Path,
    processes: int | None,
    at_most: int | None,
    label: str,
    resolution: tuple[float, float, float],
    resolution_name: str,
) -> None:
    """Do the whole study on the jets of DATA."""
    if data is not None:
        train, test = (data / f"all_jets_{which}_4D_100_percent.pkl" for which in ("train", "test"))
    if train is None or test is None:
        raise click.UsageError("name the folder with the pickles, or --train and --test")
    output.mkdir(parents=True, exist_ok=True)
    style = canvas.Style(label=label, com=13)
    study = Study(
        Inputs(train, test), output, style, profiles.JetEnergyResolution(resolution_name, *resolution)
    )
    trainings = {
        name: replace(config, epochs=min(config.epochs, at_most or config.epochs))
        for name, config in losses.configurations().items()
    }
    results = train_all(trainings, study.inputs, runs, processes=processes)
    losses.recipes(study, results)
    losses.networks(study, results)
    losses.search(study, results)
    losses.fractions(study, results)
    losses.latents(study, results)
    histograms(study, results["best_mass"])
    rate_distortions(study, results)


if __name__ == "__main__":
    main()
