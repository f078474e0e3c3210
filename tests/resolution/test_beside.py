from __future__ import annotations

import awkward as ak
import numpy as np
import pytest

from hepae.bounds import Bound
from hepae.kinematics import momenta
from hepae.resolution.beside import CollectionBesideResolution
from hepae.resolution.parametrisation import Parametrisation


@pytest.fixture(scope="module")
def jets():
    """(original, restored), 0 to 4 an event, the second with pt and dxy off by a little."""
    rng = np.random.default_rng(8)
    counts = rng.integers(0, 5, 200)
    n = counts.sum()
    before = {"pt": rng.uniform(20, 200, n), "eta": rng.normal(0, 1, n), "phi": rng.uniform(-3.14, 3.14, n)}
    before |= {
        "mass": rng.uniform(1, 20, n),
        "dxy": rng.normal(0, 0.1, n),
        "dxyErr": rng.uniform(1e-3, 1e-2, n),
    }
    before["dxyErr"][:3] = [0, np.nan, -1]  # of these nothing is known
    after = before | {"pt": before["pt"] * (1 + rng.uniform(-1e-3, 1e-3, n))}
    after |= {"dxy": before["dxy"] + rng.uniform(-1e-4, 1e-4, n), "phi": -before["phi"]}
    after["phi"] = np.where(np.abs(before["phi"]) > 3.13, -before["phi"], before["phi"])
    return tuple(
        momenta({name: ak.unflatten(of, counts) for name, of in each.items()}) for each in (before, after)
    )


BOUNDS = {
    name: Bound.parse(text)
    for name, text in {"pt": "0.1%", "phi": "0.02", "dxy": "1e-4", "eta": "exact"}.items()
}


def test_bounds_and_errors_in_units_of_the_resolution(jets):
    beside = CollectionBesideResolution("Jet", Parametrisation.load("CMS"))
    for events in (slice(0, 70), slice(70, 200)):
        beside.fill(*(part[events] for part in jets), BOUNDS)
    before, after = ({name: ak.to_numpy(ak.flatten(part[name])) for name in part.fields} for part in jets)
    pt = beside.columns["pt"]
    sigma = np.sqrt(1.25**2 + 0.903**2 * before["pt"] + (0.041 * before["pt"]) ** 2)
    assert (pt.source, pt.values) == ("CMS (8 TeV, arXiv:1607.03663)", before["pt"].size)
    assert pt.resolution == pytest.approx(sigma.mean())
    assert pt.bound == pytest.approx(1e-3 * before["pt"].mean())
    assert pt.bound_over_resolution == pytest.approx((1e-3 * before["pt"] / sigma).mean())
    error = (after["pt"] - before["pt"]) / sigma
    assert pt.widening == pytest.approx(np.sqrt(1 + (error**2).mean()) - 1)
    assert beside.columns["phi"].widening < 1  # around the circle
    assert (beside.columns["eta"].bound, beside.columns["eta"].widening) == (0, 0)
    dxy, known = beside.columns["dxy"], before["dxyErr"] > 0
    assert (dxy.source, dxy.values) == ("column dxyErr", known.sum())
    assert dxy.bound_over_resolution == pytest.approx((1e-4 / before["dxyErr"][known]).mean())


def test_only_jets_have_the_resolution_of_jets(jets):
    beside = CollectionBesideResolution("Muon", Parametrisation.load("ATLAS"))
    beside.fill(*jets, BOUNDS)
    assert list(beside.columns) == ["dxy"]
