from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
import uproot

import hepae
from hepae.errors import CodecError

pytestmark = pytest.mark.filterwarnings("ignore::hepae.errors.UnitWarning")
"""The unit of most files here is told by their values, which test_inputs.py is about."""


def test_a_damaged_cluster_names_its_events_and_leaves_the_others_readable(sample, monkeypatch, tmp_path):
    monkeypatch.setattr("hepae.bounded.cluster.CLUSTER_JETS", 10_000)
    path, damaged = tmp_path / "bounded.root", tmp_path / "damaged.root"
    hepae.compress_file(sample, path, hepae.BoundedCodec(), step_size=1000)
    with uproot.open(path) as file:
        tree = file["hepae_payload"]
        names = [bytes(name) for name in tree["names"].array(library="np")]
        rows = [i for i, name in enumerate(names) if name.startswith(b"Jet\0pt")]
        ends = np.cumsum(tree["events"].array(library="np")[rows])
        blob = tree["blob"]
        row = blob.array(library="np")[rows[2]].tobytes()
    whole = path.read_bytes()
    middle = whole.find(row) + len(row) // 2
    assert middle > len(row)
    damaged.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    with hepae.open(damaged) as file, hepae.open(path) as intact:
        with pytest.raises(CodecError, match=f"events {ends[1]} to {ends[2]} of .* are damaged"):
            file.jets()
        assert ak.all(file.jets(0, int(ends[1])).pt == intact.jets(0, int(ends[1])).pt)
        assert ak.all(file.jets(int(ends[2]), 20_000).pt == intact.jets(int(ends[2]), 20_000).pt)
