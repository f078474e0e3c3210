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
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hepae.bounded.blocks import blocks
from hepae.bounded.bytestream import Writer
from hepae.bounded.contexts import GROUPS, Questions, Tree, grow
from hepae.bounded.parents import PARENTS, candidates
from hepae.bounded.polynomials import TERM_BITS, WIDTH, Form, Scale, unzigzag, zigzag
from hepae.bounded.recoil import Recoil
from hepae.bounded.streams import Groups, read_values, write_groups, write_stream
from hepae.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from hepae.bounded.bytestream import Reader
    from hepae.bounded.jet_order import Ranks
    from hepae.bounded.polynomials import Base

    Integers = NDArray[np.int64]
    Floats = NDArray[np.float64]

SAMPLE = 8192
"""Jets that a model is chosen with."""
_LEAST = 64
"""Columns of fewer jets are coded as they are."""
_TRIED = 2
"""Groups that candidates are compared with; the best one gets all that pay."""
_TRIAL = 2048
"""Jets of the sample that candidates are compared with."""
_PROBE = 1 << 14
"""Integers that tell what coding a column as it is would cost."""
_CLOSE = 0.02
"""If modelling gains or costs less than this share by the probe, the column is coded both ways."""
_LONGEST_TURN = 1 << 40
_PLAIN, _MODELLED, _BALANCED = range(3)
_NOTHING, _PREVIOUS, _RECOIL, _PARENT = range(4)
_OWN, _BALANCE, _TOTALS, _PARENTS = 3, 5, 7, 8
"""Numbers of the first bases of each kind: this column of the jets before, the recoil, a form's totals, the parents."""


@dataclass(frozen=True)
class Column:
    """One column of a cluster: what is coded, and what other columns are predicted from.

    Parameters
    ----------
    ranks
        Order of the cluster's jets.
    integers
        Shape (jets,), in the order of the file.
    floats
        Values that the integers of an exact float column stand for: pcodec may code these in fewer bytes.
    restored
        Gives the restored values, shape (jets,); needed of a jet's pt only, to predict phi from the recoil.
    """

    ranks: Ranks
    integers: Integers
    floats: NDArray[Any] | None = None
    restored: Callable[[], Floats] | None = None

    @cached_property
    def ordered(self) -> Integers:
        """Integers in the order of the ranks."""
        return self.integers[self.ranks.order]

    @cached_property
    def scale(self) -> Scale:
        """Median and width of the integers."""
        return Scale.of(self.ordered)

    @cached_property
    def base(self) -> Base:
        """Integers as a base, in the order of the ranks."""
        return self.scale.base(self.ordered)

    def recoil(self, low: int, turn: int) -> Recoil:
        """Recoil of jets with this pt.

        Raises
        ------
        CodecError
            If the column has no restored values.
        """
        if self.restored is None:
            raise CodecError("damaged payload: the recoil of a column that is not pt")
        return Recoil(self.ranks, self.restored()[self.ranks.order], low, turn)


class Coded(NamedTuple):
    """A coded column: the names of its parents, the columns that it is predicted from, and its stream."""

    parents: tuple[str, ...]
    stream: bytes


def encode(columns: Mapping[str, Column], momentum: tuple[str, str] | None) -> dict[str, Coded]:
    """Code the columns of one cluster; the inverse is `decode`, column by column.

    Parameters
    ----------
    columns
        By name. A column is predicted from at most `PARENTS` of those before it.
    momentum
        Names of pt and phi, where phi may be predicted from the recoil of the jets before.
    """
    names = list(columns)
    coded: dict[str, Coded] = {}
    for column, near in zip(columns.values(), candidates([c.ordered for c in columns.values()]), strict=True):
        name = names[len(coded)]
        pt = momentum[0] if momentum is not None and name == momentum[1] and momentum[0] in coded else None
        # of phi's parents pt, which the recoil needs, is the first
        parents = dict.fromkeys([pt] if pt is not None else []) | dict.fromkeys(
            names[number] for number in near
        )
        coded[name] = _encode(column, {parent: columns[parent] for parent in list(parents)[:PARENTS]}, pt)
    return coded


def decode(data: Reader, header: bytes, ranks: Ranks, parents: Sequence[Column]) -> NDArray[Any]:
    """Give the integers of one column, shape (jets,), or the floats that they stand for.

    Parameters
    ----------
    data
        The column's stream.
    header
        Of pcodec.
    ranks
        Order of the cluster's jets.
    parents
        Columns that it is predicted from, in the order of `Coded.parents`.

    Raises
    ------
    CodecError
        If the stream is damaged.
    """
    jets = len(ranks.order)
    if not jets:
        return np.zeros(0, np.int64)
    kind = data.varint(_BALANCED)
    if kind == _PLAIN:
        numbers = read_values(data, jets, header)
        if len(numbers) != jets:
            raise CodecError(f"damaged payload: a column of {jets} jets has {len(numbers)} numbers")
        return numbers
    scale = Scale.read(data)
    recoil = None
    if kind == _BALANCED:
        turn, low = data.varint(_LONGEST_TURN), unzigzag(data.varint())
        if not turn or not parents:
            raise CodecError("damaged payload: a recoil without pt")
        recoil = parents[0].recoil(low, turn)
    integers = np.empty(jets, np.int64)
    integers[ranks.order] = _Regimes(ranks, scale, parents, recoil).read(data, header)
    return integers


def _encode(column: Column, known: Mapping[str, Column], pt: str | None) -> Coded:
    """Code a column by what is known, or as it is where that takes fewer bytes."""
    integers = column.integers
    if not len(integers):
        return Coded((), b"")
    middle = max(0, len(integers) - _PROBE) // 2
    probe = slice(middle, middle + _PROBE)
    tried = [integers] if column.floats is None else [integers, column.floats]
    plain, numbers = min(((_plain(some[probe]), some) for some in tried), key=lambda pair: len(pair[0]))
    whole = plain if len(integers) <= _PROBE else None
    if len(integers) >= _LEAST:
        modelled = _modelled(column, known, pt)
        expected = len(plain) * len(integers) / min(_PROBE, len(integers))
        if whole is None and abs(len(modelled.stream) / expected - 1) < _CLOSE:
            whole = _plain(numbers)
        if len(modelled.stream) <= (expected if whole is None else len(whole)):
            return modelled
    return Coded((), _plain(numbers) if whole is None else whole)


def _plain(numbers: NDArray[Any]) -> bytes:
    """Code a column as it is."""
    out = Writer()
    out.varint(_PLAIN)
    write_stream(out, numbers, ordered=True)
    return out.content()


def _modelled(column: Column, known: Mapping[str, Column], pt: str | None) -> Coded:
    """Code a column by what is known."""
    ordered = column.ordered
    low, high = int(ordered.min()), int(ordered.max())
    turn = high - low + 1
    recoil = known[pt].recoil(low, turn) if pt is not None and turn <= _LONGEST_TURN else None
    regimes = _Regimes(column.ranks, column.scale, list(known.values()), recoil)
    models = regimes.choose(ordered)
    balanced = recoil is not None and any(model.balanced for model in models)
    used = set().union(*(model.parents for model in models)) | ({0} if balanced else set())
    out = Writer()
    out.varint(_BALANCED if balanced else _MODELLED)
    column.scale.write(out)
    if balanced:
        out.varint(turn)
        out.varint(zigzag(low))
    regimes.write(out, ordered, models, sorted(used))
    names = list(known)
    return Coded(tuple(names[number] for number in sorted(used)), out.content())


@dataclass(frozen=True)
class _Model:
    """How the column of one regime is predicted — by an anchor or else a form — and sorted into groups.

    An anchor is an integer that is known: 0, the one of the jet before, the recoil's angle, or a parent's.
    """

    anchor: int = _NOTHING
    form: Form = field(default_factory=Form)
    tree: Tree = field(default_factory=Tree)

    @property
    def bases(self) -> set[int]:
        """Bases that are asked for."""
        used = {base for first, second, _ in self.form.terms for base in (first, second)}
        return used | {base for _, base, _ in self.tree.questions}

    @property
    def parents(self) -> set[int]:
        """Numbers of the parents that are asked for."""
        anchor = {self.anchor - _PARENT} if self.anchor >= _PARENT else set()
        return anchor | {base - _PARENTS for base in self.bases if base >= _PARENTS}

    @property
    def in_turn(self) -> bool:
        """Whether jets have to be decoded before those after them in their events."""
        return self.anchor == _PREVIOUS or self.repeats or self.balanced

    @cached_property
    def repeats(self) -> bool:
        """Whether this column of the jets before is asked for."""
        return not self.bases.isdisjoint(range(_OWN, _BALANCE))

    @cached_property
    def balanced(self) -> bool:
        """Whether the recoil is asked for."""
        return self.anchor == _RECOIL or not self.bases.isdisjoint(range(_BALANCE, _TOTALS))

    def among(self, parents: Sequence[int]) -> _Model:
        """Give the same model where only these parents are left."""
        number = {_PARENTS + old: _PARENTS + new for new, old in enumerate(parents)}
        anchor = (
            number[self.anchor - _PARENT + _PARENTS] - _PARENTS + _PARENT
            if self.anchor >= _PARENT
            else self.anchor
        )
        form = Form(tuple((number.get(a, a), number.get(b, b), c) for a, b, c in self.form.terms))
        tree = Tree(tuple((group, number.get(base, base), at) for group, base, at in self.tree.questions))
        return _Model(anchor, form, tree)

    def write(self, out: Writer) -> None:
        """Write it; the inverse is `read`."""
        out.varint(self.anchor)
        self.form.write(out)
        self.tree.write(out)

    @classmethod
    def read(cls, data: Reader, parents: int) -> _Model:
        """Read what `write` wrote."""
        anchor = data.varint(_PARENT + parents - 1)
        return cls(anchor, Form.read(data, _PARENTS + parents), Tree.read(data, _PARENTS + parents))


class _Regimes:
    """A column at work, and what the jets before in the event say of it: that is filled in rank by rank."""

    def __init__(self, ranks: Ranks, scale: Scale, parents: Sequence[Column], recoil: Recoil | None) -> None:
        self._ranks, self._scale, self._parents, self._recoil = ranks, scale, parents, recoil
        jets = len(ranks.order)
        self._previous = np.zeros(jets, np.int64)
        self._latest, self._first = np.zeros(jets, np.int32), np.zeros(jets, np.int32)
        nothing = np.broadcast_to(np.int32(0), jets)
        share, rest = (recoil.share, recoil.rest) if recoil else (nothing, nothing)
        own = [self._latest, self._first, share, rest, nothing]
        one = np.broadcast_to(np.int32(1 << WIDTH), jets)
        self._bases: list[Base] = [one, *ranks.positions, *own, *(parent.base for parent in parents)]

    def choose(self, integers: Integers) -> list[_Model]:
        """Choose the model of each regime, all integers being known."""
        for rank in range(len(self._ranks.slices) - 1):
            self._take(rank, integers)
        return [self._choose(self._ranks.rows(ranks), integers) for ranks in self._ranks.regimes]

    def write(
        self, out: Writer, integers: Integers, models: Sequence[_Model], parents: Sequence[int]
    ) -> None:
        """Write each regime's model, numbering only these parents, and its groups; the inverse is `read`."""
        for model, ranks in zip(models, self._ranks.regimes, strict=True):
            rows = self._ranks.rows(ranks)
            model.among(parents).write(out)
            rest = np.empty(rows.stop - rows.start, np.int64)
            group = np.empty(rows.stop - rows.start, np.uint8)
            for block in blocks(rows.start, rows.stop):
                prediction, bases = self._predict(model, block)
                here = slice(block.start - rows.start, block.stop - rows.start)
                rest[here] = self._difference(model, integers[block], prediction)
                group[here] = model.tree(bases)
            write_groups(out, rest, group, model.tree.groups)

    def read(self, data: Reader, header: bytes) -> Integers:
        """Read what `write` wrote."""
        integers = np.zeros(len(self._ranks.order), np.int64)
        for ranks in self._ranks.regimes:
            rows = self._ranks.rows(ranks)
            model = _Model.read(data, len(self._parents))
            groups = Groups(data, model.tree.groups, rows.stop - rows.start, header)
            for turn in [range(rank, rank + 1) for rank in ranks] if model.in_turn else [ranks]:
                if model.in_turn and turn[0] > 0:
                    self._take(turn[0] - 1, integers, model)
                rows = self._ranks.rows(turn)
                for block in blocks(rows.start, rows.stop):
                    prediction, bases = self._predict(model, block)
                    integers[block] = self._sum(model, prediction, groups.take(model.tree(bases)))
        return integers

    def _take(self, rank: int, integers: Integers, model: _Model | None = None) -> None:
        """Take in the integers of a rank, for the jets of the next one: all that a model asks for, or may ask for."""
        here, (after, size) = self._ranks.slices[rank], self._ranks.after(rank)
        known = integers[here][:size]
        if model is None or model.anchor == _PREVIOUS:
            self._previous[after] = known
        if model is None or model.repeats:
            latest = self._latest[after]
            for block in blocks(0, size):
                latest[block] = self._scale.base(known[block])
            self._first[after] = self._first[here][:size] if rank else latest
        if self._recoil and (model is None or model.balanced):
            self._recoil.take(rank, known)

    def _predict(self, model: _Model, rows: slice) -> tuple[Integers, list[Base]]:
        """Predictions, and the bases that the tree asks about."""
        bases = [base[rows] for base in self._bases]
        if model.form.terms:
            totals = model.form.totals(bases)
            bases[_TOTALS] = Form.base(totals)
            return self._scale.integers(totals), bases
        if model.anchor == _NOTHING:
            anchor = np.zeros(len(bases[0]), np.int64)
        elif model.anchor == _PREVIOUS:
            anchor = self._previous[rows]
        elif model.anchor >= _PARENT:
            anchor = self._parents[model.anchor - _PARENT].ordered[rows]
        elif self._recoil:
            anchor = self._recoil.angle[rows]
        else:
            raise CodecError("damaged payload: a column without a recoil is predicted from it")
        return anchor, bases

    def _difference(self, model: _Model, integers: Integers, prediction: Integers) -> Integers:
        if model.anchor == _RECOIL and self._recoil:
            return self._recoil.difference(integers, prediction)
        return integers - prediction

    def _sum(self, model: _Model, prediction: Integers, rest: Integers) -> Integers:
        if model.anchor == _RECOIL and self._recoil:
            return self._recoil.turned(prediction, rest)
        return prediction + rest

    def _choose(self, rows: slice, integers: Integers) -> _Model:
        """Choose the model that codes a sample of some rows in the fewest bits."""
        jets = rows.stop - rows.start
        some = slice(rows.start, rows.stop, -(-jets // SAMPLE))
        bases, sample = [base[some] for base in self._bases], integers[some]
        models = [_Model(anchor) for anchor in self._anchors(rows, some, sample)]
        if (form := Form.fit(bases, self._scale.base(sample), jets)).terms:
            models.append(_Model(form=form))
        few = slice(some.start, some.stop, some.step * max(1, len(sample) // _TRIAL))
        questions = Questions([base[few] for base in self._bases])
        tried = [self._grown(model, questions, few, integers, _TRIED) for model in models]
        _, best = min(tried, key=lambda found: found[0])
        if not best.tree.questions:
            return best
        return self._grown(best, Questions(bases), some, integers, GROUPS)[1]

    def _grown(
        self, model: _Model, questions: Questions, some: slice, integers: Integers, groups: int
    ) -> tuple[float, _Model]:
        """Bits of all jets of a sample's regime by a model with so many groups, and the model."""
        sample = integers[some]
        share = (some.stop - some.start) / len(sample)
        prediction, asked = self._predict(model, some)
        rest = self._difference(model, sample, prediction)
        about = questions.with_base(_TOTALS, asked[_TOTALS]) if model.form.terms else questions
        tree, bits = grow(about, rest, share, groups)
        return bits + TERM_BITS * len(model.form.terms), replace(model, tree=tree)

    def _anchors(self, rows: slice, some: slice, sample: Integers) -> list[int]:
        """Anchors to try; of the parents the nearest, where it is nearer than the column's own median."""
        later = rows.start > 0
        anchors = [_NOTHING] + ([_PREVIOUS] if later else []) + ([_RECOIL] if later and self._recoil else [])
        distances = [_distance(sample, parent.ordered[some]) for parent in self._parents]
        if distances and 2 * min(distances) < _distance(sample, np.int64(self._scale.center)):
            anchors.append(_PARENT + distances.index(min(distances)))
        return anchors


def _distance(some: Integers, other: Integers | np.int64) -> int:
    """Median of the differences."""
    return int(np.partition(np.abs(some - other), len(some) // 2)[len(some) // 2])
