"""Jets of compressed files inside coffea: lazily, with the schema's own methods."""

from __future__ import annotations

import fnmatch
import pickle
import re

import awkward as ak
import numpy as np
import pytest
import uproot
from coffea.nanoevents import BaseSchema, DelphesSchema, NanoAODSchema, NanoEventsFactory, PHYSLITESchema
from coffea.processor import IterativeExecutor, Runner

import hepae
from hepae import kinematics
from hepae.files.compressed import CompressedFile
from hepae.processors import CompressionProcessor, merge
from hepae.validation.residuals import residuals

# The files here lack the branches of most collections that jets of NanoAOD may refer to.
pytestmark = pytest.mark.filterwarnings("ignore:Missing cross-reference:RuntimeWarning")

BOUNDS = {"pt": 0.001, "eta": 1e-3, "phi": 1e-3, "mass": 0.01}


def events_of(path, schema, **options):
    return NanoEventsFactory.from_root({path: "Events"}, schemaclass=schema, **options).events()


def same(one, other):
    """Equal lists and values; what a branch's title says does not count."""
    return ak.array_equal(one, other, check_parameters=False)


def jets_of(events):
    return kinematics.momenta(
        {name: ak.values_astype(events.Jet[name], np.float64) for name in ("pt", "eta", "phi", "mass")}
    )


@pytest.fixture(scope="module")
def nanoaod(tmp_path_factory):
    """NanoAOD with electrons that refer to jets and jets that refer to generated ones; 4000 events of 0 to 5 jets."""
    random = np.random.default_rng(5)
    events = 4000
    jets, electrons = random.integers(0, 6, events), random.integers(0, 3, events)

    def jagged(values, counts):
        return ak.unflatten(values, counts)

    n, m = int(jets.sum()), int(electrons.sum())
    index = np.concatenate([random.integers(-1, count, k) for count, k in zip(jets, electrons, strict=True)])
    reference = np.concatenate([random.permutation(count) for count in jets])
    columns = {
        "pt": random.exponential(50, n) + 15,
        "eta": random.normal(0, 2, n),
        "phi": random.uniform(-np.pi, np.pi, n),
        "mass": random.exponential(8, n),
    }
    genuine = {name: values * random.normal(1, 0.01, n) for name, values in columns.items() if name != "phi"}
    arrays = {
        "run": np.ones(events, np.uint32),
        "luminosityBlock": np.ones(events, np.uint32),
        "event": np.arange(events, dtype=np.uint64),
        "genWeight": random.choice([-1.5, 1.5], events).astype(np.float32),
        "MET_pt": random.exponential(30, events).astype(np.float32),
        "MET_phi": random.uniform(-np.pi, np.pi, events).astype(np.float32),
        "Electron": ak.zip(
            {
                "pt": jagged(random.exponential(20, m).astype(np.float32), electrons),
                "eta": jagged(random.normal(0, 1, m).astype(np.float32), electrons),
                "phi": jagged(random.uniform(-3, 3, m).astype(np.float32), electrons),
                "mass": jagged(np.zeros(m, np.float32), electrons),
                "charge": jagged(random.choice([-1, 1], m).astype(np.int32), electrons),
                "jetIdx": jagged(index.astype(np.int32), electrons),
            }
        ),
        "Jet": ak.zip(
            {name: jagged(values.astype(np.float32), jets) for name, values in columns.items()}
            | {
                "genJetIdx": jagged(reference.astype(np.int32), jets),
                "tight": jagged(random.random(n) < 0.5, jets),
            }
        ),
        "GenPart": ak.zip({"pdgId": jagged(np.full(events, 21, np.int32), np.ones(events, int))}),
        "GenJet": ak.zip(
            {name: jagged(values.astype(np.float32), jets) for name, values in genuine.items()}
            | {"phi": jagged(columns["phi"].astype(np.float32), jets)}
        ),
    }
    path = tmp_path_factory.mktemp("nanoaod") / "nanoaod.root"
    with uproot.recreate(path) as file:
        file.mktree(
            "Events",
            {
                name: array.type.content if hasattr(array, "layout") else array.dtype
                for name, array in arrays.items()
            },
        )
        file["Events"].extend(arrays)
    return path


@pytest.fixture(scope="module")
def compressed(nanoaod, tmp_path_factory):
    """The same file with its jets in clusters of 500 events: a job's parts, merged."""
    folder = tmp_path_factory.mktemp("compressed")
    fileset = {"bounded": {"files": {str(nanoaod): "Events"}}}
    runner = Runner(IterativeExecutor(status=False), schema=BaseSchema, chunksize=500)
    manifest = runner(fileset, CompressionProcessor(hepae.BoundedCodec(), folder / "parts"))
    return merge(manifest, fileset, folder / "parts", folder)["bounded"]


@pytest.fixture(scope="module")
def latent(nanoaod, codec, tmp_path_factory):
    path = tmp_path_factory.mktemp("compressed") / "latent.root"
    hepae.compress_file(nanoaod, path, codec)
    return path


def within_bounds(original, restored):
    found = residuals(jets_of(original), jets_of(restored))
    assert found.jets == ak.count(original.Jet.pt)
    assert found["pt"].max_rel <= BOUNDS["pt"]
    assert found["eta"].max_abs <= BOUNDS["eta"]
    assert found["phi"].max_abs <= BOUNDS["phi"]
    small = abs(original.Jet.mass - restored.Jet.mass) > 0.01 * abs(original.Jet.mass) + 1e-3
    assert not ak.any(small)


def test_the_jets_are_the_originals_within_bounds(nanoaod, compressed):
    original, restored = (
        events_of(nanoaod, NanoAODSchema),
        hepae.restore(events_of(compressed, NanoAODSchema)),
    )
    assert {*restored.fields} == {*original.fields}
    assert restored.Jet.fields == original.Jet.fields
    within_bounds(original, restored)
    assert same(restored.Jet.tight, original.Jet.tight)  # beside the four-momentum, types and bits stay
    assert restored.Jet.pt.type.content.content == original.Jet.pt.type.content.content


def test_the_schemas_methods_and_cross_references_work(nanoaod, compressed):
    original, restored = (
        events_of(nanoaod, NanoAODSchema),
        hepae.restore(events_of(compressed, NanoAODSchema)),
    )
    assert type(restored.Jet) is type(original.Jet)
    assert same(restored.Jet.matched_gen.pt, original.Jet.matched_gen.pt)
    near = restored.Electron.matched_jet
    far = original.Electron.matched_jet
    assert same(ak.is_none(near, axis=1), ak.is_none(far, axis=1))
    assert ak.all(abs(near.pt - far.pt) <= 0.001 * far.pt)
    distances = [
        events.Electron.nearest(events.Jet, return_metric=True)[1] for events in (restored, original)
    ]
    assert ak.all(abs(distances[0] - distances[1]) < 0.01)
    dijets = ak.combinations(restored.Jet, 2, fields=["a", "b"])
    expected = ak.combinations(original.Jet, 2, fields=["a", "b"])
    assert ak.all(abs((dijets.a + dijets.b).mass / (expected.a + expected.b).mass - 1) < 0.05)


def test_selected_events_keep_their_references(nanoaod, compressed):
    original, restored = (
        events_of(nanoaod, NanoAODSchema),
        hepae.restore(events_of(compressed, NanoAODSchema)),
    )
    one = (ak.num(original.Jet) == 1) & (ak.num(original.Electron) > 0)
    assert same(restored[one].Jet.matched_gen.pt, original[one].Jet.matched_gen.pt)
    within_bounds(original[one], restored[one])


def damage(path, target, entry):
    """Copy a compressed file with one byte of the pt of one cluster changed."""
    data = bytearray(path.read_bytes())
    with uproot.open(path) as file:
        tree = file["hepae_payload"]
        names = [bytes(name) for name in tree["names"].array(library="np")]
        row = [i for i, name in enumerate(names) if name.startswith(b"Jet\0pt")][entry]
        blob = tree["blob"].array(library="np")[row]
    at = data.find(blob.tobytes())
    assert at > 0
    data[at + len(blob) // 2] ^= 1
    target.write_bytes(data)
    return target


def test_nothing_is_decoded_until_a_jet_is_touched_and_then_only_this_chunk(compressed, tmp_path):
    broken = damage(compressed, tmp_path / "broken.root", 2)  # events 1000 to 1500
    events = hepae.restore(events_of(broken, NanoAODSchema))
    assert len(events.MET.pt) == len(events[events.MET.pt > 0].Electron.pt)
    assert "Jet" in events.fields
    with pytest.raises(hepae.CodecError, match=r"Jet of events 1000 to 1500 of .* are damaged"):
        ak.sum(events.Jet.pt)
    for start, stop in ((0, 1000), (1500, 4000)):
        chunk = hepae.restore(events_of(broken, NanoAODSchema, entry_start=start, entry_stop=stop))
        assert ak.sum(chunk.Jet.pt) > 0


def test_one_column_is_decoded_without_the_others(compressed, tmp_path):
    """A damaged mass is noticed by who touches it, and by nobody else."""
    data = bytearray(compressed.read_bytes())
    with uproot.open(compressed) as file:
        tree = file["hepae_payload"]
        names = [bytes(name) for name in tree["names"].array(library="np")]
        row = next(i for i, name in enumerate(names) if name.startswith(b"Jet\0mass"))
        blob = tree["blob"].array(library="np")[row].tobytes()
    at = data.find(blob)
    assert at > 0
    data[at + len(blob) // 2] ^= 1
    (tmp_path / "broken.root").write_bytes(data)
    restored = hepae.restore(events_of(tmp_path / "broken.root", NanoAODSchema))
    whole = hepae.restore(events_of(compressed, NanoAODSchema))
    assert same(restored.Jet.pt, whole.Jet.pt)
    assert same(restored.Jet.phi, whole.Jet.phi)
    with pytest.raises(hepae.CodecError, match="checksum mismatch in column 'mass'"):
        ak.sum(restored.Jet.mass)


def test_a_file_that_was_replaced_is_not_mixed_up(compressed, latent, tmp_path):
    path = tmp_path / "file.root"
    path.write_bytes(compressed.read_bytes())
    events = hepae.restore(events_of(path, NanoAODSchema))
    assert ak.sum(ak.num(events.Jet)) > 0
    path.unlink()
    path.write_bytes(latent.read_bytes())
    with pytest.raises(hepae.InputError, match="was replaced after these events were opened"):
        ak.sum(events.Jet.pt)
    again = hepae.restore(events_of(path, NanoAODSchema))
    assert same(again.Jet.pt, hepae.restore(events_of(latent, NanoAODSchema)).Jet.pt)


def test_a_file_that_is_replaced_between_two_columns_is_not_mixed_up(compressed, tmp_path):
    """The second file is compressed alike, with the same UUID: only its time of writing differs."""
    path = tmp_path / "file.root"
    path.write_bytes(compressed.read_bytes())
    events = hepae.restore(events_of(path, NanoAODSchema))
    assert ak.sum(events.Jet.pt) > 0
    (tmp_path / "other.root").write_bytes(compressed.read_bytes())
    (tmp_path / "other.root").replace(path)
    with pytest.raises(hepae.InputError, match="was replaced after these events were opened"):
        ak.sum(events.Jet.mass)


def test_a_file_is_opened_once_for_all_columns(compressed, monkeypatch):
    """Reading the records of a file with a thousand branches takes longer than decoding a column."""
    events = hepae.restore(events_of(compressed, NanoAODSchema))
    opened = []
    monkeypatch.setattr(
        "hepae.processors.restoring.CompressedFile", lambda path: opened.append(path) or CompressedFile(path)
    )
    for column in ("pt", "eta", "phi", "mass"):
        ak.sum(events.Jet[column])
    assert len(opened) == 1


def test_chunks_are_the_file(compressed):
    whole = hepae.restore(events_of(compressed, NanoAODSchema))
    for start, stop in ((0, 1), (499, 501), (700, 3999), (4000, 4000)):
        part = hepae.restore(events_of(compressed, NanoAODSchema, entry_start=start, entry_stop=stop))
        for name in ("pt", "mass", "genJetIdx"):
            assert same(part.Jet[name], whole.Jet[name][start:stop])


def test_latents(nanoaod, latent):
    original, restored = events_of(nanoaod, NanoAODSchema), hepae.restore(events_of(latent, NanoAODSchema))
    assert restored.Jet.fields == original.Jet.fields
    with hepae.open(latent) as file:
        expected = file.jets()
    assert same(restored.Jet.pt, ak.values_astype(expected.pt, np.float32))
    assert same(restored.Jet.tight, original.Jet.tight)
    assert same(restored.Electron.matched_jet.matched_gen.pt, original.Electron.matched_jet.matched_gen.pt)


def test_the_base_schema_has_the_original_branches(nanoaod, compressed):
    original, restored = events_of(nanoaod, BaseSchema), hepae.restore(events_of(compressed, BaseSchema))
    assert restored.fields == original.fields
    assert same(restored["Jet_genJetIdx"], original["Jet_genJetIdx"])
    assert ak.all(abs(restored["Jet_pt"] - original["Jet_pt"]) <= 0.001 * original["Jet_pt"])


@pytest.mark.parametrize("others", [["weight"], []], ids=["beside others", "alone"])
@pytest.mark.parametrize("kind", ["bounded", "latent"])
def test_flat_jets(kind, others, codec, make_tree, tmp_path):
    random = np.random.default_rng(3)
    columns = {
        "jet_pt": random.exponential(50, 500) + 20,
        "jet_eta": random.normal(0, 1, 500),
        "jet_phi": random.uniform(-3, 3, 500),
        "jet_m": random.exponential(5, 500),
        **{name: random.random(500) for name in others},
    }
    path, small = make_tree(columns), tmp_path / "small.root"
    hepae.compress_file(path, small, codec if kind == "latent" else hepae.BoundedCodec())
    restored = hepae.restore(events_of(small, BaseSchema, entry_start=100, entry_stop=300))
    assert restored.fields == [*columns]
    assert all(same(restored[name], columns[name][100:300]) for name in others)
    with hepae.open(small) as file:
        assert same(restored.jet_pt, file.jets(100, 300).pt)


def test_files_that_are_not_compressed_come_as_they_are(nanoaod):
    events = events_of(nanoaod, NanoAODSchema)
    assert hepae.restore(events) is events


def test_restored_twice_is_restored_once(compressed):
    events = hepae.restore(events_of(compressed, NanoAODSchema))
    assert hepae.restore(events) is events


def test_selected_events_are_refused(compressed):
    with pytest.raises(hepae.InputError, match="before selecting events"):
        hepae.restore(events_of(compressed, NanoAODSchema)[:10])
    with pytest.raises(hepae.InputError, match="NanoEventsFactory"):
        hepae.restore(ak.Array([1, 2]))


def leading_pt(events):
    """Somebody's processor, which knows nothing of hepae."""
    return {"sum": float(ak.sum(events.Jet.pt[events.Jet.matched_gen.pt > 30])), "events": len(events)}


def test_a_schema_for_processors_that_cannot_be_touched(nanoaod, compressed):
    sums = {}
    for name, path in (("original", nanoaod), ("restored", compressed)):
        runner = Runner(IterativeExecutor(status=False), schema=hepae.restored(NanoAODSchema), chunksize=700)
        sums[name] = runner({"jets": {"files": {str(path): "Events"}}}, leading_pt)
    assert sums["original"]["events"] == sums["restored"]["events"] == 4000
    assert sums["restored"]["sum"] == pytest.approx(sums["original"]["sum"], rel=1e-4)


def test_a_restored_schema_says_when_it_does_not_know_the_file(compressed):
    with pytest.raises(hepae.ConfigError, match=r"use hepae\.restore"):
        events_of(compressed, hepae.restored(NanoAODSchema))


def test_a_restored_schema_travels_to_workers():
    schema = hepae.restored(NanoAODSchema)
    assert pickle.loads(pickle.dumps(schema)) is schema
    assert issubclass(schema, NanoAODSchema)


@pytest.mark.parametrize("name", ["nanoaod_tt_v12", "nanoaod_cms_open_data_2012_singlemu"])
def test_real_nanoaod(data, name, tmp_path):
    source, small = data / f"{name}.root", tmp_path / "small.root"
    kept = ["run", "luminosityBlock", "event", "*Jet*", "*Electron*", "*Muon*", "*Gen*", "*MET*"]
    part = {"entry_start": 20, "entry_stop": 80}
    with uproot.open(source) as file:
        kept = [pattern for pattern in kept if fnmatch.filter(file["Events"].keys(), pattern)]
    hepae.compress_file(source, small, hepae.BoundedCodec(), keep=kept, **part)
    with hepae.open(small) as file:
        stored = {branch.name for branch in file.original_branches}
        exact = [name for name in file.coded() if name not in BOUNDS]
    options = {"iteritems_options": {"filter_name": lambda name: name in stored}}
    original = events_of(source, NanoAODSchema, **options, **part)
    restored = hepae.restore(events_of(small, NanoAODSchema))
    assert {*restored.fields} == {*original.fields}
    assert restored.Jet.fields == original.Jet.fields
    within_bounds(original, restored)
    for column in exact:
        assert ak.array_equal(
            restored.Jet[column], original.Jet[column], equal_nan=True, check_parameters=False
        )
    pairs = (restored.Jet.metric_table(restored.Muon), original.Jet.metric_table(original.Muon))
    assert ak.all(abs(pairs[0] - pairs[1]) < 0.01)
    if "matched_gen" in dir(original.Jet) and "GenJet" in original.fields:
        assert same(restored.Jet.matched_gen.pt, original.Jet.matched_gen.pt)
        assert ak.all(abs(restored.Electron.matched_jet.pt / original.Electron.matched_jet.pt - 1) < 0.0011)


def test_real_physlite(data, tmp_path):
    """Its lists of links go into an RNTuple; all comes back under its own name, links into other collections too."""
    source, small = data / "physlite_ttbar.root", tmp_path / "small.root"
    kept = ["AnalysisJetsAuxDyn.*", "AnalysisElectronsAuxDyn.*", "GSFTrackParticlesAuxDyn.*"]
    part = {"entry_start": 10}  # the file's other trees go with its first entry
    chosen = {"keep": kept, "drop_unreadable": True, "storage": "rntuple"}
    hepae.compress_file(source, small, hepae.BoundedCodec(), **chosen, **part)
    names = ("AnalysisJetsAuxDyn", "AnalysisElectronsAuxDyn", "GSFTrackParticlesAuxDyn")
    options = {**part, "iteritems_options": {"filter_name": lambda name: name.startswith(names)}}
    original, restored = (
        NanoEventsFactory.from_root({path: "CollectionTree"}, schemaclass=PHYSLITESchema, **more).events()
        for path, more in ((source, options), (small, {}))
    )
    restored = hepae.restore(restored)
    assert {*restored.fields} == {*original.fields}
    assert {*restored.Jets.fields} == {*original.Jets.fields}
    assert type(restored.Jets) is type(original.Jets)
    assert ak.count(original.Jets.pt) > 100
    assert ak.all(abs(restored.Jets.pt - original.Jets.pt) <= 0.001 * original.Jets.pt)
    assert ak.all(abs(restored.Jets.eta - original.Jets.eta) <= 1e-3)
    assert ak.all(abs(restored.Jets.m - original.Jets.m) <= 0.01 * abs(original.Jets.m) + 1)  # MeV
    for column in ("Width", "Jvt", "ConeTruthLabelID", "_eventindex"):
        assert same(restored.Jets[column], original.Jets[column])
    close = restored.Electrons.nearest(restored.Jets).pt / original.Electrons.nearest(original.Jets).pt
    assert ak.all(abs(close - 1) < 0.0011)
    assert same(restored.Electrons.trackParticles.z0, original.Electrons.trackParticles.z0)
    dijets = [(events.Jets[:, :1] + events.Jets[:, 1:2]).mass for events in (restored, original)]
    assert ak.all(abs(dijets[0] / dijets[1] - 1) < 0.01)


def original_and_both(source, tree, folder, schema, wanted, **options):
    """Events of a file, of what is restored in coffea from the compressed one, and of the restored file; ROOT clones the rest."""
    small, back = folder / "small.root", folder / "back.root"
    hepae.compress_file(source, small, hepae.BoundedCodec(), **options)
    hepae.decompress_file(small, back)

    def read(path, schema):
        read_only = {"iteritems_options": {"filter_name": wanted}}
        return NanoEventsFactory.from_root({path: tree}, schemaclass=schema, **read_only).events()

    compressed = hepae.restore(read(small, BaseSchema), schema=schema, filter_name=wanted)
    return read(source, schema), compressed, read(back, schema)


@pytest.mark.root
@pytest.mark.long
def test_physlite_that_root_cloned(data, tmp_path, monkeypatch):
    monkeypatch.setenv("HEPAE_ROOT", "on")
    names = ("AnalysisJetsAuxDyn", "AnalysisElectronsAuxDyn", "GSFTrackParticlesAuxDyn")
    original, *others = original_and_both(
        data / "physlite_ttbar.root",
        "CollectionTree",
        tmp_path,
        PHYSLITESchema,
        lambda name: name.startswith(names),
    )
    for events in others:
        assert {*events.fields} == {*original.fields}
        assert {*events.Jets.fields} == {*original.Jets.fields}
        assert ak.all(abs(events.Jets.pt - original.Jets.pt) <= 0.001 * original.Jets.pt)
        for column in ("Width", "Jvt", "ConeTruthLabelID"):
            assert same(events.Jets[column], original.Jets[column])
        assert same(events.Electrons.trackParticles.z0, original.Electrons.trackParticles.z0)


@pytest.mark.root
def test_delphes_that_root_cloned(data, tmp_path, monkeypatch):
    """Its tracks have no mass, without which coffea reads none."""
    monkeypatch.setenv("HEPAE_ROOT", "on")
    names = ("Jet", "GenJet", "Event")
    original, *others = original_and_both(
        data / "delphes.root",
        "Delphes",
        tmp_path,
        DelphesSchema,
        lambda name: re.split(r"[./]|_size", name)[0] in names,
        collection=["Jet", "GenJet"],
    )
    for events in others:
        assert {*events.fields} == {*original.fields}
        assert {*events.Jet.fields} == {*original.Jet.fields}
        for name in ("Jet", "GenJet"):
            assert ak.count(original[name].pt) > 10
            assert ak.all(abs(events[name].pt - original[name].pt) <= 0.001 * original[name].pt)
            assert ak.all(abs(events[name].mass - original[name].mass) <= 0.01 * original[name].mass + 1e-3)
            assert same(events[name].NCharged, original[name].NCharged)
        assert ak.all(abs(events.Jet.p / original.Jet.p - 1) < 0.01)
