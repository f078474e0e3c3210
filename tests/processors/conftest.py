"""A fileset, and what jobs on one core make of it."""

from __future__ import annotations

import awkward as ak
import pytest
import uproot
from coffea.nanoevents import BaseSchema
from coffea.processor import Runner

import hepae
from hepae.processors import CompressionProcessor, ValidationProcessor, executor, merge

CHUNK = 2500


@pytest.fixture(scope="session")
def fileset(sample, tmp_path_factory):
    """Two datasets: one file, and the first 7000 and 2000 events of it as two."""
    folder = tmp_path_factory.mktemp("files")
    files = {}
    with uproot.open(sample) as source:
        names = ["run", "luminosityBlock", "event", "genWeight", "nJet"]
        columns = ["Jet_pt", "Jet_eta", "Jet_phi", "Jet_mass"]
        for name, stop in (("a.root", 7000), ("b.root", 2000)):
            arrays = source["Events"].arrays([*names, *columns], entry_stop=stop, how=dict)
            jets = ak.zip({column[4:]: arrays.pop(column) for column in columns})
            del arrays["nJet"]
            with uproot.recreate(folder / name) as file:
                types = {branch: array.type.content for branch, array in arrays.items()}
                file.mktree("Events", {**types, "Jet": jets.type.content})
                file["Events"].extend({**arrays, "Jet": jets})
            files[str(folder / name)] = "Events"
    return {"one": {"files": {str(sample): "Events"}}, "/two/files": {"files": files}}


@pytest.fixture(scope="session")
def run():
    """Run a job over a fileset in chunks of 2500 events."""

    def run_job(started, fileset, job):
        return Runner(started, schema=BaseSchema, chunksize=CHUNK)(fileset, job)

    return run_job


@pytest.fixture(scope="session")
def undisturbed(run, fileset, tmp_path_factory):
    """Manifest and merged files of a job on one core."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with executor("iterative") as started:
        manifest = run(started, fileset, CompressionProcessor(hepae.BoundedCodec(), folder / "parts"))
    return manifest, merge(manifest, fileset, folder / "parts", folder), folder / "parts"


@pytest.fixture(scope="session")
def validated(run, fileset, undisturbed):
    """Residuals and histograms of the merged files, counted on one core."""
    with executor("iterative") as started:
        return run(started, fileset, ValidationProcessor(fileset, undisturbed[1]))


@pytest.fixture(scope="session")
def same_counts():
    """Whether two jobs counted the same, bin by bin."""

    def same(one, other):
        for kind in ("original", "restored", "residual", "against", "correlation", "largest"):
            histograms = getattr(one.histograms, kind)
            assert histograms.keys() == getattr(other.histograms, kind).keys()
            assert all(getattr(other.histograms, kind)[name] == found for name, found in histograms.items())
        return one.events.pairs == other.events.pairs and one.events.cut_flow == other.events.cut_flow

    return same
