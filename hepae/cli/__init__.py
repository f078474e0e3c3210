"""The command line: a module for each subject, and the group that shows their errors."""

from __future__ import annotations

from hepae.cli.comparison import compare
from hepae.cli.files import compress, decompress, info
from hepae.cli.group import main
from hepae.cli.include import include
from hepae.cli.models import export
from hepae.cli.samples import generate, sample
from hepae.cli.suggestion import suggest
from hepae.cli.training import train
from hepae.cli.verification import verify

__all__ = ["main"]

for command in (
    sample,
    generate,
    train,
    suggest,
    compress,
    verify,
    decompress,
    compare,
    info,
    export,
    include,
):
    main.add_command(command)
