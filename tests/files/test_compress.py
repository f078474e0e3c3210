from __future__ import annotations

import itertools

import awkward as ak
import numpy as np
import pytest
import uproot

import hepae
from hepae.errors import CodecError, ConfigError, InputError, OutputError
from hepae.io.layouts import Branch
from hepae.io.readers import open_source
from hepae.io.writers import open_writer

pytestmark = pytest.mark.filterwarnings("ignore::hepae.errors.UnitWarning")
"""The unit of most files here is told by their values, which test_inputs.py is about."""


def _arrays(path, tree="Events"):
    with uproot.open(path) as file:
        return file[tree].arrays(how=dict), file[tree].typenames()


def _same_bits(first, second):
    first, second = (ak.to_numpy(ak.flatten(ak.Array(a), axis=None)) for a in (first, second))
    return first.dtype == second.dtype and first.tobytes() == second.tobytes()


@pytest.fixture
def compressed(sample, codec, tmp_path):
    path = tmp_path / "small.root"
    hepae.compress_file(sample, path, codec)
    return path


def test_every_other_branch_passes_through_untouched(sample, codec, compressed):
    original, types = _arrays(sample)
    small, small_types = _arrays(compressed)
    coded = ["Jet_pt", "Jet_eta", "Jet_phi", "Jet_mass"]
    assert [n for n in small if n not in ("Jet_z0", "Jet_z1", "Jet_z2")] == [
        n for n in original if n not in coded
    ]
    for name in small.keys() & original.keys():
        assert _same_bits(small[name], original[name])
        assert small_types[name] == types[name]
    latents = codec.latents(hepae.read_jets(sample))
    for name in ("z0", "z1", "z2"):
        assert small_types[f"Jet_{name}"] == "float[]"
        assert ak.all(ak.num(small[f"Jet_{name}"]) == original["nJet"])
        np.testing.assert_allclose(
            ak.flatten(small[f"Jet_{name}"]), ak.flatten(latents[name]), rtol=1e-4, atol=1e-5
        )


def test_the_restored_file_has_the_originals_branches(sample, codec, compressed, tmp_path):
    back = tmp_path / "back.root"
    summary = hepae.decompress_file(compressed, back)
    original, types = _arrays(sample)
    restored, restored_types = _arrays(back)
    assert list(restored) == list(original)
    assert restored_types == types
    for name in original:
        if not name.startswith("Jet_"):
            assert _same_bits(restored[name], original[name])
    assert ak.all(ak.num(restored["Jet_pt"]) == ak.num(original["Jet_pt"]))
    expected = codec.decompress(codec.compress(hepae.read_jets(sample)))
    np.testing.assert_allclose(ak.flatten(restored["Jet_pt"]), ak.flatten(expected.pt), rtol=1e-3)
    assert summary.events == 20_000
    assert summary.jets == ak.sum(original["nJet"])
    with hepae.open(compressed) as file:
        assert ak.all(file.jets().pt == restored["Jet_pt"])


@pytest.mark.parametrize("step", [1777, 5000, "300 kB"])
def test_steps_of_any_size_give_the_same_file(sample, codec, compressed, tmp_path, step):
    path, back = tmp_path / "steps.root", tmp_path / "back.root"
    summary = hepae.compress_file(sample, path, codec, step_size=step)
    assert summary.events == 20_000
    whole, parts = _arrays(compressed)[0], _arrays(path)[0]
    for name, array in whole.items():
        np.testing.assert_allclose(
            *(ak.flatten(a, axis=None) for a in (parts[name], array)), rtol=1e-3, atol=1e-4
        )
    hepae.decompress_file(path, back, step_size=step)
    assert ak.all(_arrays(back)[0]["event"] == whole["event"])


def test_entries_of_a_compressed_file(compressed):
    with hepae.open(compressed) as file:
        whole = file.jets()
        assert file.num_entries == len(whole) == 20_000
        np.testing.assert_allclose(
            ak.flatten(file.jets(1000, 1100).pt), ak.flatten(whole.pt[1000:1100]), rtol=1e-4
        )
        assert len(file.jets(19_990, 10**9)) == 10
        assert len(file.jets(5, 5)) == 0
        chunks = list(file.iterate_jets(step_size=7000))
        assert [len(chunk) for chunk in chunks] == [7000, 7000, 6000]
        assert file.header.codec == "latent"
        assert file.header.jets == int(ak.sum(ak.num(whole)))


def test_the_real_dijets(data, codec, tmp_path):
    original, small, back = data / "pythia_dijets.root", tmp_path / "small.root", tmp_path / "back.root"
    hepae.compress_file(original, small, codec)
    hepae.decompress_file(small, back)
    before, types = _arrays(original)
    after, after_types = _arrays(back)
    assert types == after_types
    assert list(before) == list(after)
    for name in before:
        if not name.startswith("Jet_"):
            assert _same_bits(before[name], after[name])
    assert ak.all(ak.num(before["Jet_eta"]) == ak.num(after["Jet_eta"]))


@pytest.mark.parametrize("name", ["nanoaod_cms_open_data_2012_singlemu.root", "nanoaod_tt_v12.root"])
def test_hundreds_of_branches_of_real_nanoaod(data, codec, tmp_path, name):
    small, back = tmp_path / "small.root", tmp_path / "back.root"
    hepae.compress_file(data / name, small, codec)
    hepae.decompress_file(small, back)
    before, after = _arrays(data / name)[0], _arrays(back)[0]
    assert before.keys() <= after.keys()
    for branch, array in before.items():
        if branch in ("Jet_pt", "Jet_eta", "Jet_phi", "Jet_mass"):
            assert ak.all(ak.num(array) == ak.num(after[branch]))
        elif branch.startswith("n") and array.ndim == 1 and ak.to_numpy(array).dtype == np.uint32:
            assert ak.all(array == after[branch])  # counters come back as int32
        else:
            assert _same_bits(array, after[branch]), branch


def test_trigger_jets_keep_their_own_flat_columns(data, codec, tmp_path):
    original, small, back = (
        data / "all_jets_test_4D_100_percent.pkl",
        tmp_path / "small.root",
        tmp_path / "back.root",
    )
    summary = hepae.compress_file(original, small, codec.with_latent_bits(12))
    assert any("MeV" in note for note in summary.notes)
    assert list(_arrays(small, "jets")[0]) == ["z0", "z1", "z2"]
    hepae.decompress_file(small, back)
    restored, types = _arrays(back, "jets")
    assert list(restored) == ["m", "pt", "phi", "eta"]
    assert set(types.values()) == {"double"}
    with hepae.open(small) as file:
        np.testing.assert_allclose(file.jets().pt * 1000, restored["pt"], rtol=1e-12)


def test_a_file_of_energies_gets_energies_back(make_tree, codec, tmp_path):
    arrays = {"pt": [50.0, 60], "eta": [0.5, -1.0], "phi": [3.0, 0.0], "E": [80.0, 150.0]}
    small, back = tmp_path / "small.root", tmp_path / "back.root"
    hepae.compress_file(make_tree({n: np.array(v, np.float32) for n, v in arrays.items()}), small, codec)
    hepae.decompress_file(small, back)
    restored, types = _arrays(back)
    assert list(restored) == ["pt", "eta", "phi", "E"]
    assert types["E"] == "float"
    with hepae.open(small) as file:
        np.testing.assert_allclose(restored["E"], file.jets().E, rtol=1e-6)


def _tree(make_tree, counts, name="jets.root", dtype=np.float32):
    jets = int(np.sum(counts))
    values = {
        "pt": np.linspace(20, 200, jets),
        "eta": np.zeros(jets),
        "phi": np.ones(jets),
        "mass": np.full(jets, 9.0),
    }
    jagged = {
        f"Jet_{n}": ak.unflatten(v.astype(dtype), np.array(counts, np.int64)) for n, v in values.items()
    }
    event = {"event": np.arange(len(counts))}
    return make_tree({**event, **jagged}, name=name, counters=dict.fromkeys(jagged, "nJet"))


@pytest.mark.parametrize("counts", [[0, 0, 0], [1], [1000, 0, 1], [3] * 50])
def test_events_with_any_number_of_jets(make_tree, codec, tmp_path, counts):
    path, small, back = _tree(make_tree, counts), tmp_path / "small.root", tmp_path / "back.root"
    assert hepae.compress_file(path, small, codec).jets == sum(counts)
    hepae.decompress_file(small, back)
    restored = _arrays(back)[0]
    assert ak.num(restored["Jet_pt"]).tolist() == counts
    assert restored["nJet"].tolist() == counts
    assert restored["event"].tolist() == list(range(len(counts)))


def test_a_tree_without_events(make_tree, codec, tmp_path):
    path, small, back = (
        _tree(make_tree, [], dtype=np.float64),
        tmp_path / "small.root",
        tmp_path / "back.root",
    )
    assert hepae.compress_file(path, small, codec).events == 0
    hepae.decompress_file(small, back)
    assert len(_arrays(back)[0]["Jet_pt"]) == 0


def test_several_inputs_are_joined_in_order(make_tree, codec, tmp_path):
    first, second = _tree(make_tree, [2, 1], "a.root"), _tree(make_tree, [0, 3, 1], "b.root")
    hepae.compress_file([first, second], tmp_path / "small.root", codec)
    assert _arrays(tmp_path / "small.root")[0]["nJet"].tolist() == [2, 1, 0, 3, 1]
    other = _tree(make_tree, [1], "c.root", dtype=np.float64)
    with pytest.raises(InputError, match="cannot be joined: branch 'Jet_"):
        hepae.compress_file([first, other], tmp_path / "other.root", codec)


def test_ranges_of_entries_add_up_to_the_whole(sample, tmp_path):
    inputs, codec = [sample, sample], hepae.BoundedCodec()
    whole = hepae.compress_file(inputs, tmp_path / "whole.root", codec)
    parts, edges = [], [0, 12_345, 23_456, 40_000]
    for start, stop in itertools.pairwise(edges):
        path = tmp_path / f"{start}.root"
        parts.append(hepae.compress_file(inputs, path, codec, entry_start=start, entry_stop=stop))
        with hepae.open(path) as part, hepae.open(tmp_path / "whole.root") as file:
            assert part.num_entries == stop - start
            assert ak.all(abs(part.jets().pt / file.jets(start, stop).pt - 1) < 0.0021)
    for name in ("events", "jets", "file_before", "coded_before"):
        assert sum(getattr(part, name) for part in parts) == getattr(whole, name)


def _with_runs(path, events, runs):
    """Write a file of so many events, with another tree that has these runs."""
    columns = {name: np.full(events, 50.0) for name in ("pt", "eta", "phi", "m")}
    with uproot.recreate(path) as file:
        tree = file.mktree("Events", dict.fromkeys(columns, "float64"))
        if events:
            tree.extend(columns)
        file.mktree("Runs", {"run": "int64", "weight": "float64"}).extend(
            {"run": np.array(runs), "weight": np.ones(len(runs))}
        )
    return path


@pytest.mark.parametrize("storage", ["ttree", "rntuple"])
def test_other_trees_come_with_the_first_entry_of_their_file(tmp_path, storage):
    counts = [("a.root", 10), ("b.root", 0), ("c.root", 7), ("d.root", 0)]
    paths = [_with_runs(tmp_path / name, events, [i, i]) for i, (name, events) in enumerate(counts)]

    def runs(start, stop):
        output = tmp_path / "out.root"
        hepae.compress_file(
            paths,
            output,
            hepae.BoundedCodec(),
            tree="Events",
            unit="GeV",
            entry_start=start,
            entry_stop=stop,
            storage=storage,
            force=True,
        )
        with uproot.open(output) as file:
            return file["Runs"]["run"].array().tolist() if "Runs" in file else []

    assert runs(0, None) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert runs(0, 10) == [0, 0]
    assert runs(0, 4) + runs(4, 10) + runs(10, 12) + runs(12, 17) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert runs(0, 0) == [0, 0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"keep": ["MTE_*"]}, "--keep 'MTE_.*MET_pt"),
        ({"drop": ["genWieght"]}, "--drop 'genWieght' .*genWeight"),
        ({"drop": ["MET_*", "Nothing/*"]}, r"--drop 'Nothing/\*'"),
        ({"collection": ["Jte*"]}, "--collection 'Jte.*Jet"),
    ],
)
def test_patterns_that_match_nothing_are_refused(sample, tmp_path, options, words):
    with pytest.raises(ConfigError, match=words):
        hepae.compress_file(sample, tmp_path / "out.root", hepae.BoundedCodec(), **options)
    assert [*tmp_path.iterdir()] == []


def test_patterns_of_other_trees(tmp_path):
    path, output = _with_runs(tmp_path / "jets.root", 10, [1]), tmp_path / "out.root"
    options = {"tree": "Events", "unit": "GeV", "force": True}
    for wrong in ("Runs/wieght", "Rnus/*"):
        with pytest.raises(ConfigError, match=r"nearest names? (is|are) .*Runs/"):
            hepae.compress_file(path, output, hepae.BoundedCodec(), drop=[wrong], **options)
    notes = {
        "Runs/weight": ("1 branch was left out (--keep, --drop)",),
        "Runs/*": ("left out with all branches (--keep, --drop): Runs",),
    }
    for pattern, expected in notes.items():
        summary = hepae.compress_file(path, output, hepae.BoundedCodec(), drop=[pattern], **options)
        assert summary.notes == expected


def test_branches_are_kept_and_dropped_by_pattern(sample, codec, tmp_path):
    hepae.compress_file(sample, tmp_path / "a.root", codec, drop=["GenJet_*", "nGenJet", "MET_*"])
    summary = hepae.compress_file(sample, tmp_path / "b.root", codec, keep=["event"])
    latents = {"nJet", "Jet_z0", "Jet_z1", "Jet_z2"}
    assert {*_arrays(tmp_path / "a.root")[0]} == {*latents, "run", "luminosityBlock", "event", "genWeight"}
    assert {*_arrays(tmp_path / "b.root")[0]} == {*latents, "event"}
    with hepae.open(tmp_path / "b.root") as file:
        assert "MET_pt" in file.header.left_out
        assert summary.notes == (f"{len(file.header.left_out)} branches were left out (--keep, --drop)",)


def test_lists_of_strings_are_named_and_can_be_dropped(codec, tmp_path):
    path = tmp_path / "strings.root"
    columns = {name: np.ones(2) for name in ("pt", "eta", "phi", "m")}
    with uproot.recreate(path) as file:
        file.mkrntuple("Events", {**columns, "label": ak.Array([["a"], ["b", "c"]])})
    with pytest.raises(OutputError, match=r"hepae\[root\].*--format rntuple.*--drop 'label'"):
        hepae.compress_file(path, tmp_path / "small.root", codec, storage="ttree")
    assert not (tmp_path / "small.root").exists()
    hepae.compress_file(path, tmp_path / "small.root", codec, storage="ttree", drop=["label"])


def test_an_rntuple_stays_an_rntuple(codec, tmp_path):
    path, small, back = (tmp_path / f"{name}.root" for name in ("original", "small", "back"))
    columns = {name: np.ones(2) for name in ("pt", "eta", "phi", "m")}
    with uproot.recreate(path) as file:
        file.mkrntuple("Events", {**columns, "label": ak.Array([["a"], ["b", "c"]])})
        file.mktree("Runs", {"run": "int32"}).extend({"run": np.array([7], np.int32)})
    hepae.compress_file(path, small, codec, tree="Events")
    hepae.decompress_file(small, back)
    for copy in (small, back):
        with uproot.open(copy) as file:
            assert file.classnames(cycle=False)["Events"] == "ROOT::RNTuple"
            assert file.classnames(cycle=False)["Runs"] == "TTree"
            assert file["Events"]["label"].array().tolist() == [["a"], ["b", "c"]]


def test_titles_and_the_type_of_counters_come_back(tmp_path):
    path, small, back = (tmp_path / f"{name}.root" for name in ("original", "small", "back"))
    lists = ak.values_astype(ak.Array([[1.5], [], [2.5, 3.5]]), np.float32)
    branches = [
        Branch("nJet", np.dtype("u4"), title="number of jets"),
        Branch("MET_pt", np.dtype("f4"), title="MET"),
    ]
    branches += [
        Branch(f"Jet_{name}", np.dtype("f4"), True, "nJet", title=f"{name} of jets")
        for name in ("pt", "eta", "phi", "mass")
    ]
    values = {b.name: lists if b.jagged else np.array([1, 0, 2], b.dtype) for b in branches}
    with uproot.recreate(path) as file:
        writer = open_writer(file, "Events", branches, title="what happened")
        writer.extend(values)
        writer.close()
    hepae.compress_file(path, small, hepae.BoundedCodec())
    hepae.decompress_file(small, back)
    with uproot.open(back) as file:
        tree = file["Events"]
        assert tree.title == "what happened"
        assert {b.name: b.title for b in tree.branches} == {b.name: b.title for b in branches}
        assert tree["nJet"].typename == "uint32_t"
        assert tree["nJet"].array().tolist() == [1, 0, 2]


def test_numbers_of_the_event_are_coded_where_asked(tmp_path):
    path, small, back = (tmp_path / f"{name}.root" for name in ("original", "small", "back"))
    rng = np.random.default_rng(3)
    counts = rng.integers(0, 4, 500)
    lists = {
        f"Jet_{name}": ak.unflatten(rng.uniform(1, 2, counts.sum()).astype(np.float32), counts)
        for name in ("pt", "eta", "phi", "mass")
    }
    weights = ak.unflatten(rng.uniform(0, 1, 1500).astype(np.float32), [3] * 500)
    plain = {
        "run": np.full(500, 7, np.uint32),
        "luminosityBlock": np.ones(500, np.uint32),
        "event": rng.integers(0, 2**60, 500),
        "MET_pt": rng.exponential(40, 500).astype(np.float32),
        "MET_phi": rng.uniform(-3, 3, 500).astype(np.float32),
        "HLT_IsoMu24": rng.integers(0, 2, 500).astype(bool),
        "nPV": rng.integers(0, 60, 500).astype(np.int32),
    }
    with uproot.recreate(path) as file:
        types = {name: values.dtype for name, values in plain.items()}
        types |= dict.fromkeys([*lists, "LHEWeight"], "var * float32")
        tree = file.mktree(
            "Events", types, counter_name=lambda name: "nJet" if name.startswith("Jet") else f"n{name}"
        )
        tree.extend({**plain, **lists, "LHEWeight": weights})
    summary = hepae.compress_file(path, small, hepae.BoundedCodec({"MET_pt": "0.1%"}), all_numbers=True)
    assert summary.by_collection.keys() == {"Jet", "Events", "LHEWeight"}
    with uproot.open(small) as file:
        assert {*file["Events"].keys()} == {"run", "luminosityBlock", "event", "nJet", "nLHEWeight"}
    hepae.decompress_file(small, back)
    with uproot.open(path) as one, uproot.open(back) as other:
        assert one["Events"].keys() == other["Events"].keys()
        for name in (*plain, "LHEWeight"):
            before, after = one["Events"][name].array(), other["Events"][name].array()
            assert before.type == after.type
            if name == "MET_pt":
                assert ak.all(abs(after - before) <= 1e-3 * before)
                assert ak.any(after != before)
            else:
                assert ak.all(before == after)


def test_a_model_of_other_columns_names_both(sample, data, tmp_path):
    config = hepae.TrainingConfig(
        columns=("pt", "eta", "phi", "mass", "charge"), epochs=1, network=hepae.AutoencoderConfig(hidden=(8,))
    )
    other = hepae.train(hepae.read_jets(data / "pythia_jets_18columns.root"), config).codec
    with pytest.raises(CodecError, match=r"charge.*only pt, eta, phi, mass"):
        hepae.compress_file(sample, tmp_path / "x.root", other)
    assert list(tmp_path.iterdir()) == []


def test_output_is_never_the_input_nor_overwritten(sample, compressed, codec):
    before = compressed.read_bytes()
    with pytest.raises(OutputError, match="--force"):
        hepae.compress_file(sample, compressed, codec)
    with pytest.raises(OutputError, match="input"):
        hepae.decompress_file(compressed, compressed, force=True)
    assert compressed.read_bytes() == before
    hepae.compress_file(sample, compressed, codec, force=True)


def test_compressed_files_are_told_from_others(sample, compressed, tmp_path):
    with pytest.raises(InputError, match="not a compressed file"):
        hepae.decompress_file(sample, tmp_path / "x.root")
    with pytest.raises(InputError, match="hepae decompress"):
        hepae.read_jets(compressed)


def test_damage_is_noticed(compressed, tmp_path):
    whole = compressed.read_bytes()
    damaged = tmp_path / "damaged.root"
    for share in (0.3, 0.9):
        damaged.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(InputError):
            hepae.decompress_file(damaged, tmp_path / "x.root")
    with uproot.open(compressed) as file:
        basket = file["Events"]["Jet_z0"].basket_key(0)
        middle = basket.data_cursor.index + 2000
    damaged.write_bytes(whole[:middle] + bytes(64) + whole[middle + 64 :])
    with pytest.raises(InputError) as error:
        hepae.decompress_file(damaged, tmp_path / "x.root")
    assert "\n" not in str(error.value)
    assert {path.name for path in tmp_path.iterdir()} == {"small.root", "damaged.root"}


def test_replaced_values_are_counted(make_tree, codec, tmp_path):
    arrays = {"pt": [50.0, 60, 70], "eta": [0.0, 1, 2], "phi": [0.0, 1, 2], "m": [5.0, 0.0, -0.01]}
    summary = hepae.compress_file(
        make_tree({n: np.array(v) for n, v in arrays.items()}), tmp_path / "x.root", codec
    )
    assert summary.replaced == {"mass": 2}


def test_the_unit_of_the_file_comes_back(make_tree, codec, tmp_path):
    arrays = {"pt": [5e4, 6e4], "eta": [0.0, 1], "phi": [0.0, 1], "m": [5e3, 6e3]}
    small, back = tmp_path / "small.root", tmp_path / "back.root"
    hepae.compress_file(make_tree({n: np.array(v) for n, v in arrays.items()}), small, codec)
    hepae.decompress_file(small, back)
    with hepae.open(small) as file, open_source(back, unit="MeV") as source:
        np.testing.assert_allclose(file.jets().pt * 1000, source.arrays(["pt"], 0, 2)["pt"], rtol=1e-12)


@pytest.fixture
def within(sample, tmp_path):
    """The sample, compressed within the default bounds."""
    path = tmp_path / "bounded.root"
    hepae.compress_file(sample, path, hepae.BoundedCodec(edges={"pt": "30"}))
    return path


def test_a_bounded_file_holds_its_bounds_and_passes_everything_else_through(sample, within, tmp_path):
    back = tmp_path / "back.root"
    hepae.decompress_file(within, back)
    original, types = _arrays(sample)
    restored, restored_types = _arrays(back)
    assert list(restored) == list(original)
    assert restored_types == types
    for name in original:
        if not name.startswith("Jet_"):
            assert _same_bits(restored[name], original[name])
    pt, found = (ak.to_numpy(ak.flatten(a["Jet_pt"])).astype(float) for a in (original, restored))
    assert np.all(np.abs(found - pt) <= 0.001 * pt)
    assert np.array_equal(found > 30, pt > 30)
    small, _ = _arrays(within)
    assert not {"Jet_pt", "Jet_eta", "Jet_phi", "Jet_mass"} & small.keys()
    assert _same_bits(small["nJet"], original["nJet"])
    assert within.stat().st_size < 0.85 * sample.stat().st_size
    with hepae.open(within) as file:
        assert file.header.collections["Jet"].bounds.to_config()["bounds"] == {
            "pt": "0.1%",
            "eta": "0.001",
            "phi": "0.001",
            "mass": "1%+1MeV",
        }
        assert file.header.collections["Jet"].bounds.to_config()["edges"] == {"pt": [30.0]}
        assert ak.all(file.jets().pt == restored["Jet_pt"])
        assert ak.all(file.jets(777, 1234).mass == restored["Jet_mass"][777:1234])


@pytest.mark.parametrize("step", [1500, "200 kB"])
def test_reading_in_any_steps_gives_the_same_bits(sample, monkeypatch, tmp_path, step):
    monkeypatch.setattr("hepae.bounded.cluster.CLUSTER_JETS", 7000)
    path = tmp_path / "bounded.root"
    hepae.compress_file(sample, path, hepae.BoundedCodec(), step_size=1000)
    hepae.decompress_file(path, tmp_path / "whole.root")
    hepae.decompress_file(path, tmp_path / "steps.root", step_size=step)
    whole, parts = _arrays(tmp_path / "whole.root")[0], _arrays(tmp_path / "steps.root")[0]
    with uproot.open(path) as file:
        assert file["hepae_payload"].num_entries > 5
    for name, array in whole.items():
        assert _same_bits(array, parts[name])


def test_a_damaged_cluster_names_its_events_and_leaves_the_others_readable(sample, monkeypatch, tmp_path):
    monkeypatch.setattr("hepae.bounded.cluster.CLUSTER_JETS", 10_000)
    path, damaged = tmp_path / "bounded.root", tmp_path / "damaged.root"
    hepae.compress_file(sample, path, hepae.BoundedCodec(), step_size=1000)
    with uproot.open(path) as file:
        tree = file["hepae_payload"]
        names = [bytes(name) for name in tree["names"].array(library="np")]
        rows = [i for i, name in enumerate(names) if name.startswith(b"Jet\0pt")]
        ends = np.cumsum(tree["events"].array(library="np")[rows])
        blob = tree["blob"]
        row = blob.array(library="np")[rows[2]].tobytes()
    whole = path.read_bytes()
    middle = whole.find(row) + len(row) // 2
    assert middle > len(row)
    damaged.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    with hepae.open(damaged) as file, hepae.open(path) as intact:
        with pytest.raises(CodecError, match=f"events {ends[1]} to {ends[2]} of .* are damaged"):
            file.jets()
        assert ak.all(file.jets(0, int(ends[1])).pt == intact.jets(0, int(ends[1])).pt)
        assert ak.all(file.jets(int(ends[2]), 20_000).pt == intact.jets(int(ends[2]), 20_000).pt)


@pytest.mark.parametrize("counts", [[0, 0, 0], [1], [1000, 0, 1], [], [3] * 50])
def test_bounded_events_with_any_number_of_jets(make_tree, tmp_path, counts):
    path, small, back = _tree(make_tree, counts), tmp_path / "small.root", tmp_path / "back.root"
    assert hepae.compress_file(path, small, hepae.BoundedCodec()).jets == sum(counts)
    hepae.decompress_file(small, back)
    restored = _arrays(back)[0]
    assert ak.num(restored["Jet_pt"]).tolist() == counts
    np.testing.assert_allclose(ak.flatten(restored["Jet_mass"]), 9.0, atol=0.0911)


def test_a_table_of_nothing_but_jets(data, tmp_path):
    original, small, back = (
        data / "all_jets_test_4D_100_percent.pkl",
        tmp_path / "small.root",
        tmp_path / "back.root",
    )
    summary = hepae.compress_file(original, small, hepae.BoundedCodec())
    assert summary.coded_after < 5.2 * summary.jets
    hepae.decompress_file(small, back)
    restored, types = _arrays(back, "jets")
    assert list(restored) == ["m", "pt", "phi", "eta"]
    assert set(types.values()) == {"double"}
    before = hepae.read_jets(original)
    assert np.all(np.abs(restored["pt"] / 1000 / before.pt - 1) <= 0.001 * (1 + 1e-12))
    assert np.all(np.abs(restored["m"] / 1000 - before.mass) <= 0.01 * np.abs(before.mass) + 0.001 + 1e-12)


@pytest.mark.parametrize("name", ["nanoaod_cms_open_data_2015_ttbar.root", "nanoaod_tt_v12.root"])
def test_every_column_of_real_nanoaod_is_exact_or_within_its_bound(data, tmp_path, name):
    small, back = tmp_path / "small.root", tmp_path / "back.root"
    hepae.compress_file(data / name, small, hepae.BoundedCodec())
    hepae.decompress_file(small, back)
    before, after = _arrays(data / name)[0], _arrays(back)[0]
    for branch, array in before.items():
        if branch in ("Jet_pt", "Jet_eta", "Jet_phi", "Jet_mass"):
            limit = {"pt": 1e-3 * np.abs(array), "mass": 0.01 * np.abs(array) + 1e-3}.get(branch[4:], 1e-3)
            assert ak.all(np.abs(ak.values_astype(after[branch], float) - array) <= limit)
        elif branch.startswith("Jet_"):
            assert _same_bits(array, after[branch]), branch


def test_bounds_and_edges_on_columns_that_are_not_there(sample, tmp_path):
    for codec in (hepae.BoundedCodec({"nope": 1}), hepae.BoundedCodec(edges={"nope": "1"})):
        with pytest.raises(hepae.ConfigError, match="there are pt, eta, phi, mass"):
            hepae.compress_file(sample, tmp_path / "x.root", codec)
    assert list(tmp_path.iterdir()) == []


def test_bounds_are_in_gev_whatever_the_files_unit(make_tree, tmp_path):
    values = np.linspace(2e4, 5e5, 2000)
    arrays = {"pt": values, "eta": values * 1e-6, "phi": values * 1e-6, "m": values / 10}
    path = make_tree(arrays)
    hepae.compress_file(path, tmp_path / "small.root", hepae.BoundedCodec({"m": "5MeV"}, {"pt": "100.5"}))
    hepae.decompress_file(tmp_path / "small.root", tmp_path / "back.root")
    restored = _arrays(tmp_path / "back.root")[0]
    error = np.abs(ak.to_numpy(restored["m"]) - values / 10)
    assert 3 < error.max() <= 5
    assert np.array_equal(ak.to_numpy(restored["pt"]) > 100_500, values > 100_500)


def test_a_file_of_energies_keeps_the_bounds_of_the_mass(make_tree, tmp_path):
    rng = np.random.default_rng(1)
    n = 5000
    pt, eta, mass = rng.exponential(50, n) + 20, rng.normal(0, 2, n), rng.exponential(10, n)
    arrays = {"pt": pt, "eta": eta, "phi": rng.uniform(-3, 3, n), "E": np.hypot(pt * np.cosh(eta), mass)}
    path = make_tree({name: np.array(values, np.float32) for name, values in arrays.items()})
    summary = hepae.compress_file(path, tmp_path / "small.root", hepae.BoundedCodec())
    assert summary.bounds == {"pt": "0.1%", "eta": "0.001", "phi": "0.001", "mass": "1%+1MeV"}
    assert summary.coded_after / n < 7
    original = hepae.read_jets(path)
    with hepae.open(tmp_path / "small.root") as file:
        restored = file.jets()
    assert not np.array_equal(restored.E, original.E)
    assert np.all(np.abs(restored.pt / original.pt - 1) <= 1e-3)
    assert np.all(np.abs(restored.mass - original.mass) <= 0.01 * np.abs(original.mass) + 0.001)
    asked = hepae.BoundedCodec({"E": "0.1%"})  # by name: the column itself
    assert "mass" not in hepae.compress_file(path, tmp_path / "asked.root", asked).bounds
    hepae.decompress_file(tmp_path / "asked.root", tmp_path / "back.root")
    again = _arrays(tmp_path / "back.root")[0]["E"]
    assert 5e-4 < np.max(np.abs(again / arrays["E"] - 1)) <= 1.001e-3


def _two_collections(make_tree, events=3000):
    rng = np.random.default_rng(2)
    arrays, counters = {"run": np.arange(events)}, {}
    for name in ("Jet", "Muon"):
        counts = rng.integers(0, 4, events)
        size = int(counts.sum())
        columns = {
            "pt": rng.exponential(50, size) + 20,
            "eta": rng.normal(0, 1, size),
            "phi": rng.uniform(-3, 3, size),
            "mass": rng.exponential(9, size),
            "q": rng.normal(0, 1, size),
        }
        for column, values in columns.items():
            arrays[f"{name}_{column}"] = ak.unflatten(values.astype(np.float32), counts)
            counters[f"{name}_{column}"] = f"n{name}"
    return make_tree(arrays, counters=counters)


def test_several_collections_in_one_run(make_tree, tmp_path):
    path = _two_collections(make_tree)
    codec = hepae.BoundedCodec({"Muon.pt": "0.01%", "q": 0.1}, {"Jet.pt": "30"})
    summary = hepae.compress_file(path, tmp_path / "s.root", codec, collection=["Jet", "M*"], step_size=700)
    assert summary.collections == ("Jet", "Muon")
    assert summary.bounds["Muon.pt"] == "0.01%"
    assert summary.bounds["Jet.pt"] == "0.1%"
    with hepae.open(tmp_path / "s.root") as file:
        assert list(file.collections) == ["Jet", "Muon"]
        assert file.header.collections["Jet"].columns[:2] == ("pt", "eta")
        assert file.jets().fields == file.jets(collection="Jet").fields
        for start, stop in ((0, None), (1234, 1300)):
            for name, most in (("Jet", 1e-3), ("Muon", 1e-4)):
                original = hepae.read_jets(path, collection=name)[start:stop]
                restored = file.jets(start, stop, collection=name)
                assert ak.all(ak.num(restored) == ak.num(original))
                error = ak.flatten(abs(restored.pt / original.pt - 1))
                assert most / 3 < ak.max(error) <= most
                assert 0.03 < ak.max(abs(restored.q - original.q), axis=None) <= 0.1
        with pytest.raises(InputError, match="Jet, Muon"):
            file.jets(collection="Tau")
    hepae.decompress_file(tmp_path / "s.root", tmp_path / "back.root", step_size=500)
    original, types = _arrays(path)
    restored, restored_types = _arrays(tmp_path / "back.root")
    assert list(restored) == list(original)
    assert types == restored_types
    assert _same_bits(original["run"], restored["run"])
    assert _same_bits(original["nMuon"], restored["nMuon"])


def test_latents_of_several_collections(make_tree, codec, tmp_path):
    path = _two_collections(make_tree, events=300)
    hepae.compress_file(path, tmp_path / "s.root", codec, collection="*")
    with hepae.open(tmp_path / "s.root") as file:
        for name in ("Jet", "Muon"):
            original = hepae.read_jets(path, collection=name)
            restored = file.jets(collection=name)
            expected = codec.decompress(codec.compress(original))
            np.testing.assert_allclose(ak.flatten(restored.pt), ak.flatten(expected.pt), rtol=1e-4)
            assert _same_bits(restored.q, original.q)


@pytest.fixture
def corrected(sample, codec, tmp_path):
    path = tmp_path / "corrected.root"
    hepae.compress_file(sample, path, codec.with_bounds({"pt": "0.2%"}, {"pt": "30,50", "eta": "-2.4,2.4"}))
    return path


def test_latents_with_corrections_keep_their_bounds(sample, corrected, tmp_path):
    original = hepae.read_jets(sample)
    limits = {"pt": 0.002 * original.pt, "eta": 1e-3, "phi": 1e-3, "mass": 0.01 * abs(original.mass) + 1e-3}
    with hepae.open(corrected) as file:
        assert file.header.codec == "latent"
        assert str(file.bounds("Jet")["pt"]) == "0.2%"
        assert file.header.collections["Jet"].bounds.to_config()["edges"] == {
            "pt": [30.0, 50.0],
            "eta": [-2.4, 2.4],
        }
        restored = file.jets()
        for name, limit in limits.items():
            error = abs(restored[name] - original[name])
            error = np.minimum(error, 2 * np.pi - error) if name == "phi" else error
            assert ak.all(error <= limit), name
        for edge in (30, 50):
            assert ak.all((restored.pt > edge) == (original.pt > edge))
        some = file.jets(777, 1234)
        for name in limits:
            assert _same_bits(some[name], restored[name][777:1234])
    hepae.decompress_file(corrected, tmp_path / "back.root", step_size=999)
    assert _same_bits(_arrays(tmp_path / "back.root")[0]["Jet_pt"], ak.values_astype(restored.pt, np.float32))


def test_corrections_and_their_latents_belong_together(corrected, sample, codec, tmp_path):
    other = tmp_path / "other.root"
    hepae.compress_file(sample, other, codec.with_latent_bits(6))
    with hepae.open(corrected) as file, hepae.open(other) as without:
        assert ak.all(file.latents(0, 9).z0 == without.latents(0, 9).z0)
        stored = file._stored.arrays

        def shifted(names, start, stop):
            arrays = stored(names, start, stop)
            return {name: arrays[name] + 1 if "_z" in name else arrays[name] for name in arrays}

        file._stored.arrays = shifted
        with pytest.raises(CodecError, match="latents"):
            file.jets()


@pytest.mark.parametrize("bounded", [False, True])
def test_a_model_of_pt_eta_phi_codes_px_py_pz_too(make_tree, codec, tmp_path, bounded):
    rng = np.random.default_rng(6)
    px, py, pz = rng.normal(0, 40, (3, 3000))
    arrays = {"px": px, "py": py, "pz": pz, "E": np.sqrt(px**2 + py**2 + pz**2 + rng.exponential(80, 3000))}
    path = make_tree({name: values.astype(np.float32) for name, values in arrays.items()})
    small, back = tmp_path / "small.root", tmp_path / "back.root"
    hepae.compress_file(path, small, codec.with_bounds() if bounded else codec)
    hepae.decompress_file(small, back)
    restored = _arrays(back)[0]
    assert [*restored] == ["px", "py", "pz", "E"]
    original, jets = hepae.read_jets(path), hepae.read_jets(back)
    expected = codec.decompress(codec.compress(original))
    if bounded:
        assert np.max(np.abs(jets.pt / original.pt - 1)) <= 1.0000001e-3
        assert np.all(np.abs(jets.mass - original.mass) <= 0.010000001 * np.abs(original.mass) + 0.001000001)
    else:
        np.testing.assert_allclose(jets.pt, expected.pt, rtol=1e-3)
