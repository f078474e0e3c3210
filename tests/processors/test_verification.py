from __future__ import annotations

import pytest
from coffea.nanoevents import BaseSchema
from coffea.processor import FuturesExecutor, IterativeExecutor, Runner

import hepae
from hepae.errors import InputError
from hepae.files.verify import verify
from hepae.processors import VerificationProcessor

KEEP = ["run", "luminosityBlock", "event", "Jet_*"]


@pytest.fixture(scope="module")
def files(sample, tmp_path_factory):
    """Two originals of a few events, and the compressed file of both joined."""
    folder = tmp_path_factory.mktemp("verification")
    exact = hepae.BoundedCodec(dict.fromkeys(("pt", "eta", "phi", "mass"), "exact"))
    originals = []
    for i in range(2):
        small = folder / f"exact{i}.root"
        hepae.compress_file(sample, small, exact, keep=KEEP, entry_start=700 * i, entry_stop=700 * (i + 1))
        originals.append(folder / f"original{i}.root")
        hepae.decompress_file(small, originals[-1])
    hepae.compress_file(originals, folder / "joined.root", hepae.BoundedCodec())
    return originals, folder / "joined.root"


def run(job, originals, started=None, chunksize=300):
    fileset = {"dijets": {"files": {str(path): "Events" for path in originals}}}
    return Runner(started or IterativeExecutor(status=False), schema=BaseSchema, chunksize=chunksize)(
        fileset, job
    )


def fileset_of(originals):
    return {"dijets": {"files": {str(path): "Events" for path in originals}}}


@pytest.mark.parametrize(
    "started", [None, FuturesExecutor(workers=2, status=False)], ids=["iterative", "futures"]
)
def test_a_job_gives_the_certificate_of_the_whole_files(files, tmp_path, started):
    originals, joined = files
    job = VerificationProcessor(fileset_of(originals), {"dijets": joined}, output=tmp_path)
    found = run(job, originals, started)["dijets"].to_json()
    alone = verify(originals, joined).to_json()
    for what in (found, alone):
        del what["date"]
        what["version"].pop("path")
    assert found == alone
    assert (tmp_path / "dijets.json").exists()


def test_a_job_finds_originals_in_another_order(files):
    originals, joined = files
    job = VerificationProcessor(fileset_of(originals[::-1]), {"dijets": joined})
    certificate = run(job, originals[::-1])["dijets"]
    assert certificate.broken[0].startswith("entry 0 is run 1")


def test_a_job_without_all_of_its_files_is_refused(files):
    originals, joined = files
    job = VerificationProcessor(fileset_of(originals), {"dijets": joined})
    with pytest.raises(InputError, match="700 of 1400 events of dijets were verified"):
        run(job, originals[:1])
    with pytest.raises(InputError, match="no version of the dataset dijets"):
        VerificationProcessor(fileset_of(originals), {"other": joined})
