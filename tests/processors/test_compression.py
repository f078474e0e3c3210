"""Jobs over filesets: the same result on every executor, after failures and killed workers too."""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import replace

import awkward as ak
import cloudpickle
import numpy as np
import pytest
import uproot
from coffea.nanoevents import BaseSchema
from coffea.processor import Runner

import hepae
from hepae.comparison import compare_files
from hepae.files.agreement import differences
from hepae.processors import CompressionProcessor, ValidationProcessor, executor, files_of, merge
from hepae.processors.executors import decoding
from hepae.validation.canvas import Style
from hepae.validation.gallery import Gallery
from hepae.validation.histograms import ComparisonHistograms

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers do not find the tests

CHUNK = 2500


@pytest.fixture(scope="module")
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


def run(started, fileset, job):
    return Runner(started, schema=BaseSchema, chunksize=CHUNK)(fileset, job)


@pytest.fixture(scope="module")
def undisturbed(fileset, tmp_path_factory):
    """Manifest and merged files of a job on one core."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with executor("iterative") as started:
        manifest = run(started, fileset, CompressionProcessor(hepae.BoundedCodec(), folder / "parts"))
    return manifest, merge(manifest, fileset, folder / "parts", folder), folder / "parts"


@pytest.fixture(scope="module")
def validated(fileset, undisturbed):
    """Residuals and histograms of the merged files, counted on one core."""
    with executor("iterative") as started:
        return run(started, fileset, ValidationProcessor(fileset, undisturbed[1]))


def content(path):
    """All that a compressed file holds, to the bit."""
    with uproot.open(path) as file:
        return {
            (name, branch): [part.tobytes() for part in ak.to_buffers(ak.to_packed(array))[2].values()]
            for name, tree in file.items()
            for branch, array in tree.arrays(how=dict).items()
        }


@pytest.fixture(params=["futures", "dask", "parsl", "taskvine"])
def parallel(request):
    """Executors of several processes."""
    name, scheduler = request.param, None
    if name == "dask":
        scheduler = request.getfixturevalue("dask_scheduler")
    elif name == "parsl":
        request.getfixturevalue("parsl_kernel")
    elif name == "taskvine":
        pytest.importorskip("ndcctools.taskvine", reason="TaskVine is not installed: conda install ndcctools")
    with executor(name, workers=2, scheduler=scheduler) as started:
        yield started


def test_every_executor_gives_the_same(parallel, fileset, undisturbed, validated, tmp_path):
    manifest = run(parallel, fileset, CompressionProcessor(hepae.BoundedCodec(), tmp_path / "parts"))
    assert manifest == undisturbed[0]
    for dataset, path in merge(manifest, fileset, tmp_path / "parts", tmp_path).items():
        assert content(path) == content(undisturbed[1][dataset])
    again = run(parallel, fileset, ValidationProcessor(fileset, undisturbed[1]))
    for dataset, expected in validated.items():
        assert again[dataset].sums.result() == expected.sums.result()
        assert same_counts(expected, again[dataset])


def test_a_merged_file_is_that_of_the_inputs_joined(fileset, undisturbed, tmp_path):
    manifest, merged, _ = undisturbed
    assert [path.name for path in merged.values()] == ["one.root", "two_files.root"]
    for dataset, files in files_of(fileset).items():
        hepae.compress_file([*files], tmp_path / "whole.root", hepae.BoundedCodec(), force=True)
        with hepae.open(merged[dataset]) as file, hepae.open(tmp_path / "whole.root") as whole:
            assert len(manifest[dataset]) > 2
            assert file.header.events == file.num_entries == whole.num_entries
            assert differences(file.header, whole.header, strict=True) == []
            assert file.header.collections == whole.header.collections
            sizes = file.header.bytes, whole.header.bytes
            assert len({(size.file_original, size.original) for size in sizes}) == 1
            assert file.header.checksums.keys() == whole.header.checksums.keys()
            original = hepae.read_jets([*files])
            assert ak.all(ak.num(file.jets()) == ak.num(original))
            assert ak.all(abs(file.jets().pt / original.pt - 1) <= 0.001 + 1e-12)
        hepae.decompress_file(merged[dataset], tmp_path / "back.root", force=True)
        with uproot.open(tmp_path / "back.root") as back:
            expected = uproot.concatenate(
                [{name: tree} for name, tree in files.items()], ["event", "genWeight"]
            )
            assert ak.array_equal(back["Events"].arrays(["event", "genWeight"]), expected)


def test_latents_are_merged_with_their_model_once(fileset, codec, tmp_path):
    files = {"two": fileset["/two/files"]}
    with executor("iterative") as started:
        manifest = run(started, files, CompressionProcessor(codec, tmp_path / "parts"))
    (path,) = merge(manifest, files, tmp_path / "parts", tmp_path).values()
    with uproot.open(path) as file:
        assert file["hepae"].num_entries == 1
    expected = codec.decompress(codec.compress(hepae.read_jets([*files_of(files)["two"]])))
    with hepae.open(path) as file:
        assert ak.all(abs(file.jets().pt / expected.pt - 1) < 1e-3)


class Killed(CompressionProcessor):
    """Kills its worker in the middle of a chunk, once, when others are done."""

    def process(self, events):
        marker = self.folder / "killed"
        if events.metadata["entrystart"] == 2 * CHUNK and not marker.exists():
            marker.touch()
            self.folder.joinpath(".half.root.part").write_bytes(b"root")
            os.kill(os.getpid(), signal.SIGKILL)
        return super().process(events)


def test_a_killed_worker_changes_nothing(dask_scheduler, fileset, undisturbed, tmp_path):
    job = Killed(hepae.BoundedCodec(), tmp_path / "parts")
    with executor("dask", scheduler=dask_scheduler) as started:
        manifest = run(started, fileset, job)
    assert (tmp_path / "parts" / "killed").exists()
    assert manifest == undisturbed[0]
    for dataset, path in merge(manifest, fileset, tmp_path / "parts", tmp_path).items():
        assert content(path) == content(undisturbed[1][dataset])


class Failing(CompressionProcessor):
    """Fails twice on one chunk: before it is written, and after."""

    def process(self, events):
        chosen = events.metadata["entrystart"] == CHUNK
        failures = self.folder / "failures"
        count = len(failures.read_text()) if failures.exists() else 0
        if chosen and count < 2:
            failures.write_text("x" * (count + 1))
            if count == 1:
                super().process(events)
            raise OSError("the disk was away for a moment")
        return super().process(events)


@pytest.mark.filterwarnings("ignore:Performed attempt:UserWarning")
def test_a_chunk_that_fails_twice_changes_nothing(fileset, undisturbed, tmp_path):
    files = {"one": fileset["one"]}
    with executor("iterative") as started:
        manifest = run(started, files, Failing(hepae.BoundedCodec(), tmp_path / "parts"))
    assert (tmp_path / "parts" / "failures").read_text() == "xx"
    assert manifest["one"] == undisturbed[0]["one"]
    merged = merge(manifest, files, tmp_path / "parts", tmp_path)
    assert content(merged["one"]) == content(undisturbed[1]["one"])


def test_merge_wants_every_entry_once(fileset, undisturbed, tmp_path):
    manifest, _, parts = undisturbed
    one = sorted(manifest["one"])
    twice = replace(one[1], start=one[1].start - 10, name=one[2].name)
    foreign = replace(one[0], filename="elsewhere.root")
    for changed, message in (
        ({*one[:2], *one[3:]}, f"entries {one[2].start} to {one[2].stop} of .* are missing"),
        ({*one[:-1]}, "are missing"),
        (set(), "are missing"),
        ({*one[:1], twice, *one[2:]}, "are there twice"),
        ({*one, foreign}, "elsewhere.root, which the fileset has not"),
    ):
        with pytest.raises(hepae.InputError, match=message):
            merge({**manifest, "one": changed}, fileset, parts, tmp_path)
    assert [*tmp_path.iterdir()] == []


def test_merge_notices_damage_and_what_does_not_belong_together(fileset, undisturbed, tmp_path):
    manifest, _, parts = undisturbed
    files, names = {"one": fileset["one"]}, [part.name for part in sorted(manifest["one"])]
    for name in names:
        (tmp_path / name).write_bytes((parts / name).read_bytes())
    data = (parts / names[1]).read_bytes()
    with uproot.open(parts / names[1]) as file:
        basket = file["Events"]["MET_pt"].member("fBasketSeek")[0]
        blob = file["hepae_payload"]["blob"].array(library="np")[0].tobytes()
    for at in (basket + 200, data.find(blob) + 100):
        (tmp_path / names[1]).write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(hepae.InputError, match=f"{names[1]}.* damaged"):
            merge(manifest, files, tmp_path, tmp_path / "out")
    part = sorted(manifest["one"])[1]
    hepae.compress_file(
        part.filename,
        tmp_path / part.name,
        hepae.BoundedCodec({"pt": "1%"}),
        entry_start=part.start,
        entry_stop=part.stop,
        force=True,
    )
    with pytest.raises(hepae.InputError, match="cannot be joined: their bounds differ"):
        merge(manifest, files, tmp_path, tmp_path / "out")
    assert [*(tmp_path / "out").iterdir()] == []


def same_counts(one, other):
    """Whether two jobs counted the same, bin by bin."""
    for kind in ("original", "restored", "residual", "against", "correlation", "largest"):
        histograms = getattr(one.histograms, kind)
        assert histograms.keys() == getattr(other.histograms, kind).keys()
        assert all(getattr(other.histograms, kind)[name] == found for name, found in histograms.items())
    return one.events.pairs == other.events.pairs and one.events.cut_flow == other.events.cut_flow


def test_validation_is_compare(fileset, undisturbed, tmp_path, monkeypatch):
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


def test_bytes_are_those_of_the_compared_collection(make_tree, tmp_path, monkeypatch):
    monkeypatch.setattr("hepae.validation.canvas.save", lambda _, path: [path])
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


def test_weights(fileset, undisturbed, validated):
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


def test_filesets_say_their_trees():
    assert files_of({"a": ["x.root"]}, "Events") == {"a": {"x.root": "Events"}}
    assert files_of({"a": {"files": ["x.root"], "treename": "t"}}, "Events") == {"a": {"x.root": "t"}}
    with pytest.raises(hepae.InputError, match="which tree of the files of a"):
        files_of({"a": ["x.root"]})


def test_executors_say_what_they_cannot():
    for name, options, message in (
        ("nope", {}, "no executor 'nope': it is one of iterative"),
        ("futures", {"scheduler": "tcp://127.0.0.1:1"}, "has no scheduler"),
    ):
        with pytest.raises(hepae.ConfigError, match=message), executor(name, **options):
            pass


def test_a_model_is_loaded_once_and_runs_with_one_thread(sample, codec, tmp_path):
    import torch

    for name in ("a.root", "b.root"):
        hepae.compress_file(sample, tmp_path / name, codec, entry_stop=1000)
    with hepae.open(tmp_path / "a.root") as one, hepae.open(tmp_path / "b.root") as other:
        assert one.codec() is other.codec()
    before = torch.get_num_threads()
    with hepae.open(tmp_path / "a.root") as file, decoding(file):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_datasets_that_would_be_one_file_are_refused(sample, tmp_path):
    fileset = {name: {"files": {str(sample): "Events"}} for name in ("a/b", "a_b")}
    with pytest.raises(hepae.InputError, match="a/b and a_b would both be written as a_b"):
        merge({}, fileset, tmp_path, tmp_path / "out")
    with pytest.raises(hepae.InputError, match="a/b and a_b would both be written as a_b"):
        ValidationProcessor(fileset, dict.fromkeys(fileset, sample), output=tmp_path / "out")
    assert not (tmp_path / "out").exists()
