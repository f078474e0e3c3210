from __future__ import annotations

import pytest

from hepae.errors import ConfigError
from hepae.resolution.parametrisation import ColumnResolution, Parametrisation
from hepae.samples import resolution


def test_the_parametrisations_give_what_was_published():
    atlas, cms = (Parametrisation.load(name).columns["pt"] for name in ("ATLAS", "CMS"))
    assert atlas([20.0, 100.0]) / [20, 100] == pytest.approx([0.23, 0.084], abs=0.003)
    assert atlas([20.0, 100.0]) / [20, 100] == pytest.approx(resolution([20.0, 100.0]))
    assert cms([30.0, 100.0, 1000.0]) / [30, 100, 1000] == pytest.approx([0.175, 0.10, 0.05], abs=0.002)


def test_the_terms_are_added_in_quadrature():
    assert ColumnResolution(noise=3, absolute=4)([7.0]) == 5
    assert ColumnResolution(stochastic=2)([25.0, -25.0]).tolist() == [10, 10]
    assert ColumnResolution(constant=0.03, relative=0.04)([100.0]) == pytest.approx(5)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[pt]\nspread = 1\n", r"\[pt\] has 'spread'"),
        ("[pt]\nnoise = true\n", "noise of .pt. is a number, 0 or more, not True"),
        ("[pt]\nnoise = inf\n", "0 or more"),
        ("[pt]\nnoise = 0\n", "has no term above 0"),
        ('name = "x"\n', "has no column"),
        ("[pt\n", "line 1"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path, text, error):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=error):
        Parametrisation.load(path)


def test_columns_of_a_file_have_their_canonical_names(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\n[m]\nrelative = 0.2\n')
    found = Parametrisation.load(path)
    assert (found.name, found.source, {*found.columns}) == ("mine", str(path), {"mass"})
    with pytest.raises(ConfigError, match="no resolution 'LHCb'"):
        Parametrisation.load("LHCb")
