"""Outputs that appear under their name only when they are complete.

Everything is written into a temporary folder beside the output, ``.NAME.HOST.xxxx.part``, under the output's own name, and
moved from there when it is complete. The folder is locked while its process lives, so that a later run can
remove what a killed one left.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import json
import os
import shutil
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from hepae.errors import OutputError
from hepae.io.locations import Url, locate

if TYPE_CHECKING:
    from collections.abc import Iterator

_WRITE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
"""Errors that only writing a file can give."""

_LOCK = "lock"

_FILES = ".hepae_files.json"
"""Names of the files that were written into a folder."""


@contextlib.contextmanager
def atomic_output(path: str | Path | Url, *, force: bool = False) -> Iterator[Path]:
    """Give a path to write to; move the file to its own name when the block ends well, remove it when not.

    The path has the output's name, in a temporary folder beside it. A file for a URL is written on this machine first.
    Without ``force``, of two processes that write the same output one fails.

    Raises
    ------
    OutputError
        If the output exists (unless ``force``), its folder does not, or the disk is full.
    """
    path = locate(path)
    if isinstance(path, Url):
        with _output_to(path, force) as temporary:
            yield temporary
        return
    if path.exists() and not force:
        raise _exists(path)
    if not path.parent.is_dir():
        raise OutputError(f"no folder {path.parent} to write {path.name} into; make it first")
    with _temporary_folder(path, path.parent) as folder:
        temporary = folder / path.name
        yield temporary
        with _placing(path):
            _sync(temporary)
            _place(temporary, path, force)
            _sync_folder(path.parent)


@contextlib.contextmanager
def output_folder(path: Path, *, marker: str, force: bool = False) -> Iterator[Path]:
    """Give a folder to write files into; move them into the output folder when the block ends well.

    Files that an earlier run wrote into the output folder are removed first; any other file stays.

    Parameters
    ----------
    path
        The output folder; it is created if it does not exist.
    marker
        Name of the file whose presence means that the folder was written before.
    force
        Replace what an earlier run wrote.

    Raises
    ------
    OutputError
        If ``marker`` exists in the output folder (unless ``force``), or the folder cannot be written.
    """
    exists = path.is_dir()
    try:
        (path if path.exists() else path.parent).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {path}: {error.strerror}; choose another place") from error
    with _temporary_folder(path, path if exists else path.parent) as temporary:
        folder = temporary / "files"
        folder.mkdir()
        try:
            yield folder
        except OutputError as error:
            raise OutputError(str(error).replace(str(folder), str(path))) from error
        with _placing(path):
            names = sorted(file.name for file in folder.iterdir())
            (folder / _FILES).write_text(json.dumps(names) + "\n")
            for file in folder.iterdir():
                _sync(file)
            if exists or (force and path.exists()):
                _move_files(folder, path, marker, force)
            else:
                folder.rename(path)  # fails where another process wrote it in the meantime
            _sync_folder(path)
            _sync_folder(path.parent)


def _move_files(folder: Path, path: Path, marker: str, force: bool) -> None:
    """Put the files of one folder in place of those that an earlier run wrote into another."""
    _place(folder / marker, path / marker, force)  # first: of two processes only one gets beyond this
    for name in _written_before(path):
        if name != marker:
            (path / name).unlink(missing_ok=True)
    for file in folder.iterdir():
        if file.name != marker:
            file.replace(path / file.name)


def _written_before(path: Path) -> list[str]:
    """Names of the files that an earlier run wrote into this folder."""
    try:
        names = json.loads((path / _FILES).read_text())
    except (OSError, ValueError):
        return []
    return [name for name in names if isinstance(name, str) and Path(name).name == name]


def _exists(path: Path | Url) -> OutputError:
    return OutputError(f"{path} exists already; name another output or add --force")


@contextlib.contextmanager
def _placing(path: Path) -> Iterator[None]:
    """Turn errors of moving a finished output to its name into one line."""
    try:
        yield
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        if error.errno == errno.ENOTEMPTY:
            raise _exists(path) from None
        raise _cannot_write(path, error) from error


def _cannot_write(path: Path | Url, error: OSError) -> OutputError:
    return OutputError(f"cannot write {path}: {error.strerror or error}; nothing was written")


def _place(temporary: Path, path: Path, force: bool) -> None:
    """Move a file to its name; without ``force`` that fails where the name exists, whoever made it."""
    if force:
        temporary.replace(path)
        return
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links: claim the name with an empty file
        path.touch(exist_ok=False)
        try:
            temporary.replace(path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def _sync(path: Path) -> None:
    """Wait until a file is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk, where the file system can do that."""
    with contextlib.suppress(OSError):
        _sync(path)


@contextlib.contextmanager
def _temporary_folder(output: Path, beside: Path) -> Iterator[Path]:
    """Give a locked temporary folder for an output; remove those that killed processes left.

    Raises
    ------
    OutputError
        If it cannot be made, or the disk is full in the block.
    """
    try:
        _remove_stale(output, beside)
        folder, lock = _locked_folder(output, beside)
    except OSError as error:
        raise _cannot_write(output, error) from error
    try:
        yield folder
    except OSError as error:  # of the input, where it is not of writing
        inside = isinstance(error.filename, (str, os.PathLike)) and Path(error.filename).is_relative_to(
            folder
        )
        if not inside and error.errno not in _WRITE_ERRORS:
            raise
        raise _cannot_write(output, error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()


def _prefix(output: Path) -> str:
    """What the names of an output's temporary folders on this machine begin with."""
    return f".{output.name[:100]}.{socket.gethostname()}."


def _locked_folder(output: Path, beside: Path) -> tuple[Path, FileLock]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_prefix(output), suffix=".part", dir=beside))
        lock = FileLock(folder / _LOCK, blocking=False)
        try:
            lock.acquire()
        except Timeout:  # another process took it for a stale one before it was locked, and removes it
            continue
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return folder, lock


def _remove_stale(output: Path, beside: Path) -> None:
    """Remove an output's temporary folders whose processes were killed: those of this machine that nobody has locked.

    Folders of other machines stay, because locks do not reach them on every shared file system.
    """
    pattern = f"{glob.escape(_prefix(output))}*.part"
    for folder in beside.glob(pattern):
        with contextlib.suppress(OSError), FileLock(folder / _LOCK, blocking=False):
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _output_to(url: Url, force: bool) -> Iterator[Path]:
    """Give a name on this machine; when the block ends well, what was written there goes to the URL."""
    try:
        exists = url.exists()
    except Exception as error:  # whatever the network makes a file system raise
        raise OutputError(f"cannot write {url}: {error or type(error).__name__}") from error
    if exists and not force:
        raise _exists(url)
    with tempfile.TemporaryDirectory(prefix="hepae") as folder:
        temporary = Path(folder) / url.name
        try:
            yield temporary
        except OSError as error:
            if error.errno not in _WRITE_ERRORS:
                raise
            raise _cannot_write(url, error) from error
        try:
            url.put(temporary)
        except NotImplementedError:
            raise OutputError(f"cannot write {url}: that is not possible over its protocol") from None
        except Exception as error:
            raise OutputError(f"cannot write {url}: {error or type(error).__name__}") from error
