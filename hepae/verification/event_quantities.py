"""What an analysis derives from the jets of an event (HT, masses, ΔR of the leading pair), and how far it changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np

from hepae.kinematics import flat_column, momenta

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

QUANTITIES = ("HT", "mass of all jets", "mass of the leading pair", "ΔR of the leading pair")


@dataclass(frozen=True)
class EventQuantities:
    """Quantities of each event by name, each of shape (events,) in GeV, and which two jets lead.

    NaN stands where an event has too few jets.
    """

    values: dict[str, Floats]
    pair: NDArray[np.int64]
    """Shape (2, events): positions of the two jets with the largest pt among all jets; −1 where there is none."""

    @classmethod
    def of(cls, jets: ak.Array) -> EventQuantities:
        """Compute them of jets in lists per event, records with a four-momentum."""
        counts = ak.to_numpy(ak.num(jets)).astype(np.int64)
        columns = {
            name: np.asarray(flat_column(jets, name), np.float64) for name in ("pt", "eta", "phi", "mass")
        }
        event = np.repeat(np.arange(len(counts)), counts)
        vectors = momenta(columns)
        sums = {
            name: np.bincount(event, weights=ak.to_numpy(getattr(vectors, name)), minlength=len(counts))
            for name in ("pt", "px", "py", "pz", "E")
        }
        some = counts > 0
        square = sums["E"] ** 2 - sums["px"] ** 2 - sums["py"] ** 2 - sums["pz"] ** 2
        pair = _leading(columns["pt"], event, counts)
        two = pair[1] >= 0
        first, second = (vectors[positions[two]] for positions in pair)
        mass, distance = np.full((2, len(counts)), np.nan)
        mass[two], distance[two] = (
            ak.to_numpy((first + second).mass),
            ak.to_numpy(first.deltaR(second)),
        )
        whole = np.copysign(np.sqrt(np.abs(square)), square)
        values = [np.where(some, sums["pt"], np.nan), np.where(some, whole, np.nan), mass, distance]
        return cls(dict(zip(QUANTITIES, values, strict=True)), pair)


def _leading(pt: Floats, event: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    falling = (pt[1:] <= pt[:-1]) | (event[1:] != event[:-1])
    order = np.arange(len(pt))
    if not falling.all():  # stable: the first of equal ones leads
        order = np.lexsort((-np.where(np.isnan(pt), -np.inf, pt), event))
    first = np.cumsum(counts) - counts
    pair = np.full((2, len(counts)), -1, np.int64)
    for rank in range(2):
        having = counts > rank
        pair[rank, having] = order[first[having] + rank]
    return pair


@dataclass
class QuantityChanges:
    """Largest changes of the quantities of events that keep their leading pair, and how many events change it.

    Where another jet becomes the second one, by a pt that was equal within the bound, what an analysis calls the leading pair is
    another pair: these events are counted, and are not among the largest changes of the pair.
    """

    events: int = 0
    other_pair: int = 0
    largest: dict[str, float] = field(default_factory=lambda: dict.fromkeys(QUANTITIES, 0.0))
    largest_relative: dict[str, float] = field(default_factory=lambda: dict.fromkeys(QUANTITIES, 0.0))

    def fill(self, original: ak.Array, restored: ak.Array) -> None:
        """Count in a chunk: the same jets in lists per event."""
        with np.errstate(invalid="ignore", over="ignore"):  # jets may be infinite
            before, after = EventQuantities.of(original), EventQuantities.of(restored)
        moved = (np.sort(before.pair, axis=0) != np.sort(after.pair, axis=0)).any(axis=0)
        self.events += len(moved)
        self.other_pair += int(moved.sum())
        for name, values in before.values.items():
            with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
                change = np.abs(after.values[name] - values)
                relative = change / np.abs(values)
            if "pair" in name:
                change, relative = change[~moved], relative[~moved]
            self.largest[name] = max(self.largest[name], _largest(change))
            self.largest_relative[name] = max(self.largest_relative[name], _largest(relative))

    def __add__(self, other: QuantityChanges) -> QuantityChanges:
        return QuantityChanges(
            self.events + other.events,
            self.other_pair + other.other_pair,
            {name: max(value, other.largest[name]) for name, value in self.largest.items()},
            {name: max(value, other.largest_relative[name]) for name, value in self.largest_relative.items()},
        )

    def to_json(self) -> dict[str, Any]:
        """Give the largest changes by quantity, and the events with another leading pair."""
        units = {name: "" if "ΔR" in name else "GeV" for name in QUANTITIES}
        found: dict[str, Any] = {
            name: {
                "largest_change": self.largest[name],
                "unit": units[name],
                "largest_relative_change": self.largest_relative[name],
            }
            for name in QUANTITIES
        }
        return found | {"events_with_another_leading_pair": self.other_pair}


def _largest(values: Floats) -> float:
    return float(np.max(values, where=np.isfinite(values), initial=0.0))
