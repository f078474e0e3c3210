"""Integers ↔ bytes: what earlier columns and jets say about a column is taken off it, and pcodec codes the rest.

The integers of a cluster are coded column by column. What is known when a jet's integer is decoded — its earlier columns,
where it stands in its event, this column of the jets before it — predicts it and sorts it into a group: jets whose
residuals are distributed alike are coded together. How is tried on a sample of the cluster itself, for the first jets of
events and for the later ones, and stored with it; a column of which too little is known is coded as it is.

Both directions are arithmetic of 64-bit integers, which wraps around alike in both, and for the recoil + − × ÷ √ and
comparison of float64, one numpy operation at a time: the same bits on every machine. The format is in PAYLOAD.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hepae.bounded.bytestream import Writer
from hepae.bounded.contexts import GROUPS, Questions, Tree, grow
from hepae.bounded.jet_order import Ranks
from hepae.bounded.polynomials import TERM_BITS, WIDTH, Form, Scale, unzigzag, zigzag
from hepae.bounded.recoil import Recoil
from hepae.bounded.streams import Groups, read_values, write_groups, write_stream
from hepae.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from hepae.bounded.bytestream import Reader
    from hepae.bounded.polynomials import Base

    Integers = NDArray[np.int64]
    Floats = NDArray[np.float64]
    Values = Callable[[str, Integers], Floats]
    """Restored values of a column of its integers, bit for bit the same when coding and decoding."""

SAMPLE = 8192
"""Jets that a model is chosen with."""
_LEAST = 64
"""Columns of fewer jets are coded as they are."""
_TRIED = 2
"""Groups that candidates are compared with; the best one gets all that pay."""
_PROBE = 1 << 14
"""Integers that tell what coding a column as it is would cost."""
_LONGEST_TURN = 1 << 40
_NOTHING, _PREVIOUS, _RECOIL, _COLUMN = range(4)


@dataclass(frozen=True)
class Momentum:
    """Which columns are the four-momentum's, so that a jet's phi can be predicted from the recoil."""

    pt: str
    phi: str


def encode(
    columns: Mapping[str, Integers],
    counts: Integers | None,
    momentum: Momentum | None,
    values: Values | None,
    floats: Mapping[str, NDArray[Any]] | None = None,
) -> bytes:
    """Code the integers of one cluster; the inverse is `decode`.

    Parameters
    ----------
    columns
        Integers by column name, each of shape (jets,), in the order in which they are coded.
    counts
        Jets an event, shape (events,); None where a row is a jet.
    momentum
        Which columns are pt and phi, where there is a four-momentum.
    values
        Restored values of a column, for the recoil.
    floats
        Of exact columns the values that their integers stand for: pcodec finds in some what it does not in the integers.

    Returns
    -------
    bytes
        The stream that PAYLOAD.md describes.
    """
    out = Writer()
    ranks = Ranks.of(len(next(iter(columns.values()), ())), counts)
    known = _Known(ranks)
    for name, integers in columns.items() if len(ranks.order) else ():
        ordered = integers[ranks.order]
        scale = Scale.of(ordered)
        modelled = _modelled(name, ordered, known, scale, momentum, values)
        middle = max(0, len(integers) - _PROBE) // 2
        probe = integers[middle : middle + _PROBE]
        candidates = [integers, floats[name]] if floats and name in floats else [integers]
        tried = [_plain(numbers[middle : middle + _PROBE]) for numbers in candidates]
        plain, numbers = min(zip(tried, candidates, strict=True), key=lambda pair: len(pair[0]))
        if modelled and len(modelled) * len(probe) <= len(plain) * len(integers):
            out.raw(modelled)
        else:
            out.raw(plain if len(probe) == len(integers) else _plain(numbers))
        known.add(name, ordered, scale)
    return out.content()


def decode(
    data: Reader,
    header: bytes,
    names: Sequence[str],
    length: int,
    counts: Integers | None,
    momentum: Momentum | None,
    values: Values | None,
    integers_of: Callable[[str, NDArray[Any]], Integers] | None = None,
) -> dict[str, Integers]:
    """Give the integers of one cluster that `encode` coded; ``header`` is pcodec's.

    Raises
    ------
    CodecError
        If the stream is damaged.
    """
    ranks = Ranks.of(length, counts)
    known = _Known(ranks)
    columns = {name: np.zeros(length, np.int64) for name in names}
    for name, integers in columns.items() if length else ():
        if data.varint(1):
            scale = Scale.read(data)
            recoil = None
            if (pt := known.balanced(name, momentum, values)) is not None:
                turn, low = data.varint(_LONGEST_TURN), unzigzag(data.varint())
                recoil = Recoil(ranks, pt, low, turn) if turn else None
            ordered = _Column(known, scale, recoil).read(data, header)
            integers[ranks.order] = ordered
        else:
            numbers = read_values(data, length, header)
            if numbers.dtype.kind == "f":
                if integers_of is None:
                    raise CodecError("damaged payload: floats where integers have to be")
                numbers = integers_of(name, numbers)
            integers[:] = _whole(numbers.astype(np.int64, copy=False), length)
            ordered = integers[ranks.order]
            scale = Scale.of(ordered)
        known.add(name, ordered, scale)
    return columns


def _plain(numbers: NDArray[Any]) -> bytes:
    """Code a column as it is."""
    out = Writer()
    out.varint(0)
    write_stream(out, numbers, ordered=True)
    return out.content()


def _whole(integers: Integers, length: int) -> Integers:
    if len(integers) != length:
        raise CodecError(f"damaged payload: a column of {length} jets has {len(integers)} integers")
    return integers


def _modelled(
    name: str,
    ordered: Integers,
    known: _Known,
    scale: Scale,
    momentum: Momentum | None,
    values: Values | None,
) -> bytes:
    """Code a column by what is known; nothing where it is too short for that."""
    if len(ordered) < _LEAST:
        return b""
    out = Writer()
    out.varint(1)
    scale.write(out)
    recoil = None
    if (pt := known.balanced(name, momentum, values)) is not None:
        low, high = int(ordered.min()), int(ordered.max())
        turn = high - low + 1 if high - low < _LONGEST_TURN else 0
        out.varint(turn)
        out.varint(zigzag(low))
        recoil = Recoil(known.ranks, pt, low, turn) if turn else None
    _Column(known, scale, recoil).write(out, ordered)
    return out.content()


class _Known:
    """Columns that are decoded already, and the bases that they make; jets are in the order of their ranks."""

    def __init__(self, ranks: Ranks) -> None:
        self.ranks = ranks
        self.columns: dict[str, Integers] = {}
        one = np.broadcast_to(np.int32(1 << WIDTH), len(ranks.order))
        self.bases: list[Base] = [one, *ranks.positions()]

    def add(self, name: str, integers: Integers, scale: Scale) -> None:
        """Take in a decoded column."""
        self.columns[name] = integers
        self.bases.append(scale.base(integers))

    def balanced(self, name: str, momentum: Momentum | None, values: Values | None) -> Floats | None:
        """Restored pt where the column is the phi that it belongs to."""
        if momentum is None or values is None or name != momentum.phi or momentum.pt not in self.columns:
            return None
        pt = np.empty(len(self.ranks.order), np.int64)
        pt[self.ranks.order] = self.columns[momentum.pt]
        return values(momentum.pt, pt)[self.ranks.order]


@dataclass(frozen=True)
class _Model:
    """How the column of one regime is predicted — by an anchor or else a form — and sorted into groups.

    An anchor is an integer that is known: 0, the one of the jet before, the recoil's angle, or an earlier column's.
    """

    anchor: int = _NOTHING
    form: Form = field(default_factory=Form)
    tree: Tree = field(default_factory=Tree)

    def uses(self, bases: range) -> bool:
        """Whether one of these bases is asked for."""
        used = {base for first, second, _ in self.form.terms for base in (first, second)}
        return any(base in bases for base in used | {base for _, base, _ in self.tree.questions})

    def write(self, out: Writer) -> None:
        out.varint(self.anchor)
        self.form.write(out)
        self.tree.write(out)

    @classmethod
    def read(cls, data: Reader, bases: int) -> _Model:
        anchor = data.varint(2**20)
        form = Form.read(data, bases)
        return cls(anchor, form, Tree.read(data, bases + bool(form.terms)))


class _Column:
    """The column at work, and what the jets before in the event say of it: that is filled in rank by rank."""

    def __init__(self, known: _Known, scale: Scale, recoil: Recoil | None) -> None:
        self._known, self._scale, self._recoil = known, scale, recoil
        self._ranks = known.ranks
        jets = len(self._ranks.order)
        self._previous = np.zeros(jets, np.int64)
        self._latest, self._first = np.zeros(jets, np.int32), np.zeros(jets, np.int32)
        self._early = [self._latest, self._first] + ([recoil.share, recoil.rest] if recoil else [])

    def write(self, out: Writer, integers: Integers) -> None:
        """Write model and streams of each regime; the inverse is `read`."""
        for rank, rows in enumerate(self._ranks.slices):
            self._take(rank, integers[rows])
        for regime, ranks in enumerate(self._ranks.regimes):
            rows = self._ranks.rows(ranks)
            model = self._choose(regime, rows, integers)
            model.write(out)
            prediction, bases = self._predict(model, self._bases(regime, rows), rows)
            rest = self._difference(model, integers[rows], prediction)
            write_groups(out, rest, model.tree(bases), model.tree.groups)

    def read(self, data: Reader, header: bytes) -> Integers:
        """Read what `write` wrote."""
        integers = np.zeros(len(self._ranks.order), np.int64)
        known = len(self._known.bases)
        for regime, ranks in enumerate(self._ranks.regimes):
            rows = self._ranks.rows(ranks)
            bases = known + len(self._early) * regime
            model = _Model.read(data, bases)
            groups = Groups(data, model.tree.groups, rows.stop - rows.start, header)
            in_turn = model.anchor in (_PREVIOUS, _RECOIL) or model.uses(range(known, bases))
            for turn in [range(rank, rank + 1) for rank in ranks] if in_turn else [ranks]:
                rows = self._ranks.rows(turn)
                prediction, asked = self._predict(model, self._bases(regime, rows), rows)
                integers[rows] = self._sum(model, prediction, groups.take(model.tree(asked)))
                if len(turn) == 1:
                    self._take(turn[0], integers[rows])
        return integers

    def _take(self, rank: int, integers: Integers) -> None:
        """Take in the integers of a rank, for the jets of the next one."""
        if rank + 1 == len(self._ranks.slices):
            return
        after, size = self._ranks.after(rank)
        self._previous[after] = integers[:size]
        self._latest[after] = self._scale.base(integers[:size])
        self._first[after] = (self._first[self._ranks.slices[rank]] if rank else self._latest[after])[:size]
        if self._recoil:
            self._recoil.take(rank, integers)

    def _bases(self, regime: int, rows: slice) -> list[Base]:
        return [base[rows] for base in self._known.bases + (self._early if regime else [])]

    def _predict(self, model: _Model, bases: list[Base], rows: slice) -> tuple[Integers, list[Base]]:
        """Predictions, and the bases that the tree asks about: those of a form's totals are the last of them."""
        if model.form.terms:
            totals = model.form.totals(bases)
            return self._scale.integers(totals), [*bases, Form.base(totals)]
        columns = list(self._known.columns.values())
        if model.anchor == _NOTHING:
            anchor = np.zeros(len(bases[0]), np.int64)
        elif model.anchor == _PREVIOUS:
            anchor = self._previous[rows]
        elif model.anchor == _RECOIL and self._recoil:
            anchor = self._recoil.angle[rows]
        elif 0 <= model.anchor - _COLUMN < len(columns):
            anchor = columns[model.anchor - _COLUMN][rows]
        else:
            raise CodecError("damaged payload: a column is predicted from what there is not")
        return anchor, bases

    def _difference(self, model: _Model, integers: Integers, prediction: Integers) -> Integers:
        if model.anchor == _RECOIL and self._recoil:
            return self._recoil.difference(integers, prediction)
        return integers - prediction

    def _sum(self, model: _Model, prediction: Integers, rest: Integers) -> Integers:
        if model.anchor == _RECOIL and self._recoil:
            return self._recoil.turned(prediction, rest)
        return prediction + rest

    def _choose(self, regime: int, rows: slice, integers: Integers) -> _Model:
        """Choose the model that codes a sample of some rows in the fewest bits."""
        jets = rows.stop - rows.start
        some = slice(rows.start, rows.stop, -(-jets // SAMPLE))
        bases, sample = self._bases(regime, some), integers[some]
        questions = Questions(bases)

        def grown(model: _Model, groups: int) -> tuple[float, _Model]:
            prediction, asked = self._predict(model, bases, some)
            rest = self._difference(model, sample, prediction)
            about = questions if asked is bases else questions.and_of(asked[-1])
            tree, bits = grow(about, rest, jets / len(sample), groups)
            return bits + TERM_BITS * len(model.form.terms), replace(model, tree=tree)

        form = Form.fit(bases, self._scale.base(sample), jets)
        models = [_Model(anchor) for anchor in self._anchors(regime, some, sample)] + [_Model(form=form)]
        _, best = min((grown(model, _TRIED) for model in models), key=lambda found: found[0])
        return grown(best, GROUPS)[1]

    def _anchors(self, regime: int, some: slice, sample: Integers) -> list[int]:
        """Anchors to try; of the earlier columns the nearest, where it is nearer than the column's own median."""
        anchors = [_NOTHING] + ([_PREVIOUS] if regime else [])
        if regime and self._recoil:
            anchors.append(_RECOIL)
        distances = [_distance(sample, column[some]) for column in self._known.columns.values()]
        if distances and 2 * min(distances) < _distance(sample, np.int64(self._scale.center)):
            anchors.append(_COLUMN + distances.index(min(distances)))
        return anchors


def _distance(some: Integers, other: Integers | np.int64) -> int:
    """Median of the differences."""
    return int(np.partition(np.abs(some - other), len(some) // 2)[len(some) // 2])
