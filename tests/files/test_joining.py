"""Files of one job joined; that jobs and hadd give the same is tested with the processors and with ROOT."""

from __future__ import annotations

import awkward as ak
import pytest
import uproot

import hepae
from hepae.errors import InputError, OutputError
from hepae.files.joining import join_files


def test_the_joined_file_has_the_parts_jets_in_order(parts, tmp_path):
    join_files(parts, tmp_path / "joined.root")
    read = []
    for path in (*parts, tmp_path / "joined.root"):
        with hepae.open(path) as file:
            read.append((file.jets(), file.header))
    assert ak.array_equal(read[2][0], ak.concatenate([read[0][0], read[1][0]]))
    headers = [header for _, header in read]
    assert headers[2].events == 500
    assert headers[2].jets == headers[0].jets + headers[1].jets
    assert headers[2].payload_rows == headers[0].payload_rows + headers[1].payload_rows
    hepae.decompress_file(tmp_path / "joined.root", tmp_path / "back.root")
    assert ak.array_equal(hepae.read_jets(tmp_path / "back.root").pt, read[2][0].pt)


def test_what_is_no_compressed_file_and_an_output_that_exists_are_refused(sample, parts, tmp_path):
    with pytest.raises(InputError, match="not a compressed file"):
        join_files([parts[0], sample], tmp_path / "joined.root")
    with pytest.raises(OutputError, match="--force"):
        join_files(parts, parts[0])
    assert not (tmp_path / "joined.root").exists()


def test_a_damaged_part_is_named(parts, tmp_path):
    data = bytearray(parts[1].read_bytes())
    with uproot.open(parts[1]) as file:
        blob = file["hepae_payload/blob"].array(library="np")[0].tobytes()
    at = data.find(blob) + len(blob) // 2
    assert at > len(blob) // 2
    data[at] ^= 1
    parts[1].write_bytes(data)
    with pytest.raises((InputError, hepae.CodecError), match=r"1\.root.*damaged"):
        join_files(parts, tmp_path / "joined.root")
    assert not (tmp_path / "joined.root").exists()
