"""The certificate of a verification: which files, what was promised, what was found."""

from __future__ import annotations

import hashlib
import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from typing import TYPE_CHECKING, Any

from hepae.verification.judgement import PRECISION

if TYPE_CHECKING:
    from hepae.io.locations import Location
    from hepae.verification.findings import Findings

VERDICT = "nothing is lost but what the bounds allow"
NOTHING = "nothing is lost: all bits are the same"

_PACKAGES = ("hepae", "numpy", "awkward", "uproot")
_BLOCK = 1 << 20


@dataclass(frozen=True)
class VerifiedFile:
    """A file as it was when it was verified."""

    path: str
    bytes: int
    sha256: str

    @classmethod
    def of(cls, path: Location) -> VerifiedFile:
        """Take its size and SHA-256."""
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
        return cls(str(path), path.stat().st_size, digest.hexdigest())

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON."""
        return {"path": self.path, "bytes": self.bytes, "sha256": self.sha256}


@dataclass(frozen=True)
class Certificate:
    """What `verify` found.

    Parameters
    ----------
    originals, version
        The files that were compared.
    kind
        What the version is: ``compressed`` or ``restored``.
    promised_by
        Where the bounds are from.
    findings
        Of all events and trees.
    broken
        What broke, one line each; nothing did where it is empty.
    left_out
        Branches and objects that were left out when it was compressed, which the user accepts.
    trees, objects
        Number of other trees and of objects that were compared.
    notes
        What a user should know.
    date
        When it was made, UTC.
    """

    originals: tuple[VerifiedFile, ...]
    version: VerifiedFile
    kind: str
    promised_by: str
    findings: Findings
    broken: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    trees: int = 0
    objects: int = 0
    notes: tuple[str, ...] = ()
    date: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @property
    def ok(self) -> bool:
        """Whether nothing is lost but what the bounds allow."""
        return not self.broken

    @property
    def verdict(self) -> str:
        """What came out, in one sentence."""
        if self.broken:
            what = "thing is" if len(self.broken) == 1 else "things are"
            return f"{len(self.broken)} {what} lost or changed: keep the original"
        changed = any(
            found.changed for columns in self.findings.columns.values() for found in columns.values()
        )
        if not self.left_out:
            return VERDICT if changed else NOTHING
        what = f"{len(self.left_out)} branches or objects that were left out on request"
        return (
            f"{VERDICT}, and {what}"
            if changed
            else f"nothing is lost but {what}: all other bits are the same"
        )

    def to_json(self) -> dict[str, Any]:
        """Give the certificate as JSON."""
        found = self.findings
        return {
            "kind": "certificate",
            "ok": self.ok,
            "verdict": self.verdict,
            "date": self.date,
            "versions": {name: metadata.version(name) for name in _PACKAGES}
            | {"python": platform.python_version()},
            "precision_bits": PRECISION,
            "originals": [file.to_json() for file in self.originals],
            "version": self.version.to_json() | {"kind": self.kind},
            "promised_by": self.promised_by,
            "events": found.events,
            "jets": dict(found.jets),
            "branches_bit_for_bit": len(found.branches),
            "other_trees": self.trees,
            "objects": self.objects,
            "collections": {
                name: {
                    "columns": {column: each.to_json() for column, each in columns.items()},
                    "events": found.quantities[name].to_json() if name in found.quantities else None,
                }
                for name, columns in found.columns.items()
            },
            "left_out": list(self.left_out),
            "broken": list(self.broken),
            "notes": list(self.notes),
        }
