from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
import uproot

import hepae
from hepae.errors import InputError

JETS = {
    f"Jet_{name}": ak.Array([[low], [], [low + 1, low]])
    for name, low in {"pt": 30.0, "eta": 0.5, "phi": 1.0, "mass": 5.0}.items()
}
COUNTERS = dict.fromkeys(JETS, "nJet")


@pytest.fixture(scope="module")
def model(sample):
    """A model that has seen few jets: what it restores does not matter here."""
    config = hepae.TrainingConfig(epochs=1, network=hepae.AutoencoderConfig(hidden=(4,)))
    return hepae.train(hepae.read_jets(sample)[:300], config).codec


def test_new_branches_stand_where_the_coded_ones_stood(make_tree, model, tmp_path):
    path = make_tree({"run": np.arange(3), **JETS, "weight": np.ones(3)}, counters=COUNTERS)
    hepae.compress_file(path, tmp_path / "small.root", model)
    with uproot.open(tmp_path / "small.root") as file:
        assert [name for name in file["Events"].keys() if name != "nJet"] == [  # noqa: SIM118  # no mapping
            "run",
            *(f"Jet_z{i}" for i in range(model.network.config.latent)),
            "weight",
        ]


def test_a_branch_of_the_name_of_a_latent_is_refused(make_tree, model, tmp_path):
    path = make_tree({**JETS, "Jet_z0": np.zeros(3)}, counters=COUNTERS)
    with pytest.raises(InputError, match=r"a branch 'Jet_z0' already; leave it out with --drop 'Jet_z0'"):
        hepae.compress_file(path, tmp_path / "small.root", model)
    assert [file.name for file in tmp_path.iterdir()] == ["jets.root"]


def test_a_tree_of_coded_branches_alone_keeps_its_entries(arrays_of, make_tree, tmp_path):
    flat = {
        name: np.linspace(low, low + 1, 7) for name, low in (("pt", 20), ("eta", 0), ("phi", 0), ("m", 3))
    }
    small, back = tmp_path / "small.root", tmp_path / "back.root"
    summary = hepae.compress_file(make_tree(flat), small, hepae.BoundedCodec())
    assert summary.events == 7
    arrays, types = arrays_of(small)
    assert types == {"hepae_rows": "uint8_t"}
    assert arrays["hepae_rows"].tolist() == [0] * 7
    hepae.decompress_file(small, back)
    assert arrays_of(back)[0].keys() == flat.keys()
