from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch

import hepae
from hepae.errors import OutputError
from hepae.latent.batches import BUFFER, batches
from hepae.latent.features import FeatureMap
from hepae.training.rows import Rows, shuffled

CONFIG = hepae.TrainingConfig(epochs=8, network=hepae.AutoencoderConfig(hidden=(16, 8)), batch_size=250)


def _given(rows, *, batch_size=32, buffer, seed=0):
    pieces = [*shuffled(rows, batch_size, torch.Generator().manual_seed(seed), buffer=buffer)]
    assert all(len(piece) % batch_size == 0 for piece in pieces[:-1])  # no short batch but the last
    return pieces


@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 1000, 1024, 4097])
@pytest.mark.parametrize("buffer", [1, 32, 300, 1000, 5000])
def test_every_row_is_given_once(count, buffer):
    rows = torch.arange(count)[:, None]
    pieces = _given(rows, buffer=buffer)
    assert max((len(piece) for piece in pieces), default=0) <= buffer + 32
    assert torch.cat([rows[:0], *pieces]).flatten().sort().values.tolist() == [*range(count)]


def test_rows_that_fit_are_one_permutation():
    rows = torch.rand(100, 3)
    (piece,) = _given(rows, buffer=100, seed=5)
    assert torch.equal(piece, rows[torch.randperm(100, generator=torch.Generator().manual_seed(5))])


def test_a_small_buffer_mixes_the_whole_table():
    rows = torch.arange(100_000)[:, None]
    first, second = (torch.cat(_given(rows, buffer=10_000, seed=seed)).flatten() for seed in (1, 2))
    assert not torch.equal(first, second)
    for given in (first, second):
        for batch in batches(given, 1000):
            assert abs(batch.double().mean() / 100_000 - 0.5) < 0.1  # √(1/12 / 256 blocks) = 0.018
            assert batch.double().std() / 100_000 == pytest.approx(12**-0.5, rel=0.2)


@pytest.mark.parametrize("buffer", [10, 1000])
def test_rows_come_back_from_memory_and_from_a_file(tmp_path, buffer):
    rows = Rows(3, np.float32, buffer=buffer, folder=tmp_path / "runs")
    pieces = [np.random.default_rng(i).random((i, 3)) for i in (0, 4, 1, 50, 7)]
    for piece in pieces:
        rows.append(piece)
    table = rows.array()
    assert isinstance(table, np.memmap) == (buffer == 10)
    np.testing.assert_array_equal(table, np.concatenate(pieces).astype(np.float32))
    assert not [*tmp_path.rglob("*/*")]  # the file has no name, so nothing is left of it
    assert Rows(3, np.float32).array().shape == (0, 3)


def test_a_file_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="temporary file"):
        Rows(1, np.float32, buffer=1, folder=tmp_path / "file").append(np.zeros((2, 1)))


def test_features_of_many_jets_are_fitted_in_blocks():
    values = np.random.default_rng(0).exponential(50, 10_000)
    values[[3, -1]] = 2000.0, 1e-9
    (pt,) = FeatureMap.fit({"pt": values}, "minmax", buffer=999).transforms
    assert (pt.offset, pt.offset + pt.scale) == (1e-9, 2000.0)
    assert pt.fill == pytest.approx(np.median(values), rel=0.1)
    (pt,) = FeatureMap.fit({"pt": values}, "standard", buffer=999).transforms
    assert (pt.offset, pt.scale) == pytest.approx((values.mean(), values.std()), rel=1e-12)
    (pt,) = FeatureMap.fit({"pt": values}, "physics", buffer=999).transforms
    assert pt.floor == pytest.approx(1e-3 * np.median(values), rel=0.1)
    assert (pt.offset, pt.offset + pt.scale) == pytest.approx((np.log(pt.floor), np.log(2000)))


@pytest.fixture(scope="module")
def jets(sample):
    return hepae.read_jets(sample)


def test_jets_in_steps_train_the_same_model(jets, sample):
    whole = hepae.train(jets, CONFIG, test=jets[:1000]).codec
    steps = hepae.train(
        hepae.iterate_jets([sample], step_size=3000), CONFIG, test=[jets[:400], jets[400:1000]]
    )
    assert steps.codec.to_bytes() == whole.to_bytes()


def test_more_jets_than_the_buffer_train_as_well(jets):
    losses = [
        hepae.train(jets, CONFIG, test=jets, buffer=buffer).history[-1].test_loss for buffer in (BUFFER, 5000)
    ]
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.1)


def test_memory_holds_the_buffer_and_not_the_jets(jets):
    """The columns of all jets are 32 bytes each; what is taken beside the steps must be less."""
    config = hepae.TrainingConfig(epochs=1, network=CONFIG.network, batch_size=8192)
    count = 100
    tracemalloc.start()
    try:
        result = hepae.train((jets[:3000] for _ in range(count)), config, buffer=20_000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert result.codec.summary["jets"] > 600_000
    assert peak < 32 * result.codec.summary["jets"] / 2
