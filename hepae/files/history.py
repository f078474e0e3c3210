"""The history of a file: what was compressed, when, from what, and within which bounds, in words that plain ROOT shows.

Compressed and restored files hold it as a TObjString `HISTORY` with JSON in it, where any ROOT session can print it. A step is one
compression; its words ``algorithm`` and ``implementation`` are those of the CF conventions for quantised data (CF-1.12,
section 8.4). The bounds of several steps add up to those that hold against the first original.
"""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib import metadata
from typing import TYPE_CHECKING, Any

from hepae.errors import InputError
from hepae.files.coded_columns import CodedColumns, bound_text
from hepae.files.json_record import MalformedError, Record
from hepae.io.objects import HISTORY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hepae.io.sources import Source

_VERSION = 1


_ABOUT = (
    "Columns of this file were compressed by hepae: each value may differ from the original by its bound, and all others are "
    "unchanged. 'hepae info' shows this; 'hepae verify ORIGINAL THIS_FILE' proves it."
)


@dataclass(frozen=True)
class InputFile:
    """A file that was compressed: its name without the folder, and its UUID where it is a ROOT file."""

    name: str
    uuid: str | None = None

    @classmethod
    def of(cls, source: Source) -> InputFile:
        """Take both from an open file; what may be secret in a URL is no part of its name."""
        return cls(str(without_secrets(str(source.path))).rpartition("/")[2], source.uuid)

    def to_json(self) -> dict[str, Any]:
        """Give both as JSON; the inverse is `from_json`."""
        return {"name": self.name, "uuid": self.uuid}

    @classmethod
    def from_json(cls, record: Record) -> InputFile:
        """Read what `to_json` gave."""
        return cls(record.text("name"), record.optional_text("uuid"))


@dataclass(frozen=True)
class Origin:
    """What a file is made from, and what had become of that before; and when and by which command it was made.

    A header has the first part only, so that the same jets give the same trees whenever they are compressed; date and command stand
    in the text `HISTORY`.
    """

    date: str | None = None
    command: str | None = None
    inputs: tuple[InputFile, ...] = ()
    earlier: History | None = None
    left_out: tuple[str, ...] = ()
    """Branches of other trees, and objects, that were left out."""

    @classmethod
    def of(
        cls, inputs: Iterable[InputFile], earlier: Sequence[History] = (), left_out: Iterable[str] = ()
    ) -> Origin:
        """Note what a file is made from; ``earlier`` are the histories of its inputs."""
        before = History.joined(earlier) if earlier else None
        return cls(None, None, tuple(inputs), before, tuple(left_out))

    @staticmethod
    def joined(origins: Sequence[Origin]) -> Origin:
        """Give the origin of parts that were joined: all inputs, the rest of the first part."""
        inputs = dict.fromkeys(one for origin in origins for one in origin.inputs)
        earlier = [origin.earlier for origin in origins if origin.earlier is not None]
        left_out = dict.fromkeys(name for origin in origins for name in origin.left_out)
        return replace(
            origins[0],
            inputs=tuple(inputs),
            earlier=History.joined(earlier) if earlier else None,
            left_out=tuple(left_out),
        )

    def to_json(self) -> dict[str, Any]:
        """Give what a header has of it as JSON; the inverse is `from_json`."""
        return {
            "inputs": [one.to_json() for one in self.inputs],
            "earlier": None if self.earlier is None else self.earlier.to_json(),
            "left_out": list(self.left_out),
        }

    @classmethod
    def from_json(cls, value: Any) -> Origin:
        """Read what `to_json` gave; every field is checked. Headers of before have none."""
        if value is None:
            return cls()
        record = Record(value, "'origin'")
        earlier = record.fields.get("earlier")
        return cls(
            None,
            None,
            tuple(InputFile.from_json(entry) for entry in record.items("inputs")),
            None if earlier is None else History.from_json(earlier),
            record.texts("left_out"),
        )


UNKNOWN = Origin()
"""Of files that were written before headers told it."""


@dataclass(frozen=True)
class Step:
    """One compression.

    Parameters
    ----------
    algorithm, implementation
        CF's words for how the values were quantised, and by what: ``hepae version 0.1.0``.
    collections
        What may differ since, by collection.
    origin
        When, by which command, and from which files.
    left_out
        Branches and objects that were left out.
    """

    algorithm: str
    implementation: str
    collections: Mapping[str, CodedColumns]
    origin: Origin = UNKNOWN
    left_out: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON; the inverse is `from_json`."""
        origin = self.origin
        return {
            "algorithm": self.algorithm,
            "implementation": self.implementation,
            "date": origin.date,
            "command": origin.command,
            "inputs": [one.to_json() for one in origin.inputs],
            "collections": {name: coded.to_json() for name, coded in self.collections.items()},
            "left_out": list(self.left_out),
        }

    @classmethod
    def from_json(cls, record: Record) -> Step:
        """Read what `to_json` gave; every field is checked."""
        inputs = tuple(InputFile.from_json(entry) for entry in record.items("inputs"))
        return cls(
            record.text("algorithm"),
            record.text("implementation"),
            {name: CodedColumns.from_json(entry) for name, entry in record.records("collections").items()},
            Origin(record.optional_text("date"), record.optional_text("command"), inputs),
            record.texts("left_out"),
        )


@dataclass(frozen=True)
class History:
    """All compressions of a file, the first one first; and who restored it."""

    steps: tuple[Step, ...]
    restored: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def generation(self) -> int:
        """How often the file was compressed."""
        return len(self.steps)

    def since(self, generation: int) -> dict[str, CodedColumns]:
        """What may differ from a file of this generation, by collection; 0 is the original."""
        total: dict[str, CodedColumns] = {}
        for step in self.steps[generation:]:
            for name, coded in step.collections.items():
                total[name] = total[name].then(coded) if name in total else coded
        return {name: coded for name, coded in total.items() if coded.coded}

    def continues(self, earlier: History) -> bool:
        """Whether all compressions of an earlier history are the first ones of this."""
        pairs = zip(self.steps, earlier.steps, strict=False)
        same = all(
            (one.collections, one.origin.inputs) == (other.collections, other.origin.inputs)
            for one, other in pairs
        )
        return same and earlier.generation <= self.generation

    @property
    def date(self) -> str | None:
        """When the last compression was made."""
        return self.steps[-1].origin.date if self.steps else None

    @property
    def command(self) -> str | None:
        """Command of the last compression."""
        return self.steps[-1].origin.command if self.steps else None

    @property
    def left_out(self) -> tuple[str, ...]:
        """Branches and objects of the original that were left out."""
        return tuple(dict.fromkeys(name for step in self.steps for name in step.left_out))

    @property
    def inputs(self) -> tuple[InputFile, ...]:
        """The originals."""
        return self.steps[0].origin.inputs if self.steps else ()

    def then(self, step: Step) -> History:
        """Add a compression."""
        return History((*self.steps, step))

    def made(self, date: str | None, command: str | None) -> History:
        """Note when, and by which command, the last compression was made."""
        *before, last = self.steps
        origin = replace(last.origin, date=date, command=without_secrets(command))
        return replace(self, steps=(*before, replace(last, origin=origin)))

    def made_now(self, command: str | None) -> History:
        """Note that the last compression is made now."""
        return self.made(_now(), command)

    def restoring(self, command: str | None) -> History:
        """Note that the file was restored."""
        made = {"implementation": _implementation(), "date": _now(), "command": without_secrets(command)}
        return replace(self, restored=made)

    @classmethod
    def of_source(cls, source: Source) -> History | None:
        """Read the history of a file that is not compressed; None where it has none.

        Raises
        ------
        InputError
            If it is damaged.
        """
        return cls.of_texts(source.histories(), str(source.path))

    @classmethod
    def of_texts(cls, texts: Sequence[str], where: str) -> History | None:
        """Read what `text` gave, of one file or of each that was joined; ``where`` names the file in errors.

        Raises
        ------
        InputError
            If one is damaged.
        """
        try:
            found = [cls.from_json(_checked(text)) for text in texts]
        except (MalformedError, ValueError, RecursionError) as error:
            raise InputError(f"{where} is damaged: its {HISTORY} is malformed ({error})") from None
        return cls.joined(found) if found else None

    @classmethod
    def joined(cls, histories: Sequence[History]) -> History:
        """Give the history of files that were joined: step by step from the last one, with the loosest bounds."""
        steps: list[Step] = []
        for back in range(1, max(len(history.steps) for history in histories) + 1):
            same = [history.steps[-back] for history in histories if len(history.steps) >= back]
            collections = dict(same[0].collections)
            for other in same[1:]:
                for name, coded in other.collections.items():
                    collections[name] = collections[name].beside(coded) if name in collections else coded
            origin = Origin.joined([step.origin for step in same])
            left_out = tuple(dict.fromkeys(name for step in same for name in step.left_out))
            steps.append(replace(same[0], collections=collections, origin=origin, left_out=left_out))
        return cls(tuple(steps[::-1]), histories[0].restored)

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON; the inverse is `from_json`."""
        columns = {
            f"{name}.{column}": bound_text(bound)
            for name, coded in self.since(0).items()
            for column, bound in coded.bounds.items()
        }
        return {
            "about": _ABOUT,
            "version": _VERSION,
            "generation": self.generation,
            "columns": columns,
            "steps": [step.to_json() for step in self.steps],
            "restored": dict(self.restored) or None,
        }

    @classmethod
    def from_json(cls, value: Any) -> History:
        """Read what `to_json` gave; every field is checked."""
        record = Record(value, "history")
        if record.count("version") > _VERSION:
            raise MalformedError("it was written by a later hepae; upgrade hepae")
        restored = record.fields.get("restored") or {}
        if not isinstance(restored, dict) or not all(
            text is None or isinstance(text, str) for text in restored.values()
        ):
            raise MalformedError("'restored' holds something other than texts")
        return cls(tuple(Step.from_json(entry) for entry in record.items("steps")), restored)

    def text(self) -> str:
        """What the file holds as `HISTORY`; the inverse is `of_texts`."""
        content = self.to_json()
        return json.dumps(content | {"checksum": _checksum(content)}, indent=1)


def branch_title(history: History, collection: str, column: str, before: str = "") -> str:
    """Title of a branch that tells its history in plain ROOT; ``before`` is the title that the original had."""
    coded = history.since(0).get(collection)
    if coded is None or column not in {*coded.coded, *coded.bounds}:
        return before
    bound = bound_text(coded.bounds[column]) if column in coded.bounds else "derived within its bounds"
    made = f"{bound} ({history.steps[-1].implementation}, generation {history.generation})"
    return f"{before}; {made}" if before else made


def without_secrets(command: str | None) -> str | None:
    """Give a command without what may be secret in its URLs: names, passwords and queries.

    >>> without_secrets("hepae info 'https://me:word@host/a.root?token=1' --json")
    "hepae info 'https://host/a.root' --json"
    """
    if command is None:
        return None
    return re.sub(r"(://[^\s'\"?]*)\?[^\s'\"]*", r"\1", re.sub(r"://[^/\s'\"@]*@", "://", command))


def _checksum(content: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(content, sort_keys=True).encode())


def _checked(text: str) -> Any:
    """Content of a history that has its checksum."""
    record = Record(json.loads(text), "history")
    content = {key: value for key, value in record.fields.items() if key != "checksum"}
    if record.count("checksum") != _checksum(content):
        raise MalformedError("checksum mismatch")
    return content


def _implementation() -> str:
    return f"hepae version {metadata.version('hepae')}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
