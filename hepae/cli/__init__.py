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

main.add_section("Look", info)
main.add_section("Compress", suggest, compress, verify, compare, decompress)
main.add_section("Autoencoder", train, export)
main.add_section("Jets to try it on", sample, generate)
main.add_section("C++", include)
