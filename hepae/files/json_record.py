"""JSON objects read field by field, with the type of every value checked."""

from __future__ import annotations

from typing import Any


class MalformedError(ValueError):
    """JSON that does not have the fields, or the types of values, that it has to have."""


class Record:
    """A value of JSON, and what its fields have to be. Every method raises `MalformedError` where a field is not that."""

    def __init__(self, value: Any, name: str = "header"):
        self.value, self._name = value, name

    def _get(self, key: str, kind: type, what: str) -> Any:
        if key not in self.fields:
            raise MalformedError(f"{self._name} has no {key!r}")
        value = self.fields[key]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise MalformedError(f"{key!r} of {self._name} is not {what}")
        return value

    @property
    def fields(self) -> dict[str, Any]:
        """The object's fields by name."""
        if not isinstance(self.value, dict):
            raise MalformedError(f"{self._name} is not an object")
        return self.value

    def text(self, key: str) -> str:
        """A text."""
        return str(self._get(key, str, "a text"))

    def optional_text(self, key: str) -> str | None:
        """A text or null."""
        return None if self.fields.get(key, "") is None else self.text(key)

    def choice(self, key: str, choices: tuple[str, ...]) -> str:
        """One of these texts."""
        if (text := self.text(key)) not in choices:
            raise MalformedError(f"{key!r} of {self._name} is none of {', '.join(choices)}")
        return text

    def boolean(self, key: str) -> bool:
        """True or false."""
        return bool(self._get(key, bool, "true or false"))

    def count(self, key: str) -> int:
        """A whole number from 0 to 2⁶³ − 1."""
        number = self._get(key, int, "a whole number")
        if not 0 <= number < 2**63:
            raise MalformedError(f"{key!r} of {self._name} is not a count")
        return int(number)

    def texts(self, key: str | int) -> tuple[str, ...]:
        """A list of texts under this name; for a number, the value itself has to be a list of so many texts."""
        values = self.value if isinstance(key, int) else self._get(key, list, "a list")
        if (
            not isinstance(values, list)
            or (isinstance(key, int) and len(values) != key)
            or not all(isinstance(value, str) for value in values)
        ):
            raise MalformedError(f"{key!r} of {self._name} is not a list of texts")
        return tuple(values)

    def items(self, key: str) -> list[Record]:
        """A list of anything."""
        return [Record(value, f"{key!r}") for value in self._get(key, list, "a list")]

    def mapping(self, key: str) -> dict[str, Any]:
        """An object with any values."""
        return dict(self._get(key, dict, "an object"))

    def record(self, key: str) -> Record:
        """An object that is read field by field."""
        return Record(self._get(key, dict, "an object"), f"{key!r}")

    def records(self, key: str) -> dict[str, Record]:
        """Objects by name, each read field by field."""
        return {name: Record(value, f"{key}.{name}") for name, value in self.mapping(key).items()}

    def text_mapping(self, key: str) -> dict[str, str]:
        """Texts by name."""
        found = self.mapping(key)
        if not all(isinstance(value, str) for value in found.values()):
            raise MalformedError(f"{key!r} of {self._name} holds something other than texts")
        return found

    def counts(self, key: str) -> dict[str, int]:
        """Counts by name."""
        record = self.record(key)
        return {name: record.count(name) for name in record.fields}

    def count_lists(self, key: str) -> dict[str, list[int]]:
        """Lists of counts by name."""
        found = self.mapping(key)
        for name, values in found.items():
            if not isinstance(values, list) or not all(type(v) is int and 0 <= v < 2**63 for v in values):
                raise MalformedError(f"{name!r} in {key!r} of {self._name} is not a list of counts")
        return found
