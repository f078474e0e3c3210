"""How the loss depends on recipe, network, number of jets and latents."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import hepae
from hepae import kinematics
from hepae.latent.autoencoder import AutoencoderConfig
from hepae.latent.features import FeatureMap
from study.figures import Line, curves
from study.rates import PCA

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import awkward as ak
    from numpy.typing import NDArray

    from hepae.training.train import TrainingResult
    from study.study import Study

    Results = Mapping[str, TrainingResult]

CONFIGURATIONS = Path(__file__).parent.parent / "configurations"
RECIPES = {
    "original": "original recipe",
    "ae_3d_200": "AE_3D_200",
    "ae_3d_100": "AE_3D_100",
    "best_mass": "best, (m, pt, φ, η)",
    "folded_mass": "folded, (m, pt, φ, η)",
    "best_energy": "best, (pt, η, φ, E)",
    "best_physics": "best, physics",
}
"""Configurations by the name of their file, and what figures call them."""

ORIGINAL_REPORT = 9.3e-3
"""Test MSE that the original experiment reported after 800 full-batch steps."""

ALIKE = hepae.TrainingConfig(columns=("m", "pt", "phi", "eta"), basis="minmax", epochs=25)
"""The training of all networks, numbers of jets and latents that are compared with each other."""

NETWORKS = ("connections-256", "original", "connections-64", "connections-32", "AE_3D_200", "AE_3D_100")
FRACTIONS = (0.1, 0.2, 0.4, 0.8, 1.0)
SEEDS = (0, 1, 2)
FRACTION_EPOCHS = 12
"""Epochs of all jets; a part of them gets the same number of optimiser steps."""
LATENTS = (1, 2, 3, 4)
STEPS = (6, 12, 25)
"""Epochs of the best recipe, cut short: how the loss falls with the length of the training."""
BATCHES = (2048,)
"""Jets a step of the best recipe in `ALIKE`'s number of epochs, beside its own."""

ALL = ("pt", "eta", "phi", "mass", "E")
UNITS = "(MSE of m, pt, φ, η in [0, 1])"


def configurations() -> dict[str, hepae.TrainingConfig]:
    """All trainings of the study, by name, the longest first."""
    recipes = {name: hepae.TrainingConfig.from_toml(CONFIGURATIONS / f"{name}.toml") for name in RECIPES}
    networks = {name: AutoencoderConfig.preset(name) for name in NETWORKS}
    return {
        **recipes,
        **{f"network {name}": replace(ALIKE, network=network) for name, network in networks.items()},
        **{f"steps {epochs}": replace(recipes["best_mass"], epochs=epochs) for epochs in STEPS},
        **{
            f"batch {size}": replace(recipes["best_mass"], epochs=ALIKE.epochs, batch_size=size)
            for size in BATCHES
        },
        **{f"latents {size}": replace(ALIKE, network=AutoencoderConfig(latent=size)) for size in LATENTS},
        **{
            f"fraction {fraction:g} seed {seed}": replace(
                ALIKE,
                network=networks["original"],
                fraction=fraction,
                seed=seed,
                epochs=round(FRACTION_EPOCHS / fraction),
            )
            for fraction in FRACTIONS
            for seed in SEEDS
        },
    }


def recipes(study: Study, results: Results) -> None:
    """Tell in common units what each configuration, trained as its file says, does to jets."""
    rows, lines = [], {}
    for name, label in RECIPES.items():
        codec, history = results[name].codec, results[name].history
        summary, network = codec.summary, codec.network.config
        restored = codec.decompress(codec.compress(study.test))
        found = hepae.residuals(study.test, restored)
        rows.append(
            {
                "recipe": name,
                "columns": " ".join(codec.columns),
                "basis": codec.features.basis,
                "network": "-".join(map(str, network.hidden)),
                "activation": network.activation,
                "jets": summary["jets"],
                "epochs": len(history),
                "steps": len(history) * -(-summary["jets"] // summary["config"]["batch_size"]),
                "train_loss": summary["best"]["train_loss"],
                "validation_loss": summary["best"]["validation_loss"],
                "test_loss": summary["best"]["test_loss"],
                "test_mse_minmax": minmax_loss(study, restored, codec.columns),
                **{f"{column}_p68": found[column].p68 for column in ALL},
                **{f"{column}_std": found[column].std for column in ALL},
                "spacelike": spacelike(restored),
                "spacelike_before": spacelike(study.test),
            }
        )
        if codec.features.basis == "minmax":
            lines[label] = _line(results[name])
    study.write("trigger_recipes", rows)
    figure = curves(
        lines,
        xlabel="Epoch",
        ylabel="Test loss (MSE of columns in [0, 1])",
        style=study.style,
        xscale="log",
        levels={"reported by the original": ORIGINAL_REPORT},
    )
    study.draw("trigger_loss_by_recipe", figure)


def minmax_loss(study: Study, restored: ak.Array, columns: Sequence[str]) -> float:
    """Mean squared error of the test jets' columns, scaled to [0, 1] on the training jets; phi around the circle."""
    training = {name: kinematics.flat_column(study.train, name) for name in columns}
    squares = []
    for transform in FeatureMap.fit(training, "minmax").transforms:
        before, after = (kinematics.flat_column(jets, transform.column) for jets in (study.test, restored))
        change = kinematics.difference(transform.column, before, after)
        squares.append(np.mean((change / transform.scale) ** 2))
    return float(np.mean(squares))


def spacelike(jets: ak.Array) -> float:
    """Share of the jets with m² < 0."""
    return float(np.mean(kinematics.flat_column(jets, "mass") < 0))


def networks(study: Study, results: Results) -> None:
    """Compare networks that were trained alike: how the loss depends on their size and activation."""
    named = {name: results[f"network {name}"] for name in NETWORKS}
    named["best"] = results[f"steps {ALIKE.epochs}"]
    rows = [
        {
            "network": name,
            "parameters": sum(tensor.numel() for tensor in result.codec.network.parameters()),
            "epochs": len(result.history),
            **{
                key: result.codec.summary["best"][key]
                for key in ("train_loss", "validation_loss", "test_loss")
            },
        }
        for name, result in named.items()
    ]
    study.write("trigger_networks", rows)
    lines = {name: _line(result) for name, result in named.items()}
    study.draw(
        "trigger_loss_by_network",
        curves(lines, xlabel="Epoch", ylabel=f"Test loss {UNITS}", style=study.style),
    )


def search(study: Study, results: Results) -> None:
    """Tell how the loss of the best recipe falls with the length of its training, and with the jets a step."""
    names = {f"steps {epochs}": results[f"steps {epochs}"] for epochs in STEPS}
    names["best_mass"] = results["best_mass"]
    names |= {f"batch {size}": results[f"batch {size}"] for size in BATCHES}
    rows = []
    for name, result in names.items():
        summary = result.codec.summary
        rows.append(
            {
                "training": name,
                "epochs": len(result.history),
                "batch_size": summary["config"]["batch_size"],
                **{kind: summary["best"][kind] for kind in ("train_loss", "validation_loss", "test_loss")},
            }
        )
    study.write("trigger_search", rows)
    long = [row for row in rows if not row["training"].startswith("batch")]
    epochs = [row["epochs"] for row in long]
    lines = {
        kind.capitalize(): Line(epochs, [row[f"{kind}_loss"] for row in long], look=look)
        for kind, look in (("train", "o--"), ("validation", "o:"), ("test", "o-"))
    }
    train, test = _features(study, results["best_mass"].codec.features)
    figure = curves(
        lines,
        xlabel="Epochs of the whole training",
        ylabel=f"Loss {UNITS}",
        style=study.style,
        xscale="log",
        levels={"PCA, three components": PCA.fit(train, 3).loss(test)},
    )
    study.draw("trigger_loss_by_steps", figure)


def _features(study: Study, features: FeatureMap) -> list[NDArray[np.float32]]:
    """Features of the training and of the test jets."""
    return [
        features.forward({name: kinematics.flat_column(jets, name) for name in features.columns})
        for jets in (study.train, study.test)
    ]


def fractions(study: Study, results: Results) -> None:
    """Compare trainings on parts of the jets, of the same number of steps: how many jets a network needs."""
    rows = []
    for fraction in FRACTIONS:
        summaries = [results[f"fraction {fraction:g} seed {seed}"].codec.summary for seed in SEEDS]
        row: dict[str, Any] = {"fraction": fraction, "jets": summaries[0]["jets"], "seeds": len(SEEDS)}
        for kind in ("train", "test"):
            losses = [summary["best"][f"{kind}_loss"] for summary in summaries]
            row |= {f"{kind}_loss": float(np.mean(losses)), f"{kind}_loss_std": float(np.std(losses, ddof=1))}
        rows.append(row)
    study.write("trigger_fractions", rows)
    percent = [100 * fraction for fraction in FRACTIONS]
    lines = {
        kind.capitalize(): Line(
            percent, [row[f"{kind}_loss"] for row in rows], [row[f"{kind}_loss_std"] for row in rows], "o-"
        )
        for kind in ("train", "test")
    }
    label = "Part of the training jets [%]"
    figure = curves(lines, xlabel=label, ylabel=f"Loss {UNITS}", style=study.style)
    study.draw("loss_against_fraction", figure)


def latents(study: Study, results: Results) -> None:
    """Compare one to four latents with principal components of the same number."""
    named = {size: results[f"latents {size}"].codec for size in LATENTS}
    train, test = _features(study, named[3].features)
    rows: list[dict[str, Any]] = [
        {
            "latents": size,
            "autoencoder": codec.summary["best"]["test_loss"],
            "PCA": PCA.fit(train, size).loss(test),
        }
        for size, codec in named.items()
    ]
    study.write("trigger_latents", rows)
    lines = {
        "Autoencoder": Line(LATENTS, [row["autoencoder"] for row in rows], look="o-"),
        "PCA (four of four lose nothing)": Line(LATENTS[:-1], [row["PCA"] for row in rows[:-1]], look="s--"),
    }
    figure = curves(lines, xlabel="Latents a jet", ylabel=f"Test loss {UNITS}", style=study.style)
    figure.axes[0].set_xticks(LATENTS)
    figure.axes[0].minorticks_off()
    study.draw("trigger_latents", figure)


def _line(result: TrainingResult) -> Line:
    return Line([row.epoch + 1 for row in result.history], [row.test_loss for row in result.history])
