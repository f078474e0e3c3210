"""The headers are installed, and found."""

from __future__ import annotations

import configparser
from pathlib import Path

from click.testing import CliRunner

import hepae
from hepae.cli import main

REPOSITORY = Path(__file__).parent.parent.parent


def test_the_folder_that_is_printed_has_the_headers():
    result = CliRunner().invoke(main, ["include"])
    assert result.exit_code == 0
    folder = Path(result.output.strip())
    assert folder.is_absolute()
    assert (folder / "hepae.hpp").is_file()


def test_all_headers_are_installed():
    config = configparser.ConfigParser()
    config.read(REPOSITORY / "setup.cfg")
    patterns = config["options.package_data"]["hepae"].split()
    package = Path(hepae.__file__).parent
    installed = {path for pattern in patterns for path in package.glob(pattern)}
    assert {*(package / "include").rglob("*")} - {package / "include" / "hepae"} <= installed


def test_each_header_stands_alone(cpp, tmp_path):
    names = sorted(path.name for path in (cpp.INCLUDE / "hepae").glob("*.hpp"))
    core = [name for name in names if "ROOT/" not in (cpp.INCLUDE / "hepae" / name).read_text()]
    source = tmp_path / "all.cpp"
    source.write_text("".join(f'#include "hepae/{name}"\n' for name in reversed(core)) + "int main() {}\n")
    cpp.compiled(source, tmp_path / "all", ["-fsyntax-only"])
    assert len(core) > 15
