"""Objects of ROOT files that are no trees (histograms, parameters, strings, …), copied as they are stored.

The stored bytes of an object are copied, together with the descriptions of its classes (streamer info), and never
interpreted: objects of any class arrive bit for bit. Within its bytes an object refers to its own parts by their
distance from the start of its key, so a copy needs a key of the same length.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import uproot

from hepae.errors import OutputError
from hepae.io.guards import reading

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

HISTORY = "hepae_history"
"""Text that hepae writes into compressed and restored files: what became of the original. It is no object of the original."""

TREES = ("TTree", "TNtuple", "TNtupleD")

_FOLDERS = ("TDirectory", "TDirectoryFile")

_CLASS_TAG = re.compile(rb"\xff\xff\xff\xff([^\0]{1,200})\0")
"""How ROOT writes the class of an object within another one."""


def is_tree(classname: str) -> bool:
    """Whether a class is a TTree or RNTuple."""
    return classname in TREES or classname.endswith("RNTuple")


class ObjectRecord(NamedTuple):
    """What a header says of an object: its name and class, and the CRC-32 of its uncompressed bytes."""

    name: str
    classname: str
    checksum: int

    def to_config(self) -> dict[str, Any]:
        """Say it as JSON; the inverse is `from_config`."""
        return {"name": self.name, "class": self.classname, "checksum": self.checksum}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Read what `to_config` gave."""
        return cls(str(config["name"]), str(config["class"]), int(config["checksum"]))


@dataclass(frozen=True)
class StoredObject:
    """An object of an open ROOT file, or a folder.

    Parameters
    ----------
    name
        Its name with the folders that it is in.
    key
        Its key, as uproot read it.
    """

    name: str
    key: Any

    @property
    def classname(self) -> str:
        """Its C++ class."""
        return str(self.key.fClassName)

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder, which has no content of its own."""
        return self.classname in _FOLDERS

    @cached_property
    def content(self) -> bytes:
        """The object's bytes, uncompressed."""
        if self.is_folder:
            return b""
        chunk, _ = self.key.get_uncompressed_chunk_cursor()
        return bytes(chunk.raw_data)

    @cached_property
    def classes(self) -> set[str]:
        """Its class and those of the objects in it."""
        inner = {tag.decode(errors="replace") for tag in _CLASS_TAG.findall(self.content)}
        return {self.classname, *inner}

    @property
    def can_be_copied(self) -> bool:
        """Whether all that it is made of is in its own bytes: a tree or a folder in it has data elsewhere in the file."""
        return self.is_folder or not any(is_tree(name) or name in _FOLDERS for name in self.classes)

    @cached_property
    def record(self) -> ObjectRecord:
        """Its name, class and checksum."""
        return ObjectRecord(self.name, self.classname, zlib.crc32(self.content))


def objects_of(file: Any) -> list[StoredObject]:
    """All objects and folders of an open file but its trees and `HISTORY`; of several cycles of one name the oldest comes first."""
    found: dict[str, list[tuple[int, StoredObject]]] = {}
    for path, classname in file.classnames(recursive=True).items():
        name, _, cycle = path.rpartition(";")
        if not is_tree(classname) and name != HISTORY:
            found.setdefault(name, []).append((int(cycle), StoredObject(name, file.key(path))))
    return [stored for cycles in found.values() for _, stored in sorted(cycles, key=lambda item: item[0])]


def history_texts(file: Any) -> list[str]:
    """Texts named `HISTORY` in an open file, the oldest cycle first."""
    classes = file.classnames(recursive=False, cycle=True)
    cycles = [key for key, kind in classes.items() if kind == "TObjString" and key.split(";")[0] == HISTORY]
    return [str(file[key]) for key in sorted(cycles, key=lambda key: int(key.split(";")[1]))]


def copy_objects(objects: Sequence[StoredObject], file: Any) -> None:
    """Copy objects of one open file into one that is written; do that before large trees are written.

    Raises
    ------
    OutputError
        If an object would lie beyond 2 GB, where keys have another length.
    """
    if not objects:
        return
    cascading = file.file._cascading
    cascading.streamers.update_streamers(file.file.sink, _streamers(objects))
    for stored in objects:
        folder, _, name = stored.name.rpartition("/")
        if stored.is_folder:
            file.mkdir(stored.name)
            continue
        key = stored.key
        start = key.data_cursor.index
        stop = start + key.data_compressed_bytes
        raw = key._file.chunk(start, stop).get(start, stop, key.data_cursor, {}).tobytes()
        large = key.fVersion > 1000  # with 8 bytes for each position
        if not large and cascading.freesegments._data.end + len(raw) > uproot.const.kStartBigFile:
            raise OutputError(
                f"object {stored.name!r} cannot be copied: ROOT files hold such objects in their first 2 GB only; leave it out with --drop {stored.name!r}"
            )
        directory = file.mkdir(folder) if folder else file
        directory._cascading.add_object(
            file.file.sink, stored.classname, name, key.fTitle, raw, key.data_uncompressed_bytes, big=large
        )


def copy_classes(source: Any, file: Any) -> None:
    """Copy the descriptions of an experiment's classes from one open file into another: they tell ROOT what a branch of such a class is.

    ROOT itself writes those that have members in a branch, but not those of containers such as ``DataVector<xAOD::Jet_v1>``.
    """
    chosen = [
        streamer
        for name, versions in source.file.streamers.items()
        if ("::" in name or "<" in name) and not name.startswith(("ROOT::", "vector<", "map<", "set<"))
        for streamer in versions.values()
    ]
    if chosen:
        file.file._cascading.streamers.update_streamers(file.file.sink, chosen)


def check_objects(path: Path, written: Iterable[StoredObject]) -> None:
    """Read copied objects back and compare them with the original ones.

    Raises
    ------
    OutputError
        If one differs.
    """
    expected = {(stored.key.fKeylen, *stored.record) for stored in written if not stored.is_folder}
    if not expected:
        return
    names = {name for _, name, *_ in expected}
    with reading(path), uproot.open(path) as file:
        copies = [stored for stored in objects_of(file) if stored.name in names]
        found = {(stored.key.fKeylen, *stored.record) for stored in copies}
    if differing := sorted({name for _, name, *_ in expected - found}):
        raise OutputError(
            f"objects {', '.join(differing[:5])} read back differently from how they were written; nothing was written"
        )


def _streamers(objects: Sequence[StoredObject]) -> list[Any]:
    """Descriptions of the objects' classes, and of all classes that those name."""
    chosen: dict[str, list[Any]] = {}
    for file in {id(stored.key._file): stored.key._file for stored in objects}.values():
        own = [stored for stored in objects if stored.key._file is file]
        names = {name for stored in own for name in stored.classes}
        seen = set[str]()
        while names - seen:
            seen |= names
            for classname, versions in file.streamers.items():
                if classname not in chosen and any(classname in name for name in names):
                    chosen[classname] = [*versions.values()]
            elements = (e for versions in chosen.values() for version in versions for e in version.elements)
            names = {text for element in elements for text in (element.name, element.typename)} - seen
    return [streamer for versions in chosen.values() for streamer in versions]
