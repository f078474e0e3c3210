from __future__ import annotations

import numpy as np
import pytest

from hepae.bounded.bytestream import Reader, Writer
from hepae.bounded.contexts import Questions, Tree, _log2, _xlogx, grow
from hepae.errors import CodecError


def test_logarithms():
    values = np.concatenate([np.arange(1, 1000), 2.0 ** np.arange(64), [1.5e300]])
    assert np.all(np.abs(_log2(values) / 1024 - np.log2(values)) < 1e-3)
    counts = np.arange(2, 1 << 14)
    assert np.all(np.abs(_xlogx()[2:] / 1024 / (counts * np.log2(counts)) - 1) < 1e-3)
    assert _xlogx()[:2].tolist() == [0, 0]


def test_a_tree_separates_the_wide_from_the_narrow():
    rng = np.random.default_rng(1)
    useless, telling = rng.integers(-30_000, 30_000, (2, 8000), dtype=np.int32)
    residual = rng.integers(-10, 11, 8000) * np.where(telling > 1000, 100, 1)
    tree, bits = grow(Questions([useless, telling]), residual, 10.0)
    assert tree.groups >= 2
    assert {base for _, base, _ in tree.questions} == {1}
    group = tree([useless, telling])
    wide = {int(g) for g in np.unique(group[telling > 5000])}
    assert wide.isdisjoint(np.unique(group[telling < -4000]).tolist())
    # log2(21) for each; the wide ones' gaps are not seen in bins
    assert bits / 80_000 < grow(Questions([useless]), residual, 10.0)[1] / 80_000 - 0.5


def test_bits_are_those_of_the_distribution():
    rng = np.random.default_rng(2)
    base = rng.integers(0, 100, 8000, dtype=np.int32)
    for width in (10, 1000, 2**40):
        _, bits = grow(Questions([base]), rng.integers(0, width, 8000), 1.0)
        assert bits / 8000 == pytest.approx(np.log2(width), abs=0.15)


def test_nothing_is_asked_about_bases_that_are_the_same_for_all():
    rng = np.random.default_rng(4)
    same, telling = np.zeros(8000, np.int32), rng.integers(0, 2, 8000, dtype=np.int32)
    questions = Questions([same, telling, same])
    assert list(questions.thresholds) == [1]
    assert list(questions.with_base(2, telling).thresholds) == [1, 2]
    residual = rng.integers(-10, 11, 8000) * np.where(telling, 100, 1)
    assert grow(questions, residual, 10.0)[0].questions == ((0, 1, 1),)
    assert grow(Questions([same]), residual, 10.0)[0] == Tree()


def test_noise_is_one_group():
    rng = np.random.default_rng(3)
    bases = list(rng.integers(-100, 100, (20, 8000), dtype=np.int32))
    assert grow(Questions(bases), rng.integers(-1000, 1000, 8000), 1.0)[0].groups == 1


@pytest.mark.parametrize("jets", [1, 2, 10])
def test_a_few_jets_are_one_group(jets):
    base = np.arange(jets, dtype=np.int32)
    assert grow(Questions([base]), np.arange(jets), 1.0)[0] == Tree()


def test_trees_are_read_as_they_were_written():
    tree = Tree(((0, 1, -30_000), (1, 0, 5), (0, 2, 0)))
    out = Writer()
    tree.write(out)
    assert Tree.read(Reader(out.content()), 3) == tree
    with pytest.raises(CodecError):
        Tree.read(Reader(out.content()), 2)
    with pytest.raises(CodecError):
        Tree.read(Reader(bytes([1, 1, 0, 0])), 2)
