from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
import uproot

import hepae
from hepae.errors import ConfigError, InputError, OutputError
from hepae.io.layouts import Branch
from hepae.io.writers import open_writer

pytestmark = pytest.mark.filterwarnings("ignore::hepae.errors.UnitWarning")
"""The unit of most files here is told by their values, which test_inputs.py is about."""


def test_every_other_branch_passes_through_untouched(same_bits, arrays_of, sample, codec, compressed):
    original, types = arrays_of(sample)
    small, small_types = arrays_of(compressed)
    coded = ["Jet_pt", "Jet_eta", "Jet_phi", "Jet_mass"]
    assert [n for n in small if n not in ("Jet_z0", "Jet_z1", "Jet_z2")] == [
        n for n in original if n not in coded
    ]
    for name in small.keys() & original.keys():
        assert same_bits(small[name], original[name])
        assert small_types[name] == types[name]
    latents = codec.latents(hepae.read_jets(sample))
    for name in ("z0", "z1", "z2"):
        assert small_types[f"Jet_{name}"] == "float[]"
        assert ak.all(ak.num(small[f"Jet_{name}"]) == original["nJet"])
        np.testing.assert_allclose(
            ak.flatten(small[f"Jet_{name}"]), ak.flatten(latents[name]), rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("step", [1777, 5000, "300 kB"])
def test_steps_of_any_size_give_the_same_file(arrays_of, sample, codec, compressed, tmp_path, step):
    path, back = tmp_path / "steps.root", tmp_path / "back.root"
    summary = hepae.compress_file(sample, path, codec, step_size=step)
    assert summary.events == 20_000
    whole, parts = arrays_of(compressed)[0], arrays_of(path)[0]
    for name, array in whole.items():
        np.testing.assert_allclose(
            *(ak.flatten(a, axis=None) for a in (parts[name], array)), rtol=1e-3, atol=1e-4
        )
    hepae.decompress_file(path, back, step_size=step)
    assert ak.all(arrays_of(back)[0]["event"] == whole["event"])


def test_the_real_dijets(same_bits, arrays_of, data, codec, tmp_path):
    original, small, back = data / "pythia_dijets.root", tmp_path / "small.root", tmp_path / "back.root"
    hepae.compress_file(original, small, codec)
    hepae.decompress_file(small, back)
    before, types = arrays_of(original)
    after, after_types = arrays_of(back)
    assert types == after_types
    assert list(before) == list(after)
    for name in before:
        if not name.startswith("Jet_"):
            assert same_bits(before[name], after[name])
    assert ak.all(ak.num(before["Jet_eta"]) == ak.num(after["Jet_eta"]))


@pytest.mark.parametrize("name", ["nanoaod_cms_open_data_2012_singlemu.root", "nanoaod_tt_v12.root"])
def test_hundreds_of_branches_of_real_nanoaod(same_bits, arrays_of, data, codec, tmp_path, name):
    small, back = tmp_path / "small.root", tmp_path / "back.root"
    hepae.compress_file(data / name, small, codec)
    hepae.decompress_file(small, back)
    before, after = arrays_of(data / name)[0], arrays_of(back)[0]
    assert before.keys() <= after.keys()
    for branch, array in before.items():
        if branch in ("Jet_pt", "Jet_eta", "Jet_phi", "Jet_mass"):
            assert ak.all(ak.num(array) == ak.num(after[branch]))
        elif branch.startswith("n") and array.ndim == 1 and ak.to_numpy(array).dtype == np.uint32:
            assert ak.all(array == after[branch])  # counters come back as int32
        else:
            assert same_bits(array, after[branch]), branch


def test_trigger_jets_keep_their_own_flat_columns(arrays_of, data, codec, tmp_path):
    original, small, back = (
        data / "all_jets_test_4D_100_percent.pkl",
        tmp_path / "small.root",
        tmp_path / "back.root",
    )
    summary = hepae.compress_file(original, small, codec.with_latent_bits(12))
    assert any("MeV" in note for note in summary.notes)
    assert list(arrays_of(small, "jets")[0]) == ["z0", "z1", "z2"]
    hepae.decompress_file(small, back)
    restored, types = arrays_of(back, "jets")
    assert list(restored) == ["m", "pt", "phi", "eta"]
    assert set(types.values()) == {"double"}
    with hepae.open(small) as file:
        np.testing.assert_allclose(file.jets().pt * 1000, restored["pt"], rtol=1e-12)


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
def test_events_with_any_number_of_jets(arrays_of, make_tree, codec, tmp_path, counts):
    path, small, back = _tree(make_tree, counts), tmp_path / "small.root", tmp_path / "back.root"
    assert hepae.compress_file(path, small, codec).jets == sum(counts)
    hepae.decompress_file(small, back)
    restored = arrays_of(back)[0]
    assert ak.num(restored["Jet_pt"]).tolist() == counts
    assert restored["nJet"].tolist() == counts
    assert restored["event"].tolist() == list(range(len(counts)))


def test_a_tree_without_events(arrays_of, make_tree, codec, tmp_path):
    path, small, back = (
        _tree(make_tree, [], dtype=np.float64),
        tmp_path / "small.root",
        tmp_path / "back.root",
    )
    assert hepae.compress_file(path, small, codec).events == 0
    hepae.decompress_file(small, back)
    assert len(arrays_of(back)[0]["Jet_pt"]) == 0


def test_several_inputs_are_joined_in_order(arrays_of, make_tree, codec, tmp_path):
    first, second = _tree(make_tree, [2, 1], "a.root"), _tree(make_tree, [0, 3, 1], "b.root")
    hepae.compress_file([first, second], tmp_path / "small.root", codec)
    assert arrays_of(tmp_path / "small.root")[0]["nJet"].tolist() == [2, 1, 0, 3, 1]
    other = _tree(make_tree, [1], "c.root", dtype=np.float64)
    with pytest.raises(InputError, match="cannot be joined: branch 'Jet_"):
        hepae.compress_file([first, other], tmp_path / "other.root", codec)


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


def test_output_is_never_the_input_nor_overwritten(sample, compressed, codec):
    before = compressed.read_bytes()
    with pytest.raises(OutputError, match="--force"):
        hepae.compress_file(sample, compressed, codec)
    with pytest.raises(OutputError, match="input"):
        hepae.decompress_file(compressed, compressed, force=True)
    assert compressed.read_bytes() == before
    hepae.compress_file(sample, compressed, codec, force=True)


@pytest.fixture
def within(sample, tmp_path):
    """The sample, compressed within the default bounds."""
    path = tmp_path / "bounded.root"
    hepae.compress_file(sample, path, hepae.BoundedCodec(edges={"pt": "30"}))
    return path


def test_a_bounded_file_holds_its_bounds_and_passes_everything_else_through(
    same_bits, arrays_of, sample, within, tmp_path
):
    back = tmp_path / "back.root"
    hepae.decompress_file(within, back)
    original, types = arrays_of(sample)
    restored, restored_types = arrays_of(back)
    assert list(restored) == list(original)
    assert restored_types == types
    for name in original:
        if not name.startswith("Jet_"):
            assert same_bits(restored[name], original[name])
    pt, found = (ak.to_numpy(ak.flatten(a["Jet_pt"])).astype(float) for a in (original, restored))
    assert np.all(np.abs(found - pt) <= 0.001 * pt)
    assert np.array_equal(found > 30, pt > 30)
    small, _ = arrays_of(within)
    assert not {"Jet_pt", "Jet_eta", "Jet_phi", "Jet_mass"} & small.keys()
    assert same_bits(small["nJet"], original["nJet"])
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


@pytest.mark.parametrize("counts", [[0, 0, 0], [1], [1000, 0, 1], [], [3] * 50])
def test_bounded_events_with_any_number_of_jets(arrays_of, make_tree, tmp_path, counts):
    path, small, back = _tree(make_tree, counts), tmp_path / "small.root", tmp_path / "back.root"
    assert hepae.compress_file(path, small, hepae.BoundedCodec()).jets == sum(counts)
    hepae.decompress_file(small, back)
    restored = arrays_of(back)[0]
    assert ak.num(restored["Jet_pt"]).tolist() == counts
    np.testing.assert_allclose(ak.flatten(restored["Jet_mass"]), 9.0, atol=0.0911)


def test_a_table_of_nothing_but_jets(arrays_of, data, tmp_path):
    original, small, back = (
        data / "all_jets_test_4D_100_percent.pkl",
        tmp_path / "small.root",
        tmp_path / "back.root",
    )
    summary = hepae.compress_file(original, small, hepae.BoundedCodec())
    assert summary.coded_after < 5.2 * summary.jets
    hepae.decompress_file(small, back)
    restored, types = arrays_of(back, "jets")
    assert list(restored) == ["m", "pt", "phi", "eta"]
    assert set(types.values()) == {"double"}
    before = hepae.read_jets(original)
    assert np.all(np.abs(restored["pt"] / 1000 / before.pt - 1) <= 0.001 * (1 + 1e-12))
    assert np.all(np.abs(restored["m"] / 1000 - before.mass) <= 0.01 * np.abs(before.mass) + 0.001 + 1e-12)


@pytest.mark.parametrize(
    "name",
    [pytest.param("nanoaod_cms_open_data_2015_ttbar.root", marks=pytest.mark.long), "nanoaod_tt_v12.root"],
)
def test_every_column_of_real_nanoaod_is_exact_or_within_its_bound(
    same_bits, arrays_of, data, tmp_path, name
):
    small, back = tmp_path / "small.root", tmp_path / "back.root"
    hepae.compress_file(data / name, small, hepae.BoundedCodec())
    hepae.decompress_file(small, back)
    before, after = arrays_of(data / name)[0], arrays_of(back)[0]
    for branch, array in before.items():
        if branch in ("Jet_pt", "Jet_eta", "Jet_phi", "Jet_mass"):
            limit = {"pt": 1e-3 * np.abs(array), "mass": 0.01 * np.abs(array) + 1e-3}.get(branch[4:], 1e-3)
            assert ak.all(np.abs(ak.values_astype(after[branch], float) - array) <= limit)
        elif branch.startswith("Jet_"):
            assert same_bits(array, after[branch]), branch


def test_bounds_are_in_gev_whatever_the_files_unit(arrays_of, make_tree, tmp_path):
    values = np.linspace(2e4, 5e5, 2000)
    arrays = {"pt": values, "eta": values * 1e-6, "phi": values * 1e-6, "m": values / 10}
    path = make_tree(arrays)
    hepae.compress_file(path, tmp_path / "small.root", hepae.BoundedCodec({"m": "5MeV"}, {"pt": "100.5"}))
    hepae.decompress_file(tmp_path / "small.root", tmp_path / "back.root")
    restored = arrays_of(tmp_path / "back.root")[0]
    error = np.abs(ak.to_numpy(restored["m"]) - values / 10)
    assert 3 < error.max() <= 5
    assert np.array_equal(ak.to_numpy(restored["pt"]) > 100_500, values > 100_500)


def test_a_file_of_energies_keeps_the_bounds_of_the_mass(arrays_of, make_tree, tmp_path):
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
    again = arrays_of(tmp_path / "back.root")[0]["E"]
    assert 5e-4 < np.max(np.abs(again / arrays["E"] - 1)) <= 1.001e-3


@pytest.mark.parametrize("bounded", [False, True])
def test_a_model_of_pt_eta_phi_codes_px_py_pz_too(arrays_of, make_tree, codec, tmp_path, bounded):
    rng = np.random.default_rng(6)
    px, py, pz = rng.normal(0, 40, (3, 3000))
    arrays = {"px": px, "py": py, "pz": pz, "E": np.sqrt(px**2 + py**2 + pz**2 + rng.exponential(80, 3000))}
    path = make_tree({name: values.astype(np.float32) for name, values in arrays.items()})
    small, back = tmp_path / "small.root", tmp_path / "back.root"
    hepae.compress_file(path, small, codec.with_bounds() if bounded else codec)
    hepae.decompress_file(small, back)
    restored = arrays_of(back)[0]
    assert [*restored] == ["px", "py", "pz", "E"]
    original, jets = hepae.read_jets(path), hepae.read_jets(back)
    expected = codec.decompress(codec.compress(original))
    if bounded:
        assert np.max(np.abs(jets.pt / original.pt - 1)) <= 1.0000001e-3
        assert np.all(np.abs(jets.mass - original.mass) <= 0.010000001 * np.abs(original.mass) + 0.001000001)
    else:
        np.testing.assert_allclose(jets.pt, expected.pt, rtol=1e-3)
