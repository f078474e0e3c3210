"""Options that several commands share, and the types of their values."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hepae.errors import UnitWarning

if TYPE_CHECKING:
    from collections.abc import Callable

    from hepae.bounds import Bounds

    Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


PATH = click.Path(path_type=Path)


class Output(click.ParamType[Any]):
    """A file to write, whose suffix says its format."""

    name = "file"

    def __init__(self, *suffixes: str):
        self.suffixes = suffixes

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Give the name as it is, or fail."""
        if not str(value).endswith(self.suffixes):
            self.fail(f"{value}: the name must end in {' or '.join(self.suffixes)}", param, ctx)
        return value


class OutputPath(Output):
    """A file of this machine to write."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Give the path, or fail."""
        return Path(super().convert(value, param, ctx))


def _silence(_context: click.Context, _option: click.Parameter, quiet: bool) -> bool:
    if quiet:
        warnings.simplefilter("ignore", UnitWarning)  # until the command ends
    return quiet


def options_of(*decorators: Decorator) -> Decorator:
    """Join several decorators into one, the first of them outermost."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


quiet_option = click.option("--quiet", is_flag=True, callback=_silence, help="Show no progress and no notes.")


force_option = click.option("--force", is_flag=True, help="Overwrite the output if it exists.")


compression_option = click.option(
    "--compression",
    help="Compression of the branches in ROOT: zstd, lz4, lzma or zlib, and a level; lzma:9 makes the smallest files.  "
    "[default: zstd:5; branches that ROOT clones stay as they are]",
)


storage_option = click.option(
    "--format",
    "storage",
    type=click.Choice(["ttree", "rntuple"]),
    help="Write TTrees or RNTuples.  [default: as in the input; tables become a TTree]",
)


bounds_file_option = click.option(
    "--bounds",
    "bounds_file",
    type=PATH,
    metavar="FILE.toml",
    help="Read bounds and edges from a file that hepae suggest wrote. --bound and --edges override it.",
)


bound_options = options_of(
    click.option(
        "--bound",
        "bounds",
        multiple=True,
        metavar="COLUMN=BOUND",
        help="Largest error of a column: pt=0.1%, eta=0.001, mass=1%+1MeV, btag=exact. Repeat it for several columns. "
        "Muon.pt=0.01% is for one collection. '*=0.1%' is for every float column that has no bound of its own and no default; "
        "weights, and float64 columns in a collection with float32 columns, stay exact unless you name them.  "
        "[default: pt=0.1%, eta=0.001, phi=0.001, mass=1%+1MeV, all other columns exact]",
    ),
    bounds_file_option,
    click.option(
        "--edges",
        multiple=True,
        metavar="COLUMN=X,Y,...",
        help="Cuts that must select the same jets before and after: pt=20,30. For |eta| < 2.4 write eta=-2.4,2.4.",
    ),
)


chosen_options = options_of(
    click.option(
        "--collection",
        multiple=True,
        metavar="NAME",
        help="Collection to code: Jet, Muon or a pattern such as '*'. Repeat it for several.  [default: Jet, AnalysisJets or the only one]",
    ),
    click.option(
        "--all",
        "all_numbers",
        is_flag=True,
        help="Code all collections and the numbers of the event: MET, trigger bits, weights. Bounds of the latter have the tree's "
        "name: Events.MET_pt=0.1%.",
    ),
)


def asked_bounds(bounds: tuple[str, ...], edges: tuple[str, ...], file: Path | None) -> Bounds:
    """Bounds of a file, where there is one, and of the options --bound and --edges."""
    from hepae.bounds import Bounds
    from hepae.bounds_files import overridden, read_bounds

    asked = Bounds.parse(bounds, edges)
    return asked if file is None else overridden(read_bounds(file), asked)


tree_option = click.option("--tree", metavar="NAME", help="Tree to read, if several trees have jets.")


unit_option = click.option(
    "--unit",
    type=click.Choice(["MeV", "GeV"]),
    help="Unit of pt, mass and E in flat files and tables.  [default: MeV if the median pt is above 1000]",
)


input_options = options_of(
    tree_option,
    click.option("--collection", metavar="NAME", help="Collection to read, if the tree has several."),
    unit_option,
)
