"""Damaged rows and headers: an error or what was written, and nothing that a sanitizer reports.

More mutations than a test has time for:

    python tests/include/test_fuzz.py --count 100000 --seed 1
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from cpp_examples import small_clusters

import hepae

HERE = Path(__file__).parent
GOLDEN = HERE.parent / "golden" / "bounded_v1.root"
COUNT = 20_000
OPTIONS = (
    "-Og",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
    # the sanitizer of addresses finds what these find, and they take most of the time of compiling
    "-fno-sanitize=null,object-size,vptr",
)
MOST_MEGABYTES = 64
"""Largest piece of memory that may be taken; the largest column of a cluster that the harness can claim has 8 MB."""


def run(cpp, folder, count, seed, options=OPTIONS):
    """Run the harness, and give what it prints."""
    program = cpp.compiled(HERE / "fuzz.cpp", folder / "fuzz", options)
    clusters, headers = folder / "clusters.bin", folder / "headers.bin"
    cpp.write_clusters(clusters, small_clusters())
    with hepae.open(GOLDEN) as file:
        header = json.dumps(file.parts[0].header.to_json()).encode()
    headers.write_bytes((1).to_bytes(8, "little") + cpp.text(header))
    environment = {**os.environ, "ASAN_OPTIONS": f"max_allocation_size_mb={MOST_MEGABYTES}"}
    command = [str(program), str(clusters), str(headers), str(count), str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_damage_is_an_error_or_changes_nothing(cpp, tmp_path):
    text = run(cpp, tmp_path, COUNT, 1)
    errors, same = int(text.split()[0]), int(text.split(" errors, ")[1].split()[0])
    assert errors > COUNT // 2
    assert same > 0


@pytest.fixture(autouse=True)
def _unlimited(monkeypatch):
    monkeypatch.delenv("LD_PRELOAD", raising=False)  # the sanitizer has to come first


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--option", action="append", help="of g++, instead of the test's")
    arguments = parser.parse_args()
    sys.path.insert(0, str(HERE.parent.parent / "analysis"))
    from benchmarks import cpp

    with tempfile.TemporaryDirectory() as folder:
        options = arguments.option or OPTIONS
        print(run(cpp, Path(folder), arguments.count, arguments.seed, options))


if __name__ == "__main__":
    main()
