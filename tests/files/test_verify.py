"""verify finds whatever is lost, and nothing else. Each fault is put into a file that verifies without it."""

from __future__ import annotations

import json

import awkward as ak
import numpy as np
import pytest
import uproot
from click.testing import CliRunner

import hepae
from hepae.cli import main
from hepae.files.verify import verify
from hepae.io.layouts import Branch
from hepae.io.writers import TreeWriter

BOUNDS = {"pt": "0.1%", "eta": 1e-3, "phi": 1e-3, "mass": "1%+1MeV"}
EVENTS = 300


def content(events=EVENTS, seed=1):
    """Branches of some events, pt as float64 so that a millionth of a bound can be told."""
    random = np.random.default_rng(seed)
    counts = random.integers(0, 6, events)
    jets = int(counts.sum())
    columns = {
        "Jet_pt": random.exponential(50, jets) + 20,
        "Jet_eta": random.normal(0, 1.5, jets).astype(np.float32),
        "Jet_phi": random.uniform(-np.pi, np.pi, jets).astype(np.float32),
        "Jet_mass": random.exponential(8, jets).astype(np.float32),
        "Jet_hits": random.integers(0, 100, jets).astype(np.int16),
    }
    return {
        "run": np.ones(events, np.uint32),
        "luminosityBlock": np.ones(events, np.uint32),
        "event": np.arange(events, dtype=np.uint64),
        "MET_pt": random.exponential(30, events).astype(np.float32),
        "nJet": counts.astype(np.int32),
        **{name: ak.unflatten(values, counts) for name, values in columns.items()},
    }


def write(path, arrays, runs=(7, 8), histogram=(1.0, 2.0, 3.0), history=None):
    """Write a file with jets, another tree and a histogram."""
    branches = []
    for name, array in arrays.items():
        jagged = isinstance(array, ak.Array)
        dtype = array.layout.content.dtype if jagged else array.dtype
        branches.append(Branch(name, np.dtype(dtype), jagged, "nJet" if jagged else None))
    with uproot.recreate(path) as file:
        file["cutflow"] = np.array(histogram), np.arange(4.0)
        if history is not None:
            file["hepae_history"] = history
        TreeWriter(file, "Events", branches).extend(arrays)
        TreeWriter(file, "Runs", [Branch("run", np.dtype(np.int32))]).extend(
            {"run": np.array(runs, np.int32)}
        )
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """An original, its compressed file, and the restored one."""
    folder = tmp_path_factory.mktemp("verify")
    original = write(folder / "original.root", content())
    hepae.compress_file(original, folder / "small.root", hepae.BoundedCodec(BOUNDS, {"pt": [30, 50]}))
    hepae.decompress_file(folder / "small.root", folder / "back.root")
    return original, folder / "small.root", folder / "back.root"


@pytest.fixture
def damaged(files, tmp_path):
    """Write the restored file again with a fault in it, and verify it with its bounds."""

    def make(change=lambda _: None, edges=None, **rest):
        with uproot.open(files[2]) as file:
            arrays = file["Events"].arrays(how=dict)
        arrays = {name: array if array.ndim > 1 else ak.to_numpy(array) for name, array in arrays.items()}
        arrays = change(arrays) or arrays
        path = write(tmp_path / "damaged.root", arrays, **rest)
        return verify(files[0], path, bounds=BOUNDS, edges={"pt": [30, 50]} if edges is None else edges)

    return make


def change_jet(arrays, name, place, value):
    """Put one value into a jagged branch."""
    flat = ak.to_numpy(ak.flatten(arrays[name])).copy()
    flat[place] = value
    arrays[name] = ak.unflatten(flat, ak.num(arrays[name]))


def original_jet(files, name, place):
    with uproot.open(files[0]) as file:
        return ak.to_numpy(ak.flatten(file["Events"][name].array()))[place]


@pytest.mark.parametrize("which", [1, 2])
def test_what_is_within_its_bounds_verifies(files, which):
    certificate = verify(files[0], files[which], bounds=None if which == 1 else BOUNDS)
    assert certificate.ok, certificate.broken
    assert certificate.verdict == "nothing is lost but what the bounds allow"
    found = certificate.to_json()
    column = found["collections"]["Jet"]["columns"]["pt"]
    assert 0.9 < column["largest_error_over_bound"] <= 1
    assert column["beyond"] == column["crossed"] == 0
    assert (found["events"], found["other_trees"], found["objects"]) == (EVENTS, 1, 1)
    assert found["originals"][0]["sha256"] != found["version"]["sha256"]
    assert json.dumps(found)


def test_a_damaged_file_without_damage_verifies(damaged):
    assert damaged().ok


def test_a_jet_beyond_its_bound_by_a_millionth_of_it(files, damaged):
    pt = original_jet(files, "Jet_pt", 17)
    inside = damaged(lambda arrays: change_jet(arrays, "Jet_pt", 17, pt * (1 + 1e-3 * (1 - 1e-6))), edges={})
    assert inside.ok
    assert inside.findings.columns["Jet"]["pt"].largest_ratio == pytest.approx(1 - 1e-6, abs=1e-9)
    beyond = damaged(lambda arrays: change_jet(arrays, "Jet_pt", 17, pt * (1 + 1e-3 * (1 + 1e-6))), edges={})
    (line,) = beyond.broken
    assert line.startswith("pt: 1 of ")
    assert "beyond the bound 0.1%, by up to 1.000001" in line
    assert f"{pt}" in line


def test_a_swapped_event(damaged):
    def swap(arrays):
        order = np.arange(EVENTS)
        order[[40, 41]] = 41, 40
        return {name: array[order] for name, array in arrays.items()}

    certificate = damaged(swap)
    assert certificate.broken[0].startswith(
        "entry 40 is run 1, luminosity block 1, event 40 in the original and run 1, luminosity block 1, event 41 now: other"
    )


def test_a_swapped_event_without_event_numbers(damaged):
    def swap(arrays):
        order = np.arange(EVENTS)
        counts = arrays["nJet"]
        same = np.flatnonzero(counts == 3)[:2]
        order[same] = same[::-1]
        return {name: array[order] if name.startswith("Jet") else array for name, array in arrays.items()}

    assert any(line.startswith("pt: 6 of") for line in damaged(swap).broken)


def test_an_event_with_another_number_of_jets(damaged):
    def move(arrays):
        counts = arrays["nJet"].copy()
        first = int(np.flatnonzero((counts[:-1] > 0) & (counts[1:] < 5))[0])
        counts[[first, first + 1]] += -1, 1
        jets = {n: ak.unflatten(ak.flatten(a), counts) for n, a in arrays.items() if n.startswith("Jet")}
        return {**arrays, "nJet": counts, **jets}

    certificate = damaged(move)
    assert any("jets in the original and" in line for line in certificate.broken)
    assert any(line.startswith("branch nJet") for line in certificate.broken)


def test_a_missing_and_an_added_branch(damaged):
    def without(arrays):
        del arrays["MET_pt"]
        arrays["MET_phi"] = np.zeros(EVENTS, np.float32)

    assert damaged(without).broken == (
        "branch MET_pt: it is missing",
        "branch MET_phi: the original does not have it",
    )


def test_a_missing_column(damaged):
    def without(arrays):
        del arrays["Jet_eta"]

    assert "branch Jet_eta: it is missing" in damaged(without).broken


@pytest.mark.parametrize("name", ["MET_pt", "Jet_hits", "Jet_eta"])
def test_a_changed_type(damaged, name):
    def retype(arrays):
        wider = {"MET_pt": np.float64, "Jet_hits": np.int32, "Jet_eta": np.float64}[name]
        arrays[name] = ak.values_astype(arrays[name], wider)
        if name == "MET_pt":
            arrays[name] = ak.to_numpy(arrays[name])

    (line,) = damaged(retype).broken
    assert line.startswith(f"branch {name}: its type was")


@pytest.mark.parametrize("name", ["MET_pt", "Jet_hits"])
def test_a_flipped_bit_in_an_uncoded_branch(damaged, name):
    def flip(arrays):
        flat = ak.to_numpy(ak.flatten(arrays[name], axis=None)).copy()
        flat.view(f"u{flat.itemsize}")[100] ^= 1
        arrays[name] = flat if name == "MET_pt" else ak.unflatten(flat, arrays["nJet"])

    (line,) = damaged(flip).broken
    assert line.startswith(f"branch {name}: not the same bit for bit, first in entry ")
    if name == "MET_pt":
        assert line.endswith("entry 100")


def test_a_crossed_edge(files, damaged):
    pt = ak.to_numpy(ak.flatten(hepae.read_jets(files[0]).pt))
    place = int(np.argmin(np.abs(pt - 30)))
    other = 30 + (30 - pt[place]) * 1e-3
    allowed = abs(other - pt[place]) <= 1e-3 * pt[place]
    certificate = damaged(lambda arrays: change_jet(arrays, "Jet_pt", place, other))
    assert any("crossed 30GeV,50GeV" in line for line in certificate.broken)
    assert any("beyond the bound" in line for line in certificate.broken) != allowed


def test_phi_on_the_other_side_of_pi(tmp_path):
    arrays = content(20)
    change_jet(arrays, "Jet_phi", 3, np.float32(3.1415))
    original = write(tmp_path / "a.root", arrays)
    change_jet(arrays, "Jet_phi", 3, np.float32(-3.1415))
    around = write(tmp_path / "b.root", arrays)
    (line,) = verify(original, around, bounds={"phi": 0.001}).broken
    assert "phi: 1 of" in line
    assert "other side of ±π" in line


def test_another_tree_and_a_histogram_that_changed(damaged):
    assert damaged(runs=(7, 9)).broken == ("branch Runs/run: not the same bit for bit, first in entry 1",)
    assert damaged(runs=(7, 8, 9)).broken == ("tree Runs: 2 entries in the original and 3 now",)
    assert damaged(histogram=(1.0, 2.0, 4.0)).broken == ("object cutflow: not the same bit for bit",)


def test_a_restored_file_without_history_is_compared_bit_for_bit(files, tmp_path):
    with uproot.open(files[2]) as file:
        arrays = file["Events"].arrays(how=dict)
    arrays = {name: array if array.ndim > 1 else ak.to_numpy(array) for name, array in arrays.items()}
    certificate = verify(files[0], write(tmp_path / "old.root", arrays))
    assert [line.split(":")[0] for line in certificate.broken] == [
        "branch Jet_pt", "branch Jet_eta", "branch Jet_phi", "branch Jet_mass",
    ]  # fmt: skip
    assert "does not say how it was compressed" in certificate.notes[0]


def test_what_was_compressed_from_another_file(files, tmp_path):
    arrays = content()
    arrays["MET_pt"][5] = 1.0
    other = write(tmp_path / "other.root", arrays, runs=(7, 9))
    hepae.compress_file(other, tmp_path / "small.root", hepae.BoundedCodec(BOUNDS))
    assert verify(files[0], tmp_path / "small.root").broken == (
        "branch MET_pt: not the same bit for bit, first in entry 5",
        "branch Runs/run: not the same bit for bit, first in entry 1",
    )


def test_latents_promise_nothing_until_the_user_says_what_is_accepted(sample, codec, tmp_path):
    small = tmp_path / "small.root"
    hepae.compress_file(sample, small, codec, entry_stop=2000)
    first = tmp_path / "first.root"
    hepae.compress_file(
        sample, tmp_path / "exact.root", hepae.BoundedCodec(dict.fromkeys(BOUNDS, "exact")), entry_stop=2000
    )
    hepae.decompress_file(tmp_path / "exact.root", first)
    certificate = verify(first, small)
    assert len(certificate.broken) == 4
    assert all("no bound is promised" in line and "--bound" in line for line in certificate.broken)
    generous = {"pt": "99%+1TeV", "eta": 100, "phi": 7, "mass": "99%+1TeV"}
    accepted = verify(first, small, bounds=generous)
    assert accepted.ok
    assert accepted.to_json()["promised_by"] == "the bounds that were given"
    assert verify(first, small, bounds={**generous, "pt": "0.001%"}).broken[0].startswith("pt: ")


def test_several_originals_and_any_step(tmp_path):
    paths = [write(tmp_path / f"{i}.root", content(120, seed=i)) for i in range(3)]
    hepae.compress_file(paths, tmp_path / "small.root", hepae.BoundedCodec(BOUNDS))
    whole = verify(paths, tmp_path / "small.root")
    assert whole.ok, whole.broken
    stepped = verify(paths, tmp_path / "small.root", step_size=70)
    assert stepped.to_json()["collections"] == whole.to_json()["collections"]
    assert verify(paths[:2], tmp_path / "small.root").broken == (
        "events: 240 in the original and 360 now",
        "tree Runs: 4 entries in the original and 6 now",
    )
    wrong = verify([paths[0], paths[2], paths[1]], tmp_path / "small.root")
    assert not wrong.ok


def test_what_was_left_out_has_to_be_accepted(files, tmp_path):
    small = tmp_path / "small.root"
    hepae.compress_file(files[0], small, hepae.BoundedCodec(BOUNDS), drop=["MET_pt"])
    assert verify(files[0], small).broken == ("branch MET_pt: it is missing",)
    certificate = verify(files[0], small, accept_left_out=True)
    assert certificate.ok
    assert certificate.left_out == ("MET_pt",)
    assert "left out on request" in certificate.verdict


def test_the_command(files, damaged, tmp_path):
    run = CliRunner().invoke
    result = run(main, ["verify", str(files[0]), str(files[1])])
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith("nothing is lost but what the bounds allow\n")
    damaged(runs=(7, 9))
    result = run(
        main,
        [
            "verify",
            str(files[0]),
            str(tmp_path / "damaged.root"),
            *[f"--bound={n}={b}" for n, b in BOUNDS.items()],
        ],
    )
    assert result.exit_code == 1
    assert "broken: branch Runs/run: not the same bit for bit, first in entry 1" in result.stdout
    assert [line for line in result.stderr.splitlines() if line.startswith("Error: ")] == [
        f"Error: {tmp_path / 'damaged.root'}: 1 thing is lost or changed: keep the original"
    ]
    result = run(main, ["verify", str(files[0]), str(files[1]), "--json", "--quiet"])
    certificate = json.loads(result.stdout)
    assert certificate["ok"]
    assert certificate["collections"]["Jet"]["columns"]["mass"]["bound"] == "1%+1MeV"


@pytest.mark.parametrize(
    "name",
    [
        "nanoaod_cms_open_data_2012_singlemu.root",
        "flat_pxpypzE_ww.root",
        "scalar_jet_per_row.root",
        "jets_9columns.h5",
        "darkmachines_monojet.pkl",
        "all_jets_test_4D_100_percent.pkl",
    ],
)
@pytest.mark.filterwarnings("ignore::hepae.errors.UnitWarning")
def test_real_files_verify(data, tmp_path, name):
    hepae.compress_file(data / name, tmp_path / "small.root", hepae.BoundedCodec())
    assert verify(data / name, tmp_path / "small.root").broken == ()
