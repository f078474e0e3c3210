"""What a file is: jets, a compressed file or a model, said as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import awkward as ak

from hepae import kinematics
from hepae.errors import InputError
from hepae.files import header as container
from hepae.files.compressed import CompressedFile
from hepae.io.locations import Location, Url, locate
from hepae.io.readers import Source, choose_collection, open_source, reading, steps

if TYPE_CHECKING:
    from pathlib import Path

    from hepae.io.layouts import Collection


def describe(
    path: str | Path | Url, *, tree: str | None = None, collection: str | None = None, unit: str | None = None
) -> dict[str, Any]:
    """Describe a file with jets, a compressed file or a model file.

    Returns
    -------
    dict
        ``kind`` is ``jets``, ``compressed`` or ``model``; the other keys are those that DESIGN.md lists. Of a file
        with jets, ``jets`` counts those of the chosen collection; both are None where several could be meant.

    Raises
    ------
    InputError
        If the file is missing, damaged or none of these.
    """
    path = locate(path)
    with reading(path), path.open("rb") as file:
        magic = file.read(16)
    if magic[8:9] == b"{":
        return _model(path)
    if container.is_compressed(path):
        return _compressed(path)
    with open_source(path, tree=tree, unit=unit) as source:
        return _jets(source, collection)


def _model(path: Location) -> dict[str, Any]:
    header, tensors = container.unpack_model(container.read_model(path), str(path))
    return {
        "kind": "model",
        "format_version": header["format_version"],
        "codec": header["codec"],
        "columns": header["columns"],
        "basis": header["features"]["basis"],
        "network": header["network"],
        "latent_bits": header["latent_bits"],
        "parameters": int(sum(tensor.size for tensor in tensors.values())),
        "training": header["training"],
        "bytes": path.stat().st_size,
    }


def _compressed(path: Location) -> dict[str, Any]:
    with CompressedFile(path) as file:
        header = file.header
        keys = (
            "format_version",
            "codec",
            "collections",
            "columns",
            "bounds",
            "edges",
            "events",
            "jets",
            "bytes",
        )
        return {
            "kind": "compressed",
            **{key: header[key] for key in keys},
            "model_sha256": header["model_sha256"],
        }


def _jets(source: Source, name: str | None) -> dict[str, Any]:
    collections = {
        collection.name: {
            "jets": _count(source, collection),
            "columns": {
                column.name: {
                    "type": column.dtype.lstrip("<>|="),
                    "unit": _unit(collection, column.name),
                    "bytes": source.stored_bytes(column.branch),
                }
                for column in collection.columns
            },
        }
        for collection in source.layout.collections.values()
    }
    try:
        chosen = choose_collection(source, name).name
    except InputError:
        if name is not None or not collections:
            raise
        chosen = None  # several could be meant: that is what this is to show
    return {
        "kind": "jets",
        "format": source.format,
        "layout": source.layout.name,
        "tree": source.tree,
        "trees": list(source.trees),
        "collection": chosen,
        "collections": collections,
        "events": source.num_entries,
        "jets": None if chosen is None else collections[chosen]["jets"],
        "bytes": source.path.stat().st_size,
        "unreadable": len(source.unreadable),
    }


def _unit(collection: Collection, column: str) -> str:
    unit = kinematics.UNITS.get(column, "")
    return collection.unit if unit == "GeV" else unit


def _count(source: Source, collection: Collection) -> int:
    """Jets of a collection: the entries of a flat one, else the lengths of one column's lists."""
    if collection.counter is None:
        return source.num_entries
    branch = collection.counter if collection.counted else collection.columns[0].branch
    total = 0
    for start, stop in steps(source.num_entries, 1_000_000):
        array = source.arrays([branch], start, stop)[branch]
        total += int(ak.sum(array)) if collection.counted else int(ak.count(array, axis=None))
    return total
