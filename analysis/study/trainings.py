"""Trainings of many configurations, over a pool of processes; each is a run that goes on where it was stopped."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click
import torch

import hepae
from hepae import terminal
from hepae.errors import CodecError
from hepae.training.runs import Run
from hepae.training.train import train

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hepae.training.train import TrainingResult


@dataclass(frozen=True)
class Inputs:
    """Files of the jets that are trained on, and of those whose loss is logged and decides nothing."""

    train: Path
    test: Path


def train_all(
    configurations: Mapping[str, hepae.TrainingConfig],
    inputs: Inputs,
    runs: Path,
    *,
    processes: int | None = None,
) -> dict[str, TrainingResult]:
    """Train each configuration, and give the results by its name; one that diverges has none, which is told.

    The run of a configuration lies in ``runs/NAME``. One that is there already is used: it goes on after its last
    epoch, which for a finished one is at its end.

    Parameters
    ----------
    configurations
        What to train, by names that are folders, too; the longest first fills the processes best.
    inputs
        The jets.
    runs
        Folder of the runs.
    processes
        How many train at once, each with its share of torch's threads (OMP_NUM_THREADS); one a core by default.
    """
    workers = max(1, min(processes or os.cpu_count() or 1, len(configurations)))
    threads = max(1, torch.get_num_threads() // workers)
    results: dict[str, TrainingResult] = {}
    # A forked process would inherit torch's threads, which do not survive that.
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(workers, context, initializer=torch.set_num_threads, initargs=(threads,)) as pool,
        terminal.progress(False, "training", "runs") as update,
    ):
        futures = {
            pool.submit(_train, replace(configuration, runs_dir=runs / name), inputs): name
            for name, configuration in configurations.items()
        }
        update(0, len(futures))
        for done, future in enumerate(as_completed(futures), 1):
            name = futures[future]
            try:
                results[name] = future.result()
            except CodecError as error:
                click.echo(f"note: {name}: {error}", err=True)
            except BaseException:  # not after all the others
                pool.shutdown(wait=False, cancel_futures=True)
                raise
            update(done, len(futures), name)
    return {name: results[name] for name in configurations if name in results}


def _train(configuration: hepae.TrainingConfig, inputs: Inputs) -> TrainingResult:
    run = _earlier(configuration)
    jets, test = (
        hepae.read_jets(path, unit="MeV", columns=configuration.columns)
        for path in (inputs.train, inputs.test)
    )
    return train(jets, configuration, test=test, resume=run)


def _earlier(configuration: hepae.TrainingConfig) -> Run | None:
    """The run of the same configuration, where there is one."""
    assert configuration.runs_dir is not None
    for path in sorted(configuration.runs_dir.glob("*/config.toml")):
        run, found = Run.resume(path.parent)
        if found == configuration:
            return run
    return None
