"""NanoEvents of a compressed file with the jets of the original, decoded on first use.

A schema makes NanoEvents of the branches that a file has. `restored` wraps a schema so that it sees the branches of
the original instead: those that were coded stand among the others in their old order, and whatever the schema builds
on them (collections, cross references, methods) comes by itself. Where a buffer would be loaded from such a branch,
its key says to decode it instead.
"""

from __future__ import annotations

import contextlib
import copyreg
import functools
import itertools
import urllib.parse
import weakref
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import awkward as ak
import uproot
from coffea.nanoevents.util import quote, unquote

from hepae.errors import ConfigError, HepaeError, InputError
from hepae.files.compressed import CompressedFile
from hepae.io.cloning import SKELETON
from hepae.io.guards import fingerprint_of
from hepae.io.ntuples import HEADER_TREE
from hepae.processors.executors import decoding
from hepae.processors.nanoevents import Opened, add_transform

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from coffea.nanoevents.schemas import BaseSchema

    from hepae.io.layouts import Branch

    Form = dict[str, Any]

_DECODE = "hepae"
"""Name of the step in a buffer's key that decodes instead of loading."""


def restore(
    events: Any,
    *,
    schema: type[BaseSchema] | None = None,
    filter_name: Callable[[str], bool] = lambda _: True,
) -> Any:
    """Restore the jets in the events of a compressed file. Nothing is decoded until a column of a jet is used.

    Call it first in a processor, before you select events or add columns. Events of a file that is not compressed are returned
    unchanged. The jets have the cross references and methods of the schema.

    In a file with bounds, only the column that is used is decoded, with the few that it is predicted from, for the clusters that
    overlap these events; latents give all columns at once. What is read of coded collections is checked; coffea reads all other
    branches itself, without a check.

    Parameters
    ----------
    events
        NanoEvents as a coffea Runner or a NanoEventsFactory makes them, of any schema.
    schema
        Schema to build; by default that of the events. PHYSLITESchema and DelphesSchema fail on a compressed file, because they need
        columns that were coded: make its events with BaseSchema, and name the other schema here.
    filter_name
        Which coded branches to restore, by their names in the original; the same as the ``filter_name`` in the
        ``iteritems_options`` of the events. All by default.

    Returns
    -------
    NanoEvents
        Events with the branches of the original file.

    Raises
    ------
    InputError
        If these are not NanoEvents, or if events were already selected; or if the installed coffea does not have the private
        members that this hepae uses.
    CodecError
        On first use, if the payload of these events is damaged.
    """
    opened = Opened.of(events)
    if type(type(opened.schema)) is _Restored:
        return events
    tree = opened.tree()
    chunk = Chunk(tree.file.file_path, *opened.identity)
    if chunk.original is None:
        return events
    base_form = opened.base_form(tree)
    chunk.original = chunk.original.only(filter_name)
    if "metadata" in events.layout.parameters:
        base_form["parameters"]["metadata"] = dict(events.metadata)
    again = restored(schema or type(opened.schema))(base_form, chunk=chunk)  # type: ignore[arg-type]  # classes are hashable
    return opened.events(again)


@functools.cache
def restored(schema: type[BaseSchema]) -> type[BaseSchema]:
    """Wrap a schema for a coffea Runner, so that an unchanged processor reads compressed files.

    ``Runner(schema=hepae.restored(NanoAODSchema), …)`` gives events as `restore` does. Files that are not compressed
    are read as usual.

    Parameters
    ----------
    schema
        NanoAODSchema, PHYSLITESchema, BaseSchema or any other.

    Returns
    -------
    type
        A schema with the same behaviour.
    """
    names = {
        "__init__": _build,
        "__doc__": f"{schema.__name__} of the file that was compressed.",
        "__module__": __name__,
        "__dask_capable__": False,  # in dask mode a schema is not told which file it is for
        "wrapped": schema,
    }
    return _Restored(f"Restored{schema.__name__}", (schema,), names)


class _Restored(type):
    """Class of the wrapped schemas; they are pickled by the schema they wrap."""

    wrapped: type[BaseSchema]

    def __reduce__(cls) -> tuple[Any, ...]:
        return restored, (cls.wrapped,)


copyreg.pickle(_Restored, _Restored.__reduce__)  # classes are pickled by name otherwise


def _build(schema: Any, base_form: Form, *args: Any, chunk: Chunk | None = None, **kwargs: Any) -> None:
    """Build a wrapped schema; it keeps the chunk alive, as events keep their schema: with them the decoded jets go."""
    wrapped = type(schema).wrapped
    schema.chunk = chunk or Chunk.of_metadata(base_form["parameters"].get("metadata") or {})
    if schema.chunk.original is None:
        wrapped.__init__(schema, base_form, *args, **kwargs)
    else:
        wrapped.__init__(schema, schema.chunk.original.base_form(base_form), *args, **kwargs)
        schema.chunk.take_over(schema.form)


@dataclass(frozen=True)
class Original:
    """What is known of the file that was compressed: its branches in order, and those that were coded with their collection.

    ``fields`` has the names in the compressed file of branches that its storage calls otherwise. Of a file with clones ``order`` has
    the names of all that stood in its tree, as uproot gives them (``Jet/Jet.PT``); ``paths`` those of the coded branches.
    """

    branches: tuple[Branch, ...]
    coded: dict[str, str]
    fields: Mapping[str, str]
    order: tuple[str, ...] = ()
    paths: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    @functools.lru_cache(maxsize=128)
    def of(cls, path: str, uuid: str) -> Self | None:  # noqa: ARG003  # another file of that name has another uuid
        """Read it of a compressed file; None where the file is not one."""
        with uproot.open({path: None}) as root:
            if HEADER_TREE not in root:
                return None
        with CompressedFile(path) as file:
            coded = {branch: name for name in file.collections for branch in file.branches_of(name)}
            branches, fields = tuple(file.original_branches), file.header.fields
            if not file.parts.cloned:
                return cls(branches, coded, fields)
            order = tuple(dict.fromkeys(file.file[SKELETON].keys()))
            paths = {path: name for name, (path, member, _) in file.header.places.items() if not member}
            return cls(branches, coded, fields, order, paths)

    def only(self, wanted: Callable[[str], bool]) -> Self:
        """Leave out the coded branches that are not wanted."""
        left_out = {path for path, name in self.paths.items() if name in self.coded and not wanted(path)}
        left_out |= {name for name in self.coded if not self.order and not wanted(name)}
        return replace(
            self,
            branches=tuple(branch for branch in self.branches if branch.name not in left_out),
            order=tuple(path for path in self.order if path not in left_out),
        )

    def base_form(self, found: Form) -> Form:
        """Form of the original's tree, made of that of the compressed one."""
        stored = dict(zip(found["fields"], found["contents"], strict=True))
        forms = {}
        described = {branch.name: branch for branch in self.branches}
        for path in self.order:
            if path in stored:
                forms[path] = stored[path]
            elif path in self.paths:
                forms[path] = _form(replace(described[self.paths[path]], name=path))
        if self.order:
            return {**found, "fields": [*forms], "contents": [*forms.values()]}
        for branch in self.branches:
            field = self.fields.get(branch.name, branch.name)
            if field in stored:
                forms[branch.name] = stored[field]
            elif branch.name in self.coded:
                forms[branch.name] = _form(branch)
        return {**found, "fields": [*forms], "contents": [*forms.values()]}


def _form(branch: Branch) -> Form:
    """Form that coffea gives to a branch: lists or numbers, with keys to load them by."""
    assert branch.dtype is not None
    key = f"{branch.name},!load"
    numbers = {
        "class": "NumpyArray",
        "primitive": branch.dtype.name,
        "inner_shape": list(branch.shape),
        "parameters": {},
    }
    if not branch.jagged:
        return {**numbers, "form_key": quote(key)}
    content = {**numbers, "form_key": quote(f"{key},!content")}
    return {
        "class": "ListOffsetArray",
        "offsets": "i64",
        "content": content,
        "parameters": {},
        "form_key": quote(key),
    }


class Chunk:
    """A range of events of a file; coded branches are decoded on first use, all of a collection at once.

    Parameters
    ----------
    path, uuid
        The file, and its identity as ROOT has it.
    start, stop
        Its events.
    """

    _alive: ClassVar[weakref.WeakValueDictionary[str, Chunk]] = weakref.WeakValueDictionary()

    def __init__(self, path: str, uuid: str, start: int, stop: int):
        self.path, self.uuid, self.start, self.stop = path, uuid, start, stop
        # A key's steps are separated by commas.
        self.token = ":".join(urllib.parse.quote(str(part), safe="") for part in (path, uuid, start, stop))
        self.original = Original.of(path, uuid)
        self._decoded: dict[str, ak.Array] = {}
        self._file: CompressedFile | None = None
        self._alive[self.token] = self

    @classmethod
    def of_metadata(cls, metadata: dict[str, Any]) -> Self:
        """Find it in the metadata that a Runner gives.

        Raises
        ------
        ConfigError
            If they do not say the file.
        """
        try:
            file, entries = (metadata["filename"], metadata["fileuuid"]), ("entrystart", "entrystop")
            return cls(*file, *(int(metadata[name]) for name in entries))
        except KeyError as error:
            raise ConfigError(
                f"a restored schema needs to know the file: its metadata has no {error.args[0]!r}, which a coffea Runner gives; "
                "with NanoEventsFactory.from_root alone use hepae.restore(events)"
            ) from None

    @classmethod
    def of_token(cls, token: str) -> Chunk:
        """Give the chunk that a buffer's key names, anew if its events are gone."""
        path, uuid, start, stop = (urllib.parse.unquote(part) for part in token.split(":"))
        return cls._alive.get(token) or cls(path, uuid, int(start), int(stop))

    def take_over(self, form: Form) -> None:
        """Change the keys in a form: what loads a coded branch decodes this chunk, and others are loaded by their name in the file."""
        assert self.original is not None
        if form.get("form_key"):
            steps = unquote(form["form_key"]).split(",")
            for i, (name, step) in enumerate(itertools.pairwise(steps)):
                own = self.original.paths.get(name, name)
                if step == "!load" and own in self.original.coded:
                    steps[i : i + 2] = [f"{self.token}|{own}", f"!{_DECODE}"]
                elif step == "!load":
                    steps[i] = self.original.fields.get(name, name)
            form["form_key"] = quote(",".join(steps))
        contents = form["contents"] if "contents" in form else [form["content"]] if "content" in form else []
        for content in contents:
            self.take_over(content)

    def array(self, branch: str) -> ak.Array:
        """Give a branch of a coded collection in the type and unit of the original."""
        assert self.original is not None
        if branch not in self._decoded:
            collection = self.original.coded[branch]
            with self._opened() as file, decoding(file):
                # A network gives all columns at once.
                together = file.branches_of(collection) if file.header.codec == "latent" else [branch]
                self._decoded |= file.arrays(collection, self.start, self.stop, branches=together)
        return self._decoded[branch]

    @contextlib.contextmanager
    def _opened(self) -> Iterator[CompressedFile]:
        """Give the file of these events, which is opened once: its records take longer to read than a column.

        Raises
        ------
        InputError
            If another file has taken its place.
        """
        if self._file is None:
            self._file = CompressedFile(self.path)
            weakref.finalize(self, self._file.close)
        self._require_same(self._file)
        try:
            yield self._file
        except HepaeError:
            self._require_same(self._file)  # a file that was replaced looks damaged
            raise
        self._require_same(self._file)

    def _require_same(self, file: CompressedFile) -> None:
        if str(file.file.file.uuid) != self.uuid or fingerprint_of(file.path) != file.fingerprint:
            raise InputError(f"{self.path} was replaced after these events were opened: open them again")


def _decode(stack: list[Any]) -> None:
    """Step of a buffer's key, as coffea's transforms are: the name of a coded branch is replaced by its array."""
    token, _, name = stack.pop().partition("|")
    layout = ak.to_layout(Chunk.of_token(token).array(name))
    stack.append(ak.Array(layout.to_ListOffsetArray64(True) if layout.is_list else layout))


add_transform(_DECODE, _decode)
