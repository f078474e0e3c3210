from __future__ import annotations

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
import uproot

import hepae
from hepae.bounds import Bounds
from hepae.errors import InputError
from hepae.files import parts as parts_module
from hepae.files.agreement import differences
from hepae.files.header import CodedCollection, Header, Sizes, StoredTree
from hepae.files.json_record import MalformedError
from hepae.files.parts import Part, Parts, is_compressed, read_parts, write_part
from hepae.io.layouts import Branch, Collection, Column
from hepae.io.objects import ObjectRecord
from hepae.io.readers import HEADER_TREE

PT = Branch("Jet_pt", np.dtype("float32"), jagged=True, counter="nJet")
HEADER = Header(
    hepae="0.1.0",
    codec="bounded",
    tree="Events",
    storage="ttree",
    format="ttree",
    layout="NanoAOD",
    events=5,
    collections={
        "Jet": CodedCollection(
            Collection("Jet", (Column("pt", "Jet_pt", "float32"),), "nJet"),
            ("pt",),
            bounds=Bounds.parse({"pt": "0.1%"}, {"pt": [30.0]}),
            jets=9,
        )
    },
    branches=(PT,),
    fields={},
    other_trees={"Runs": StoredTree(1, (Branch("run", np.dtype("uint32")),), {}, {"run": [7]})},
    objects=(ObjectRecord("plots/pt", "TH1D", 5),),
    left_out=("MET_φ",),
    unreadable=(),
    checksums={"nJet": [1, 2]},
    payload_rows=1,
    payload_checksum=3,
    model_sha256=None,
    stored_model_sha256=None,
    bytes=Sizes(100, 50),
)


def _write(path, *rows):
    """Write rows of the tree, each of a header as JSON, entries and model, as hadd leaves them."""
    with uproot.recreate(path) as file:
        types = {"entries": "int64", "crc": "uint32", "header": "var * uint8", "model": "var * uint8"}
        tree = file.mktree(HEADER_TREE, types)
        for row in rows:
            tree.extend(parts_module._part_row(*row))
    return path


def _read(path):
    with uproot.open(path) as file:
        return read_parts(file, str(path))


@pytest.mark.parametrize("model", [b"", b"\x00\xff" * 1000])
def test_parts_come_back(tmp_path, model):
    with uproot.recreate(tmp_path / "x.root") as file:
        write_part(file, Part(HEADER, 5, model))
    assert _read(tmp_path / "x.root") == Parts([Part(HEADER, 5, model)])
    rows = [(HEADER.to_json(), 5, model), (HEADER.to_json(), 5, b"x")]
    assert _read(_write(tmp_path / "y.root", *rows)) == Parts([Part(HEADER, 5, model), Part(HEADER, 5, b"x")])


def test_the_header_is_json_and_back():
    assert Header.from_json(json.loads(json.dumps(HEADER.to_json()))) == HEADER


def test_later_formats_are_refused_with_the_version(tmp_path):
    path = _write(tmp_path / "x.root", ({**HEADER.to_json(), "format_version": 2}, 5, b""))
    with pytest.raises(InputError, match=r"x\.root has format version 2, this hepae reads 1; upgrade hepae"):
        _read(path)


@pytest.mark.parametrize("what", ["entries", "model", "header"])
def test_a_row_that_changed_is_refused(tmp_path, what):
    row = parts_module._part_row(HEADER.to_json(), 5, b"model")
    changed = {"entries": row["entries"] + 2**40, "model": row["model"] + 1, "header": row["header"] ^ 1}
    with uproot.recreate(tmp_path / "x.root") as file:
        types = {"entries": "int64", "crc": "uint32", "header": "var * uint8", "model": "var * uint8"}
        value = np.asarray(changed[what]) if what == "entries" else changed[what]
        value = value if what == "entries" else parts_module.ak.values_astype(value, np.uint8)
        file.mktree(HEADER_TREE, types).extend({**row, what: value})
    with pytest.raises(InputError, match="damaged: checksum mismatch in its header"):
        _read(tmp_path / "x.root")


def _everywhere(value, path=()):
    """Places of all values in JSON."""
    yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in inside:
        yield from _everywhere(entry, (*path, key))


def _replaced(value, path, new):
    if not path:
        return new
    value = copy.deepcopy(value)
    inner = value
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = new
    return value


@pytest.mark.parametrize("new", [None, "x", "[1,2]", -1, 2**70, 1.5, float("nan"), True, [], {}, [[]], ["a"]])
def test_any_value_of_another_shape_is_refused_or_makes_no_difference(tmp_path, new):
    """Headers with a right checksum, each value replaced by another in turn: no traceback, and never a wrong type."""
    whole = HEADER.to_json()
    for path in _everywhere(whole):
        changed = _replaced(whole, path, new)
        try:
            (part,) = _read(_write(tmp_path / "x.root", (changed, 5, b"")))
        except InputError:  # one line; anything else ends the test
            continue
        else:
            assert part.header.to_json().keys() == whole.keys()
            assert Header.from_json(part.header.to_json()) == part.header


@pytest.mark.parametrize("text", [b"[" * 100_000, b"", b"\xff", b"[]", b"null", b'"x"'])
def test_text_that_is_no_header_is_refused(tmp_path, monkeypatch, text):
    monkeypatch.setattr(parts_module.json, "dumps", lambda *_, **__: text.decode("latin1"))
    path = _write(tmp_path / "x.root", ({}, 5, b""))
    with pytest.raises(InputError, match=r"damaged: its header is malformed"):
        _read(path)


def test_parts_agree_on_all_but_bounds_where_hadd_joined_them():
    other = Header.from_json(HEADER.to_json())
    assert differences(HEADER, other, strict=True) == []
    config = HEADER.to_json()
    config["collections"]["Jet"]["bounds"] = {"pt": "5%"}
    looser = Header.from_json(config)
    assert differences(HEADER, looser, strict=False) == []
    assert differences(HEADER, looser, strict=True) == ["bounds"]
    assert differences(HEADER, Header.from_json({**config, "tree": "other"}), strict=False) == ["tree"]
    total = Header.added([HEADER, looser])
    assert (total.events, total.jets, total.bytes.original) == (10, 18, 100)


def test_parts_that_are_joined_add_up():
    jet = HEADER.collections["Jet"]
    counts = ({}, 0), ({"mass": 3}, 2), ({"pt": 1}, 4)
    parts = [replace(HEADER, collections={"Jet": replace(jet, replaced=r, outside=o)}) for r, o in counts]
    total = Header.added([*parts, parts[0]])
    assert total.collections["Jet"].replaced == {"mass": 3, "pt": 1}
    assert total.collections["Jet"].outside == 6
    assert total.bytes == Sizes(400, 200)


@pytest.mark.parametrize("text", ["f16", "c8", "S3", "(2,)f4", "nothing"])
def test_what_is_no_type_of_numbers_is_refused(text):
    config = HEADER.to_json()
    config["branches"][0][1] = text
    with pytest.raises(MalformedError, match="not a type of numbers"):
        Header.from_json(config)


@pytest.mark.parametrize("place", [["jets", "pt", 0, 1], ["jets", 1, 0], ["jets", "pt", True], "jets"])
def test_places_of_the_wrong_type_are_refused(place):
    with pytest.raises(MalformedError, match="does not say where branch 'Jet_pt' stood"):
        Header.from_json({**HEADER.to_json(), "places": {"Jet_pt": place}})


def test_compressed_files_are_told_by_their_tree(tmp_path, sample):
    assert is_compressed(_write(tmp_path / "x.root", (HEADER.to_json(), 5, b"")))
    assert not is_compressed(sample)
    (tmp_path / "text").write_text("no ROOT file")
    assert not is_compressed(tmp_path / "text")
    (tmp_path / "damaged").write_bytes(sample.read_bytes()[:300])
    for name in ("damaged", "missing"):
        with pytest.raises(InputError, match=name):
            is_compressed(tmp_path / name)


def test_a_tree_that_the_header_names_and_the_file_lacks_is_refused(sample, tmp_path):
    hepae.compress_file(sample, tmp_path / "a.root", hepae.BoundedCodec(), entry_stop=100)
    with hepae.open(tmp_path / "a.root") as file:
        header = file.parts[0].header.to_json()
        arrays = {name: file.file[name].arrays(how=dict) for name in ("Events", "hepae_payload")}
    header["other_trees"] = {"Runs": HEADER.other_trees["Runs"].to_json()}
    with uproot.recreate(tmp_path / "b.root") as file:
        for name, found in arrays.items():
            kept = {n: a for n, a in found.items() if not (n.startswith("n") and n[1:] in found)}
            file.mktree(name, {n: a.type.content for n, a in kept.items()}).extend(kept)
        write_part(file, Part(Header.from_json(header), 100, b""))
    with pytest.raises(InputError, match="Runs"):
        hepae.decompress_file(tmp_path / "b.root", tmp_path / "c.root")
