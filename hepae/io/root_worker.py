"""ROOT at work in a process of its own: ``python -m hepae.io.root_worker`` does the jobs of `hepae.io.cloning`.

A job comes as JSON on the standard input. A fault of ROOT ends this process and no other, and a message of ROOT reaches nobody as
it is. Branches are named by their paths: the names from the tree down, joined by ``/``, with ``#2`` behind the second branch of the
same name.
"""

from __future__ import annotations

import ctypes
import json
import sys
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence

NEEDED = 63000
"""ROOT 6.30, as ``gROOT->GetVersionInt()`` counts."""

SMALLEST = 209
"""LZMA-9, as ROOT counts: for the records of trees, which have no basket in them."""

MEMBER = 41
"""Type of a branch that has a member of the elements of a collection."""

INACTIVE = 1 << 10
"""The bit ``kDoNotProcess`` of a branch, which ``CloneTree`` leaves out."""

TOO_OLD = 3
"""Exit status where this ROOT is too old."""


def branches_of(tree: Any) -> Iterator[tuple[str, Any]]:
    """Branches of a tree and their members, each behind its mother, with their paths."""

    def inside(branches: Any, before: str) -> Iterator[tuple[str, Any]]:
        seen: Counter[str] = Counter()
        for branch in branches:
            name = str(branch.GetName())
            seen[name] += 1
            path = f"{before}{name}" + (f"#{seen[name]}" if seen[name] > 1 else "")
            yield path, branch
            yield from inside(branch.GetListOfBranches(), f"{path}/")

    yield from inside(tree.GetListOfBranches(), "")


def within(path: str, chosen: Container[str]) -> bool:
    """Whether a branch or one of its mothers is among the chosen paths.

    >>> within("jets/jets.pt", {"jets"}), within("jets2", {"jets"})
    (True, False)
    """
    return path in chosen or ("/" in path and within(path.rpartition("/")[0], chosen))


class Worker:
    """Does one job.

    Parameters
    ----------
    ROOT
        The module.
    job
        ``output``, ``trees`` and ``compression``, as `hepae.io.cloning.write_trees` gives them.
    """

    def __init__(self, ROOT: Any, job: dict[str, Any]):  # its name
        self._root, self._job = ROOT, job
        ROOT.gInterpreter.Declare((Path(__file__).parent / "cloning.hpp").read_text())
        self._tools = ROOT.hepae_cloning
        self._files: dict[str, Any] = {}

    def run(self) -> None:
        """Write the output."""
        out = self._root.TFile.Open(self._job["output"], "RECREATE")
        out.SetCompressionSettings(SMALLEST)
        settings = None
        for step in self._job["trees"]:
            settings = settings or self._open(step["inputs"][0]).GetCompressionSettings()
            self._tree(out, step)
        out.SetCompressionSettings(settings)
        out.Close()

    def _open(self, path: str) -> Any:
        if path not in self._files:
            file = self._root.TFile.Open(path)
            if not file or file.IsZombie():
                raise OSError(f"ROOT cannot open {path}")
            self._files[path] = file
        return self._files[path]

    def _get(self, path: str, name: str) -> Any:
        tree = self._open(path).Get(name)
        if not tree:
            raise OSError(f"ROOT finds no tree {name!r} in {path}")
        return tree

    def _tree(self, out: Any, step: dict[str, Any]) -> None:
        """Write one tree: the baskets of the inputs as they are, and what stands in another file."""
        first = step["inputs"][0]
        folder, _, name = step["name"].rpartition("/")
        directory = self._directory(out, self._open(first), folder)
        model = self._get(*step.get("skeleton") or (first, step["tree"]))
        if keep := step.get("new_skeleton"):
            self._clone(model, out, step["dropped"], keep).Write()
        new = self._clone(model, directory, [*step["off"], *step["dropped"]], name)
        side = step.get("side")
        targets = self._targets(new, side["filled"]) if side else []
        filled = self._root.std.vector("TBranch*")()
        for target in targets:
            for branch in target.branches:
                filled.push_back(branch)
        for path in step["inputs"]:
            self._copy(self._get(path, step["tree"]), new, filled)
            if path != first:  # thousands of inputs are more than a process may have open
                self._files.pop(path).Close()
        if side:
            values = self._get(side["file"], side["tree"])
            for added in side["added"]:
                self._add(new, values, added)
            for target in targets:
                target.fill(self._root, self._tools, values)
        directory.cd()
        new.Write("", self._root.TObject.kOverwrite)

    def _copy(self, tree: Any, new: Any, filled: Any) -> None:
        """Copy the baskets of a tree, compressed anew where that is asked for and takes fewer bytes."""
        copy = self._tools.Copy(tree, new, filled)
        if self._job["compression"] is None:
            copy.AsStored()
            return
        from uproot.compression import (
            Compression,
            compress,
        )  # what wrote the other branches: ROOT's own LZMA takes 10 % more

        compression = Compression.from_code(self._job["compression"])
        copy.Begin()
        for number in range(copy.Baskets()):
            copy.Load(number)
            packed = compress(ctypes.string_at(copy.Content(), copy.Size()), compression)
            held = ctypes.create_string_buffer(packed, len(packed))  # until it is stored
            copy.Store(ctypes.addressof(held), len(packed))
        copy.End()

    def _directory(self, out: Any, source: Any, folder: str) -> Any:
        """Make a folder with its title, where there is none yet."""
        for name in folder.split("/") if folder else ():
            source = source.GetDirectory(name)
            out = out.GetDirectory(name) or out.mkdir(name, source.GetTitle())
        return out

    def _clone(self, model: Any, directory: Any, off: Sequence[str], name: str) -> Any:
        """Give a tree without entries that has the branches of another one but these."""
        here = dict(branches_of(model))
        gone = {*off}
        inactive = {path for path in here if within(path, gone)}
        kept = [branch for path, branch in here.items() if path not in inactive]
        counters = {
            leaf.GetLeafCount().GetBranch().GetName()
            for branch in kept
            for leaf in branch.GetListOfLeaves()
            if leaf.GetLeafCount()
        }
        for path, branch in here.items():
            if path in inactive and (branch.GetName() not in counters or "/" in path):
                branch.SetBit(INACTIVE)
        directory.cd()
        new = model.CloneTree(0)
        for branch in here.values():
            branch.ResetBit(INACTIVE)
        new.SetDirectory(directory)
        new.SetAutoSave(0)
        new.SetName(name)
        for path, branch in branches_of(new):  # CloneTree gives them the file's
            branch.SetCompressionSettings(here[path].GetCompressionSettings())
        return new

    def _add(self, tree: Any, values: Any, added: dict[str, Any]) -> None:
        """Add a branch of numbers."""
        lists = f"[{added['counter']}]" if added["counter"] else ""
        branch = tree.Branch(added["name"], self._root.nullptr, f"{added['name']}{lists}/{added['letter']}")
        branch.SetCompressionSettings(added["compression"])
        leaf = branch.GetListOfLeaves().At(0)
        if leaf.GetLeafCount():
            leaf.GetLeafCount().SetMaximum(max(added["most"], leaf.GetLeafCount().GetMaximum()))
        self._tools.fill_leaf(branch, values, self._root.std.vector("std::string")([added["values"]]))

    def _targets(self, tree: Any, filled: Sequence[dict[str, Any]]) -> list[Target]:
        """What is filled: a branch at a time, and members of one collection together."""
        here = dict(branches_of(tree))
        owners: dict[int, Target] = {}
        targets = []
        for one in filled:
            branch = here[one["path"]]
            together = None
            if branch.InheritsFrom("TBranchElement") and branch.GetType() == MEMBER:
                owner = branch.GetBranchCount()
                address = int(self._root.addressof(owner))
                together = owners.get(address)
                if together is None:
                    owners[address] = together = Target([owner])
                    targets.append(together)
            if together is None:
                together = Target([])
                targets.append(together)
            together.branches.append(branch)
            for name, member, place in zip(one["values"], one["members"], one["places"], strict=True):
                together.values.append((branch, name, member, place))
        return targets


@dataclass
class Target:
    """Branches that are filled together: one, or a collection's and then its members'; with names, members and places of values."""

    branches: list[Any]
    values: list[tuple[Any, str, str, int]] = field(default_factory=list)

    def fill(self, ROOT: Any, tools: Any, side: Any) -> None:  # its name
        """Fill all entries."""
        first = self.branches[0]
        names = ROOT.std.vector("std::string")([name for _, name, _, _ in self.values])
        members = ROOT.std.vector("std::string")([member for _, _, member, _ in self.values])
        places = ROOT.std.vector("int")([place for _, _, _, place in self.values])
        if len(self.branches) > 1:
            branches = ROOT.std.vector("TBranchElement*")()
            for branch, _, _, _ in self.values:
                branches.push_back(branch)
            tools.fill_members(first, branches, side, names, places)
        elif first.InheritsFrom("TBranchElement"):
            tools.fill_element(first, side, names, members, places)
        else:
            tools.fill_leaf(first, side, names)


def main() -> int:
    """Do the job that comes on the standard input."""
    job = json.load(sys.stdin)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ROOT
    if ROOT.gROOT.GetVersionInt() < NEEDED:
        print(f"ROOT {ROOT.gROOT.GetVersion()} is older than 6.30", file=sys.stderr)
        return TOO_OLD
    ROOT.gROOT.SetBatch()
    ROOT.gErrorIgnoreLevel = ROOT.kError
    ROOT.TH1.AddDirectory(False)
    try:
        Worker(ROOT, job).run()
    except Exception as error:  # noqa: BLE001  # whatever ROOT's own C++ raises is said in one line
        print(f"hepae: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
