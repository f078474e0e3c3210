"""Number of threads that code and decode clusters: one in a worker of a batch job, otherwise all cores that the process may use."""

from __future__ import annotations

import multiprocessing
import os
import sys

PROCESSORS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
"""Processors that this process may use: a batch system may grant it fewer than there are."""

THREAD_NAME = "hepae-coding"
"""How the names of the threads begin."""


def coding_threads() -> int:
    """Threads that may code or decode at the same time: one in a worker of an executor, otherwise one for each processor.

    An executor starts a worker, or a thread of a Dask worker, for each core.
    """
    return 1 if _in_worker() else PROCESSORS


def _in_worker() -> bool:
    """Whether this runs in a process that another one started (futures, parsl), or in a task of TaskVine or Dask."""
    if multiprocessing.parent_process() is not None or "VINE_SANDBOX" in os.environ:
        return True
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return False
    try:
        distributed.get_worker()
    except ValueError:
        return False
    return True
