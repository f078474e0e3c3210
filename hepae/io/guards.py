"""Guards for reading a file: damage gives an error of one line, a file that changes is noticed, memory has a limit."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from hepae.errors import ConfigError, HepaeError, InputError
from hepae.io.locations import Fingerprint, Url

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hepae.io.locations import Location


@contextlib.contextmanager
def reading(path: Location) -> Iterator[None]:
    """Turn any exception that a library raises for a damaged or missing file into an error of one line."""
    try:
        yield
    except (HepaeError, MemoryError):
        raise
    except FileNotFoundError as error:
        raise InputError(_not_found(path, error.__cause__)) from None
    except PermissionError:
        raise InputError(f"no permission to read {path}") from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder; name a file in it") from None
    # Libraries raise nearly anything on damaged files: struct, zlib, index, key, value and their own errors.
    except Exception as error:
        if isinstance(error, NameError) and _is_ours(error):
            raise
        if isinstance(error, OSError) and isinstance(path, Url):  # of a server or the network
            raise InputError(f"cannot read {path}: {reason(error)}") from error
        raise InputError(f"cannot read {path}: it is damaged or incomplete ({reason(error)})") from error


def _not_found(path: Location, cause: BaseException | None) -> str:
    """Error text for a missing file, or for one that may exist: fsspec reports any fault of a web server as a missing file."""
    if (
        not isinstance(cause, Exception)
        or isinstance(cause, FileNotFoundError)
        or getattr(cause, "status", 0) == 404
    ):
        return f"no such file: {path}"
    if isinstance(cause, OSError):
        return f"cannot reach the server of {path} ({reason(cause)}); check the URL and the network"
    return f"cannot read {path}: the server answers {reason(cause)}"


def _is_ours(error: Exception) -> bool:
    """Whether code of hepae raised this: a NameError there is a bug of hepae, not damage of a file."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is None or str(trace.tb_frame.f_globals.get("__name__", "")).startswith("hepae")


def reason(error: Exception) -> str:
    """First line of what an error says, else its name."""
    return ((str(error).strip().splitlines() or [""])[0] or type(error).__name__)[:120]


def fingerprint_of(path: Location) -> Fingerprint:
    """Take the fingerprint of a file that is about to be opened.

    Raises
    ------
    InputError
        If the file is missing or cannot be read.
    """
    with reading(path):
        return Fingerprint.of(path)


def require_unchanged(path: Location, noted: Fingerprint, now: Fingerprint | None = None) -> None:
    """Compare a file with the fingerprint that was noted when it was opened.

    Raises
    ------
    InputError
        If another file has taken its place, or it was written to.
    """
    if (now or fingerprint_of(path)) != noted:
        raise InputError(
            f"{path} was replaced or changed while it was read; start again when nothing writes to it any more"
        )


class Memory:
    """Counts the bytes that a file's values take in memory, before they are taken.

    A small file can claim any number of values: chunks that were never written, one list that is named many times, one
    value and how often it is repeated. Values may take 100 MB and 200 times the bytes of their file;
    ``HEPAE_MAX_EXPANSION`` sets another factor.

    Parameters
    ----------
    path
        The file.
    """

    def __init__(self, path: Location):
        self.path, self.stored, self.taken = path, path.stat().st_size, 0
        text = os.environ.get("HEPAE_MAX_EXPANSION", "200")
        try:
            self.limit = 100_000_000 + int(float(text) * self.stored)
        except (ValueError, OverflowError):
            raise ConfigError(f"HEPAE_MAX_EXPANSION must be a number, got {text!r}") from None

    def take(self, count: int) -> None:
        """Count this many bytes more.

        Raises
        ------
        InputError
            If the total is more than a file of this size should need.
        """
        self.taken += int(count)
        if self.taken > self.limit:
            raise InputError(
                f"cannot read {self.path}: it has {self.stored / 1e6:.2f} MB, but its values would take more than "
                f"{self.limit / 1e6:.0f} MB of memory; if you trust the file, set HEPAE_MAX_EXPANSION=1000 or higher"
            )
