"""The original experiment, asked again: what a 4→3 autoencoder can do for trigger jets, and where it is worth having.

    python analysis/trigger_jet_study.py DATA -o plots
    python analysis/trigger_jet_study.py --train jets.root --test others.root -o study

DATA is a folder with all_jets_train_4D_100_percent.pkl and all_jets_test_4D_100_percent.pkl. Every training is a run in the folder
RUNS, described by its config.toml; a study that was stopped goes on where it was, and one that is done draws its figures anew
within minutes. On two cores all of it takes about an hour and a half.

The configurations of single trainings lie in analysis/configurations; `hepae train --config` takes each of them. Tables are
CSV beside the figures, all of which begin with ``trigger_``, but loss_against_fraction.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import click
import numpy as np
from study import rates
from study.figures import Line, curves, rate_distortion
from study.trainings import Inputs, train_all

import hepae
from hepae import kinematics, samples
from hepae.io.writers import atomic_output
from hepae.models.autoencoder import AutoencoderConfig
from hepae.models.features import FeatureMap
from hepae.validation import plotting
from hepae.validation.counts import Counts, Scheme

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hepae.codecs.latent import TrainingResult
    from hepae.validation.residuals import Residuals

CONFIGURATIONS = Path(__file__).with_name("configurations")
RECIPES = {
    "original": "original recipe",
    "ae_3d_200": "AE_3D_200",
    "ae_3d_100": "AE_3D_100",
    "best_mass": "best, (m, pt, φ, η)",
    "best_energy": "best, (pt, η, φ, E)",
    "best_physics": "best, physics",
}
"""Configurations by the name of their file, and what figures call them."""

NETWORKS = ("connections-32", "connections-64", "original", "connections-256", "AE_3D_200", "AE_3D_100")
"""Networks that are trained alike."""

ALIKE = hepae.TrainingConfig(
    columns=("m", "pt", "phi", "eta"), basis="minmax", epochs=60, batch_size=1024, learning_rate=2e-3
)
"""The training of all networks, latent sizes and fractions that are compared with each other."""

FRACTIONS = (0.1, 0.2, 0.4, 0.8, 1.0)
SEEDS = (0, 1, 2)
FRACTION_EPOCHS = 40
"""Epochs of all jets; a part of them gets the same number of optimiser steps."""

LATENTS = (1, 2, 3, 4)
ORIGINAL_REPORT = 9.3e-3
"""Test MSE that the original experiment reported after 800 full-batch steps."""

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

SHOWN = ("autoencoder physics, n bits", "bounds", "integers, physics", "PCA-3, physics")
"""Ways in the figures of resolution against pt."""

BUDGETS = (2, 3, 4, 5, 6, 8, 12)
"""Bytes a jet at which all ways are compared."""

SHOWN_BUDGET = 5
"""Bytes a jet of the figures of resolution against pt."""


@dataclass(frozen=True)
class Study:
    """Jets, where to write, and how to train."""

    inputs: Inputs
    output: Path
    runs: Path
    style: plotting.Style
    resolution: plotting.JetEnergyResolution
    processes: int | None
    at_most: int | None

    @cached_property
    def train(self) -> ak.Array:
        """Training jets, flat."""
        return _flat(hepae.read_jets(self.inputs.train))

    @cached_property
    def test(self) -> ak.Array:
        """Test jets, flat."""
        return _flat(hepae.read_jets(self.inputs.test))

    def trainings(self, configurations: Mapping[str, hepae.TrainingConfig]) -> dict[str, TrainingResult]:
        """Results by name; those that were trained earlier are used."""
        short = {
            name: replace(config, epochs=min(config.epochs, self.at_most or config.epochs))
            for name, config in configurations.items()
        }
        return train_all(short, self.inputs, self.runs, processes=self.processes)

    def write(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write a table as CSV; numbers with four digits."""
        with (
            atomic_output(self.output / f"{name}.csv", force=True) as temporary,
            temporary.open("w", newline="") as file,
        ):
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(
                {key: f"{value:.4g}" if isinstance(value, float) else value for key, value in row.items()}
                for row in rows
            )

    def draw(self, name: str, figure: Any) -> None:
        """Save a figure as PNG."""
        for path in plotting.save(figure, self.output / name):
            if path.suffix != ".png":
                path.unlink()
        click.echo(f"{self.output / name}.png")


def _flat(jets: ak.Array) -> ak.Array:
    return ak.flatten(jets) if jets.ndim > 1 else jets


def recipes(study: Study) -> dict[str, TrainingResult]:
    """Train each configuration as its file says, and tell in common units what it does to jets."""
    configurations = {
        name: hepae.TrainingConfig.from_toml(CONFIGURATIONS / f"{name}.toml") for name in RECIPES
    }
    results = study.trainings(configurations)
    rows = []
    for name, result in results.items():
        best, config = result.codec.summary["best"], configurations[name]
        restored = result.codec.decompress(result.codec.compress(study.test))
        found = hepae.residuals(study.test, restored)
        columns = (
            ("mass", "pt", "phi", "eta")
            if "E" not in config.columns or config.basis == "physics"
            else ("pt", "eta", "phi", "E")
        )
        rows.append(
            {
                "recipe": name,
                "columns": " ".join(config.columns),
                "basis": config.basis,
                "network": "-".join(map(str, config.network.hidden)),
                "activation": config.network.activation,
                "jets": result.codec.summary["jets"],
                "epochs": len(result.history),
                "steps": len(result.history) * -(-result.codec.summary["jets"] // config.batch_size),
                "train_loss": best["train_loss"],
                "validation_loss": best["validation_loss"],
                "test_loss": best["test_loss"],
                "test_mse_minmax": minmax_loss(study, restored, columns),
                **{f"{column}_p68": found[column].p68 for column in ("pt", "eta", "phi", "mass", "E")},
                **{f"{column}_std": found[column].std for column in ("pt", "eta", "phi", "mass", "E")},
                "spacelike": float(np.mean(spacelike(restored))),
                "spacelike_before": float(np.mean(spacelike(study.test))),
            }
        )
    study.write("trigger_recipes", rows)
    lines = {
        RECIPES[name]: _loss_line(result)
        for name, result in results.items()
        if configurations[name].basis == "minmax"
    }
    figure = curves(
        lines,
        xlabel="Epoch",
        ylabel="Test loss (MSE of columns in [0, 1])",
        style=study.style,
        xscale="log",
        levels={"reported by the original": ORIGINAL_REPORT},
    )
    study.draw("trigger_loss_by_recipe", figure)
    return results


def minmax_loss(study: Study, restored: ak.Array, columns: Sequence[str]) -> float:
    """Mean squared error of the test jets' columns, scaled to [0, 1] on the training jets; phi around the circle."""
    features = FeatureMap.fit({name: kinematics.flat_column(study.train, name) for name in columns}, "minmax")
    squares = []
    for transform in features.transforms:
        before, after = (kinematics.flat_column(jets, transform.column) for jets in (study.test, restored))
        change = after.astype(np.float64) - before
        change = kinematics.wrap_phi(change) if transform.column == "phi" else change
        squares.append(np.mean((change / transform.scale) ** 2))
    return float(np.mean(squares))


def spacelike(jets: ak.Array) -> Any:
    """Which jets have m² < 0."""
    return kinematics.flat_column(jets, "mass") < 0


def _loss_line(result: TrainingResult) -> Line:
    epochs = [row.epoch + 1 for row in result.history]
    return Line(epochs, [row.test_loss for row in result.history])


def networks(study: Study) -> None:
    """Train networks alike: how the loss depends on their size and activation."""
    configurations = {
        f"network_{name}": replace(ALIKE, network=AutoencoderConfig.preset(name)) for name in NETWORKS
    }
    best = hepae.TrainingConfig.from_toml(CONFIGURATIONS / "best_mass.toml")
    configurations["network_best"] = replace(best, epochs=ALIKE.epochs)
    results = study.trainings(configurations)
    rows = [
        {
            "network": name.removeprefix("network_"),
            "parameters": sum(tensor.numel() for tensor in result.codec.network.parameters()),
            "epochs": len(result.history),
            **{
                key: result.codec.summary["best"][key]
                for key in ("train_loss", "validation_loss", "test_loss")
            },
        }
        for name, result in results.items()
    ]
    study.write("trigger_networks", rows)
    lines = {name.removeprefix("network_"): _loss_line(result) for name, result in results.items()}
    label = "Test loss (MSE of m, pt, φ, η in [0, 1])"
    study.draw("trigger_loss_by_network", curves(lines, xlabel="Epoch", ylabel=label, style=study.style))


def fractions(study: Study) -> None:
    """Train on parts of the jets, with the same number of steps: how many jets a network needs."""
    configurations = {
        f"fraction_{fraction:g}_seed_{seed}": replace(
            ALIKE,
            fraction=fraction,
            seed=seed,
            epochs=round(FRACTION_EPOCHS / fraction),
            network=AutoencoderConfig.preset("original"),
        )
        for fraction in FRACTIONS
        for seed in SEEDS
    }
    results = study.trainings(configurations)
    by_fraction = defaultdict(list)
    for name, result in results.items():
        by_fraction[configurations[name].fraction].append(result.codec.summary)
    rows, lines = [], {}
    for fraction, summaries in by_fraction.items():
        row: dict[str, Any] = {"fraction": fraction, "jets": summaries[0]["jets"], "seeds": len(summaries)}
        for kind in ("train", "test"):
            losses = [summary["best"][f"{kind}_loss"] for summary in summaries]
            row |= {f"{kind}_loss": float(np.mean(losses)), f"{kind}_loss_std": float(np.std(losses, ddof=1))}
        rows.append(row)
    for kind in ("train", "test"):
        x, y, error = ([row[key] for row in rows] for key in ("fraction", f"{kind}_loss", f"{kind}_loss_std"))
        lines[kind.capitalize()] = Line([100 * value for value in x], y, error, "o-")
    study.write("trigger_fractions", rows)
    figure = curves(
        lines,
        xlabel="Part of the training jets [%]",
        ylabel="Loss (MSE of m, pt, φ, η in [0, 1])",
        style=study.style,
    )
    study.draw("loss_against_fraction", figure)


def latent_sizes(study: Study) -> None:
    """Train with one to four latents, beside principal components of the same number."""
    configurations = {
        f"latents_{size}": replace(ALIKE, network=AutoencoderConfig(latent=size)) for size in LATENTS
    }
    results = study.trainings(configurations)
    codec = results["latents_3"].codec
    matrix, tested = (
        codec.features.forward({name: kinematics.flat_column(jets, name) for name in codec.columns})
        for jets in (study.train, study.test)
    )
    rows = [
        {
            "latents": size,
            "autoencoder": results[f"latents_{size}"].codec.summary["best"]["test_loss"],
            "PCA": rates.PCA.fit(matrix, size).loss(tested),
        }
        for size in LATENTS
    ]
    study.write("trigger_latents", rows)
    lines = {
        name: Line(LATENTS, [row[key] for row in rows], look=look)
        for name, key, look in (("Autoencoder", "autoencoder", "o-"), ("PCA", "PCA", "s--"))
    }
    lines["PCA"] = Line(
        LATENTS[:-1], [row["PCA"] for row in rows[:-1]], look="s--"
    )  # four of four lose nothing
    figure = curves(
        lines, xlabel="Latents a jet", ylabel="Test loss (MSE of m, pt, φ, η in [0, 1])", style=study.style
    )
    figure.axes[0].set_xticks(LATENTS)
    study.draw("trigger_latents", figure)


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
    for column in rates.COLUMNS:
        relative = "relative " if column in ("pt", "mass") else ""
        families: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for point, found in measured:
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
        **{f"{name}_p68": found[name].p68 for name in rates.COLUMNS},
        **{f"{name}_median": found[name].median for name in rates.COLUMNS},
        **{f"{name}_p99": found[name].p99 for name in rates.COLUMNS},
        "spacelike": float(np.mean(spacelike(point.restored))),
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
            other["way"]
            for other in rows
            if all(other[f"{name}_p68"] < row[f"{name}_p68"] for name in rates.COLUMNS)
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
    widest = max(chosen, key=lambda point: hepae.residuals(study.test, point.restored)["mass"].p68)
    scheme = Scheme.choose(study.test, widest.restored, coded=rates.COLUMNS, bounds={})
    profiles = {}
    for point in chosen:
        counts = Counts.of(scheme)
        counts.fill(study.test, point.restored)
        profiles[f"{point.family}, {point.bytes_per_jet:.1f} B"] = counts.histograms.against
    for column in ("pt", "mass"):
        figure = plotting.response(
            {name: against[column, "pt"] for name, against in profiles.items()},
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
    default="ATLAS trigger jets, 2018",
    show_default=True,
    help="What the figures' corner says of the jets.",
)
@click.option(
    "--resolution",
    nargs=3,
    type=float,
    default=(samples.NOISE, samples.STOCHASTIC, samples.CONSTANT),
    show_default=True,
    metavar="N S C",
    help="Jet energy resolution √(N²/pt² + S²/pt + C²) that pt is compared with, pt in GeV.",
)
@click.option(
    "--resolution-name",
    default="Jet energy resolution, arXiv:1910.04482",
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
    style = plotting.Style(label=label, com=13)
    reference = plotting.JetEnergyResolution(resolution_name, *resolution)
    study = Study(Inputs(train, test), output, runs, style, reference, processes, at_most)
    results = recipes(study)
    networks(study)
    fractions(study)
    latent_sizes(study)
    histograms(study, results["best_mass"])
    rate_distortions(study, results)


if __name__ == "__main__":
    main()
