"""Output of the command line: tables on stdout, progress on stderr. rich is imported on first use.

Tables hold names of files and columns, so their text is printed as it is: rich must not read ``[red]`` in it as a style.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Literal
from unicodedata import category

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console
    from rich.table import Table


def console() -> Console:
    """Standard output, wide enough for tables where it is no terminal."""
    from rich.console import Console

    found = Console(highlight=False, markup=False, emoji=False)
    if not found.is_terminal:
        found.width = 132
    return found


def printable(text: str) -> str:
    """Text from a file without characters that a terminal would obey, such as the escape character."""
    return "".join("�" if category(one) in ("Cc", "Cf") and one != "\n" else one for one in text)


def table(title: str, *columns: str, numbers: bool = True) -> Table:
    """Make an empty table; without names of columns it has no header.

    Columns behind the first one hold numbers, which are never folded, or else text.
    """
    from rich.table import Table

    class Rows(Table):
        def add_row(self, *cells: Any, **options: Any) -> None:
            super().add_row(*(printable(one) if isinstance(one, str) else one for one in cells), **options)

    rows = Rows(
        title=printable(title), title_justify="left", show_header=any(columns), min_width=min(len(title), 100)
    )
    for i, column in enumerate(columns):
        text = i == 0 or not numbers or not any(columns)
        justify: Literal["left", "right"] = "left" if text else "right"
        rows.add_column(column, justify=justify, overflow="fold", no_wrap=not text)
    return rows


@contextlib.contextmanager
def progress(quiet: bool, what: str, unit: str) -> Iterator[Callable[..., None]]:
    """Give a function ``update(done, total, text="")`` that draws a bar on stderr, with speed and time left."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Speed(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:,.0f} {unit}/s" if task.speed else "")

    columns = (
        TextColumn(what),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        Speed(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[text]}", markup=False),
    )
    bar = Progress(*columns, console=Console(stderr=True), disable=quiet)
    task = bar.add_task(what, text="", total=None)

    def update(done: int, total: int, text: str = "") -> None:
        bar.start()  # only now: what fails before the first step shows its error and nothing else
        bar.update(task, completed=done, total=total, text=text)

    try:
        yield update
    finally:
        if bar.live.is_started:
            bar.stop()
