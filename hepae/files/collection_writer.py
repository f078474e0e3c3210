"""Coding of one collection of a file: which branches are removed and added, and the arrays of each step."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np

from hepae.bounded import cluster
from hepae.bounded.cluster import ClusterInput, CodedCluster, clusters_of, encode_cluster
from hepae.bounds import Bounds
from hepae.errors import InputError
from hepae.files.header import CodedCollection
from hepae.io.forms import opened
from hepae.io.layouts import Branch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from hepae.codec import Codec
    from hepae.files.payload import PayloadWriter
    from hepae.io.layouts import Collection


@dataclass(frozen=True)
class _Held:
    """Columns of events that wait for being coded; counts are None where a row is a jet."""

    columns: dict[str, NDArray[Any]]
    counts: NDArray[np.int64] | None
    latents: ak.Array | None

    @property
    def jets(self) -> int:
        return len(next(iter(self.columns.values())))

    @classmethod
    def joined(cls, parts: Sequence[_Held]) -> _Held:
        columns = {name: np.concatenate([part.columns[name] for part in parts]) for name in parts[0].columns}
        counts = [part.counts for part in parts if part.counts is not None]
        latents = [part.latents for part in parts if part.latents is not None]
        return cls(
            columns,
            np.concatenate(counts) if counts else None,
            ak.concatenate(latents) if latents else None,
        )

    def part(self, events: tuple[int, int], jets: tuple[int, int]) -> _Held:
        columns = {name: values[slice(*jets)] for name, values in self.columns.items()}
        counts = None if self.counts is None else self.counts[slice(*events)]
        return _Held(columns, counts, None if self.latents is None else self.latents[slice(*events)])


class Coder:
    """Codes a collection step by step.

    Parameters
    ----------
    collection
        The jets.
    coded
        Columns of the file that are coded.
    codec
        Its latents, if it has some, take the place of the columns.
    bounds
        Bounds of the columns that are coded, in GeV: integers that keep them go into the payload, a cluster of events at a
        time; None without bounds.
    payload
        What takes the clusters.
    """

    def __init__(
        self,
        collection: Collection,
        coded: Sequence[str],
        *,
        codec: Codec,
        bounds: Bounds | None,
        payload: PayloadWriter | None,
    ):
        self.collection, self.coded, self.codec, self.bounds = collection, coded, codec, bounds
        self._payload = payload
        self.jets = 0
        self.replaced: Counter[str] = Counter()
        """Number of values of each column that the codec cannot represent and replaces."""
        self.outside = 0
        """Number of jets with latents outside the range of the training jets, where no bound is kept."""
        self._held: list[_Held] = []

    @property
    def coded_branches(self) -> set[str]:
        """Branches that are not in the compressed file."""
        return {self.collection.column(name).branch for name in self.coded}

    @property
    def new_branches(self) -> list[Branch]:
        """Branches that stand in place of the coded ones: latents, or the number of jets where the file has none."""
        collection, counter = self.collection, self.collection.counter
        if latents := self.codec.latent_types:
            return [
                Branch(f"{collection.prefix}{name}", dtype, counter is not None, counter)
                for name, dtype in latents.items()
            ]
        return [] if counter is None or collection.counted else [Branch(counter, np.dtype(np.int32))]

    def encode(self, arrays: Mapping[str, ak.Array]) -> dict[str, ak.Array]:
        """Take in a step of events, and give the arrays of the new branches."""
        columns, counts = self._taken_apart(arrays)
        self.jets += len(next(iter(columns.values())))
        new: dict[str, ak.Array] = {}
        latents = self.codec.encode_step(partial(self.collection.jets, arrays, self.coded))
        if latents is not None:
            self.replaced.update(latents.replaced)
            self.outside += latents.outside
            records = latents.records
            new = {f"{self.collection.prefix}{name}": records[name] for name in records.fields}
        elif counts is not None:
            new = {branch.name: ak.Array(counts.astype(np.int32)) for branch in self.new_branches}
        if self.bounds is not None:
            self._held.append(_Held(columns, counts, latents.records if latents else None))
            if sum(held.jets for held in self._held) > cluster.CLUSTER_JETS:
                self._submit(last=False)
        return new

    def finish(self) -> None:
        """Code the events that are still held back."""
        if self._held:
            self._submit(last=True)

    def _submit(self, *, last: bool) -> None:
        """Code full clusters, and the last one too if nothing follows: clusters do not depend on the steps."""
        held = _Held.joined(self._held)
        ranges = clusters_of(held.jets, held.counts)
        for events, jets in ranges if last else ranges[:-1]:
            if self._payload is not None:
                self._payload.submit(self.collection.name, partial(self._code, held.part(events, jets)))
        self._held = [] if last else [held.part(*ranges[-1])]

    def _code(self, held: _Held) -> CodedCluster:
        bounds = (self.bounds or Bounds()).in_unit(self.collection.unit)
        predicted = self.codec.predict(held.latents, bounds.columns, self.collection.unit)
        return encode_cluster(ClusterInput(held.columns, held.counts, bounds, predicted))

    def coded_collection(self) -> CodedCollection:
        """What was coded, and how."""
        latents = [branch.name for branch in self.new_branches] if self.codec.latent_types else []
        return CodedCollection(
            self.collection,
            tuple(self.coded),
            tuple(latents),
            self.bounds,
            self.jets,
            dict(self.replaced),
            self.outside,
        )

    def _taken_apart(
        self, arrays: Mapping[str, ak.Array]
    ) -> tuple[dict[str, NDArray[Any]], NDArray[np.int64] | None]:
        """Columns, shape (jets,), and the jets an event, of which all columns have as many; None where a row is a jet."""
        layouts = {
            name: ak.to_layout(arrays[self.collection.column(name).branch], allow_record=False)
            for name in self.coded
        }
        counter, counts = self.collection.counter, None
        if counter is not None:
            for name, layout in layouts.items():
                lengths, layouts[name] = opened(layout)
                counts = lengths if counts is None else counts
                if not np.array_equal(lengths, counts):
                    raise InputError(
                        f"column {name!r} of {self.collection.name} has a different number of jets than the first column"
                    )
            if (
                counts is not None
                and counter in arrays
                and not np.array_equal(ak.to_numpy(arrays[counter]), counts)
            ):
                raise InputError(
                    f"{counter!r} disagrees with the lengths of the {self.collection.name} lists: the jets could not be restored"
                )
        return {name: np.ascontiguousarray(ak.to_numpy(layout)) for name, layout in layouts.items()}, counts
