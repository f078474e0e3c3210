"""verify finds whatever is lost, and nothing else. Each fault is put into a file that verifies without it."""

from __future__ import annotations

import json

import awkward as ak
import numpy as np
import pytest
import uproot

import hepae
from hepae.verification.verify import verify


def change_jet(arrays, name, place, value):
    """Put one value into a jagged branch."""
    flat = ak.to_numpy(ak.flatten(arrays[name])).copy()
    flat[place] = value
    arrays[name] = ak.unflatten(flat, ak.num(arrays[name]))


def original_jet(files, name, place):
    with uproot.open(files[0]) as file:
        return ak.to_numpy(ak.flatten(file["Events"][name].array()))[place]


@pytest.mark.parametrize("which", [1, 2])
def test_what_is_within_its_bounds_verifies(files, which, bounds):
    certificate = verify(files[0], files[which], bounds=None if which == 1 else bounds)
    assert certificate.ok, certificate.broken
    assert certificate.verdict == "nothing is lost but what the bounds allow"
    found = certificate.to_json()
    column = found["collections"]["Jet"]["columns"]["pt"]
    assert 0.9 < column["largest_error_over_bound"] <= 1
    assert column["beyond"] == column["crossed"] == 0
    assert (found["events"], found["other_trees"], found["objects"]) == (300, 1, 1)
    assert found["originals"][0]["sha256"] != found["version"]["sha256"]
    assert json.dumps(found)


def test_numbers_of_the_event_that_were_coded(files, tmp_path):
    """``compress --all`` makes a collection of them; the history of the restored file has its bounds."""
    small, back = tmp_path / "small.root", tmp_path / "back.root"
    bounds = hepae.BoundedCodec({"*": "0.1%"})
    hepae.compress_file(files[0], small, bounds, all_numbers=True)
    hepae.decompress_file(small, back)
    for version in (small, back):
        certificate = verify(files[0], version)
        assert certificate.ok, certificate.broken
        column = certificate.to_json()["collections"]["Events"]["columns"]["MET_pt"]
        assert 0.9 < column["largest_error_over_bound"] <= 1


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


def test_a_crossed_edge(files, damaged):
    pt = ak.to_numpy(ak.flatten(hepae.read_jets(files[0]).pt))
    place = int(np.argmin(np.abs(pt - 30)))
    other = 30 + (30 - pt[place]) * 1e-3
    allowed = abs(other - pt[place]) <= 1e-3 * pt[place]
    certificate = damaged(lambda arrays: change_jet(arrays, "Jet_pt", place, other))
    assert any("crossed 30GeV,50GeV" in line for line in certificate.broken)
    assert any("beyond the bound" in line for line in certificate.broken) != allowed


def test_phi_on_the_other_side_of_pi(tmp_path, content, write):
    arrays = content(20)
    change_jet(arrays, "Jet_phi", 3, np.float32(3.1415))
    original = write(tmp_path / "a.root", arrays)
    change_jet(arrays, "Jet_phi", 3, np.float32(-3.1415))
    around = write(tmp_path / "b.root", arrays)
    (line,) = verify(original, around, bounds={"phi": 0.001}).broken
    assert "phi: 1 of" in line
    assert "other side of ±π" in line


def test_a_restored_file_without_history_is_compared_bit_for_bit(files, tmp_path, write):
    with uproot.open(files[2]) as file:
        arrays = file["Events"].arrays(how=dict)
    arrays = {name: array if array.ndim > 1 else ak.to_numpy(array) for name, array in arrays.items()}
    certificate = verify(files[0], write(tmp_path / "old.root", arrays))
    assert [line.split(":")[0] for line in certificate.broken] == [
        "branch Jet_pt", "branch Jet_eta", "branch Jet_phi", "branch Jet_mass",
    ]  # fmt: skip
    assert "does not say how it was compressed" in certificate.notes[0]


def test_what_was_compressed_from_another_file(files, tmp_path, bounds, content, write):
    arrays = content()
    arrays["MET_pt"][5] = 1.0
    other = write(tmp_path / "other.root", arrays, runs=(7, 9))
    hepae.compress_file(other, tmp_path / "small.root", hepae.BoundedCodec(bounds))
    assert verify(files[0], tmp_path / "small.root").broken == (
        "branch MET_pt: not the same bit for bit, first in entry 5",
        "branch Runs/run: not the same bit for bit, first in entry 1",
    )


def test_latents_promise_nothing_until_the_user_says_what_is_accepted(sample, codec, tmp_path, bounds):
    small = tmp_path / "small.root"
    hepae.compress_file(sample, small, codec, entry_stop=2000)
    first = tmp_path / "first.root"
    hepae.compress_file(
        sample, tmp_path / "exact.root", hepae.BoundedCodec(dict.fromkeys(bounds, "exact")), entry_stop=2000
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


def test_several_originals_and_any_step(tmp_path, bounds, content, write):
    paths = [write(tmp_path / f"{i}.root", content(120, seed=i)) for i in range(3)]
    hepae.compress_file(paths, tmp_path / "small.root", hepae.BoundedCodec(bounds))
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


def test_what_was_left_out_has_to_be_accepted(files, tmp_path, bounds):
    small = tmp_path / "small.root"
    hepae.compress_file(files[0], small, hepae.BoundedCodec(bounds), drop=["MET_pt"])
    assert verify(files[0], small).broken == ("branch MET_pt: it is missing",)
    certificate = verify(files[0], small, accept_left_out=True)
    assert certificate.ok
    assert certificate.left_out == ("MET_pt",)
    assert "left out on request" in certificate.verdict


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
