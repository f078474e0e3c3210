"""The process that ROOT works in, as it is started: `hepae.io.cloning` and its tests are about what it writes."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest
import uproot

from hepae.io import root_worker
from hepae.io.baskets import branch_paths

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(importlib.util.find_spec("ROOT") is None, reason="ROOT is not installed"),
]

PATHS = """
import json, sys, ROOT
from array import array
from hepae.io.root_worker import branches_of
file = ROOT.TFile(sys.argv[1], "RECREATE")
tree, number = ROOT.TTree("Events", ""), array("i", [7])
for name in ("twice", "once", "twice"):
    tree.Branch(name, number, f"{name}/I")
clones = ROOT.TClonesArray("TLorentzVector")
tree.Branch("clones", clones, 32000, 99)
tree.Fill()
tree.Write()
print(json.dumps([path for path, _ in branches_of(tree)]))
file.Close()
"""


def test_paths_are_those_that_uproot_gives(tmp_path):
    path = tmp_path / "paths.root"
    done = subprocess.run([sys.executable, "-c", PATHS, path], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found[:3] == ["twice", "once", "twice#2"]
    assert {"clones", "clones/clones.fP", "clones/clones.fE"} <= {*found}
    with uproot.open(path) as file:
        assert [name for name, _ in branch_paths(file["Events"])] == found


def test_a_fault_is_one_line_and_a_status(make_tree, tmp_path):
    path = make_tree({"run": np.arange(3)})
    step = {"name": "Other", "inputs": [str(path)], "tree": "Other", "off": [], "dropped": []}
    job = {"output": str(tmp_path / "out.root"), "trees": [step]}
    command = [sys.executable, "-P", root_worker.__file__]
    done = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert [line for line in done.stderr.splitlines() if line.startswith("hepae: ")] == [
        f"hepae: ROOT finds no tree 'Other' in {path}"
    ]
    assert "Traceback" not in done.stderr
