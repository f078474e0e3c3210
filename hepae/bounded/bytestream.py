"""Sequence of bytes with which the payload is written and read. Integers are LEB128, floats little-endian."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

from hepae.errors import CodecError

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Writer:
    """Collects bytes; the inverse is `Reader`, method by method."""

    def __init__(self) -> None:
        self._parts = bytearray()

    def varint(self, value: int) -> None:
        """Write an unsigned integer, seven bits a byte, the lowest first."""
        while value >= 0x80:
            self._parts.append(value & 0x7F | 0x80)
            value >>= 7
        self._parts.append(value)

    def float64(self, value: float) -> None:
        """Write a double."""
        self._parts += struct.pack("<d", value)

    def floats(self, values: NDArray[np.float64]) -> None:
        """Write a length and that many float32."""
        self.varint(len(values))
        self._parts += values.astype("<f4").tobytes()

    def blob(self, data: bytes) -> None:
        """Write a length and that many bytes."""
        self.varint(len(data))
        self._parts += data

    def text(self, text: str) -> None:
        """Write text as UTF-8 with its length."""
        self.blob(text.encode())

    def raw(self, data: bytes) -> None:
        """Write bytes as they are."""
        self._parts += data

    def content(self) -> bytes:
        """All that was written."""
        return bytes(self._parts)


class Reader:
    """Reads what a `Writer` wrote; a CodecError where the bytes end too early."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def varint(self, most: int = 2**64 - 1) -> int:
        """Read an unsigned integer up to ``most``."""
        value = 0
        for shift, byte in zip(range(0, 70, 7), self._data[self._at : self._at + 10], strict=False):
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                self._at += shift // 7 + 1
                if value > most:
                    raise CodecError(f"damaged payload: {value} where at most {most} makes sense")
                return value
        ended = len(self._data) - self._at < 10
        raise CodecError(f"damaged payload: {'it ends too early' if ended else 'an integer does not end'}")

    def float64(self) -> float:
        """Read a double."""
        value: float = struct.unpack("<d", self.raw(8))[0]
        return value

    def floats(self) -> NDArray[np.float64]:
        """Read a length and that many float32."""
        return np.frombuffer(self.raw(4 * self.varint()), "<f4").astype(np.float64)

    def blob(self) -> bytes:
        """Read a length and that many bytes."""
        return self.raw(self.varint())

    def text(self) -> str:
        """Read text."""
        try:
            return self.blob().decode()
        except UnicodeDecodeError:
            raise CodecError("damaged payload: a name is no text") from None

    def raw(self, length: int) -> bytes:
        """Read this many bytes."""
        if length > len(self._data) - self._at:
            raise CodecError("damaged payload: it ends too early")
        self._at += length
        return self._data[self._at - length : self._at]
