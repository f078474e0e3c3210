"""hepae inside coffea: jobs that compress and validate filesets, and jets restored inside anyone's processor."""

from __future__ import annotations

from hepae.processors.restoring import restore, restored

__all__ = ["restore", "restored"]
