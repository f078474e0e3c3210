"""The command line's main group: the errors of every command are one line."""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import signal
import threading
import warnings
from typing import TYPE_CHECKING, Any

import click

from hepae.cli.notes import note
from hepae.errors import ConfigError, HepaeError, UnitWarning
from hepae.terminal import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


_COMMAND = "hepae.command"


def command_line() -> str:
    """The command that runs, as it was typed into the shell."""
    return str(click.get_current_context().meta[_COMMAND])


class _WrongOption(click.ClickException):
    exit_code = 2


class _Commands(click.Group):
    """Turns an error of hepae into one line on stderr (status 1, or 2 where the options were wrong), a warning into a note."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[_COMMAND] = shlex.join(["hepae", *args])
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with _ended_by_sigterm(), warnings.catch_warnings():
                warnings.simplefilter("always", UnitWarning)
                warnings.showwarning = _noting(warnings.showwarning)
                return super().invoke(ctx)
        except HepaeError as error:
            line = printable(" ".join(str(error).split()))
            raise (_WrongOption if isinstance(error, ConfigError) else click.ClickException)(line) from error
        except MemoryError as error:
            size = " ".join(str(error).split()) or "no size known"
            raise click.ClickException(f"not enough memory ({size}); use a smaller input") from error
        except OSError as error:
            if error.errno == errno.EPIPE:  # click ends quietly where nobody reads what is printed
                raise
            name = f"{error.filename}: " if error.filename else ""
            raise click.ClickException(f"{name}{error.strerror or error}") from error


_AGAIN = 5.0
"""Seconds after which a SIGTERM that did not end the command is raised again: time to remove temporary files."""


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the command as Ctrl-C does, so that temporary files are removed; the exit status is 143.

    Python ignores an exception that comes up in a destructor: it is raised again after `_AGAIN` seconds, until the command ends.
    """

    def end(_number: int, _frame: object) -> None:
        if again is not None:
            signal.setitimer(signal.ITIMER_REAL, _AGAIN)
        raise SystemExit(128 + signal.SIGTERM)

    if threading.current_thread() is not threading.main_thread():  # only there can signals be handled
        yield
        return
    again = signal.signal(signal.SIGALRM, end) if hasattr(signal, "SIGALRM") else None  # not on Windows
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        if again is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, again)
        signal.signal(signal.SIGTERM, before)


def _noting(show: Callable[..., None]) -> Callable[..., None]:
    """Give a function that shows our warnings as notes, and others as before."""

    def show_or_note(message: Warning | str, category: type[Warning], *where: Any) -> None:
        if issubclass(category, UnitWarning):
            note(str(message))
        else:
            show(message, category, *where)

    return show_or_note


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(package_name="hepae")
def main() -> None:
    """Make jets smaller, and measure what that cost.

    \b
    The main job:
      hepae sample jets.root                              jets to try it on
      hepae train jets.root -o model.safetensors          train an autoencoder
      hepae compress jets.root -m model.safetensors -o small.root
      hepae compress jets.root -o bounded.root            no model: every jet within its bounds
      hepae verify jets.root bounded.root                 proof, before you delete jets.root
      hepae compare jets.root small.root -o plots         residuals and figures
      hepae decompress small.root -o restored.root

    Jets are read from TTrees and RNTuples (NanoAOD, PHYSLITE and xAOD, Delphes, flat ntuples, LorentzVectors), HDF5,
    Parquet, CSV, DarkMachines text and pickled tables. Files are named by path, by a pattern in quotes ('data/*.root') or by
    URL (https://, root://, and whatever else fsspec knows).
    """  # noqa: D301  # \b tells click not to wrap what follows
    # By default xrootd tries for ten minutes to reach a server that refuses it.
    os.environ.setdefault("XRD_CONNECTIONRETRY", "1")
