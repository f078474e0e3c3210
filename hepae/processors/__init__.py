"""hepae inside coffea: jobs that compress and validate filesets, and jets restored inside anyone's processor."""

from __future__ import annotations

from hepae.processors.compression import CompressionProcessor, Part, files_of, merge
from hepae.processors.executors import EXECUTORS, executor
from hepae.processors.restoring import restore, restored
from hepae.processors.validation import ValidationProcessor

__all__ = [
    "EXECUTORS",
    "CompressionProcessor",
    "Part",
    "ValidationProcessor",
    "executor",
    "files_of",
    "merge",
    "restore",
    "restored",
]
