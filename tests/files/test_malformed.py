"""Small files made to be malicious: no traceback, no more than 1 GB and 20 s of processor time, whatever they claim.

Headers, payloads and models here have right checksums: what they say is wrong. ``HEPAE_FUZZ`` sets how many files of each kind
there are.
"""

from __future__ import annotations

import copy
import json
import os
import pickle
import random
import struct
import zlib
from dataclasses import replace

import awkward as ak
import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uproot

import hepae
from hepae.bounded.cluster import ClusterInput, encode_cluster
from hepae.bounds import Bounds
from hepae.files.header import CodedCollection, Header
from hepae.files.parts import Part, byte_row, write_part
from hepae.files.payload import RowBuffer, payload_branches
from hepae.io.checksums import Checksums
from hepae.io.layouts import Branch, Collection, Column
from hepae.io.readers import HEADER_TREE
from hepae.io.writers import TreeWriter

FILES = max(3, int(os.environ.get("HEPAE_FUZZ", "12")) // 3)
MEGABYTES, SECONDS = 1000, 20


def _check(forked, number, *commands):
    """Run commands; give their statuses."""
    statuses = []
    for command in commands:
        status, megabytes, seconds, said = forked(*command)
        what = f"file {number}: {' '.join(map(str, command))}: {status}, {megabytes} MB, {seconds:.1f} s: {said[-3000:]}"
        assert status in (0, 1), what
        assert "Traceback" not in said, what
        assert megabytes < MEGABYTES, what
        assert seconds < SECONDS, what
        if status == 1:
            assert sum(line.startswith("Error: ") for line in said.splitlines()) == 1, what
        statuses.append(status)
    return statuses


def _strange(random):
    """A value of another type, or too large."""
    return random.choice(
        (
            None,
            True,
            -1,
            0,
            2**31 - 1,
            2**40,
            2**70,
            1e300,
            float("nan"),
            "",
            "x",
            "[1,2]",
            "\x00",
            "nJet",
            "é" * 300,
            [],
            {},
            [[]],
            ["pt"] * 3,
            [2**31] * 5,
            {"pt": 1},
            [None],
            "f8",
            ">i8",
            "O",
            "V8",
            "U1000000000",
            "../x",
        )
    )


def _changed(value, random):
    """A copy of JSON in which one to three values are strange."""
    value = copy.deepcopy(value)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        inside, key = {"": value}, ""
        while isinstance(inside[key], dict | list) and inside[key] and random.random() < 0.9:
            inside = inside[key]
            key = random.choice(list(inside) if isinstance(inside, dict) else range(len(inside)))
        if inside == {"": value}:
            continue
        kind = random.randrange(5)
        if kind == 0:
            del inside[key]
        elif kind == 1 and isinstance(inside, list):
            inside *= 1000
        else:
            inside[key] = _strange(random)
    return value


@pytest.fixture(scope="module")
def whole(sample, codec, tmp_path_factory):
    """Compressed files, with bounds and with latents, and what is in them."""
    folder = tmp_path_factory.mktemp("whole")
    hepae.compress_file(sample, folder / "bounds.root", hepae.BoundedCodec(), entry_stop=200)
    hepae.compress_file(sample, folder / "latents.root", codec, entry_stop=200)
    found = {}
    for name in ("bounds", "latents"):
        with hepae.open(folder / f"{name}.root") as file:
            (part,) = file.parts
            events = file.file[file.tree].arrays(how=dict)
            rows = []
            if file.header.bounded:
                stored = file.file["hepae_payload"].arrays(library="np")
                rows = [
                    [
                        stored["names"][i].tobytes(),
                        *(int(stored[n][i]) for n in ("events", "jets", "seed")),
                        stored["blob"][i].tobytes(),
                    ]
                    for i in range(len(stored["crc"]))
                ]
        found[name] = part.header, events, rows, part.model
    return found


def _write(path, header, events, rows, model, text=None):
    """Write a compressed file of any content, with the checksums of it."""
    with uproot.recreate(path, compression=uproot.ZSTD(1)) as file:
        counted = {f"n{name}" for name, array in events.items() if array.ndim > 1}
        kept = {name: array for name, array in events.items() if name not in counted}
        file.mktree("Events", {name: array.type.content for name, array in kept.items()}).extend(kept)
        writer = TreeWriter(file, "hepae_payload", payload_branches())
        buffer = RowBuffer(writer)
        for row in rows:
            buffer.add(*row)
        buffer.flush()
        value = header.to_json() | {"payload_rows": buffer.rows, "payload_checksum": buffer.checksum}
        value["checksums"] = {name: sums for name, sums in value["checksums"].items() if name in events}
        if text is None:
            write_part(file, Part(Header.from_json(value), header.events, model))
        else:
            _write_text(file, text(value), header.events, model)


def _write_text(file, text, entries, model):
    crc = zlib.crc32(model, zlib.crc32(text, zlib.crc32(entries.to_bytes(8, "little"))))
    types = {"entries": "int64", "crc": "uint32", "header": "var * uint8", "model": "var * uint8"}
    file.mktree(HEADER_TREE, types).extend(
        {
            "entries": np.array([entries]),
            "crc": np.array([crc], np.uint32),
            "header": byte_row(text),
            "model": byte_row(model),
        }
    )


@pytest.mark.parametrize("name", ["bounds", "latents"])
def test_headers(forked, whole, tmp_path, name):
    header, events, rows, model = whole[name]
    path, out = tmp_path / "x.root", tmp_path / "out.root"
    for number in range(FILES):
        chance = random.Random(f"{name} {number}")
        _write(path, header, events, rows, model, lambda v: json.dumps(_changed(v, chance)).encode())  # noqa: B023
        _check(forked, number, ["info", path], ["decompress", path, "-o", out, "--force"])


def test_payloads(forked, whole, tmp_path):
    header, events, rows, model = whole["bounds"]
    path, out = tmp_path / "x.root", tmp_path / "out.root"
    for number in range(FILES):
        chance = random.Random(f"payload {number}")
        changed = copy.deepcopy(rows)
        for _ in range(chance.choice((1, 1, 3))):
            row = chance.choice(changed)
            kind = chance.randrange(4)
            if kind == 0:
                row[chance.choice((1, 2))] = chance.choice((0, 1, 2**20, 2**31 - 1, 2**40, 2**62, -1))
            elif kind == 1:
                row[0] = chance.choice(
                    (b"", b"\xff", b"Jet", b"Jet\0pt\0pt", b"\0\0", b"Jet\0x" + b"\0pt" * 9)
                )
            else:
                blob = bytearray(row[4])
                for _ in range(chance.choice((1, 5))):
                    at = chance.randrange(len(blob) if kind == 2 else min(60, len(blob)))
                    blob[at : at + chance.choice((0, 1, 4))] = chance.choice(
                        (b"\xff" * 9 + b"\1", chance.randbytes(3))
                    )
                row[4] = bytes(blob)
        try:
            _write(path, header, events, changed, model)
        except (OverflowError, struct.error):
            continue
        _check(forked, number, ["info", path], ["decompress", path, "-o", out, "--force"])


@pytest.mark.parametrize(
    ("jets", "events", "columns", "message"),
    [
        (2**31 - 1, 1, 1, "set HEPAE_MAX_EXPANSION"),
        (2**31 - 1, 2, 1, "more than 1048576"),
        (2**62, 1, 1, "set HEPAE_MAX_EXPANSION"),
        (10**6, 1, 3000, "set HEPAE_MAX_EXPANSION"),
    ],
)
def test_jets_that_a_small_file_claims(forked, whole, constant, tmp_path, jets, events, columns, message):
    """So many jets in so many columns, all constant: counter, rows and header agree."""
    path, out = tmp_path / "x.root", tmp_path / "out.root"
    _write_constant(path, whole["bounds"][0], constant, jets, events, columns)
    assert path.stat().st_size < 300_000
    for command in (["decompress", path, "-o", out], ["info", path]):
        status, megabytes, seconds, said = forked(*command)
        assert (status, message in said, said.count("Error: ")) == (1, True, 1), said
        assert megabytes < MEGABYTES
        assert seconds < SECONDS


def test_constant_columns_are_restored(forked, whole, constant, tmp_path):
    """A million jets in one event are more than clusters have otherwise; they come back, and so do many where a user wants them."""
    path, out = tmp_path / "x.root", tmp_path / "out.root"
    _write_constant(path, whole["bounds"][0], constant, 10**6, 1, 3)
    status, megabytes, _, said = forked("decompress", path, "-o", out)
    assert status == 0, said
    assert megabytes < MEGABYTES
    with uproot.open(out) as file:
        assert np.all(file["Events"]["c2"].array()[0] == 1)
        assert file["Events"]["nJet"].array().tolist() == [10**6]


@pytest.mark.parametrize("count", [2**31 - 1, 10**9])
def test_jets_of_a_flat_file_are_its_events(forked, whole, constant, tmp_path, count):
    header, *_ = whole["bounds"]
    path, out = tmp_path / "x.root", tmp_path / "out.root"
    _write_constant(path, header, constant, count, 1, 1, counter=None)
    status, megabytes, _, said = forked("decompress", path, "-o", out)
    assert (status, said.count("Error: ")) == (1, 1), said
    assert megabytes < MEGABYTES


@pytest.fixture(scope="module")
def constant():
    """A constant column of a million jets in one event, coded."""
    column = {"c0": np.ones(10**6, np.float32)}
    work = ClusterInput(column, np.array([10**6]), Bounds.parse({"c0": "exact"}))
    return encode_cluster(work).columns["c0"].data


def _write_constant(path, header, data, jets, events, columns, counter="nJet"):
    names = [f"c{i}" for i in range(columns)]
    collection = Collection("Jet", tuple(Column(name, name, "float32") for name in names), counter)
    bounds = Bounds.parse(dict.fromkeys(names, "exact"))
    coded = CodedCollection(collection, tuple(names), (), bounds, jets)
    counts = np.full(events, min(jets // events, 2**31 - 1), np.int32)
    counts[0] += jets - int(counts.sum(dtype=np.int64)) if jets < 2**31 else 0
    arrays = {counter or "n": ak.Array(counts)}
    checksums = Checksums()
    checksums.update(arrays)
    branches = (
        *([Branch(counter, np.dtype("int32"))] if counter else []),
        *(Branch(name, np.dtype("float32"), bool(counter), counter) for name in names),
    )
    changed = replace(
        header,
        events=events,
        collections={"Jet": coded},
        branches=branches,
        checksums=checksums.by_branch,
        fields={},
        other_trees={},
        objects=(),
    )
    rows = [[b"\0".join((b"Jet", name.encode())), events, jets, 0, data] for name in names]
    _write(path, changed, arrays, rows, b"")


def test_models(forked, codec, sample, tmp_path):
    path, out = tmp_path / "m.safetensors", tmp_path / "out.root"
    codec.save(path)
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    table = json.loads(data[8 : 8 + length])
    header = json.loads(table["__metadata__"]["hepae"])
    for number in range(FILES):
        chance = random.Random(f"model {number}")
        changed = copy.deepcopy(table)
        if chance.random() < 0.8:
            changed["__metadata__"]["hepae"] = json.dumps(_changed(header, chance))
        else:
            changed = _changed(table, chance)
        text = json.dumps(changed).encode()
        text += b" " * (-len(text) % 8)
        path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])
        _check(forked, number, ["info", path], ["compress", sample, "-m", path, "-o", out, "--force"])


def _pickle(chance):
    """A pickle that is a table, or nearly one, or one of much more memory than it has bytes."""
    values = np.linspace(1, 90, 50)
    kind = chance.randrange(6)
    if kind == 0:
        shared = [1.0] * chance.choice((3, 20_000))
        return pickle.dumps({"pt": [shared] * chance.choice((3, 20_000))}, protocol=chance.choice((2, 4)))
    if kind == 1:
        value = 1.0
        for _ in range(chance.choice((30, 200))):
            value = [value, value]
        return pickle.dumps(value)
    if kind == 2:
        return pickle.dumps({chance.choice(("pt", 3, None, ("a", 1))): _strange(chance) for _ in range(4)})
    if kind == 3:
        return pickle.dumps(np.broadcast_to(np.float32(1), (3, 4)), protocol=4).replace(
            struct.pack("<B", 3), struct.pack("<B", chance.randrange(256)), 1
        )
    data = bytearray(pickle.dumps(pd.DataFrame({"pt": values, "eta": values}), protocol=4))
    for _ in range(chance.choice((1, 5, 20))):
        data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(data)


def _hdf5(path, chance):
    kind = chance.randrange(5)
    with h5py.File(path, "w") as file:
        if kind == 0:
            file.create_dataset("pt", (chance.choice((10**6, 4 * 10**9, 2**60)),), "f8", chunks=(1000,))
        elif kind == 1:
            types = chance.choice(
                (h5py.string_dtype(), h5py.vlen_dtype("f4"), h5py.ref_dtype, "c16", "V7", "f2")
            )
            file.create_dataset("pt", (20,), types)
        elif kind == 2:
            for name in ("pt", "eta", "phi", "mass"):
                shape = chance.choice(((5,), (6,), (5, 3), (0,), (), (5, 10**8)))
                file.create_dataset(name, shape, "f4")
        elif kind == 3:
            group = file
            for _ in range(chance.choice((3, 300))):
                group = group.create_group("g")
            group["loop"] = h5py.SoftLink("/")
            group["file"] = file["/"]
        else:
            big = {"chunks": (10**6,), "compression": "gzip"}
            for name in ("pt", "eta", "phi", "mass"):
                file.create_dataset(name, (chance.choice((10**6, 3 * 10**7)),), "f4", fillvalue=1.0, **big)


def _parquet(path, chance):
    kind = chance.randrange(4)
    if kind == 0:
        count = chance.choice((10**6, 3 * 10**7))
        table = pa.table(
            {name: pa.array(np.ones(count, np.float32)) for name in ("pt", "eta", "phi", "mass")}
        )
        pq.write_table(table, path, compression="zstd")
        return
    if kind == 1:
        value = pa.array([1.0])
        for _ in range(chance.choice((3, 60))):
            value = pa.StructArray.from_arrays([value], ["a"])
        pq.write_table(pa.table({"pt": value}), path)
        return
    types = (
        pa.float32(),
        pa.string(),
        pa.list_(pa.float32()),
        pa.timestamp("s"),
        pa.bool_(),
        pa.null(),
        pa.binary(),
    )
    names = ["pt", "eta", "[red]", "", "a/b"]
    pq.write_table(pa.table({name: pa.nulls(5, chance.choice(types)) for name in names}), path)
    if kind == 3:
        data = bytearray(path.read_bytes())
        for _ in range(chance.choice((1, 5))):
            data[chance.randrange(len(data))] = chance.randrange(256)
        path.write_bytes(data)


def _csv(chance):
    kind = chance.randrange(6)
    if kind == 0:
        return b"pt,eta,phi,mass\n" + b"1,2\n" * chance.choice((1, 200_000))
    if kind == 1:
        return b",".join(b"c%d" % i for i in range(100_000)) + b"\n" + b"1," * 99_999 + b"1\n"
    if kind == 2:
        return b'pt,eta\n"' + b"1\n" * 100_000
    if kind == 3:
        return b"pt,eta,phi,mass\n" + b"\n".join(
            chance.choice((b"nan,inf,-inf,1e999", b"x,\0,\xff,1", b"1,2,3,4", b"9" * 5000 + b",1,1,1"))
            for _ in range(50)
        )
    if kind == 4:
        return b"1;p;1;1;1;" + b"j,1,1,1,1;" * chance.choice((1, 50_000)) + b"\n" + b"2;p;1;1;1;j,1,1" * 3
    return b"pt,pt,pt\n" + bytes(chance.randrange(256) for _ in range(3000))


@pytest.mark.parametrize("kind", ["pickle", "hdf5", "parquet", "csv"])
def test_tables(forked, tmp_path, kind):
    path, out = tmp_path / f"x.{kind}", tmp_path / "out.root"
    for number in range(FILES):
        chance = random.Random(f"{kind} {number}")
        if kind == "pickle":
            path.write_bytes(_pickle(chance))
        elif kind == "csv":
            path.write_bytes(_csv(chance))
        else:
            path.unlink(missing_ok=True)
            (_hdf5 if kind == "hdf5" else _parquet)(path, chance)
        if path.stat().st_size < 1_000_000:
            _check(forked, number, ["info", path], ["compress", path, "-o", out, "--force"])
