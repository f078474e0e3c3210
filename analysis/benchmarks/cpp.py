"""The C++ reader on clusters in memory: they go into a program as a file, and values and times come out."""

from __future__ import annotations

import shutil
import struct
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import hepae

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hepae.bounded.cluster import CodedCluster

    Clusters = Sequence[tuple[CodedCluster, NDArray[np.int64] | None]]
    """Clusters, each with the number of jets in its events (None: flat)."""

HERE = Path(__file__).parent
INCLUDE = Path(hepae.__file__).parent / "include"
COMPILER = "g++"
_TYPES = {"float": "f4", "double": "f8"}


def has_compiler() -> bool:
    """Whether there is a C++ compiler."""
    return shutil.which(COMPILER) is not None


def compiled(source: Path, program: Path, options: Sequence[str] = ("-O2",)) -> Path:
    """Compile a program that includes hepae.hpp; g++'s own words where it fails."""
    include = [f"-I{folder}" for folder in (INCLUDE, HERE)]
    warnings = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-pedantic", "-Werror"]
    # libraries stand behind what needs them
    command = [COMPILER, "-std=c++17", *warnings, *include, str(source), *options, "-o", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return program


def root_options() -> list[str] | None:
    """Options to compile a program with ROOT; None where it is not installed."""
    spec = find_spec("ROOT")
    home = Path(spec.origin).parent if spec is not None and spec.origin else Path()
    config = home / "bin" / "root-config"
    if not config.exists():
        return None
    said = subprocess.run([config, "--cflags", "--libs"], capture_output=True, text=True, check=True).stdout
    # the wheel's root-config names folders of the machine that made it; -isystem keeps our warnings from ROOT's headers
    flags = said.replace("mock_site_packages/ROOT/", "").replace("-I", "-isystem").split()
    return [*flags, f"-Wl,-rpath-link,{home.parent / 'root.libs'}"]


def write_clusters(path: Path, clusters: Clusters) -> None:
    """Write clusters in the form of clusters.hpp."""
    parts = [_number(len(clusters))]
    for cluster, counts in clusters:
        parts += [_number(n) for n in (cluster.events, cluster.jets, cluster.seed, counts is None)]
        counts = np.zeros(0, np.int64) if counts is None else counts
        parts += [_number(len(counts)), counts.astype("<i8").tobytes(), _number(len(cluster.columns))]
        for column in cluster.columns.values():
            parts += [text(column.name.encode()), _number(len(column.parents))]
            parts += [text(parent.encode()) for parent in column.parents]
            parts.append(text(column.data))
    path.write_bytes(b"".join(parts))


def _number(value: int) -> bytes:
    return struct.pack("<Q", value % 2**64)


def text(data: bytes) -> bytes:
    """A text with its length."""
    return _number(len(data)) + data


@dataclass(frozen=True)
class Decoded:
    """What the program ``decode`` made of clusters.

    ``columns`` has for each cluster its columns by name: values of shape (jets,), or the text of an error. ``seconds`` is the
    processor time that all clusters took.
    """

    columns: list[dict[str, NDArray[Any] | str]]
    seconds: float


def decode(program: Path, clusters: Clusters, folder: Path, rounds: int = 0) -> Decoded:
    """Decode clusters with the program made of decode.cpp; in so many rounds more their time is taken."""
    given, values = folder / "clusters.bin", folder / "values.bin"
    write_clusters(given, clusters)
    command = [str(program), str(given), str(values), str(rounds)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    data, at = values.read_bytes(), 0

    def taken() -> bytes:
        nonlocal at
        (size,) = struct.unpack_from("<q", data, at)
        at += 8 + size
        return data[at - size : at]

    found = []
    for cluster, _ in clusters:
        columns: dict[str, NDArray[Any] | str] = {}
        for name in cluster.columns:
            kind, content = taken().decode(), taken()
            dtype = _TYPES.get(kind, kind)
            columns[name] = content.decode() if kind == "error" else np.frombuffer(content, dtype)
        found.append(columns)
    return Decoded(found, float(done.stdout))
