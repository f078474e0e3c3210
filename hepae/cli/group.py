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

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._sections: dict[str, tuple[click.Command, ...]] = {}

    def add_section(self, title: str, *commands: click.Command) -> None:
        """Add commands, which help lists under a title."""
        self._sections[title] = commands
        for command in commands:
            self.add_command(command)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands of each section under its title."""
        width = max(map(len, self.commands))
        for title, commands in self._sections.items():
            with formatter.section(title):
                formatter.write_dl(
                    [(str(each.name).ljust(width), each.get_short_help_str(100)) for each in commands]
                )

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
    """Make jets in ROOT files smaller. Every value comes back within an error that you choose.

    \b
    For example:
      hepae sample jets.root                          20 000 PYTHIA dijet events
      hepae info jets.root                            what the file contains
      hepae compress jets.root -o small.root          pt within 0.1 %, and so on
      hepae verify jets.root small.root               check, before you delete jets.root
      hepae compare jets.root small.root -o plots     residuals and figures
      hepae decompress small.root -o restored.root    a plain ROOT file again

    "hepae COMMAND --help" explains a command. hepae reads NanoAOD, PHYSLITE and xAOD, Delphes, flat ntuples,
    LorentzVectors (TTree and RNTuple), HDF5, Parquet, CSV, DarkMachines text and pickled tables. An input is a path, a
    pattern in quotes ('data/*.root') or a URL (https://, root:// and others).
    """  # noqa: D301  # \b tells click not to wrap what follows
    # By default xrootd tries for ten minutes to reach a server that refuses it.
    os.environ.setdefault("XRD_CONNECTIONRETRY", "1")
