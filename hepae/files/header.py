"""The header of a compressed file: what was compressed, how it stands in the file, and the checksums of all of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hepae.bounds import Bounds
from hepae.errors import ConfigError
from hepae.files.history import UNKNOWN, Origin
from hepae.files.json_record import MalformedError, Record
from hepae.io.layouts import Branch, Collection, Column
from hepae.io.objects import ObjectRecord

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


FORMAT_VERSION = 1
_MOST_DIMENSIONS = 8


@dataclass(frozen=True)
class CodedCollection:
    """One collection that was coded: what the original held, and how it stands in the compressed file.

    Parameters
    ----------
    collection
        As the original had it.
    columns
        Names of the coded columns.
    latents
        Branches that hold the latents; none without a model.
    bounds
        Bound of every coded column, and edges; None where no bound is promised.
    jets
        Number of jets.
    replaced
        Number of values of each column that the model cannot represent and that were replaced.
    outside
        Number of jets whose latents lie outside the range of the training jets, where no bound is promised.
    """

    collection: Collection
    columns: tuple[str, ...]
    latents: tuple[str, ...] = ()
    bounds: Bounds | None = None
    jets: int = 0
    replaced: Mapping[str, int] = field(default_factory=dict)
    outside: int = 0

    @property
    def branches(self) -> list[str]:
        """Branches of the original that were coded."""
        return [self.collection.column(name).branch for name in self.columns]

    def to_json(self) -> dict[str, Any]:
        """Give the fields as JSON; the inverse is `from_json`."""
        return {
            **self.collection.to_config(),
            "coded": list(self.columns),
            "latents": list(self.latents),
            **(self.bounds or Bounds()).to_config(),
            "jets": self.jets,
            "replaced": dict(self.replaced),
            "outside": self.outside,
        }

    @classmethod
    def from_json(cls, record: Record) -> CodedCollection:
        """Read what `to_json` gave; every field is checked."""
        columns = []
        for entry in record.items("columns"):
            name, branch, dtype = entry.texts(3)
            _dtype(dtype)
            columns.append(Column(name, branch, dtype))
        collection = Collection(
            record.text("name"),
            tuple(columns),
            record.optional_text("counter"),
            record.boolean("counted"),
            record.choice("unit", ("MeV", "GeV")),
        )
        coded = record.texts("coded")
        names = {column.name for column in columns}
        if not coded or not {*coded} <= names:
            raise MalformedError(f"collection {collection.name!r} codes columns that it does not have")
        try:
            bounds = Bounds.parse(record.text_mapping("bounds"), record.mapping("edges"))
        except ConfigError as error:
            raise MalformedError(str(error)) from None
        return cls(
            collection,
            coded,
            record.texts("latents"),
            bounds if bounds.columns else None,
            record.count("jets"),
            record.counts("replaced"),
            record.count("outside"),
        )


@dataclass(frozen=True)
class StoredTree:
    """Another tree of the input, as it was copied: entries, branches, field names in an RNTuple, and checksums."""

    entries: int
    branches: tuple[Branch, ...]
    fields: Mapping[str, str]
    checksums: Mapping[str, Sequence[int]]

    def to_json(self) -> dict[str, Any]:
        """Give the fields as JSON; the inverse is `from_json`."""
        return {
            "entries": self.entries,
            "branches": [branch.to_config() for branch in self.branches],
            "fields": dict(self.fields),
            "checksums": {name: list(numbers) for name, numbers in self.checksums.items()},
        }

    @classmethod
    def from_json(cls, record: Record) -> StoredTree:
        """Read what `to_json` gave; every field is checked."""
        return cls(
            record.count("entries"),
            tuple(_branch(entry) for entry in record.items("branches")),
            record.text_mapping("fields"),
            record.count_lists("checksums"),
        )


@dataclass(frozen=True)
class Sizes:
    """Bytes: of the inputs and of their coded columns; of the compressed file and what codes the columns (0: not yet known)."""

    file_original: int
    original: int
    file_compressed: int = 0
    compressed: int = 0


@dataclass(frozen=True)
class Header:
    """All that a compressed file says of itself, with every field checked when it is read.

    Parameters
    ----------
    hepae
        Version that wrote the file.
    codec
        ``bounded`` or ``latent``.
    tree, storage
        The events' tree, and what it is written as: ``ttree`` or ``rntuple``.
    format, layout
        Storage and naming convention of the input.
    events
        Number of events.
    collections
        What was coded, by collection.
    branches
        Branches of the original that the file gives back, in their order.
    fields
        Names in the file of branches that an RNTuple calls otherwise.
    other_trees
        The other trees of the input, by name.
    objects
        Histograms and all other objects of the input that are no trees.
    left_out, unreadable
        Branches and objects that were left out by the user, and those that could not be read or copied.
    checksums
        CRC-32 of each branch of the events' tree, one for every `hepae.io.checksums.RANGE` entries.
    payload_rows, payload_checksum
        Number of rows of the tree ``hepae_payload``, and the checksum of their index.
    model_sha256, stored_model_sha256
        SHA-256 of the model file, and of the decoder that is stored; None without a model.
    bytes
        Sizes before and after.
    title, titles
        Title of the original's tree, and of those of its branches whose titles are not in the file.
    cloned
        Checksums of the trees that ROOT cloned, by tree and path of the branch, see `hepae.io.baskets`. Where the events' tree was
        cloned, ``checksums`` has only those of its branches that belong to coded collections.
    only_root
        Branches that ROOT cloned and uproot cannot read, ``TREE/BRANCH`` of the other trees.
    places
        Where ROOT fills each coded branch again: the path of the branch that held it, the member of its objects, and the
        place in small arrays.
    origin
        When and from what it was made.
    """

    hepae: str
    codec: str
    tree: str
    storage: str
    format: str
    layout: str
    events: int
    collections: Mapping[str, CodedCollection]
    branches: tuple[Branch, ...]
    fields: Mapping[str, str]
    other_trees: Mapping[str, StoredTree]
    objects: tuple[ObjectRecord, ...]
    left_out: tuple[str, ...]
    unreadable: tuple[str, ...]
    checksums: Mapping[str, Sequence[int]]
    payload_rows: int
    payload_checksum: int
    model_sha256: str | None
    stored_model_sha256: str | None
    bytes: Sizes
    origin: Origin = UNKNOWN
    title: str = ""
    titles: Mapping[str, str] = field(default_factory=dict)
    cloned: Mapping[str, Mapping[str, Sequence[int]]] = field(default_factory=dict)
    only_root: tuple[str, ...] = ()
    places: Mapping[str, tuple[str, str, int]] = field(default_factory=dict)

    @property
    def jets(self) -> int:
        """Jets of all collections."""
        return sum(coded.jets for coded in self.collections.values())

    @property
    def bounded(self) -> bool:
        """Whether bounds are promised."""
        return any(coded.bounds is not None for coded in self.collections.values())

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the user about the restored jets."""
        return tuple(
            f"{coded.outside} of {coded.jets} jets in {name} have latents outside the range that the model was trained on, "
            "and can be restored badly: train on jets like these, or add --bound"
            for name, coded in self.collections.items()
            if coded.outside
        )

    def to_json(self) -> dict[str, Any]:
        """Give the header as JSON; the inverse is `from_json`."""
        return {
            **asdict(replace(self, collections={}, branches=(), other_trees={}, objects=())),
            "format_version": FORMAT_VERSION,
            "objects": [
                {"name": one.name, "class": one.classname, "checksum": one.checksum} for one in self.objects
            ],
            "left_out": list(self.left_out),
            "unreadable": list(self.unreadable),
            "only_root": list(self.only_root),
            "collections": {name: coded.to_json() for name, coded in self.collections.items()},
            "branches": [branch.to_config() for branch in self.branches],
            "other_trees": {name: tree.to_json() for name, tree in self.other_trees.items()},
            "origin": self.origin.to_json(),
        }

    @classmethod
    def from_json(cls, value: Any) -> Header:
        """Read what `to_json` gave.

        Raises
        ------
        MalformedError
            If a field is missing, or is not what it has to be.
        """
        record = Record(value)
        sizes = record.record("bytes")
        header = cls(
            hepae=record.text("hepae"),
            codec=record.choice("codec", ("bounded", "latent")),
            tree=record.text("tree"),
            storage=record.choice("storage", ("ttree", "rntuple")),
            format=record.text("format"),
            layout=record.text("layout"),
            events=record.count("events"),
            collections={
                name: CodedCollection.from_json(entry)
                for name, entry in record.records("collections").items()
            },
            branches=tuple(_branch(entry) for entry in record.items("branches")),
            fields=record.text_mapping("fields"),
            title=record.text("title") if "title" in record.fields else "",
            titles=record.text_mapping("titles") if "titles" in record.fields else {},
            cloned=_cloned(record.record("cloned")) if "cloned" in record.fields else {},
            only_root=record.texts("only_root") if "only_root" in record.fields else (),
            places=_places(record.records("places")) if "places" in record.fields else {},
            other_trees={
                name: StoredTree.from_json(entry) for name, entry in record.records("other_trees").items()
            },
            objects=tuple(
                ObjectRecord(entry.text("name"), entry.text("class"), entry.count("checksum"))
                for entry in record.items("objects")
            ),
            left_out=record.texts("left_out"),
            unreadable=record.texts("unreadable"),
            checksums=record.count_lists("checksums"),
            payload_rows=record.count("payload_rows"),
            payload_checksum=record.count("payload_checksum"),
            model_sha256=record.optional_text("model_sha256"),
            stored_model_sha256=record.optional_text("stored_model_sha256"),
            bytes=Sizes(
                *(
                    sizes.count(name)
                    for name in ("file_original", "original", "file_compressed", "compressed")
                )
            ),
            origin=Origin.from_json(record.fields.get("origin")),
        )
        header._check()
        return header

    def _check(self) -> None:
        """Check what several fields say together."""
        if not self.collections:
            raise MalformedError("it has no collection")
        names = {branch.name for branch in self.branches}
        for name, coded in self.collections.items():
            if coded.collection.name != name:
                raise MalformedError(f"collection {name!r} has another name inside")
            if not {*coded.branches} <= names:
                raise MalformedError(f"collection {name!r} codes branches that the file does not give back")
            if (self.codec == "latent") != bool(coded.latents):
                raise MalformedError(f"collection {name!r} has latents without a model, or the reverse")
            if self.codec == "bounded" and coded.bounds is None:
                raise MalformedError(f"collection {name!r} has neither latents nor bounds")
            if self.cloned and not {*coded.branches} <= self.places.keys():
                raise MalformedError(f"collection {name!r} codes branches that do not say where they stood")
        if self.cloned and not {self.tree} <= self.cloned.keys() <= {self.tree, *self.other_trees}:
            raise MalformedError("what was cloned are not the trees that it has")

    @staticmethod
    def added(headers: Sequence[Header]) -> Header:
        """Give the header of parts joined: the first one's, with counts and bytes added up."""
        first = headers[0]
        collections = {
            name: replace(
                coded,
                jets=sum(header.collections[name].jets for header in headers),
                outside=sum(header.collections[name].outside for header in headers),
                replaced={
                    column: sum(header.collections[name].replaced.get(column, 0) for header in headers)
                    for column in dict.fromkeys(
                        column for header in headers for column in header.collections[name].replaced
                    )
                },
            )
            for name, coded in first.collections.items()
        }
        sizes = Sizes(
            sum(header.bytes.file_original for header in headers),
            sum(header.bytes.original for header in headers),
        )
        events = sum(header.events for header in headers)
        origin = Origin.joined([header.origin for header in headers])
        return replace(first, events=events, collections=collections, bytes=sizes, origin=origin)


def by_column(collections: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What there is by column: of one collection by its name, of several by ``Collection.column``."""
    if len(collections) == 1:
        return dict(next(iter(collections.values())))
    return {
        f"{collection}.{name}": value
        for collection, found in collections.items()
        for name, value in found.items()
    }


def _cloned(record: Record) -> dict[str, dict[str, list[int]]]:
    return {name: record.count_lists(name) for name in record.fields}


def _places(records: Mapping[str, Record]) -> dict[str, tuple[str, str, int]]:
    found = {}
    for name, record in records.items():
        values = record.value
        if not isinstance(values, list) or [type(value) for value in values] != [str, str, int]:
            raise MalformedError(f"it does not say where branch {name!r} stood")
        found[name] = (values[0], values[1], values[2])
    return found


def _branch(record: Record) -> Branch:
    values = record.value
    if not isinstance(values, list) or len(values) not in (5, 6):
        raise MalformedError("a branch is not described by five or six values")
    name, dtype, jagged, counter, shape, *further = values
    if not (
        isinstance(name, str)
        and (dtype is None or isinstance(dtype, str))
        and isinstance(jagged, bool)
        and (counter is None or isinstance(counter, str))
        and isinstance(shape, list)
        and len(shape) <= _MOST_DIMENSIONS
        and all(type(size) is int and 0 <= size < 2**31 for size in shape)
        and all(isinstance(text, str) for text in further)
    ):
        raise MalformedError(f"branch {name!r} is described by values of the wrong type")
    kind = None if dtype is None else _dtype(dtype)
    return Branch(name, kind, jagged, counter, tuple(shape), *further)


def _dtype(text: str) -> np.dtype[Any]:
    """Type of numbers; anything else is refused."""
    try:
        dtype = np.dtype(text)
    except TypeError:
        raise MalformedError(f"{text!r} is not a type of numbers") from None
    if dtype.kind not in "fiub" or dtype.itemsize > 8 or dtype.shape:
        raise MalformedError(f"{text!r} is not a type of numbers")
    return dtype
