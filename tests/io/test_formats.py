from __future__ import annotations

import pytest

import hepae
from hepae.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore::hepae.errors.UnitWarning")
"""The unit of most files here is told by their values, which test_inputs.py is about."""


@pytest.mark.parametrize(
    "text",
    [
        "1,2,3,4\n5,6,7,8\n",
        "a letter to the reader\nof this file\n",
        "pt,eta,phi,m\n1,2\n",
        "<html>a, b</html>",
        "\n",
    ],
)
def test_texts_that_are_no_tables(tmp_path, text):
    path = tmp_path / "jets.csv"
    path.write_text(text)
    with pytest.raises(InputError, match="neither a ROOT file nor a pickle"):
        hepae.read_jets(path)
