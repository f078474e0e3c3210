from __future__ import annotations

import uproot

from hepae.io.readers import open_source
from hepae.verification.other_content import OtherContent


def test_another_tree_and_a_histogram_that_changed(damaged):
    assert damaged(runs=(7, 9)).broken == ("branch Runs/run: not the same bit for bit, first in entry 1",)
    assert damaged(runs=(7, 8, 9)).broken == ("tree Runs: 2 entries in the original and 3 now",)
    assert damaged(histogram=(1.0, 2.0, 4.0)).broken == ("object cutflow: not the same bit for bit",)


def _lines(after, *originals, accepted=()):
    with open_source(after) as version:
        rest = OtherContent.of(version, accepted)
        for original in originals:
            with open_source(original) as source:
                rest.compare(source, 10)
        rest.finish(1, 1)
    return rest.trees, rest.objects, rest.findings.lines()


def test_another_tree_is_that_of_all_originals_in_their_order(tmp_path, content, write):
    one, two = (
        write(tmp_path / f"{name}.root", content(5), runs=runs)
        for name, runs in (("one", (1, 2)), ("two", (3,)))
    )
    joined = write(tmp_path / "joined.root", content(5), runs=(1, 2, 3))
    assert _lines(joined, one, two) == (1, 1, [])
    line = "branch Runs/run: not the same bit for bit, first in entry 0"
    assert line in _lines(joined, two, one)[2]


def test_what_is_missing_is_accepted_by_its_name(tmp_path, content, write):
    path, bare = write(tmp_path / "all.root", content(5)), tmp_path / "bare.root"
    with uproot.recreate(bare) as file:
        file.mktree("Events", {"run": "int32"}).extend({"run": [1]})
    assert _lines(bare, path)[2] == ["tree Runs: it is missing", "object cutflow: it is missing"]
    assert _lines(bare, path, accepted={"Runs/*", "cutflow"})[2] == []
    assert _lines(path, bare)[2] == [
        "tree Runs: the original does not have it",
        "object cutflow: the original does not have it",
    ]
