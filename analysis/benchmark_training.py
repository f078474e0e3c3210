"""Training speed: hepae's loop, and the same network fed by a per-sample DataLoader, in one run.

    python analysis/benchmark_training.py

Prints jets/s and the ratio. The ratio is what to compare between machines and days: both are measured in turns on the
same jets, so a busy machine slows both.
"""

from __future__ import annotations

import statistics
import time

import click
import torch
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from hepae.models.autoencoder import Autoencoder, AutoencoderConfig
from hepae.models.training import TrainingConfig, fit


def hepae_jets_per_s(features: torch.Tensor, batch_size: int) -> float:
    """Speed of an epoch of `hepae.models.training.fit`."""
    model = Autoencoder(features.shape[1], AutoencoderConfig())
    config = TrainingConfig(epochs=1, batch_size=batch_size, device="cpu")
    return fit(model, features, features[:1], None, config)[0].jets_per_s


def dataloader_jets_per_s(features: torch.Tensor, batch_size: int) -> float:
    """Speed of an epoch of the loop that tutorials show: a DataLoader that collects sample by sample."""
    model = Autoencoder(features.shape[1], AutoencoderConfig())
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    started = time.monotonic()
    for (batch,) in DataLoader(TensorDataset(features), batch_size=batch_size, shuffle=True):
        optimizer.zero_grad()
        functional.mse_loss(model(batch), batch).backward()
        optimizer.step()
    return len(features) / (time.monotonic() - started)


@click.command()
@click.option("--jets", default=100_000, show_default=True, help="Jets an epoch.")
@click.option("--batch-size", default=1024, show_default=True, help="Jets a step.")
@click.option("--repeats", default=5, show_default=True, help="Epochs of each, in turns; the median counts.")
def main(jets: int, batch_size: int, repeats: int) -> None:
    """Measure both loops on random features with the default network, 4-512-256-128-3-128-256-512-4."""
    features = torch.rand(jets, 4, generator=torch.Generator().manual_seed(0))
    loops = {"hepae": hepae_jets_per_s, "per-sample DataLoader": dataloader_jets_per_s}
    speeds: dict[str, list[float]] = {name: [] for name in loops}
    for repeat in range(repeats + 1):
        for name, loop in loops.items():
            speed = loop(features, batch_size)
            if repeat:  # the first turn warms up
                speeds[name].append(speed)
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    click.echo(
        f"default network, batches of {batch_size}, {torch.get_num_threads()} threads, {jets} jets, {repeats} epochs"
    )
    for name, speed in medians.items():
        click.echo(f"{name:24s}{speed:10,.0f} jets/s  {speed / medians['per-sample DataLoader']:6.2f} ×")


if __name__ == "__main__":
    main()
