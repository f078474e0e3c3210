"""hepae: jets made smaller, with the price measured.

The public names are loaded on first use, so that importing hepae imports neither torch nor matplotlib nor coffea.
"""

from __future__ import annotations

from importlib import import_module, metadata
from typing import Any

_HOMES = {
    "Bound": "hepae.bounds",
    "BoundedCodec": "hepae.codecs.bounded",
    "AutoencoderConfig": "hepae.models.autoencoder",
    "CodecError": "hepae.errors",
    "CompressedFile": "hepae.codecs.compressed",
    "ConfigError": "hepae.errors",
    "HepaeError": "hepae.errors",
    "InputError": "hepae.errors",
    "LatentCodec": "hepae.codecs.latent",
    "OutputError": "hepae.errors",
    "TrainingConfig": "hepae.models.training",
    "TrainingResult": "hepae.codecs.latent",
    "compress_file": "hepae.codecs.files",
    "decompress_file": "hepae.codecs.files",
    "iterate_jets": "hepae.io.readers",
    "load_codec": "hepae.codecs.latent",
    "open": "hepae.codecs.compressed",
    "read_jets": "hepae.io.readers",
    "residuals": "hepae.validation.residuals",
    "restore": "hepae.processors",
    "restored": "hepae.processors",
    "train": "hepae.codecs.latent",
}

__all__ = sorted(_HOMES)  # one place for a name and its home
__version__ = metadata.version("hepae")


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'hepae' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
