"""Where the headers of the C++ reader are."""

from __future__ import annotations

from pathlib import Path


def include_folder() -> Path:
    """Folder to look for hepae.hpp in: the option ``-I`` of a C++ compiler."""
    return Path(__file__).resolve().parent.parent / "include"
