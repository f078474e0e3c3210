"""hepae makes jets in ROOT files smaller, within error bounds that a command verifies.

The public names are loaded on first use, so that importing hepae imports neither torch nor matplotlib nor coffea.
"""

from __future__ import annotations

from importlib import import_module, metadata
from typing import Any

_HOMES = {
    "Bound": "hepae.bounds",
    "BoundedCodec": "hepae.bounded.codec",
    "Bounds": "hepae.bounds",
    "AutoencoderConfig": "hepae.latent.autoencoder",
    "CodecError": "hepae.errors",
    "CompressedFile": "hepae.files.compressed",
    "ConfigError": "hepae.errors",
    "Edges": "hepae.bounds",
    "HepaeError": "hepae.errors",
    "InputError": "hepae.errors",
    "LatentCodec": "hepae.latent.codec",
    "OutputError": "hepae.errors",
    "TrainingConfig": "hepae.training.configuration",
    "TrainingResult": "hepae.training.train",
    "compare_files": "hepae.comparison",
    "compress_file": "hepae.files.compress",
    "decompress_file": "hepae.files.decompress",
    "export": "hepae.latent.onnx",
    "iterate_jets": "hepae.io.readers",
    "load_codec": "hepae.latent.codec",
    "open": "hepae.files.compressed",
    "rdataframe": "hepae.files.rdataframe",
    "read_jets": "hepae.io.readers",
    "residuals": "hepae.validation.residuals",
    "restore": "hepae.processors",
    "restored": "hepae.processors",
    "train": "hepae.training.train",
    "verify": "hepae.verification.verify",
}

__all__ = sorted(_HOMES)  # one place for a name and its home
__version__ = metadata.version("hepae")


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'hepae' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
