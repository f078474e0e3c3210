"""Files say what became of their originals, in plain ROOT; what was restored is not compressed again by accident."""

from __future__ import annotations

import json
from types import SimpleNamespace

import awkward as ak
import numpy as np
import pytest
import uproot
from click.testing import CliRunner

import hepae
from hepae.bounds import Bound
from hepae.cli import main
from hepae.errors import InputError
from hepae.files.coded_columns import together
from hepae.files.description import describe
from hepae.files.history import History, InputFile, branch_title
from hepae.files.joining import join_files
from hepae.io.objects import HISTORY
from hepae.verification.verify import verify

BOUNDS = {"pt": "0.1%", "mass": "1%+1MeV"}


@pytest.fixture(scope="module")
def files(sample, tmp_path_factory):
    """An original, compressed and restored, by the command line."""
    folder = tmp_path_factory.mktemp("history")
    exact = hepae.BoundedCodec(dict.fromkeys(("pt", "eta", "phi", "mass"), "exact"))
    hepae.compress_file(sample, folder / "exact.root", exact, entry_stop=1000)
    hepae.decompress_file(folder / "exact.root", folder / "jets.root")
    with uproot.open(folder / "jets.root") as file:  # without its history: the original
        arrays = file["Events"].arrays(how=dict)
    with uproot.recreate(folder / "original.root") as file:
        jets = {
            name: ak.zip({n: arrays[f"{name}_{n}"] for n in ("pt", "eta", "phi", "mass")})
            for name in ("Jet", "GenJet")
        }
        flat = {name: arrays[name] for name in ("run", "luminosityBlock", "event", "MET_pt")}
        types = {name: array.type.content for name, array in {**flat, **jets}.items()}
        file.mktree("Events", types).extend({**flat, **jets})
    run(
        "compress",
        folder / "original.root",
        "-o",
        folder / "small.root",
        *bounds_of(BOUNDS),
        "--edges",
        "pt=30,50",
    )
    run("decompress", folder / "small.root", "-o", folder / "back.root")
    return SimpleNamespace(**{p.stem: p for p in folder.iterdir()}, folder=folder)


def run(*arguments, status=0):
    result = CliRunner().invoke(main, [*map(str, arguments), "--quiet"])
    assert result.exit_code == status, result.output
    return result


def bounds_of(bounds):
    return [f"--bound={name}={bound}" for name, bound in bounds.items()]


def history_of(path):
    with uproot.open(path) as file:
        assert file.classnames()[f"{HISTORY};1"] == "TObjString"
        return json.loads(str(file[HISTORY]))


@pytest.mark.parametrize("which", ["small", "back"])
def test_a_text_in_plain_root_says_what_was_done(files, which):
    found = history_of(getattr(files, which))
    (step,) = found["steps"]
    with uproot.open(files.original) as file:
        uuid = str(file.file.uuid)
    assert step["inputs"] == [{"name": "original.root", "uuid": uuid}]
    assert step["command"].startswith("hepae compress ")
    assert "--edges pt=30,50" in step["command"]
    assert step["algorithm"] == "subtractive_dither"
    assert step["implementation"].startswith("hepae version ")
    assert step["date"].endswith("+00:00")
    assert step["collections"]["Jet"]["bounds"] == {
        "pt": "0.1%",
        "eta": "0.001",
        "phi": "0.001",
        "mass": "1%+1MeV",
    }
    assert step["collections"]["Jet"]["edges"] == {"pt": "30GeV,50GeV"}
    assert found["generation"] == 1
    assert found["columns"]["Jet.pt"] == "|value - original| <= 0.1% of |original|"
    assert (found["restored"] is None) == (which == "small")


def test_info_shows_the_history_of_a_restored_file(files):
    assert describe(files.back)["history"]["generation"] == 1
    assert "history" not in describe(files.original)
    printed = run("info", files.back).stdout
    for text in ("restored from a compressed file, generation 1", "original.root (", "Jet.pt: |value"):
        assert text in printed


def test_a_restored_file_verifies_within_the_bounds_of_its_history(files):
    certificate = verify(files.original, files.back)
    assert certificate.ok, certificate.broken
    found = certificate.to_json()
    assert found["promised_by"] == "the history of the file"
    assert found["collections"]["Jet"]["columns"]["pt"]["edges"] == "30GeV,50GeV"
    assert 0.9 < found["collections"]["Jet"]["columns"]["mass"]["largest_error_over_bound"] <= 1


def test_what_was_restored_is_not_compressed_again_by_accident(files, tmp_path):
    with pytest.raises(InputError, match=r"restored from a compressed file \(pt 0\.1%.*--again"):
        hepae.compress_file(files.back, tmp_path / "again.root", hepae.BoundedCodec(BOUNDS))
    assert not (tmp_path / "again.root").exists()
    result = run("compress", files.back, "-o", tmp_path / "again.root", status=1)
    assert "--again" in result.stderr
    # columns that did not change, and every bit of those that did, may be compressed
    hepae.compress_file(files.back, tmp_path / "gen.root", hepae.BoundedCodec(), collection="GenJet")
    exact = dict.fromkeys(("pt", "eta", "phi", "mass"), "exact")
    hepae.compress_file(files.back, tmp_path / "exact.root", hepae.BoundedCodec(exact))
    assert verify(files.original, tmp_path / "exact.root").ok
    gen = history_of(tmp_path / "gen.root")
    assert (gen["generation"], gen["columns"].keys() >= {"Jet.pt", "GenJet.pt"}) == (2, True)


def test_again_records_the_sum_of_both_bounds(files, tmp_path):
    again, back = tmp_path / "again.root", tmp_path / "back.root"
    run("compress", files.back, "-o", again, *bounds_of(BOUNDS), "--edges", "pt=50", "--again")
    run("decompress", again, "-o", back)
    for path in (again, back):
        found = history_of(path)
        assert found["generation"] == 2
        assert found["columns"]["Jet.pt"] == "|value - original| <= 0.2001% of |original|"
        assert found["columns"]["Jet.mass"] == "|value - original| <= 2.01% of |original| + 2.01MeV"
        certificate = verify(files.original, path)
        assert certificate.ok, certificate.broken
        column = certificate.to_json()["collections"]["Jet"]["columns"]["pt"]
        assert (column["bound"], column["edges"]) == ("0.2001%", "50GeV")
        assert 0.5 < column["largest_error_over_bound"] <= 1
        assert not verify(files.original, path, bounds=BOUNDS).ok
        assert verify(files.back, path).to_json()["collections"]["Jet"]["columns"]["pt"]["bound"] == "0.1%"


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [
        ("0.1%", "0.1%", "0.2001%"),
        ("0.001", "0.001", "0.002"),
        ("1%+1MeV", "exact", "1%+1MeV"),
        ("exact", "exact", "exact"),
        ("1GeV", "1MeV", "1.001GeV"),
        ("50%", "1GeV", "50%+1GeV"),
    ],
)
def test_two_errors_together(first, second, both):
    assert str(together(Bound.parse(first), Bound.parse(second))) == both
    assert together(Bound.parse(first), None) is None


def test_the_sum_holds_in_the_worst_case():
    one, two = Bound.parse("1%+1MeV"), Bound.parse("2%+3MeV")
    total = together(one, two)
    for value in np.geomspace(1e-3, 1e3, 50):
        worst = value + one.allowed(value)
        worst += two.allowed(worst)
        assert worst - value <= total.allowed(value) * (1 + 1e-12)


def test_parquet_has_the_history_too(files, tmp_path):
    hepae.decompress_file(files.small, tmp_path / "back.parquet")
    assert verify(files.original, tmp_path / "back.parquet").ok
    with pytest.raises(InputError, match="--again"):
        hepae.compress_file(tmp_path / "back.parquet", tmp_path / "x.root", hepae.BoundedCodec(), unit="GeV")


def test_files_that_were_joined(files, tmp_path):
    parts = []
    for i in range(2):
        parts.append(tmp_path / f"{i}.root")
        begin, end = 500 * i, 500 * (i + 1)
        hepae.compress_file(
            files.original, parts[-1], hepae.BoundedCodec(BOUNDS), entry_start=begin, entry_stop=end
        )
    join_files(parts, tmp_path / "joined.root")
    assert len(history_of(tmp_path / "joined.root")["steps"][0]["inputs"]) == 1
    assert verify(files.original, tmp_path / "joined.root").ok


def test_files_of_before_have_a_history_without_a_date(tmp_path):
    golden = __file__.replace("files/test_history.py", "golden/bounded_v1.root")
    hepae.decompress_file(golden, tmp_path / "back.root")
    found = history_of(tmp_path / "back.root")
    assert found["generation"] == 1
    assert found["steps"][0]["date"] is None
    assert found["columns"]


def test_a_history_of_another_checksum_is_damaged(files, tmp_path):
    path = tmp_path / "damaged.root"
    path.write_bytes(files.back.read_bytes())
    with uproot.open(path) as file:
        text = str(file[HISTORY])
    with uproot.update(path) as file:
        del file[HISTORY]
        file[HISTORY] = text.replace("0.1%", "0.9%", 1)
    with pytest.raises(InputError, match=r"its hepae_history is malformed \(checksum mismatch\)"):
        verify(files.original, path)


def test_the_same_jets_give_the_same_trees_whenever_they_are_compressed(files, tmp_path):
    headers = []
    for i in range(2):
        path = tmp_path / f"{i}.root"
        hepae.compress_file(files.original, path, hepae.BoundedCodec(), command=f"command {i}")
        with uproot.open(path) as file:
            headers.append(file["hepae"].arrays(how=dict)["header"].tolist())
        assert history_of(path)["steps"][0]["command"] == f"command {i}"
    assert headers[0] == headers[1]


@pytest.mark.parametrize("text", ["[]", "{", '{"version": 2}', '{"version": 1, "steps": [{"algorithm": 1}]}'])
def test_a_damaged_history_is_one_line(files, tmp_path, text):
    path = tmp_path / "damaged.root"
    path.write_bytes(files.back.read_bytes())
    with uproot.update(path) as file:
        del file[HISTORY]
        file[HISTORY] = text
    with pytest.raises(InputError, match="its hepae_history is malformed"):
        verify(files.original, path)


def test_commands_without_secrets(files, tmp_path):
    command = "hepae compress 'https://me:word@host/a.root?signature=1'"
    hepae.compress_file(files.original, tmp_path / "a.root", hepae.BoundedCodec(), command=command)
    assert history_of(tmp_path / "a.root")["steps"][0]["command"] == "hepae compress 'https://host/a.root'"


def test_a_title_tells_bound_and_generation(files):
    with hepae.open(files.small) as file:
        title = branch_title(file.history, "Jet", "pt", "transverse momentum")
        assert title.startswith(
            "transverse momentum; |value - original| <= 0.1% of |original| (hepae version "
        )
        assert title.endswith("generation 1)")
        assert title.isascii()
        assert branch_title(file.history, "GenJet", "pt", "as it was") == "as it was"
        assert isinstance(file.history, History)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("https://host/folder/jets.root?token=a/b", "jets.root"),
        ("root://me:word@host//store/jets.root", "jets.root"),
        ("/data/jets?.root", "jets?.root"),
    ],
)
def test_the_name_of_an_input_holds_no_secret(path, name):
    assert InputFile.of(SimpleNamespace(path=path, uuid="1-2")) == InputFile(name, "1-2")
