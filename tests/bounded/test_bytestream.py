from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hepae.bounded.bytestream import Reader, Writer
from hepae.errors import CodecError

ITEMS = st.one_of(
    st.tuples(st.just("varint"), st.integers(0, 2**64 - 1)),
    st.tuples(st.just("float64"), st.floats(allow_nan=False)),
    st.tuples(st.just("floats"), st.lists(st.floats(width=32, allow_nan=False))),
    st.tuples(st.just("blob"), st.binary()),
    st.tuples(st.just("text"), st.text()),
)


def written(items):
    writer = Writer()
    for kind, value in items:
        getattr(writer, kind)(np.array(value, np.float64) if kind == "floats" else value)
    return writer.content()


@settings(max_examples=50, deadline=None)
@given(st.lists(ITEMS, max_size=8))
def test_what_is_read_is_what_was_written(items):
    reader = Reader(written(items) + b"tail")
    for kind, value in items:
        found = getattr(reader, kind)()
        assert (found.tolist() if kind == "floats" else found) == value
    assert reader.raw(4) == b"tail"


@settings(max_examples=50, deadline=None)
@given(st.lists(ITEMS, min_size=1, max_size=4), st.data())
def test_bytes_that_end_too_early_are_refused(items, data):
    content = written(items)
    reader = Reader(content[: data.draw(st.integers(0, len(content) - 1))])

    def read_all():
        for kind, _ in items:
            getattr(reader, kind)()

    with pytest.raises(CodecError, match="damaged payload"):
        read_all()


def test_integers_take_seven_bits_a_byte_and_floats_are_little_endian():
    assert written([("varint", 0), ("varint", 127), ("varint", 128), ("varint", 300)]) == bytes.fromhex(
        "007f8001ac02"
    )
    assert len(written([("varint", 2**64 - 1)])) == 10
    assert written([("float64", 1.0), ("text", "η")]) == bytes.fromhex("000000000000f03f02ceb7")
    assert math.isnan(Reader(written([("float64", math.nan)])).float64())


@pytest.mark.parametrize(
    ("data", "read", "words"),
    [
        (b"\xac\x02", lambda reader: reader.varint(299), "300 where at most 299 makes sense"),
        (b"\xff" * 9 + b"\x02", lambda reader: reader.varint(), "makes sense"),
        (b"\x80" * 11, lambda reader: reader.varint(), "an integer does not end"),
        (b"\x02\xff\xff", lambda reader: reader.text(), "a name is no text"),
        (b"\xff\xff\xff\xff\x0f", lambda reader: reader.floats(), "it ends too early"),
    ],
)
def test_bytes_that_make_no_sense_are_refused(data, read, words):
    with pytest.raises(CodecError, match=words):
        read(Reader(data))
