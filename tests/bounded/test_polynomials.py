from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hepae.bounded.bytestream import Reader, Writer
from hepae.bounded.polynomials import LIMIT, TERMS, WIDTH, Form, Scale
from hepae.errors import CodecError


def bases_of(*columns):
    one = np.full(len(columns[0]), 1 << WIDTH, np.int32)
    return [one, *(Scale.of(column).base(column) for column in columns)]


@given(st.integers(0, 62), st.integers(-(2**62), 2**62), st.integers(0, 2**32))
def test_a_form_that_copies_a_column_gives_its_integers(bits, center, seed):
    rng = np.random.default_rng(seed)
    column = center + rng.integers(-(2**bits) // 2, 2**bits // 2 + 1, 500)
    scale = Scale.of(column)
    bases = bases_of(column)
    copied = scale.integers(Form(((1, 0, 1 << 20),)).totals(bases))
    assert np.abs(bases[1]).max() <= LIMIT
    inside = np.abs(bases[1]) < LIMIT
    assert np.all(np.abs(copied - column)[inside] <= 2 ** max(0, -scale.exponent))


def test_fit_finds_what_made_the_column():
    rng = np.random.default_rng(2)
    a, b, c = rng.normal(0, 500, (3, 8000)).astype(np.int64)
    truth = 3 * a - b // 2 + a * b // 1000 + 40 + rng.integers(-3, 4, 8000)
    scale = Scale.of(truth)
    bases = bases_of(a, b, c)
    form = Form.fit(bases, scale.base(truth), 8000)
    assert all(3 not in term[:2] for term in form.terms)
    rest = truth - scale.integers(form.totals(bases))
    assert np.percentile(np.abs(rest), 95) < 8


def test_a_few_jets_far_away_do_not_spoil_the_fit():
    rng = np.random.default_rng(4)
    a, b = rng.normal(0, 500, (2, 8000)).astype(np.int64)
    truth = 3 * a - b + rng.integers(-3, 4, 8000)
    truth[rng.random(8000) < 0.03] += 4000
    scale = Scale.of(truth)
    form = Form.fit(bases := bases_of(a, b), scale.base(truth), 8000)
    rest = truth - scale.integers(form.totals(bases))
    assert np.percentile(np.abs(rest), 90) < 8


def test_fit_of_noise_and_of_equal_columns_is_short():
    rng = np.random.default_rng(3)
    a, noise = rng.integers(-500, 500, (2, 8000))
    bases = bases_of(a, a, a, np.zeros(8000, np.int64))
    assert len(Form.fit(bases, Scale.of(noise).base(noise), 8000).terms) <= 2
    assert len(Form.fit(bases, Scale.of(a).base(a), 8000).terms) <= 3


def test_forms_and_scales_are_read_as_they_were_written():
    form, scale = Form(((0, 0, -5), (3, 1, 1 << 37))), Scale(-(2**63), -50)
    out = Writer()
    form.write(out)
    scale.write(out)
    reader = Reader(out.content())
    assert Form.read(reader, 4) == form
    assert Scale.read(reader) == scale
    with pytest.raises(CodecError):
        Form.read(Reader(out.content()), 3)
    with pytest.raises(CodecError):
        Form.read(Reader(bytes([TERMS + 1]) + bytes(100)), 3)


@pytest.mark.parametrize("copies", [1, 3])
def test_a_column_that_others_explain_exactly_is_fitted_without_warnings(copies):
    """Warnings are errors here: what is left of the target is rounded to less than zero, which no term explains."""
    rng = np.random.default_rng(1)
    for _ in range(200):
        jets = int(rng.integers(2, 400))
        kinds = [
            np.full(jets, 1 << WIDTH),
            (rng.random(jets) < 0.02) * 30_000,
            rng.integers(0, 2, jets),
            np.full(jets, rng.integers(-30_000, 30_000)),
            *[rng.integers(-LIMIT, LIMIT, jets)] * copies,
        ]
        bases = [base.astype(np.int32) for base in kinds]
        form = Form.fit(bases, bases[-1], 10**6)
        if jets > 100:
            assert np.abs(Form.base(form.totals(bases)) - bases[-1]).max() <= 1
