from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import awkward as ak
import numpy as np
import pytest
import uproot

from hepae import samples
from hepae.errors import ConfigError, OutputError

if TYPE_CHECKING:
    from pathlib import Path

BRANCHES = {
    *("run", "luminosityBlock", "event", "genWeight", "MET_pt", "MET_phi"),
    *("nJet", "Jet_pt", "Jet_eta", "Jet_phi", "Jet_mass"),
    *("nGenJet", "GenJet_pt", "GenJet_eta", "GenJet_phi", "GenJet_mass"),
}


def read(path: Path) -> ak.Array:
    with uproot.open(path) as file:
        return file["Events"].arrays()


@pytest.fixture(scope="module")
def sample() -> ak.Array:
    return read(samples.sample_path())


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("pythia8mc", reason="generating needs pythia8mc")
    pytest.importorskip("fastjet", reason="generating needs fastjet")
    path = tmp_path_factory.mktemp("generated") / "dijets.root"
    samples.generate(path, events=50, seed=7)
    return path


def test_constituents_are_what_the_jets_are_made_of(generated: Path, tmp_path: Path) -> None:
    samples.generate(tmp_path / "with.root", events=50, seed=7, constituents=True)
    events, without = read(tmp_path / "with.root"), read(generated)
    assert set(events.fields) == BRANCHES | {
        "nGenCands",
        *(f"GenCands_{n}" for n in ("pt", "eta", "phi", "mass", "pdgId")),
    }
    assert all(ak.array_equal(events[name], without[name]) for name in BRANCHES)
    pt, eta, phi = (events[f"GenCands_{name}"] for name in ("pt", "eta", "phi"))
    assert 100 < ak.mean(events.nGenCands) < 600
    assert ak.all(pt > samples.CONSTITUENT_PT_MIN)
    assert ak.all(abs(eta) < samples.CALORIMETER_ETA + 1e-3)
    assert ak.all(pt[:, 1:] <= pt[:, :-1])
    assert not ak.any(abs(events.GenCands_pdgId) == 12)
    jet = ak.firsts(events.GenJet_phi)
    near = (abs(eta - ak.firsts(events.GenJet_eta)) < 0.4) & (
        abs((phi - jet + np.pi) % (2 * np.pi) - np.pi) < 0.4
    )
    x, y = (ak.sum((pt * direction)[near], axis=1) for direction in (np.cos(phi), np.sin(phi)))
    leading = ak.drop_none(abs(np.hypot(x, y) / ak.firsts(events.GenJet_pt) - 1))
    assert np.median(leading) < 0.01  # in the cone of the leading jet lies its pt


def check_jets(events: ak.Array, collection: str) -> None:
    pt, eta, phi, mass = (events[f"{collection}_{name}"] for name in ("pt", "eta", "phi", "mass"))
    assert ak.all(ak.num(pt) == events[f"n{collection}"])
    for column in (pt, eta, phi, mass):
        assert ak.type(column).content.content.primitive == "float32"
        assert np.isfinite(ak.to_numpy(ak.flatten(column))).all()
    assert ak.all(pt > samples.JET_PT_MIN)
    assert ak.all(abs(eta) < samples.JET_ETA_MAX)
    assert ak.all(abs(phi) <= np.float32(np.pi))
    assert ak.all(pt[:, 1:] <= pt[:, :-1])
    assert ak.all(mass >= 0), "no jet is spacelike"
    assert ak.mean(mass > 0) > 0.999


def test_the_bundled_sample_is_small_and_complete(sample: ak.Array) -> None:
    assert samples.sample_path().stat().st_size < 2_000_000
    assert set(sample.fields) == BRANCHES
    assert len(sample) == 20_000
    assert sample.event.to_list() == list(range(1, 20_001))
    assert 50_000 < ak.sum(sample.nJet) < 60_000


@pytest.mark.parametrize("collection", ["Jet", "GenJet"])
def test_the_bundled_jets_keep_the_cuts(sample: ak.Array, collection: str) -> None:
    check_jets(sample, collection)


def test_the_bundled_spectrum_falls_to_the_tev(sample: ak.Array) -> None:
    pt = ak.to_numpy(ak.flatten(sample.Jet_pt))
    counts, edges = np.histogram(pt, [20, 40, 80, 160, 320, 640, 1280])
    assert np.all(np.diff(counts / np.diff(edges)) < 0)
    assert counts[-1] > 50


def test_the_weights_undo_the_oversampling(sample: ak.Array) -> None:
    leading = ak.firsts(sample.Jet_pt)
    mean = [ak.mean(sample.genWeight[(leading > low) & (leading < 1.2 * low)]) for low in (100, 200, 400)]
    # Twice the pt is oversampled 2^3.5 = 11 times as much.
    assert np.allclose(np.divide(mean[:-1], mean[1:]), 2**3.5, rtol=0.3)


def test_a_jet_measures_its_true_jet_with_the_resolution(sample: ak.Array) -> None:
    def leading(collection: str) -> ak.Array:
        return ak.zip({name: sample[f"{collection}_{name}"] for name in ("pt", "eta", "phi")})

    pairs = ak.cartesian({"jet": leading("Jet"), "true": leading("GenJet")})
    distance = np.hypot(
        pairs.jet.eta - pairs.true.eta, np.remainder(pairs.jet.phi - pairs.true.phi + 3, 2 * np.pi) - 3
    )
    pairs = ak.flatten(pairs[distance < 0.1])
    for low, high in ((90, 110), (180, 220)):
        chosen = pairs[(pairs.true.pt > low) & (pairs.true.pt < high)]
        response = ak.to_numpy(chosen.jet.pt / chosen.true.pt)
        assert response.mean() == pytest.approx(1, abs=0.01)
        assert response.std() == pytest.approx(samples.resolution((low + high) / 2), rel=0.1)


def test_generated_events_have_the_form_of_the_bundled(generated: Path, sample: ak.Array) -> None:
    events = read(generated)
    assert len(events) == 50
    assert ak.type(events).content == ak.type(sample).content
    check_jets(events, "Jet")
    assert [path.name for path in generated.parent.iterdir()] == ["dijets.root"]


def test_the_seed_decides_the_content(generated: Path, tmp_path: Path) -> None:
    samples.generate(tmp_path / "same.root", events=50, seed=7)
    samples.generate(tmp_path / "other.root", events=50, seed=8)
    assert ak.array_equal(read(generated), read(tmp_path / "same.root"))
    assert not ak.array_equal(read(generated).Jet_pt, read(tmp_path / "other.root").Jet_pt)


def test_progress_counts_the_events(generated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "_BATCH", 20)
    monkeypatch.setattr(samples, "_BASKET", 30)
    done: list[int] = []
    path = generated.with_name("ttbar.root")
    samples.generate(path, process="ttbar", events=50, seed=7, progress=done.append)
    assert done == [20, 40, 50]
    events = read(path)
    assert events.event.to_list() == list(range(1, 51))
    assert ak.all(events.genWeight == 1)
    assert ak.mean(events.nJet) > 4
    path.unlink()


def test_generating_prints_nothing(generated: Path, tmp_path: Path) -> None:
    del generated  # asked for because it skips where PYTHIA is missing
    code = "import sys; from hepae.samples import generate; generate(sys.argv[1], events=2, seed=1)"
    command = [sys.executable, "-c", code, str(tmp_path / "out.root")]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (result.stdout, result.stderr) == ("", "")


def test_an_existing_output_is_refused_unless_forced(generated: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.root"
    output.write_text("mine")
    with pytest.raises(OutputError, match=r"out\.root exists.*--force"):
        samples.generate(output, events=2, seed=1)
    assert output.read_text() == "mine"
    samples.generate(output, events=2, seed=1, force=True)
    assert len(read(output)) == 2
    assert generated.exists()


def test_an_output_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot write .*out\.root"):
        samples.generate(tmp_path / "missing" / "out.root", events=2, seed=1)


def test_a_failure_leaves_no_output(generated: Path, tmp_path: Path) -> None:
    del generated

    def stop(done: int) -> None:
        raise KeyboardInterrupt(done)

    with pytest.raises(KeyboardInterrupt):
        samples.generate(tmp_path / "out.root", events=2, seed=1, progress=stop)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"process": "zjets"}, "unknown process 'zjets': choose one of dijets, ttbar"),
        ({"events": 0}, "cannot generate 0 events"),
        ({"seed": 0}, "seed 0 is out of PYTHIA's range"),
        ({"seed": 900_000_001}, "seed 900000001 is out of PYTHIA's range"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    tmp_path: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        samples.generate(tmp_path / "out.root", **{"events": 2, "seed": 1, **options})
    assert list(tmp_path.iterdir()) == []


def test_a_missing_generator_is_one_error_that_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pythia8mc", None)
    with pytest.raises(ConfigError, match=r"pip install 'hepae\[pythia\]'"):
        samples.generate(tmp_path / "out.root", events=2, seed=1)
    assert list(tmp_path.iterdir()) == []


def test_importing_the_module_needs_no_generator() -> None:
    code = "import sys, hepae.samples; assert not {'pythia8mc', 'fastjet', 'uproot'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env=dict(os.environ))


def test_the_bundled_file_names_nothing_of_its_makers(sample: ak.Array) -> None:
    del sample
    content = samples.sample_path().read_bytes()
    assert b"dijets.root" in content
    assert not any(word in content for word in (b"/tmp", b"/home", b"/work", b".hepae-"))
