from __future__ import annotations

import awkward as ak
import numpy as np
import pytest

import hepae
from hepae.latent.integers import LatentIntegers


@pytest.mark.parametrize("bits", [2, 8, 9, 16])
def test_integer_latents_are_within_half_a_step(codec, jets, bits):
    integers = codec.with_latent_bits(bits)
    stored = integers.latents(jets)
    floats = codec.latents(jets)
    assert integers.latent_dtype == (np.uint8 if bits <= 8 else np.uint16)
    low, high = (np.array(ends) for ends in codec.latent_range)
    for i, name in enumerate(stored.fields):
        values = ak.to_numpy(ak.flatten(floats[name]))
        back = integers.integers.inverse(
            np.stack([ak.to_numpy(ak.flatten(stored[n])) for n in stored.fields], axis=1)
        )[:, i]
        inside = (values >= low[i]) & (values <= high[i])
        step = (high[i] - low[i]) / (2**bits * 15 / 16 - 1 if bits > 6 else 2**bits - 1)
        assert inside.mean() > 0.5
        assert np.abs(back - values)[inside].max() <= 0.51 * step + 1e-6
        assert ak.max(stored[name]) <= 2**bits - 1
    assert hepae.LatentCodec.from_bytes(integers.to_bytes()) == integers


@pytest.mark.parametrize("bits", [2, 6, 7, 8, 12, 16])
def test_every_integer_of_a_latent_stands_for_a_value_of_its_own(bits):
    integers = LatentIntegers(bits, (-2.0, 0.0), (1.0, 1.0))
    every = np.repeat(np.arange(2**bits, dtype=integers.dtype)[:, None], 2, axis=1)
    values = integers.inverse(every)
    assert np.all(np.diff(values, axis=0) > 0)
    assert np.array_equal(integers.forward(values), every)
    reach = 0.5 if bits > 6 else 0.0  # of the range, to each side
    np.testing.assert_allclose(values[0], [-2 - 3 * reach, -reach], atol=1e-6)
    np.testing.assert_allclose(values[-1], [1 + 3 * reach, 1 + reach], atol=1e-6)


@pytest.mark.parametrize("bits", [4, 9])
def test_latents_that_are_no_finite_numbers_are_counted_and_become_integers(bits):
    integers = LatentIntegers(bits, (0.0,), (1.0,))
    latents = np.array([[np.nan], [np.inf], [-np.inf], [0.5], [1e38], [0.0], [1.0]], np.float32)
    assert integers.outside(latents).tolist() == [True, True, True, False, True, False, False]
    values = integers.inverse(integers.forward(latents))[:, 0]
    np.testing.assert_allclose(values[[0, 3]], 0.5, atol=0.04)
    assert values[1] == values[4] == values.max()
    assert values[2] == values.min()
