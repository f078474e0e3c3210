from __future__ import annotations

import itertools
from dataclasses import replace

import awkward as ak
import numpy as np
import pytest

from hepae import kinematics
from hepae.bounded import cluster as clusters
from hepae.bounded.cluster import ClusterInput, clusters_of, encode_cluster
from hepae.bounded.codec import BoundedCodec
from hepae.bounds import Bound, Bounds
from hepae.errors import CodecError


def test_clusters_cover_all_events_once(monkeypatch, jets):
    monkeypatch.setattr(clusters, "CLUSTER_JETS", 1000)
    counts = ak.to_numpy(ak.num(jets))
    ranges = clusters_of(int(counts.sum()), counts)
    assert len(ranges) > 40
    assert ranges[0][0][0] == 0
    assert ranges[-1][0][1] == len(counts)
    assert all(a[0][1] == b[0][0] and a[1][1] == b[1][0] for a, b in itertools.pairwise(ranges))
    codec = BoundedCodec()
    restored = codec.decompress(codec.compress(jets))
    assert ak.max(np.abs(restored.pt / jets.pt - 1), axis=None) <= 1e-3
    assert clusters_of(5, np.array([5000, 0, 2]))[0][0] == (0, 1)


def _bits_flipped(cluster, name, at):
    column = cluster.columns[name]
    data = bytearray(column.data)
    data[at] ^= 1 << (at % 8)
    return replace(cluster, columns={**cluster.columns, name: replace(column, data=bytes(data))})


def test_a_payload_that_lies_is_refused(jets):
    """Bits flipped behind the checksum: whatever comes out, it is an error or a column of jets."""
    (cluster,) = BoundedCodec().compress(jets[:100]).clusters
    counts = ak.to_numpy(ak.num(jets[:100])).astype(np.int64)
    refused = 0
    for name, column in cluster.columns.items():
        for at in range(0, len(column.data), 3):
            try:
                columns = _bits_flipped(cluster, name, at).decode(cluster.columns, counts)
            except CodecError:
                refused += 1
            else:
                assert all(len(values) == cluster.jets for values in columns.values())
    assert refused > 0


def test_columns_are_decoded_with_their_ancestors_alone(jets):
    """Each column out of the few that it is predicted from; without one of them it is refused."""
    (cluster,) = BoundedCodec().compress(jets).clusters
    counts = ak.to_numpy(ak.num(jets)).astype(np.int64)
    whole = cluster.decode(cluster.columns, counts)
    for name, column in cluster.columns.items():
        ancestors, wanted = {name}, [*column.parents]
        while wanted:
            parent = wanted.pop()
            ancestors.add(parent)
            wanted += cluster.columns[parent].parents
        few = replace(cluster, columns={n: c for n, c in cluster.columns.items() if n in ancestors})
        assert few.decode([name], counts)[name].tobytes() == whole[name].tobytes()
        for missing in {*column.parents}:
            fewer = replace(few, columns={n: c for n, c in few.columns.items() if n != missing})
            with pytest.raises(CodecError, match=f"no column '{missing}'"):
                fewer.decode([name], counts)
    assert any(column.parents for column in cluster.columns.values())


def test_integers_that_do_not_come_back_write_nothing(monkeypatch, jets):
    decode = clusters.prediction.decode

    def wrong(*arguments):
        integers = decode(*arguments)
        integers[-1] += 1
        return integers

    monkeypatch.setattr(clusters.prediction, "decode", wrong)
    with pytest.raises(
        CodecError, match="column 'pt' did not come back as it was coded; nothing was written"
    ):
        BoundedCodec().compress(jets[:50])


@pytest.mark.parametrize("bounds", [{"pt": "exact"}, {"phi": 0.001}])
def test_exact_and_derived_columns_are_judged_as_they_come_back(monkeypatch, jets, bounds):
    values = clusters._Decoder.values

    def wrong(decoder, name):
        return values(decoder, name) * np.float32(1.01)

    monkeypatch.setattr(clusters._Decoder, "values", wrong)
    if "phi" in bounds:
        jets = kinematics.momenta({name: kinematics.column(jets, name) for name in ("pt", "eta", "phi", "E")})
    with pytest.raises(CodecError, match=r"values of column '(pt|mass)' would break their bound"):
        BoundedCodec(bounds).compress(jets[:50])


def test_the_seed_comes_from_the_jets():
    columns = {"x": np.arange(100, dtype=np.float32)}
    first = encode_cluster(ClusterInput(columns, None, Bounds({"x": Bound(0, 0.01)})))
    second = encode_cluster(ClusterInput({"x": columns["x"] + 1}, None, Bounds({"x": Bound(0, 0.01)})))
    assert first.seed != second.seed


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_exact_floats_gain_from_what_pcodec_finds_in_them(kind):
    """Multiples of 0.01 are no round numbers in bits."""
    values = (np.random.default_rng(8).integers(0, 4000, 20_000) * 0.01).astype(kind)
    values[[3, 700]] = np.nan, -0.0
    cluster = encode_cluster(ClusterInput({"x": values}, None, Bounds()))
    assert cluster.decode(["x"], None)["x"].tobytes() == values.tobytes()
    assert cluster.nbytes / len(values) < 2
