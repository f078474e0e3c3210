"""What of coffea's NanoEvents is private and used all the same, in one place; coffea offers no other way to it.

Of a `NanoEventsFactory`: ``_schema``, ``_mapping``, ``_partition_key`` and ``_mode``, since coffea 2026.1. Of its mapping:
``_column_source`` and ``_extract_base_form``. Of ``coffea.nanoevents.transforms``: that the steps of a buffer's key are looked up
there by name. Of the events' ``attrs``: ``@events_factory`` and ``@original_array``.
"""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any

from coffea.nanoevents import NanoEventsFactory, transforms
from coffea.nanoevents.util import key_to_tuple, unquote

from hepae.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MADE_FOR = "2026.9"
"""Release of coffea whose private members these are."""


@dataclass(frozen=True)
class Opened:
    """What events of a NanoEventsFactory were made of.

    ``partition_key`` names the file, the tree and the entries.
    """

    schema: Any
    mapping: Any
    partition_key: str
    mode: str

    @classmethod
    def of(cls, events: Any) -> Opened:
        """Take it of all events of a chunk.

        Raises
        ------
        InputError
            If these are no events of a NanoEventsFactory, or only some of a chunk; or if this coffea has not the members.
        """
        attrs = getattr(events, "attrs", {})
        factory = attrs.get("@events_factory")
        if not isinstance(factory, NanoEventsFactory) or "@original_array" in attrs:
            raise InputError(
                "restore takes events that a coffea Runner or NanoEventsFactory made in virtual or eager mode"
            )
        with private_members():
            opened = cls(factory._schema, factory._mapping, factory._partition_key, factory._mode)
        if len(events) != len(factory):
            raise InputError(
                f"restore takes all {len(factory)} events of the chunk and got {len(events)}: call it before selecting events"
            )
        return opened

    @property
    def identity(self) -> tuple[str, int, int]:
        """The file's uuid, and the first of its entries and the one behind the last."""
        uuid, _, entries = key_to_tuple(self.partition_key)
        start, stop = (int(entry) for entry in entries.split("-"))
        return uuid, start, stop

    def tree(self) -> Any:
        """The tree of these events, as coffea has opened it."""
        with private_members():
            uuid, treepath, _ = key_to_tuple(self.partition_key)
            return self.mapping._column_source(uuid, treepath)

    def base_form(self, tree: Any) -> dict[str, Any]:
        """Form of those branches of the tree that the schema used, as a schema takes it."""
        with private_members():
            used = {*_loaded(self.schema.form)}
            options = {"filter_name": used.__contains__}
            form: dict[str, Any] = self.mapping._extract_base_form(tree, iteritems_options=options)
        form["typenames"] = tree.typenames()
        return form

    def events(self, schema: Any) -> Any:
        """Events of the same chunk with another schema."""
        return NanoEventsFactory(schema, self.mapping, self.partition_key, mode=self.mode).events()


def _loaded(form: dict[str, Any]) -> Iterator[str]:
    """Names of the branches that the buffers of a form are loaded from."""
    steps = unquote(form.get("form_key") or "").split(",")
    yield from (name for name, step in itertools.pairwise(steps) if step == "!load")
    for content in form["contents"] if "contents" in form else [form["content"]] if "content" in form else []:
        yield from _loaded(content)


def add_transform(name: str, step: Callable[[list[Any]], None]) -> None:
    """Make ``!name`` a step of the keys of buffers."""
    setattr(transforms, name, step)


@contextlib.contextmanager
def private_members() -> Iterator[None]:
    """Say what to do where coffea has no such member any more.

    Raises
    ------
    InputError
        In place of an AttributeError.
    """
    try:
        yield
    except AttributeError as error:
        raise InputError(
            f"this hepae was made for coffea {MADE_FOR} and finds coffea {metadata.version('coffea')} ({error}); "
            f"install coffea=={MADE_FOR}.*"
        ) from error
