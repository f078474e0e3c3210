from __future__ import annotations

import json
import re
import subprocess
import sys

import awkward as ak
import numpy as np
import pytest
import uproot
from click.testing import CliRunner

import hepae
from hepae.cli import main
from hepae.comparison import compare_files
from hepae.errors import InputError
from hepae.io.readers import open_source
from hepae.io.writers import TreeWriter
from hepae.validation.canvas import Style

MERGE = """
import sys, ROOT
merger = ROOT.TFileMerger(False)
merger.OutputFile(sys.argv[1], True)
for path in sys.argv[2:]:
    merger.AddFile(path)
assert merger.Merge()
"""

pytestmark = pytest.mark.usefixtures("figures")


def reordered(path, output, order, names=None):
    """Write the same tree with its events in another order."""
    with open_source(path) as source:
        branches = [branch for name, branch in source.branches.items() if names is None or name in names]
        arrays = source.arrays([branch.name for branch in branches], 0, len(order))
        with uproot.recreate(output) as file:
            TreeWriter(file, source.tree, branches).extend(
                {name: array[order] for name, array in arrays.items()}
            )
    return output


def swapped(events, first, second):
    order = np.arange(events)
    order[[first, second]] = order[[second, first]]
    return order


def refused(original, version, tmp_path, **options):
    with pytest.raises(InputError) as raised:
        compare_files(original, version, tmp_path / "out", style=Style(), **options)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out").exists()
    return str(raised.value)


def test_events_in_another_order_are_refused_by_their_numbers(data, tmp_path):
    first = reordered(data / "pythia_dijets.root", tmp_path / "first.root", np.arange(500))
    other = reordered(data / "pythia_dijets.root", tmp_path / "other.root", swapped(500, 317, 318))
    with uproot.open(first) as file:
        run, lumi, event = (file["Events"][name].array()[317] for name in ("run", "luminosityBlock", "event"))
    told = f"run {run}, luminosity block {lumi}, event {event}"
    message = refused(first, other, tmp_path, step_size=100)
    assert message.startswith(f"entry 317 of {first} is {told}, and of {other} ")
    assert message.endswith(": these are not the same events, or they are in another order")
    hepae.compress_file(other, tmp_path / "small.root", hepae.BoundedCodec())
    assert refused(first, tmp_path / "small.root", tmp_path).startswith(f"entry 317 of {first} is {told}")
    hepae.decompress_file(tmp_path / "small.root", tmp_path / "back.root", storage="rntuple")
    assert refused(first, tmp_path / "back.root", tmp_path).startswith("entry 317")
    result = compare_files(other, tmp_path / "back.root", tmp_path / "same", style=Style())
    assert result.metrics["events"] == 500


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        (
            "xaod_exot15.root",
            {"storage": "rntuple", "drop_unreadable": True, "keep": ["EventInfo*"]},
            "run {}, luminosity block {}, event {}",
        ),
        (
            "delphes.root",
            {
                "storage": "rntuple",
                "drop_unreadable": True,
                "collection": ["Jet", "GenJet"],
                "keep": ["Event.*"],
            },
            "event {}",
        ),
        (
            "nanoaod_tt_v12.root",
            {"keep": ["run", "luminosityBlock", "event"]},
            "run {}, luminosity block {}, event {}",
        ),
    ],
)
def test_real_files_of_each_layout_name_their_events(data, tmp_path, name, options, told):
    """A compressed file of other events of the same file is refused; one of the same events is not."""
    asked = {"collection": "AntiKt4EMTopoJets"} if "xaod" in name else {}
    options = asked | options
    for output, start in (("one.root", 0), ("two.root", 1)):
        hepae.compress_file(
            data / name,
            tmp_path / output,
            hepae.BoundedCodec(),
            entry_start=start,
            entry_stop=start + 5,
            **options,
        )
    hepae.decompress_file(tmp_path / "one.root", tmp_path / "back.root")
    message = refused(tmp_path / "back.root", tmp_path / "two.root", tmp_path, **asked)
    pattern = told.replace("{}", r"\d+")
    assert message.startswith("entry 0 of ")
    assert len(re.findall(rf"(is|root) {pattern}[,:]", message)) == 2, message
    compare_files(tmp_path / "back.root", tmp_path / "one.root", tmp_path / "same", style=Style(), **asked)


@pytest.mark.filterwarnings("ignore::hepae.errors.UnitWarning")
def test_without_event_numbers_the_jets_an_event_are_compared(data, tmp_path):
    names = {"nJet", *(f"Jet_{column}" for column in ("pt", "eta", "phi", "mass"))}
    path = data / "pythia_dijets.root"
    first = reordered(path, tmp_path / "first.root", np.arange(500), names)
    with uproot.open(first) as file:
        counts = file["Events"]["nJet"].array()
    entry = int(np.flatnonzero(counts[300:-1] != counts[301:])[0]) + 300
    other = reordered(path, tmp_path / "other.root", swapped(500, entry, entry + 1), names)
    assert refused(first, other, tmp_path, step_size=100) == (
        f"entry {entry} of {first} has {counts[entry]} Jet, and of {other} {counts[entry + 1]}: "
        "these are not the same events, or they are in another order"
    )


@pytest.fixture
def joined(sample, tmp_path):
    """Two files with other bounds of pt, joined by ROOT's hadd, and the original of all their events."""
    parts = [tmp_path / "tight.root", tmp_path / "loose.root"]
    for part, bound, (start, stop) in zip(parts, ("0.1%", "5%"), ((0, 1000), (1000, 3000)), strict=True):
        hepae.compress_file(
            sample, part, hepae.BoundedCodec({"pt": bound}), entry_start=start, entry_stop=stop
        )
    joined = tmp_path / "joined.root"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", MERGE, joined, *parts],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    original = reordered(sample, tmp_path / "original.root", np.arange(3000))
    return original, joined


@pytest.mark.root
def test_joined_files_say_the_loosest_bound_and_that_of_each_range(joined, monkeypatch):
    original, path = joined
    with hepae.open(path) as file:
        assert {name: str(bound) for name, bound in file.bounds().items()} == {
            "pt": "5%", "eta": "0.001", "phi": "0.001", "mass": "1%+1MeV"
        }  # fmt: skip
        ranges = [(begin, end, str(bounds["pt"])) for begin, end, bounds in file.bounds_by_events()]
        assert ranges == [(0, 1000, "0.1%"), (1000, 3000, "5%")]
        assert [found[:2] for found in file.bounds_by_events(1500, 1600)] == [(1500, 1600)]
        jets = file.num_jets()
    content = json.loads(CliRunner().invoke(main, ["info", str(path), "--json"]).stdout)
    assert content["bounds"]["pt"] == content["collections"]["Jet"]["bounds"]["pt"] == "5%"
    assert content["collections"]["Jet"]["jets"] == content["jets"] == jets
    found = [(each["first"], each["end"], each["bounds"]["pt"]) for each in content["bounds_by_events"]]
    assert found == [(0, 1000, "0.1%"), (1000, 3000, "5%")]
    text = "5% (events 0 to 1000: 0.1%; 1000 to 3000: 5%)"
    assert text in CliRunner().invoke(main, ["info", str(path)]).stdout
    page = _compare_with_page(original, path, monkeypatch)
    assert page.metrics["columns"]["pt"]["violations"] == 0
    assert page.metrics["columns"]["pt"]["max_rel"] > 0.04
    assert text in page.report.read_text()


def _compare_with_page(original, version, monkeypatch):
    from hepae.validation.report import Shown

    monkeypatch.setattr(Shown, "uri", "")
    monkeypatch.setattr(Shown, "size", (1, 1))
    return compare_files(original, version, original.parent / "page", style=Style(), report=True)


@pytest.mark.root
@pytest.mark.parametrize("step_size", ["100 MB", 700])
def test_violations_are_counted_against_the_bound_of_each_range(joined, tmp_path, step_size):
    """Jets that are 2 % off break the first part's 0.1 % and keep the second part's 5 %."""
    original, path = joined
    with open_source(original) as source:
        arrays = source.arrays(source.branches, 0, 3000)
        with hepae.open(path) as file:
            arrays["Jet_pt"] = ak.values_astype(file.jets().pt / 1.02, np.float32)
        with uproot.recreate(tmp_path / "shifted.root") as file:
            TreeWriter(file, source.tree, [*source.branches.values()]).extend(arrays)
    columns = compare_files(
        tmp_path / "shifted.root", path, tmp_path / "out", style=Style(), step_size=step_size
    ).metrics["columns"]
    assert columns["pt"]["violations"] == ak.sum(arrays["nJet"][:1000])
