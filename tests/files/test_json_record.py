from __future__ import annotations

import pytest

from hepae.files.json_record import MalformedError, Record

VALUE = {
    "text": "a",
    "null": None,
    "yes": True,
    "count": 7,
    "negative": -1,
    "large": 2**63,
    "float": 1.0,
    "texts": ["a", "b"],
    "mixed": ["a", 1],
    "counts": {"x": 1},
    "lists": {"x": [1, 2]},
    "wrong lists": {"x": [True]},
    "records": {"x": {"count": 3}},
    "items": [{"text": "b"}, 5],
    "names": {"x": "y"},
}


def test_fields_are_read():
    record = Record(VALUE)
    assert (record.text("text"), record.boolean("yes"), record.count("count")) == ("a", True, 7)
    assert (record.optional_text("null"), record.optional_text("text")) == (None, "a")
    assert record.choice("text", ("a", "b")) == "a"
    assert record.texts("texts") == ("a", "b")
    assert Record(["a", "b"]).texts(2) == ("a", "b")
    assert [item.value for item in record.items("items")] == VALUE["items"]
    assert record.record("records").records("x")["count"].value == 3
    assert record.records("records")["x"].count("count") == 3
    assert (record.counts("counts"), record.count_lists("lists")) == ({"x": 1}, {"x": [1, 2]})
    assert record.text_mapping("names") == {"x": "y"}


@pytest.mark.parametrize(
    ("method", "key", "words"),
    [
        ("text", "none", "header has no 'none'"),
        ("text", "count", "'count' of header is not a text"),
        ("optional_text", "none", "header has no 'none'"),
        ("optional_text", "count", "not a text"),
        ("boolean", "count", "not true or false"),
        ("count", "yes", "not a whole number"),
        ("count", "float", "not a whole number"),
        ("count", "negative", "not a count"),
        ("count", "large", "not a count"),
        ("texts", "mixed", "not a list of texts"),
        ("texts", "text", "not a list"),
        ("items", "counts", "not a list"),
        ("record", "texts", "not an object"),
        ("counts", "names", "'x' of 'names' is not a whole number"),
        ("count_lists", "wrong lists", "'x' in 'wrong lists' of header is not a list of counts"),
        ("count_lists", "counts", "not a list of counts"),
        ("text_mapping", "counts", "something other than texts"),
    ],
)
def test_a_field_that_is_something_else_is_named(method, key, words):
    with pytest.raises(MalformedError, match=words):
        getattr(Record(VALUE), method)(key)


def test_what_is_no_object_and_no_choice_is_named():
    with pytest.raises(MalformedError, match="header is not an object"):
        Record([1]).text("text")
    with pytest.raises(MalformedError, match="'text' of header is none of b, c"):
        Record(VALUE).choice("text", ("b", "c"))
    with pytest.raises(MalformedError, match="not a list of texts"):
        Record(["a", "b"]).texts(3)
    with pytest.raises(MalformedError, match=r"'count' of records\.x is not a text"):
        Record(VALUE).records("records")["x"].text("count")
