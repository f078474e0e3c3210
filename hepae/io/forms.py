"""Awkward forms of branches, and arrays brought into exactly such a form before they are written."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hepae.io.layouts import Branch


def form_of(branch: Branch) -> Any:
    """Awkward form of a branch."""
    if branch.dtype is None:
        return _form_of_type(branch.type)
    form: Any = ak.forms.NumpyForm(branch.dtype.name)
    for size in reversed(branch.shape):
        form = ak.forms.RegularForm(form, size)
    return ak.forms.ListOffsetForm("i64", form) if branch.jagged else form


@functools.lru_cache(maxsize=1000)
def _form_of_type(text: str | None) -> Any:
    """Awkward form of a type's text; it takes 20 ms to parse, and the branches of a file have few types."""
    return ak.forms.from_type(ak.types.from_datashape(text, highlevel=False))


def opened(layout: Any) -> tuple[NDArray[np.int64], Any]:
    """Lengths of a layout's lists, and its content cut to what they span."""
    lists = layout.to_ListOffsetArray64(start_at_zero=False)
    offsets = np.asarray(lists.offsets)
    return np.diff(offsets), lists.content[offsets[0] : offsets[-1]]


def in_form(array: ak.Array, form: Any) -> Any:
    """Layout of an array in exactly this form: one kind of list, no options, the element type."""
    return _layout_of_form(ak.to_layout(array), form)


def _layout_of_form(layout: Any, form: Any) -> Any:
    if layout.is_option:
        layout = layout.project()
    if layout.is_numpy and layout.purelist_depth > 1:
        layout = layout.to_RegularArray()
    if form.is_regular:
        content = layout.content[: layout.length * layout.size]
        return ak.contents.RegularArray(
            _layout_of_form(content, form.content),
            form.size,
            zeros_length=layout.length,
            parameters=form.parameters,
        )
    if form.is_list:
        lists = layout.to_ListOffsetArray64(start_at_zero=True)
        content = lists.content[: lists.offsets[-1]]
        return ak.contents.ListOffsetArray(
            lists.offsets, _layout_of_form(content, form.content), parameters=form.parameters
        )
    if layout.is_unknown:
        return ak.contents.NumpyArray(np.zeros(0, form.primitive))
    return ak.contents.NumpyArray(
        np.ascontiguousarray(layout.data, form.primitive), parameters=form.parameters
    )
