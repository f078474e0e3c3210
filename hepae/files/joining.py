"""Compressed files of one job ↔ one compressed file: what a job wrote chunk by chunk becomes a dataset again."""

from __future__ import annotations

import zlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import uproot

from hepae.errors import InputError
from hepae.files import header as container
from hepae.io.ntuples import WrittenTree, open_root, tree_source
from hepae.io.sources import STEP_SIZE, entries_in, reading, steps
from hepae.io.writers import (
    COMPRESSION,
    Digests,
    Writer,
    atomic_output,
    check_tree,
    open_writer,
    parse_compression,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hepae.io.layouts import Branch

_COUNTS = ("events", "jets", "bytes", "replaced")
"""What is added up of the parts' headers."""


def join_files(
    paths: Sequence[str | Path], output: str | Path, *, compression: str = COMPRESSION, force: bool = False
) -> None:
    """Write one compressed file of several that were written alike, their events in order.

    Parameters
    ----------
    paths
        Compressed files with the same tree, branches, codec, bounds and model; each is checked against its checksums.
    output
        The compressed file of all events.
    compression, force
        As in `compress_file`.

    Raises
    ------
    InputError
        If a file is damaged, or was not written as the first.
    OutputError
        If the output exists or cannot be written.
    """
    with atomic_output(output, force=force) as temporary:
        with uproot.recreate(temporary, compression=parse_compression(compression)) as file:
            joined = _Joined(file)
            for path in map(Path, paths):
                with reading(path):
                    part = open_root(path)
                with part:
                    joined.add(path, part)
            joined.finish()
        for writer in joined.writers.values():
            with open_root(temporary) as file:
                tree = WrittenTree(file, writer.name, writer.fields)
                step = entries_in(STEP_SIZE, tree.uncompressed_bytes, tree.num_entries)
            check_tree(temporary, writer, step)


class _Joined:
    """The file that is written, and the headers of what has gone into it."""

    def __init__(self, file: Any):
        self.writers: dict[str, Writer] = {}
        self._file, self._headers = file, list[dict[str, Any]]()
        self._first, self._model = Path(), b""

    def add(self, path: Path, file: Any) -> None:
        """Copy all trees of a compressed file."""
        for part in container.read_parts(file, str(path)):
            if not self._headers:
                self._first, self._model = path, part.model
            self._headers.append(part.header)
            _check_alike(self._first, self._headers[0], path, part.header)
        header = self._headers[-1]
        others = {
            name: (config["fields"], config["checksums"]) for name, config in header["other_trees"].items()
        }
        trees = {
            header["tree"]: (header["fields"], header["checksums"]),
            **others,
            container.PAYLOAD_TREE: ({}, {}),
        }
        for name, (fields, checksums) in trees.items():
            if name in file:
                self._copy(path, file, name, fields, checksums)

    def _copy(
        self, path: Path, file: Any, name: str, fields: Mapping[str, str], checksums: Mapping[str, Any]
    ) -> None:
        tree = WrittenTree(file, name, fields)
        if name not in self.writers:
            branches = _branches(path, file, name, fields)
            counters = [config["counter"] for config in self._headers[0]["collections"].values()]
            self.writers[name] = open_writer(self._file, name, branches, tree.storage, counters=counters)
        writer, digests = self.writers[name], Digests()
        step = entries_in(STEP_SIZE, tree.uncompressed_bytes, tree.num_entries)
        for start, stop in steps(tree.num_entries, step):
            with reading(path):
                arrays = tree.arrays(writer.branches, start, stop)
            digests.update({branch: arrays[branch] for branch in checksums if branch in arrays})
            if name == container.PAYLOAD_TREE:
                _check_payload(path, arrays)
            writer.extend(arrays)
        wrong = [
            branch for branch, crc in checksums.items() if digests.crc.get(branch, tuple(crc)) != tuple(crc)
        ]
        if wrong:
            raise InputError(f"{path} is damaged: {', '.join(wrong[:5])} are not what was written")

    def finish(self) -> None:
        """Write the header of all parts."""
        total = self._headers[0]
        for header in self._headers[1:]:
            collections = {
                name: {**config, "jets": config["jets"] + header["collections"][name]["jets"]}
                for name, config in total["collections"].items()
            }
            sums = {key: _add(total[key], header[key]) for key in _COUNTS}
            others = {**header["other_trees"], **total["other_trees"]}
            total = {**total, **sums, "collections": collections, "other_trees": others}
        if total["tree"] in self.writers:
            total["checksums"] = self.writers[total["tree"]].digests.crc
        for name, config in total["other_trees"].items():
            if name in self.writers:
                writer = self.writers[name]
                config.update(checksums=writer.digests.crc, entries=writer.num_entries)
        container.write_part(self._file, container.Part(total, total["events"], self._model))


def _branches(path: Path, file: Any, name: str, fields: Mapping[str, str]) -> list[Branch]:
    """Branches of a written tree, by their own names."""
    own = {field: branch for branch, field in fields.items()}
    with_fields = tree_source(path, file, name).branches.values()
    return [
        replace(b, name=own.get(b.name, b.name), counter=own.get(b.counter or "", b.counter))
        for b in with_fields
    ]


def _check_payload(path: Path, rows: Mapping[str, ak.Array]) -> None:
    for blob, crc in zip(rows["blob"], rows["crc"], strict=True):
        if zlib.crc32(ak.to_numpy(blob).tobytes()) != crc:
            raise InputError(f"{path} is damaged: a cluster of its payload does not have its checksum")


def _check_alike(first_path: Path, first: dict[str, Any], path: Path, header: dict[str, Any]) -> None:
    one, other = _what_agrees(first), _what_agrees(header)
    differing = sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))
    if differing:
        raise InputError(f"{first_path} and {path} cannot be joined: their {', '.join(differing)} differ")


def _what_agrees(header: dict[str, Any]) -> dict[str, Any]:
    """What the headers of files that can be joined have in common: all but counts, checksums and other trees."""
    collections = {name: {**config, "jets": 0} for name, config in header["collections"].items()}
    apart = (*_COUNTS, "checksums", "other_trees", "entries")
    return {key: value for key, value in header.items() if key not in apart} | {"collections": collections}


def _add(one: Any, other: Any) -> Any:
    """Sum of counts by name."""
    if isinstance(one, dict):
        return {key: _add(one.get(key, 0), other.get(key, 0)) for key in {**one, **other}}
    return one + other
