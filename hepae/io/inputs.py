"""Input files, opened one at a time: all of one call in one unit, none replaced while it is read."""

from __future__ import annotations

import contextlib
import warnings
from typing import TYPE_CHECKING, NamedTuple, Self

from hepae import kinematics
from hepae.errors import ConfigError, InputError, UnitWarning
from hepae.io.formats import open_table
from hepae.io.guards import fingerprint_of, reading, require_unchanged
from hepae.io.locations import Url, expand, locate
from hepae.io.ntuples import open_ntuple
from hepae.io.rootfiles import file_kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from hepae.io.locations import Fingerprint, Location
    from hepae.io.sources import Source


def open_source(path: str | Path | Url, *, tree: str | None = None, unit: str | None = None) -> Source:
    """Open a file with jets, recognised by its first bytes.

    Raises
    ------
    InputError
        If the file is missing, damaged or of a kind that is not read.
    ConfigError
        If there is no such unit.
    """
    path = locate(path)
    if unit is not None and unit not in kinematics.GEV:
        raise ConfigError(f"no unit {unit!r}; choose one of {', '.join(kinematics.GEV)}")
    fingerprint = fingerprint_of(path)
    source: Source | None
    kind = file_kind(path)
    if kind == "a model file":
        raise InputError(
            f"{path} is a model file and has no jets; use it with: hepae compress JETS -m {path}"
        )
    if kind == "a ROOT file":
        source = open_ntuple(path, tree=tree, unit=unit)
    else:
        source = _open_copied_table(path, unit) if isinstance(path, Url) else open_table(path, unit=unit)
    if source is None:
        raise InputError(
            f"{path} is neither a ROOT file nor a pickle, an HDF5 or Parquet file, CSV with a header or DarkMachines text"
        )
    source.fingerprint = fingerprint
    return source


def _open_copied_table(url: Url, unit: str | None) -> Source | None:
    """Open a table at a URL: what reads tables wants a file of this machine."""
    with contextlib.ExitStack() as stack:
        with reading(url):
            copy = stack.enter_context(url.copy())
        try:
            source = open_table(copy, unit=unit)
        except InputError as error:
            raise InputError(str(error).replace(str(copy), str(url))) from None
        if source is not None:
            source.renamed(url)
        return source


class OneUnit:
    """The unit of energies in the files of one call.

    Layouts such as NanoAOD fix it. For flat files and tables the median pt suggests it; there all files must agree.

    Parameters
    ----------
    asked
        The unit that the user gave, MeV or GeV; None leaves it to the files.
    """

    def __init__(self, asked: str | None = None):
        self.asked = asked
        self.note: str | None = None
        """What was assumed, from the first file whose values suggested the unit."""
        self._first: _Told | None = None
        self._warned = False

    @property
    def unit(self) -> str | None:
        """The unit that was given, else that of the first file with jets; None while there is none."""
        return self.asked or (self._first.unit if self._first else None)

    def apply(self, source: Source) -> None:
        """Check a source against those before it. A source without a single jet takes the unit of the others.

        Raises
        ------
        InputError
            If the values of this file or of the first one suggest another unit than the other file has.
        ConfigError
            If the unit that was given contradicts the layout of the file.
        """
        layout = source.layout
        if not source.unit_is_known and source.unit_note is None:
            if self.unit is not None:
                source.layout = layout.in_unit(self.unit)
            return
        told = _Told(source.path, layout.unit, source.unit_is_known)
        self._first = first = self._first or told
        self.note = self.note or source.unit_note
        if told.unit != first.unit and not (told.is_known and first.is_known):
            raise InputError(
                f"{first.path} seems to be in {first.unit} and {told.path} in {told.unit}: "
                "give the unit of all files with --unit (in Python unit=), or read them one by one"
            )

    def warn(self, stacklevel: int = 2) -> None:
        """Warn once of what was assumed, if anything was."""
        if self.note is not None and not self._warned:
            self._warned = True
            warnings.warn(self.note, UnitWarning, stacklevel=stacklevel + 1)


class _Told(NamedTuple):
    """What a file tells of its unit, and whether that is known or suggested by its values."""

    path: Location
    unit: str | None
    is_known: bool


class Inputs:
    """The files of one call, in order; at most one is open at a time. Use it in a with statement.

    Parameters
    ----------
    paths
        One file or several: paths, patterns such as ``data/*.root``, and fsspec URLs.
    tree
        Tree to read; found by its name by default.
    unit
        The unit of energies, or what makes sure that it is one; None leaves it to the files.
    """

    def __init__(
        self,
        paths: str | Path | Url | Sequence[str | Path | Url],
        *,
        tree: str | None = None,
        unit: OneUnit | str | None = None,
    ):
        self.paths = expand(paths)
        self.unit = unit if isinstance(unit, OneUnit) else OneUnit(unit)
        self._tree = tree
        self._source: Source | None = None
        self._number = -1
        self._fingerprints: dict[int, Fingerprint] = {}

    def __len__(self) -> int:
        return len(self.paths)

    def open(self, number: int) -> Source:
        """Give one of the files as a source; the one that was open before is closed.

        Raises
        ------
        InputError
            If the file cannot be read, has another unit than those before, or was replaced since it was open last; also if the
            file that was open before was replaced while it was read.
        """
        if self._source is not None and number == self._number:
            return self._source
        self._finish()
        path = self.paths[number]
        source = open_source(path, tree=self._tree, unit=self.unit.asked)
        try:
            self.unit.apply(source)
            if source.fingerprint is not None:
                noted = self._fingerprints.setdefault(number, source.fingerprint)
                require_unchanged(path, noted, source.fingerprint)
        except BaseException:
            source.close()
            raise
        self._source, self._number = source, number
        return source

    def __iter__(self) -> Iterator[Source]:
        for number in range(len(self)):
            yield self.open(number)

    def _finish(self) -> None:
        """Close the file that is open, and make sure that it is the one that was opened."""
        source, self._source = self._source, None
        if source is not None:
            source.finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        source, self._source = self._source, None
        if source is not None:
            source.__exit__(kind, *error)
