"""Columns of clusters that this process decoded last: chunks of a job that share a cluster decode it once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Hashable

    from numpy.typing import NDArray

MOST_BYTES = 256_000_000


class DecodedColumns:
    """Arrays by key, up to ``most_bytes``; the ones that were not asked for longest go first. Threads may share it."""

    def __init__(self, most_bytes: int = MOST_BYTES):
        self._most_bytes = most_bytes
        self._arrays: OrderedDict[Hashable, NDArray[Any]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> NDArray[Any] | None:
        """Give the array of this key, or None where it is not there."""
        with self._lock:
            if key in self._arrays:
                self._arrays.move_to_end(key)
            return self._arrays.get(key)

    def put(self, key: Hashable, array: NDArray[Any]) -> None:
        """Keep an array, which must not be changed afterwards."""
        array.setflags(write=False)
        with self._lock:
            if (before := self._arrays.pop(key, None)) is not None:
                self._bytes -= before.nbytes
            self._arrays[key] = array
            self._bytes += array.nbytes
            while self._bytes > self._most_bytes:
                _, gone = self._arrays.popitem(last=False)
                self._bytes -= gone.nbytes

    def clear(self) -> None:
        """Forget all arrays."""
        with self._lock:
            self._arrays.clear()
            self._bytes = 0


DECODED = DecodedColumns()
"""What all open files of this process share."""
