"""The folder of a run: configuration, metrics, TensorBoard events and checkpoints."""

from __future__ import annotations

import contextlib
import csv
import datetime as dt
import io
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any

import tomli_w
import torch
from filelock import FileLock, Timeout

from hepae.errors import InputError, OutputError
from hepae.training.configuration import TrainingConfig

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from hepae.training.metrics import EpochMetrics


class Run:
    """Folder of a run: ``config.toml``, ``metrics.csv``, TensorBoard events, ``best.pt`` and ``last.pt``."""

    def __init__(self, path: Path):
        self.path = path
        self._board: Any = None

    @classmethod
    def create(cls, config: TrainingConfig) -> Run | None:
        """Make the folder ``runs_dir/DATE_TIME`` and write the configuration; None without a ``runs_dir``.

        Raises
        ------
        OutputError
            If it cannot be made.
        """
        if config.runs_dir is None:
            return None
        name = dt.datetime.now(tz=dt.UTC).astimezone().strftime("%Y-%m-%d_%H-%M-%S")
        try:
            config.runs_dir.mkdir(parents=True, exist_ok=True)
            for attempt in count(1):
                path = config.runs_dir / (name if attempt == 1 else f"{name}_{attempt}")
                with contextlib.suppress(FileExistsError):
                    path.mkdir()
                    break
        except OSError as error:
            raise OutputError(
                f"cannot make a run folder in {config.runs_dir}: {error.strerror}; choose another place with --runs-dir"
            ) from None
        run = cls(path)
        run._replace("config.toml", tomli_w.dumps(config.to_config()).encode())
        return run

    @classmethod
    def resume(cls, path: Path) -> tuple[Run, TrainingConfig]:
        """Open the folder of a run that was stopped, with its configuration.

        Raises
        ------
        InputError
            If it is not a run's folder.
        """
        if not (path / "config.toml").is_file():
            raise InputError(f"{path} is not a run that can be resumed: it has no config.toml")
        return cls(path), replace(TrainingConfig.from_toml(path / "config.toml"), runs_dir=path.parent)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from training this run; the operating system takes the lock off a process that ends or is killed.

        Raises
        ------
        InputError
            If another process trains it.
        """
        # A file of its own, as Windows lets nobody read a locked one. No soft lock: it would outlive a killed process.
        lock = FileLock(self.path / ".lock", blocking=False, fallback_to_soft=False)
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(lock)
            except Timeout:
                raise InputError(
                    f"another process is training the run {self.path}; end that process first"
                ) from None
            except OSError:  # a file system without locks
                pass
            yield

    def log(self, history: list[EpochMetrics], residuals: Mapping[str, NDArray[np.floating[Any]]]) -> None:
        """Record the epochs so far: all of them in ``metrics.csv``, the last one and its residuals for TensorBoard."""
        text = io.StringIO()
        writer = csv.DictWriter(text, [*history[-1].numbers()])
        writer.writeheader()
        writer.writerows(row.numbers() for row in history)
        self._replace("metrics.csv", text.getvalue().encode())
        epoch = history[-1].epoch
        if self._board is None:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:  # the extra is not installed: metrics.csv has the same numbers
                return
            resumed = any(self.path.glob("events.*"))
            self._board = SummaryWriter(str(self.path), purge_step=epoch)
            if not resumed:
                config = (self.path / "config.toml").read_text()
                self._board.add_text("configuration", f"```toml\n{config}```", 0)
        for name, value in history[-1].numbers().items():
            if name != "epoch" and value is not None:
                self._board.add_scalar(name, value, epoch)
        for name, values in residuals.items():
            if values.size:
                self._board.add_histogram(f"residual/{name}", values, epoch)
        self._board.flush()  # now: an epoch that a resumed run does not repeat must not be lost with the process

    def save(self, name: str, state: dict[str, Any]) -> None:
        """Write a checkpoint whole or not at all; the inverse is `load`."""
        buffer = io.BytesIO()
        torch.save(state, buffer)
        self._replace(name, buffer.getvalue())

    def load(self, name: str) -> dict[str, Any] | None:
        """Read a checkpoint, None where there is none yet. Nothing but tensors and plain values is read."""
        path = self.path / name
        if not path.exists():
            return None
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            raise InputError(f"the checkpoint {path} is damaged; start a new training") from error
        return state

    def close(self) -> None:
        """Flush TensorBoard's events."""
        if self._board is not None:
            self._board.close()

    def _replace(self, name: str, content: bytes) -> None:
        temporary = self.path / f".{name}.part"
        try:
            temporary.write_bytes(content)
            temporary.replace(self.path / name)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise OutputError(f"cannot write {self.path / name}: {error.strerror}") from None
