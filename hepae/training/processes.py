"""Several processes that torchrun started and that train one model together."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import os
from typing import TYPE_CHECKING

import torch
from torch import distributed

from hepae.errors import CodecError, ConfigError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

_TIMEOUT = dt.timedelta(minutes=10)
"""How long a process waits for the others, whose reading of the jets may take longer than its own."""


@contextlib.contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Train together with the other processes that torchrun started; without torchrun this does nothing.

    Raises
    ------
    ConfigError
        If the processes do not find each other.
    CodecError
        If another one stopped.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or distributed.is_initialized():
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    try:
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_TIMEOUT)
    except (ValueError, RuntimeError) as error:
        raise ConfigError(
            f"the processes of this training do not find each other ({error}); start them with torchrun, or unset WORLD_SIZE"
        ) from None
    try:
        yield
    except RuntimeError as error:
        if "gloo" in str(error).lower() or isinstance(error, distributed.DistError):
            raise CodecError("another process of this training stopped; see its error message") from error
        raise
    finally:
        distributed.destroy_process_group()


def is_first_process() -> bool:
    """Whether this is the one that speaks for all that torchrun started."""
    return int(os.environ.get("WORLD_SIZE", "1")) < 2 or int(os.environ.get("RANK", "0")) == 0


def rank_and_world() -> tuple[int, int]:
    """Give the number of this process among those that train together, and how many they are: 0 and 1 where it is alone."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def summed(numbers: list[float], device: torch.device) -> list[float]:
    """Sum over the processes of numbers that each of them has, shape of the list."""
    sums = torch.tensor(numbers, dtype=torch.float64, device=device)
    if rank_and_world()[1] > 1:
        distributed.all_reduce(sums)
    return [float(number) for number in sums]


def check_agreement(state: str, device: torch.device) -> None:
    """Check that all processes begin at the same place with the same jets: else they would wait for each other forever.

    Raises
    ------
    InputError
        If they do not.
    """
    digest = int.from_bytes(hashlib.sha256(state.encode()).digest()[:7])
    ends = torch.tensor([digest, -digest], device=device)
    distributed.all_reduce(ends, distributed.ReduceOp.MAX)
    if ends[0] != -ends[1]:
        raise InputError(
            "the processes of this training do not read the same jets or run folder; give all of them the same files"
        )
