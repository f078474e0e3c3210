"""Input files of one call: one unit, one open at a time, none replaced while it is read."""

from __future__ import annotations

import gc
import shutil
import subprocess
import sys
import warnings

import awkward as ak
import fsspec
import h5py
import numpy as np
import pytest
import uproot
from click.testing import CliRunner

import hepae
from hepae.cli import main
from hepae.comparison import compare_files
from hepae.errors import ConfigError, InputError, UnitWarning
from hepae.io.readers import open_source
from hepae.io.tables import MemoryTable
from hepae.validation.canvas import Style


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def flat(make_tree):
    """Write flat jets with this median pt."""

    def make(name, median, jets=3001):
        rng = np.random.default_rng(jets)
        pt = median * np.linspace(0.5, 1.5, jets)
        eta, phi = rng.uniform(-2, 2, jets), rng.uniform(-3, 3, jets)
        return make_tree({"pt": pt, "eta": eta, "phi": phi, "m": pt / 10}, name=name)

    return make


@pytest.fixture
def low_and_high(flat):
    """Two files in GeV; the values of the second one look like MeV."""
    return flat("low.root", 50), flat("high.root", 1500)


@pytest.fixture
def replaced(tmp_path):
    """A file, and a function that puts another one with the same layout, byte for byte, in its place."""
    for name, scale in (("jets.root", 5e4), ("twin.root", 6e4)):
        columns = {column: np.full(20_000, scale) for column in ("pt", "eta", "phi", "m")}
        with uproot.recreate(tmp_path / name, compression=None) as file:
            file.mktree("Events", dict.fromkeys(columns, "float64")).extend(columns)
    return tmp_path / "jets.root", lambda: (tmp_path / "twin.root").replace(tmp_path / "jets.root")


# One unit


@pytest.mark.filterwarnings("ignore::hepae.errors.UnitWarning")
def test_files_of_one_call_have_one_unit(low_and_high, tmp_path):
    words = r"low\.root seems to be in GeV and .*high\.root in MeV.*--unit"
    with pytest.raises(InputError, match=words):
        hepae.read_jets(low_and_high)
    steps = hepae.iterate_jets(low_and_high)
    assert ak.max(next(steps).pt) == 75
    with pytest.raises(InputError, match=words):
        next(steps)
    with pytest.raises(InputError, match=words):
        hepae.compress_file(low_and_high, tmp_path / "out.root", hepae.BoundedCodec())
    assert not (tmp_path / "out.root").exists()


def test_the_unit_that_is_given_holds_for_all_files(low_and_high, tmp_path):
    assert ak.max(hepae.read_jets(low_and_high, unit="GeV").pt) == 2250
    hepae.compress_file(low_and_high, tmp_path / "out.root", hepae.BoundedCodec(), unit="GeV")
    with hepae.open(tmp_path / "out.root") as file:
        assert 2247 < ak.max(file.jets().pt) < 2253


def test_jets_for_training_and_for_validation_have_one_unit(low_and_high, tmp_path):
    low, high = low_and_high
    result = run(
        "train", low, "--validation", high, "-o", tmp_path / "m.safetensors", "--epochs", 1, "--quiet"
    )
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert "low.root" in line
    assert "high.root" in line
    assert "--unit" in line


@pytest.mark.filterwarnings("ignore::hepae.errors.UnitWarning")
def test_files_without_jets_take_the_unit_of_the_others(flat, tmp_path):
    paths = [flat("none.root", 1, 0), flat("mev.root", 5e4), flat("nothing.root", 1, 0)]
    assert ak.max(hepae.read_jets(paths).pt) == 75
    hepae.compress_file(paths, tmp_path / "out.root", hepae.BoundedCodec())
    with hepae.open(tmp_path / "out.root") as file:
        assert file.collections["jets"].unit == "MeV"
        assert 74.9 < ak.max(file.jets().pt) < 75.1


@pytest.mark.filterwarnings("ignore::hepae.errors.UnitWarning")
def test_the_unit_is_told_by_the_first_jets_wherever_they_are(make_tree):
    counts = np.append(np.zeros(25_000, np.int64), [2, 1])
    values = {"pt": [5e4, 6e4, 7e4], "eta": [0.0, 1, 2], "phi": [0.0, 1, 2], "m": [5e3, 5e3, 5e3]}
    path = make_tree({f"jets_{name}": ak.unflatten(np.array(v), counts) for name, v in values.items()})
    assert ak.flatten(hepae.read_jets(path).pt).tolist() == [50, 60, 70]


# What was assumed is said


def test_a_warning_says_which_unit_was_assumed(flat):
    first, second = flat("first.root", 5e4), flat("second.root", 6e4)
    with pytest.warns(UnitWarning, match=r"first\.root are taken as MeV.*unit=") as found:
        hepae.read_jets([first, second])
    assert [warning.filename for warning in found] == [__file__]
    with pytest.warns(UnitWarning, match="MeV") as found:
        list(hepae.iterate_jets([first, second], step_size=100))
    assert [warning.filename for warning in found] == [__file__]
    assert ak.max(hepae.read_jets(first, unit="MeV").pt) == 75  # warnings are errors here


def test_nothing_is_assumed_of_nanoaod(sample):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        hepae.read_jets(sample)
    assert found == []


@pytest.mark.usefixtures("figures")
@pytest.mark.parametrize("command", ["info", "compress", "train", "compare"])
def test_commands_say_the_assumed_unit_in_one_note(flat, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    flat("jets.root", 5e4)
    arguments = {
        "info": ("info", "jets.root"),
        "compress": ("compress", "jets.root", "-o", "out.root", "--force"),
        "train": (
            "train",
            "jets.root",
            "jets.root",
            "--test",
            "jets.root",
            "-o",
            "m.safetensors",
            "--epochs",
            1,
            "--force",
        ),
        "compare": ("compare", "jets.root", "jets.root", "-o", "plots", "--force"),
    }[command]
    if command == "train":
        arguments += ("--hidden", "4")
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    notes = [line for line in result.stderr.splitlines() if "MeV" in line]
    assert len(notes) == 1
    assert notes[0].startswith("note: pt, mass and E in jets.root are taken as MeV")
    assert "UnitWarning" not in result.output
    quiet = run(*arguments, "--quiet")
    assert quiet.exit_code == 0
    assert quiet.stderr == ""
    assert run(*arguments, "--unit", "MeV", "--quiet").exit_code == 0


# A unit that contradicts the file


NAMES = {
    "nanoaod": ("GeV", "nJet", "Jet_{}", ("pt", "eta", "phi", "mass")),
    "delphes": ("GeV", "Jet_size", "Jet.{}", ("PT", "Eta", "Phi", "Mass")),
    "xaod": ("MeV", None, "AnalysisJetsAuxDyn.{}", ("pt", "eta", "phi", "m")),
}


@pytest.mark.parametrize("layout", NAMES)
def test_a_unit_that_contradicts_the_layout_is_refused(make_tree, tmp_path, layout):
    unit, counter, pattern, names = NAMES[layout]
    lists = ak.Array([[50.0, 40.0], [30.0]])
    arrays = {pattern.format(name): lists for name in names}
    signs = {name: np.ones(2, np.int32) for name in ("run", "luminosityBlock", "event")}
    path = make_tree({**signs, **arrays}, counters=dict.fromkeys(arrays, counter) if counter else None)
    other = {"GeV": "MeV", "MeV": "GeV"}[unit]
    with open_source(path) as source:
        assert source.layout.name == layout
    assert ak.num(hepae.read_jets(path, unit=unit)).tolist() == [2, 1]
    with pytest.raises(ConfigError, match=rf"{layout}, with energies in {unit}, not in {other}"):
        hepae.read_jets(path, unit=other)
    for command in (("compress", path, "-o", tmp_path / "out.root"), ("info", path)):
        result = run(*command, "--unit", other)
        assert result.exit_code == 2
        (line,) = result.stderr.splitlines()
        assert line.startswith("Error: ")
        assert "leave --unit out" in line
    assert not (tmp_path / "out.root").exists()


@pytest.mark.usefixtures("figures")
def test_a_comparison_has_the_unit_of_the_compression(flat, tmp_path):
    path, small = flat("high.root", 1500), tmp_path / "small.root"
    hepae.compress_file(path, small, hepae.BoundedCodec(), unit="GeV")
    columns = compare_files(path, small, tmp_path / "plots", style=Style()).metrics["columns"]
    assert {columns[name]["violations"] for name in ("pt", "eta", "phi", "mass")} == {0}
    assert 1 < columns["pt"]["max_abs"] < 2.3
    with pytest.raises(ConfigError, match="compressed with energies in GeV, not in MeV"):
        compare_files(path, small, tmp_path / "other", style=Style(), unit="MeV")


# A file that is replaced


def test_a_file_that_is_replaced_while_it_is_compressed(replaced, tmp_path):
    path, replace = replaced
    steps = []

    def progress(done, _total):
        steps.append(done)
        if done == 5000:
            replace()

    with pytest.raises(InputError, match=r"jets\.root was replaced or changed"):
        hepae.compress_file(
            path, tmp_path / "out.root", hepae.BoundedCodec(), unit="MeV", step_size=1000, progress=progress
        )
    assert steps[-1] == 20_000
    assert [file.name for file in tmp_path.iterdir()] == ["jets.root"]


def test_a_file_that_is_replaced_before_its_turn(replaced, flat, tmp_path):
    path, replace = replaced
    first = flat("first.root", 5e4)

    def progress(done, _total):
        if done == 1000:
            replace()

    with pytest.raises(InputError, match=r"jets\.root was replaced or changed"):
        hepae.compress_file(
            [first, path],
            tmp_path / "out.root",
            hepae.BoundedCodec(),
            unit="MeV",
            step_size=1000,
            progress=progress,
        )
    assert not (tmp_path / "out.root").exists()


def test_a_file_that_is_replaced_while_it_is_read(replaced):
    path, replace = replaced
    steps = hepae.iterate_jets(path, unit="MeV", step_size=5000)
    next(steps)
    replace()
    with pytest.raises(InputError, match=r"jets\.root was replaced or changed"):
        list(steps)


def test_a_file_that_is_written_to_while_it_is_read(tmp_path):
    path = tmp_path / "jets.csv"
    path.write_text("pt,eta,phi,m\n" + "50,0,0,5\n" * 100)
    steps = hepae.iterate_jets(path, unit="GeV", step_size=50)
    next(steps)
    with path.open("a") as file:
        file.write("60,0,0,5\n")
    with pytest.raises(InputError, match=r"jets\.csv was replaced or changed"):
        list(steps)


def test_a_url_whose_file_is_replaced_while_it_is_read(replaced):
    path, _ = replaced
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/replaced/jets.root", path.read_bytes())
    steps = hepae.iterate_jets("memory://replaced/jets.root", unit="MeV", step_size=5000)
    next(steps)
    memory.pipe_file("/replaced/jets.root", path.read_bytes())
    with pytest.raises(InputError, match=r"memory://replaced/jets\.root was replaced or changed"):
        list(steps)
    memory.rm("/replaced", recursive=True)


def test_a_compressed_file_that_is_replaced_while_it_is_restored(sample, tmp_path):
    small, other, back = (tmp_path / name for name in ("small.root", "twin.root", "back.root"))
    hepae.compress_file(sample, small, hepae.BoundedCodec())
    shutil.copy(small, other)
    with pytest.raises(InputError, match=r"small\.root was replaced or changed"):
        hepae.decompress_file(
            small, back, step_size=5000, progress=lambda *_: other.exists() and other.replace(small)
        )
    assert not back.exists()


# One file open at a time


@pytest.mark.parametrize("kind", ["root", "h5"])
def test_hundreds_of_files_need_few_descriptors(flat, tmp_path, kind):
    first = flat("0.root", 50, 20)
    if kind == "h5":
        jets = hepae.read_jets(first, unit="GeV")
        first.unlink()
        with h5py.File(tmp_path / "0.h5", "w") as file:
            for name in ("pt", "eta", "phi", "mass"):
                file[name] = ak.to_numpy(jets[name])
    for number in range(1, 300):
        shutil.copy(tmp_path / f"0.{kind}", tmp_path / f"{number}.{kind}")
    script = """
import resource, sys
import hepae
from hepae.cli import main
resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
assert len(hepae.read_jets(sys.argv[1:], unit="GeV")) == 6000
hepae.compress_file(sys.argv[1:], "out/small.root", hepae.BoundedCodec(), unit="GeV")
with hepae.open("out/small.root") as file:
    assert file.header.jets == 6000
main(["train", *sys.argv[1:], "-o", "m.safetensors", "--epochs", "1", "--hidden", "4", "--unit", "GeV", "--quiet"])
"""
    (tmp_path / "out").mkdir()
    names = [f"{number}.{kind}" for number in range(300)]
    done = subprocess.run(
        [sys.executable, "-c", script, *names], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "m.safetensors").exists()


def test_one_table_is_in_memory_at_a_time(tmp_path):
    paths = [tmp_path / f"{number}.csv" for number in range(5)]
    for path in paths:
        path.write_text("pt,eta,phi,m\n" + "50,0,0,5\n" * 100)
    most = 0

    def count(*_):
        nonlocal most
        gc.collect()
        most = max(most, sum(type(thing) is MemoryTable for thing in gc.get_objects()))

    hepae.compress_file(paths, tmp_path / "out.root", hepae.BoundedCodec(), unit="GeV", progress=count)
    assert most == 1
