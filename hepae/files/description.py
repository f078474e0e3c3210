"""What a file is (jets, a compressed file or a model) as JSON, and its bounds as text."""

from __future__ import annotations

import warnings
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import awkward as ak

from hepae import kinematics
from hepae.bounds import Bounds
from hepae.errors import ConfigError, InputError, UnitWarning
from hepae.files.compressed import CompressedFile
from hepae.files.header import FORMAT_VERSION, by_column
from hepae.files.history import History
from hepae.files.parts import is_compressed
from hepae.io.locations import Location, Url, locate
from hepae.io.readers import Source, choose_collection, file_kind, open_source, steps
from hepae.latent import model_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hepae.bounds import Bound
    from hepae.io.layouts import Collection


def describe(
    path: str | Path | Url, *, tree: str | None = None, collection: str | None = None, unit: str | None = None
) -> dict[str, Any]:
    """Describe a file with jets, a compressed file or a model file.

    Returns
    -------
    dict
        What ``hepae info --json`` prints. ``kind`` is ``jets``, ``compressed`` or ``model``. Of a file with jets,
        ``collection`` is the chosen one and ``jets`` counts its jets; both are None where several could be meant.

    Warns
    -----
    hepae.errors.UnitWarning
        If the unit of the energies was assumed from the values.

    Raises
    ------
    InputError
        If the file is missing, damaged or none of these.
    ConfigError
        If an option does not apply to this kind of file.
    """
    path = locate(path)
    if file_kind(path) == "a model file":
        if tree or collection or unit:
            raise ConfigError(f"{path} is a model file: leave --tree, --collection and --unit out")
        return _model(path)
    if is_compressed(path):
        if tree or collection:
            raise ConfigError(f"{path} is a compressed file: leave --tree and --collection out")
        return _compressed(path, unit)
    with open_source(path, tree=tree, unit=unit) as source:
        content = _jets(source, collection)
        if source.unit_note is not None:
            warnings.warn(source.unit_note, UnitWarning, stacklevel=2)
        return content


def _model(path: Location) -> dict[str, Any]:
    from hepae.latent.codec import LatentCodec  # torch: only for a model

    codec = LatentCodec.from_bytes(model_file.read_model(path), str(path))
    stored = codec.network if codec.has_encoder else codec.network.decoder
    return {
        "kind": "model",
        "format_version": model_file.FORMAT_VERSION,
        "codec": "latent",
        "columns": list(codec.columns),
        "basis": codec.features.basis,
        "network": {**codec.network.config.to_config(), "hidden": list(codec.network.config.hidden)},
        "latent_bits": codec.integers.bits if codec.integers else None,
        **(codec.bounds or Bounds()).to_config(),
        "parameters": sum(weights.numel() for weights in stored.parameters()),
        "training": codec.summary,
        "bytes": path.stat().st_size,
        "model_sha256": codec.model_sha256,
    }


def _compressed(path: Location, unit: str | None) -> dict[str, Any]:
    with CompressedFile(path) as file:
        file.original_unit(unit)  # refuses another one
        header = file.header
        ranges = {name: file.bounds_by_events(collection=name) for name in file.collections}
        collections = {
            name: coded.to_json() | {"bounds": _texts(file.bounds(name))}
            for name, coded in header.collections.items()
        }
        found = {
            "kind": "compressed",
            "format_version": FORMAT_VERSION,
            "codec": header.codec,
            "collections": collections,
            "columns": list(by_column({n: dict.fromkeys(c.columns) for n, c in header.collections.items()})),
            "bounds": by_column({name: entry["bounds"] for name, entry in collections.items()}),
            "edges": by_column({name: entry["edges"] for name, entry in collections.items()}),
            "events": header.events,
            "jets": header.jets,
            "bytes": asdict(header.bytes),
            "model_sha256": header.model_sha256,
        }
        if (history := file.history).generation > 1:
            found["history"] = history.to_json()
        events = sorted({begin for own in ranges.values() for begin, _, _ in own})
        if len(events) > 1:  # joined by hadd of files with other bounds
            ends = [*events[1:], file.num_entries]
            found["bounds_by_events"] = [
                {
                    "first": begin,
                    "end": end,
                    "bounds": by_column(
                        {
                            name: _texts(file.bounds_by_events(begin, end, collection=name)[0][2])
                            for name in ranges
                        }
                    ),
                }
                for begin, end in zip(events, ends, strict=True)
            ]
        return found


def _texts(bounds: Mapping[str, Bound]) -> dict[str, str]:
    return {column: str(bound) for column, bound in bounds.items()}


MOST_RANGES = 4
"""Ranges of events that the text of a bound lists; ``hepae info --json`` has all of them."""


def bound_texts(
    bounds: Mapping[str, object], ranges: Sequence[tuple[int, int, Mapping[str, object]]]
) -> dict[str, str]:
    """Bounds of columns as a person reads them.

    Where hadd joined files with other bounds, the loosest stands first and the ranges of events follow.

    Parameters
    ----------
    bounds
        The loosest bound of each column.
    ranges
        First event, end (exclusive) and bounds by column.

    >>> bound_texts({"pt": "5%", "eta": "1"}, [(0, 10, {"pt": "0.1%", "eta": "1"}), (10, 30, {"pt": "5%", "eta": "1"})])
    {'pt': '5% (events 0 to 10: 0.1%; 10 to 30: 5%)', 'eta': '1'}
    """
    texts = {}
    for column, bound in bounds.items():
        own: list[tuple[int, int, object]] = []
        for begin, end, each in ranges:
            first = own.pop()[0] if own and own[-1][2] == each[column] else begin
            own.append((first, end, each[column]))
        told = "; ".join(f"{begin} to {end}: {each}" for begin, end, each in own[:MOST_RANGES])
        more = f"; and {len(own) - MOST_RANGES} more ranges" if len(own) > MOST_RANGES else ""
        texts[column] = f"{bound} (events {told}{more})" if len(own) > 1 else str(bound)
    return texts


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
    history = History.of_source(source)
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
        **({} if history is None else {"history": history.to_json()}),
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
