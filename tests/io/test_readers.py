from __future__ import annotations

import awkward as ak
import numpy as np
import pandas as pd
import pytest
import uproot

import hepae
from hepae.errors import ConfigError, InputError
from hepae.io.guards import reading
from hepae.io.readers import open_source

pytestmark = pytest.mark.filterwarnings("ignore::hepae.errors.UnitWarning")
"""The unit of most files here is told by their values, which test_inputs.py is about."""


def test_jets_are_four_momenta_in_float64(sample):
    jets = hepae.read_jets(sample)
    with uproot.open(sample) as file:
        stored = file["Events"].arrays(["Jet_pt", "Jet_eta", "Jet_phi", "Jet_mass"])
    assert len(jets) == 20_000
    assert ak.all(ak.num(jets) == ak.num(stored.Jet_pt))
    for name in ("pt", "eta", "phi", "mass", "E"):
        assert ak.type(getattr(jets, name)).content.content.primitive == "float64"
    pt, eta, mass = (ak.to_numpy(ak.flatten(stored[f"Jet_{n}"])).astype(float) for n in ("pt", "eta", "mass"))
    np.testing.assert_array_equal(ak.flatten(jets.pt), pt)
    expected = np.sqrt((pt * np.cosh(eta)) ** 2 + mass**2)
    np.testing.assert_allclose(ak.flatten(jets.E), expected, rtol=1e-12)


@pytest.mark.parametrize("step_size", [777, 20_000, "100 kB", "1 GB"])
def test_steps_of_any_size_give_the_same_jets(sample, step_size):
    joined = ak.concatenate(list(hepae.iterate_jets(sample, step_size=step_size)))
    whole = hepae.read_jets(sample)
    assert ak.all(ak.num(joined) == ak.num(whole))
    assert ak.all(joined.mass == whole.mass)


def test_several_files_are_read_in_order(sample):
    once, twice = hepae.read_jets(sample), hepae.read_jets([sample, sample])
    assert len(twice) == 2 * len(once)
    assert ak.all(twice.pt[len(once) :] == once.pt)


@pytest.mark.parametrize(
    ("names", "last"),
    [
        (("pt", "eta", "phi", "m"), "mass"),
        (("PT", "Eta", "Phi", "Mass"), "mass"),
        (("jet_pt", "jet_eta", "jet_phi", "jet_E"), "E"),
        (("Jetpt", "Jeteta", "Jetphi", "Jetenergy"), "E"),
    ],
)
def test_flat_trees_by_their_names(make_tree, names, last):
    columns = [np.array([50.0, 60.0]), np.array([0.5, -1]), np.array([3.0, 0]), np.array([120.0, 150])]
    jets = hepae.read_jets(make_tree(dict(zip(names, columns, strict=True))))
    assert jets.pt.tolist() == [50, 60]
    assert jets[last].tolist() == [120, 150]
    assert jets.ndim == 1


def test_a_flat_tree_with_a_list_an_event(make_tree):
    lists = {
        "pt": [[50.0], [], [40, 30]],
        "eta": [[1.0], [], [0, 1]],
        "phi": [[1.0], [], [0, 1]],
        "m": [[5.0], [], [4, 3]],
    }
    path = make_tree(
        {f"jets_{name}": ak.values_astype(ak.Array(values), np.float32) for name, values in lists.items()}
    )
    jets = hepae.read_jets(path)
    assert jets.pt.tolist() == lists["pt"]
    assert jets.mass.tolist() == lists["m"]


def test_the_unit_is_told_by_the_median_pt_and_by_the_option(make_tree):
    mev = make_tree(
        {
            n: np.array(v)
            for n, v in {"pt": [5e4, 6e4], "eta": [0.0, 1], "phi": [0.0, 1], "E": [7e4, 8e4]}.items()
        }
    )
    assert hepae.read_jets(mev).pt.tolist() == [50, 60]
    assert hepae.read_jets(mev).E.tolist() == [70, 80]
    assert hepae.read_jets(mev, unit="GeV").pt.tolist() == [5e4, 6e4]
    with open_source(mev) as source:
        assert source.layout.collections["jets"].unit == "MeV"
        assert "MeV" in source.unit_note


def test_trigger_jets_are_in_mev(data):
    jets = hepae.read_jets(data / "all_jets_test_4D_100_percent.pkl")
    frame = pd.read_pickle(data / "all_jets_test_4D_100_percent.pkl")
    assert len(jets) == 27_945
    np.testing.assert_allclose(jets.pt, frame["pt"] / 1000, rtol=1e-15)
    np.testing.assert_allclose(jets.mass, frame["m"] / 1000, rtol=1e-15)


def test_energies_of_darkmachines(data):
    jets = hepae.read_jets(data / "darkmachines_monojet.pkl")
    assert jets.fields == ["E", "pt", "eta", "phi"]
    np.testing.assert_allclose(jets.E[:2], [73.3561, 155.625], rtol=1e-12)
    assert ak.all(jets.mass < jets.E)


@pytest.mark.parametrize(
    ("name", "events"),
    [
        ("nanoaod_cms_open_data_2012_singlemu.root", 1000),
        ("nanoaod_cms_open_data_2015_ttbar.root", 200),
        ("nanoaod_tt_v12.root", 200),
        ("pythia_jets_18columns.root", 20_000),
    ],
)
def test_nanoaod_of_several_years(data, name, events):
    jets = hepae.read_jets(data / name)
    with uproot.open(data / name) as file:
        pt, counts = file["Events"]["Jet_pt"].array(), file["Events"]["nJet"].array()
    assert len(jets) == events
    assert ak.all(ak.num(jets) == counts)
    assert ak.all(jets.pt == pt)


def test_collections_are_chosen_by_name_and_listed_where_there_is_no_choice(make_tree, sample):
    four = {"pt": [50.0], "eta": [0.0], "phi": [0.0], "m": [5.0]}
    path = make_tree({f"{c}_{n}": np.array(v) for c in ("tau", "muon") for n, v in four.items()})
    with pytest.raises(InputError, match=r"tau, muon; choose with --collection"):
        hepae.read_jets(path)
    assert hepae.read_jets(path, collection="muon").pt.tolist() == [50]
    with pytest.raises(InputError, match="GenJet"):
        hepae.read_jets(sample, collection="Nope")
    assert len(hepae.read_jets(sample, collection="GenJet")) == 20_000


def test_trees_are_chosen_by_name_and_listed(tmp_path):
    path = tmp_path / "two.root"
    with uproot.recreate(path) as file:
        for tree in ("one", "two"):
            file.mktree(tree, dict.fromkeys(("pt", "eta", "phi", "m"), "float64")).extend(
                {name: np.ones(3) for name in ("pt", "eta", "phi", "m")}
            )
    with pytest.raises(InputError, match=r"one, two; choose one with --tree"):
        hepae.read_jets(path)
    assert len(hepae.read_jets(path, tree="two")) == 3
    with pytest.raises(InputError, match="no tree 'three'"):
        hepae.read_jets(path, tree="three")


def test_files_without_jets_say_so(make_tree, tmp_path):
    with pytest.raises(InputError, match="no jets"):
        hepae.read_jets(make_tree({"x": np.ones(3)}))
    (tmp_path / "text.root").write_text("not a file of ROOT")
    with pytest.raises(InputError, match="neither a ROOT file nor a pickle"):
        hepae.read_jets(tmp_path / "text.root")
    with pytest.raises(InputError, match="no such file"):
        hepae.read_jets(tmp_path / "missing.root")
    with pytest.raises(InputError, match="folder"):
        hepae.read_jets(tmp_path)


@pytest.mark.parametrize("share", [0.0001, 0.01, 0.5, 0.999])
def test_truncated_files_end_in_one_line(sample, tmp_path, share):
    whole = sample.read_bytes()
    path = tmp_path / "truncated.root"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(InputError) as error:
        hepae.read_jets(path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


def test_further_columns_named_like_coordinates_are_no_coordinates(make_tree):
    four = {"pt": [50.0], "eta": [0.0], "phi": [0.0], "m": [5.0], "x": [7.0], "tau": [0.5]}
    jets = hepae.read_jets(make_tree({name: np.array(values) for name, values in four.items()}))
    assert jets.fields == ["pt", "eta", "phi", "mass", "x_", "tau_"]
    assert jets.x_.tolist() == [7]
    assert jets.px.tolist() == [50]


def test_flipped_bits_end_in_one_line_or_in_jets(make_tree, tmp_path):
    """ROOT files have no checksum: a changed value passes, but nothing else than an InputError is raised."""
    lists = ak.Array([[50.0, 40], [], [30]])
    names = ("Jet_pt", "Jet_eta", "Jet_phi", "Jet_mass")
    whole = make_tree(dict.fromkeys(names, lists), counters=dict.fromkeys(names, "nJet")).read_bytes()
    rng = np.random.default_rng(0)
    path, messages = tmp_path / "flipped.root", []
    for position, bit in zip(rng.integers(0, len(whole), 150), rng.integers(0, 8, 150), strict=True):
        flipped = bytearray(whole)
        flipped[position] ^= 1 << bit
        path.write_bytes(flipped)
        try:
            hepae.read_jets(path)
        except InputError as error:
            messages.append(str(error))
    assert messages
    assert all(str(path) in message and "\n" not in message for message in messages)


@pytest.mark.parametrize("step_size", [0, -1, "x", "1..5 MB", "MB"])
def test_steps_that_make_no_sense_are_refused(sample, step_size):
    with pytest.raises(ConfigError, match=r"step|size"):
        list(hepae.iterate_jets(sample, step_size=step_size))


def test_an_empty_file_is_no_jets_file(tmp_path):
    (tmp_path / "empty.root").touch()
    with pytest.raises(InputError, match="neither a ROOT file nor a pickle"):
        hepae.read_jets(tmp_path / "empty.root")


def test_a_name_that_a_library_lacks_is_damage_and_one_that_we_lack_is_a_fault(tmp_path):
    """uproot ends in an UnboundLocalError on some damaged pages."""
    with pytest.raises(InputError, match="damaged"), reading(tmp_path):
        exec("missing_name", {"__name__": "uproot.compression"})
    with pytest.raises(NameError), reading(tmp_path):
        exec("missing_name", {"__name__": "hepae.io.readers"})


def test_columns_that_are_not_there_are_named(sample):
    with pytest.raises(InputError, match=r"no column 'nope' in Jet of .*: there are pt, eta"):
        hepae.read_jets(sample, columns=["nope"])


def test_files_of_other_columns_are_not_read_as_one(make_tree):
    columns = {name: np.ones(3) for name in ("pt", "eta", "phi", "mass")}
    first = make_tree(columns, name="first.root")
    second = make_tree({**columns, "btag": np.ones(3)}, name="second.root")
    with pytest.raises(InputError, match="btag is not in all of them"):
        hepae.read_jets([first, second])
