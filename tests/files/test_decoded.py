from __future__ import annotations

import threading

import numpy as np
import pytest

from hepae.files.decoded import DecodedColumns


def column(value, length=10):
    return np.full(length, value, np.int64)  # 80 bytes


def test_the_array_that_was_not_asked_for_longest_goes_first():
    kept = DecodedColumns(most_bytes=240)
    for key in "abc":
        kept.put(key, column(ord(key)))
    assert kept.get("a")[0] == ord("a")
    kept.put("d", column(0))
    assert kept.get("b") is None
    assert [kept.get(key) is None for key in "acd"] == [False] * 3


def test_an_array_that_takes_the_place_of_another_counts_once():
    kept = DecodedColumns(most_bytes=240)
    kept.put("a", column(1))
    for _ in range(5):
        kept.put("b", column(2))
    assert kept.get("a")[0] == 1
    kept.put("b", column(3, 21))
    assert kept.get("a") is None
    assert kept.get("b")[0] == 3


def test_an_array_larger_than_all_that_may_be_kept_is_not_kept():
    kept = DecodedColumns(most_bytes=100)
    kept.put("a", column(1))
    kept.put("large", column(2, 20))
    assert kept.get("large") is None
    kept.put("b", column(3))
    assert kept.get("b") is not None


def test_arrays_that_are_kept_cannot_be_changed():
    kept = DecodedColumns()
    kept.put("a", column(1))
    with pytest.raises(ValueError, match="read-only"):
        kept.get("a")[0] = 2
    kept.clear()
    assert kept.get("a") is None


def test_threads_may_share_it():
    kept = DecodedColumns(most_bytes=800)
    wrong = []

    def work(number):
        for turn in range(2000):
            key = (number * 7 + turn) % 25
            kept.put(key, column(key))
            found = kept.get((key + turn) % 25)
            if found is not None and found[0] != (key + turn) % 25:
                wrong.append(found[0])

    started = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    assert wrong == []
    held = [key for key in range(25) if kept.get(key) is not None]
    assert len(held) == 10  # as many as there is room for: no thread lost count of the bytes
