"""verify: check that a compressed or restored file lost nothing of its original beyond its bounds.

The encoder checks every cluster when it writes it. This is another check, of the files as they are, which shares nothing with
that one but what reads files: every branch of every tree is compared bit for bit, every coded column is judged against
its bound and edges in extended precision (`hepae.verification.judgement`), and what an analysis derives from the jets is compared.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hepae.bounds import Bounds
from hepae.files.compressed import CompressedFile
from hepae.files.history import History
from hepae.files.parts import is_compressed
from hepae.io.event_numbers import event_collections
from hepae.io.inputs import Inputs, OneUnit, open_source
from hepae.io.locations import locate
from hepae.io.readers import choose_collections
from hepae.io.sources import STEP_SIZE, steps
from hepae.verification.certificate import Certificate, VerifiedFile
from hepae.verification.chunks import EventChecker, fit_axes
from hepae.verification.findings import Findings
from hepae.verification.other_content import OtherContent
from hepae.verification.promises import Promises
from hepae.verification.tree_pair import TreePair, accepted_of
from hepae.verification.tree_view import TreeView

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from hepae.bounds import Bound, Edges
    from hepae.io.locations import Location, Url
    from hepae.io.sources import Source
    from hepae.verification.chunks import Axes


def verify(
    original: str | Path | Url | Sequence[str | Path | Url],
    version: str | Path | Url,
    *,
    bounds: Bounds | Mapping[str, Bound | str | float] | None = None,
    edges: Mapping[str, Edges | str | float | Iterable[float]] | None = None,
    accept_left_out: bool = False,
    tree: str | None = None,
    collection: str | Sequence[str] | None = None,
    unit: str | None = None,
    step_size: str | int = STEP_SIZE,
    progress: Callable[[int, int], None] | None = None,
) -> Certificate:
    """Check that a file lost nothing of its original beyond its bounds.

    Both files are read in steps. It compares events, jets, their order, names and types; every branch that was not coded and every
    other tree and object, bit for bit; and every value of a coded column with its bound and edges, in extended precision. It also
    gives the largest change of histogram bins, HT, invariant masses and ΔR of the leading pair.

    Parameters
    ----------
    original
        The file that was compressed; if several were joined, all of them in their order, or a pattern.
    version
        The compressed file, or the file that was restored from it.
    bounds, edges
        Bounds and edges to use instead of those in the file, by column. A file of latents has none.
    accept_left_out
        Accept the loss of branches that the user left out when the file was compressed.
    tree, unit
        As for `hepae.read_jets`; by default those of the compressed file.
    collection
        Collection that ``bounds`` apply to, if the file has no bounds of its own; as for `hepae.compress_file`.
    step_size
        Memory of one step (``"100 MB"``), or its number of entries.
    progress
        Called after each step with the number of entries done and of all entries.

    Returns
    -------
    Certificate
        ``broken`` has one line for each loss; ``ok`` is true if there is none.

    Raises
    ------
    InputError
        If a file is missing, or so damaged that it cannot be read.
    ConfigError
        If a bound names a column that does not exist or that cannot have a bound.
    """
    asked = bounds if isinstance(bounds, Bounds) else Bounds.parse(bounds or {}, edges or {})
    path = locate(version)
    with ExitStack() as stack:
        after = open_version(path, tree=tree, unit=unit)
        stack.enter_context(after)
        if isinstance(after, CompressedFile):
            unit, tree = after.original_unit(unit), tree or after.tree
        files = stack.enter_context(Inputs(original, tree=tree, unit=OneUnit(unit)))
        plan = Plan.of(after, files.open(0), asked, collection, accept_left_out=accept_left_out)
        if asked.columns or asked.edges:
            files.unit.warn()
        view, rest = view_of(after), OtherContent.of(after, plan.accepted)
        result, first, verified = Findings(), 0, []
        for source in files:
            checker = plan.checker(source, view, first)
            result += checker.pair.findings
            size = min(source.entries_per_step(step_size), view.entries_per_step(step_size))
            for start, stop in steps(max(0, min(source.num_entries, view.num_entries - first)), size):
                result += checker.check(start, stop)
                if progress is not None:
                    progress(first + stop, view.num_entries)
            rest.compare(source, step_size)
            first += source.num_entries
            verified.append(VerifiedFile.of(source.path))
        rest.finish(first, view.num_entries)
        return plan.certificate(tuple(verified), VerifiedFile.of(path), after, result, rest)


@dataclass(frozen=True)
class Plan:
    """How a version is compared with its originals; it travels with the chunks of a job.

    Parameters
    ----------
    promises
        What is promised of the version.
    axes
        Where the bins of each column are.
    accepted
        Names of branches and objects that may be missing.
    notes
        What a user should know.
    """

    promises: Promises
    axes: Axes
    accepted: frozenset[str]
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        after: CompressedFile | Source,
        original: Source,
        asked: Bounds,
        collection: str | Sequence[str] | None = None,
        *,
        accept_left_out: bool = False,
    ) -> Plan:
        """Decide it from the version and its (first) original; parameters as those of `verify`."""
        promises, notes = promises_of(after, original)
        if asked.columns or asked.edges:
            chosen = [] if promises.collections else choose_collections(original, collection)
            promises, notes = promises.accepting(asked, chosen), ()
        axes = fit_axes(TreeView.of_source(original), promises)
        return cls(promises, axes, promises.left_out if accept_left_out else frozenset(), notes)

    def checker(self, source: Source, view: TreeView, first: int) -> EventChecker:
        """Give what compares an original with the events of the version from ``first`` on."""
        accepted = accepted_of((*source.branches, *source.unreadable), self.accepted)
        return EventChecker(
            TreePair(TreeView.of_source(source), view, accepted), self.promises, self.axes, first
        )

    def certificate(
        self,
        originals: tuple[VerifiedFile, ...],
        version: VerifiedFile,
        after: CompressedFile | Source,
        events: Findings,
        rest: OtherContent,
    ) -> Certificate:
        """Put together what was found of the events and of the rest."""
        findings = events + rest.findings
        return Certificate(
            originals,
            version,
            "compressed" if isinstance(after, CompressedFile) else "restored",
            self.promises.origin,
            findings,
            tuple(dict.fromkeys(findings.lines())),
            tuple(sorted(self.accepted)),
            rest.trees,
            rest.objects,
            self.notes,
        )


def promises_of(after: CompressedFile | Source, original: Source) -> tuple[Promises, tuple[str, ...]]:
    """Give what a version promises beside its (first) original, and what a user should know of that."""
    earlier = History.of_source(original)
    history = after.history if isinstance(after, CompressedFile) else History.of_source(after)
    if history is None:
        note = f"{after.path} does not say how it was compressed: every branch is compared bit for bit"
        return Promises.exact(after.num_entries), (f"{note}; state what you accept with --bound",)
    generation = earlier.generation if earlier is not None and history.continues(earlier) else 0
    inputs = history.steps[generation].origin.inputs if generation < history.generation else ()
    uuids = {one.uuid for one in inputs if one.uuid}
    notes: tuple[str, ...] = ()
    if uuids and original.uuid not in uuids:
        names = ", ".join(one.name for one in inputs[:3])
        notes = (f"{after.path} was made from {names}, a file with another UUID than {original.path}",)
    if isinstance(after, CompressedFile) and history.generation - generation == 1:
        return Promises.of_compressed(after), notes
    collections = dict(original.layout.collections)
    numbers = event_collections(original.branches, original.tree, collections.values())
    collections |= {each.name: each for each in numbers}
    return Promises.of_history(history, generation, collections, after.num_entries), notes


def view_of(after: CompressedFile | Source) -> TreeView:
    """Look at the events of a version."""
    return TreeView.of_compressed(after) if isinstance(after, CompressedFile) else TreeView.of_source(after)


def open_version(
    path: Location, *, tree: str | None = None, unit: str | None = None
) -> CompressedFile | Source:
    """Open a compressed or restored file."""
    return CompressedFile(path) if is_compressed(path) else open_source(path, tree=tree, unit=unit)
