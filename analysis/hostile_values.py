"""Ten million hostile values through the BoundedCodec: no bound broken, no repeated value changed, no edge crossed.

    python analysis/hostile_values.py

Each round makes jets of columns with every kind of bound, in float32 and float64, of ordinary values with hostile ones among
them: infinities, NaNs with payloads, −0, denormals, sentinels, 1e38, any bits at all, values on an edge and next to it.
Two rounds of three go through a ROOT file, in GeV and in MeV, one stays in memory. What came back is judged here anew, in long double, against
what bounds, repeated values and edges mean in the project's documentation. The exit status is 1 if a value fails.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import click
import numpy as np
import uproot
from rich.console import Console
from rich.table import Table

import hepae
from hepae.bounds import ENERGIES, Bound
from hepae.io.layouts import Branch
from hepae.io.writers import TreeWriter

if TYPE_CHECKING:
    from benchmarks.jets import Columns
    from numpy.typing import NDArray

    Random = np.random.Generator

SINGLE, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)
SENTINELS = (0.0, 1.0, -1.0, -99.0, -999.0, -9999.0)
"""Repeated values, however few there are of them."""
MOST_REPEATED = 16
WAYS = ("memory", "GeV", "MeV")
"""Where a round's jets go: into memory, or into a file in this unit."""
HOSTILE = (0.002, 0.1, 0.6)
"""Share of hostile values, round by round: few, so that columns keep their grids, and many, so that they do not."""


@dataclass(frozen=True)
class Column:
    """Type, bound and edges of a column; its size tells where ordinary values lie."""

    dtype: np.dtype[Any]
    bound: str
    edges: tuple[float, ...] = ()
    size: float = 1.0
    kind: str = "normal"


def columns_of(dtype: np.dtype[Any], name: str) -> dict[str, Column]:
    """Columns with every kind of bound in one type."""
    found = {
        f"{name}_relative": Column(dtype, "0.1%", (20.0, 30.1, -5.5), 50.0, "falling"),
        f"{name}_fine": Column(dtype, "0.0003%", (1 / 3,), 1e4, "falling"),
        f"{name}_coarse": Column(dtype, "60%", (0.0, 100.0), 1e-3),
        f"{name}_both": Column(dtype, "1%+0.001", (0.0, 0.1, 80.4), 10.0),
        f"{name}_mostly_absolute": Column(dtype, "0.01%+10", (25.0,), 1e6, "falling"),
        f"{name}_tiny_offset": Column(dtype, "2%+1e-30", (1e-30, 1.0), 1e-25, "falling"),
        f"{name}_absolute": Column(dtype, "0.001", (-2.5, 2.5, 0.8), 2.0),
        f"{name}_wide": Column(dtype, "1e5", (3e5,), 1e7),
        f"{name}_huge": Column(dtype, "1e30", (), 1e37, "falling"),
        f"{name}_small": Column(dtype, "1e-12", (1e-10,), 1e-9),
        f"{name}_exact": Column(dtype, "exact", (0.5,), 1.0),
    }
    return {key: column for key, column in found.items() if dtype == DOUBLE or "small" not in key}


COLUMNS: dict[str, Column] = {
    "pt": Column(SINGLE, "0.1%", (20.0, 30.0, 50.0, 450.0), 20.0, "falling"),
    "eta": Column(SINGLE, "0.001", (-2.5, 2.5, -0.8, 0.8), 2.0),
    "phi": Column(SINGLE, "0.001", (-1.5, 0.0, 3.0), 1.0, "angle"),
    "mass": Column(SINGLE, "1%+1MeV", (0.0, 65.0, 105.0), 8.0, "falling"),
    **columns_of(SINGLE, "single"),
    **columns_of(DOUBLE, "double"),
    "number": Column(np.dtype(np.int32), "exact", (), 10.0, "integer"),
    "flag": Column(np.dtype(np.uint8), "exact", (), 10.0, "integer"),
    "passed": Column(np.dtype(np.bool_), "exact", (), 1.0, "integer"),
}


def ordinary(column: Column, length: int, random: Random) -> NDArray[Any]:
    """Values such as a column holds."""
    if column.kind == "integer":
        return random.integers(0, int(column.size) + 1, length).astype(column.dtype)
    if column.kind == "angle":
        values = random.uniform(-np.pi, np.pi, length)
    elif column.kind == "falling":
        values = column.size * np.minimum(random.pareto(3.0, length) + 1.0, 350.0)
    else:
        values = random.normal(0.0, column.size, length)
    return values.astype(column.dtype)


def hostile(column: Column, length: int, random: Random) -> NDArray[Any]:
    """Values that break codecs, in equal parts."""
    dtype = column.dtype
    limits = np.finfo(dtype)
    unsigned = np.dtype(f"u{dtype.itemsize}")
    bits = np.frombuffer(random.bytes(length * dtype.itemsize), unsigned).view(dtype)
    nans = np.frombuffer(random.bytes(length * dtype.itemsize), unsigned) | np.array(np.inf, dtype).view(
        unsigned
    )
    denormals = bits.view(unsigned) & unsigned.type((1 << limits.nmant) - 1)
    powers = np.ldexp(1.0, random.integers(limits.minexp, limits.maxexp, length)).astype(dtype)
    special = [
        0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 7000.0, 1e38, -1e38, -1e-6, np.pi, -np.pi, 2 * np.pi,
        float(limits.max), float(limits.min), float(limits.smallest_subnormal), float(limits.eps), *SENTINELS,
    ]  # fmt: skip
    special = np.array([*special, *column.edges, *(np.float32(edge) for edge in column.edges)]).astype(dtype)
    around = np.array([*column.edges, *SENTINELS, np.pi, -np.pi, column.size], dtype)
    parts = [
        bits,
        nans.view(dtype),
        denormals.view(dtype),
        special[random.integers(0, len(special), length)],
        nudged(around[random.integers(0, len(around), length)], random),
        nudged(powers, random),
        -ordinary(column, length, random),
        (
            ordinary(column, length, random).astype(np.float64) * 10.0 ** random.uniform(-20, 20, length)
        ).astype(dtype),
    ]
    return np.choose(random.integers(0, len(parts), length), parts).astype(dtype)


def nudged(values: NDArray[Any], random: Random) -> NDArray[Any]:
    """Values and their neighbours, up to three of the type's own steps away."""
    unsigned = np.dtype(f"i{values.itemsize}")
    moved = values.view(unsigned) + random.integers(-3, 4, len(values)).astype(unsigned)
    return moved.view(values.dtype)


@np.errstate(all="ignore")
def column_values(column: Column, length: int, share: float, random: Random) -> NDArray[Any]:
    """Ordinary values with a share of hostile ones, and a few values that repeat."""
    values = ordinary(column, length, random)
    if column.kind == "integer":
        return values
    for value in ordinary(column, int(random.integers(0, 5)), random):
        values[random.random(length) < random.choice([0.005, 0.012, 0.05, 0.3])] = value
    at = np.flatnonzero(random.random(length) < share)
    values[at] = hostile(column, len(at), random)
    return values


def in_mev(column: Column) -> Column:
    """The same column of a file in MeV: what is asked for in GeV holds there in its own numbers."""
    bound = Bound.parse(column.bound).in_unit("MeV")
    edges = tuple(edge * 1000 for edge in column.edges)
    return replace(column, bound=str(bound), edges=edges, size=column.size * 1000)


def codec_of(columns: dict[str, Column]) -> hepae.BoundedCodec:
    """Codec with the columns' bounds and edges."""
    bounds = {name: column.bound for name, column in columns.items() if column.dtype.kind == "f"}
    return hepae.BoundedCodec(bounds, {name: c.edges for name, c in columns.items() if c.edges})


def through_memory(columns: Columns, codec: hepae.BoundedCodec) -> list[tuple[Columns, Columns]]:
    """Compress flat jets and decode them; clusters before and after."""
    found, first = [], 0
    for cluster in codec.compress(ak.zip(columns)).clusters:
        part = {name: values[first : first + cluster.jets] for name, values in columns.items()}
        found.append((part, cluster.columns(None)))
        first += cluster.jets
    return found


def through_file(
    columns: Columns, codec: hepae.BoundedCodec, unit: str, random: Random, folder: Path
) -> list[tuple[Columns, Columns]]:
    """Write jets event by event, compress the file, decompress it and read it; its one cluster before and after."""
    counts = random.poisson(3.0, len(columns["pt"]) // 3)
    length = int(counts.sum())
    columns = {name: np.resize(values, length) for name, values in columns.items()}
    before, small, after = (folder / f"{name}.root" for name in ("before", "small", "after"))
    branches = [Branch(f"Jet_{name}", values.dtype, True, "nJet") for name, values in columns.items()]
    with uproot.recreate(before) as file:
        TreeWriter(file, "Events", branches).extend(
            {f"Jet_{name}": ak.unflatten(values, counts) for name, values in columns.items()}
        )
    hepae.compress_file(before, small, codec, unit=unit, force=True)
    hepae.decompress_file(small, after, force=True)
    with uproot.open(after) as file:
        arrays = file["Events"].arrays([branch.name for branch in branches])
    return [(columns, {name: ak.to_numpy(ak.flatten(arrays[f"Jet_{name}"])) for name in columns})]


@dataclass
class Failures:
    """Values of a column that failed, of how many."""

    values: int = 0
    bound: int = 0
    repeated: int = 0
    edges: int = 0
    kept: int = 0
    """Values that came back bit for bit: no failure, but a column of these alone tests little."""

    def __iadd__(self, other: Failures) -> Failures:
        """Add up."""
        for name, count in vars(other).items():
            setattr(self, name, getattr(self, name) + count)
        return self

    @property
    def any(self) -> bool:
        """Whether there is one."""
        return self.bound + self.repeated + self.edges > 0


@np.errstate(all="ignore")
def judge(column: Column, original: NDArray[Any], restored: NDArray[Any]) -> Failures:
    """Count what failed in a cluster's column."""
    if restored.dtype != original.dtype or len(restored) != len(original):
        return Failures(len(original), bound=len(original))
    raw = f"V{original.itemsize}"
    changed = original.view(raw) != restored.view(raw)
    found = Failures(len(original), kept=int(np.count_nonzero(~changed)))
    before, after = original.astype(np.longdouble), restored.astype(np.longdouble)
    error = np.abs(after - before)
    if column.kind == "angle":
        error = np.minimum(error, np.abs(error - 2 * np.pi))
    bound = Bound.parse(column.bound).in_unit("GeV")
    allowed = np.longdouble(bound.relative) * np.abs(before) + np.longdouble(bound.absolute)
    inside = np.isfinite(before) & (error <= allowed) & (not bound.exact)
    crossed = np.zeros(len(original), bool)
    for edge in column.edges:
        for cut in (edge, float(original.dtype.type(edge))):
            crossed |= np.sign(before - cut) != np.sign(after - cut)
    found.bound = int(np.count_nonzero(changed & ~inside))
    found.repeated = int(np.count_nonzero(changed & repeats(original)))
    found.edges = int(np.count_nonzero(changed & crossed))
    return found


def repeats(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Which values stay what they are: sentinels, and what fills a hundredth of the column; the most frequent 16."""
    distinct, counts = np.unique(values[np.isfinite(values)], return_counts=True)
    always = np.isin(distinct, SENTINELS)
    chosen = always | ((counts >= 0.01 * len(values)) & (counts > 1))
    order = np.argsort(-(counts[chosen] + always[chosen] * len(values)), kind="stable")[:MOST_REPEATED]
    return np.isin(values, distinct[chosen][order])


@click.command()
@click.option("--values", default=10_000_000, show_default=True, help="At least so many.")
@click.option("--jets", default=20_000, show_default=True, help="In a round.")
@click.option("--seed", default=1, show_default=True)
def main(values: int, jets: int, seed: int) -> None:
    """Send hostile values through the codec until there were enough."""
    random = np.random.default_rng(seed)
    totals = {name: Failures() for name in COLUMNS}
    codec = codec_of(COLUMNS)
    rounds = 0
    with tempfile.TemporaryDirectory() as folder:
        while sum(total.values for total in totals.values()) < values:
            way = WAYS[rounds % len(WAYS)]
            share = HOSTILE[(rounds + rounds // len(WAYS)) % len(HOSTILE)]
            held = {
                name: in_mev(column) if way == "MeV" and name in ENERGIES else column
                for name, column in COLUMNS.items()
            }
            columns = {name: column_values(column, jets, share, random) for name, column in held.items()}
            pairs = (
                through_memory(columns, codec)
                if way == "memory"
                else through_file(columns, codec, way, random, Path(folder))
            )
            for before, after in pairs:
                for name, column in held.items():
                    totals[name] += judge(column, before[name], after[name])
            rounds += 1
    show(totals, rounds)
    sys.exit(int(any(total.any for total in totals.values())))


def show(totals: dict[str, Failures], rounds: int) -> None:
    """Print the table."""
    everything = Failures()
    table = Table(title=f"{rounds} rounds", title_justify="left")
    for heading in (
        "column",
        "type",
        "bound",
        "values",
        "kept",
        "bound broken",
        "repeated changed",
        "edges crossed",
    ):
        table.add_column(heading, justify="left" if heading in ("column", "type", "bound") else "right")
    for name, total in totals.items():
        everything += total
        add(table, total, name, str(COLUMNS[name].dtype), COLUMNS[name].bound)
    table.add_section()
    add(table, everything, "all", "", "")
    Console(width=120).print(table)


def add(table: Table, total: Failures, *named: str) -> None:
    """Add a row of counts."""
    kept = f"{total.kept / max(total.values, 1):.1%}"
    table.add_row(
        *named, f"{total.values:,}", kept, *(f"{n:,}" for n in (total.bound, total.repeated, total.edges))
    )


if __name__ == "__main__":
    main()
