"""Tables as CSV."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

from hepae.io.outputs import atomic_output

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def write(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a table, numbers with four digits."""
    with atomic_output(path, force=True) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({k: f"{v:.4g}" if isinstance(v, float) else v for k, v in row.items()})
