"""hepae inside coffea: jobs that compress, validate and verify filesets, and jets restored inside anyone's processor."""

from __future__ import annotations

from hepae.processors.compression import CompressionProcessor, Part, files_of, merge
from hepae.processors.executors import EXECUTORS, executor
from hepae.processors.restoring import restore, restored
from hepae.processors.validation import ValidationProcessor
from hepae.processors.verification import VerificationProcessor

__all__ = [
    "EXECUTORS",
    "CompressionProcessor",
    "Part",
    "ValidationProcessor",
    "VerificationProcessor",
    "executor",
    "files_of",
    "merge",
    "restore",
    "restored",
]
