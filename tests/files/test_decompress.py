from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
import uproot

import hepae
from hepae.errors import InputError
from hepae.io.readers import open_source

pytestmark = pytest.mark.filterwarnings("ignore::hepae.errors.UnitWarning")
"""The unit of most files here is told by their values, which test_inputs.py is about."""


def test_the_restored_file_has_the_originals_branches(
    same_bits, arrays_of, sample, codec, compressed, tmp_path
):
    back = tmp_path / "back.root"
    summary = hepae.decompress_file(compressed, back)
    original, types = arrays_of(sample)
    restored, restored_types = arrays_of(back)
    assert list(restored) == list(original)
    assert restored_types == types
    for name in original:
        if not name.startswith("Jet_"):
            assert same_bits(restored[name], original[name])
    assert ak.all(ak.num(restored["Jet_pt"]) == ak.num(original["Jet_pt"]))
    expected = codec.decompress(codec.compress(hepae.read_jets(sample)))
    np.testing.assert_allclose(ak.flatten(restored["Jet_pt"]), ak.flatten(expected.pt), rtol=1e-3)
    assert summary.events == 20_000
    assert summary.jets == ak.sum(original["nJet"])
    with hepae.open(compressed) as file:
        assert ak.all(file.jets().pt == restored["Jet_pt"])


def test_a_file_of_energies_gets_energies_back(arrays_of, make_tree, codec, tmp_path):
    arrays = {"pt": [50.0, 60], "eta": [0.5, -1.0], "phi": [3.0, 0.0], "E": [80.0, 150.0]}
    small, back = tmp_path / "small.root", tmp_path / "back.root"
    hepae.compress_file(make_tree({n: np.array(v, np.float32) for n, v in arrays.items()}), small, codec)
    hepae.decompress_file(small, back)
    restored, types = arrays_of(back)
    assert list(restored) == ["pt", "eta", "phi", "E"]
    assert types["E"] == "float"
    with hepae.open(small) as file:
        np.testing.assert_allclose(restored["E"], file.jets().E, rtol=1e-6)


def test_compressed_files_are_told_from_others(sample, compressed, tmp_path):
    with pytest.raises(InputError, match="not a compressed file"):
        hepae.decompress_file(sample, tmp_path / "x.root")
    with pytest.raises(InputError, match="hepae decompress"):
        hepae.read_jets(compressed)


def test_damage_is_noticed(compressed, tmp_path):
    whole = compressed.read_bytes()
    damaged = tmp_path / "damaged.root"
    for share in (0.3, 0.9):
        damaged.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(InputError):
            hepae.decompress_file(damaged, tmp_path / "x.root")
    with uproot.open(compressed) as file:
        basket = file["Events"]["Jet_z0"].basket_key(0)
        middle = basket.data_cursor.index + 2000
    damaged.write_bytes(whole[:middle] + bytes(64) + whole[middle + 64 :])
    with pytest.raises(InputError) as error:
        hepae.decompress_file(damaged, tmp_path / "x.root")
    assert "\n" not in str(error.value)
    assert {path.name for path in tmp_path.iterdir()} == {"small.root", "damaged.root"}


def test_the_unit_of_the_file_comes_back(make_tree, codec, tmp_path):
    arrays = {"pt": [5e4, 6e4], "eta": [0.0, 1], "phi": [0.0, 1], "m": [5e3, 6e3]}
    small, back = tmp_path / "small.root", tmp_path / "back.root"
    hepae.compress_file(make_tree({n: np.array(v) for n, v in arrays.items()}), small, codec)
    hepae.decompress_file(small, back)
    with hepae.open(small) as file, open_source(back, unit="MeV") as source:
        np.testing.assert_allclose(file.jets().pt * 1000, source.arrays(["pt"], 0, 2)["pt"], rtol=1e-12)
