"""Codec: the interface of `BoundedCodec` and `LatentCodec`, and all that `hepae.files` knows about a codec."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import awkward as ak
    import numpy as np

    from hepae.bounded.cluster import Prediction
    from hepae.bounded.codec import CompressedJets
    from hepae.bounds import Bounds
    from hepae.latent.codec import StepLatents


class Codec(Protocol):
    """Compresses jets, in memory or step by step into a file.

    A codec stores latents of the jets, or integers within bounds, or both: then the integers are the corrections to what the
    latents predict.
    """

    @property
    def kind(self) -> str:
        """Name of the codec in the header of a compressed file: ``bounded`` or ``latent``."""
        ...

    @property
    def bounds(self) -> Bounds | None:
        """Bounds that the restored jets keep, as they were asked for; None for a codec that promises none."""
        ...

    @property
    def latent_types(self) -> Mapping[str, np.dtype[Any]]:
        """Types of the latents that are stored, by name; empty for a codec without latents."""
        ...

    @property
    def model_sha256(self) -> str | None:
        """SHA-256 of the codec's model file; None for a codec without a model."""
        ...

    def compress(self, jets: ak.Array) -> CompressedJets:
        """Compress jets in memory; the inverse is `decompress`."""
        ...

    def decompress(self, compressed: CompressedJets) -> ak.Array:
        """Give the jets back, in GeV; the inverse is `compress`."""
        ...

    def coded_columns(self, columns: Sequence[str]) -> tuple[str, ...]:
        """Give those of a collection's columns that are coded.

        Raises
        ------
        CodecError
            If a column that the codec needs does not exist.
        """
        ...

    def encode_step(self, make_jets: Callable[[], ak.Array]) -> StepLatents | None:
        """Give the latents of a step of events, None for a codec without latents; ``make_jets`` makes the jets, in GeV."""
        ...

    def predict(self, latents: ak.Array | None, columns: Iterable[str], unit: str) -> Prediction | None:
        """Give what the latents of a cluster predict of its columns, in this unit; None for a codec without latents."""
        ...

    def stored_model(self) -> bytes:
        """Give the model that a compressed file needs to be read back; empty for a codec without a model."""
        ...

    def to_bytes(self) -> bytes:
        """Give the whole codec as bytes; the inverse is `from_bytes`."""
        ...

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Rebuild a codec from what `to_bytes` gave."""
        ...
