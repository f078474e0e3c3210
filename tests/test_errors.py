from __future__ import annotations

import pytest

from hepae import errors

ERRORS = [errors.InputError, errors.OutputError, errors.ConfigError, errors.CodecError]


@pytest.mark.parametrize("kind", ERRORS)
def test_one_except_clause_catches_each_kind_and_no_other_kind_does(kind):
    with pytest.raises(errors.HepaeError, match="what to do"):
        raise kind("what to do")
    assert [other for other in ERRORS if issubclass(kind, other)] == [kind]


def test_the_unit_is_a_warning_that_can_be_silenced():
    assert issubclass(errors.UnitWarning, UserWarning)
    assert not issubclass(errors.UnitWarning, errors.HepaeError)
