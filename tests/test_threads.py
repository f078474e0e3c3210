from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys

import pytest

from hepae import threads


def test_a_process_of_its_own_has_all_processors_that_it_may_use(monkeypatch):
    monkeypatch.delenv("VINE_SANDBOX", raising=False)
    assert threads.coding_threads() == threads.PROCESSORS >= 1


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processors cannot be chosen on this system")
def test_processors_are_those_that_were_granted():
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); import hepae.threads as t; print(t.PROCESSORS)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


def test_a_worker_has_one(monkeypatch):
    with multiprocessing.get_context("spawn").Pool(1) as workers:
        assert workers.apply(threads.coding_threads) == 1
    monkeypatch.setenv("VINE_SANDBOX", "/sandbox")
    assert threads.coding_threads() == 1
