"""Rows of numbers, more than memory holds: gathered in a temporary file, gone through in blocks, given out in random order."""

from __future__ import annotations

import math
import tempfile
import weakref
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import torch

from hepae.errors import OutputError
from hepae.latent.batches import BUFFER, batches

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import DTypeLike, NDArray

_BLOCKS = 256
"""Blocks of consecutive rows in a full buffer: enough to mix, and each long enough to be read at the speed of the disk."""


class Rows:
    """Rows that arrive piece by piece: kept in memory up to ``buffer`` rows, beyond that in a file without a name.

    Parameters
    ----------
    width
        Numbers a row.
    dtype
        Their type.
    buffer
        Rows that memory may hold.
    folder
        Where the file goes; the system's folder of temporary files by default. Nothing stays of it when the process ends,
        however it ends.
    """

    def __init__(self, width: int, dtype: DTypeLike, *, buffer: int = BUFFER, folder: Path | None = None):
        self._none = np.empty((0, width), dtype)
        self.buffer = buffer
        self._folder = folder
        self._held: list[NDArray[Any]] = []
        self._file: IO[bytes] | None = None
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, rows: NDArray[Any]) -> None:
        """Take further rows, shape (rows, width).

        Raises
        ------
        OutputError
            If the temporary file cannot be written.
        """
        self._held.append(np.ascontiguousarray(rows, self._none.dtype))
        self._count += len(rows)
        if self._count <= self.buffer:
            return
        try:
            if self._file is None:
                if self._folder is not None:
                    self._folder.mkdir(parents=True, exist_ok=True)
                self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115  # closed with this object
                weakref.finalize(self, self._file.close)
            for part in self._held:
                self._file.write(part.data)
            self._file.flush()
        except OSError as error:
            where = self._folder or tempfile.gettempdir()
            raise OutputError(f"cannot keep jets in a temporary file in {where}: {error.strerror}") from None
        self._held = []

    def array(self) -> NDArray[Any]:
        """All rows, shape (rows, width), memory-mapped where they are in the file."""
        if self._file is None:
            return np.concatenate([self._none, *self._held])
        return np.memmap(self._file, self._none.dtype, "r+", shape=(self._count, self._none.shape[1]))


def shuffled(
    rows: torch.Tensor, batch_size: int, generator: torch.Generator, *, buffer: int = BUFFER
) -> Iterator[torch.Tensor]:
    """Give every row once, in random order, in pieces of whole batches (the last one may end in a shorter batch).

    Up to ``buffer`` rows are one permutation. Of more, blocks of consecutive rows from all over fill a buffer, which is
    then shuffled: the disk reads blocks, and memory holds two buffers.

    Parameters
    ----------
    rows
        Shape (rows, width), in memory or memory-mapped.
    batch_size
        Rows a batch.
    generator
        Decides the order.
    buffer
        Rows that are shuffled among each other.
    """
    block = len(rows) if len(rows) <= buffer else max(1, buffer // _BLOCKS)
    starts = torch.randperm(math.ceil(len(rows) / max(block, 1)), generator=generator) * block
    rest, left = rows[:0], len(rows)
    for group in batches(starts, max(1, buffer // max(block, 1))):
        piece = torch.cat([rest, *(rows[start : start + block] for start in group.tolist())])
        piece = piece[torch.randperm(len(piece), generator=generator)]
        whole = len(piece) if len(piece) == left else len(piece) // batch_size * batch_size
        rest, left = piece[whole:], left - whole
        yield piece[:whole]
