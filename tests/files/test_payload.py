from __future__ import annotations

import re
import struct

import awkward as ak
import numpy as np
import pytest
import uproot
from coffea.nanoevents import BaseSchema, NanoEventsFactory

import hepae
from hepae.errors import CodecError, HepaeError, InputError
from hepae.files.decoded import DECODED

COLUMNS = ("pt", "eta", "phi", "mass")


@pytest.fixture(scope="module")
def small(sample, tmp_path_factory):
    """Three clusters of the sample, each of four columns."""
    path = tmp_path_factory.mktemp("payload") / "small.root"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hepae.bounded.cluster.CLUSTER_JETS", 2000)
        hepae.compress_file(sample, path, hepae.BoundedCodec(), entry_stop=2000, compression="zstd:1")
    return path


def _restored(path):
    events = NanoEventsFactory.from_root({str(path): "Events"}, schemaclass=BaseSchema).events()
    return ak.sum(hepae.restore(events)["Jet_pt"])


def _jets(path):
    with hepae.open(path) as file:
        return file.jets()


def _refused_by_all(path, tmp_path):
    DECODED.clear()
    with pytest.raises(HepaeError, match="damaged"):
        hepae.decompress_file(path, tmp_path / "back.root", force=True)
    with pytest.raises(HepaeError, match="damaged"):
        _jets(path)
    with pytest.raises(HepaeError, match="damaged"):
        _restored(path)
    assert not (tmp_path / "back.root").exists()


def _numbers(path, name):
    with uproot.open(path) as file:
        return file["hepae_payload"][name].array(library="np").tolist()


def test_there_is_a_row_for_each_column_of_each_cluster(small):
    names = [bytes(name).decode().split("\0") for name in _numbers(small, "names")]
    assert len(names) == 12
    assert [name[:2] for name in names] == [["Jet", column] for column in COLUMNS] * 3
    for _, column, *parents in names:
        assert {*parents} <= {*COLUMNS[: COLUMNS.index(column)]}


@pytest.mark.parametrize("bit", range(0, 64, 7))
@pytest.mark.parametrize("row", [0, 5, 11])
def test_a_flipped_bit_of_the_seed_is_refused_by_every_reader(small, tmp_path, row, bit):
    raw = small.read_bytes()
    at = raw.find(_numbers(small, "seed")[row].to_bytes(8, "big"))
    assert at > 0
    damaged = tmp_path / "damaged.root"
    damaged.write_bytes(
        raw[: at + bit // 8] + bytes([raw[at + bit // 8] ^ 1 << bit % 8]) + raw[at + bit // 8 + 1 :]
    )
    _refused_by_all(damaged, tmp_path)


@pytest.mark.parametrize("change", [
    {"events": 1}, {"jets": 1}, {"seed": 1 << 63}, {"crc": 1}, {"names": b"Jet\0m"}, {"blob": b"x"},
    {"swap": 4}, {"drop": 11}, {"twice": 11}, {"exchange": 4},
])  # fmt: skip
def test_rows_that_changed_are_refused_by_every_reader(small, tmp_path, change):
    """Whole rows written anew by somebody who does not know the checksums."""
    with uproot.open(small) as file:
        trees = {name: file[name].arrays(how=dict) for name in ("Events", "hepae", "hepae_payload")}
    payload = {n: a for n, a in trees["hepae_payload"].items() if n not in ("nnames", "nblob")}
    rows = [{name: array[i] for name, array in payload.items()} for i in range(12)]
    ((kind, value),) = change.items()
    if kind == "swap":  # the first two columns of the second cluster
        rows[value], rows[value + 1] = rows[value + 1], rows[value]
    elif kind == "drop":
        rows = rows[:value]
    elif kind == "twice":
        rows.append(rows[value])
    elif kind == "exchange":  # the second cluster and the third
        rows = rows[:4] + rows[8:] + rows[4:8]
    elif kind in ("names", "blob"):
        rows[4][kind] = np.frombuffer(value, np.uint8)
    else:
        rows[4][kind] = type(rows[4][kind])((int(rows[4][kind]) + value) % 2**64)
    damaged = tmp_path / "damaged.root"
    types = {
        name: "var * uint8" if name in ("names", "blob") else array.layout.dtype
        for name, array in payload.items()
    }
    trees["hepae_payload"] = {
        name: ak.Array([list(row[name]) for row in rows])
        if types[name] == "var * uint8"
        else np.array([row[name] for row in rows], types[name])
        for name in payload
    }
    with uproot.recreate(damaged) as file:
        for name, arrays in trees.items():
            kept = {n: a for n, a in arrays.items() if not (n[:1] == "n" and n[1:] in arrays)}
            if name == "hepae_payload":
                kept = {
                    n: ak.values_astype(a, np.uint8) if n in ("names", "blob") else a for n, a in kept.items()
                }
            kinds = {n: getattr(ak.type(a), "content", None) for n, a in kept.items()}
            file.mktree(name, kinds).extend(kept)
    _refused_by_all(damaged, tmp_path)


def test_one_column_is_read_and_decoded_without_the_others(small, monkeypatch):
    from hepae.files.payload import PayloadReader

    read = []
    blobs = PayloadReader._blobs

    def counting(self, numbers):
        read.extend(numbers)
        return blobs(self, numbers)

    monkeypatch.setattr(PayloadReader, "_blobs", counting)
    DECODED.clear()
    with hepae.open(small) as file:
        whole = file.jets()
        assert len(read) == 12
        read.clear()
        DECODED.clear()
        pt = file.jets(columns=["pt"])
        assert pt.fields == ["pt"]
        assert ak.all(pt.pt == whole.pt)
        assert read == [0, 4, 8]
        assert ak.all(file.jets(5, 50, columns=["pt"]).pt == whole.pt[5:50])
        assert len(read) == 3  # what this process decoded last is kept
        with pytest.raises(InputError, match=r"no column 'x' in Jet of .*: it has pt, eta, phi, mass"):
            file.jets(columns=["x"])
        sizes = file.stored_bytes()
        assert [*sizes] == [*COLUMNS]
        assert sum(sizes.values()) == pytest.approx(file.header.bytes.compressed, abs=4)


def test_a_column_that_is_not_there_is_named(small):
    with hepae.open(small) as file:
        ((_, cluster),) = file._payload.overlapping("Jet", 0, 1)
        with pytest.raises(CodecError, match="no column 'x'"):
            cluster.with_ancestors(["x"])


def test_a_damaged_number_of_rows_is_refused_by_every_reader(small, tmp_path):
    """Of the branch with the rows' content, in the record of the tree."""
    whole = small.read_bytes()
    record = whole.index(b"\x04blob")
    path = tmp_path / "damaged.root"
    refused = 0
    for place in re.finditer(re.escape(struct.pack(">q", 12)), whole[record : record + 1000]):
        at = record + place.start() + 1
        path.write_bytes(whole[:at] + b"\xe5" + whole[at + 1 :])
        DECODED.clear()
        try:
            assert ak.array_equal(_jets(path), _jets(small))
        except HepaeError:
            refused += 1
            _refused_by_all(path, tmp_path)
    assert refused
