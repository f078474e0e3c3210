"""The model file: safetensors, with a JSON header in its metadata."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors.numpy

from hepae.errors import CodecError, InputError
from hepae.io.guards import reading, reason
from hepae.io.rootfiles import file_kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hepae.io.locations import Location
    from hepae.latent.autoencoder import AutoencoderConfig

FORMAT_VERSION = 1


def pack_model(header: dict[str, Any], tensors: dict[str, NDArray[Any]]) -> bytes:
    """Make a model of its header and tensors; the inverse is `unpack_model`. Equal content gives equal bytes."""
    text = json.dumps({"format_version": FORMAT_VERSION, **header}, sort_keys=True)
    contiguous = {name: np.ascontiguousarray(tensor) for name, tensor in sorted(tensors.items())}
    return safetensors.numpy.save(contiguous, metadata={"hepae": text})


def unpack_model(data: bytes, where: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Give header and tensors of a model; ``where`` names it in errors.

    Raises
    ------
    InputError
        If it is damaged, or was written by a later format.
    """
    try:
        (length,) = struct.unpack_from("<Q", data)
        header = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["hepae"])
        tensors = safetensors.numpy.load(data)
    except (
        struct.error,
        ValueError,
        KeyError,
        TypeError,
        RecursionError,
        safetensors.SafetensorError,
    ) as error:
        raise InputError(
            f"{where} is not a hepae model, or it is damaged ({reason(error)}); hepae train makes models"
        ) from None
    if not isinstance(header, dict):
        raise InputError(f"{where} is not a hepae model, or it is damaged (its header is not a JSON object)")
    check_version(header, FORMAT_VERSION, where)
    return header, tensors


def read_model(path: Location) -> bytes:
    """Bytes of a model file.

    Raises
    ------
    InputError
        If there is none, or it is a file of another kind.
    """
    if (kind := file_kind(path)) not in ("a model file", "a file of unknown kind"):
        raise InputError(f"{path} is {kind}, not a hepae model; hepae train makes models")
    with reading(path):
        return path.read_bytes()


def check_version(header: dict[str, Any], known: int, where: str) -> None:
    """Refuse what a later version wrote.

    Raises
    ------
    InputError
        If the format is newer than this program knows.
    """
    version = header.get("format_version")
    if version != known:
        raise InputError(f"{where} has format version {version}, this hepae reads {known}; upgrade hepae")


def check_shapes(tensors: Mapping[str, NDArray[Any]], columns: int, config: AutoencoderConfig) -> None:
    """Compare the layers that a header claims with the tensors in the file, before any memory is taken for the network.

    Raises
    ------
    CodecError
        If the weights have other shapes than the header says, or are not numbers of a network.
    """
    expected = {f"{part}.": sorted(shapes) for part, shapes in config.layer_shapes(columns).items()}
    if not any(name.startswith("encoder.") for name in tensors):
        del expected["encoder."]  # of a compressed file
    for part, shapes in expected.items():
        weights = (tensor.shape for name, tensor in tensors.items() if name.startswith(part))
        if sorted(shape for shape in weights if len(shape) == 2) != shapes:
            raise CodecError(f"the tensors {part}* are not those of a network of {len(shapes)} such layers")
    if any(tensor.dtype not in (np.float32, np.int64) for tensor in tensors.values()):
        raise CodecError("weights are not in float32")


def read_latent_range(ends: Any, latents: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Smallest and largest value of each latent, checked, from the header of a model.

    Raises
    ------
    CodecError
        If these are not two lists of finite numbers.
    """
    if not isinstance(ends, list) or len(ends) != 2:
        raise CodecError("latent_range is not two lists of numbers")
    for values in ends:
        if not isinstance(values, list) or len(values) != latents:
            raise CodecError(f"latent_range does not have {latents} numbers at each end")
        if not all(type(value) in (int, float) and abs(value) < 1e38 for value in values):
            raise CodecError("latent_range is not of finite numbers")
    low, high = (tuple(map(float, values)) for values in ends)
    return low, high
