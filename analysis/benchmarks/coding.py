"""Speed of coding and decoding four columns in memory, on one core: hepae, SZ3 at the settings that take the fewest bytes, pcodec."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pcodec import ChunkConfig, standalone

from benchmarks.peers import SZ3, Chosen
from benchmarks.quantized import QuantizedJets
from hepae.bounded.cluster import CLUSTER_JETS, ClusterInput, encode_cluster

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.jets import Jets


@dataclass(frozen=True)
class Speed:
    """Million jets coded and decoded in a second of processor time, and bytes a jet."""

    coding: float
    decoding: float
    bytes_per_jet: float


def speeds(jets: Jets, turns: int) -> dict[str, Speed]:
    """Speed of each codec on one cluster of jets, the codecs taking turns; the best of all turns.

    hepae's coding has its check in it: the cluster is decoded and compared. That SZ3 and zfp need logarithms of columns with a relative
    bound is part of their time; that pcodec needs integers is not part of its time.
    """
    jets = first_cluster(jets)
    ways = {
        "hepae": _hepae(jets),
        "SZ3": _sz3(jets),
        "pcodec on the integers, level 8": _pcodec(jets),
    }
    times: dict[str, list[tuple[float, float, int]]] = {name: [] for name in ways}
    for _ in range(turns):
        for name, code in ways.items():
            times[name].append(_timed(code))
    return {
        name: Speed(
            jets.length / min(coding for coding, _, _ in found) / 1e6,
            jets.length / min(decoding for _, decoding, _ in found) / 1e6,
            found[0][2] / jets.length,
        )
        for name, found in times.items()
    }


def first_cluster(jets: Jets) -> Jets:
    """Jets repeated, or cut, until they fill one cluster."""
    times = -(-CLUSTER_JETS // jets.length)
    counts = None if jets.counts is None else np.tile(jets.counts, times)
    stop = CLUSTER_JETS
    if counts is not None:
        counts = counts[: np.searchsorted(np.cumsum(counts), CLUSTER_JETS, side="right")]
        stop = int(counts.sum())
    columns = {name: np.tile(values, times)[:stop] for name, values in jets.columns.items()}
    return type(jets)(columns, counts, jets.bounds)


def _timed(code: Callable[[], tuple[int, Callable[[], Any]]]) -> tuple[float, float, int]:
    started = time.process_time()
    size, decode = code()
    coded = time.process_time()
    decode()
    return coded - started, time.process_time() - coded, size


def _hepae(jets: Jets) -> Callable[[], tuple[int, Callable[[], Any]]]:
    def code() -> tuple[int, Callable[[], Any]]:
        cluster = encode_cluster(ClusterInput(jets.columns, jets.counts, jets.bounds))
        return cluster.nbytes, lambda: cluster.decode(jets.columns, jets.counts)

    return code


def _sz3(jets: Jets) -> Callable[[], tuple[int, Callable[[], Any]]]:
    found = {name: Chosen.of(name, values, jets.bound(name), SZ3) for name, values in jets.columns.items()}
    chosen = {name: peer for name, peer in found.items() if peer is not None}
    if len(chosen) < len(found):
        raise ValueError("SZ3 cannot hold every bound")

    def code() -> tuple[int, Callable[[], Any]]:
        stored = [chosen[name].code(values) for name, values in jets.columns.items()]
        return sum(len(data) for data, _ in stored), lambda: [restore() for _, restore in stored]

    return code


def _pcodec(jets: Jets) -> Callable[[], tuple[int, Callable[[], Any]]]:
    integers = [values.astype(np.int32) for values in QuantizedJets(jets).integers.values()]
    config = ChunkConfig(compression_level=8)

    def code() -> tuple[int, Callable[[], Any]]:
        stored = [standalone.simple_compress(values, config) for values in integers]
        return sum(map(len, stored)), lambda: [standalone.simple_decompress(data) for data in stored]

    return code
