"""Runs of integers, and of exact floats, ↔ pcodec's bytes, in its wrapped format: a stream costs few bytes beside its content.

pcodec's format is stable and specified; ``HEADER`` says its version and is stored once a column. Of what it allows a run uses
the part that another reader is written for in a day: all modes, and as deltas none or consecutive ones.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from pcodec import ChunkConfig, DeltaSpec, ModeSpec, PagingSpec, wrapped

from hepae.errors import CodecError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hepae.bounded.bytestream import Reader, Writer

    Integers = NDArray[np.int64]

LEVEL = 9
HEADER: bytes = wrapped.FileCompressor().write_header()
_TYPES: tuple[type[np.number[Any]], ...] = (np.int16, np.int32, np.int64, np.float32, np.float64)
_RANGES = tuple((-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (16, 32, 64))
_CLASSIC, _INT_MULT, _FLOAT_MULT, _FLOAT_QUANT, _DICT = range(5)
_NO_DELTA, _CONSECUTIVE = range(2)
_AUTOMATIC = ModeSpec.auto(), DeltaSpec.auto()
_OTHERS = (
    (ModeSpec.auto(), DeltaSpec.no_op()),
    (ModeSpec.try_dict(), DeltaSpec.no_op()),
    (ModeSpec.auto(), DeltaSpec.try_consecutive(1)),
)
"""What is tried where pcodec would look back to any earlier number: a table of the numbers takes fewer bytes in the data tried."""


def write_stream(out: Writer, values: NDArray[Any], *, ordered: bool = False) -> None:
    """Write integers in the narrowest type that holds them, or floats; the inverse is `read_stream`.

    Parameters
    ----------
    ordered
        Whether neighbours may have something in common: then pcodec looks for it.
    """
    out.varint(len(values))
    if not len(values):
        return
    if values.dtype.kind == "f":
        kind = _TYPES.index(values.dtype.type)
    else:
        low, high = int(values.min()), int(values.max())
        kind = next(k for k, (least, most) in enumerate(_RANGES) if least <= low and high <= most)
    typed = values.astype(_TYPES[kind])
    data = _coded(typed, *(_AUTOMATIC if ordered else (ModeSpec.classic(), DeltaSpec.no_op())))
    if not _read_by_all(data, 8 * typed.itemsize):
        tried = [_coded(typed, mode, delta) for mode, delta in _OTHERS]
        data = min((found for found in tried if _read_by_all(found, 8 * typed.itemsize)), key=len)
    out.varint(len(_TYPES) * len(data) + kind)
    out.raw(data)


def _coded(values: NDArray[Any], mode: ModeSpec, delta: DeltaSpec) -> bytes:
    """Code numbers as one chunk of one page."""
    paging = PagingSpec.exact_page_sizes([len(values)])
    config = ChunkConfig(compression_level=LEVEL, mode_spec=mode, delta_spec=delta, paging_spec=paging)
    chunk = wrapped.FileCompressor().chunk_compressor(values, config)
    data: bytes = chunk.write_meta() + chunk.write_page(0)
    return data


def _read_by_all(data: bytes, bits: int) -> bool:
    """Whether a run of numbers of so many bits uses only what PAYLOAD.md allows of pcodec's format."""
    start = int.from_bytes(data[:16], "little")
    mode, at = start & 15, 4
    if mode == _DICT:  # its length, zeros up to a whole byte, and its numbers
        at = 32 + (start >> 4 & (2**25 - 1)) * bits
    else:
        at += {_INT_MULT: bits, _FLOAT_MULT: bits, _FLOAT_QUANT: 8}.get(mode, 0)
    delta = int.from_bytes(data[at // 8 : at // 8 + 2], "little") >> at % 8
    # the last bit of a consecutive delta says whether a mode's second number has it, too
    return (
        mode <= _DICT
        and at + 4 <= 8 * len(data)
        and (delta & 15 == _NO_DELTA or (delta & 15 == _CONSECUTIVE and not delta & 128))
    )


def read_stream(data: Reader, most: int, header: bytes) -> Integers:
    """Read up to ``most`` integers; ``header`` is pcodec's.

    Raises
    ------
    CodecError
        If they are not what was written.
    """
    values = read_values(data, most, header)
    if values.dtype.kind == "f":
        raise CodecError("damaged payload: floats where integers have to be")
    return values.astype(np.int64, copy=False)


def read_values(data: Reader, most: int, header: bytes) -> NDArray[Any]:
    """Read up to ``most`` integers or floats, in their type.

    Raises
    ------
    CodecError
        If they are not what was written.
    """
    length = data.varint(most)
    if not length:
        return np.zeros(0, np.int64)
    size, kind = divmod(data.varint(), len(_TYPES))
    stream = data.raw(size)
    values = np.zeros(length, _TYPES[kind])
    if (
        len(header) != len(HEADER)
        or header[:1] != HEADER[:1]
        or not _read_by_all(stream, 8 * values.itemsize)
    ):
        raise CodecError("damaged payload: a stream that uses what its format does not allow")
    try:
        chunk, used = _decompressor(header).chunk_decompressor(
            stream, f"{values.dtype.kind}{8 * values.itemsize}"
        )
        progress, read = chunk.read_page_into(stream[used:], length, values)
    except (RuntimeError, TypeError) as error:
        raise CodecError(f"damaged payload: {error}") from None
    if progress.n_processed != length or used + read != size:
        raise CodecError(f"damaged payload: a stream of {length} integers does not end with its bytes")
    return values


@lru_cache(maxsize=16)
def _decompressor(header: bytes) -> wrapped.FileDecompressor:
    """Reader of streams behind this header; nearly all files have the same."""
    decompressor: wrapped.FileDecompressor = wrapped.FileDecompressor.new(header)[0]
    return decompressor


class Groups:
    """Streams of several groups, handed out in the order of jets that belong to them.

    Raises
    ------
    CodecError
        If they do not hold as many integers as there are jets.
    """

    def __init__(self, data: Reader, groups: int, jets: int, header: bytes) -> None:
        parts, left = [], jets
        for _ in range(groups):
            parts.append(read_stream(data, left, header))
            left -= len(parts[-1])
        sizes = np.array([len(part) for part in parts])
        self._ends = np.cumsum(sizes)
        self._next = self._ends - sizes
        self._all = np.concatenate(parts)

    def take(self, group: NDArray[np.uint8]) -> Integers:
        """Next integers of these groups.

        Raises
        ------
        CodecError
            If a group has none left.
        """
        counts = np.bincount(group, minlength=len(self._ends))
        if np.any(self._next + counts > self._ends):
            raise CodecError("damaged payload: a group has fewer integers than jets")
        next_ones = [
            self._all[start : start + count]
            for start, count in zip(self._next.tolist(), counts.tolist(), strict=True)
        ]
        taken = np.empty(len(group), np.int64)
        taken[np.argsort(group, kind="stable")] = np.concatenate(next_ones)
        self._next = self._next + counts
        return taken


def write_groups(out: Writer, values: Integers, group: NDArray[np.uint8], groups: int) -> None:
    """Write the integers of each group as a stream; the inverse is `Groups`."""
    ends = np.cumsum(np.bincount(group, minlength=groups))
    for part in np.split(values[np.argsort(group, kind="stable")], ends[:-1]):
        write_stream(out, part)
