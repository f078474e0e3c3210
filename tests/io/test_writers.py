from __future__ import annotations

import itertools
import time

import awkward as ak
import numpy as np
import pandas as pd
import pytest
import uproot

from hepae.errors import ConfigError, InputError, OutputError
from hepae.io.checksums import Checksums
from hepae.io.layouts import Branch
from hepae.io.writers import (
    ParquetWriter,
    TreeWriter,
    check_tree,
    open_writer,
    parse_compression,
)


def _branches():
    return [
        Branch("run", np.dtype("uint32")),
        Branch("event", np.dtype("uint64")),
        Branch("flag", np.dtype("bool")),
        Branch("tiny", np.dtype("int8")),
        Branch("weight", np.dtype("float64")),
        Branch("matrix", np.dtype("float32"), shape=(2, 3)),
        Branch("Jet_pt", np.dtype("float32"), jagged=True, counter="nJet"),
        Branch("Jet_ok", np.dtype("bool"), jagged=True, counter="nJet"),
        Branch("other", np.dtype("int16"), jagged=True),
    ]


def _arrays(events, seed=0):
    rng = np.random.default_rng(seed)
    counts, others = rng.integers(0, 4, events), rng.integers(0, 3, events)
    bits = rng.integers(
        0, 2**32, int(counts.sum()), dtype=np.uint32
    )  # NaN payloads, −0, denormals among them
    return {
        "run": rng.integers(0, 2**32, events, dtype=np.uint32),
        "event": rng.integers(0, 2**64, events, dtype=np.uint64),
        "flag": rng.random(events) < 0.5,
        "tiny": rng.integers(-128, 128, events, dtype=np.int8),
        "weight": np.where(rng.random(events) < 0.1, np.nan, rng.normal(size=events)),
        "matrix": rng.random((events, 2, 3)).astype(np.float32),
        "Jet_pt": ak.unflatten(bits.view(np.float32), counts),
        "Jet_ok": ak.unflatten(rng.random(int(counts.sum())) < 0.5, counts),
        "other": ak.unflatten(rng.integers(-9, 9, int(others.sum()), dtype=np.int16), others),
    }


def _write(path, chunks):
    with uproot.recreate(path) as file:
        writer = TreeWriter(file, "Events", _branches())
        for chunk in chunks:
            writer.extend(chunk)
    return writer


def test_every_kind_of_branch_comes_back_bit_by_bit(tmp_path):
    arrays = _arrays(1000)
    writer = _write(tmp_path / "x.root", [arrays])
    check_tree(tmp_path / "x.root", writer, 300)
    with uproot.open(tmp_path / "x.root") as file:
        tree = file["Events"]
        for name, array in arrays.items():
            found, expected = (
                ak.to_numpy(ak.flatten(ak.Array(a), axis=None)) for a in (tree[name].array(), array)
            )
            assert found.dtype == expected.dtype
            assert found.tobytes() == expected.tobytes()
        assert ak.all(tree["nJet"].array() == ak.num(arrays["Jet_pt"]))
        assert writer.added == ("nJet", "nother")


def test_the_checksums_of_a_tree_do_not_depend_on_its_chunks(tmp_path):
    arrays = _arrays(1000)
    cut = [{n: a[i:j] for n, a in arrays.items()} for i, j in [(0, 1), (1, 1), (1, 400), (400, 1000)]]
    whole = Checksums()
    whole.update({**arrays, "nother": ak.values_astype(ak.num(arrays["other"]), np.int32)})
    writer = _write(tmp_path / "x.root", cut)
    assert writer.num_entries == 1000
    found = writer.checksums.by_branch
    assert {name: found[name] for name in whole.by_branch} == whole.by_branch
    check_tree(tmp_path / "x.root", writer, 77)


def test_a_value_that_changed_on_the_way_is_noticed(tmp_path):
    arrays = _arrays(100)
    writer = _write(tmp_path / "x.root", [arrays])
    arrays["weight"][50] += 1
    _write(tmp_path / "y.root", [arrays])
    with pytest.raises(OutputError, match="weight"):
        check_tree(tmp_path / "y.root", writer, 100)
    _write(tmp_path / "z.root", [{n: a[:99] for n, a in _arrays(100).items()}])
    with pytest.raises(OutputError, match="reads back differently"):
        check_tree(tmp_path / "z.root", writer, 100)


def test_what_no_tree_can_hold_is_named(tmp_path):
    with uproot.recreate(tmp_path / "x.root") as file, pytest.raises(OutputError, match="--drop 'names'"):
        TreeWriter(file, "Events", [Branch("names", None)])


@pytest.mark.parametrize("text", ["zstd", "zstd:0", "zip:5", "lzma:10", "zstd:5:1", ""])
def test_compressions_that_do_not_exist_are_refused(text):
    with pytest.raises(ConfigError, match="zstd"):
        parse_compression(text)


ANY = {
    "s": (ak.Array(["", "ä", "bcd", ""]), "string"),
    "texts": (ak.Array([["x"], [], ["y", ""], []]), "var * string"),
    "nested": (ak.values_astype(ak.Array([[[1.5], []], [], [[2.5, -0.0]], [[]]]), np.float32), "var * var * float32"),
    "arrays": (ak.from_regular(ak.Array(np.arange(24.0).reshape(4, 2, 3)), axis=1), "var * 3 * float64"),
}  # fmt: skip


def _all_arrays():
    arrays = {name: array[:4] for name, array in _arrays(100).items()}
    return {**arrays, "a.b c": arrays["Jet_pt"], **{name: array for name, (array, _) in ANY.items()}}


def _all_branches():
    dotted = Branch("a.b c", np.dtype("float32"), jagged=True, counter="nJet")
    return [*_branches(), dotted, *(Branch(name, None, type=kind) for name, (_, kind) in ANY.items())]


def _expected(arrays):
    checksums = Checksums()
    checksums.update(arrays)
    return checksums.by_branch


@pytest.mark.parametrize("cuts", [(4,), (1, 1, 2, 4)])
def test_an_rntuple_takes_every_kind_of_branch(tmp_path, cuts):
    arrays, path = _all_arrays(), tmp_path / "x.root"
    with uproot.recreate(path) as file:
        writer = open_writer(file, "Events", _all_branches(), "rntuple")
        for start, stop in itertools.pairwise((0, *cuts)):
            writer.extend({name: array[start:stop] for name, array in arrays.items()})
    check_tree(path, writer, 3)
    assert writer.checksums.by_branch == _expected(arrays)
    assert writer.names["a.b c"] == "a:b:c"
    with uproot.open(path) as file:
        assert str(file["Events"]["nested"].array().type) == "4 * var * var * float32"
        assert file["Events"]["texts"].array().tolist() == ANY["texts"][0].tolist()
        assert file["Events"]["matrix"].array().to_numpy().tobytes() == arrays["matrix"].tobytes()


@pytest.mark.parametrize("cuts", [(4,), (1, 1, 2, 4)])
@pytest.mark.parametrize("compression", ["zstd:5", "zlib:1", "lz4:1"])
def test_parquet_takes_every_kind_of_branch(tmp_path, cuts, compression):
    arrays, path = _all_arrays(), tmp_path / "x.parquet"
    with ParquetWriter(path, _all_branches(), compression=compression) as writer:
        for start, stop in itertools.pairwise((0, *cuts)):
            writer.extend({name: array[start:stop] for name, array in arrays.items()})
    check_tree(path, writer, 3)
    assert writer.checksums.by_branch == _expected(arrays)
    frame = pd.read_parquet(path)
    assert list(frame) == [*arrays]
    assert frame["s"].tolist() == ANY["s"][0].tolist()
    np.testing.assert_array_equal(frame["event"], arrays["event"])


def test_a_tree_names_what_it_cannot_hold(tmp_path):
    with uproot.recreate(tmp_path / "x.root") as file, pytest.raises(OutputError) as error:
        open_writer(file, "Events", _all_branches())
    assert "(texts, nested, arrays" in str(error.value)
    assert "--format rntuple" in str(error.value)
    assert "--drop 'nested'" in str(error.value)


def test_texts_go_into_a_tree(tmp_path):
    path = tmp_path / "x.root"
    texts = ["a", "", "x" * 300, "é" * 200, "plain"]
    with uproot.recreate(path) as file:
        writer = open_writer(file, "Events", [Branch("s", None, type="string"), Branch("n", np.dtype("i4"))])
        for part in (texts, [""] * 3, texts[::-1]):
            writer.extend(
                {"s": ak.Array(["cut", *part])[1:], "n": ak.Array(np.arange(len(part), dtype="i4"))}
            )
    check_tree(path, writer, 3)
    with uproot.open(path) as file:
        assert file["Events"]["s"].array().tolist() == [*texts, *[""] * 3, *texts[::-1]]


@pytest.mark.parametrize("storage", ["ttree", "rntuple"])
def test_counters_that_say_something_else_are_refused(tmp_path, storage):
    jets = ak.Array([[1.0, 2.0], [3.0]])
    branches = [Branch("nJet", np.dtype("i4")), Branch("Jet_pt", np.dtype("f8"), True, "nJet")]
    with uproot.recreate(tmp_path / "x.root") as file:
        writer = open_writer(file, "Events", branches, storage)
        writer.extend({"nJet": np.int32([2, 1]), "Jet_pt": jets})
        with pytest.raises(InputError, match=r"'Jet_pt'.*'nJet'.*--drop"):
            writer.extend({"nJet": np.int32([1, 2]), "Jet_pt": jets})


def test_counters_are_small(tmp_path):
    counts = np.random.default_rng(0).poisson(4, 20_000)
    jets = ak.unflatten(np.zeros(counts.sum(), np.float32), counts)
    sizes = {}
    for path, compression in ((tmp_path / "x.root", None), (tmp_path / "y.root", "lzma:9")):
        with uproot.recreate(path, compression=uproot.ZSTD(1)) as file:
            writer = TreeWriter(
                file, "Events", [Branch("Jet_pt", np.dtype("f4"), True, "nJet")], compression=compression
            )
            writer.extend({"Jet_pt": jets})
        with uproot.open(path) as file:
            sizes[compression] = [file["Events"][name].compressed_bytes for name in ("nJet", "Jet_pt")]
    counters, values = zip(*sizes.values(), strict=True)
    assert counters[0] == counters[1] < 20_000 * 4 / 8
    assert values[0] > values[1]


def test_an_output_that_there_is_no_format_for(tmp_path):
    with uproot.recreate(tmp_path / "x.root") as file, pytest.raises(ConfigError, match="ttree, rntuple"):
        open_writer(file, "Events", [], "npz")
    with pytest.raises(ConfigError, match="Parquet"):
        ParquetWriter(tmp_path / "x.parquet", [], compression="lzma:5")


@pytest.mark.parametrize("storage", ["rntuple", "parquet"])
def test_a_type_is_parsed_once_for_all_branches_that_have_it(tmp_path, storage):
    branches = [Branch(f"b{number}", None, type="var * var * float32") for number in range(500)]
    started = time.process_time()
    if storage == "parquet":
        ParquetWriter(tmp_path / "x.parquet", branches).close()
    else:
        with uproot.recreate(tmp_path / "x.root") as file:
            open_writer(file, "Events", branches, storage)
    assert time.process_time() - started < 4  # 20 ms a branch otherwise
