"""Jets, and histograms of them, that several modules draw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import awkward as ak
import hist
import numpy as np
import pytest
from matplotlib.text import Text

from hepae.kinematics import momenta, wrap_phi
from hepae.validation.binning import Binning, LatentBinning
from hepae.validation.events import EventBinning, EventHistograms
from hepae.validation.histograms import ComparisonHistograms, LatentHistograms
from hepae.validation.profiles import JetEnergyResolution
from hepae.validation.residuals import Residuals, residuals

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@pytest.fixture(scope="module")
def jets():
    """(original, restored), two or three an event."""
    rng = np.random.default_rng(3)
    counts = np.tile([2, 3], 4000)
    n = counts.sum()
    pt = 20 * (1 + rng.pareto(2.5, n))
    original = {
        "pt": pt,
        "eta": rng.normal(0, 1.6, n),
        "phi": rng.uniform(-np.pi, np.pi, n),
        "mass": pt * rng.uniform(0.05, 0.2, n),
    }
    change = rng.normal(0, 0.02, n)
    restored = original | {
        "pt": pt * (1 + change),
        "eta": original["eta"] + rng.normal(0, 0.002, n),
        "mass": original["mass"] * (1 - change + rng.normal(0, 0.01, n)),
    }
    return tuple(
        momenta({name: ak.unflatten(values, counts) for name, values in columns.items()})
        for columns in (original, restored)
    )


@pytest.fixture(scope="module")
def compared(jets) -> tuple[ComparisonHistograms, Residuals]:
    histograms = ComparisonHistograms(Binning.choose(*jets))
    histograms.fill(*jets)
    return histograms, residuals(*jets)


@pytest.fixture(scope="module")
def events(jets) -> EventHistograms:
    histograms = EventHistograms(EventBinning.choose(jets[0]))
    histograms.fill(*jets)
    return histograms


@pytest.fixture(scope="module")
def latent(jets) -> LatentHistograms:
    records = ak.zip({"z0": np.log(jets[0].pt), "z1": jets[0].eta, "z2": jets[0].phi})
    histograms = LatentHistograms(LatentBinning.choose(records, jets[0]))
    histograms.fill(records, jets[0])
    return histograms


@pytest.fixture(scope="session")
def texts():
    def read(figure: Figure) -> str:
        return "\n".join(text.get_text() for text in figure.findobj(Text) if text.get_visible())

    return read


@pytest.fixture(scope="session")
def spectrum():
    def make(values, *, low=0.0, high=4.0) -> hist.Hist:
        """A histogram with these contents, underflow and overflow included."""
        axis = hist.axis.Regular(len(values) - 2, low, high, name="x", label="$x$ [GeV]")
        histogram = hist.Hist(axis, storage=hist.storage.Double(), label="Jets")
        histogram.view(flow=True)[:] = values
        return histogram

    return make


@pytest.fixture(scope="session")
def history():
    return {
        "epoch": range(1, 31),
        "train_loss": [0.01 * 0.8**epoch + 1e-5 for epoch in range(30)],
        "validation_loss": [0.012 * 0.8**epoch + 2e-5 for epoch in range(30)],
        "test_loss": [""] * 30,
        "learning_rate": [1e-3] * 30,
    }


@pytest.fixture(scope="session")
def resolution():
    return JetEnergyResolution("resolution", 3.0, 0.7, 0.03)


@pytest.fixture(scope="module")
def wide_jets():
    """(original, restored) in lists per event, with a few masses that are not positive."""
    rng = np.random.default_rng(9)
    counts = rng.poisson(3, 3000)
    n = counts.sum()
    pt = 20 + rng.exponential(40, n)
    mass = pt * rng.uniform(0.05, 0.2, n)
    mass[:5] = [-1e-5, -1e-6, 0.0, -2e-5, 0.0]
    original = {
        "pt": pt,
        "eta": rng.uniform(-4.4, 4.4, n),
        "phi": wrap_phi(rng.uniform(-np.pi, np.pi, n)),
        "mass": mass,
        "girth": rng.uniform(0, 0.3, n),
        "n": rng.poisson(12, n),
    }
    restored = original | {
        "pt": pt * (1 + rng.normal(0, 0.01, n)),
        "phi": wrap_phi(original["phi"] + rng.normal(0, 0.01, n)),
    }
    return tuple(
        momenta({name: ak.unflatten(values, counts) for name, values in columns.items()})
        for columns in (original, restored)
    )


@pytest.fixture(scope="module")
def filled(wide_jets):
    histograms = ComparisonHistograms(Binning.choose(*wide_jets))
    histograms.fill(*wide_jets)
    return histograms


@pytest.fixture(scope="module")
def wide_events(wide_jets):
    histograms = EventHistograms(EventBinning.choose(wide_jets[0]))
    histograms.fill(*wide_jets)
    return histograms
