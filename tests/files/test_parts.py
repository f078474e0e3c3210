from __future__ import annotations

from dataclasses import replace

import pytest
import uproot

from hepae.errors import InputError
from hepae.files.header import Header
from hepae.files.parts import Part, Parts, _part_row, is_compressed, read_parts, write_part


@pytest.fixture
def part(parts):
    with uproot.open(parts[0]) as file:
        (part,) = read_parts(file, "0.root")
    return part


def _read(tmp_path, *rows):
    path = tmp_path / "rows.root"
    types = {"entries": "int64", "crc": "uint32", "header": "var * uint8", "model": "var * uint8"}
    with uproot.recreate(path) as file:
        tree = file.mktree("hepae", types)
        for row in rows:
            tree.extend(row)
    with uproot.open(path) as file:
        return read_parts(file, "rows.root")


def test_a_part_is_read_as_it_was_written(part, tmp_path):
    path, whole = tmp_path / "written.root", Part(part.header, part.entries, b"model")
    with uproot.recreate(path) as file:
        write_part(file, whole)
    with uproot.open(path) as file:
        assert read_parts(file, "written.root") == Parts([whole])


def test_rows_that_contradict_themselves_are_refused(part, tmp_path):
    header = part.header.to_json()
    good = _part_row(header, part.entries, b"")
    assert [row.entries for row in _read(tmp_path, good, good)] == [300, 300]
    for words, rows in {
        "checksum mismatch in its header": [{**good, "entries": good["entries"] + 1}],
        "its header does not cover the entries it says": [good, _part_row(header, 299, b"")],
        "its header is malformed": [_part_row({**header, "codec": 5}, 300, b"")],
        "is empty": [],
    }.items():
        with pytest.raises(InputError, match=rf"rows\.root is damaged: .*{words}"):
            _read(tmp_path, *rows)


def test_compressed_files_are_told_from_others(sample, parts, tmp_path):
    (tmp_path / "text").write_text("hepae")
    assert [is_compressed(path) for path in (parts[0], sample, tmp_path / "text")] == [True, False, False]
    with (
        uproot.open(sample) as file,
        pytest.raises(InputError, match="is not a compressed file: it has no tree"),
    ):
        read_parts(file, "sample")


def test_each_part_has_its_range_of_events(part):
    parts = Parts(replace(part, entries=n) for n in (10, 0, 5))
    assert [*parts.ranges(0, 15)] == [(0, 0, 10), (2, 10, 15)]
    assert [*parts.ranges(3, 7)] == [(0, 3, 7)]
    assert [*parts.ranges(9, 11)] == [(0, 9, 10), (2, 10, 11)]
    assert [*parts.ranges(10, 10)] == [(2, 10, 10)]  # a range without events belongs to a part as well


def test_bounds_are_told_by_ranges_of_events(part):
    config = part.header.to_json()
    config["collections"]["Jet"]["bounds"]["pt"] = "5%"
    looser = Part(Header.from_json(config), part.entries, b"")
    parts = Parts([part, part, looser])
    ranges = parts.bounds("Jet", 0, 3 * part.entries)
    assert [(begin, end) for begin, end, _ in ranges] == [
        (0, 2 * part.entries),
        (2 * part.entries, 3 * part.entries),
    ]
    assert [str(bounds["pt"]) for _, _, bounds in ranges] == ["0.1%", "5%"]
