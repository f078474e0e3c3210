from __future__ import annotations

import json

import awkward as ak
import numpy as np
import pytest
import uproot

import hepae
from hepae.comparison import compare_files
from hepae.processors import ValidationProcessor, executor, files_of
from hepae.validation.canvas import Style
from hepae.validation.gallery import Gallery
from hepae.validation.histograms import ComparisonHistograms


def test_validation_is_compare(same_counts, run, fileset, undisturbed, tmp_path, monkeypatch):
    """Figures are drawn by one function of what was counted; here is what it is given."""
    drawn = []
    monkeypatch.setattr(Gallery, "draw", lambda self, versions, *_: drawn.append((versions, self.resolution)))
    files = {"one": fileset["one"]}
    with executor("iterative") as started:
        run(started, files, ValidationProcessor(files, undisturbed[1], output=tmp_path / "jobs"))
    ((original, _),) = files_of(files)["one"].items()
    compare_files(original, undisturbed[1]["one"], tmp_path / "compare", style=Style())
    metrics = [(tmp_path / name / "metrics.json").read_text() for name in ("jobs/one", "compare")]
    assert metrics[0] == metrics[1]
    assert json.loads(metrics[0])["columns"]["pt"]["violations"] == 0
    (((one,), resolution), ((other,), its_resolution)) = drawn
    assert same_counts(one.counts, other.counts)
    for what in ("name", "residuals", "bounds", "stored"):
        assert getattr(one, what) == getattr(other, what)
    assert resolution == its_resolution


@pytest.mark.usefixtures("figures")
def test_bytes_are_those_of_the_compared_collection(run, make_tree, tmp_path):
    rng = np.random.default_rng(4)
    arrays, counters = {}, {}
    for name, mean in (("Jet", 3), ("Muon", 1)):
        counts = rng.poisson(mean, 300)
        arrays[f"n{name}"] = counts.astype(np.int32)
        for column in ("pt", "eta", "phi", "mass"):
            arrays[f"{name}_{column}"] = ak.unflatten(rng.uniform(1, 2, counts.sum()), counts)
            counters[f"{name}_{column}"] = f"n{name}"
    original, small = make_tree(arrays, counters=counters), tmp_path / "small.root"
    hepae.compress_file(original, small, hepae.BoundedCodec(), collection=["Jet", "Muon"])
    files = {"both": {"files": {str(original): "Events"}}}
    job = ValidationProcessor(files, {"both": small}, output=tmp_path / "jobs", collection="Muon")
    with executor("iterative") as started:
        run(started, files, job)
    compare_files(original, small, tmp_path / "compare", style=Style(), collection="Muon")
    found, expected = (
        json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("jobs/both", "compare")
    )
    assert found == expected
    with hepae.open(small) as file:
        muons, jets = (file.stored_bytes(name) for name in ("Muon", "Jet"))
        assert found["bytes"]["compressed"] == sum(muons.values()) < sum(jets.values())
        assert [*muons] == ["pt", "eta", "phi", "mass"]


def test_weights(run, fileset, undisturbed, validated):
    dataset = "/two/files"
    files = {dataset: fileset[dataset]}
    names = [*files_of(files)[dataset]]
    with executor("iterative") as started:
        found = run(started, files, ValidationProcessor(files, undisturbed[1], weight="genWeight"))[dataset]
    unweighted = validated[dataset]
    weight = ak.concatenate([uproot.open(name)["Events"]["genWeight"].array() for name in names])
    with hepae.open(undisturbed[1][dataset]) as file:
        original, restored = hepae.read_jets(names), file.jets()
    expected = ComparisonHistograms(found.histograms.binning)
    expected.fill(original, restored, weight)
    for kind in ("original", "restored"):
        for name, histogram in getattr(expected, kind).items():
            other = getattr(found.histograms, kind)[name]
            np.testing.assert_allclose(other.values(flow=True), histogram.values(flow=True), rtol=1e-12)
            np.testing.assert_allclose(other.variances(), histogram.variances(), rtol=1e-12)
    for kind in ("residual", "against", "correlation", "largest"):  # what was done to the jets
        assert getattr(found.histograms, kind) == getattr(unweighted.histograms, kind)
    total = ak.sum(weight * ak.num(original))
    assert found.histograms.original["pt"].sum(flow=True).value == pytest.approx(total)
    assert found.sums.jets == ak.count(original.pt) != total


def test_validation_refuses_what_does_not_fit(fileset, undisturbed):
    merged = undisturbed[1]
    with pytest.raises(hepae.InputError, match="no compressed file for the dataset"):
        ValidationProcessor(fileset, {"one": merged["one"]})
    with pytest.raises(hepae.InputError, match="these are not the same jets"):
        ValidationProcessor({"one": fileset["/two/files"]}, merged)
    with pytest.raises(hepae.InputError, match="no branch 'nope' for the weights"):
        ValidationProcessor(fileset, merged, weight="nope")
    job = ValidationProcessor(fileset, merged)
    with pytest.raises(hepae.InputError, match="0 of 20000 events of one were compared"):
        job.postprocess({})
