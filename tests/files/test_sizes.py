from __future__ import annotations

import json

import awkward as ak
import numpy as np
import pytest
import uproot

import hepae
from hepae.bounds import Bounds
from hepae.errors import ConfigError, InputError
from hepae.files.sizes import file_sizes

BOUNDS = Bounds.parse({"*": "0.1%"})


def written(path, output, **options):
    """Sizes of the compressed file, and its bytes."""
    hepae.compress_file(path, output, hepae.BoundedCodec(BOUNDS), **options)
    return file_sizes(output, BOUNDS), output.stat().st_size


def by_branch(sizes):
    return {(one.tree, one.branch): one for one in sizes.branches}


@pytest.mark.parametrize(
    ("name", "everything"),
    [("nanoaod_cms_open_data_2012_singlemu.root", True), ("pythia_jets_18columns.root", False)],
)
def test_a_short_file_is_estimated_exactly(data, tmp_path, name, everything):
    sizes = file_sizes(data / name, BOUNDS, collection="*", all_numbers=everything)
    after, size = written(data / name, tmp_path / "small.root", collection="*", all_numbers=everything)
    assert sizes.whole.bytes == (data / name).stat().st_size
    assert sizes.whole.estimate == pytest.approx(size, abs=100)  # the history names another command
    assert sizes.sampled == sizes.events
    found = by_branch(after)
    assert {key: one.estimate for key, one in by_branch(sizes).items() if key in found} == {
        key: one.bytes for key, one in found.items()
    }


@pytest.mark.parametrize("collection", ["*", "Jet"])
def test_a_sample_is_within_three_percent_of_what_is_written(sample, tmp_path, collection):
    options = {"collection": collection, "step_size": 4000}
    sizes = file_sizes(sample, BOUNDS, **options)
    after, size = written(sample, tmp_path / "small.root", **options)
    assert sizes.sampled == 8000
    assert sizes.whole.estimate == pytest.approx(size, rel=0.03)
    after = {(one.tree, one.collection): one.bytes for one in after.collections}
    for one in sizes.collections:
        if one.bytes > 100_000:
            assert one.estimate == pytest.approx(after[one.tree, one.collection], rel=0.03)


@pytest.mark.root
@pytest.mark.parametrize(("name", "step"), [("pythia_jets_18columns.root", 8000), ("delphes.root", "100 MB")])
def test_with_root_other_branches_keep_their_bytes(data, tmp_path, monkeypatch, name, step):
    monkeypatch.setenv("HEPAE_ROOT", "on")
    sizes = file_sizes(data / name, BOUNDS, step_size=step)
    after, size = written(data / name, tmp_path / "small.root", step_size=step)
    records = 40_000 if sizes.sampled < sizes.events else 100  # ROOT compresses those of uproot
    assert sizes.whole.estimate == pytest.approx(size, abs=records + 0.01 * size)
    found = by_branch(after)
    kept = [one for key, one in by_branch(sizes).items() if one.estimate == one.bytes > 0]
    assert kept
    assert all(found[one.tree, one.branch].bytes == one.bytes for one in kept)


@pytest.mark.root
@pytest.mark.parametrize("step", [20, "100 MB"])
def test_with_root_other_branches_take_the_compression_asked_for(data, tmp_path, monkeypatch, step):
    monkeypatch.setenv("HEPAE_ROOT", "on")
    options = {"step_size": step, "compression": "lzma:9", "collection": "AntiKt4EMTopoJets"}
    sizes = file_sizes(data / "xaod_exot15.root", BOUNDS, **options)
    _, size = written(data / "xaod_exot15.root", tmp_path / "small.root", **options)
    assert sizes.whole.estimate == pytest.approx(size, rel=0.03)


def test_bytes_by_tree_collection_and_branch(sample):
    sizes = file_sizes(sample, BOUNDS)
    with uproot.open(sample) as file:
        expected = {branch.name: branch.compressed_bytes for branch in file["Events"].branches}
    assert {one.branch: one.bytes for one in sizes.branches} == expected
    groups = {one.collection: one for one in sizes.collections}
    assert {*groups} == {"Jet", "GenJet", "MET", "Events"}
    assert groups["Jet"].branches == 5  # with the counter
    assert groups["Jet"].bytes == sum(
        size for name, size in expected.items() if name == "nJet" or name.startswith("Jet_")
    )
    assert groups["Jet"].estimate < 0.5 * groups["Jet"].bytes
    assert [*groups] == sorted(groups, key=lambda name: -groups[name].bytes)
    total = sizes.rest.bytes + sum(one.bytes for one in sizes.branches)
    assert total == sizes.whole.bytes == sample.stat().st_size
    assert sizes.whole.estimate == sizes.rest.estimate + sum(one.estimate for one in sizes.branches)
    told = json.loads(json.dumps(sizes.to_json()))
    assert told["trees"]["Events"]["Jet"]["branches"]["Jet_pt"]["bytes"] == expected["Jet_pt"]


def test_each_counter_belongs_to_its_branch(make_tree):
    lists = ak.Array([[30.0, 20.0], []] * 50)
    columns = {f"Jet_{name}": lists for name in ("pt", "eta", "phi", "mass")}
    path = make_tree({**columns, "MET_pt": np.ones(100)}, counters={name: f"n{name}" for name in columns})
    groups = {one.collection: one.branches for one in file_sizes(path, Bounds()).collections}
    assert groups == {"Jet": 9, "MET": 1}  # and nJet, which the compressed file has


def test_branches_that_uproot_cannot_read_have_bytes(data):
    sizes = file_sizes(data / "delphes.root", Bounds())
    assert sizes.whole.estimate is None
    assert "no estimate" in sizes.note
    assert "--drop" in sizes.note
    assert sizes.rest.bytes < 0.05 * sizes.whole.bytes


def test_what_has_no_sizes(sample, codec, tmp_path):
    codec.save(tmp_path / "m.safetensors")
    with pytest.raises(ConfigError, match="is a model file: leave --sizes out"):
        file_sizes(tmp_path / "m.safetensors", Bounds())
    with pytest.raises(InputError, match="no collection 'Photon'"):
        file_sizes(sample, Bounds(), collection="Photon")
    with pytest.raises(ConfigError, match="no column 'ptt'"):
        file_sizes(sample, Bounds.parse({"ptt": "1%"}))
