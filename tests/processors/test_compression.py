"""Jobs over filesets: the same result on every executor, after failures and killed workers too."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace

import awkward as ak
import cloudpickle
import pytest
import uproot

import hepae
from hepae.files.agreement import differences
from hepae.processors import CompressionProcessor, ValidationProcessor, executor, files_of, merge
from hepae.processors.executors import decoding

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers do not find the tests

CHUNK = 2500  # of the fixture `run`


def content(path):
    """All that the trees of a compressed file hold, to the bit; its history has the date."""
    with uproot.open(path) as file:
        return {
            (name, branch): [part.tobytes() for part in ak.to_buffers(ak.to_packed(array))[2].values()]
            for name, tree in file.items(filter_classname="TTree")
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


def test_every_executor_gives_the_same(same_counts, run, parallel, fileset, undisturbed, validated, tmp_path):
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


def test_latents_are_merged_with_their_model_once(run, fileset, codec, tmp_path):
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


def test_a_killed_worker_changes_nothing(run, dask_scheduler, fileset, undisturbed, tmp_path):
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
def test_a_chunk_that_fails_twice_changes_nothing(run, fileset, undisturbed, tmp_path):
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
        ({*one, foreign}, "elsewhere.root, which is not in the fileset"),
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


def test_filesets_say_their_trees():
    assert files_of({"a": ["x.root"]}, "Events") == {"a": {"x.root": "Events"}}
    assert files_of({"a": {"files": ["x.root"], "treename": "t"}}, "Events") == {"a": {"x.root": "t"}}
    with pytest.raises(hepae.InputError, match="which tree of the files of a"):
        files_of({"a": ["x.root"]})


def test_executors_say_what_they_cannot():
    for name, options, message in (
        ("nope", {}, "no executor 'nope'; choose one of iterative"),
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


def test_datasets_that_would_be_one_file_are_refused(fileset, sample, tmp_path):
    fileset = {name: {"files": {str(sample): "Events"}} for name in ("a/b", "a_b")}
    with pytest.raises(hepae.InputError, match="a/b and a_b would both be written as a_b"):
        merge({}, fileset, tmp_path, tmp_path / "out")
    with pytest.raises(hepae.InputError, match="a/b and a_b would both be written as a_b"):
        ValidationProcessor(fileset, dict.fromkeys(fileset, sample), output=tmp_path / "out")
    assert not (tmp_path / "out").exists()
