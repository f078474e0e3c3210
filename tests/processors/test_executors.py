"""What a job takes of the machine: one core a worker, few open files, and nothing after its end."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import awkward as ak
import cloudpickle
import numpy as np
import psutil
import pytest
import uproot
from coffea.nanoevents import BaseSchema
from coffea.processor import Runner

import hepae
from hepae.io.layouts import Branch
from hepae.io.writers import TreeWriter
from hepae.processors import CompressionProcessor, executor
from hepae.threads import PROCESSORS, THREAD_NAME

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers do not find the tests

pytestmark = pytest.mark.jobs

BOUNDS = hepae.BoundedCodec({"pt": "0.1%", "eta": 1e-3, "phi": 1e-3, "mass": "1%"})


class Watch:
    """Counts, every millisecond, the threads of this process that code or decode beside the one that waits for them."""

    def __enter__(self):
        self.most, self._stop = 0, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.cpu, self.wall = time.process_time(), time.perf_counter()
        self._thread.start()
        return self

    def _run(self):
        while not self._stop.wait(0.001):
            named = [thread for thread in threading.enumerate() if thread.name.startswith(THREAD_NAME)]
            self.most = max(self.most, len(named))

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        self.cores = (time.process_time() - self.cpu) / (time.perf_counter() - self.wall)


class Watched(CompressionProcessor):
    """A job that says how many threads it took, at most, to code a chunk and to decode it again."""

    def process(self, events):
        with Watch() as coding:
            found = super().process(events)
        ((part,),) = found.values()
        path = self.folder / part.name
        with Watch() as decoding, hepae.open(path) as file:
            for name in ("Jet", "FatJet"):
                file.jets(collection=name)
        return {"threads": {(coding.most, decoding.most)}, "cores": {max(coding.cores, decoding.cores)}}


@pytest.fixture(scope="module")
def two_collections(tmp_path_factory):
    """Two collections of more than one cluster each, which all processors can code at the same time."""
    random = np.random.default_rng(3)
    counts = np.full(60_000, 5)
    path = tmp_path_factory.mktemp("jets") / "jets.root"
    arrays = {}
    for name in ("Jet", "FatJet"):
        arrays |= {
            f"{name}_{column}": ak.unflatten(random.exponential(1, counts.sum()).astype(np.float32), counts)
            for column in ("pt", "eta", "phi", "mass")
        }
    branches = [Branch(name, np.dtype(np.float32), True, f"n{name.split('_')[0]}") for name in arrays]
    with uproot.recreate(path) as file:
        TreeWriter(file, "Events", branches).extend(arrays)
    return {"jets": {"files": {str(path): "Events"}}}


def _watched(started, fileset, folder):
    job = Watched(BOUNDS, folder, collection=["Jet", "FatJet"])
    return Runner(started, schema=BaseSchema, chunksize=1_000_000)(fileset, job)


@pytest.mark.parametrize("kind", ["dask", "futures"])
def test_a_worker_with_one_core_takes_one(two_collections, tmp_path, kind):
    with executor(kind, workers=1) as started:
        found = _watched(started, two_collections, tmp_path)
    assert found["threads"] == {(0, 0)}  # the worker's own thread does it
    assert max(found["cores"]) < 1.2


@pytest.mark.skipif(PROCESSORS < 2, reason="one processor")
def test_outside_a_worker_all_processors_are_used(two_collections, tmp_path):
    with executor("iterative") as started:
        found = _watched(started, two_collections, tmp_path)
    assert all(2 <= number <= PROCESSORS for number in next(iter(found["threads"])))


def test_no_process_is_left_after_a_job(two_collections, tmp_path):
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    with executor("futures", workers=2) as started:
        job = CompressionProcessor(BOUNDS, tmp_path, collection="Jet")
        Runner(started, schema=BaseSchema, chunksize=30_000)(two_collections, job)
        assert _workers(before)
    assert not _workers(before)


_MANY = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
import hepae
from coffea.nanoevents import BaseSchema
from coffea.processor import Runner
from hepae.processors import CompressionProcessor, executor, merge
folder, *paths = sys.argv[1:]
codec = hepae.BoundedCodec()
fileset = {"all": {"files": dict.fromkeys(paths, "Events")}}
hepae.compress_file(paths, folder + "/joined.root", codec)
with executor("iterative") as started:
    manifest = Runner(started, schema=BaseSchema)(fileset, CompressionProcessor(codec, folder + "/parts"))
merged = merge(manifest, fileset, folder + "/parts", folder)["all"]
for path in (folder + "/joined.root", merged):
    with hepae.open(path) as file:
        print(file.num_entries, file.header.jets)
"""


def test_more_files_than_a_process_may_open(sample, tmp_path):
    """One ``compress`` of 70 files, and one job with its merging, with 64 descriptors."""
    with uproot.open(sample) as source:
        names = ["Jet_pt", "Jet_eta", "Jet_phi", "Jet_mass"]
        arrays = source["Events"].arrays(names, entry_stop=5, how=dict)
    paths = [tmp_path / f"{number:03}.root" for number in range(70)]
    with uproot.recreate(paths[0]) as file:
        file.mktree("Events", {name: array.type.content for name, array in arrays.items()}).extend(arrays)
    for path in paths[1:]:
        path.write_bytes(paths[0].read_bytes())
    command = [sys.executable, "-c", _MANY, *map(str, (tmp_path, *paths))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    expected = f"{70 * 5} {70 * ak.count(arrays['Jet_pt'])}"
    assert done.stdout.splitlines()[-2:] == [expected] * 2


def _workers(before):
    """Processes that were started since then; loky's and Python's own bookkeeping ends with this process."""
    return [
        process
        for process in psutil.Process().children(recursive=True)
        if process.pid not in before and "resource_tracker" not in " ".join(process.cmdline())
    ]
