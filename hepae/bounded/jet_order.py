"""Jets in the order in which they are coded: the first ones of all events, the second ones, and so on.

Longer events come first, so that the jets before those of one rank are the leading ones of the rank before: whatever a
jet has to know of its event is a slice.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from hepae.errors import CodecError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

LONGEST = 256
"""Jets that an event has at most; longer ones are taken for several, so that a loop over the ranks is short."""


@dataclass(frozen=True)
class Ranks:
    """The order of a cluster's jets, and where in it the jets of each rank lie.

    ``order`` has the shape (jets,) and gives the jet at each place; a rank is a slice of the places.

    >>> ranks = Ranks.of(6, np.array([1, 3, 0, 2]))
    >>> ranks.order.tolist(), [(rank.start, rank.stop) for rank in ranks.slices]
    ([1, 4, 0, 2, 5, 3], [(0, 3), (3, 5), (5, 6)])
    """

    order: Integers
    slices: tuple[slice, ...]

    @classmethod
    def of(cls, jets: int, counts: Integers | None) -> Ranks:
        """Order jets by the number of them in each event; without events (None) all are first ones.

        Raises
        ------
        CodecError
            If the events do not have so many jets.
        """
        if counts is None:
            return cls(np.arange(jets), (slice(0, jets),))
        if np.any(counts < 0) or int(counts.sum()) != jets:
            raise CodecError(f"damaged payload: {jets} jets, but its events have {int(counts.sum())}")
        pieces = -(-counts // LONGEST)
        lengths = np.full(int(pieces.sum()), LONGEST)
        lengths[np.cumsum(pieces)[pieces > 0] - 1] = (counts - (pieces - 1) * LONGEST)[pieces > 0]
        starts = np.cumsum(lengths) - lengths
        # of small integers numpy's stable sort is a counting one
        starts = starts[np.argsort((LONGEST - lengths).astype(np.uint8), kind="stable")]
        longer = np.cumsum(np.bincount(lengths, minlength=2)[:0:-1])[::-1]
        order = np.concatenate([starts[:size] + rank for rank, size in enumerate(longer.tolist())])
        ends = np.cumsum(longer)
        return cls(order, tuple(map(slice, (ends - longer).tolist(), ends.tolist())))

    @property
    def regimes(self) -> tuple[range, ...]:
        """Ranks that share a model: the first jets, and all later ones."""
        return (range(1), range(1, len(self.slices))) if len(self.slices) > 1 else (range(1),)

    def rows(self, ranks: range) -> slice:
        """Places of the jets of consecutive ranks."""
        return slice(self.slices[ranks[0]].start, self.slices[ranks[-1]].stop)

    def after(self, rank: int) -> tuple[slice, int]:
        """Places of the next rank, and how many of this one's jets, the leading ones, have a jet there."""
        following = self.slices[rank + 1]
        return following, following.stop - following.start

    @cached_property
    def positions(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """How many jets of its event come before each jet, and how many after."""
        sizes = [part.stop - part.start for part in self.slices]
        before = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
        falling = np.arange(len(sizes), 0, -1, dtype=np.int32)
        lengths = np.repeat(falling, np.diff(sizes[::-1], prepend=0))
        return before, np.concatenate([lengths[:size] for size in sizes]) - before - 1
