from __future__ import annotations

import awkward as ak
import h5py
import numpy as np
import pandas as pd
import pytest

import hepae
from hepae.errors import InputError
from hepae.io.readers import choose_collection, open_source

pytestmark = pytest.mark.filterwarnings("ignore::hepae.errors.UnitWarning")
"""The unit of most files here is told by their values, which test_inputs.py is about."""


ROWS = {"pt": [50.0, 60.0, 70.0], "eta": [0.5, -1.0, 0.0], "phi": [3.0, 0.0, 1.0], "m": [5.0, 6.0, 7.0]}


FRAME = pd.DataFrame(ROWS)


def _structured(file):
    file["jets"] = FRAME.to_records(index=False)


def _structured_in_half_floats(file):
    file["group/jets"] = FRAME.to_records(index=False).astype([(name, "f2") for name in ROWS])


def _one_dataset_a_column(file):
    for name, values in ROWS.items():
        file[name] = values


def _labels_beside(file):
    file["data"] = FRAME.to_numpy()
    file["labels"] = np.array([*ROWS], "S")


def _labels_as_attribute(file):
    file["jets"] = FRAME.to_numpy().astype(">f8")
    file["jets"].attrs["columns"] = [*ROWS]


@pytest.mark.parametrize(
    "write",
    [_structured, _structured_in_half_floats, _one_dataset_a_column, _labels_as_attribute, _labels_beside],
)
def test_hdf5(tmp_path, write):
    path = tmp_path / "jets.h5"
    with h5py.File(path, "w") as file:
        write(file)
    with open_source(path) as source:
        assert (source.format, source.num_entries) == ("hdf5", 3)
    found = hepae.read_jets(path)
    assert found.pt.tolist() == ROWS["pt"]
    assert found.mass.tolist() == ROWS["m"]
    assert [len(part) for part in hepae.iterate_jets(path, step_size=2)] == [2, 1]


def test_hdf5_with_lists_texts_and_another_table(tmp_path):
    path = tmp_path / "jets.h5"
    with h5py.File(path, "w") as file:
        for name, values in ROWS.items():
            file.create_dataset(f"jets/{name}", (2,), h5py.vlen_dtype(np.float32))
            file[f"jets/{name}"][0], file[f"jets/{name}"][1] = values[:2], values[2:]
        file["jets/truth"] = np.array(["b", "light"], h5py.string_dtype())
        file["log"] = np.arange(100)
    with open_source(path) as source:
        assert source.num_entries == 2
        assert source.unreadable == ("log",)
        assert source.branches["jets.truth"].datashape == "string"
        assert source.arrays(["jets.truth"], 0, 2)["jets.truth"].tolist() == ["b", "light"]
    assert hepae.read_jets(path).pt.tolist() == [[50, 60], [70]]


def test_hdf5_of_two_jets_an_event(data):
    path = data / "jets_9columns.h5"
    with open_source(path) as source:
        jets = choose_collection(source)
        assert (jets.name, jets.counter, jets.counted) == ("jet_features", "njet_features", False)
        assert source.branches["event_features.MET"].datashape == "float64"
        assert len(source.layout.collections["jet_eflow_variables"].columns) == 13
    found = hepae.read_jets(path)
    with h5py.File(path) as file:
        stored = file["jet_features/data"][()]
    assert len(found) == len(stored)
    np.testing.assert_array_equal(ak.to_numpy(found.pt), stored[..., 2])
    np.testing.assert_array_equal(ak.to_numpy(found.Axis2), stored[..., 6])


def _padded(scale=1.0):
    """Up to ten jets an event in an array of fixed length, zeros behind them, and how many there are."""
    rng = np.random.default_rng(1)
    counts = rng.integers(1, 5, 400)
    jets = np.zeros((400, 10), [(name, "f4") for name in ("pt", "eta", "phi", "mass")])
    for name, values in (
        ("pt", rng.exponential(50, (400, 10)) + 20),
        ("mass", rng.exponential(5, (400, 10))),
    ):
        jets[name] = np.where(np.arange(10) < counts[:, None], scale * values, 0)
    return jets, counts


def _round_trip(path, tmp_path):
    hepae.compress_file(path, tmp_path / "small.root", hepae.BoundedCodec())
    hepae.decompress_file(tmp_path / "small.root", tmp_path / "back.root")
    original, restored = hepae.read_jets(path), hepae.read_jets(tmp_path / "back.root")
    assert ak.num(restored).tolist() == ak.num(original).tolist()
    assert ak.all(abs(restored.pt - original.pt) <= 1.001e-3 * original.pt)
    with open_source(path) as before, open_source(tmp_path / "back.root") as after:
        for name in {*before.branches} - {*before.layout.collections["jets"].column_names}:
            if not before.branches[name].jagged:
                same = [source.arrays([name], 0, 400)[name].tolist() for source in (before, after)]
                assert same[0] == same[1]


def test_a_column_that_is_called_like_a_counter_and_counts_something_else(tmp_path):
    jets, counts = _padded()
    with h5py.File(tmp_path / "padded.h5", "w") as file:
        file["jets"], file["njets"] = jets, counts
    _round_trip(tmp_path / "padded.h5", tmp_path)


def test_zeros_that_fill_up_arrays_do_not_decide_on_the_unit(tmp_path):
    jets, _ = _padded(scale=1000)
    with h5py.File(tmp_path / "padded.h5", "w") as file:
        file["jets"] = jets
    assert 100 < ak.max(hepae.read_jets(tmp_path / "padded.h5").pt) < 1000


MOMENTUM = ("pt", "eta", "phi", "mass")


def _external(path, other):
    with h5py.File(path, "w") as file:
        for name in MOMENTUM:
            file.create_dataset(name, shape=(10,), dtype="f4", external=[(str(other), 0, 40)])


def _virtual(path, other):
    with h5py.File(path, "w") as file:
        for name in MOMENTUM:
            layout = h5py.VirtualLayout(shape=(10,), dtype="f8")
            layout[:] = h5py.VirtualSource(str(other), name, shape=(10,))
            file.create_virtual_dataset(name, layout)


def _linked(path, other):
    with h5py.File(path, "w") as file:
        for name in MOMENTUM:
            file[name] = h5py.ExternalLink(str(other), f"/{name}")


@pytest.mark.parametrize(
    ("write", "what"),
    [(_external, "in another file"), (_virtual, "in another file"), (_linked, "into another file")],
)
def test_hdf5_that_names_another_file_is_refused(tmp_path, write, what):
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        for name in MOMENTUM:
            file[name] = np.arange(10.0)
    path = tmp_path / "jets.h5"
    write(path, other)
    with pytest.raises(InputError, match=what) as error:
        open_source(path)
    assert str(path) in str(error.value)
