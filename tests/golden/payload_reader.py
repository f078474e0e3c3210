"""A reader of bounded columns, written from docs/reference/payload.md alone: it needs numpy, pcodec and a way to read a tree, and no hepae.

It is as short as it can be, and slow. It reads payloads that no model takes part in.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from math import factorial

import numpy as np
from pcodec import wrapped

MASK = 2**64 - 1
GOLDEN = 0x9E3779B97F4A7C15
TYPES = ("<i2", "<i4", "<i8", "<f4", "<f8")
TWO_PI = 6.283185307179586


def clusters(payload, header):
    """Rows by column of each cluster, by collection; ``payload`` has arrays by branch, ``header`` is that of a file of one part."""
    found, index = {}, 0
    assert len(payload["crc"]) == header["payload_rows"]
    for names, events, jets, seed, crc, blob in zip(
        *(payload[name] for name in ("names", "events", "jets", "seed", "crc", "blob")), strict=True
    ):
        numbers = b"".join(int(n).to_bytes(8, "little") for n in (events, jets, seed))
        front = bytes(names.astype("u1")) + numbers
        assert zlib.crc32(bytes(blob.astype("u1")), zlib.crc32(front)) == crc
        index = zlib.crc32(front + int(crc).to_bytes(4, "little"), index)
        collection, column, *parents = bytes(names.astype("u1")).decode().split("\0")
        known = found.setdefault(collection, [])
        if not known or column in known[-1].rows:
            known.append(Cluster(int(events), int(jets), int(seed), {}))
        assert (known[-1].events, known[-1].jets, known[-1].seed) == (events, jets, seed)
        known[-1].rows[column] = parents, bytes(blob.astype("u1"))
    assert index == header["payload_checksum"]
    return found


@dataclass
class Cluster:
    """Consecutive events: parents and blob of each column."""

    events: int
    jets: int
    seed: int
    rows: dict

    def decode(self, name, counts):
        """Values of a column; ``counts`` are the jets of each event, or None where each jet is one."""
        return Decoder(self, Order(self.jets, counts)).values(name)


class Bytes:
    """Reads what Notation lists."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def raw(self, size):
        self.at += size
        assert self.at <= len(self.data)
        return self.data[self.at - size : self.at]

    def varint(self):
        value, shift = 0, 0
        while True:
            (byte,) = self.raw(1)
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def signed(self):
        value = self.varint()
        return value - 2**64 if value >= 2**63 else value

    def zigzag(self):
        value = self.varint()
        return -(value + 1) // 2 if value & 1 else value // 2

    def f64(self):
        return float(np.frombuffer(self.raw(8), "<f8")[0])

    def blob(self):
        return self.raw(self.varint())

    def run(self, header):
        length = self.varint()
        if not length:
            return np.zeros(0, np.int64)
        size, kind = divmod(self.varint(), 5)
        data = self.raw(size)
        file, _ = wrapped.FileDecompressor.new(header)
        dtype = np.dtype(TYPES[kind])
        chunk, used = file.chunk_decompressor(data, f"{dtype.kind}{8 * dtype.itemsize}")
        found = np.zeros(length, dtype)
        progress, page = chunk.read_page_into(data[used:], length, found)
        assert (progress.n_processed, used + page) == (length, size)
        return found if dtype.kind == "f" else found.astype(np.int64)


class Order:
    """The order of the jets: for each rank the jets, and for each jet its event's first one and the numbers before and after."""

    def __init__(self, jets, counts):
        self.jets = jets
        if counts is None:
            self.ranks = [np.arange(jets)] if jets else []
            self.before = self.after = np.zeros(jets, np.int64)
            return
        starts, sizes, at = [], [], 0
        for count in np.asarray(counts).tolist():
            for first in range(0, count, 256):
                starts.append(at + first)
                sizes.append(min(256, count - first))
            at += count
        order = np.argsort(-np.array(sizes, np.int64), kind="stable")
        starts, sizes = np.array(starts, np.int64)[order], np.array(sizes, np.int64)[order]
        self.ranks = [starts[sizes > r] + r for r in range(max(sizes, default=0))]
        self.before, self.after = np.zeros(jets, np.int64), np.zeros(jets, np.int64)
        for r, rows in enumerate(self.ranks):
            self.before[rows] = r
            self.after[rows] = sizes[: len(rows)] - r - 1

    @property
    def order(self):
        return np.concatenate(self.ranks) if self.ranks else np.zeros(0, np.int64)


def ordered_to_values(integers, dtype, shift):
    """Integers of an exact column as its values; they were multiplied by 2^shift."""
    with np.errstate(over="ignore"):
        integers = integers << np.int64(shift)
    if dtype.kind != "f":
        return integers.view(np.uint64).astype(dtype) if dtype == np.uint64 else integers.astype(dtype)
    width = 8 * dtype.itemsize
    inverted = ((1 << (width - 1)) - 1) & ~((1 << shift) - 1)
    bits = np.where(integers < 0, integers ^ np.int64(inverted), integers)
    return bits.astype(f"<i{dtype.itemsize}").view(dtype)


def values_to_ordered(values):
    """Integers that stand for the floats of a run."""
    bits = values.view(f"i{values.itemsize}").astype(np.int64)
    inverted = np.int64((1 << (8 * values.itemsize - 1)) - 1)
    return np.where(bits < 0, bits ^ inverted, bits)


def dither(seed, number, jets):
    start = np.uint64((seed + (2 * number + 1) * GOLDEN) & MASK)
    with np.errstate(over="ignore"):
        x = np.arange(1, jets + 1, dtype=np.uint64) * np.uint64(GOLDEN) + start
        x ^= x >> np.uint64(30)
        x *= np.uint64(0xBF58476D1CE4E5B9)
        x ^= x >> np.uint64(27)
        x *= np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    return (x >> np.uint64(11)).astype(np.float64) * 2.0**-53 - 0.5


def powers():
    """The constants b₀ … b₂₅₆."""
    roots = [2.0]
    for _ in range(8):
        roots.append(float(np.sqrt(roots[-1])))
    found = []
    for k in range(256):
        product = 1.0
        for j in range(8):
            if k >> j & 1:
                product *= roots[8 - j]
        found.append(product)
    return np.array([*found, 2.0])


POWERS = powers()


def grid_values(kind, grid, position):
    if kind == 1:
        return position * grid[0]
    width, offset, origin = grid
    y = (np.abs(position) + origin) / width
    n = np.floor(y)
    steps = n.astype(np.int64)
    e, k = steps >> 8, steps % 256
    m = (y - n) * (POWERS[k + 1] - POWERS[k]) + POWERS[k]
    with np.errstate(over="ignore"):
        size = (m.view(np.int64) + (e << 52)).view(np.float64) - offset
    return np.copysign(size, position)


@dataclass
class Stored:
    """What stands before a column's integers."""

    dtype: np.dtype
    kind: int
    circle: bool
    shift: int
    grid: tuple
    repeated: np.ndarray
    places: np.ndarray
    rows: np.ndarray
    exact: np.ndarray

    @classmethod
    def read(cls, data, header):
        dtype = np.dtype(data.blob().decode())
        flags = data.varint()
        kind = flags & 3
        grid = tuple(data.f64() for _ in range((0, 1, 3)[kind]))
        count = data.varint()
        repeated = np.frombuffer(data.raw(count * dtype.itemsize), dtype)
        places = np.array([data.signed() for _ in range(count)], np.int64)
        rows, exact = np.cumsum(data.run(header)) - 1, np.zeros(0, dtype)
        if len(rows):
            shift = data.varint()
            integers = data.run(header)
            exact = ordered_to_values(integers << np.int64(shift), dtype, 0)
        return cls(dtype, kind, bool(flags & 4), flags >> 3, grid, repeated, places, rows, exact)

    def restored(self, integers, shifts):
        """Values that integers restore, exceptions not replaced yet."""
        if not self.kind:
            return ordered_to_values(integers, self.dtype, self.shift)
        below = np.searchsorted(self.places, integers)
        with np.errstate(over="ignore", invalid="ignore"):
            values = grid_values(self.kind, self.grid, (integers - below) + shifts)
            if self.circle:
                values = np.where(values > np.pi, TWO_PI - values, values)
                values = np.where(values < -np.pi, -TWO_PI - values, values)
            values = values.astype(self.dtype)
        for place, value in zip(self.places, self.repeated, strict=True):
            values[integers == place] = value
        return values

    def values(self, integers, shifts):
        values = self.restored(integers, shifts)
        values[self.rows] = self.exact
        return values


class Decoder:
    """Decodes columns of one cluster."""

    def __init__(self, cluster, order):
        self.cluster, self.order, self.known = cluster, order, {}

    def values(self, name):
        parents, blob = self.cluster.rows[name]
        data = Bytes(blob)
        assert data.varint() == 1
        if data.varint() == 1:
            return self.derived(parents, data)
        stored, integers, shifts = self.integers(name)
        return stored.values(integers, shifts)

    def integers(self, name):
        if name not in self.known:
            parents, blob = self.cluster.rows[name]
            data = Bytes(blob)
            assert (data.varint(), data.varint()) == (1, 0)
            header, number, latents = data.blob(), data.varint(), data.varint()
            assert not latents, "a model takes part"
            stored = Stored.read(data, header)
            integers = Stream(
                data, header, self.order, [self.integers(parent) for parent in parents]
            ).integers
            if integers.dtype.kind == "f":
                assert integers.dtype == stored.dtype
                integers = values_to_ordered(integers) >> np.int64(stored.shift)
            assert data.at == len(blob)
            self.known[name] = stored, integers, dither(self.cluster.seed, number, self.cluster.jets)
        return self.known[name]

    def derived(self, parents, data):
        header, coordinates = data.blob(), data.varint()
        rows = np.cumsum(data.run(header)) - 1
        stored = Stored.read(data, header)
        exact = stored.values(data.run(header), np.zeros(len(rows)))
        name = next(name for name, row in self.cluster.rows.items() if row[1] is data.data)
        assert name in (("E",), ("px", "py", "pz", "E"), ("px", "py", "pz"))[coordinates]
        of = {parent: self.values(parent).astype(np.float64) for parent in parents}
        with np.errstate(all="ignore"):
            values = derive(name, **of).astype(stored.dtype)
        values[rows] = exact
        return values


def derive(name, pt, eta=None, phi=None, mass=None):
    if name == "px":
        return pt * sine_cosine(phi)[1]
    if name == "py":
        return pt * sine_cosine(phi)[0]
    up = exp(eta)
    if name == "pz":
        return pt * ((up - 1 / up) / 2)
    p = pt * ((up + 1 / up) / 2)
    return np.sqrt(np.maximum(p * p + mass * np.abs(mass), 0))


def reduced(x, u, high, low):
    n = np.rint(x * u)
    n = np.where(np.abs(n) < 2**20, n, 0.0)
    return n, (x - n * high) - n * low


def horner(coefficients, x):
    value = np.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value = value * x + coefficient
    return value


def exp(x):
    n, r = reduced(
        np.clip(x, -708, 708),
        1.4426950408889634,
        float.fromhex("0x1.62e42fefap-1"),
        float.fromhex("0x1.cf79abc9e3b3ap-40"),
    )
    return np.ldexp(horner([1 / factorial(k) for k in range(14)], r), n.astype(int))


def sine_cosine(x):
    n, r = reduced(
        x, 0.6366197723675814, float.fromhex("0x1.921fb544p+0"), float.fromhex("0x1.0b4611a626331p-34")
    )
    square = r * r
    s = horner([(-1) ** k / factorial(2 * k + 1) for k in range(9)], square) * r
    c = horner([(-1) ** k / factorial(2 * k) for k in range(9)], square)
    quarter = n.astype(int) % 4
    return np.choose(quarter, [s, c, -s, -c]), np.choose(quarter, [c, -s, -c, s])


def to_base(integers, center, bits):
    e = 14 - bits
    if e >= 0:
        return np.clip(integers - center, -(2**15 >> e), 2**15 >> e) << e
    return np.clip((integers - center) >> -e, -(2**15), 2**15)


def scale_of(integers, order):
    """Center and bits of a parent."""
    n = len(integers)
    sample = np.sort(integers[order][:: max(1, n // 8192)])
    m = len(sample)
    low, middle, high = (int(sample[m * percent // 100]) for percent in (1, 50, 99))
    return middle, (high - low).bit_length()


class Stream:
    """Integers of one column."""

    def __init__(self, data, header, order, parents):
        self.data, self.header, self.order, self.parents = data, header, order, parents
        self.integers = np.zeros(order.jets, np.int64)
        if not order.jets:
            return
        kind = data.varint()
        if kind == 0:
            self.integers = data.run(header)
            assert len(self.integers) == order.jets
            return
        self.center, self.bits = data.zigzag(), data.varint()
        self.turn, self.low = (data.varint(), data.zigzag()) if kind == 2 else (0, 0)
        self.parent_bases = [
            to_base(integers, *scale_of(integers, order.order)) for _, integers, _ in parents
        ]
        ranks = order.ranks
        if kind == 2:
            self.recoil = Recoil(self.turn, self.low, parents[0], order)
        for regime in (ranks[:1], ranks[1:]):
            if regime:
                self.read_regime(regime)

    def read_regime(self, ranks):
        data = self.data
        anchor = data.varint()
        form = [(data.varint(), data.varint(), data.zigzag()) for _ in range(data.varint())]
        tree = [(data.varint(), data.varint(), data.zigzag()) for _ in range(data.varint())]
        runs = [data.run(self.header) for _ in range(len(tree) + 1)]
        used = [0] * len(runs)
        jets = [np.zeros(0, np.int64), *self.order.ranks]
        first = ranks[0] is self.order.ranks[0]
        for r, rows in enumerate(ranks, 1 if first else 2):
            before = None if first else jets[r - 1][: len(rows)]
            self.read_rank(rows, before, anchor, form, tree, runs, used)
        assert used == [len(run) for run in runs]

    def read_rank(self, rows, before, anchor, form, tree, runs, used):
        zero = np.zeros(len(rows), np.int64)
        share = rest = angle = zero
        if self.turn and before is not None:
            angle, share, rest = self.recoil.of(rows, before, self.integers)
        own = [zero, zero]
        if before is not None:
            head = self.order.ranks[0][: len(rows)]
            own = [to_base(self.integers[j], self.center, self.bits) for j in (before, head)]
        bases = [zero + 2**14, self.order.before[rows], self.order.after[rows], *own, share, rest, zero]
        bases += [base[rows] for base in self.parent_bases]
        if form:
            total = sum(c * (bases[a] if b == 0 else bases[a] * bases[b] >> 14) for a, b, c in form)
            bases[7] = np.clip(total >> 20, -(2**15), 2**15)
            down = 20 + 14 - self.bits
            step = (total + (1 << (down - 1))) >> down if down > 0 else total << -down
            predicted = self.center + step
        elif anchor < 3:
            predicted = (zero, zero if before is None else self.integers[before], angle)[anchor]
        else:
            predicted = self.parents[anchor - 3][1][rows]
        group = zero.copy()
        for number, (of, base, threshold) in enumerate(tree, 1):
            group[(group == of) & (bases[base] >= threshold)] = number
        numbers = zero.copy()
        for number, run in enumerate(runs):
            inside = group == number
            count = int(inside.sum())
            numbers[inside] = run[used[number] : used[number] + count]
            used[number] += count
        found = predicted + numbers
        if anchor == 2 and self.turn:
            found = self.low + (found - self.low) % self.turn
        self.integers[rows] = found


def tables():
    """Cosine and sine of the 4096 angle steps."""
    c, s = [1 << 60], [0]
    turn_c, turn_s = 1152920148139012899, 1768558744408523
    for _ in range(512):
        c, s = (
            [*c, (c[-1] * turn_c - s[-1] * turn_s) >> 60],
            [*s, (c[-1] * turn_s + s[-1] * turn_c) >> 60],
        )
    cosine, sine = [0] * 4096, [0] * 4096
    for k in range(513):
        cosine[1024 - k], sine[1024 - k] = s[k], c[k]
    for k in range(513):
        cosine[k], sine[k] = c[k], s[k]
    for k in range(3072):
        cosine[k + 1024], sine[k + 1024] = -sine[k], cosine[k]
    return np.array([float(v) for v in cosine]) * 2.0**-60, np.array([float(v) for v in sine]) * 2.0**-60


COSINE, SINE = tables()


class Recoil:
    """Direction and size of what the earlier jets of an event leave."""

    def __init__(self, turn, low, parent, order):
        stored, integers, shifts = parent
        self.turn, self.low = turn, low
        pt = stored.restored(integers, shifts).astype(np.float64)
        self.pt = np.where((pt >= 0) & (pt <= 1e30), pt, 0.0)
        self.x, self.y, self.later = np.zeros(order.jets), np.zeros(order.jets), np.zeros(order.jets)
        for rows, after in zip(order.ranks[-2::-1], order.ranks[:0:-1], strict=True):
            rows = rows[: len(after)]
            self.later[rows] = self.later[after] + self.pt[after]

    def of(self, rows, before, integers):
        step = (integers[before] - self.low) % self.turn * 4096 // self.turn
        self.x[rows] = self.x[before] + self.pt[before] * COSINE[step]
        self.y[rows] = self.y[before] + self.pt[before] * SINE[step]
        x, y, pt, later = self.x[rows], self.y[rows], self.pt[rows], self.later[rows]
        angle = self.low + direction(-x, -y) * self.turn // 4096
        size = np.sqrt(x * x + y * y)
        share = np.floor(size / np.maximum(size + pt, 1e-30) * 2**15).astype(np.int64)
        rest = np.floor(later / np.maximum(size + pt + later, 1e-30) * 2**15).astype(np.int64)
        return angle, share, rest


def direction(x, y):
    high, low = np.maximum(np.abs(x), np.abs(y)), np.minimum(np.abs(x), np.abs(y))
    a = low / np.where(high == 0, 1.0, high)
    s = a * a
    p = (((0.0208351 * s - 0.0851330) * s + 0.1801410) * s - 0.3302995) * s + 0.9998660
    d = np.rint(p * a * (4096 / TWO_PI)).astype(np.int64)
    d = np.where(np.abs(y) > np.abs(x), 1024 - d, d)
    d = np.where(x < 0, 2048 - d, d)
    d = np.where(y < 0, 4096 - d, d)
    return d % 4096
