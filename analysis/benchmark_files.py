"""Whole files: every float column of every collection within a bound, beside the same file rewritten with LZMA-9.

    python analysis/benchmark_files.py nanoaod_tt_v12.root physlite_ttbar.root
    python analysis/benchmark_files.py --all nanoaod_tt_v12.root
    python analysis/benchmark_files.py --root delphes.root xaod_exot15.root
    python analysis/benchmark_files.py --branches 1500 nanoaod_tt_v12.root
    python analysis/benchmark_files.py --columns 5000

pt, eta, phi and mass have hepae's default bounds, all other floats 0.1 % of their size; integers and whatever is in no collection
stay bit by bit. What is not coded is stored with LZMA-9 by both. Each restored file is read beside the original, and every branch is
compared: within its bound, or bit by bit. A four-momentum in other columns is coded as pt, eta, phi and mass: these are compared.
Branches that uproot cannot read are in none of the new files, and those that a TTree cannot hold make it an RNTuple.

With --all the numbers of the event are coded too. With --root ROOT clones what is not coded, and each file's trees are compared by their
baskets and as ROOT lists them: names, order, classes, types, titles and compression of all branches, and the keys beside the trees.

With --branches the time that it takes to pass branches through is measured, on the first file with its branches repeated until there
are so many: compress_file that codes one collection, beside uproot alone, which reads each branch and writes it.

With --columns one file of 333 events is made, whose jets have so many float32 columns of noise, and compressed without ROOT.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
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
from hepae.io.baskets import BasketChecksums
from hepae.io.checksums import Checksums
from hepae.io.layouts import Branch
from hepae.io.readers import Source, open_source
from hepae.io.tree_records import recreate
from hepae.io.writers import COMPRESSION, open_writer, parse_compression
from hepae.io.written import WrittenTree

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from hepae.bounds import Bound

BOUNDS = {"*": "0.1%"}
"""Of all floats that have no default."""

SMALLEST = "lzma:9"


@dataclass(frozen=True)
class Checked:
    """How many branches of a restored file were compared in which way, and how many values were beyond their bound."""

    exact: int
    bounded: int
    violations: int


def rewrite(source: Source, output: Path, storage: str, compression: str) -> None:
    """Write a file's branches, and those of its other trees, as uproot does it."""
    with recreate(output, parse_compression(compression)) as file:
        for tree in (source, *source.other_trees()):
            branches = [replace(branch, title="") for branch in tree.branches.values()]
            writer = open_writer(file, tree.tree, branches, storage)
            writer.extend(tree.arrays(tree.branches, 0, tree.num_entries))


def storage_of(source: Source) -> str:
    """What can hold the branches of a file: ttree, or rntuple where there are some that no TTree takes."""
    plain = all(
        branch.dtype is not None and not (branch.jagged and branch.shape)
        for tree in (source, *source.other_trees())
        for branch in tree.branches.values()
    )
    return "ttree" if plain else "rntuple"


def read(file: Any, tree: str, names: Iterable[str]) -> dict[str, ak.Array]:
    """Branches of a written tree by their names in the original: an RNTuple calls ``a.b`` ``a:b``."""
    there = {branch.name for branch in file[tree].branches} if hasattr(file[tree], "branches") else set()
    fields = {name: re.sub(r"[./\\\s]", ":", name) for name in names if name not in there}
    written = WrittenTree(file, tree, fields)
    return written.arrays(names, 0, written.num_entries)


def check(original: Source, restored: Any, small: Path) -> Checked:
    """Compare a restored file, opened by uproot, with the original, branch by branch."""
    found: Counter[str] = Counter()
    before = original.arrays(original.branches, 0, original.num_entries)
    with hepae.open(small) as file:
        after = read(restored, original.tree, original.branches)
        coded: set[str] = set()
        for name, collection in file.collections.items():
            bounds = file.bounds(name)
            own = {column: collection.column(column).branch for column in collection.column_names}
            bounded = {
                own[column]: bound for column, bound in bounds.items() if column in own and not bound.exact
            }
            replaced = [own[column] for column in file.coded(name) if column not in bounds]
            if replaced:  # the four-momentum is coded in other coordinates
                violations = _momentum_violations(collection, bounds, before, after)
                found.update(bounded=len(replaced), violations=violations)
            for branch, bound in bounded.items():
                size = bound.in_unit(collection.unit or "GeV")
                found.update(bounded=1, violations=_violations(before[branch], after[branch], size, branch))
            coded |= {*bounded, *replaced}
    for name in original.branches.keys() - coded:
        if _digest(before[name]) != _digest(after[name]):
            raise AssertionError(f"branch {name!r} of {original.path} does not come back bit by bit")
        found["exact"] += 1
    for tree in original.other_trees():
        one = tree.arrays(tree.branches, 0, tree.num_entries)
        other = read(restored, tree.tree, tree.branches)
        for name in tree.branches:
            if _digest(one[name]) != _digest(other[name]):
                raise AssertionError(
                    f"branch {tree.tree}/{name} of {original.path} does not come back bit by bit"
                )
            found["exact"] += 1
    return Checked(found["exact"], found["bounded"], found["violations"])


def _digest(array: ak.Array) -> Any:
    checksums = Checksums()
    checksums.update({"": array})
    return checksums.by_branch


def _violations(before: ak.Array, after: ak.Array, bound: Bound, name: str) -> int:
    """Values of a branch whose error is larger than the bound allows, or that are no numbers on one side only."""
    one, other = (ak.to_numpy(ak.flatten(array, axis=None)).astype(np.float64) for array in (before, after))
    return int((~within(one, other, bound, around=name.lower().endswith("phi"))).sum()) + int(
        _digest(ak.num(before) if before.ndim > 1 else before[:0])
        != _digest(ak.num(after) if after.ndim > 1 else after[:0])
    )


def within(
    one: NDArray[np.float64], other: NDArray[np.float64], bound: Bound, *, around: bool = False
) -> NDArray[np.bool_]:
    """Whether values are within a bound of others; of an angle around the circle."""
    with np.errstate(invalid="ignore"):
        error = np.abs(other - one)
        if around:
            error = np.minimum(error, np.abs(2 * np.pi - error))
        allowed = np.abs(one) * bound.relative + bound.absolute
        same: NDArray[np.bool_] = (one == other) | (np.isnan(one) & np.isnan(other)) | (error <= allowed)
    return same


def _momentum_violations(
    collection: Any,
    bounds: Mapping[str, Bound],
    before: Mapping[str, ak.Array],
    after: Mapping[str, ak.Array],
) -> int:
    """Jets whose pt, eta, phi or mass is beyond its bound, where they follow from other columns."""
    listed = [collection.jets(arrays) for arrays in (before, after)]
    jets = [ak.flatten(each) if each.ndim > 1 else each for each in listed]
    beyond = np.zeros(len(jets[0]), bool)
    for name in ("pt", "eta", "phi", "mass"):
        one, other = (ak.to_numpy(getattr(each, name)).astype(np.float64) for each in jets)
        beyond |= ~within(one, other, bounds[name].in_unit("GeV"), around=name == "phi")
    return int(beyond.sum())


def passed_through(path: Path, branches: int, turns: int) -> tuple[list[float], list[float]]:
    """Seconds that hepae and uproot alone take for a file with so many branches, in each turn."""
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as name, open_source(path) as source:
        many, small = Path(name) / "many.root", Path(name) / "small.root"
        widen(source, many, branches)
        with open_source(many) as wide:
            collections = [c for c in wide.layout.collections.values() if c.momentum]
        for _ in range(turns):
            started = time.perf_counter()
            hepae.compress_file(
                many,
                small,
                hepae.BoundedCodec(),
                collection=collections[0].name,
                drop_unreadable=True,
                force=True,
            )
            ours.append(time.perf_counter() - started)
            started = time.perf_counter()
            uproot_alone(many, Path(name) / "copy.root")
            theirs.append(time.perf_counter() - started)
    return ours, theirs


def widen(source: Source, output: Path, branches: int) -> None:
    """Write a file's branches again and again under other names, until there are so many."""
    arrays = source.arrays(source.branches, 0, source.num_entries)
    chosen: dict[str, Branch] = {}
    values: dict[str, ak.Array] = {}
    number = 0
    while len(chosen) < branches:
        for name, branch in source.branches.items():
            new = name if number == 0 else f"{name}_again{number}"
            if len(chosen) < branches and branch.dtype is not None:
                chosen[new] = Branch(new, branch.dtype, branch.jagged, branch.counter, branch.shape)
                values[new] = arrays[name]
        number += 1
    with uproot.recreate(output, compression=parse_compression(COMPRESSION)) as file:
        open_writer(file, source.tree, chosen.values()).extend(values)


def coded_columns(columns: int, turns: int) -> tuple[int, list[float]]:
    """How many jets with so many columns there are, and the seconds that compress_file takes for them in each turn."""
    random = np.random.default_rng(1)
    counts = random.integers(0, 7, 333)
    names = ["pt", "eta", "phi", "mass", *(f"x{number}" for number in range(columns - 4))]
    branches = [Branch(f"Jet_{name}", np.dtype(np.float32), jagged=True, counter="nJet") for name in names]
    arrays = {
        branch.name: ak.unflatten(random.exponential(50, counts.sum()).astype(np.float32), counts)
        for branch in branches
    }
    seconds = []
    with tempfile.TemporaryDirectory() as name:
        before, after = Path(name) / "before.root", Path(name) / "after.root"
        with recreate(before, parse_compression(COMPRESSION)) as file:
            writer = open_writer(file, "Events", branches)
            writer.extend(arrays)
            writer.close()
        for _ in range(turns):
            started = time.perf_counter()
            hepae.compress_file(before, after, hepae.BoundedCodec(), unit="GeV", force=True)
            seconds.append(time.perf_counter() - started)
    return int(counts.sum()), seconds


def uproot_alone(path: Path, output: Path) -> None:
    """Read a tree and write it again with uproot and nothing else: jagged branches with the counters that they share."""
    with (
        uproot.open(path) as file,
        uproot.recreate(output, compression=parse_compression(COMPRESSION)) as new,
    ):
        tree = file["Events"]
        counters = {b.name: b.count_branch.name for b in tree.branches if b.count_branch is not None}
        arrays = tree.arrays(how=dict)
        arrays = {name: array for name, array in arrays.items() if name not in set(counters.values())}
        types = {name: array.type.content for name, array in arrays.items()}
        new.mktree("Events", types, counter_name=lambda branch: counters[branch]).extend(arrays)


LIST = """
import json, sys, ROOT
def listed(branches):
    for branch in branches:
        leaves = [(l.ClassName(), l.GetTitle(), l.GetLenType(), bool(l.IsUnsigned())) for l in branch.GetListOfLeaves()]
        kind = [branch.GetType(), branch.GetTypeName()] if branch.InheritsFrom("TBranchElement") else leaves
        yield [branch.GetName(), branch.GetTitle(), branch.ClassName(), branch.GetClassName(), kind, branch.GetEntries(),
               branch.GetCompressionSettings(), branch.GetSplitLevel(), [*listed(branch.GetListOfBranches())]]
file = ROOT.TFile.Open(sys.argv[1])
keys = {key.GetName(): [key.GetClassName(), key.GetTitle()] for key in file.GetListOfKeys() if key.GetName() != "hepae_history"}
trees = {name: file.Get(name) for name, (kind, _) in keys.items() if kind == "TTree"}
print(json.dumps([keys, {name: [tree.GetTitle(), [*listed(tree.GetListOfBranches())]] for name, tree in trees.items()}]))
"""


def listed(path: Path) -> str:
    """What ROOT lists of a file."""
    done = subprocess.run([sys.executable, "-c", LIST, str(path)], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]


@dataclass(frozen=True)
class Cloned:
    """Branches of all trees, those that came back bit by bit, those that were coded, and whether ROOT lists the same."""

    branches: int
    equal: int
    coded: int
    alike: bool


def there_and_back(path: Path, small: Path, back: Path, *, every: bool) -> Cloned:
    """Compress and restore a file with ROOT, and compare the two branch by branch, whatever their types."""
    codec = hepae.BoundedCodec(BOUNDS)
    hepae.compress_file(
        path, small, codec, collection="*", all_numbers=every, compression=SMALLEST, force=True
    )
    hepae.decompress_file(small, back, force=True)
    with hepae.open(small) as file:
        trees = [*file.parts.cloned]
        coded = {path for path, _, _ in file.header.places.values()}
    equal = branches = 0
    with uproot.open(path) as one, uproot.open(back) as other:
        for tree in trees:
            sums = []
            for file in (one, other):
                sums.append(BasketChecksums())
                sums[-1].update(file[tree], 0, file[tree].num_entries)
            before, after = (found.by_branch for found in sums)
            if [*before] != [*after]:
                raise AssertionError(f"tree {tree!r} of {path} does not come back with its branches")
            branches += len(before)
            equal += sum(before[name] == after[name] for name in before)
            wrong = [name for name in before if before[name] != after[name] and name not in coded]
            if wrong:
                raise AssertionError(f"branches {wrong[:5]} of {path} do not come back bit by bit")
    alike = json.loads(listed(path)) == json.loads(listed(back))
    return Cloned(branches, equal, len(coded), alike)


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--branches", type=int, help="Measure the time that it takes to pass so many through instead.")
@click.option("--columns", type=click.IntRange(4), help="Measure the time of jets with so many instead.")
@click.option("--turns", default=3, show_default=True, help="With --branches or --columns.")
@click.option("--all", "every", is_flag=True, help="Code the numbers of the event too.")
@click.option("--root", is_flag=True, help="Have ROOT clone what is not coded.")
def main(
    paths: tuple[Path, ...],
    branches: int | None,
    columns: int | None,
    turns: int,
    *,
    every: bool,
    root: bool,
) -> None:
    """Compress all collections of each of PATHS, and check what comes back."""
    if columns is not None:
        os.environ["HEPAE_ROOT"] = "off"
        jets, seconds = coded_columns(columns, turns)
        click.echo(
            f"{columns} columns of {jets} jets: {np.median(seconds):.2f} s ({min(seconds):.2f}–{max(seconds):.2f})"
        )
        return
    if not paths:
        raise click.UsageError("name a file")
    if branches is not None:
        ours, theirs = passed_through(paths[0], branches, turns)
        ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
        click.echo(
            f"{branches} branches of {paths[0].name} through compress_file: {np.median(ours):.2f} s, read and written by uproot "
            f"alone: {np.median(theirs):.2f} s; {np.median(ratios):.2f} times as long ({min(ratios):.2f}–{max(ratios):.2f})"
        )
        return
    if root:
        for path in paths:
            with tempfile.TemporaryDirectory() as name:
                small, back = Path(name) / "small.root", Path(name) / "back.root"
                started = time.perf_counter()
                found = there_and_back(path, small, back, every=every)
                click.echo(
                    f"{path.name}: {path.stat().st_size / 1e6:.3f} MB, {small.stat().st_size / 1e6:.3f} MB compressed; of "
                    f"{found.branches} branches {found.coded} were coded and {found.equal} came back bit by bit; listed by ROOT they "
                    f"are {'the same' if found.alike else 'NOT the same'} ({time.perf_counter() - started:.0f} s)"
                )
        return
    os.environ["HEPAE_ROOT"] = "off"
    table = Table(title="whole files, all floats of all collections within bounds", title_justify="left")
    heads = (
        "file",
        "MB",
        "LZMA-9",
        "hepae",
        "of LZMA-9",
        "bit by bit",
        "within bounds",
        "violations",
        "not read",
    )
    for head in heads:
        table.add_column(head, justify="left" if head == "file" else "right")
    for path in paths:
        with tempfile.TemporaryDirectory() as name, open_source(path) as source:
            lzma, small, back = (Path(name) / f"{stem}.root" for stem in ("lzma", "small", "back"))
            storage = storage_of(source)
            rewrite(source, lzma, storage, SMALLEST)
            codec = hepae.BoundedCodec(BOUNDS)
            hepae.compress_file(
                path,
                small,
                codec,
                collection="*",
                all_numbers=every,
                storage=storage,
                compression=SMALLEST,
                drop_unreadable=True,
            )
            hepae.decompress_file(small, back)
            with uproot.open(back) as restored:
                checked = check(source, restored, small)
            sizes = [file.stat().st_size / 1e6 for file in (path, lzma, small)]
            table.add_row(
                f"{path.name} ({storage})",
                *(f"{size:.3f}" for size in sizes),
                f"{sizes[2] / sizes[1]:.3f}",
                str(checked.exact),
                str(checked.bounded),
                str(checked.violations),
                str(len(source.unreadable)),
            )
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
