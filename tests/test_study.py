"""The study of trigger jets, and the scan, in small on the bundled sample."""

from __future__ import annotations

import csv
import importlib
import os
import subprocess
import sys
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot
from click.testing import CliRunner
from matplotlib.image import imread

import hepae
from hepae import kinematics
from hepae.errors import ConfigError
from hepae.training.configuration import TrainingConfig

pytestmark = pytest.mark.filterwarnings("ignore::hepae.errors.UnitWarning")
"""The unit of some files here is told by their values, which test_inputs.py is about."""

ANALYSIS = Path(__file__).parent.parent / "analysis"
THREADS = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture
def script(monkeypatch):
    """Import a script or module of ``analysis`` by its name."""
    monkeypatch.syspath_prepend(ANALYSIS)
    return importlib.import_module


@pytest.fixture(scope="module")
def files(sample, tmp_path_factory):
    """A few hundred events of the sample to train on, and others to test with."""
    folder = tmp_path_factory.mktemp("jets")
    with uproot.open(sample) as file:
        columns = file["Events"].arrays(["Jet_pt", "Jet_eta", "Jet_phi", "Jet_mass"], entry_stop=600)
    jets = ak.zip({name.removeprefix("Jet_"): columns[name] for name in columns.fields})
    for name, part in (("train", jets[:400]), ("test", jets[400:])):
        with uproot.recreate(folder / f"{name}.root") as file:
            file.mktree("Events", {"Jet": jets.type.content}).extend({"Jet": part})
    return folder / "train.root", folder / "test.root"


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.long
def test_the_study(files, tmp_path):
    """All of it, with trainings of one epoch; a second time nothing is trained and the tables are the same."""
    train, test = files
    command = [
        sys.executable,
        ANALYSIS / "trigger_jet_study.py",
        "--train",
        train,
        "--test",
        test,
        "--at-most",
        "1",
    ]
    command += ["--processes", "1", "--label", "PYTHIA", "--runs", tmp_path / "runs", "-o", tmp_path / "out"]
    out, tables = tmp_path / "out", []
    for _ in range(2):
        subprocess.run([*map(str, command)], check=True, env=THREADS, capture_output=True)
        tables.append({path.name: path.read_text() for path in out.glob("*.csv")})
        runs = sorted(path.parent.name for path in (tmp_path / "runs").glob("*/*/last.pt"))
    assert len(runs) == len({path.name for path in (tmp_path / "runs").iterdir()})  # one run each
    assert tables[0] == tables[1]

    for path in out.glob("*.png"):
        assert np.ptp(imread(path)[..., :3]) > 0.5
    names = {path.stem for path in out.glob("*.png")}
    eight = {f"trigger_{which}_{c}" for which in ("train", "test") for c in ("mass", "pt", "phi", "eta")}
    assert eight | {f"{name}_residual" for name in eight} <= names
    assert {"loss_against_fraction", "trigger_rate_distortion", "trigger_pt_response"} <= names

    fractions = rows(out / "trigger_fractions.csv")
    assert [float(row["fraction"]) for row in fractions] == [0.1, 0.2, 0.4, 0.8, 1.0]
    assert int(fractions[0]["jets"]) == pytest.approx(int(fractions[-1]["jets"]) / 10, abs=1)
    assert all(float(row["test_loss_std"]) > 0 for row in fractions)
    pca = [float(row["PCA"]) for row in rows(out / "trigger_latents.csv")]
    assert pca == sorted(pca, reverse=True)
    assert pca[-1] < 1e-12  # four components of four columns lose nothing

    table = rows(out / "trigger_rate_distortion.csv")
    bounds = [row for row in table if row["way"] == "bounds"]
    sizes = [float(row["bytes_per_jet"]) for row in bounds]
    assert sizes == sorted(sizes, reverse=True)
    for row in bounds:
        assert float(row["pt_p99"]) <= float(row["setting"].split()[1].rstrip("%")) / 100
    for row in rows(out / "trigger_equal_bytes.csv"):
        assert float(row["bytes_per_jet"]) <= float(row["budget"])
        better = [other for other in row["better_in_every_column"].split("; ") if other]
        assert row["way"] not in better


def test_losses_in_units_of_the_original(script, files):
    """A restored mass that is off by a hundredth of its range, in one of four columns."""
    study = script("study.study").Study(script("study.trainings").Inputs(*files), None, None, None)
    mass = kinematics.flat_column(study.train, "mass")
    shifted = ak.with_field(study.test, study.test.mass + 0.01 * np.ptp(mass), "mass")
    loss = script("study.losses").minmax_loss(study, shifted, ("mass", "pt", "phi", "eta"))
    assert loss == pytest.approx(0.01**2 / 4)
    turned = ak.with_field(study.test, study.test.phi + 2 * np.pi, "phi")
    assert script("study.losses").minmax_loss(study, turned, ("mass", "pt", "phi", "eta")) < 1e-12


def test_pca_loses_what_lies_outside_its_components(script):
    rng = np.random.default_rng(1)
    features = rng.normal(size=(1000, 3)) * (3.0, 1.0, 0.1) + 7.0
    pca = script("study.rates").PCA.fit(features, 2)
    assert pca.loss(features) == pytest.approx(np.var(features, axis=0).min() / 3, rel=0.05)
    np.testing.assert_allclose(pca.components @ pca.components.T, np.eye(2), atol=1e-12)


@pytest.mark.parametrize(
    "path", sorted((ANALYSIS / "configurations").glob("*.toml")), ids=lambda path: path.stem
)
def test_configurations_are_read(path):
    assert TrainingConfig.from_toml(path).epochs >= 100


def test_the_original_recipe_splits_the_jets_as_it_did():
    config = TrainingConfig.from_toml(ANALYSIS / "configurations" / "original.toml")
    assert 111_778 - round(111_778 * config.validation_fraction) == config.batch_size == 90_000


def test_a_scan(files, tmp_path):
    train, test = files
    base = tmp_path / "base.toml"
    base.write_text("epochs = 2\nbatch_size = 64\n[network]\nhidden = [8]\n")
    output = tmp_path / "scan.csv"
    command = [sys.executable, ANALYSIS / "scan.py", train, "--test", test, "-o", output, "--config", base]
    command += ["--vary", "learning_rate=1e-3,1e-2", "--vary", "network.activation=tanh,gelu"]
    command += ["--vary", "network.hidden=8-4,16", "--runs", tmp_path / "runs", "--processes", "2"]
    subprocess.run([*map(str, command)], check=True, env=THREADS, capture_output=True)
    table = rows(output)
    assert len(table) == 8
    losses = [float(row["validation_loss"]) for row in table]
    assert losses == sorted(losses)
    best = TrainingConfig.from_toml(Path(table[0]["run"]) / "config.toml")
    assert (best.learning_rate, best.network.activation) == (
        float(table[0]["learning_rate"]),
        table[0]["network.activation"],
    )
    assert {row["network.hidden"] for row in table} == {"[8, 4]", "16"}


def test_what_diverges_is_told_and_ends_no_scan(script, files, tmp_path):
    train, test = files
    base, output = tmp_path / "base.toml", tmp_path / "scan.csv"
    base.write_text("epochs = 1\nbatch_size = 64\n[network]\nhidden = [8]\n")
    words = [
        train,
        "--test",
        test,
        "-o",
        output,
        "--config",
        base,
        "--runs",
        tmp_path / "runs",
        "--processes",
        1,
    ]

    def scan(varied):
        return CliRunner().invoke(script("scan").main, [*map(str, words), "--vary", varied])

    done = scan("learning_rate=1e30,1e-3")
    assert done.exit_code == 0, done.output
    assert "learning_rate=1e+30: no epoch has a finite validation loss" in done.stderr
    assert [(row["learning_rate"], row["test_loss"] > "") for row in rows(output)] == [
        ("0.001", True),
        ("1e+30", False),
    ]
    output.unlink()
    for wrong in ("learning_rate=fast", "epochs.x=3", "nonsense=3"):
        failed = scan(wrong)
        assert failed.exit_code == 1
        assert failed.stderr.startswith("Error: ")
        assert len(failed.stderr.splitlines()) == 1
    assert not output.exists()


def test_a_random_scan_draws_from_ranges(script):
    scan = script("scan")
    varied = dict(scan.choices(text) for text in ("learning_rate=1e-4..1e-2", "network.activation=tanh,gelu"))
    found = scan.points(varied, 200, 0)
    rates = np.array([point["learning_rate"] for point in found])
    assert rates.min() >= 1e-4
    assert rates.max() <= 1e-2
    assert 0.35 < np.mean(rates < 1e-3) < 0.65  # even on a logarithmic scale
    assert {point["network.activation"] for point in found} == {"tanh", "gelu"}
    assert found == scan.points(varied, 200, 0)
    config = scan.configuration(hepae.TrainingConfig(), found[0])
    assert config.network.activation == found[0]["network.activation"]


@pytest.mark.parametrize("text", ["learning_rate", "learning_rate=", "learning_rate=2..1", "basis=a..b"])
def test_what_cannot_be_varied_is_said(script, text):
    with pytest.raises(ConfigError):
        script("scan").choices(text)


def test_a_range_needs_a_number_of_draws(script):
    with pytest.raises(ConfigError, match="--random"):
        script("scan").points({"learning_rate": (1e-4, 1e-2)}, None, 0)


def test_training_ideas_differ_in_one_thing_each(script, files):
    ideas = script("training_ideas")
    output = CliRunner().invoke(ideas.main, [str(files[0]), "--seeds", "1", "--epochs", "2"]).output
    lines = output.splitlines()[1:]
    assert len(lines) == len(ideas.ideas(2)) == 6
    assert all(0 < float(line.split(" epochs ")[1].split()[0]) < 1 for line in lines)
    configs = [*ideas.ideas(60).values()]
    assert configs[-2] == TrainingConfig(epochs=60).with_preset("folded")


def test_restored_spectra_in_all_ways(script, files, tmp_path, monkeypatch):
    spectra = script("restored_spectra")
    monkeypatch.setattr(spectra, "sample_path", lambda: files[0])
    monkeypatch.setattr(spectra, "FEWEST", 5)
    done = CliRunner().invoke(spectra.main, [str(files[1]), "-o", str(tmp_path), "--epochs", "1"])
    assert done.exit_code == 0, done.output
    table = rows(tmp_path / "restored_spectra.csv")
    assert len(table) == 2 * 2 * (1 + 2 * 4)
    assert {row["error"] for row in table if row["way"] == "decoder"} == {"1"}
    assert (tmp_path / "restored_spectra_mass.png").exists()


def test_many_columns_in_all_ways(script, files, tmp_path, monkeypatch):
    many = script("many_columns")
    for name, values in (("LATENTS", (3,)), ("BITS", (8, 10)), ("SHARES", (0.06, 0.25))):
        monkeypatch.setattr(many, name, values)
    done = CliRunner().invoke(
        many.main, [str(files[0]), "-o", str(tmp_path), "--epochs", "2", "--name", "four"]
    )
    assert done.exit_code == 0, done.output
    table = rows(tmp_path / "four.csv")
    assert [row["way"] for row in table] == ["3 latents", "PCA-3"] * 2 + ["bounds"] * 2
    wide, narrow = (float(row["error"]) for row in (table[-1], table[-2]))
    assert wide == pytest.approx(0.25, rel=0.15)
    assert narrow == pytest.approx(0.06, rel=0.15)
    assert (tmp_path / "four.png").exists()


@pytest.fixture(scope="module")
def two_kinds(tmp_path_factory):
    """Events of two jets: of ten particles within 0.1, and of twenty within 0.35 at higher pt; by the name of their file."""
    folder, rng, paths = tmp_path_factory.mktemp("kinds"), np.random.default_rng(1), []
    for name, count, width, softest in (("dijets", 10, 0.1, 25.0), ("ttbar", 20, 0.35, 30.0)):
        shape, many = (400, 2), (400, 2, count)
        eta, phi = rng.uniform(-2, 2, shape), rng.uniform(-3.1, 3.1, shape)
        share = rng.dirichlet(np.ones(count), shape)
        pt = softest / rng.uniform(0.1, 1, shape)
        cands = {
            "pt": share * pt[..., None],
            "eta": eta[..., None] + rng.uniform(-width, width, many) / 1.5,
            "phi": phi[..., None] + rng.uniform(-width, width, many) / 1.5,
            "pdgId": rng.choice([211, -211, 22, 130, 11], many).astype(np.int32),
        }
        jets = {"pt": pt, "eta": eta, "phi": phi, "mass": pt * rng.uniform(0.05, 0.15, shape)}
        paths.append(folder / f"{name}.root")
        with uproot.recreate(paths[-1]) as file:
            branches = {f"Jet_{key}": ak.from_regular(values) for key, values in jets.items()}
            branches |= {f"GenCands_{key}": ak.from_regular(v.reshape(400, -1)) for key, v in cands.items()}
            file.mktree("Events", {key: values.type.content for key, values in branches.items()})
            file["Events"].extend(branches)
    return paths


def test_latents_tell_jets_apart(script, two_kinds, tmp_path, monkeypatch):
    uses = script("latent_uses")
    monkeypatch.setattr(uses, "PT_EDGES", np.geomspace(20, 500, 9))
    done = CliRunner().invoke(
        uses.main, [*map(str, two_kinds), "-o", str(tmp_path), "--epochs", "3", "--seeds", "2"]
    )
    assert done.exit_code == 0, done.output
    table = {row["input"]: row for row in rows(tmp_path / "latent_uses.csv")}
    assert float(table["all 17 columns"]["auc_equal_pt"]) > 0.95
    assert float(table["8 latents"]["auc_equal_pt"]) > 0.8
    assert float(table["error of 8 components"]["auc_equal_pt"]) > 0.7
    assert float(table["pt"]["auc"]) > 0.55
    assert float(table["pt"]["auc_equal_pt"]) == pytest.approx(0.5, abs=0.05)
    assert np.ptp(imread(tmp_path / "latent_uses.png")[..., :3]) > 0.5


def test_shapes_of_a_jet_of_two_particles(script):
    """A charged pion with three quarters of the pt, and a photon 0.2 away in phi across ±π; a third one lies outside."""
    events = ak.Array(
        {
            **{
                f"Jet_{name}": [[value]]
                for name, value in (("pt", 40.0), ("eta", 0.0), ("phi", 3.1), ("mass", 5.0))
            },
            "GenCands_pt": [[30.0, 10.0, 50.0]],
            "GenCands_eta": [[0.0, 0.0, 1.0]],
            "GenCands_phi": [[3.1, 3.3 - 2 * np.pi, 3.1]],
            "GenCands_pdgId": [[-211, 22, 211]],
        }
    )
    (jet,) = script("latent_uses").jets_of(events).tolist()
    assert (jet["nConstituents"], jet["nCharged"]) == (2, 1)
    expected = {
        "chHEF": 0.75,
        "neEmEF": 0.25,
        "charge": -0.75,
        "leadFraction": 0.75,
        "leadTrackFraction": 0.75,
    }
    expected |= {"axis2": 0, "axis1": 0.2 * 0.3, "neHEF": 0, "chEmEF": 0, "ptD": (0.75**2 + 0.25**2) ** 0.5}
    assert {name: jet[name] for name in expected} == pytest.approx(expected, abs=1e-6)


def test_area_under_the_curve(script):
    uses = script("latent_uses")
    ttbar = np.array([False, True, False, True])
    for scores, area in (([0, 1, 0, 1], 1), ([1, 0, 1, 0], 0), ([2, 2, 2, 2], 0.5), ([0, 1, 2, 3], 0.75)):
        assert uses.area(uses.roc(np.array(scores), ttbar, np.ones(4))) == pytest.approx(area)
    weighted = uses.roc(np.array([0, 1, 2, 3]), ttbar, np.array([1, 1, 0, 1]))  # without the dijet in front
    assert uses.area(weighted) == pytest.approx(1)
