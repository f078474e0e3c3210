"""The headers are installed, and found."""

from __future__ import annotations

import configparser
from pathlib import Path

import hepae

REPOSITORY = Path(__file__).parent.parent.parent


def test_all_headers_are_installed():
    config = configparser.ConfigParser()
    config.read(REPOSITORY / "setup.cfg")
    patterns = config["options.package_data"]["hepae"].split()
    package = Path(hepae.__file__).parent
    installed = {path for pattern in patterns for path in package.glob(pattern)}
    assert {*(package / "include").rglob("*")} - {package / "include" / "hepae"} <= installed


def headers_of(folder, name, seen):
    """Names of all headers that one includes, ours and others."""
    if name in seen or not (folder / name).is_file():
        return seen | {name}
    seen = seen | {name}
    for line in (folder / name).read_text().splitlines():
        if line.startswith("#include"):
            seen |= headers_of(folder, line.split()[1].strip('<>"'), seen)
    return seen


def test_each_header_of_the_core_stands_alone(cpp, tmp_path):
    names = sorted(f"hepae/{path.name}" for path in (cpp.INCLUDE / "hepae").glob("*.hpp"))
    core = [
        name
        for name in names
        if not any(
            n.endswith(".h") or "ROOT/" in n for n in headers_of(cpp.INCLUDE, name, set()) - {"emmintrin.h"}
        )
    ]
    assert len(core) > 15
    source = tmp_path / "all.cpp"
    source.write_text("".join(f'#include "{name}"\n' for name in reversed(core)) + "int main() {}\n")
    cpp.compiled(source, tmp_path / "all", ["-fsyntax-only"])
