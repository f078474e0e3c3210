"""The C++ reader and Python give the same bits."""

from __future__ import annotations

import subprocess

import awkward as ak
import numpy as np
import pytest
from cpp_examples import (
    COORDINATES,
    STANDARD,
    all_columns,
    four_bounds,
    in_other_coordinates,
    jets_of_events,
    momenta,
)

from hepae import kinematics
from hepae.bounded.cluster import ClusterInput, CodedCluster, CodedColumn, encode_cluster
from hepae.bounds import Bounds
from hepae.io.readers import open_source

EVENTS, COLLECTIONS = 60, 4
"""Events of each real file, and collections of which the first ones are coded."""


@pytest.mark.parametrize("jets", [0, 1, 2, 63, 64, 255, 256, 257, 700, 5000])
def test_many_columns_of_every_type_come_back(same, jets):
    rng = np.random.default_rng(jets)
    columns, bounds = all_columns(rng, jets)
    counts = jets_of_events(rng, jets)
    ends = np.cumsum(counts)
    counts = counts[: np.searchsorted(ends, jets, side="right")]
    counts = np.append(counts, jets - counts.sum()).astype(np.int64)
    same(
        [
            (encode_cluster(ClusterInput(columns, events, bounds)), events)
            for events in (None, counts, np.full(jets, 1, np.int64))
        ]
    )


@pytest.mark.parametrize("seed", range(4))
def test_jets_of_events_at_any_bounds_come_back(same, seed):
    rng = np.random.default_rng(seed)
    clusters = []
    for scale in (1e-4, 1e-2, 1.0, 30.0):
        counts = jets_of_events(rng, 400, 3 + 4 * seed)
        jets = momenta(rng, int(counts.sum()), "f8" if seed % 2 else "f4")
        jets["phi"][:3] = [np.pi, -np.pi, 0.0][: len(jets["phi"])]
        bounds = {"pt": scale / 100, "eta": scale / 100, "phi": scale / 100, "mass": f"{scale}%+1MeV"}
        edges = {"pt": "30,50", "eta": "-2.5,2.5"}
        clusters.append((encode_cluster(ClusterInput(jets, counts, Bounds.parse(bounds, edges))), counts))
    same(clusters)


@pytest.mark.parametrize("names", COORDINATES, ids="-".join)
def test_four_momenta_in_other_coordinates_come_back(same, names):
    rng = np.random.default_rng(len(names[0]))
    counts = jets_of_events(rng, 600)
    bounds = four_bounds(pt="30")
    clusters = []
    for dtype in ("f4", "f8"):
        columns = in_other_coordinates(rng, int(counts.sum()), names, dtype)
        cluster = encode_cluster(ClusterInput(columns, counts, bounds))
        assert {*cluster.columns} > {*names}, "px and others were coded, not computed"
        clusters.append((cluster, counts))
    same(clusters)


def cases(path):
    """Clusters of the first events of every collection of a file: within bounds, and every bit."""
    with open_source(path) as source:
        stop = min(source.num_entries, EVENTS)
        for collection in list(source.layout.collections.values())[:COLLECTIONS]:
            branches = [column.branch for column in collection.columns]
            arrays = source.arrays(branches, 0, stop)
            flat = {c.name: np.asarray(ak.flatten(arrays[c.branch], axis=None)) for c in collection.columns}
            first = arrays[branches[0]]
            counts = ak.to_numpy(ak.num(first)).astype(np.int64) if first.ndim > 1 else None
            if collection.unit == "MeV":
                flat = {n: v * 1e-3 if n in kinematics.ENERGIES else v for n, v in flat.items()}
            floats = [name for name, values in flat.items() if values.dtype.kind == "f"]
            ours = {name: STANDARD.get(name, "0.001") for name in floats}
            for bounds in (ours, dict.fromkeys(floats, "exact")):
                every = Bounds.parse({**dict.fromkeys(flat, "exact"), **bounds})
                yield encode_cluster(ClusterInput(flat, counts, every)), counts


def test_the_sample_comes_back(same, sample):
    same(list(cases(sample)))


def test_every_real_file_comes_back(same, data):
    paths = [path for path in sorted(data.iterdir()) if path.suffix in (".root", ".h5", ".pkl", ".csv")]
    clusters = [case for path in paths for case in cases(path)]
    assert len(clusters) >= 2 * len(paths)
    same(clusters)


def changed(cluster, name, *, data=None, parents=None, **numbers):
    """Give a cluster in which one column or number is another one."""
    column = cluster.columns[name]
    new = CodedColumn(
        name, column.parents if parents is None else parents, column.data if data is None else data
    )
    given = {"events": cluster.events, "jets": cluster.jets, "seed": cluster.seed, **numbers}
    return CodedCluster(**given, columns={**cluster.columns, name: new})


def test_errors_have_the_same_words(cpp, programs, tmp_path):
    rng = np.random.default_rng(1)
    counts = jets_of_events(rng, 100)
    jets = momenta(rng, int(counts.sum()))
    good = encode_cluster(ClusterInput(jets, counts, four_bounds()))
    data = good.columns["pt"].data
    cases = [
        changed(good, "pt", data=data[: len(data) // 2]),
        changed(good, "pt", data=b""),
        changed(good, "pt", data=b"\x02" + data[1:]),
        changed(good, "pt", data=b"\x01\x05" + data[2:]),
        changed(good, "pt", data=data.replace(b"<f4", b"<f2")),
        changed(good, "pt", data=data.replace(b"<f4", b"<\xff4")),
        changed(good, "pt", data=data.replace(b"<f4", b"<i4")),
        changed(good, "pt", data=b"\xff" * 11),
        changed(good, "pt", data=b"\x01\x00\xff\xff\xff\xff\x0f"),
        changed(good, "mass", parents=("nothing",)),
        changed(good, "pt", jets=good.jets + 1),
    ]
    clusters = [(case, counts) for case in cases]
    found = cpp.decode(programs[0], clusters, tmp_path).columns
    for case, columns in zip(cases, found, strict=True):
        name = next(n for n in case.columns if case.columns[n] is not good.columns[n])
        with pytest.raises(Exception, match=r".") as error:  # its words are compared
            case.decode([name], counts)
        assert columns[name] == str(error.value)


TWICE = """
#include <iostream>

#include "hepae.hpp"

int main() {
  hepae::Cluster cluster(2, 7);
  cluster.add("a", {}, {1, 0});
  cluster.add("b", {"a"}, {1, 0});
  cluster.add("c", {"b"}, {1, 0});
  for (int i = 0; i < 2; ++i) {
    try {
      cluster.values("c");
    } catch (const hepae::Error& error) {
      std::cout << error.what() << std::endl;
    }
  }
}
"""

ANY_NUMBERS = """
#include "hepae/polynomials.hpp"

int main() {
  using hepae::detail::block;
  std::int32_t one[block], other[block];
  std::int64_t out[block];
  for (std::size_t i = 0; i < block; ++i) one[i] = other[i] = -1094795586;
  const std::int32_t* bases[] = {one, other};
  hepae::detail::Form form;
  form.terms = {{1, 0, std::int64_t{1} << 38}, {1, 1, std::int64_t{1} << 38}};
  form.totals(bases, out);
  return out[0] == 1;
}
"""


def test_an_error_is_the_same_when_a_column_is_asked_for_again(cpp, tmp_path):
    source = tmp_path / "twice.cpp"
    source.write_text(TWICE)
    program = cpp.compiled(source, tmp_path / "twice", ["-O0"])
    found = subprocess.run([program], capture_output=True, text=True, check=True).stdout.splitlines()
    assert found == ["damaged payload: it ends too early"] * 2


def test_what_stands_behind_the_last_jet_of_a_block_overflows_nothing(cpp, tmp_path):
    source = tmp_path / "any.cpp"
    source.write_text(ANY_NUMBERS)
    options = ["-O0", "-fsanitize=signed-integer-overflow", "-fno-sanitize-recover=all"]
    program = cpp.compiled(source, tmp_path / "any", options)
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_fast_math_is_refused(cpp, tmp_path):
    with pytest.raises(RuntimeError, match="ffast-math changes the bits"):
        cpp.compiled(cpp.HERE / "decode.cpp", tmp_path / "decode", ["-ffast-math", "-fsyntax-only"])
