"""What a training gains by each idea: the validation loss and the processor time of trainings that differ in one thing.

    OMP_NUM_THREADS=1 python analysis/training_ideas.py [JETS.root] [--seeds N]

Each row is the one before it and one idea more; the last but one is the preset ``folded``. The narrow networks train for as many epochs as take
about the time of the default network's. Losses are mean squared errors of the features in the default basis, three latents.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import replace

import awkward as ak
import click

import hepae
from hepae.samples import sample_path

NARROW = hepae.AutoencoderConfig(hidden=(64, 64, 64))
OCTAVES = hepae.AutoencoderConfig.preset("folded")


def ideas(epochs: int) -> dict[str, hepae.TrainingConfig]:
    """Trainings by the idea that they add; the narrow ones have so many epochs."""
    narrow = hepae.TrainingConfig(epochs=epochs, network=NARROW)
    soap = replace(narrow, optimizer="soap", learning_rate=0.01)
    return {
        "default network, Adam": hepae.TrainingConfig(epochs=max(1, epochs // 6)),
        "a narrow network, 64-64-64": narrow,
        "SOAP": soap,
        "sines and cosines, 4 octaves": replace(soap, network=OCTAVES),
        "a folded start": replace(soap, network=OCTAVES, folded_start=True),
        "(SiLU instead of LeakyReLU)": replace(
            soap, network=replace(OCTAVES, activation="silu"), folded_start=True
        ),
    }


def measure(jets: ak.Array, config: hepae.TrainingConfig, seeds: int) -> tuple[list[float], float]:
    """Smallest validation loss of each seed, and the mean processor time."""
    losses, started = [], time.process_time()
    for seed in range(seeds):
        history = hepae.train(jets, replace(config, seed=seed)).history
        losses.append(min(row.validation_loss for row in history))
    return losses, (time.process_time() - started) / seeds


@click.command()
@click.argument("path", required=False)
@click.option("--seeds", default=2, show_default=True, help="Trainings of each kind.")
@click.option("--epochs", default=60, show_default=True, help="Epochs of the narrow networks.")
def main(path: str | None, seeds: int, epochs: int) -> None:
    """Train on the jets of PATH, by default the bundled sample, and print one row for each idea."""
    jets = hepae.read_jets(path or sample_path())
    click.echo(
        f"{ak.count(jets.pt)} jets, {seeds} seeds: mean validation loss, half the spread, processor time"
    )
    for name, config in ideas(epochs).items():
        losses, seconds = measure(jets, config, seeds)
        spread = (max(losses) - min(losses)) / 2
        click.echo(
            f"  {name:32s}{config.epochs:4d} epochs {statistics.mean(losses):10.2e} ± {spread:.1e} {seconds:6.0f} s"
        )


if __name__ == "__main__":
    main()
