"""What storing and restoring jets takes: bytes, processor time, memory, and values beyond their bound."""

from __future__ import annotations

import ctypes
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.jets import Columns, Jets

    Stored = tuple[int, Callable[[], Columns]]
    """Bytes, and what restores the columns."""
    Store = Callable[[Path], Stored]
    """Store jets, in a folder where that takes files."""


@dataclass(frozen=True)
class Measured:
    """Bytes, seconds of processor time and peak memory of both directions, and the share of restored values beyond their bound."""

    size: int
    seconds: tuple[float, float]
    memory: tuple[float, float]
    beyond: float


def measure(store: Store, jets: Jets) -> Measured:
    """Store and restore once."""
    with tempfile.TemporaryDirectory() as folder:
        (size, restore), stored, stored_peak = timed(lambda: store(Path(folder)))
        columns, restored, restored_peak = timed(restore)
        return Measured(size, (stored, restored), (stored_peak, restored_peak), jets.beyond(columns))


def timed(call: Callable[[], Any]) -> tuple[Any, float, float]:
    """Result, seconds of processor time (all threads), and by how many MB the peak of the process's memory lies above what it had (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)  # what is kept of earlier calls would hide what this one takes
    before = memory("VmRSS")
    started = time.process_time()
    result = call()
    return result, time.process_time() - started, memory("VmHWM") - before


def memory(what: str) -> float:
    """Resident memory in MB, or its peak since this was last asked for; not a number where there is no /proc."""
    status = Path("/proc/self/status")
    if not status.exists():
        return np.nan
    found = next(line for line in status.read_text().splitlines() if line.startswith(what))
    Path("/proc/self/clear_refs").write_text("5")
    return int(found.split()[1]) / 1024
