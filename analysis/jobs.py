"""What the jobs here share: a fileset, an executor, and errors in one line."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from coffea.processor import Runner

from hepae.errors import HepaeError, InputError
from hepae.io.readers import open_source
from hepae.processors import EXECUTORS, executor, files_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Fileset(click.ParamType):
    """A JSON file as coffea takes it: ``{"DATASET": {"files": {"FILE": "TREE"}}}``, files beside it by relative name."""

    name = "FILESET.json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, Any]:
        """Read it."""
        path = Path(value)
        try:
            fileset = json.loads(path.read_text())
        except OSError as error:
            self.fail(f"cannot read {path}: {error.strerror}", param, ctx)
        except ValueError as error:
            self.fail(f"{path} is not JSON ({error})", param, ctx)
        if not isinstance(fileset, dict) or not fileset:
            self.fail(f'{path} is no fileset: {{"DATASET": {{"files": {{"FILE": "TREE"}}}}}}', param, ctx)
        for name, entry in fileset.items():
            files = entry.get("files") if isinstance(entry, dict) and "files" in entry else entry
            if not isinstance(files, (list, dict)) or not all(isinstance(file, str) for file in files):
                self.fail(f"{path}: the dataset {name!r} lists no files by name", param, ctx)
        return {name: _absolute(entry, path.parent) for name, entry in fileset.items()}


def _absolute(entry: Any, folder: Path) -> Any:
    """Files of a dataset by names that workers in other folders find."""
    if isinstance(entry, dict) and "files" in entry:
        return {**entry, "files": _absolute(entry["files"], folder)}
    if isinstance(entry, dict):
        return {_located(name, folder): tree for name, tree in entry.items()}
    return [_located(name, folder) for name in entry]


def _located(name: str, folder: Path) -> str:
    return name if "://" in name else str((folder / name).absolute())


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of every job."""
    for option in (
        click.option(
            "--chunksize", type=click.IntRange(1), default=100_000, show_default=True, help="Events a chunk."
        ),
        click.option("--tree", metavar="NAME", help="Tree to read, where the fileset does not say it."),
        click.option(
            "--scheduler", metavar="ADDRESS", help="Running dask scheduler, or TaskVine manager, to use."
        ),
        click.option(
            "--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes to start."
        ),
        click.option(
            "--executor", "kind", type=click.Choice(EXECUTORS), default="iterative", show_default=True
        ),
    ):
        command = option(command)
    return command


@contextmanager
def running(
    kind: str, workers: int, scheduler: str | None, chunksize: int, tree: str | None
) -> Iterator[Callable[..., Any]]:
    """Give what runs a processor over a fileset, with a schema; an error a user can act on becomes one line."""
    with one_line(), executor(kind, workers=workers, scheduler=scheduler) as started:

        def run(fileset: dict[str, Any], processor: Any, schema: Any) -> Any:
            return Runner(started, schema=schema, chunksize=chunksize)(fileset, processor, treename=tree)

        yield run


def one_file_each(fileset: dict[str, Any]) -> dict[str, str]:
    """File of each dataset of a fileset that has one a dataset, as compress_dataset.py writes it."""
    found = {dataset: list(files) for dataset, files in files_of(fileset, "Events").items()}
    for dataset, files in found.items():
        if len(files) != 1:
            raise InputError(f"{dataset} has {len(files)} compressed files; compress_dataset.py makes one")
    return {dataset: files[0] for dataset, files in found.items()}


def offsets(fileset: dict[str, Any], tree: str | None) -> dict[str, dict[str, int]]:
    """Entry at which each file of a dataset begins in the merged one."""
    found: dict[str, dict[str, int]] = {}
    for dataset, files in files_of(fileset, tree).items():
        total, found[dataset] = 0, {}
        for name, its_tree in files.items():
            found[dataset][name] = total
            with open_source(name, tree=its_tree) as source:
                total += source.num_entries
    return found


@contextmanager
def one_line() -> Iterator[None]:
    """Say hepae's errors, and files that cannot be opened, in one line, wherever in a job they came up."""
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, (HepaeError, OSError)):
            cause = cause.__cause__
        if cause is None:
            raise
        said, _, _ = " ".join(str(cause).split()).partition(
            " Files may be specified as"
        )  # uproot's long list
        raise click.ClickException(said) from error
