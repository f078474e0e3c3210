"""Change one operator, number or keyword of a module after the other, and see whether its tests notice.

    pip install cosmic-ray
    python analysis/mutants.py hepae/files/header.py tests/files/test_header.py --count 80

cosmic-ray finds the places and makes the mutants; ``--count`` of them are drawn at random, of those that change more than annotations. Each is run in a fork
that imports it in place of the module: nothing is written. The tests of a module should fail with every mutant: those with which they pass are printed. Ctrl-C ends it, with the counts so far. Programs that a test starts
run the module as it is.
"""

from __future__ import annotations

import ast
import importlib
import importlib.abc
import importlib.util
import itertools
import os
import random
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PATIENCE = 10
"""A mutant whose tests take so many times as long as those of the module itself counts as killed."""


@dataclass(frozen=True)
class Mutant:
    """The changed source of a module, and what was done to which line."""

    source: str
    operator: str
    line: int


class Replaced(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Import a module from another source."""

    def __init__(self, path: Path, source: str):
        self.path, self.source = path, source
        self.name = ".".join(path.with_suffix("").parts)

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:  # noqa: ARG002
        """Find the module, and no other."""
        if fullname != self.name:
            return None
        return importlib.util.spec_from_loader(fullname, self, origin=str(self.path))

    def get_source(self, fullname: str) -> str:  # noqa: ARG002
        """Give the other source."""
        return self.source


class _Bare(ast.NodeTransformer):
    """Code without annotations."""

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> Any:
        return ast.Pass() if "TYPE_CHECKING" in ast.dump(node.test) else self.generic_visit(node)


def code(source: str) -> str:
    """What a source does, whatever its annotations."""
    return ast.dump(_Bare().visit(ast.parse(source)))


def places(source: str) -> list[tuple[str, int, int]]:
    """Name, number and line of all that cosmic-ray would change in a source."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator, operator_names

    nodes = [*ast_nodes(get_ast(source))]
    names = [name for name in operator_names() if not get_operator(name).arguments()]
    return [
        (name, number, line)
        for name in names
        for number, line in enumerate(
            start[0] for node in nodes for start, _ in get_operator(name)().mutation_positions(node)
        )
    ]


def mutants(source: str, seed: int) -> Iterator[Mutant]:
    """Mutants that do something else, in random order."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    found, known = places(source), {code(source)}
    random.Random(seed).shuffle(found)
    for name, number, line in found:
        changed = mutate_code(source, get_operator(name)(), number)
        try:
            dumped = code(changed)
        except SyntaxError:
            continue
        if dumped not in known:
            known.add(dumped)
            yield Mutant(changed, name.removeprefix("core/"), line)


def passes(path: Path, source: str, tests: Sequence[str], seconds: float, *, quiet: bool = True) -> bool:
    """Whether the tests pass with another source of a module, in a fork, before so many seconds of processor time are over."""
    sys.stdout.flush()
    child = os.fork()
    if not child:
        signal.alarm(int(20 * seconds) + 60)  # one that sleeps
        import resource

        limit = int(seconds) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere if quiet else 2, 1), os.dup2(nowhere if quiet else 2, 2)
        sys.meta_path.insert(0, Replaced(path, source))
        status = 99
        try:
            status = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests]))
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    return status == 0


@click.command(help=__doc__)
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@click.argument("tests", nargs=-1, required=True)
@click.option("--count", default=80, show_default=True, help="Mutants that are tried.")
@click.option("--seed", default=1, show_default=True, help="Random seed of the choice.")
def main(path: Path, tests: tuple[str, ...], count: int, seed: int) -> None:
    """Print how many mutants of PATH the TESTS kill, and each one that they do not."""
    module = Replaced(path, source := path.read_text()).name
    importlib.import_module(module)  # what it imports is not mutated: once for all forks
    del sys.modules[module]
    started = os.times()
    if not passes(path, source, tests, 600, quiet=False):
        raise click.ClickException(f"{' '.join(tests)} fail with {path} as it is")
    ended = os.times()
    seconds = PATIENCE * (ended.children_user - started.children_user) + 5
    lines, survived, tried = source.splitlines(), 0, 0
    try:
        for mutant in itertools.islice(mutants(source, seed), count):
            if passes(path, mutant.source, tests, seconds):
                survived += 1
                was = lines[mutant.line - 1].strip()
                new = mutant.source.splitlines()[mutant.line - 1].strip()
                click.echo(f"{path}:{mutant.line} {mutant.operator}\n  - {was}\n  + {new}")
            tried += 1
    except KeyboardInterrupt:
        click.echo("interrupted")
    found = f"{tried} mutants tried, {tried - survived} killed, {survived} survived"
    click.echo(f"{path}: {len(places(source))} places, {found}")


if __name__ == "__main__":
    main()
