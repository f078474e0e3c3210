"""Nothing of a file is lost in silence: each key and branch is in the restored file, or was named."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import hepae
from hepae.cli import main
from hepae.io.layouts import Branch
from hepae.io.objects import is_tree, objects_of
from hepae.io.readers import open_source
from hepae.io.writers import TreeWriter

FILES = {
    "all_jets_test_4D_100_percent.pkl": "",
    "all_jets_train_4D_100_percent.pkl": "",
    "darkmachines_monojet.csv": "--collection * --format rntuple",
    "darkmachines_monojet.pkl": "",
    "delphes.root": "--format rntuple --drop-unreadable",
    "flat_pxpypzE_ww.root": "",
    "jets_9columns.h5": "",
    "nanoaod_cms_open_data_2012_singlemu.root": "",
    "nanoaod_cms_open_data_2015_ttbar.root": "",
    "nanoaod_dimuon_rntuple.root": "",
    "nanoaod_tt_v12.root": "",
    "physlite_rntuple.root": "--tree EventData --format rntuple --drop-unreadable --drop MetaData/*",
    "physlite_ttbar.root": "--format rntuple --drop-unreadable",
    "pythia_dijets.root": "",
    "pythia_jets_18columns.root": "",
    "scalar_jet_per_row.root": "",
    "tlorentzvector_objects.root": "--collection *",
    "xaod_exot15.root": "--collection AntiKt4EMTopoJets --format rntuple --drop-unreadable",
}
"""Files, and the options that the errors ask for."""

LONG = ("all_jets_train_4D_100_percent.pkl", "nanoaod_cms_open_data_2015_ttbar.root", "physlite_rntuple.root")
"""Files of layouts that a shorter one has."""


def _hepae(*arguments):
    return CliRunner().invoke(main, [*map(str, arguments)])


def _branches(path):
    """Names of all branches with data, ``TREE/BRANCH``, as uproot finds them in a file; in an RNTuple ``.`` is ``:``."""
    found = set()
    with uproot.open(path) as file:
        for name, classname in file.classnames(recursive=True, cycle=False).items():
            if is_tree(classname):
                tree = file[name]
                if classname == "TTree":
                    names = [path for path, branch in tree.iteritems(full_paths=True) if not branch.branches]
                else:  # _collection0 is the lists of an object, whose members stand in the tree themselves
                    names = [field.name for field in tree.fields if not field.name.startswith("_collection")]
                found |= {f"{name}/{_plain(branch)}" for branch in names}
    return found


def _plain(path):
    """Name of a branch: its path without the sizes of arrays, a parent left out where the branch names it itself."""
    first, *others = (re.sub(r"\[.*", "", name) for name in path.split("/"))
    plain = last = first
    for name in others:
        plain = plain.removesuffix(last) + name if name.startswith(last.rstrip(".")) else f"{plain}.{name}"
        last = name
    return _colons(re.sub(r"\.+", ".", plain))


def _with_prefixes(names):
    """Names and what they begin with: Jet.Area becomes Jet.Area.px …, Jet.Tau[5] Jet.Tau_0 …, a second Jet Jet_2."""
    names = {*names, *(name.replace("_2:", ":") for name in names)}
    return names | {name[: mark.start()] for name in names for mark in re.finditer("[:_]", name)}


def _colons(name):
    return re.sub(r"[.\\\s]", ":", name)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.long] if name in LONG else []) for name in FILES],
)
def test_each_key_and_branch_is_restored_or_named(data, tmp_path, name):
    original, small, back = data / name, tmp_path / "small.root", tmp_path / "back.root"
    options = FILES[name].split()
    if options:
        asked = _hepae("compress", original, "-o", small)
        assert asked.exit_code == 1
        assert asked.stderr.count("\n") == 1
        assert not small.exists()
    done = _hepae("compress", original, "-o", small, *options)
    assert done.exit_code == 0, done.stderr
    done = _hepae("decompress", small, "-o", back)
    assert done.exit_code == 0, done.stderr
    with hepae.open(small) as file:
        header = file.header
    if original.suffix != ".root":
        return
    assert ("--drop-unreadable" in options) == bool(header.unreadable)
    # a branch of the tree with the jets is named without its tree
    named = {_colons(name) for each in header.unreadable for name in (each, f"{header.tree}/{each}")}
    dropped = tuple(name.removesuffix("*") for name in options if name.endswith("/*"))
    assert header.origin.left_out == tuple(f"{name}*" for name in dropped)
    before = {name for name in _branches(original) if not name.startswith(dropped)}
    assert before
    assert before - _with_prefixes(_branches(back)) - named == set()
    with uproot.open(original) as first, uproot.open(back) as second:
        assert {stored.record for stored in objects_of(first)} == {
            stored.record for stored in objects_of(second)
        }


LAYOUTS = {
    "nanoaod": ("nJet", "Jet_{}", ("pt", "eta", "phi", "mass"), 1),
    "delphes": ("Jet_size", "Jet.{}", ("PT", "Eta", "Phi", "Mass"), 1),
    "xaod": ("nAnalysisJets", "AnalysisJetsAuxDyn.{}", ("pt", "eta", "phi", "m"), 1000),
    "flat": (None, "{}", ("pt", "eta", "phi", "m"), 1000),
}
"""Of each layout the counter, how a branch is named, the momentum's columns, and the unit in MeV."""
EXAMPLES = max(4, int(os.environ.get("HEPAE_FUZZ", "12")) // 2)


def _events(layout, counts, seed):
    """Jets of events in a layout, the number of each jet in the file, and branches that are not coded."""
    counter, pattern, names, unit = LAYOUTS[layout]
    rng, jets, events = np.random.default_rng(seed), sum(counts), len(counts)
    pt = rng.choice([unit * (20 + 20 * rng.pareto(3, jets)), np.full(jets, 30.0 * unit)]).astype("f4")
    columns = [pt, rng.normal(0, 2, jets), rng.uniform(-np.pi, np.pi, jets), unit * rng.exponential(8, jets)]
    found = {pattern.format(n): v.astype("f4") for n, v in zip(names, columns, strict=True)}
    found[pattern.format("number")] = np.arange(jets, dtype=np.int32)
    if counter is None:
        return found | {"weight": rng.normal(size=jets)}
    found = {name: ak.unflatten(values, counts) for name, values in found.items()}
    others = {name: np.arange(events, dtype=np.uint32) for name in ("run", "luminosityBlock")}
    others |= {"event": rng.integers(0, 2**63, events, np.uint64), "MET": rng.normal(size=events)}
    tracks = ak.unflatten(rng.normal(size=2 * events).astype("f4"), np.full(events, 2))
    return others | found | {"tracks": tracks}


def _write_tree(path, arrays, counter, coded):
    branches = []
    for name, values in arrays.items():
        lists = values.ndim > 1
        dtype = values.layout.content.dtype if lists else values.dtype
        branches.append(Branch(name, dtype, lists, counter if lists and name in coded else None))
    with uproot.recreate(path) as file:
        TreeWriter(file, "Events", branches).extend(arrays)


def _same(first, second):
    """Whether two arrays have the same lists, types and bits."""
    if first.ndim > 1 and ak.num(first).tolist() != ak.num(second).tolist():
        return False
    first, second = (ak.to_numpy(ak.flatten(ak.Array(values), axis=None)) for values in (first, second))
    return first.dtype == second.dtype and first.tobytes() == second.tobytes()


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=EXAMPLES, deadline=None)
@given(
    counts=st.lists(st.integers(0, 6), min_size=1, max_size=30).filter(sum),
    seed=st.integers(0, 2**32 - 1),
    storage=st.sampled_from(("ttree", "rntuple")),
    step=st.integers(1, 20),
)
def test_events_jets_order_other_branches_and_sums_are_kept(layout, counts, seed, storage, step):
    counter, pattern, momentum, _ = LAYOUTS[layout]
    arrays, lossy = _events(layout, counts, seed), {pattern.format(name) for name in momentum}
    coded = [name for name in arrays if counter and name.startswith(pattern.format(""))]
    with tempfile.TemporaryDirectory() as folder:
        original, small, back = (Path(folder) / f"{stage}.root" for stage in ("original", "small", "back"))
        _write_tree(original, arrays, counter, coded)
        hepae.compress_file(original, small, hepae.BoundedCodec(), storage=storage, step_size=step)
        hepae.decompress_file(small, back)
        with open_source(original) as first, open_source(back) as second:
            assert first.layout.name == layout
            assert first.num_entries == second.num_entries
            before = first.arrays([*first.branches], 0, first.num_entries)
            stored = {name: _colons(name) if storage == "rntuple" else name for name in before}
            after = second.arrays([*stored.values()], 0, second.num_entries)
    assert {*arrays} <= {*before}
    for name, values in before.items():
        restored = after[stored[name]]
        if name not in lossy:  # among them the number of each jet: the order is the same
            assert _same(values, restored), name
        elif counter:
            assert ak.num(values).tolist() == ak.num(restored).tolist()
    pt = pattern.format(momentum[0])
    sums = [ak.values_astype(values, np.float64) for values in (before[pt], after[stored[pt]])]
    if counter:
        sums = [ak.sum(values, axis=-1) for values in sums]
    assert ak.all(np.abs(sums[1] - sums[0]) <= 1e-3 * sums[0])
