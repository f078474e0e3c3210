"""Names of columns: which names mean the same column, and which columns are weights."""

from __future__ import annotations

import re

ALIASES = {"m": "mass"}
"""Other names of canonical columns."""

_WORDS = re.compile(r"[A-Z]+s?(?![a-z])|[A-Z]?[a-z]+")
_WEIGHTS = re.compile(
    r"(?<!max )weights?\b|\bx ?sec(tion)?s?\b|cross ?sections?\b|scale ?factors?\b|\bsfs?\b"
    r"|\bx?wgt(up)?s?\b|\bk ?factors?\b|\bprescales?\b"
)
"""What a name says of a weight, in its words. MaxWeightTTVA in ATLAS's isolation columns says how tracks were chosen."""


def canonical_name(name: str) -> str:
    """Name that hepae has for a column, alone or behind its collection.

    >>> canonical_name("m"), canonical_name("Jet.m"), canonical_name("pt")
    ('mass', 'Jet.mass', 'pt')
    """
    prefix, dot, column = name.rpartition(".")
    return f"{prefix}{dot}{ALIASES.get(column, column)}"


def is_weight(name: str) -> bool:
    """Whether a column is, by its name, a weight, a cross section, a scale factor, a K factor or a prescale.

    >>> [is_weight(name) for name in ("genWeight", "weight_bTagSF", "xsec", "SoftActivityJetHT", "PSFrac")]
    [True, True, True, False, False]
    """
    return _WEIGHTS.search(" ".join(_WORDS.findall(name)).lower()) is not None
