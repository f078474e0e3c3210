"""The reader written from the specification, and the examples of the C++ reader's tests."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path += [str(HERE), str(HERE.parent / "include")]  # for payload_reader and cpp_examples
