"""Training speed and loss: hepae's loop beside what one writes without it, in one run.

    OMP_NUM_THREADS=2 python analysis/benchmark_training.py [JETS.root]

The default network, 4-512-256-128-3-128-256-512-4, in: a plain torch loop that slices a shuffled tensor (float32, Adam
with its default options), hepae as it is by default, with large batches, through a
shuffle buffer smaller than the data, a plain loop with the fused Adam that hepae has and one under torch.compile besides; and the matrix
products of a training alone, without which no loop does. Then the same with a network
of AE_3D_200's size, small batches, and a DataLoader that collects sample by sample, the better one of none and two workers.
All are measured in turns on the same jets, so a busy machine slows all; the ratios are what to compare. At the end the
loss of the plain loop and of hepae after the same epochs with the same schedule.
"""

from __future__ import annotations

import shutil
import statistics
import time
from typing import TYPE_CHECKING

import click
import torch
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import hepae
from hepae.kinematics import flat_column
from hepae.latent.autoencoder import Autoencoder, AutoencoderConfig
from hepae.latent.batches import batches
from hepae.latent.features import FeatureMap
from hepae.samples import sample_path
from hepae.training.configuration import TrainingConfig
from hepae.training.loop import fit
from hepae.training.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hepae.training.metrics import EpochMetrics

DEFAULT, SMALL = AutoencoderConfig(), AutoencoderConfig.preset("AE_3D_200")


def with_hepae(
    features: torch.Tensor,
    network: AutoencoderConfig,
    batch_size: int,
    *,
    parts: int = 1,
) -> Callable[[], float]:
    """Give an epoch of `hepae.training.loop.fit`, which says its jets/s; the buffer holds one of so many parts."""
    config = TrainingConfig(epochs=1, batch_size=batch_size, network=network, device="cpu")
    model = Autoencoder(features.shape[1], network)
    buffer = len(features) // parts
    if parts > 1:
        rows = Rows(features.shape[1], "float32", buffer=buffer)
        rows.append(features.numpy())
        features = torch.from_numpy(rows.array())
    return lambda: fit(model, features, features[:1], None, config, buffer=buffer)[0].jets_per_s


def by_hand(
    features: torch.Tensor,
    network: AutoencoderConfig,
    feed: Callable[[], Iterable[torch.Tensor]],
    *,
    fused: bool = False,
    compiled: bool = False,
) -> Callable[[], float]:
    """Give an epoch of a plain loop over the batches of ``feed``, which says its jets/s."""
    model = Autoencoder(features.shape[1], network)
    optimizer = torch.optim.Adam(model.parameters(), fused=fused)
    forward = torch.compile(model) if compiled else model

    def epoch() -> float:
        model.train()
        started = time.monotonic()
        for batch in feed():
            optimizer.zero_grad()
            functional.mse_loss(forward(batch), batch).backward()
            optimizer.step()
        return len(features) / (time.monotonic() - started)

    return epoch


def products(features: torch.Tensor, network: AutoencoderConfig, batch_size: int) -> Callable[[], float]:
    """Give an epoch of nothing but the products of a training's steps: outputs, gradients of weights and of inputs."""
    parts = network.layer_shapes(features.shape[1])
    layers = [
        (torch.rand(outputs, inputs), torch.rand(batch_size, inputs), torch.rand(batch_size, outputs))
        for outputs, inputs in (*parts["encoder"], *parts["decoder"])
    ]

    @torch.inference_mode()
    def epoch() -> float:
        steps, started = len(features) // batch_size, time.monotonic()
        for _ in range(steps):
            for number, (weights, inputs, gradients) in enumerate(layers):
                torch.mm(inputs, weights.T)
                torch.mm(gradients.T, inputs)
                if number:
                    torch.mm(gradients, weights)
        return steps * batch_size / (time.monotonic() - started)

    return epoch


def plain_loops(
    features: torch.Tensor, network: AutoencoderConfig, batch_size: int
) -> dict[str, Callable[[], float]]:
    """Plain loops, the one with torch.compile where a compiler is, and the products alone."""
    loops = {
        "plain loop": {},
        "plain loop, fused Adam": {"fused": True},
        "plain loop, fused Adam, torch.compile": {"fused": True, "compiled": True},
    }
    if not (shutil.which("c++") or shutil.which("g++")):
        click.echo("torch.compile is left out: there is no C++ compiler")
        del loops["plain loop, fused Adam, torch.compile"]
    made = {
        name: by_hand(features, network, lambda: sliced(features, batch_size), **options)
        for name, options in loops.items()
    }
    return {**made, "matrix products alone": products(features, network, batch_size)}


def sliced(features: torch.Tensor, batch_size: int) -> Iterable[torch.Tensor]:
    """Batches of a shuffled tensor, the short last one left out: torch.compile would compile anew for it."""
    shuffled = features[torch.randperm(len(features))]
    return batches(shuffled[: len(features) // batch_size * batch_size], batch_size)


def collected(features: torch.Tensor, batch_size: int, workers: int) -> Iterable[torch.Tensor]:
    """Batches of a DataLoader that collects them sample by sample."""
    loader = DataLoader(TensorDataset(features), batch_size=batch_size, shuffle=True, num_workers=workers)
    return (batch for (batch,) in loader)


def in_turns(loops: dict[str, Callable[[], float]], repeats: int) -> dict[str, float]:
    """Median jets/s of each loop; the first turn warms up."""
    turns = [{name: loop() for name, loop in loops.items()} for _ in range(repeats + 1)][1:]
    return {name: statistics.median(turn[name] for turn in turns) for name in loops}


def show(title: str, speeds: dict[str, float], reference: str) -> None:
    click.echo(title)
    for name, speed in speeds.items():
        click.echo(f"  {name:44s}{speed:12,.0f} jets/s  {speed / speeds[reference]:6.2f} ×")


def loss_by_hand(train: torch.Tensor, validation: torch.Tensor, epochs: int) -> float:
    """Validation loss of the plain loop, with the schedule that hepae has."""
    config = TrainingConfig()
    torch.manual_seed(config.seed)
    model = Autoencoder(train.shape[1], DEFAULT)
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
    steps = epochs * (len(train) // config.batch_size)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, total_steps=steps)
    for _ in range(epochs):
        for batch in sliced(train, config.batch_size):
            optimizer.zero_grad()
            functional.mse_loss(model(batch), batch).backward()
            optimizer.step()
            scheduler.step()
    with torch.inference_mode():
        return float(functional.mse_loss(model(validation), validation))


def loss_with_hepae(train: torch.Tensor, validation: torch.Tensor, epochs: int) -> EpochMetrics:
    """Last epoch of hepae's loop."""
    config = TrainingConfig(epochs=epochs, device="cpu")
    torch.manual_seed(config.seed)
    return fit(Autoencoder(train.shape[1], DEFAULT), train, validation, None, config)[-1]


@click.command()
@click.argument("jets", required=False)
@click.option("--count", default=100_000, show_default=True, help="Jets an epoch, where speed is measured.")
@click.option("--repeats", default=5, show_default=True, help="Epochs of each, in turns; the median counts.")
@click.option(
    "--epochs", default=20, show_default=True, help="Epochs after which losses are compared; 0 for none."
)
def main(jets: str | None, count: int, repeats: int, epochs: int) -> None:
    """Measure all loops on random features, and losses on the features of JETS, by default the bundled sample."""
    features = torch.rand(count, 4, generator=torch.Generator().manual_seed(0))
    loops = {
        **plain_loops(features, DEFAULT, 1024),
        "hepae": with_hepae(features, DEFAULT, 1024),
        "hepae, batches of 8192": with_hepae(features, DEFAULT, 8192),
        "hepae, a buffer of a tenth of the jets": with_hepae(features, DEFAULT, 1024, parts=10),
    }
    threads = f"{torch.get_num_threads()} threads"
    title = f"default network, batches of 1024, {threads}, {count} jets"
    show(title, in_turns(loops, repeats), "plain loop")

    loops = {
        f"DataLoader, {workers} workers": by_hand(
            features, SMALL, lambda workers=workers: collected(features, 256, workers)
        )
        for workers in (0, 2)
    }
    loops |= plain_loops(features, SMALL, 256)
    for size in (256, 1024, 8192):
        loops[f"hepae, batches of {size}"] = with_hepae(features, SMALL, size)
    speeds = in_turns(loops, repeats)
    best = max((name for name in speeds if name.startswith("DataLoader")), key=lambda name: speeds[name])
    show(f"AE_3D_200, batches of 256, {threads}; × of the better DataLoader", speeds, best)

    if epochs:
        records = hepae.read_jets(jets or sample_path())
        columns = {name: flat_column(records, name) for name in ("pt", "eta", "phi", "mass")}
        real = torch.from_numpy(FeatureMap.fit(columns).forward(columns))
        real = real[torch.randperm(len(real), generator=torch.Generator().manual_seed(1))]
        train, validation = real[len(real) // 10 :], real[: len(real) // 10]
        plain, own = loss_by_hand(train, validation, epochs), loss_with_hepae(train, validation, epochs)
        click.echo(
            f"validation loss after {epochs} epochs of {len(train)} jets of {jets or 'the bundled sample'}"
        )
        click.echo(
            f"  plain loop {plain:.3e}, hepae {own.validation_loss:.3e}: {own.validation_loss / plain:.2f} ×"
        )


if __name__ == "__main__":
    main()
