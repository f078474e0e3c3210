"""Compressed files in ROOT's RDataFrame: the C++ reader decodes the columns that an analysis touches."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any

from hepae.errors import ConfigError, InputError
from hepae.files.include import include_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

_READER = """
#include "hepae.hpp"
namespace hepae {  // of a function with overloads PyROOT does not say which error it raised
ROOT::RDataFrame from_files(const std::vector<std::string>& paths) { return FromFile(paths); }
}
"""


def rdataframe(paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> Any:
    """Open compressed files as an RDataFrame with the columns of the original.

    Parameters
    ----------
    paths
        A compressed file, or several with the same tree, branches and coded columns, read in order. Anything that ROOT can open
        is accepted, also ``root://``.

    Returns
    -------
    ROOT.RDataFrame
        Coded columns (``RVec`` of the original's type; plain numbers in flat files) are decoded when they are used; ROOT reads all
        others. Inside an event loop, errors are raised by ROOT.

    Raises
    ------
    ConfigError
        If ROOT is not installed, or too old.
    InputError
        If a file is missing, damaged or not a compressed file, has latents, or does not match the others.
    """
    names = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    root = _root()
    files = root.std.vector["std::string"]([os.fspath(name) for name in names])
    try:
        return root.hepae.from_files(files)
    except root.hepae.Error as error:
        raise InputError(str(error.what())) from None


@functools.cache
def _root() -> Any:
    """ROOT with the C++ reader, which cling compiles once a process."""
    try:
        import ROOT
    except ImportError:
        raise ConfigError(
            "hepae.rdataframe needs ROOT, which is not installed: pip install 'hepae[root]'"
        ) from None
    ROOT.gInterpreter.AddIncludePath(str(include_folder()))
    if not ROOT.gInterpreter.Declare(_READER):
        raise ConfigError(f"hepae.rdataframe needs ROOT 6.40 or later, not {ROOT.gROOT.GetVersion()}")
    return ROOT
