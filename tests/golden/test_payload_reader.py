"""A reader that was written from docs/reference/payload.md alone gives the bits that hepae gives."""

from __future__ import annotations

import ast
import hashlib
import json
from pathlib import Path

import numpy as np
import payload_reader
import pytest
import uproot
from cpp_examples import all_columns, small_clusters

from hepae.bounded.cluster import ClusterInput, encode_cluster

HERE = Path(__file__).parent
FILES = [HERE / "bounded_v1.root", *sorted((HERE / "v1").glob("*_bounded_*.root"))]


def test_it_needs_numpy_and_pcodec_only():
    tree = ast.parse(Path(payload_reader.__file__).read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert imported == {"__future__", "dataclasses", "math", "zlib", "numpy", "pcodec"}


def _columns(path):
    """Values of all columns of the only collection of a file, by the branches that they were."""
    with uproot.open(path) as file:
        header = json.loads(file["hepae"]["header"].array(library="np")[0].tobytes())
        ((name, clusters),) = payload_reader.clusters(
            file["hepae_payload"].arrays(library="np"), header
        ).items()
        collection = header["collections"][name]
        counts = collection["counter"] and file[header["tree"]][collection["counter"]].array(library="np")
    (cluster,) = clusters
    return {
        branch: cluster.decode(column, counts)
        for column, branch, _ in collection["columns"]
        if column in cluster.rows
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_golden_files(path):
    found = _columns(path)
    if path.parent == HERE:
        jets = b"".join(values.astype(np.float64).tobytes() for values in found.values())
        digest = hashlib.sha256(jets).hexdigest()
        assert digest == json.loads(path.with_suffix(".json").read_text())["sha256"]
        return
    expected = json.loads((HERE / "v1" / "expected.json").read_text())[path.stem]
    assert len(found) >= 4
    for branch, values in found.items():
        assert hashlib.sha256(values.tobytes()).hexdigest() == expected[branch], branch


def _same(cluster, counts):
    rows = {name: (list(column.parents), column.data) for name, column in cluster.columns.items()}
    alone = payload_reader.Cluster(cluster.events, cluster.jets, cluster.seed, rows)
    for name, values in cluster.decode(cluster.columns, counts).items():
        found = alone.decode(name, counts)
        assert found.dtype == values.dtype, name
        assert found.tobytes() == values.tobytes(), name


def test_every_part_of_the_payload():
    for cluster, counts in small_clusters():
        _same(cluster, counts)


@pytest.mark.parametrize("counts", [[0], [0, 0, 1], [700, 256, 512, 3, 0, 257]], ids=str)
def test_events_without_jets_and_with_many(counts):
    counts = np.array(counts)
    columns, bounds = all_columns(np.random.default_rng(3), int(counts.sum()))
    _same(encode_cluster(ClusterInput(columns, counts, bounds)), counts)
