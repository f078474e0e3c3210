from __future__ import annotations

import awkward as ak
import numpy as np
import pytest

from hepae.io.forms import form_of, in_form
from hepae.io.layouts import Branch

PT = Branch("Jet_pt", np.dtype("f4"), jagged=True)
COV = Branch("cov", np.dtype("f8"), shape=(2, 3))


@pytest.mark.parametrize(
    ("branch", "array"),
    [
        (PT, ak.Array([[1, 2], [], [3]])),
        (PT, ak.Array([[], []])),  # of unknown type
        (PT, ak.mask(ak.Array([[1.0], [2.0]]), [True, True])),  # options without a missing value
        (PT, ak.Array([[9.0], [1.0, 2.0]])[[1, 0]]),  # lists that do not lie in their order
        (COV, ak.Array(np.arange(12).reshape(2, 2, 3))),
    ],
)
def test_an_array_gets_exactly_the_form_of_its_branch(branch, array):
    form = form_of(branch)
    layout = in_form(array, form)
    assert layout.form == form
    assert ak.to_list(layout) == ak.to_list(array)
