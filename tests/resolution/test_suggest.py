from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
import uproot

import hepae
from hepae.errors import ConfigError, InputError
from hepae.kinematics import flat_column
from hepae.resolution.parametrisation import Parametrisation
from hepae.resolution.suggest import suggest
from hepae.resolution.widening import bound_over_sigma, widening_of
from hepae.verification.bin_shifts import BinAxis, BinShifts


def measured(original, bounds, parametrisation, tmp_path, **options):
    """Widening of each column with a resolution, and bytes a jet, of a file that was compressed."""
    summary = hepae.compress_file(original, tmp_path / "small.root", hepae.BoundedCodec(bounds), **options)
    before = hepae.read_jets(original, **options)
    with hepae.open(tmp_path / "small.root") as file:
        after = file.jets()
    found = {}
    for name, sigma in parametrisation.columns.items():
        one, other = (np.asarray(flat_column(jets, name), np.float64) for jets in (before, after))
        found[name] = widening_of(other - one, sigma(one))
    return found, summary.coded_after / summary.jets, (before, after)


def test_the_bundled_jets_are_widened_by_less_than_was_asked_with_fewer_bytes(sample, tmp_path):
    found = suggest(sample, widen=0.001, resolution="ATLAS")
    widened, size, _ = measured(
        sample, found.bounds, Parametrisation.load("ATLAS"), tmp_path, collection="Jet"
    )
    assert set(widened) == {"pt", "eta", "phi", "mass"}
    assert all(0 < value <= 0.001 for value in widened.values()), widened
    default = hepae.compress_file(sample, tmp_path / "default.root", hepae.BoundedCodec())
    assert size < default.coded_after / default.jets


def test_a_budget_is_met_and_shared_out_alike(sample, tmp_path):
    found = suggest(sample, bytes_per_jet=4, resolution="ATLAS")
    columns = found.collections["Jet"]
    assert found.bytes_per_jet("Jet")[1] == pytest.approx(4, rel=0.01)
    widened = [each.widening for each in columns.values()]
    assert max(widened) < 1.05 * min(widened)
    summary = hepae.compress_file(sample, tmp_path / "small.root", hepae.BoundedCodec(found.bounds))
    assert summary.coded_after / summary.jets == pytest.approx(4, rel=0.02)
    with pytest.raises(ConfigError, match=r"--bytes 0\.001 cannot be met: .* need \d"):
        suggest(sample, bytes_per_jet=0.001)


def test_eighteen_columns(data, tmp_path):
    path = data / "pythia_jets_18columns.root"
    found = suggest(path, widen=0.001)
    columns = found.collections["Jet"]
    assert {name for name, each in columns.items() if each.bound.exact} == {"nConstituents", "nCharged"}
    assert all(each.widening <= 0.001 for each in columns.values() if each.widening is not None)
    assert "relative" not in columns["chHEF"].reason
    assert columns["chHEF"].bound.relative == 0  # a fraction has an absolute bound
    widened, size, (before, after) = measured(path, found.bounds, Parametrisation.load("CMS"), tmp_path)
    assert all(value <= 0.001 for value in widened.values()), widened
    default = hepae.compress_file(path, tmp_path / "default.root", hepae.BoundedCodec())
    assert size < 0.6 * default.coded_after / default.jets
    for name in ("chHEF", "ptD", "girth"):
        one, other = (ak.to_numpy(ak.flatten(jets[name])) for jets in (before, after))
        low, high = np.quantile(one, (0.005, 0.995))
        counts = [np.histogram(values, 50, (low, high))[0] for values in (one, other)]
        seen = counts[0] >= 100
        assert np.sqrt(np.mean((np.diff(counts, axis=0)[0][seen] ** 2) / counts[0][seen])) < 0.1


def test_columns_that_were_truncated_stay_exact_and_their_bits_are_named(data):
    columns = suggest(data / "nanoaod_tt_v12.root").collections["Jet"]
    for name, bits in {"pt": 10, "eta": 12, "phi": 12, "mass": 10, "chHEF": 6, "btagDeepFlavB": 10}.items():
        assert columns[name].bound.exact, name
        assert columns[name].reason == f"exact: already truncated to {bits} bits of mantissa"
    assert columns["area"].reason.startswith("exact: only 54 different values")
    for name in ("jetId", "nMuons", "genJetIdx"):
        assert columns[name].reason == "exact: integers"


@pytest.fixture
def hits(make_tree):
    """Muons with an error beside a column, and columns that must stay exact."""
    random = np.random.default_rng(3)
    counts = random.integers(0, 4, 4000)
    jets = int(counts.sum())
    dxy = random.normal(0, 0.01, jets).astype(np.float32)
    columns = {
        "pt": random.exponential(40, jets) + 5,
        "eta": random.normal(0, 1, jets),
        "phi": random.uniform(-3, 3, jets),
        "mass": np.full(jets, 0.10566),
        "dxy": dxy,
        "dxyErr": np.full(jets, 0.002) * random.uniform(0.9, 1.1, jets),
        "weight": random.uniform(0.9, 1.1, jets),
        "index": random.integers(-1, 400, jets).astype(np.float64),
    }
    arrays = {
        f"Muon_{name}": ak.unflatten(values.astype(np.float32), counts) for name, values in columns.items()
    }
    arrays = {
        "run": np.ones(4000, np.int32),
        "luminosityBlock": np.ones(4000, np.int32),
        "event": np.arange(4000),
    } | arrays
    return make_tree(arrays, counters={name: "nMuon" for name in arrays if name.startswith("Muon")})


def test_a_resolution_that_stands_in_the_file_is_used(hits):
    columns = suggest(hits, collection="Muon", widen=0.01).collections["Muon"]
    assert columns["dxy"].reason == "resolution in dxyErr widened by at most 1 %"
    assert columns["dxy"].bound.absolute == pytest.approx(0.9 * 0.002 * bound_over_sigma(0.01), rel=0.1)
    assert 0 < columns["dxy"].widening < 0.01
    assert columns["weight"].reason == "exact: a weight or scale factor"
    assert columns["index"].reason == "exact: whole numbers"
    assert columns["mass"].reason == "exact: only 1 different values"
    assert columns["pt"].bound.relative > 0  # the resolution of jets is not that of muons
    assert "statistical error" in columns["pt"].reason or "width" in columns["pt"].reason


def write_objects(path, columns, counts, name="Tau"):
    """Write objects without a counter of their own."""
    arrays = {f"{name}_{column}": ak.unflatten(v.astype(np.float32), counts) for column, v in columns.items()}
    with uproot.recreate(path) as file:
        file.mktree("tree", dict.fromkeys(arrays, "var * float32"))
        file["tree"].extend(arrays)
    return path


def objects(count, seed=5, pt=2000.0):
    random = np.random.default_rng(seed)
    columns = {"pt": random.normal(pt, pt / 10, count), "eta": random.normal(0, 1, count)}
    return columns | {"phi": random.uniform(-3, 3, count), "mass": random.exponential(5, count)}


def test_a_narrow_spectrum_at_high_energy_moves_no_bin(tmp_path):
    columns = objects(20_000)
    path = write_objects(tmp_path / "taus.root", columns, np.full(10_000, 2))
    found = suggest(path, unit="GeV").collections["Tau"]["pt"]
    assert "statistical error" in found.reason
    before = columns["pt"]
    shifts = BinShifts(BinAxis.fit("pt", before))
    random = np.random.default_rng(6).uniform(-1, 1, len(before))
    shifts.fill(before, before + found.bound.allowed(before) * random)
    assert np.sqrt(np.mean(shifts.over_error**2)) < 0.1


def test_jets_of_all_files_count_where_no_file_counts_them(tmp_path, monkeypatch):
    monkeypatch.setattr("hepae.resolution.suggest.SAMPLE_JETS", 1000)
    paths = [
        write_objects(tmp_path / f"{i}.root", objects(count, pt=40), np.full(count // 2, 2))
        for i, count in enumerate((2000, 6000))
    ]
    assert suggest(paths, unit="GeV").jets == {"Tau": 8000}


def test_files_with_other_columns_are_named(tmp_path):
    few, counts = objects(100, pt=40), np.full(50, 2)
    one = write_objects(tmp_path / "one.root", few, counts)
    more = write_objects(tmp_path / "more.root", few | {"x": few["pt"]}, counts)
    other = write_objects(tmp_path / "other.root", few, counts, "Muon")
    for paths in ([more, one], [one, more], [one, other]):
        with pytest.raises(InputError, match="do not have the same columns of Tau"):
            suggest(paths, unit="GeV")


def test_a_resolution_of_ones_own(sample, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\n[pt]\nrelative = 0.2\n')
    columns = suggest(sample, resolution=path, widen=0.001).collections["Jet"]
    assert columns["pt"].bound.relative == pytest.approx(0.2 * bound_over_sigma(0.001), rel=0.1)
    assert columns["pt"].reason.startswith("resolution of mine")
    for text, error in [
        ("[pt]\nspread = 1\n", r"\[pt\] has 'spread'"),
        ("[pt]\nnoise = -1\n", "is a number, 0 or more"),
        ('name = "x"\n', "has no column"),
        ("[pt\n", "line 1"),
        ("mass = 0.1\n[pt]\nrelative = 0.1\n", r"write \[mass\] and below it relative = 0.1"),
    ]:
        path.write_text(text)
        with pytest.raises(ConfigError, match=error):
            suggest(sample, resolution=path)
    with pytest.raises(ConfigError, match="no resolution 'LHCb'"):
        suggest(sample, resolution="LHCb")
