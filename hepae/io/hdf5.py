"""HDF5 files as sources of named columns."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np

from hepae.errors import InputError
from hepae.io.guards import Memory
from hepae.io.layouts import UNNAMED, find_layout
from hepae.io.sources import entries_in, native_type
from hepae.io.tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray


class Hdf5Table(Table):
    """Datasets of an HDF5 file: structured ones, one a column, or numbers with the names of their columns beside them.

    A dataset ``data`` beside ``labels`` (or pandas' ``block0_values`` beside ``block0_items``) of the group ``jets``
    has branches ``jets.NAME``; what has a further dimension is a list an event.
    """

    def __init__(self, path: Path, *, unit: str | None = None):
        try:
            import h5py
        except ImportError:
            raise InputError(f"{path} is an HDF5 file; install h5py: pip install 'hepae[hdf5]'") from None
        super().__init__(path, "hdf5", unit)
        self._file = h5py.File(path, "r")
        self._columns: dict[str, tuple[Any, str | int | None]] = {}
        datasets: dict[str, Any] = {}
        links: dict[str, Any] = {}
        self._file.visititems_links(lambda name, link: links.update({name: link}))
        for name, link in links.items():
            if isinstance(link, h5py.ExternalLink):
                raise InputError(
                    f"cannot read {path}: {name!r} is a link into another file; copy what it names into this one"
                )
        self._file.visititems(
            lambda name, item: datasets.update({name: item}) if hasattr(item, "dtype") else None
        )
        memory = Memory(path)
        for name, data in datasets.items():
            if data.is_virtual or data.external:
                raise InputError(
                    f"cannot read {path}: dataset {name!r} has its values in another file; copy them into one file"
                )
            memory.take(data.nbytes or 0)
        labels = {name: _labels(datasets, name) for name in datasets}
        used = {beside for beside, _ in labels.values() if beside}
        found = {name: data for name, data in datasets.items() if name not in used and data.shape}
        for name, data in found.items():
            self._add_dataset(name, data, labels[name][1], len(found))
        self._keep_one_length()
        self._free_counters()
        self._find_counters()

    def _add_dataset(self, name: str, data: Any, labels: list[str], datasets: int) -> None:
        members = data.dtype.names or (labels if labels and data.ndim > 1 else ())
        path = [part for part in name.split("/") if part not in ("data", "table") and "_values" not in part]
        if not members:
            self._add_column(".".join(name.split("/")), data, None, data.shape[1:], data.dtype)
            return
        base = ".".join(path) if data.dtype.names is None or datasets > 1 else ""
        for i, member in enumerate(members):
            own, shape = (
                (data.dtype[member], data.shape[1:]) if data.dtype.names else (data.dtype, data.shape[1:-1])
            )
            inner = own.subdtype[1] if own.subdtype else ()
            column = f"{base}.{member}" if base else str(member)
            which = member if data.dtype.names else i
            counter = f"n{base or UNNAMED}" if shape else None
            self._add_column(column, data, which, (*shape, *inner), own.base, counter)

    def _add_column(
        self,
        name: str,
        data: Any,
        member: str | int | None,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        counter: str | None = None,
    ) -> None:
        import h5py

        inner = h5py.check_vlen_dtype(dtype)
        text = h5py.check_string_dtype(dtype) is not None
        form: Any
        if text:
            form = ak.forms.from_type(ak.types.from_datashape("string", highlevel=False))
        elif isinstance(inner, np.dtype) and inner.kind in "biuf":
            form = ak.forms.ListOffsetForm("i64", ak.forms.NumpyForm(native_type(inner).name))
        elif dtype.kind in "biuf":
            form = ak.forms.NumpyForm(native_type(dtype).name)
            for size in reversed(shape[1:] if counter else shape):
                form = ak.forms.RegularForm(form, size)
            form = ak.forms.ListOffsetForm("i64", form) if counter else form
        else:
            self.unreadable = (*self.unreadable, name)
            return
        self._columns[name] = data, member
        self._add(name, form, counter)

    def _keep_one_length(self) -> None:
        """Of datasets of different length keep those with jets, else the longest: the others are another table."""
        lengths = {name: len(data) for name, (data, _) in self._columns.items()}
        with_jets = {}
        for length in sorted({*lengths.values()}):
            branches = {n: b for n, b in self.branches.items() if lengths[self._fields[n][0]] == length}
            with_jets[length] = len(find_layout(branches).collections)
        self.num_entries = max(with_jets, key=lambda length: (with_jets[length], length), default=0)
        others = [name for name, length in lengths.items() if length != self.num_entries]
        self.unreadable = (*self.unreadable, *others)
        self.branches = {n: b for n, b in self.branches.items() if self._fields[n][0] not in others}

    def columns(self, names: Iterable[str], entry_start: int, entry_stop: int) -> Mapping[str, ak.Array]:
        """Rows of columns by their name in the file."""
        read: dict[str, Any] = {}
        result = {}
        for name in names:
            data, member = self._columns[name]
            if data.name not in read:
                read[data.name] = data[entry_start:entry_stop]
            values = read[data.name]
            if member is not None:
                values = values[member] if isinstance(member, str) else values[..., member]
            result[name] = self._array(name, values)
        return result

    def _array(self, name: str, values: NDArray[Any]) -> ak.Array:
        branch = next(b for b in self.branches.values() if self._fields[b.name][0] == name)
        if branch.type.endswith("string"):
            return ak.Array(
                [v.decode(errors="replace") if isinstance(v, bytes) else str(v) for v in values.tolist()]
            )
        if values.dtype.kind == "O":  # lists of any length
            counts = np.array([len(value) for value in values], np.int64)
            kind = branch.dtype or np.dtype(np.float64)
            flat = np.concatenate([np.zeros(0, kind), *(value.astype(kind) for value in values)])
            return ak.unflatten(flat, counts)
        array = ak.Array(np.ascontiguousarray(values, native_type(values.dtype)))
        return ak.from_regular(array, axis=1) if branch.jagged else array

    def entries_per_step(self, step_size: str | int) -> int:
        """How many rows take this much memory."""
        datasets = {data.name: data for data, _ in self._columns.values()}
        return entries_in(step_size, sum(int(data.nbytes) for data in datasets.values()), self.num_entries)

    def stored_bytes(self, name: str) -> int:
        """Bytes that a column takes in the file: its share of its dataset."""
        data, _ = self._columns[self._fields[name][0]]
        share: int = sum(own == data for own, _ in self._columns.values())
        return int(data.id.get_storage_size()) // share

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _labels(datasets: Mapping[str, Any], name: str) -> tuple[str, list[str]]:
    """Names of the columns of a dataset of numbers, and the dataset beside it which has them ("" for an attribute)."""
    data = datasets[name]
    folder, _, own = name.rpartition("/")
    beside = (
        {f"block{own[5:-7]}_items"}
        if re.fullmatch(r"block\d+_values", own)
        else {"labels", "columns", "names"}
    )
    for other, texts in datasets.items():
        if other.rpartition("/")[0] == folder and other.rpartition("/")[2] in beside and other != name:
            labels = _texts(texts[()])
            if data.ndim > 1 and labels and len(labels) == data.shape[-1]:
                return other, labels
    for attribute in ("labels", "columns", "names"):
        labels = _texts(np.asarray(data.attrs.get(attribute, ())))
        if data.ndim > 1 and labels and len(labels) == data.shape[-1]:
            return "", labels
    return "", []


def _texts(values: NDArray[Any]) -> list[str]:
    if values.ndim != 1 or values.dtype.kind not in "SUO":
        return []
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values.tolist()]
