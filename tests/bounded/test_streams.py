from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pcodec import ChunkConfig, DeltaSpec, PagingSpec, wrapped

from hepae.bounded.bytestream import Reader, Writer
from hepae.bounded.streams import HEADER, Groups, read_stream, read_values, write_groups, write_stream
from hepae.errors import CodecError


def written(values, *, ordered=False):
    out = Writer()
    write_stream(out, values, ordered=ordered)
    return out.content()


@given(arrays(np.int64, st.integers(0, 50), elements=st.integers(-(2**63), 2**63 - 1)), st.booleans())
@settings(deadline=None)
def test_integers_come_back(values, ordered):
    found = read_stream(Reader(written(values, ordered=ordered)), 50, HEADER)
    assert np.array_equal(found, values)


@pytest.mark.parametrize("length", [1, 255, 256, 257, 300_000])
def test_any_length_is_one_page(length):
    values = np.random.default_rng(length).integers(-500, 500, length)
    assert np.array_equal(read_stream(Reader(written(values)), length, HEADER), values)


def test_groups_are_handed_out_in_the_order_of_their_jets():
    rng = np.random.default_rng(1)
    values, group = rng.integers(-1000, 1000, 900), rng.choice([0, 1, 3], 900).astype(np.uint8)
    out = Writer()
    write_groups(out, values, group, 5)
    groups = Groups(Reader(out.content()), 5, 900, HEADER)
    found = np.concatenate([groups.take(part) for part in np.split(group, [0, 100, 101, 700])])
    assert np.array_equal(found, values)
    with pytest.raises(CodecError, match="fewer"):
        groups.take(np.array([0], np.uint8))


def test_more_integers_than_jets_are_refused_before_memory_is_taken():
    data = written(np.zeros(100_000, np.int64))
    with pytest.raises(CodecError, match="at most"):
        read_stream(Reader(data), 99_999, HEADER)


def test_a_shortened_stream_and_another_header_are_refused():
    data = written(np.arange(1000) ** 2 % 977)
    for cut in range(len(data)):
        with pytest.raises(CodecError):
            read_stream(Reader(data[:cut]), 1000, HEADER)
    with pytest.raises(CodecError):
        read_stream(Reader(data), 1000, b"\xff")


def test_numbers_that_come_again_are_coded_without_a_look_back_and_other_readers_streams_are_refused():
    rng = np.random.default_rng(3)
    values = rng.choice(rng.normal(size=300), 10_000)
    data = written(values, ordered=True)
    assert np.array_equal(read_values(Reader(data), len(values), HEADER), values)
    config = ChunkConfig(
        compression_level=9,
        delta_spec=DeltaSpec.try_lookback(),
        paging_spec=PagingSpec.exact_page_sizes([10_000]),
    )
    chunk = wrapped.FileCompressor().chunk_compressor(values, config)
    content = chunk.write_meta() + chunk.write_page(0)
    out = Writer()
    out.varint(len(values))
    out.varint(5 * len(content) + 4)
    out.raw(content)
    with pytest.raises(CodecError, match="does not allow"):
        read_values(Reader(out.content()), len(values), HEADER)
