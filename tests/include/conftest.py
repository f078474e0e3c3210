"""The C++ reader's programs, compiled once for all its tests; without a compiler these are skipped, and say so."""

from __future__ import annotations

import importlib
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent
sys.path.append(str(HERE))  # for cpp_examples
PLAIN = ("-O1",)
FUSING = ("-O3", "-march=native", "-ffp-contract=fast")
"""What lets g++ fuse products with sums, as it does by default where the processor can."""


@pytest.fixture(scope="session")
def cpp():
    """Give the module that writes clusters, compiles programs and runs them."""
    sys.path.insert(0, str(HERE.parent.parent / "analysis"))
    try:
        module = importlib.import_module("benchmarks.cpp")
    finally:
        sys.path.pop(0)
    if not module.has_compiler():
        pytest.skip(f"there is no {module.COMPILER}: the C++ reader is not tested")
    return module


@pytest.fixture(scope="session")
def programs(cpp, tmp_path_factory):
    """The program that decodes clusters, compiled plainly and with all that could change bits."""
    folder = tmp_path_factory.mktemp("programs")
    with ThreadPoolExecutor() as pool:
        return list(
            pool.map(
                lambda options: cpp.compiled(
                    cpp.HERE / "decode.cpp", folder / f"decode{options[0]}", options
                ),
                (PLAIN, FUSING),
            )
        )


@pytest.fixture
def same(cpp, programs, tmp_path):
    """Compare what both programs decode with what Python does, bit by bit."""

    def check(clusters):
        for program in programs:
            found = cpp.decode(program, clusters, tmp_path).columns
            for (cluster, counts), columns in zip(clusters, found, strict=True):
                for name, values in cluster.decode(cluster.columns, counts).items():
                    assert isinstance(columns[name], np.ndarray), (name, columns[name])
                    assert columns[name].dtype == values.dtype, name
                    assert columns[name].tobytes() == np.ascontiguousarray(values).tobytes(), name

    return check
