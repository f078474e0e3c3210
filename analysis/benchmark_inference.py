"""Speed of a trained network: hepae's own path through torch, and the graph of ``hepae export`` in onnxruntime.

    python analysis/benchmark_inference.py [MODEL.safetensors]

Both encode and decode the same float32 jets in memory with the same number of threads and in batches of the same size, in
turns. hepae's times have awkward records at both ends, onnxruntime's plain arrays, and scaling is in both. What counts are
the ratios of a turn. Without MODEL it is the default network, with weights as they are after one step: the speed is the same.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import click
import numpy as np
import onnxruntime
import torch

import hepae
from hepae.latent.autoencoder import CACHED_JETS
from hepae.latent.onnx import export
from hepae.samples import sample_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

PARTS = ("encoder", "decoder")


def default_codec() -> hepae.LatentCodec:
    """The default network on the bundled sample's jets."""
    return hepae.train(hepae.read_jets(sample_path()), hepae.TrainingConfig(epochs=1, fraction=0.01)).codec


def session(codec: hepae.LatentCodec, part: str, threads: int) -> onnxruntime.InferenceSession:
    """What runs a part of the codec in onnxruntime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    with tempfile.TemporaryDirectory() as folder:
        export(codec, Path(folder) / "m.onnx", part=part)
        return onnxruntime.InferenceSession(
            Path(folder) / "m.onnx", options, providers=["CPUExecutionProvider"]
        )


def in_batches(runner: onnxruntime.InferenceSession, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Outputs of a graph for all inputs."""
    (name,) = (each.name for each in runner.get_inputs())
    starts = range(0, len(inputs), CACHED_JETS)
    return np.concatenate(
        [runner.run(None, {name: inputs[start : start + CACHED_JETS]})[0] for start in starts]
    )


def operations(codec: hepae.LatentCodec, jets: int) -> dict[str, dict[str, Callable[[], Any]]]:
    """What is timed, by part and by runtime, on the bundled sample's jets, again and again."""
    sample = ak.flatten(hepae.read_jets(sample_path()))
    columns = [np.resize(ak.to_numpy(getattr(sample, name)), jets) for name in codec.columns]
    arrays = {"encoder": np.stack(columns, axis=1).astype(np.float32)}
    records = {"encoder": ak.zip(dict(zip(codec.columns, arrays["encoder"].T, strict=True)))}
    records["decoder"] = codec.latents(records["encoder"])
    latents = [ak.to_numpy(records["decoder"][name]) for name in codec.latent_names]
    arrays["decoder"] = np.stack(latents, axis=1)
    ours = {"encoder": codec.latents, "decoder": codec.jets}
    runners = {part: session(codec, part, torch.get_num_threads()) for part in PARTS}
    return {
        part: {
            "torch": lambda part=part: ours[part](records[part]),
            "onnxruntime": lambda part=part: in_batches(runners[part], arrays[part]),
        }
        for part in PARTS
    }


@click.command()
@click.argument("model", required=False, type=click.Path(path_type=Path))
@click.option("--jets", default=200_000, show_default=True, help="Jets a turn.")
@click.option("--turns", default=7, show_default=True, help="Of each; the median counts.")
def main(model: Path | None, jets: int, turns: int) -> None:
    """Print jets/s of MODEL's encoder and decoder through torch and through onnxruntime."""
    codec = (hepae.load_codec(model) if model else default_codec()).with_latent_bits(None)
    network = "-".join(map(str, (*codec.network.config.hidden, codec.network.config.latent)))
    click.echo(
        f"{network}, {jets} jets in batches of {CACHED_JETS}, {torch.get_num_threads()} threads, {turns} turns"
    )
    click.echo(f"{'':10s}{'torch':>18s}{'onnxruntime':>21s}{'ratio (all turns)':>26s}")
    for part, calls in operations(codec, jets).items():
        seconds: dict[str, list[float]] = {name: [] for name in calls}
        for turn in range(turns + 1):
            for name, call in calls.items():
                started = time.perf_counter()
                call()
                if turn:  # the first warms up
                    seconds[name].append(time.perf_counter() - started)
        speeds = [f"{jets / np.median(times):,.0f} jets/s" for times in seconds.values()]
        ratios = np.array(seconds["torch"]) / np.array(seconds["onnxruntime"])
        spread = f"{np.median(ratios):.2f} × ({ratios.min():.2f}–{ratios.max():.2f})"
        click.echo(f"{part:10s}{speeds[0]:>18s}{speeds[1]:>21s}{spread:>26s}")


if __name__ == "__main__":
    main()
