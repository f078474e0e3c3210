from __future__ import annotations

import numpy as np

from hepae.validation.sketch import Sketch


def test_a_tail_is_the_share_that_is_as_large_or_larger():
    values = np.random.default_rng(2).normal(size=5000)
    values[:10] = 0
    sketch = Sketch.of(values[:2000]) + Sketch.of(values[2000:])
    sizes, shares = sketch.absolute().tail()
    assert (np.diff(sizes) > 0).all()
    assert shares[0] == 1
    for size, share in zip(sizes[::50], shares[::50], strict=True):
        direct = np.mean(np.abs(values) >= size * (1 - 2.0**-11))
        assert abs(share - direct) < 1e-3
    assert abs(sizes[-1] / np.abs(values).max() - 1) < 2.0**-10


def test_nothing_has_no_tail():
    assert [part.size for part in Sketch.of(np.empty(0)).tail()] == [0, 0]
