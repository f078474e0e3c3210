"""What ROOT clones: the branches of TTrees that are not coded, whatever their type, and back with those that were."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import uproot

from hepae.errors import InputError, OutputError
from hepae.files.other_trees import may_be_wanted, wanted
from hepae.files.payload import PAYLOAD_TREE
from hepae.io.baskets import BasketChecksums, branch_paths, wrong_branches
from hepae.io.cloning import (
    SKELETON,
    Added,
    Filled,
    Side,
    TreeStep,
    root_is_there,
    write_trees,
)
from hepae.io.guards import reading
from hepae.io.ntuples import TreeSource
from hepae.io.root_worker import within

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from hepae.io.inputs import Inputs
    from hepae.io.locations import Location
    from hepae.io.sources import Source

_VECTORS = re.compile(
    r"(std::)?(vector<)?(TLorentzVector|ROOT::Math::LorentzVector<[\w:<> ,]+>) ?>?|TVector3(\[\])?"
)
"""Objects that are filled member by member; of others, such as references, numbers alone may say too little."""

_NUMBER = re.compile(r"#\d+(?=/|$)")
"""What a path has behind the second branch of the same name."""

_RECODED = (15, 19, 39)
"""What ROOT says of the bits of a TObject and of Float16_t: it writes other values than those in memory."""

TreeChecksums = dict[str, list[int]]
"""Checksums of a cloned tree by the paths of its branches, as `BasketChecksums` has them."""


@dataclass(frozen=True)
class Clone:
    """What ROOT clones of the inputs.

    Parameters
    ----------
    coded, dropped
        Paths of the branches of the events' tree that are coded, and of those that are left out.
    places
        Path, member and place in small arrays of each coded branch.
    others
        The other TTrees that are cloned, with the paths that are left out of each.
    left_out
        Branches that the patterns leave out: of the events' tree, and ``TREE/BRANCH`` of the others.
    only_root
        Branches that uproot cannot read, named in the same way.
    stays
        Branches of coded collections that are cloned: numbers that share a branch with something else.
    empty
        Whether no branch of the events' tree is left.
    """

    coded: tuple[str, ...]
    dropped: tuple[str, ...]
    places: Mapping[str, tuple[str, str, int]]
    others: Mapping[str, tuple[str, ...]]
    left_out: tuple[str, ...]
    only_root: tuple[str, ...]
    stays: frozenset[str]
    empty: bool


def can_be_cloned(paths: Iterable[Location]) -> bool:
    """Whether ROOT is there, and can open these files by their names."""
    return root_is_there() and all(isinstance(path, Path) and not {*"#?*"} & {*str(path)} for path in paths)


def find_clone(
    source: Source,
    coded: Iterable[str],
    momenta: Iterable[str],
    needed: Iterable[str | None],
    keep: Sequence[str],
    drop: Sequence[str],
) -> Clone | None:
    """Find what ROOT clones of an input, and of others like it; None where a coded branch could not be put back.

    Parameters
    ----------
    source
        The input.
    coded, momenta, needed
        Names of the branches that are to be coded, those of them that are a momentum, and those that are kept in any case.
    keep, drop
        Patterns, as for `hepae.compress_file`.
    """
    if not isinstance(source, TreeSource):
        return None
    coded, needed = {*coded}, {*needed}
    paths: dict[str, set[str]] = {}
    for name in (*source.branches, *source.unreadable):
        paths.setdefault(source.origin(name).path, set()).add(name)
    places = {name: source.origin(name) for name in source.branches if name in coded}
    stays = {
        name
        for name, origin in places.items()
        if not paths[origin.path] <= coded or not _can_be_filled(source.branch_of(name), origin.member)
    }
    if stays & {*momenta}:
        return None
    coded -= stays
    kept = coded | needed | stays
    places = {name: origin for name, origin in places.items() if name not in stays}
    every = (*source.branches, *source.unreadable)
    unwanted = {name for name in every if name not in kept and not wanted(name, keep, drop)}
    dropped = _together({path: names <= unwanted for path, names in paths.items()})
    left_out = [name for name in every if source.origin(name).path in dropped]
    gone = {*left_out}
    others = {}
    only_root = [name for name in source.unreadable if name not in gone]
    for tree in source.other_trees(lambda name: may_be_wanted(name, keep, drop)):
        if isinstance(tree, TreeSource):
            its = (*tree.branches, *tree.unreadable)
            held = {name for name in its if wanted(f"{tree.tree}/{name}", keep, drop)}
            stay = {tree.origin(name).path for name in held}  # numbers that share a branch stay together
            off = _together({path: path not in stay for path in (tree.origin(name).path for name in its)})
            out = {name: None for name in its if tree.origin(name).path in off}
            if held:
                others[tree.tree] = tuple(tree.origin(name).path for name in out)
                left_out += [f"{tree.tree}/{name}" for name in out]
                only_root += [f"{tree.tree}/{name}" for name in tree.unreadable if name not in out]
    taken = tuple(dict.fromkeys(origin.path for origin in places.values()))
    return Clone(
        taken,
        tuple(dropped),
        {name: (origin.path, origin.member, origin.element or 0) for name, origin in places.items()},
        others,
        tuple(left_out),
        tuple(only_root),
        frozenset(stays),
        paths.keys() <= {*taken, *dropped},
    )


def _together(gone: Mapping[str, bool]) -> list[str]:
    """Paths that are left out: of branches with one name, which their places tell apart, all or none.

    >>> _together({"size": True, "size#2": False, "rho": True})
    ['rho']
    """
    stays = {_NUMBER.sub("", path) for path, out in gone.items() if not out}
    return [path for path, out in gone.items() if out and _NUMBER.sub("", path) not in stays]


def _can_be_filled(branch: Any, member: str) -> bool:
    """Whether `cloning.hpp` knows how to put numbers back into a branch."""
    if branch.classname == "TBranchElement" and member:
        return _VECTORS.fullmatch(branch.typename) is not None
    if branch.classname == "TBranchElement":
        return branch.member("fType") in (0, 1, 2, 31, 41) and branch.member("fStreamerType") not in _RECODED
    leaves = branch.member("fLeaves")
    return len(leaves) == 1 and leaves[0].classname in {f"TLeaf{letter}" for letter in "OBSILGFD"}


def write_clone(
    clone: Clone,
    tree: str,
    files: Inputs,
    output: Path,
    side: Path,
    added: Sequence[Added],
    compression: int | None,
) -> dict[str, TreeChecksums]:
    """Have ROOT write all trees of the output: clones of the inputs, with new branches, and the payload.

    Parameters
    ----------
    clone, tree, files
        What is cloned of the inputs, and the name of the events' tree.
    output
        The file that is written.
    side
        A file with the new branches, in a tree of the same name, and with the payload where there is one.
    added
        The new branches.
    compression
        As for `hepae.io.cloning.write_trees`.

    Returns
    -------
    dict
        Checksums of what was cloned, by tree; they are those of the inputs and of the output.

    Raises
    ------
    InputError
        If ROOT cannot clone, or the inputs have not the same branches.
    OutputError
        If a clone is not equal to its original.
    """
    paths = tuple(str(path) for path in files.paths)
    steps = [
        TreeStep(
            tree,
            paths,
            tree,
            off=clone.coded,
            dropped=clone.dropped,
            new_skeleton=SKELETON,
            side=Side(str(side), tree, tuple(added)) if added else None,
        )
    ]
    steps += [TreeStep(name, paths, name, dropped=dropped) for name, dropped in clone.others.items()]
    order = list(files.open(0).trees)
    steps.sort(key=lambda step: order.index(step.name))
    with uproot.open(side) as file:
        if PAYLOAD_TREE in file:
            steps.append(TreeStep(PAYLOAD_TREE, (str(side),), PAYLOAD_TREE))
    write_trees(output, steps, compression)
    gone = {tree: (*clone.coded, *clone.dropped), **clone.others}
    return {
        name: _checked(name, files, output, without, {one.name for one in added} if name == tree else set())
        for name, without in gone.items()
    }


def _checked(
    name: str, files: Inputs, output: Path, without: Sequence[str], added: set[str]
) -> TreeChecksums:
    """Compare a cloned tree with the inputs; give its checksums."""
    before, first = BasketChecksums(), set[str]()
    for number in range(len(files)):
        source = files.open(number)
        with reading(source.path):
            tree = source.file[name]  # type: ignore[attr-defined]  # of a TreeSource
            paths = {path for path, _ in branch_paths(tree)}
            if number and paths != first:
                raise InputError(
                    f"{files.paths[0]} and {source.path} cannot be joined: their branches differ, such as "
                    f"{min(paths ^ first)!r} of tree {name!r}"
                )
            first = paths
            before.update(tree, 0, int(tree.num_entries))
    with uproot.open(output) as file:
        after = BasketChecksums()
        after.update(file[name], 0, int(file[name].num_entries))
        clones = {path: sums for path, sums in after.by_branch.items() if path not in added}
    gone = {*without}
    lost = [path for path in first - clones.keys() if not within(path, gone)]
    if wrong := [*lost, *before.differing(clones)]:
        raise OutputError(
            f"branches {', '.join(sorted(wrong)[:5])} of tree {name!r} changed when ROOT cloned them; nothing was written. Set HEPAE_ROOT=off to copy them with uproot"
        )
    return clones


def restore_clone(
    path: Path,
    output: Path,
    side: Path,
    tree: str,
    cloned: Mapping[str, Sequence[tuple[int, TreeChecksums]]],
    filled: Sequence[Filled],
    compression: int | None,
) -> None:
    """Have ROOT write all trees of the original: the clones, and the coded branches filled where they stood.

    Parameters
    ----------
    path, output
        The compressed file, and the one that is written.
    side
        A file with the restored numbers, in a tree of the same name.
    tree
        The events' tree.
    cloned
        The trees to clone, with the entries of each part and the checksums of its branches.
    filled
        The branches to fill.
    compression
        As for `hepae.io.cloning.write_trees`.

    Raises
    ------
    InputError
        If ROOT cannot do it.
    OutputError
        If a clone does not have the checksums.
    """
    events = TreeStep(
        tree,
        (str(path),),
        tree,
        skeleton=(str(path), SKELETON),
        side=Side(str(side), tree, filled=tuple(filled)),
    )
    steps = [events, *(TreeStep(name, (str(path),), name) for name in cloned if name != tree)]
    with uproot.open(path) as file:
        order = file.keys(cycle=False)
    steps.sort(key=lambda step: order.index(step.name))
    write_trees(output, steps, compression)
    with uproot.open(output) as file:
        for name, parts in cloned.items():
            if wrong := wrong_branches(file, name, parts):
                raise OutputError(
                    f"branches {', '.join(wrong[:5])} of tree {name!r} changed when ROOT cloned them; nothing was written. Set HEPAE_ROOT=off to copy them with uproot"
                )
