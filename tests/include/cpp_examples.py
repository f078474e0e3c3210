"""Jets that try every part of the payload: what the C++ reader is tested with."""

from __future__ import annotations

import numpy as np

from hepae.bounded.cluster import ClusterInput, encode_cluster
from hepae.bounds import Bounds

STANDARD = {"pt": "0.1%", "eta": "0.001", "phi": "0.001", "mass": "1%+1MeV", "E": "1%+1MeV"}
COORDINATES = (("pt", "eta", "phi", "E"), ("px", "py", "pz", "E"), ("px", "py", "pz", "mass"))


def jets_of_events(rng, events, most=7):
    """Numbers of jets: some events have none, and a few more than are coded in one go."""
    counts = rng.integers(0, most, events)
    counts[rng.random(events) < 0.01] = rng.integers(200, 600)
    return counts


def momenta(rng, jets, dtype="f4"):
    """Jets with a falling spectrum, some of which stand back to back."""
    return {
        "pt": (20 * rng.pareto(3, jets) + 20).astype(dtype),
        "eta": rng.normal(0, 2, jets).astype(dtype),
        "phi": rng.uniform(-np.pi, np.pi, jets).astype(dtype),
        "mass": np.abs(rng.normal(8, 5, jets)).astype(dtype),
    }


def exact_columns(rng, jets):
    """Columns of every type, and floats that pcodec codes in each of its ways."""
    floats = rng.normal(0, 10, jets)
    columns = {
        f"{kind}{size}": rng.integers(*limits(f"{kind}{size}"), jets, dtype=f"{kind}{size}", endpoint=True)
        for kind in "iu"
        for size in (1, 2, 4, 8)
    }
    columns |= {
        "bool": rng.random(jets) < 0.3,
        "small": rng.poisson(3, jets).astype(np.int32),
        "rising": np.arange(jets, dtype=np.int64) * 17 + rng.integers(0, 3, jets),
        "multiples": rng.integers(-500, 500, jets) * 1000 + 7,
        "f4": floats.astype("f4"),
        "f8": floats,
        "decimals": np.round(floats, 2),
        "decimals4": np.round(floats, 1).astype("f4"),
        "truncated": (floats.astype("f4").view("i4") & ~0xFFF).view("f4"),
        "float32 in float64": floats.astype("f4").astype("f8"),
        "few": rng.choice(rng.normal(size=40), jets),
        "sorted": np.sort(floats),
        "bits": rng.integers(0, 2**32, jets, dtype=np.uint32).view("f4"),
        "constant": np.full(jets, -0.0),
    }
    return columns


def limits(dtype):
    info = np.iinfo(dtype)
    return info.min, info.max


def bounded_columns(rng, jets):
    """Columns with grids of both kinds, repeated values, exceptions, and what is no number."""
    values = rng.normal(0, 30, jets)
    special = values.copy()
    for value in (np.nan, np.inf, -np.inf, 0.0, -0.0, -999.0, 1e300, 5.0):
        special[rng.random(jets) < 0.02] = value
    rare = rng.normal(0, 1, jets)
    rare[rng.random(jets) < 0.002] = -999.0
    columns = {
        "special": special,
        "special4": np.where(special > 1e30, 1.0, special).astype("f4"),
        "absolute": values.astype("f4"),
        "near the first": values * 1.01 + rng.normal(0, 0.1, jets),
        "wide": np.exp(rng.normal(0, 12, jets)),
        "rare": rare,
    }
    bounds = {
        "special": "0.5%",
        "special4": "1%+0.1",
        "absolute": "0.01",
        "near the first": "0.002",
        "wide": "0.3%",
    }
    return columns, {**bounds, "rare": "0.001"}


def in_other_coordinates(rng, jets, names, dtype):
    """Jets in other coordinates, some of them beyond what these can hold."""
    momentum = momenta(rng, jets, "f8")
    momentum["eta"][5:6], momentum["pt"][7:8], momentum["mass"][9:10] = 9.0, 0.0, -1.0
    everything = {
        **momentum,
        "px": momentum["pt"] * np.cos(momentum["phi"]),
        "py": momentum["pt"] * np.sin(momentum["phi"]),
        "pz": momentum["pt"] * np.sinh(momentum["eta"]),
        "E": np.sqrt((momentum["pt"] * np.cosh(momentum["eta"])) ** 2 + momentum["mass"] ** 2),
    }
    return {name: everything[name].astype(dtype) for name in names}


def four_bounds(**edges):
    """The standard bounds of a four-momentum."""
    return Bounds.parse({name: STANDARD[name] for name in ("pt", "eta", "phi", "mass")}, edges)


def all_columns(rng, jets):
    """A four-momentum and columns of every kind, and their bounds."""
    columns, bounds = bounded_columns(rng, jets)
    columns = {**momenta(rng, jets), **columns, **exact_columns(rng, jets)}
    asked = {**dict.fromkeys(columns, "exact"), **bounds}
    return columns, Bounds.parse({**asked, **{name: STANDARD[name] for name in ("pt", "eta", "phi", "mass")}})


def small_clusters():
    """Clusters of few jets with all that a payload can hold, each with the numbers of jets in its events."""
    rng = np.random.default_rng(7)
    clusters = []
    for events in (3, 60, 120):
        counts = jets_of_events(rng, events)
        jets = int(counts.sum())
        for columns, bounds in (
            (momenta(rng, jets), four_bounds(pt="30")),
            all_columns(rng, jets),
            *((in_other_coordinates(rng, jets, names, "f4"), four_bounds()) for names in COORDINATES),
        ):
            clusters.append((encode_cluster(ClusterInput(columns, counts, bounds)), counts))
            clusters.append((encode_cluster(ClusterInput(columns, None, bounds)), None))
    return clusters
