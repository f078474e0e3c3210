"""Where files are: a path on this machine, or an fsspec URL (``root://``, ``https://``, ``s3://``, ``memory://`` …)."""

from __future__ import annotations

import contextlib
import glob
import re
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import fsspec
from fsspec.implementations.local import LocalFileSystem

from hepae.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(://|::)")


class Stat(NamedTuple):
    """What is known of a file without reading it."""

    st_size: int


@dataclass(frozen=True)
class Url:
    """A file in an fsspec file system, with those methods of `pathlib.Path` that reading a file takes.

    Parameters
    ----------
    text
        The URL.
    filesystem, inside
        The file system, and the file's name in it.
    """

    text: str
    filesystem: Any = field(compare=False, repr=False)
    inside: str

    def __str__(self) -> str:
        return self.text

    @property
    def name(self) -> str:
        """The last part of the URL."""
        return PurePosixPath(self.inside).name

    @property
    def stem(self) -> str:
        """The last part of the URL without what stands behind its last dot."""
        return PurePosixPath(self.inside).stem

    @property
    def suffix(self) -> str:
        """What stands behind the last dot of the URL, with it."""
        return PurePosixPath(self.inside).suffix

    def open(self, mode: str = "rb") -> Any:
        """Open the file."""
        return self.filesystem.open(self.inside, mode)

    def exists(self) -> bool:
        """Whether it is there."""
        return bool(self.filesystem.exists(self.inside))

    def stat(self) -> Stat:
        """Give the size of the file.

        Raises
        ------
        InputError
            If the server does not tell it.
        """
        size = self.filesystem.info(self.inside).get("size")
        if size is None:
            raise InputError(f"the server does not report the size of {self}: copy the file to this machine")
        return Stat(int(size))

    def read_bytes(self) -> bytes:
        """Read the whole file."""
        data: bytes = self.filesystem.cat_file(self.inside)
        return data

    def gives_ranges(self) -> bool:
        """Whether parts of the file can be read: some web servers give whole files only."""
        if "http" not in str(self.filesystem.protocol):
            return True
        try:
            with self.filesystem.open(self.inside, cache_type="none") as file:
                file.seek(1)
                file.read(1)
        except ValueError:  # fsspec's word for it; of the file itself nothing was sent yet
            return False
        return True

    @contextlib.contextmanager
    def copy(self) -> Iterator[Path]:
        """Give a copy on this machine, under the same name; it goes when the block ends."""
        with tempfile.TemporaryDirectory(prefix="hepae") as folder:
            path = Path(folder) / (self.name or "file")
            with self.open() as remote, path.open("wb") as local:
                shutil.copyfileobj(remote, local, 1 << 22)
            yield path

    def download(self) -> IO[bytes]:
        """Give the file's content as an open one without a name on this machine, which goes when it is closed."""
        local = tempfile.TemporaryFile()  # noqa: SIM115  # who reads it closes it
        with self.open() as remote:
            shutil.copyfileobj(remote, local, 1 << 22)
        local.seek(0)
        return local

    def put(self, local: Path) -> None:
        """Write a file there: under another name first, which becomes this one when all has arrived."""
        part = f"{self.inside}.part"
        try:
            with local.open("rb") as source, self.filesystem.open(part, "wb") as target:
                shutil.copyfileobj(source, target, 1 << 22)
        except BaseException:
            with contextlib.suppress(Exception):
                self.filesystem.rm(part)
            raise
        if self.exists():
            self.filesystem.rm(self.inside)
        self.filesystem.mv(part, self.inside)  # where this fails, the part is all that there is: it stays


Location = Path | Url
"""Where a file is."""

_HEAD = 128
"""Bytes at the beginning of a file that are compared; those of a ROOT file hold its size and UUID."""

_TOLD = (
    "ETag",
    "etag",
    "mtime",
    "LastModified",
    "Last-Modified",
    "last_modified",
    "modified",
    "created",
    "updated",
)
"""What fsspec's file systems tell of a file that changes when the file is replaced."""


class Fingerprint(NamedTuple):
    """What tells a file from another that takes its place: size, times and inode as far as known, and the first bytes."""

    told: tuple[object, ...]
    head: bytes

    @classmethod
    def of(cls, path: Location) -> Fingerprint:
        """Take the fingerprint of a file; whatever the file system raises comes through."""
        with path.open("rb") as file:
            head = file.read(_HEAD)
        if isinstance(path, Url):
            path.filesystem.invalidate_cache(path.inside)
            told = path.filesystem.info(path.inside)
            return cls((told.get("size"), *(str(told.get(key)) for key in _TOLD)), head)
        stat = path.stat()
        return cls((stat.st_size, stat.st_mtime_ns, stat.st_ino, stat.st_dev), head)


def locate(name: str | Path | Url) -> Location:
    """Make a location of what the user gave; ``file://`` is a path.

    Raises
    ------
    InputError
        If a URL is of a kind that fsspec does not know, or needs a package that is not there.

    Examples
    --------
    >>> locate("jets.root").name, locate("memory://data/jets.root").name
    ('jets.root', 'jets.root')
    """
    if not isinstance(name, str) or not _URL.match(name):
        return name if isinstance(name, Url) else Path(name)
    protocol = re.split(r"://|::", name)[0]
    try:
        filesystem, inside = fsspec.url_to_fs(name)
    except ImportError as error:
        needed = "pip install 'hepae[xrootd]'" if protocol in ("root", "xroot", "roots") else str(error)
        raise InputError(f"{protocol}:// cannot be read here: {needed}, or copy {name}") from None
    except (ValueError, OSError) as error:
        raise InputError(f"cannot open {name}: {error}; copy it to this machine") from None
    return Path(inside) if isinstance(filesystem, LocalFileSystem) else Url(name, filesystem, inside)


def expand(inputs: str | Path | Url | Sequence[str | Path | Url]) -> list[Location]:
    """Make a list of locations of one or several paths, patterns such as ``data/*.root`` and URLs, in order.

    What a pattern matches is sorted by name; in a URL only ``*`` makes a pattern. A file whose own name looks like a
    pattern is that file.

    Raises
    ------
    InputError
        If a pattern matches nothing, or there is no input at all.
    """
    found: list[Location] = []
    for each in [inputs] if isinstance(inputs, (str, Path, Url)) else inputs:
        matching = _matching(locate(each))
        if not matching:
            raise InputError(f"no file matches {str(each)!r}")
        found += matching
    if not found:
        raise InputError("no input: name at least one file")
    return found


def _matching(pattern: Location) -> Sequence[Location]:
    """Files that a pattern matches, or the one that is named."""
    if isinstance(pattern, Path):
        if not glob.has_magic(str(pattern)) or pattern.exists():
            return [pattern]
        return [Path(name) for name in sorted(glob.glob(str(pattern), recursive=True))]  # noqa: PTH207
    if "*" not in str(pattern):
        return [pattern]
    filesystem = pattern.filesystem
    try:
        names = sorted(filesystem.glob(pattern.inside))
    except Exception as error:  # noqa: BLE001  # a server may answer with anything, and fsspec raise it
        raise InputError(
            f"cannot list {pattern}: {error or type(error).__name__}; name the files one by one"
        ) from None
    before, inside, behind = str(pattern).rpartition(pattern.inside)
    return [
        Url(f"{before}{name}{behind}" if inside else filesystem.unstrip_protocol(name), filesystem, name)
        for name in names
    ]


def same_file(one: Location, other: Location) -> bool:
    """Whether two locations are the same file."""
    if isinstance(one, Path) and isinstance(other, Path):
        return one.exists() and other.exists() and one.samefile(other)
    return one == other
