from __future__ import annotations

import awkward as ak
import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

import hepae
from hepae.errors import ConfigError, InputError
from hepae.io.readers import choose_collection, open_source

pytestmark = pytest.mark.filterwarnings("ignore::hepae.errors.UnitWarning")
"""The unit of most files here is told by their values, which test_inputs.py is about."""

ROWS = {"pt": [50.0, 60.0, 70.0], "eta": [0.5, -1.0, 0.0], "phi": [3.0, 0.0, 1.0], "m": [5.0, 6.0, 7.0]}
FRAME = pd.DataFrame(ROWS)


def _is_the_table(path, file_format):
    with open_source(path) as source:
        assert (source.format, source.layout.name, source.num_entries) == (file_format, "flat", 3)
        jets = choose_collection(source)
        assert (jets.name, jets.counter) == ("jets", None)
        assert sum(source.stored_bytes(column.branch) for column in jets.columns) > 0
    found = hepae.read_jets(path)
    assert found.fields[:4] == ["pt", "eta", "phi", "mass"]
    assert found.pt.tolist() == ROWS["pt"]
    assert found.mass.tolist() == ROWS["m"]
    assert [len(part) for part in hepae.iterate_jets(path, step_size=2)] == [2, 1]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|", " "])
@pytest.mark.parametrize("comment", ["", "# "])
def test_csv(tmp_path, separator, comment):
    path = tmp_path / "jets.txt"
    path.write_text(comment + FRAME.to_csv(index=False, sep=separator))
    _is_the_table(path, "csv")


def test_csv_with_texts_gaps_and_an_index(tmp_path):
    path = tmp_path / "jets.csv"
    FRAME.assign(name=["a", "b", ""], w=[1.0, np.nan, 2.0], n=[1, 2, 3]).to_csv(path)
    _is_the_table(path, "csv")
    with open_source(path) as source:
        assert {name: b.datashape for name, b in source.branches.items() if name not in ROWS} == {
            "index": "int64", "name": "string", "w": "float64", "n": "int64"
        }  # fmt: skip
        assert source.arrays(["name"], 0, 3)["name"].tolist() == ["a", "b", ""]
        np.testing.assert_array_equal(ak.to_numpy(source.arrays(["w"], 0, 3)["w"]), [1, np.nan, 2])


@pytest.mark.parametrize(
    "text",
    [
        "1,2,3,4\n5,6,7,8\n",
        "a letter to the reader\nof this file\n",
        "pt,eta,phi,m\n1,2\n",
        "<html>a, b</html>",
        "\n",
    ],
)
def test_texts_that_are_no_tables(tmp_path, text):
    path = tmp_path / "jets.csv"
    path.write_text(text)
    with pytest.raises(InputError, match="neither a ROOT file nor a pickle"):
        hepae.read_jets(path)


def test_csv_without_rows(tmp_path):
    path = tmp_path / "jets.csv"
    path.write_text("pt,eta,phi,m\n")
    with open_source(path) as source:
        assert (source.num_entries, [*source.layout.collections]) == (0, ["jets"])


def test_csv_that_breaks_off(tmp_path):
    path = tmp_path / "jets.csv"
    path.write_text("pt,eta,phi,m\n1,2,3,4\n1,2\n")
    with pytest.raises(InputError, match="cannot be read as CSV"):
        hepae.read_jets(path)
    path.write_text("pt,pt,phi,m\n1,2,3,4\n")
    with pytest.raises(InputError, match="same name"):
        hepae.read_jets(path)


def test_parquet_of_pandas(tmp_path):
    path = tmp_path / "jets.parquet"
    FRAME.assign(w=[1.0, None, 2.0], name=["a", "b", "c"]).to_parquet(path, row_group_size=2)
    _is_the_table(path, "parquet")
    with open_source(path) as source:
        np.testing.assert_array_equal(ak.to_numpy(source.arrays(["w"], 0, 3)["w"]), [1, np.nan, 2])


@pytest.mark.parametrize("rows", [1, 2, 10])
def test_parquet_with_lists(tmp_path, rows):
    jets = ak.unflatten(ak.zip(ROWS), [2, 0, 1])
    path = tmp_path / "jets.parquet"
    columns = {f"Jet_{name}": jets[name] for name in jets.fields}
    events = ak.zip({"nJet": ak.num(jets), "run": [1, 1, 2], **columns, "Muon": jets}, depth_limit=1)
    ak.to_parquet(events, path, row_group_size=rows)
    with open_source(path) as source:
        assert source.layout.collections["Jet"].counter == "nJet"
        assert source.layout.collections["Jet"].counted
        assert source.branches["Muon.pt"].counter == source.branches["Muon.m"].counter == "nMuon"
        assert source.arrays(["Muon.pt"], 1, 3)["Muon.pt"].tolist() == [[], [70]]
    assert hepae.read_jets(path).pt.tolist() == [[50, 60], [], [70]]
    assert ak.concatenate([*hepae.iterate_jets(path, step_size=1)]).mass.tolist() == [[5, 6], [], [7]]


def test_parquet_with_missing_integers(tmp_path):
    path = tmp_path / "jets.parquet"
    FRAME.assign(n=pd.array([1, None, 3], dtype="Int64")).to_parquet(path)
    with pytest.raises(InputError, match=r"column 'n'.*missing values"):
        hepae.read_jets(path)
    assert hepae.read_jets(path, columns=[]).pt.tolist() == ROWS["pt"]


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


def test_darkmachines_text(data):
    path = data / "darkmachines_monojet.csv"
    with pytest.raises(InputError, match="collections b, j, g, eminus, eplus; choose"):
        hepae.read_jets(path)
    jets = hepae.read_jets(path, collection="j")
    lines = path.read_text().splitlines()
    assert len(jets) == len(lines)
    assert ak.num(jets).tolist() == [line.count(";j,") for line in lines]
    first = [float(number) for number in lines[0].split(";j,")[1].split(";")[0].split(",")]
    np.testing.assert_allclose([jets.E[0, 0], jets.pt[0, 0]], np.array(first[:2]) / 1000, rtol=1e-12)
    with open_source(path) as source:
        assert source.layout.collections["j"].unit == "MeV"
        assert [*source.branches][:5] == ["id", "process", "weight", "MET", "METphi"]
        assert source.arrays(["MET"], 0, 1)["MET"].tolist() == [float(lines[0].split(";")[3])]


def test_darkmachines_text_that_is_damaged(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("1;p;1;2;3;j,1,2,3,4;\n2;p;1;2;3;j,1,2;\n")
    with pytest.raises(InputError, match="line 2"):
        hepae.read_jets(path)


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


def test_a_counter_that_stops_being_true_is_refused_when_compressing(tmp_path):
    counts = np.full(3000, 2)
    jets = ak.unflatten(ak.zip({name: np.ones(6000) for name in ("pt", "eta", "phi", "mass")}), counts)
    ak.to_parquet(
        ak.zip({"Jet": jets, "nJet": np.where(np.arange(3000) < 2000, 2, 5)}, depth_limit=1),
        tmp_path / "late.parquet",
    )
    with pytest.raises(InputError, match="'nJet' says other lengths"):
        hepae.compress_file(tmp_path / "late.parquet", tmp_path / "c.root", hepae.BoundedCodec())
    assert not (tmp_path / "c.root").exists()


def test_zeros_that_fill_up_arrays_do_not_decide_on_the_unit(tmp_path):
    jets, _ = _padded(scale=1000)
    with h5py.File(tmp_path / "padded.h5", "w") as file:
        file["jets"] = jets
    assert 100 < ak.max(hepae.read_jets(tmp_path / "padded.h5").pt) < 1000


@pytest.mark.parametrize("index", [False, True])
def test_five_columns_between_semicolons_are_no_darkmachines_event(tmp_path, index):
    frame = FRAME if index else FRAME.assign(label=[1, 0, 1])
    frame.to_csv(tmp_path / "jets.csv", sep=";", index=index)
    assert hepae.read_jets(tmp_path / "jets.csv").pt.tolist() == ROWS["pt"]


def test_columns_of_parquet_that_awkward_does_not_know_are_left_out(tmp_path):
    FRAME.assign(kind=pd.Categorical(["b", "c", "b"])).to_parquet(tmp_path / "jets.parquet")
    with open_source(tmp_path / "jets.parquet") as source:
        assert source.unreadable == ("kind",)
    assert hepae.read_jets(tmp_path / "jets.parquet").pt.tolist() == ROWS["pt"]


def test_float16_becomes_float32_in_parquet_too(tmp_path):
    FRAME.astype({"pt": "float16"}).to_parquet(tmp_path / "jets.parquet")
    hepae.compress_file(tmp_path / "jets.parquet", tmp_path / "c.root", hepae.BoundedCodec({"pt": "exact"}))
    with hepae.open(tmp_path / "c.root") as file:
        assert file.jets().pt.tolist() == ROWS["pt"]


def test_a_short_line_of_events_is_named(tmp_path):
    path = tmp_path / "events.csv"
    path.write_text("1;p;1.0;100;0.5;j,90,80,0.1,0.2\n2;p;1.0\n")
    with pytest.raises(InputError, match="line 2 is shorter than an event"):
        hepae.read_jets(path)


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


def _unallocated(path):
    with h5py.File(path, "w") as file:
        for name in MOMENTUM:
            file.create_dataset(name, shape=(4_000_000_000,), dtype="f4", chunks=(1_000_000,), fillvalue=1)


def _unallocated_labels(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("labels", shape=(4_000_000_000,), dtype="S8", chunks=(1_000_000,))
        file["data"] = np.ones((10, 4))


def _equal_values(path):
    table = pa.table(dict.fromkeys(MOMENTUM, np.ones(20_000_000, np.float32)))
    pa.parquet.write_table(table, path, compression="zstd")


def _one_long_list(path):
    values = pa.array(np.ones(20_000_000, np.float32))
    lists = pa.ListArray.from_arrays(pa.array([0, 20_000_000], pa.int32()), values)
    pa.parquet.write_table(pa.table({f"jets.{name}": lists for name in MOMENTUM}), path, compression="zstd")


def _many_kinds_of_objects(path):
    path.write_text("\n".join(f"{i};p;1;1;1;o{i},1,1,1,1" for i in range(30_000)))


@pytest.mark.parametrize(
    "write", [_unallocated, _unallocated_labels, _equal_values, _one_long_list, _many_kinds_of_objects]
)
def test_values_that_a_file_only_claims_take_no_memory(tmp_path, limited, write):
    path = tmp_path / "claims"
    write(path)
    assert path.stat().st_size < 1_000_000
    for command in (("info", path), ("compress", path, "-o", tmp_path / "out.root")):
        status, _, errors, memory = limited(*command)
        assert status == 1
        assert memory < 1000
        assert len(errors) == 1
        assert "HEPAE_MAX_EXPANSION" in errors[0]


def test_who_trusts_a_file_can_raise_the_limit(tmp_path, monkeypatch):
    path = tmp_path / "constant.parquet"
    _equal_values(path)
    monkeypatch.setenv("HEPAE_MAX_EXPANSION", "1e6")
    with open_source(path) as source:
        assert source.num_entries == 20_000_000
    monkeypatch.setenv("HEPAE_MAX_EXPANSION", "much")
    with pytest.raises(ConfigError, match="HEPAE_MAX_EXPANSION must be a number"):
        open_source(path)


def test_columns_of_one_value_are_read(tmp_path):
    path = tmp_path / "constant.h5"
    with h5py.File(path, "w") as file:
        for name in MOMENTUM:
            file.create_dataset(name, data=np.ones(1_000_000, np.float32), compression="gzip", shuffle=True)
    assert path.stat().st_size < 100_000
    assert len(hepae.read_jets(path)) == 1_000_000


def test_text_that_only_looks_like_csv_says_so(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("Dear all, good news\nsecond, line\nthird, line, with, many\n")
    with pytest.raises(InputError, match="is a text file whose first line looks like the header of CSV"):
        open_source(path)
