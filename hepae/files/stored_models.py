"""Models that a compressed file holds, one for each part; a process loads each of them once."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import awkward as ak

from hepae.errors import InputError
from hepae.io.guards import reading

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hepae.files.header import CodedCollection
    from hepae.files.parts import Parts
    from hepae.io.locations import Location
    from hepae.latent.codec import LatentCodec

_LOADED: dict[str, LatentCodec] = {}
"""Models that this process has loaded, by checksum: a worker opens many files, and one of them chunk after chunk."""
_MOST_LOADED = 8


class StoredModels:
    """Models of the parts of a file, each covering a range of its events.

    Parameters
    ----------
    parts
        Parts of the file, in their order.
    path
        The file, for errors.
    """

    def __init__(self, parts: Parts, path: Location):
        self.parts, self._path = parts, path
        self._codecs: dict[int, LatentCodec] = {}

    def codec(self, part: int) -> LatentCodec:
        """Codec of one part.

        Raises
        ------
        InputError
            If the model's checksum is not the one in the header.
        """
        if part not in self._codecs:
            model = self.parts[part].model
            checksum = hashlib.sha256(model).hexdigest()
            if checksum != self.parts[part].header.stored_model_sha256:
                raise InputError(f"{self._path} is damaged: checksum mismatch in its model")
            if checksum not in _LOADED:
                from hepae.latent.codec import LatentCodec  # torch: only where there is a network

                while len(_LOADED) >= _MOST_LOADED:
                    _LOADED.pop(next(iter(_LOADED)))
                _LOADED[checksum] = LatentCodec.from_bytes(model, f"the model in {self._path}")
            self._codecs[part] = _LOADED[checksum]
        return self._codecs[part]

    def latents(self, coded: CodedCollection, stored: Mapping[str, ak.Array]) -> ak.Array:
        """Latents of a collection as records, of the stored branches."""
        with reading(self._path):  # lists of different lengths are damage
            return ak.zip({f"z{i}": stored[name] for i, name in enumerate(coded.latents)})
