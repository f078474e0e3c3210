"""Files to verify: an original, its compressed and restored versions, and ones with a fault in them."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
import uproot

import hepae
from hepae.io.layouts import Branch
from hepae.io.writers import TreeWriter
from hepae.verification.verify import verify

BOUNDS = {"pt": "0.1%", "eta": 1e-3, "phi": 1e-3, "mass": "1%+1MeV"}


def _content(events=300, seed=1):
    """Branches of some events, pt as float64 so that a millionth of a bound can be told."""
    random = np.random.default_rng(seed)
    counts = random.integers(0, 6, events)
    jets = int(counts.sum())
    columns = {
        "Jet_pt": random.exponential(50, jets) + 20,
        "Jet_eta": random.normal(0, 1.5, jets).astype(np.float32),
        "Jet_phi": random.uniform(-np.pi, np.pi, jets).astype(np.float32),
        "Jet_mass": random.exponential(8, jets).astype(np.float32),
        "Jet_hits": random.integers(0, 100, jets).astype(np.int16),
    }
    return {
        "run": np.ones(events, np.uint32),
        "luminosityBlock": np.ones(events, np.uint32),
        "event": np.arange(events, dtype=np.uint64),
        "MET_pt": random.exponential(30, events).astype(np.float32),
        "nJet": counts.astype(np.int32),
        **{name: ak.unflatten(values, counts) for name, values in columns.items()},
    }


def _write(path, arrays, runs=(7, 8), histogram=(1.0, 2.0, 3.0)):
    """Write a file with jets, another tree and a histogram."""
    branches = []
    for name, array in arrays.items():
        jagged = isinstance(array, ak.Array)
        dtype = array.layout.content.dtype if jagged else array.dtype
        branches.append(Branch(name, np.dtype(dtype), jagged, "nJet" if jagged else None))
    with uproot.recreate(path) as file:
        file["cutflow"] = np.array(histogram), np.arange(4.0)
        TreeWriter(file, "Events", branches).extend(arrays)
        TreeWriter(file, "Runs", [Branch("run", np.dtype(np.int32))]).extend(
            {"run": np.array(runs, np.int32)}
        )
    return path


@pytest.fixture(scope="session")
def bounds():
    """The bounds that ``files`` were compressed with."""
    return BOUNDS


@pytest.fixture(scope="session")
def content():
    """Make branches of some events."""
    return _content


@pytest.fixture(scope="session")
def write():
    """Write a file of such branches, with another tree and a histogram."""
    return _write


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """An original, its compressed file, and the restored one."""
    folder = tmp_path_factory.mktemp("verify")
    original = _write(folder / "original.root", _content())
    hepae.compress_file(original, folder / "small.root", hepae.BoundedCodec(BOUNDS, {"pt": [30, 50]}))
    hepae.decompress_file(folder / "small.root", folder / "back.root")
    return original, folder / "small.root", folder / "back.root"


@pytest.fixture
def damaged(files, tmp_path):
    """Write the restored file again with a fault in it, and verify it with its bounds."""

    def make(change=lambda _: None, edges=None, **rest):
        with uproot.open(files[2]) as file:
            arrays = file["Events"].arrays(how=dict)
        arrays = {name: array if array.ndim > 1 else ak.to_numpy(array) for name, array in arrays.items()}
        arrays = change(arrays) or arrays
        path = _write(tmp_path / "damaged.root", arrays, **rest)
        return verify(files[0], path, bounds=BOUNDS, edges={"pt": [30, 50]} if edges is None else edges)

    return make
