from __future__ import annotations

import importlib.util
import subprocess
import sys

import awkward as ak
import numpy as np
import pytest
import uproot

from hepae.io.baskets import BasketChecksums
from hepae.io.cloning import Added, Side, TreeStep, longest, root_compression, root_is_there, write_trees
from hepae.io.layouts import Branch
from hepae.io.writers import parse_compression

needs_root = pytest.mark.skipif(importlib.util.find_spec("ROOT") is None, reason="ROOT is not installed")


@pytest.mark.parametrize("word", ["off", "OFF", "0"])
def test_root_is_not_asked_where_it_is_turned_off(monkeypatch, word):
    monkeypatch.setenv("HEPAE_ROOT", word)
    assert not root_is_there()
    monkeypatch.setenv("HEPAE_ROOT", "on")
    assert root_is_there() == (importlib.util.find_spec("ROOT") is not None)


def test_compressions_and_lengths_as_root_counts_them():
    assert [
        root_compression(parse_compression(text)) for text in ("zlib:1", "lzma:9", "lz4:4", "zstd:5")
    ] == [
        101,
        209,
        404,
        505,
    ]
    assert longest([]) == 0
    assert longest(np.array([3, 7, 1])) == 7


@pytest.mark.parametrize(
    ("dtype", "letter"), [("?", "O"), ("i1", "B"), ("u2", "s"), ("u8", "l"), ("f4", "F")]
)
def test_a_branch_is_described_by_the_letter_of_its_type(dtype, letter):
    added = Added.of(Branch("x", np.dtype(dtype), True, "n"), values="y", most=3, compression=505)
    assert (added.letter, added.counter, added.values) == (letter, "n", "y")
    single = Added.of(Branch("x", np.dtype(dtype), counter="n"), values="x", most=0, compression=505)
    assert single.counter is None


@pytest.fixture
def tree(make_tree):
    """Write a tree of runs and lists in a folder."""

    def make(name, first):
        lists = ak.values_astype(ak.Array([[1], [], [2, 3]]) + first, np.float32)
        run = np.arange(first, first + 3, dtype=np.int32)
        return make_tree({"run": run, "gone": run, "pt": lists}, name, "plots/Events", {"pt": "n"})

    return make


@pytest.mark.root
@needs_root
def test_baskets_are_joined_a_branch_left_out_and_one_added(tree, tmp_path):
    inputs = [tree("a.root", 0), tree("b.root", 10)]
    new = ak.values_astype(ak.Array([[5], [], [6, 7], [8], [], [9, 9]]), np.int16)
    with uproot.recreate(tmp_path / "side.root") as file:
        file.mktree("side", {"new": "var * int16"}, counter_name=lambda _: "n").extend({"new": new})
    added = Added.of(
        Branch("new", new.layout.content.dtype, True, "n"), values="new", most=2, compression=101
    )
    output = tmp_path / "out.root"
    side = Side(str(tmp_path / "side.root"), "side", (added,))
    names = tuple(map(str, inputs))
    write_trees(output, [TreeStep("plots/Events", names, "plots/Events", dropped=("gone",), side=side)])
    with uproot.open(output) as file:
        found = file["plots/Events"]
        assert sorted(found.keys()) == ["n", "new", "pt", "run"]
        assert found["run"].array().tolist() == [0, 1, 2, 10, 11, 12]
        assert found["pt"].array().tolist() == [[1], [], [2, 3], [11], [], [12, 13]]
        assert found["new"].array().tolist() == new.tolist()
        assert found["new"].typename == "int16_t[]"
        cloned, before = BasketChecksums(), BasketChecksums()
        cloned.update(found, 0, 3, paths=["run", "pt"])
        with uproot.open(inputs[0]) as original:
            before.update(original["plots/Events"], 0, 3, paths=["run", "pt"])
        assert cloned.by_branch == before.by_branch


@pytest.mark.root
@needs_root
@pytest.mark.parametrize(("code", "smaller"), [(None, False), (209, True), (505, True), (404, False)])
def test_baskets_take_another_compression_where_it_is_smaller(tmp_path, code, smaller):
    random = np.random.default_rng(1)
    path, output = tmp_path / "in.root", tmp_path / "out.root"
    counts = np.arange(3000) % 7
    lists = ak.unflatten(np.round(random.exponential(50, counts.sum()), 1).astype(np.float32), counts)
    noise = random.integers(0, 256, 3000, np.uint8)
    with uproot.recreate(path, compression=uproot.ZLIB(1)) as file:
        tree = file.mktree("Events", {"pt": "var * float32", "noise": "uint8"}, counter_name=lambda _: "n")
        for part in (slice(0, 1000), slice(1000, 3000)):
            tree.extend({"pt": lists[part], "noise": noise[part]})
    write_trees(output, [TreeStep("Events", (str(path), str(path)), "Events")], code)
    with uproot.open(path) as one, uproot.open(output) as other:
        before, after = one["Events"], other["Events"]
        assert after["pt"].array().tolist() == [*lists.tolist(), *lists.tolist()]
        assert after["noise"].array().tolist() == [*noise, *noise]
        assert (after["pt"].compressed_bytes < 2 * before["pt"].compressed_bytes) == smaller
        assert after["noise"].compressed_bytes == 2 * before["noise"].compressed_bytes
        assert after["pt"].compression == before["pt"].compression  # what is written when it comes back


JOIN = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
from pathlib import Path
from hepae.io.cloning import TreeStep, write_trees
output, *inputs = sys.argv[1:]
write_trees(Path(output), [TreeStep(name, tuple(inputs), name) for name in ("plots/Events", "plots/Events")])
"""


@pytest.mark.root
@needs_root
def test_more_inputs_than_a_process_may_open(tree, tmp_path):
    first, output = tree("a.root", 0), tmp_path / "out.root"
    inputs = [first, *(tmp_path / f"{number}.root" for number in range(80))]
    for path in inputs[1:]:
        path.symlink_to(first)
    subprocess.run([sys.executable, "-c", JOIN, output, *inputs], check=True, timeout=300)
    with uproot.open(output) as file:
        assert file["plots/Events"]["run"].array().tolist() == [0, 1, 2] * 81
