"""What hepae raises: errors with one line that names the thing, what was found and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class HepaeError(Exception):
    """Base of all errors of hepae. The message is one line that says what is wrong and what to do; the command line prints it and exits with status 1."""


class InputError(HepaeError):
    """An input that is missing, damaged or not what was asked for."""


class OutputError(HepaeError):
    """An output that cannot be written, or that differs from what was written when it is read back."""


class ConfigError(HepaeError):
    """An option, or a combination of options, that is invalid."""


class CodecError(HepaeError):
    """A codec that does not fit the jets, or a payload that is damaged."""


def listed(names: Sequence[str]) -> str:
    """Join names for an error, which stays one readable line: the first twelve, and how many more there are.

    >>> listed(["pt", "eta", "phi"])
    'pt, eta, phi'
    >>> listed([f"column{number}" for number in range(100)]).endswith("column11 and 88 more")
    True
    """
    if len(names) <= 14:
        return ", ".join(names)
    return f"{', '.join(names[:12])} and {len(names) - 12} more"


class UnitWarning(UserWarning):
    """The unit of a file was assumed from its values; give it (``unit=``, ``--unit``) to be sure, and to silence this."""
