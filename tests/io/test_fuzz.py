"""Damaged files end in jets or in one line, within seconds: bits flipped, bytes cut out, doubled or overwritten.

``HEPAE_FUZZ`` sets how many mutants of each file there are; the seeds are fixed, so that a failure can be had again.
"""

from __future__ import annotations

import os
import pickle
import random
import signal
import warnings
from typing import TYPE_CHECKING

import awkward as ak
import h5py
import numpy as np
import pandas as pd
import pytest
import uproot

import hepae
from hepae.errors import HepaeError
from hepae.files.description import describe
from hepae.io.readers import open_source
from hepae.io.writers import ParquetWriter, open_writer

pytestmark = pytest.mark.filterwarnings("ignore::hepae.errors.UnitWarning")
"""The unit of some files here is told by their values, which test_inputs.py is about."""

if TYPE_CHECKING:
    from pathlib import Path

MUTANTS = int(os.environ.get("HEPAE_FUZZ", "12"))
SECONDS = 20
LARGEST = 400_000
"""Larger files are left to the other tests: each mutant is read as a whole."""

SMALL_DATA = (
    "flat_pxpypzE_ww.root",
    "nanoaod_cms_open_data_2012_singlemu.root",
    "nanoaod_dimuon_rntuple.root",
    "scalar_jet_per_row.root",
    "tlorentzvector_objects.root",
)


def _jets():
    counts = np.arange(40) % 4
    jets = ak.zip({name: np.linspace(1, 90, counts.sum()) for name in ("pt", "eta", "phi", "mass")})
    return ak.unflatten(jets, counts)


def _write(kind: str, path: Path) -> None:
    jets = _jets()
    if kind in ("ttree", "rntuple"):
        arrays = {f"Jet_{name}": jets[name] for name in jets.fields} | {"nJet": ak.num(jets)}
        with open_made(arrays, path) as source, uproot.recreate(path, compression=uproot.ZSTD(5)) as file:
            writer = open_writer(file, "Events", source.branches.values(), kind)
            writer.extend(source.arrays(writer.branches, 0, 40))
    elif kind == "parquet":
        with (
            open_made({"jets": jets}, path) as source,
            ParquetWriter(path, source.branches.values()) as writer,
        ):
            writer.extend(source.arrays(writer.branches, 0, 40))
    elif kind == "hdf5":
        with h5py.File(path, "w") as file:
            flat = ak.to_numpy(ak.flatten(jets))
            file["jets"] = flat
            file["other/values"] = np.arange(len(flat))
    else:
        frame = pd.DataFrame({name: ak.to_numpy(ak.flatten(jets[name])) for name in jets.fields})
        if kind == "csv":
            frame.to_csv(path, index=False)
        elif kind == "pickle":
            path.write_bytes(pickle.dumps(frame, protocol=4))
        else:
            lines = (
                ";".join(
                    [f"{i};process;1.0;100.5;0.5", *(f"j,{2 * j.pt},{j.pt},{j.eta},{j.phi}" for j in event)]
                )
                for i, event in enumerate(jets)
            )
            path.write_text("\n".join(lines))


def open_made(arrays, path):
    """Open arrays as a source, through a Parquet file of awkward's own."""
    made = path.with_suffix(".made")
    ak.to_parquet(ak.Array(arrays) if len(arrays) == 1 else ak.zip(arrays, depth_limit=1), made)
    return open_source(made)


def _mutant(whole: bytes, rng: random.Random) -> bytes:
    data = bytearray(whole)
    for _ in range(rng.choice((1, 1, 1, 3, 20))):
        at = rng.randrange(len(data))
        length = min(rng.choice((1, 4, 16, 200)), len(data) - at)
        kind = rng.randrange(6)
        if kind == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at : at + length] = rng.randbytes(length)
        elif kind == 2:
            data[at : at + length] = bytes([rng.choice((0, 255))]) * length
        elif kind == 3:
            del data[at : at + length]
        elif kind == 4:
            data[at:at] = data[at : at + length]
        else:
            other = rng.randrange(len(data) - length + 1)
            data[at : at + length] = data[other : other + length]
        if not data:
            data = bytearray(b"\0")
    return bytes(data[: rng.randrange(len(data))] if rng.random() < 0.1 else data)


def _timeout(*_):
    pytest.fail(f"still reading after {SECONDS} s")


def _check(path: Path) -> str:
    """Read a mutant in every way; anything but jets or a HepaeError is raised."""
    signal.signal(signal.SIGALRM, _timeout)
    signal.alarm(SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of libraries: on the command line they are not shown
            describe(path)
            with open_source(path) as source:
                names = [*source.layout.collections]
                source.arrays(source.branches, 0, source.num_entries)
            for name in names[:2]:
                jets = hepae.read_jets(path, collection=name)
                assert isinstance(jets, ak.Array)
                jets.fields  # noqa: B018
                ak.to_packed(jets)
    except HepaeError as error:
        if "\n" in str(error):
            pytest.fail(f"not one line: {error}")
        return "refused"
    finally:
        signal.alarm(0)
    return "read"


def _fuzz(whole: bytes, path: Path, name: str) -> dict[str, int]:
    found = {"read": 0, "refused": 0}
    for seed in range(MUTANTS):
        path.write_bytes(_mutant(whole, random.Random(f"{name} {seed}")))
        try:
            found[_check(path)] += 1
        except BaseException as error:
            error.add_note(f"mutant {seed} of {name}")
            raise
    return found


@pytest.mark.parametrize("kind", ["ttree", "rntuple", "parquet", "hdf5", "csv", "pickle", "darkmachines"])
def test_mutants_of_every_storage_are_read_or_refused(tmp_path, kind):
    path = tmp_path / "whole"
    _write(kind, path)
    assert _check(path) == "read"
    found = _fuzz(path.read_bytes(), tmp_path / "mutant", kind)
    assert sum(found.values()) == MUTANTS
    assert found["refused"] or MUTANTS < 10


@pytest.mark.parametrize("name", SMALL_DATA)
def test_mutants_of_real_files_are_read_or_refused(data, tmp_path, name):
    whole = (data / name).read_bytes()
    assert len(whole) < LARGEST
    found = _fuzz(whole, tmp_path / "mutant.root", name)
    assert sum(found.values()) == MUTANTS
