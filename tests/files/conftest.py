"""A compressed file, and what several modules compare in files."""

from __future__ import annotations

import awkward as ak
import pytest
import uproot

import hepae


@pytest.fixture(scope="session")
def arrays_of():
    """Read the branches of a tree: the arrays and the types by name."""

    def read(path, tree="Events"):
        with uproot.open(path) as file:
            return file[tree].arrays(how=dict), file[tree].typenames()

    return read


@pytest.fixture(scope="session")
def same_bits():
    """Compare two arrays in type and bits, whatever their lists are."""

    def same(first, second):
        first, second = (ak.to_numpy(ak.flatten(ak.Array(a), axis=None)) for a in (first, second))
        return first.dtype == second.dtype and first.tobytes() == second.tobytes()

    return same


@pytest.fixture
def compressed(sample, codec, tmp_path):
    path = tmp_path / "small.root"
    hepae.compress_file(sample, path, codec)
    return path


@pytest.fixture
def parts(sample, tmp_path):
    """Two files, of the first 300 events and of the next 200."""
    paths = [tmp_path / "0.root", tmp_path / "1.root"]
    for path, start, stop in zip(paths, (0, 300), (300, 500), strict=True):
        hepae.compress_file(sample, path, hepae.BoundedCodec(), entry_start=start, entry_stop=stop)
    return paths
