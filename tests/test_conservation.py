"""Nothing of a file is lost in silence: each key and branch is in the restored file, or was named."""

from __future__ import annotations

import re

import pytest
import uproot
from click.testing import CliRunner

import hepae
from hepae.cli import main
from hepae.io.objects import is_tree, objects_of

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


@pytest.mark.parametrize("name", FILES)
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
