"""ROOT asked to write files: trees cloned basket by basket, and branches filled; it works in a process of its own.

ROOT is asked where ``import ROOT`` works (6.30 or later), unless the environment variable ``HEPAE_ROOT`` is ``off``.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hepae.errors import InputError
from hepae.io import root_worker

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from hepae.io.layouts import Branch

SKELETON = "hepae_branches"
"""Tree of a compressed file with all branches of its original and no entries: the branches are filled in it when they come back."""

INSTALL = "pip install 'hepae[root]'"

_LETTERS = {"b1": "O", "i1": "B", "u1": "b", "i2": "S", "u2": "s", "i4": "I", "u4": "i", "i8": "L", "u8": "l"}
_LETTERS |= {"f4": "F", "f8": "D"}


def root_is_there() -> bool:
    """Whether ROOT can be asked."""
    wanted = os.environ.get("HEPAE_ROOT", "on").lower() not in ("off", "0")
    return wanted and importlib.util.find_spec("ROOT") is not None


@dataclass(frozen=True)
class Added:
    """A new branch of numbers.

    Parameters
    ----------
    name
        Its name.
    letter
        Its type, as ROOT writes it in the list of leaves.
    counter
        The branch with the length of its lists.
    values
        The branch of the other file that it is filled from.
    most
        The longest of its lists.
    compression
        As ROOT counts.
    """

    name: str
    letter: str
    counter: str | None
    values: str
    most: int
    compression: int

    @classmethod
    def of(cls, branch: Branch, *, values: str, most: int, compression: int) -> Added:
        """Describe a branch as a writer has it."""
        assert branch.dtype is not None
        letter = _LETTERS[branch.dtype.str[1:]]
        return cls(branch.name, letter, branch.counter if branch.jagged else None, values, most, compression)


@dataclass(frozen=True)
class Filled:
    """A branch of the skeleton that is filled: its path, the branches of the other file, and which member each of them is.

    ``places`` are their places in small arrays.
    """

    path: str
    values: tuple[str, ...]
    members: tuple[str, ...]
    places: tuple[int, ...]


@dataclass(frozen=True)
class Side:
    """Another file with a tree that branches are added or filled from."""

    file: str
    tree: str
    added: tuple[Added, ...] = ()
    filled: tuple[Filled, ...] = ()


@dataclass(frozen=True)
class TreeStep:
    """A tree to be written.

    Parameters
    ----------
    name
        Its name in the output.
    inputs, tree
        Files in order, and the name that it has in them.
    off, dropped
        Paths of branches to leave out: those that come back, and those that do not.
    new_skeleton
        Name of a tree to write as well, without entries: all branches but those that do not come back.
    skeleton
        File and name of such a tree, of which the output gets its branches.
    side
        Where further branches come from.
    """

    name: str
    inputs: tuple[str, ...]
    tree: str
    off: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    new_skeleton: str | None = None
    skeleton: tuple[str, str] | None = None
    side: Side | None = None


def root_compression(compression: Any) -> int:
    """Compression as ROOT counts: a hundred times the algorithm and the level."""
    return int(compression.code)


def write_trees(output: Path, trees: Sequence[TreeStep], compression: int | None = None) -> None:
    """Have ROOT write a file of these trees.

    Parameters
    ----------
    output, trees
        The file, and its trees in order.
    compression
        Of cloned baskets, where it takes fewer bytes, as ROOT counts; None leaves them as they are.

    Raises
    ------
    InputError
        If ROOT cannot, with what it says.
    """
    job = {"output": str(output), "trees": [asdict(step) for step in trees], "compression": compression}
    done = subprocess.run(
        [sys.executable, "-P", str(Path(root_worker.__file__))],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    said = [line for line in done.stderr.splitlines() if line.startswith(("Error in <", "SysError in <"))]
    ours = [line.removeprefix("hepae: ") for line in done.stderr.splitlines() if line.startswith("hepae: ")]
    if done.returncode == 0:  # what ROOT says of classes that it does not know is no fault: all is checked
        return
    if done.returncode == root_worker.TOO_OLD:
        reason = done.stderr.strip().splitlines()[-1]
    elif done.returncode != 1:
        reason = f"it ended with status {done.returncode}"
    else:
        reason = (ours or said or ["it gives no reason"])[0]
    raise InputError(
        f"ROOT cannot clone the trees of {trees[0].inputs[0]} ({reason[:200]}); set HEPAE_ROOT=off to copy the branches with uproot"
    )


def longest(counts: Any) -> int:
    """Length of the longest of lists of these lengths."""
    return int(np.max(counts, initial=0))
