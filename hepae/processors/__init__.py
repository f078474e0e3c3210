"""hepae inside coffea: jobs that compress and validate filesets, and jets restored inside anyone's processor."""

from __future__ import annotations

from hepae.processors.compression import CompressionProcessor, Part, merge
from hepae.processors.executors import executor
from hepae.processors.restoring import restore, restored

__all__ = ["CompressionProcessor", "Part", "executor", "merge", "restore", "restored"]
