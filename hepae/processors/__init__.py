"""hepae inside coffea: jobs that compress and validate filesets, and jets restored inside anyone's processor."""

from __future__ import annotations

from hepae.processors.compression import CompressionProcessor, Part, merge
from hepae.processors.executors import executor
from hepae.processors.restoring import restore, restored
from hepae.processors.validation import Validated, ValidationProcessor

__all__ = [
    "CompressionProcessor",
    "Part",
    "Validated",
    "ValidationProcessor",
    "executor",
    "merge",
    "restore",
    "restored",
]
