from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import mpmath
import numpy as np
import pytest
import vector

from hepae.bounded.cluster import ClusterInput, encode_cluster
from hepae.bounded.codec import resolve
from hepae.bounded.fourvectors import COORDINATES, find_coordinates
from hepae.bounds import Bounds

N = 20_000


def momenta(kind=np.float32, seed=4):
    rng = np.random.default_rng(seed)
    pt, eta = rng.exponential(60, N) + 20, rng.normal(0, 1.5, N)
    phi, mass = rng.uniform(-np.pi, np.pi, N), rng.exponential(10, N)
    jets = vector.array({"pt": pt, "eta": eta, "phi": phi, "mass": mass})
    names = ("pt", "eta", "phi", "mass", "px", "py", "pz", "E")
    return {name: np.array(getattr(jets, name), kind) for name in names}


def coded(columns, bounds=(), edges=(), counts=None):
    types = {name: values.dtype for name, values in columns.items()}
    found = resolve(Bounds.parse(bounds, edges), {"Jet": types})["Jet"].in_unit("GeV")
    cluster = encode_cluster(ClusterInput(columns, counts, found))
    return cluster, cluster.decode(columns, counts)


def derived(columns):
    names = [name for name in columns if name in ("pt", "eta", "phi", "mass", "E", "px", "py", "pz")]
    return vector.array({name: columns[name].astype(np.float64) for name in names})


@pytest.mark.parametrize("coordinates", COORDINATES, ids=lambda coordinates: ",".join(coordinates.own))
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_the_four_momentum_keeps_its_bounds_in_whatever_columns(coordinates, kind):
    columns = {name: values for name, values in momenta(kind).items() if name in coordinates.own}
    cluster, restored = coded(columns)
    assert {*restored} == {*coordinates.own}
    assert all(restored[name].dtype == kind for name in coordinates.own)
    before, after = derived(columns), derived(restored)
    assert np.max(np.abs(after.pt / before.pt - 1)) <= 1.0000001e-3
    assert np.max(np.abs(after.eta - before.eta)) <= 1.0000001e-3
    assert np.max(np.abs(after.deltaphi(before))) <= 1.0000001e-3
    error = np.abs(after.mass - before.mass)
    assert np.all(error <= (0.01 * np.abs(before.mass) + 0.001) * 1.0000001)
    assert cluster.nbytes / N < (6.2 if kind == np.float32 else 5.5)


def boosted(scale, kind, names, seed=6):
    """Jets of which three in ten are so light for their energy that E² − p² loses most of the mass's digits."""
    rng = np.random.default_rng(seed)
    pt, eta = scale * (1 + rng.exponential(0.2, N)), rng.uniform(-1, 1, N) * (5 if scale < 1000 else 2.5)
    phi = rng.uniform(-np.pi, np.pi, N)
    mass = np.where(rng.random(N) < 0.3, rng.exponential(0.05, N), pt * rng.uniform(0.02, 0.2, N))
    mass[::50] = 0.0
    jets = vector.array({"pt": pt, "eta": eta, "phi": phi, "mass": mass})
    return {name: np.array(getattr(jets, name), kind) for name in names}


def masses_in_long_double(columns):
    own = {name: values.astype(np.longdouble) for name, values in columns.items()}
    if "px" in own:
        square = own["E"] ** 2 - own["px"] ** 2 - own["py"] ** 2 - own["pz"] ** 2
    else:
        p = own["pt"] * np.cosh(own["eta"])
        square = (own["E"] - p) * (own["E"] + p)
    return np.copysign(np.sqrt(np.abs(square)), square)


def mass_in_fifty_digits(jet):
    mpmath.mp.dps = 50
    own = {name: mpmath.mpf(float(value)) for name, value in jet.items()}
    if "px" in own:
        square = own["E"] ** 2 - own["px"] ** 2 - own["py"] ** 2 - own["pz"] ** 2
    else:
        square = own["E"] ** 2 - (own["pt"] * mpmath.cosh(own["eta"])) ** 2
    return mpmath.sign(square) * mpmath.sqrt(abs(square))


@pytest.mark.parametrize("coordinates", COORDINATES[:2], ids=lambda coordinates: ",".join(coordinates.own))
@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [450.0, 4000.0])
def test_the_mass_of_boosted_jets_holds_its_bound_in_any_arithmetic(coordinates, kind, scale):
    columns = boosted(scale, kind, coordinates.own)
    _, restored = coded(columns)
    changed = columns["E"] != restored["E"]
    assert np.count_nonzero(changed) > 0.4 * N
    in_gev = {name: 1.0 if name in ("eta", "phi") else 1e-3 for name in columns}
    ways = {
        "vector": lambda jets: derived(jets).mass,
        "vector, MeV to GeV": lambda jets: (
            1e3 * derived({name: values * in_gev[name] for name, values in jets.items()}).mass
        ),
        "long double": masses_in_long_double,
    }
    for way, masses in ways.items():
        before, after = (
            masses({n: v.astype(np.float64) for n, v in jets.items()}) for jets in (columns, restored)
        )
        error = np.abs(after - before) / (0.01 * np.abs(before) + 0.001)
        assert np.count_nonzero(error > 1 + 1e-12) == 0, way
    hardest = np.argsort(np.where(changed, -error, 0.0))[:300]
    for row in hardest:
        first, second = (
            mass_in_fifty_digits({n: v[row] for n, v in jets.items()}) for jets in (columns, restored)
        )
        assert abs(second - first) <= 0.01 * abs(first) + 0.001


def test_the_mass_of_boosted_jets_stays_on_its_side_of_an_edge():
    columns = boosted(4000.0, np.float64, ("pt", "eta", "phi", "E"))
    _, restored = coded(columns, edges={"mass": "0.05"})
    for masses in (lambda jets: derived(jets).mass, masses_in_long_double):
        assert np.array_equal(masses(columns) > 0.05, masses(restored) > 0.05)


def test_forward_and_inverse_are_each_others():
    columns = momenta(np.float64)
    for coordinates in COORDINATES:
        found = coordinates.forward(columns)
        for name in coordinates.added:
            np.testing.assert_allclose(found[name], columns[name], rtol=1e-9, atol=1e-5)
        own = coordinates.inverse(columns, {name: np.dtype(np.float64) for name in coordinates.replaced})
        for name in coordinates.replaced:
            np.testing.assert_allclose(own[name], columns[name], rtol=1e-12, atol=1e-12)


def test_what_cannot_be_a_four_momentum_keeps_every_bit():
    columns = {name: values.copy() for name, values in momenta().items() if name in ("px", "py", "pz", "E")}
    hostile = [np.nan, np.inf, -np.inf, 0.0, -0.0, -999.0, 1e38, 1e-40]
    for i, value in enumerate(hostile):
        for j, name in enumerate(columns):
            columns[name][40 * i + j] = value
        for name in columns:
            columns[name][1000 + i] = value
    columns["E"][2000:2300] *= -1
    columns["E"][3000:3300] = -999.0  # a repeated value
    _, restored = coded(columns)
    for name, values in columns.items():
        rows = [1000 + i for i in range(len(hostile)) if hostile[i] not in (1e38, 1e-40)]
        assert restored[name][rows].tobytes() == values[rows].tobytes()
        assert restored[name][2000:2300].tobytes() == values[2000:2300].tobytes()
    assert restored["E"][3000:3300].tobytes() == columns["E"][3000:3300].tobytes()


def test_where_the_type_cannot_hold_the_bounds_all_is_exact():
    columns = {name: values for name, values in momenta().items() if name in ("pt", "eta", "phi", "E")}
    columns["E"] = (columns["pt"].astype(np.float64) * np.cosh(columns["eta"].astype(np.float64))).astype(
        np.float32
    )  # massless: the float32 mass is all rounding
    _, restored = coded(columns, {"mass": "1e-9"})
    for name, values in columns.items():
        assert restored[name].tobytes() == values.tobytes()


def test_a_column_asked_for_by_name_is_coded_itself():
    columns = {name: values for name, values in momenta().items() if name in ("px", "py", "pz", "E")}
    types = {name: values.dtype for name, values in columns.items()}
    assert find_coordinates(types) is COORDINATES[1]
    assert find_coordinates(types, {"px"}) is None
    assert find_coordinates({**types, "pt": np.dtype("f4")}) is None
    assert find_coordinates({**types, "E": np.dtype("i4")}) is None
    _, restored = coded(columns, {"px": 0.5, "py": 0.5, "pz": 0.5, "E": "1%"})
    assert 0.4 < np.max(np.abs(restored["px"] - columns["px"])) <= 0.5


def test_edges_of_columns_that_the_file_does_not_have_hold():
    columns = {name: values for name, values in momenta().items() if name in ("px", "py", "pz", "E")}
    _, restored = coded(columns, edges={"pt": "50,100", "mass": "8"})
    before, after = derived(columns), derived(restored)
    assert np.array_equal(before.pt > 50, after.pt > 50)
    assert np.array_equal(before.pt > 100, after.pt > 100)
    assert np.array_equal(before.mass > 8, after.mass > 8)


SCRIPT = """
import hashlib
from test_fourvectors import coded, momenta
from hepae.bounded.fourvectors import COORDINATES
digest = hashlib.sha256()
for coordinates in COORDINATES:
    cluster, restored = coded({name: values for name, values in momenta(seed=5).items() if name in coordinates.own})
    digest.update(b"".join(restored[name].tobytes() for name in coordinates.own))
print(digest.hexdigest())
"""


def test_restored_columns_have_the_same_bits_on_other_processors():
    found = set()
    for environment in ({}, {"NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR"}):
        output = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", SCRIPT],
            env={**os.environ, **environment, "PYTHONPATH": str(Path(__file__).parent)},
            capture_output=True,
            text=True,
            check=True,
        )
        found.add(output.stdout)
    assert len(found) == 1
