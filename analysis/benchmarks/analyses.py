"""Analyses of jets inside coffea, timed: what is touched of a file, and in how long."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np
from coffea.nanoevents import BaseSchema
from coffea.processor import IterativeExecutor, ProcessorABC, Runner

import hepae
from hepae.files.decoded import DECODED

if TYPE_CHECKING:
    from pathlib import Path

TREE = "Events"


class Met(ProcessorABC):  # type: ignore[misc]  # coffea has no types
    """An analysis that asks for no jets."""

    def process(self, events: Any) -> dict[str, float]:
        """Sum of MET."""
        return {"sum": float(ak.sum(hepae.restore(events).MET_pt))}

    def postprocess(self, accumulator: Any) -> Any:
        """Nothing is left to do."""
        return accumulator


class Pt(Met):
    """An analysis of one column of the jets."""

    def process(self, events: Any) -> dict[str, float]:
        """Sum of the jets' pt."""
        return {"sum": float(ak.sum(hepae.restore(events).Jet_pt))}


class Jets(Met):
    """An analysis of the jets' four-momenta."""

    def process(self, events: Any) -> dict[str, float]:
        """Sum of the jets' energies."""
        jets = hepae.restore(events)
        pt, eta, mass = (jets[f"Jet_{name}"] for name in ("pt", "eta", "mass"))
        return {"sum": float(ak.sum(np.sqrt((pt * np.cosh(eta)) ** 2 + mass**2) * np.cos(jets.Jet_phi)))}


class _Fresh:
    """A worker that keeps nothing of the chunks before: each of its chunks is the first one."""

    def process(self, events: Any) -> dict[str, float]:
        """Forget what was decoded, then analyse the chunk."""
        DECODED.clear()
        found: dict[str, float] = super().process(events)  # type: ignore[misc]  # the analysis comes behind
        return found


class FreshPt(_Fresh, Pt):
    """One column of the jets, each chunk in a fresh worker."""


class FreshJets(_Fresh, Jets):
    """The jets' four-momenta, each chunk in a fresh worker."""


def analyse(path: Path, processor: ProcessorABC, chunk: int) -> tuple[float, float]:
    """Seconds of an analysis of a file, and the sum that it finds."""
    run = Runner(IterativeExecutor(status=False), schema=BaseSchema, chunksize=chunk)
    started = time.perf_counter()
    found = run({"jets": {"files": {str(path): TREE}}}, processor)
    return time.perf_counter() - started, found["sum"]
