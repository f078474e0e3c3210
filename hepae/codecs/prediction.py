"""Integers ↔ bytes: what earlier columns and jets say about a column is taken off it, and pcodec codes the rest.

The integers of a cluster are coded column by column. What is known when a jet's integer is decoded — its earlier columns,
and the jets before it in its event — gives a prediction (a linear form with squares and products; for phi the recoil
against the earlier jets) and a predicted spread, by which the jets are sorted into groups that are coded apart. Whether
that pays is tried on the cluster itself, and what was chosen is written with it.

Everything the decoder evaluates is integer arithmetic, table look-up, or + − × ÷ √ and comparison of float64, one numpy
operation at a time: only these give the same bits on every machine. The format is in PAYLOAD.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from pcodec import ChunkConfig, DeltaSpec, standalone

from hepae.codecs.bytestream import Reader, Writer
from hepae.codecs.recoil import Recoil
from hepae.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Integers = NDArray[np.int64]
    Floats = NDArray[np.float64]
    Values = Callable[[str, Integers], Floats]
    """Restored values of an already decoded column, bit for bit the same when coding and decoding."""

LEVEL = 8
GROUPS = (4, 12, 32)
_RANKS = 64
"""Jets of an event beyond this one are predicted from the first ones: a loop an event's jets need not be longer."""
_SAMPLE = 8_000
_NEGLIGIBLE = 0.02
"""Terms of a form that move it by less than this share of what it leaves over are dropped."""
_BINS = 48
_STREAM = 120
"""Bytes that a further group costs: its stream's own header, and the bins that pcodec describes in it."""
_PRODUCTS = 4
_LARGEST = 2.0**62


@dataclass(frozen=True)
class Momentum:
    """Which columns are the four-momentum's, so that a jet's phi can be predicted from the recoil."""

    pt: str
    phi: str


@dataclass(frozen=True)
class _Jets:
    """Where jets stand in their events: all that is known beside the columns."""

    rank: Integers
    size: Floats
    blocks: tuple[Integers, ...]
    """Rows of the first jets, then the second ones, and so on; the last block holds all beyond."""

    @classmethod
    def of(cls, jets: int, counts: Integers | None) -> _Jets:
        if counts is None:
            return cls(np.zeros(jets, np.int64), np.ones(jets), (np.arange(jets),))
        if np.any(counts < 0) or int(counts.sum()) != jets:
            raise CodecError(f"damaged payload: {jets} jets, its events have {int(counts.sum())}")
        starts = np.cumsum(counts) - counts
        rank = np.arange(jets) - np.repeat(starts, counts)
        size = np.repeat(np.minimum(counts, 16), counts).astype(np.float64)
        capped = np.minimum(rank, _RANKS)
        order = np.argsort(capped, kind="stable")
        cuts = np.searchsorted(capped[order], np.arange(1, int(capped.max(initial=0)) + 1))
        return cls(rank, size, tuple(np.split(order, cuts)))

    @property
    def first(self) -> Integers:
        return self.blocks[0]

    @property
    def later(self) -> Integers:
        return np.concatenate(self.blocks[1:]) if len(self.blocks) > 1 else np.zeros(0, np.int64)


class _Design:
    """Features of some rows, each computed when it is asked for: most models use few of them."""

    def __init__(self, rows: Integers, bases: list[Callable[[], Floats]], terms: list[tuple[int, ...]]):
        self.rows = rows
        self._bases, self._terms = bases, terms
        self._computed: dict[int, Floats] = {}

    def __len__(self) -> int:
        return len(self._terms)

    def __getitem__(self, term: int) -> Floats:
        factors = [self._base(index) for index in self._terms[term]]
        return factors[0] if len(factors) == 1 else factors[0] * factors[1]

    def _base(self, index: int) -> Floats:
        if index not in self._computed:
            self._computed[index] = self._bases[index]()
        return self._computed[index]


@dataclass(frozen=True)
class _Form:
    """A linear form Σ cᵢ·fᵢ over a few features, as term numbers and float32 coefficients."""

    terms: Integers
    coefficients: Floats

    @classmethod
    def none(cls) -> _Form:
        return cls(np.zeros(0, np.int64), np.zeros(0))

    def __call__(self, features: _Design) -> Floats:
        """Evaluate term by term: a dot product would round differently from machine to machine."""
        if len(self.terms) and int(self.terms[-1]) >= len(features):
            raise CodecError("damaged payload: a form names a feature that there is not")
        total = np.zeros(len(features.rows))
        for term, coefficient in zip(self.terms.tolist(), self.coefficients.tolist(), strict=True):
            total += coefficient * features[term]
        return total

    @classmethod
    def fit(cls, features: _Design, truth: Floats) -> _Form:
        """Least squares, without the terms that matter little; the decoder never has to repeat this."""
        columns = [features[term] for term in range(len(features))]
        design = np.stack(columns, axis=1)
        scale = np.maximum(np.sqrt(np.einsum("ij,ij->j", design, design) / len(design)), 1e-12)
        design /= scale
        gram, target = design.T @ design, design.T @ truth
        gram[np.diag_indices_from(gram)] += 1e-6 * len(design)
        kept = np.arange(len(scale))
        solution = np.linalg.solve(gram, target)
        for _ in range(3):
            width = np.sqrt(max(float(((truth - design[:, kept] @ solution) ** 2).mean()), 1e-12))
            matters = np.abs(solution) > _NEGLIGIBLE * width
            if matters.all():
                break
            kept = kept[matters]
            solution = np.linalg.solve(gram[np.ix_(kept, kept)], target[kept])
        rounded = (solution / scale[kept]).astype(np.float32).astype(np.float64)
        finite = np.isfinite(rounded)
        return cls(kept[finite], rounded[finite])

    def write(self, out: Writer) -> None:
        out.varint(len(self.terms))
        for term in self.terms.tolist():
            out.varint(term)
        out.floats(self.coefficients)

    @classmethod
    def read(cls, data: Reader) -> _Form:
        terms = np.array([data.varint() for _ in range(data.varint(1000))], np.int64)
        coefficients = data.floats()
        if len(terms) != len(coefficients) or np.any(np.diff(terms) <= 0):
            raise CodecError("damaged payload: the terms of a form are not in order")
        return cls(terms, coefficients)


@dataclass(frozen=True)
class _Model:
    """How a column of one regime (first jets, or later ones) is predicted, and sorted into groups by its spread."""

    center: _Form
    spread: _Form
    thresholds: Floats
    recoil: bool = False

    @property
    def groups(self) -> int:
        return len(self.thresholds) + 1

    def predict(self, features: _Design, angle: Floats | None) -> Integers:
        prediction = self.center(features)
        return _integers(prediction if angle is None else prediction + angle)

    def group(self, features: _Design) -> Integers:
        if self.groups == 1:
            return np.zeros(len(features.rows), np.int64)
        return np.searchsorted(self.thresholds, self.spread(features), side="right").astype(np.int64)

    def write(self, out: Writer) -> None:
        out.varint(int(self.recoil))
        self.center.write(out)
        self.spread.write(out)
        out.floats(self.thresholds)

    @classmethod
    def read(cls, data: Reader) -> _Model:
        recoil = bool(data.varint())
        center, spread = _Form.read(data), _Form.read(data)
        thresholds = data.floats()
        if np.any(np.diff(thresholds) <= 0) or len(thresholds) > 1000:
            raise CodecError("damaged payload: thresholds that do not rise")
        return cls(center, spread, thresholds, recoil)


def _integers(prediction: Floats) -> Integers:
    bounded = np.where(np.abs(prediction) < _LARGEST, prediction, 0.0)
    return np.rint(bounded).astype(np.int64)


@dataclass
class _Known:
    """Columns that are decoded already, as standardised floats; and of the column at work, what there is of it."""

    jets: _Jets
    columns: dict[str, Floats]
    center: float = 0.0
    scale: float = 1.0

    def features(self, rows: Integers, own: Integers | None) -> _Design:
        """Features of these rows; ``own`` is the column at work, where the jets before count."""
        names = list(self.columns)
        bases: list[Callable[[], Floats]] = [lambda: np.ones(len(rows)), lambda: self.jets.size[rows]]
        bases += [partial(np.take, self.columns[name], rows) for name in names]
        earlier = range(2, len(bases))
        terms: list[tuple[int, ...]] = [(0,), (1,), *((i,) for i in earlier), *((i, i) for i in earlier)]
        terms += list(combinations(earlier[:_PRODUCTS], 2))
        if own is not None:
            at = len(bases)
            rank = self.jets.rank
            bases += [
                lambda: self._scaled(own[rows - 1]),
                lambda: self._scaled(own[rows - rank[rows]]),
                lambda: 1.0 / rank[rows].astype(np.float64),
                lambda: rank[rows] / self.jets.size[rows],
                *(partial(np.take, self.columns[name], rows - 1) for name in names[:_PRODUCTS]),
            ]
            terms += [(at,), (at, at), (at + 1,), (at + 1, at + 1), (at, at + 1)]
            terms += [(i,) for i in range(at + 2, len(bases))]
        return _Design(rows, bases, terms)

    def _scaled(self, values: Integers) -> Floats:
        return (values.astype(np.float64) - self.center) * self.scale

    def add(self, name: str, integers: Integers) -> None:
        self.columns[name] = self._scaled(integers)


def _pack(values: Integers, *, delta: bool = False) -> bytes:
    low, high = int(values.min()), int(values.max())
    narrow = values.astype(np.int32) if low >= -(2**31) and high < 2**31 else values
    spec = DeltaSpec.auto() if delta else DeltaSpec.no_op()
    return bytes(standalone.simple_compress(narrow, ChunkConfig(compression_level=LEVEL, delta_spec=spec)))


def _unpack(data: bytes, length: int) -> Integers:
    if length == 0:
        return np.zeros(0, np.int64)
    try:
        values = standalone.simple_decompress(data)
    except (RuntimeError, TypeError) as error:
        raise CodecError(f"damaged payload: {error}") from None
    if values is None or len(values) != length or values.dtype.kind != "i":
        raise CodecError(f"damaged payload: a stream of {length} integers has another length")
    integers: Integers = values.astype(np.int64)
    return integers


def encode(
    columns: Mapping[str, Integers], counts: Integers | None, momentum: Momentum | None, values: Values | None
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

    Returns
    -------
    bytes
        The stream that PAYLOAD.md describes.
    """
    out = Writer()
    length = len(next(iter(columns.values()), ()))
    jets = _Jets.of(length, counts)
    known = _Known(jets, {})
    with np.errstate(over="ignore", invalid="ignore"):
        for name, integers in columns.items():
            if length:
                _encode_column(
                    out, name, np.ascontiguousarray(integers, np.int64), columns, known, momentum, values
                )
    return out.content()


def decode(
    data: Reader,
    names: list[str],
    length: int,
    counts: Integers | None,
    momentum: Momentum | None,
    values: Values | None,
) -> dict[str, Integers]:
    """Give the integers of one cluster that `encode` coded.

    Raises
    ------
    CodecError
        If the stream is damaged.
    """
    jets = _Jets.of(length, counts)
    known = _Known(jets, {})
    columns: dict[str, Integers] = {}
    with np.errstate(over="ignore", invalid="ignore"):
        for name in names:
            columns[name] = (
                _decode_column(data, name, columns, known, momentum, values)
                if length
                else np.zeros(0, np.int64)
            )
    return columns


def _encode_column(
    out: Writer,
    name: str,
    integers: Integers,
    columns: Mapping[str, Integers],
    known: _Known,
    momentum: Momentum | None,
    values: Values | None,
) -> None:
    known.center, known.scale = _standard(integers)
    jets = known.jets
    recoil = None
    low, high = int(integers.min()), int(integers.max())
    if momentum is not None and values is not None and name == momentum.phi and momentum.pt in known.columns:
        turn = high - low + 1
        recoil = Recoil(jets.rank, jets.size, values(momentum.pt, columns[momentum.pt]), low, turn)
        for block in jets.blocks:
            recoil.add(block, integers)
    plain = _pack(integers, delta=True)
    parts = []
    for regime, rows in enumerate((jets.first, jets.later)):
        if len(rows):
            parts.append(_best(integers, rows, regime, known, recoil))
    if len(plain) <= sum(len(part) for part in parts) + 16:
        out.varint(0)
        out.blob(plain)
    else:
        out.varint(1)
        out.float64(known.center)
        out.float64(known.scale)
        out.varint(low & (2**64 - 1))
        out.varint(high & (2**64 - 1))
        for part in parts:
            out.raw(part)
    known.add(name, integers)


def _best(integers: Integers, rows: Integers, regime: int, known: _Known, recoil: Recoil | None) -> bytes:
    """Code the rows of one regime in the cheapest of the ways that are tried on a sample of them."""
    own = integers if regime else None
    sample = rows[:: max(1, len(rows) // _SAMPLE)]
    share = len(rows) / len(sample)

    def design_of(some: Integers, *, pointed: bool) -> tuple[_Design, Floats | None, Integers]:
        if pointed and recoil is not None:
            angle, bases = recoil.look(some)
            design = _Design(
                some, [partial(_same, base) for base in bases], [(i,) for i in range(len(bases))]
            )
            return design, angle, integers[some]
        return known.features(some, own), None, integers[some]

    def rest_of(model: _Model, design: _Design, angle: Floats | None, truth: Integers) -> Integers:
        rest = truth - model.predict(design, angle)
        return _around(rest, recoil.turn) if model.recoil and recoil is not None else rest

    best, least = _Model(_Form.none(), _Form.none(), np.zeros(0)), np.inf
    for way in ("none", "fit", "recoil"):
        if way == "recoil" and (recoil is None or not regime):
            continue
        design, angle, truth = design_of(sample, pointed=way == "recoil")
        fits = len(design) > 2 and len(sample) > 8 * len(design)
        if way == "fit" and not fits:
            continue
        center = _Form.fit(design, truth.astype(np.float64)) if way == "fit" else _Form.none()
        model = _Model(center, _Form.none(), np.zeros(0), recoil=way == "recoil")
        rest = rest_of(model, design, angle, truth)
        single = len(_pack(rest)) * share
        if single < least:
            best, least = model, single
        if not fits:
            continue
        spread = _Form.fit(design, np.sqrt(np.abs(rest - np.median(rest))))
        estimate = spread(design)
        for groups in GROUPS:
            cuts = np.quantile(estimate, np.arange(1, groups) / groups).astype(np.float32).astype(np.float64)
            thresholds = np.unique(cuts)
            saved = _saved_bits(
                rest, np.searchsorted(thresholds, estimate, side="right"), len(thresholds) + 1
            )
            estimated = single - len(rows) * saved / 8 + _STREAM * len(thresholds)
            if estimated < least:
                best, least = replace(model, spread=spread, thresholds=thresholds), estimated
    design, angle, truth = design_of(rows, pointed=best.recoil)
    return _streams(best, design, rest_of(best, design, angle, truth))


def _saved_bits(rest: Integers, group: Integers, groups: int) -> float:
    """Bits a value that grouping saves: the mutual information of value and group, less its bias (Miller 1955)."""
    edges = np.unique(np.quantile(rest, np.arange(1, _BINS) / _BINS))
    bins = len(edges) + 1
    joint = np.bincount(np.searchsorted(edges, rest, side="right") * groups + group, minlength=bins * groups)
    share = joint.reshape(bins, groups) / len(rest)
    product = share.sum(axis=1, keepdims=True) * share.sum(axis=0, keepdims=True)
    filled = share > 0
    information = float((share[filled] * np.log2(share[filled] / product[filled])).sum())
    bias = (bins - 1) * (groups - 1) / (2 * math.log(2) * len(rest))
    return information - bias


def _same(values: Floats) -> Floats:
    return values


def _streams(model: _Model, design: _Design, rest: Integers) -> bytes:
    out = Writer()
    model.write(out)
    group = model.group(design)
    order = np.argsort(group.astype(np.uint8 if model.groups <= 256 else np.int64), kind="stable")
    counts = np.bincount(group, minlength=model.groups)
    for members in np.split(rest[order] if model.groups > 1 else rest, np.cumsum(counts)[:-1]):
        out.varint(len(members))
        out.blob(_pack(members) if len(members) else b"")
    return out.content()


def _decode_column(
    data: Reader,
    name: str,
    columns: Mapping[str, Integers],
    known: _Known,
    momentum: Momentum | None,
    values: Values | None,
) -> Integers:
    jets = known.jets
    length = len(jets.rank)
    if data.varint() == 0:
        integers = _unpack(data.blob(), length)
        known.center, known.scale = _standard(integers)
        known.add(name, integers)
        return integers
    known.center, known.scale = data.float64(), data.float64()
    low, high = (np.uint64(data.varint()).astype(np.int64) for _ in range(2))
    turn = int(high) - int(low) + 1
    integers = np.zeros(length, np.int64)
    recoil = None
    for regime, blocks in enumerate((jets.blocks[:1], jets.blocks[1:])):
        if not sum(len(block) for block in blocks):
            continue
        model = _Model.read(data)
        streams = []
        for _ in range(model.groups):
            members = data.varint()
            if members > length:
                raise CodecError("damaged payload: a group has more jets than the cluster")
            streams.append(_unpack(data.blob(), members))
        if model.recoil:
            if momentum is None or values is None or momentum.pt not in columns:
                raise CodecError("damaged payload: a recoil without momenta")
            recoil = Recoil(jets.rank, jets.size, values(momentum.pt, columns[momentum.pt]), int(low), turn)
            recoil.add(jets.first, integers)
        taken = np.zeros(model.groups, np.int64)
        for block in blocks:
            for rows in _in_turn(block, jets, sequential=bool(regime)):
                angle = None
                if model.recoil and recoil is not None:
                    angle, bases = recoil.look(rows)
                    design = _Design(
                        rows, [partial(_same, base) for base in bases], [(i,) for i in range(len(bases))]
                    )
                else:
                    design = known.features(rows, integers if regime else None)
                prediction = model.predict(design, angle)
                rest = _distribute(streams, model.group(design), taken)
                integers[rows] = rest + prediction
                if angle is not None and recoil is not None:
                    integers[rows] = low + (integers[rows] - low) % turn
                    recoil.add(rows, integers)
    known.add(name, integers)
    return integers


def _in_turn(block: Integers, jets: _Jets, *, sequential: bool) -> list[Integers]:
    """Rows of a block that can be decoded at once: the last block holds several jets of an event."""
    ranks = jets.rank[block]
    if not sequential or not len(block) or ranks.min() == ranks.max():
        return [block]
    order = np.argsort(ranks, kind="stable")
    return np.split(block[order], np.flatnonzero(np.diff(ranks[order])) + 1)


def _distribute(streams: list[Integers], group: Integers, taken: Integers) -> Integers:
    """Next integers of each group's stream for jets of these groups, in the jets' order."""
    if len(streams) == 1:
        rest = streams[0][taken[0] : taken[0] + len(group)]
        taken[0] += len(group)
        if len(rest) != len(group):
            raise CodecError("damaged payload: a stream is too short")
        return rest
    rest = np.empty(len(group), np.int64)
    counts = np.bincount(group, minlength=len(streams))
    order = np.argsort(group, kind="stable")
    parts = [
        stream[start : start + count] for stream, start, count in zip(streams, taken, counts, strict=True)
    ]
    if any(len(part) != count for part, count in zip(parts, counts, strict=True)):
        raise CodecError("damaged payload: a stream is too short")
    rest[order] = np.concatenate(parts)
    taken += counts
    return rest


def _standard(integers: Integers) -> tuple[float, float]:
    """Centre and inverse width that bring integers near ±1, from order statistics so that every machine finds the same."""
    low, middle, high = (
        float(v) for v in np.partition(integers, _middle(len(integers)))[_middle(len(integers))]
    )
    return middle, 1.0 / max(high - low, 1.0)


def _middle(length: int) -> list[int]:
    return [length // 10, length // 2, max(0, length - 1 - length // 10)]


def _around(differences: Integers, turn: int) -> Integers:
    half = turn // 2
    return (differences + half) % turn - half
