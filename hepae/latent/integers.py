"""LatentIntegers: latents as n-bit integers and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hepae.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

BOUNDED_BITS = 6
"""Bits of a latent where corrections are stored as well."""


@dataclass(frozen=True)
class LatentIntegers:
    """Latents as n-bit integers: a uniform grid over the range that each latent had in training.

    From 7 bits on, a 32nd of the integers at each end is for latents outside that range, in steps that grow with the distance
    (d = w + c·w² steps for the w-th of them); they reach half a range further. What lies beyond them is put at the end.
    """

    bits: int
    low: tuple[float, ...]
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check the number of bits.

        Raises
        ------
        ConfigError
            If it is not from 2 to 16.
        """
        if type(self.bits) is not int or not 2 <= self.bits <= 16:
            raise ConfigError(f"latents as integers have 2 to 16 bits, got {self.bits}")

    @property
    def dtype(self) -> np.dtype[Any]:
        """The unsigned integer type that holds them."""
        return np.dtype(np.uint8 if self.bits <= 8 else np.uint16)

    @property
    def _tail(self) -> int:
        """Integers at each end that are for latents outside the range; of few integers none."""
        return (1 << self.bits) // 32 if self.bits > BOUNDED_BITS else 0

    @property
    def _last(self) -> int:
        """Number of steps within the range."""
        return (1 << self.bits) - 1 - 2 * self._tail

    @property
    def _growth(self) -> float:
        """Growth c of the steps outside the range."""
        return (self._last / 2 - self._tail) / max(self._tail, 1) ** 2

    @property
    def _grid(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lower end and step of each latent."""
        low = np.array(self.low)
        return low, np.maximum(np.array(self.high) - low, 1e-30) / self._last

    def outside(self, latents: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Jets with a latent outside the range, or one that is NaN; shape (jets,)."""
        low, step = self._grid
        steps = np.rint((latents - low) / step)
        inside: NDArray[np.bool_] = np.all((steps >= 0) & (steps <= self._last), axis=1)
        return ~inside

    def forward(self, latents: NDArray[np.float32]) -> NDArray[Any]:
        """Latents of shape (jets, latent) to integers, NaN to the middle of the range; the inverse is `inverse`."""
        low, step = self._grid
        steps = (latents - low) / step
        steps = np.where(np.isnan(steps), self._last / 2, steps)
        within = np.clip(steps, 0, self._last)
        beyond = (np.sqrt(1 + 4 * self._growth * np.abs(steps - within)) - 1) / (2 * self._growth)
        beyond = np.minimum(beyond, self._tail) * np.sign(steps - within)
        return (np.rint(within + beyond) + self._tail).astype(self.dtype)

    def inverse(self, integers: NDArray[Any]) -> NDArray[np.float32]:
        """Integers to latents."""
        low, step = self._grid
        steps = integers.astype(np.float64) - self._tail
        within = np.clip(steps, 0, self._last)
        beyond = steps - within
        beyond += self._growth * beyond * np.abs(beyond)
        return ((within + beyond) * step + low).astype(np.float32)
