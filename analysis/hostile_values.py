"""Ten million hostile values through the BoundedCodec: no bound broken, no repeated value changed, no edge crossed.

    python analysis/hostile_values.py

Each round makes jets of columns with every kind of bound, in float32 and float64, of ordinary values with hostile ones among
them: infinities, NaNs with payloads, −0, denormals, sentinels, 1e38, any bits at all, values on an edge and next to it.
Two rounds of three go through a ROOT file, in GeV and in MeV, one stays in memory;
four-momenta in E or in px, py, pz are judged by the pt, eta, phi and mass that follow. What came back is judged here anew, in long double, against
what bounds, repeated values and edges mean in the project's documentation. The exit status is 1 if a value fails.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import click
import numpy as np
import uproot
from benchmarks.hostile import Column, column_values
from benchmarks.judging import Failures, judge, repeats
from rich.console import Console
from rich.table import Table

import hepae
from hepae.bounds import ENERGIES, Bound
from hepae.io.layouts import Branch
from hepae.io.writers import TreeWriter

if TYPE_CHECKING:
    from benchmarks.hostile import Random
    from benchmarks.jets import Columns

SINGLE, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)
WAYS = ("memory", "GeV", "MeV")
"""Where a round's jets go: into memory, or into a file in this unit."""
HOSTILE = (0.002, 0.1, 0.6)
"""Share of hostile values, round by round: few, so that columns keep their grids, and many, so that they do not."""


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
        found.append((part, cluster.decode(part, None)))
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


FORMS = (("pt", "eta", "phi", "E"), ("px", "py", "pz", "E"), ("px", "py", "pz", "mass"))
"""Columns of a four-momentum in files that have it otherwise: its bounds hold for pt, eta, phi and mass all the same."""
MOMENTA = {name: replace(COLUMNS[name], dtype=DOUBLE, edges=()) for name in ("pt", "eta", "phi", "mass")}
PT_EDGES = (20.0, 30.0, 50.0)


@np.errstate(all="ignore")
def in_form(
    form: tuple[str, ...], dtype: np.dtype[Any], length: int, share: float, random: Random
) -> Columns:
    """Four-momenta in these columns, some boosted, light, without mass or spacelike, and a share of hostile values in each."""
    pt, eta, phi, mass = (column_values(column, length, 0.0, random) for column in MOMENTA.values())
    pt = pt * random.choice([1.0, 100.0], length, p=[0.8, 0.2])
    mass = mass * random.choice([1.0, 1e-3, 0.0, -1e-3], length, p=[0.7, 0.2, 0.08, 0.02])
    energy = np.sqrt(np.square(pt * np.cosh(eta)) + mass * np.abs(mass))
    cartesian = {"px": pt * np.cos(phi), "py": pt * np.sin(phi), "pz": pt * np.sinh(eta)}
    found = {"pt": pt, "eta": eta, "phi": phi, "mass": mass, "E": energy, **cartesian}
    columns = {}
    for name in form:
        values = found[name].astype(dtype)
        at = np.flatnonzero(random.random(length) < share / 4)
        values[at] = column_values(Column(dtype, "exact", size=50.0, kind="falling"), len(at), 1.0, random)
        columns[name] = values
    return columns


@np.errstate(all="ignore")
def momenta_of(columns: Columns, dtype: type[np.floating[Any]] = np.float64) -> Columns:
    """Give pt, eta, phi and mass of a four-momentum's columns, computed in float64 as an analysis does, or in long double."""
    own = {name: values.astype(dtype) for name, values in columns.items()}
    if "px" in own:
        own["pt"] = np.hypot(own["px"], own["py"])
        own["eta"] = np.arcsinh(own["pz"] / own["pt"])
        own["phi"] = np.arctan2(own["py"], own["px"])
    if "mass" not in own:
        p = np.hypot(own["pt"], own["pz"]) if "px" in own else own["pt"] * np.cosh(own["eta"])
        square = (own["E"] - p) * (own["E"] + p)
        own["mass"] = np.copysign(np.sqrt(np.abs(square)), square)
    return {name: own[name] for name in MOMENTA}


def judge_form(before: Columns, after: Columns) -> dict[str, Failures]:
    """Count what failed in pt, eta, phi and mass, and which repeated values of the file's own columns changed.

    The mass is judged as float64 and as long double gives it. A −0 may come back as 0 in the file's own columns: it is the
    result of a sum.
    """
    edges = {"pt": PT_EDGES}
    original, restored = momenta_of(before), momenta_of(after)
    found = {}
    for name, column in MOMENTA.items():
        found[name] = judge(replace(column, edges=edges.get(name, ())), original[name], restored[name])
        found[name].repeated = 0  # what repeats is the file's own
    exact = [momenta_of(columns, np.longdouble)["mass"] for columns in (before, after)]
    found["mass"].bound += judge(replace(MOMENTA["mass"], edges=()), *exact).bound
    for name, values in before.items():
        same = int(np.count_nonzero(values == after[name]))
        found.setdefault(name, Failures(len(values), kept=same))
        found[name].repeated = int(np.count_nonzero(repeats(values) & (values != after[name])))
    return found


@click.command()
@click.option("--values", default=10_000_000, show_default=True, help="At least so many.")
@click.option("--jets", default=20_000, show_default=True, help="In a round.")
@click.option("--seed", default=1, show_default=True)
def main(values: int, jets: int, seed: int) -> None:
    """Send hostile values through the codec until there were enough."""
    random = np.random.default_rng(seed)
    totals: dict[tuple[str, str, str], Failures] = {}
    codec = codec_of(COLUMNS)
    momenta = hepae.BoundedCodec({name: column.bound for name, column in MOMENTA.items()}, {"pt": PT_EDGES})
    rounds = 0

    def add(found: Failures, name: str, dtype: str, bound: str) -> None:
        total = totals.setdefault((name, dtype, bound), Failures())
        total += found

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
                    found = judge(column, before[name], after[name])
                    add(found, name, str(column.dtype), COLUMNS[name].bound)
            for form in FORMS:
                dtype = (SINGLE, DOUBLE)[rounds % 2]
                columns = in_form(form, dtype, jets, share, random)
                for before, after in through_memory(columns, momenta):
                    for name, found in judge_form(before, after).items():
                        bound = MOMENTA[name].bound if name in MOMENTA else ""
                        add(found, f"{name} of {', '.join(form)}", "floats", bound)
            rounds += 1
    show(totals, rounds)
    sys.exit(int(any(total.any for total in totals.values())))


def show(totals: dict[tuple[str, str, str], Failures], rounds: int) -> None:
    """Print the table."""
    table = Table(title=f"{rounds} rounds", title_justify="left")
    for heading in ("column", "type", "bound"):
        table.add_column(heading)
    for heading in ("values", "kept", "bound\nbroken", "repeated\nchanged", "edges\ncrossed"):
        table.add_column(heading, justify="right")
    everything = Failures()
    for named, total in totals.items():
        everything += total
        add_row(table, total, *named)
    table.add_section()
    add_row(table, everything, "all", "", "")
    Console(width=120).print(table)


def add_row(table: Table, total: Failures, *named: str) -> None:
    """Add a row of counts."""
    kept = f"{total.kept / max(total.values, 1):.1%}"
    table.add_row(
        *named, f"{total.values:,}", kept, *(f"{n:,}" for n in (total.bound, total.repeated, total.edges))
    )


if __name__ == "__main__":
    main()
