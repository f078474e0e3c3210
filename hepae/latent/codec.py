"""LatentCodec: jets to the latents of an autoencoder and back."""

from __future__ import annotations

import copy
import hashlib
import zlib
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np
import torch

from hepae import kinematics
from hepae.bounded.cluster import Prediction
from hepae.bounded.codec import CompressedJets, compress_clusters, flat_columns, resolve
from hepae.bounds import ENERGIES, Bounds
from hepae.errors import CodecError, ConfigError, listed
from hepae.io.outputs import atomic_output
from hepae.latent.autoencoder import Autoencoder, AutoencoderConfig, evaluate
from hepae.latent.features import FeatureMap, basis_columns
from hepae.latent.integers import BOUNDED_BITS, LatentIntegers
from hepae.latent.model_file import check_shapes, pack_model, read_latent_range, read_model, unpack_model
from hepae.latent.spectra import Spectra

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from hepae.bounds import Bound, Edges

_PARTNER = {"mass": "E", "E": "mass"}


@dataclass(frozen=True)
class StepLatents:
    """Latents of jets as records z0, z1, … in the jets' lists, and how well they represent the jets.

    ``replaced`` counts, by column, the values that the features cannot represent; ``outside`` counts the jets with latents
    that the stored type represents badly. With bounds there are none: the corrections restore these jets as well as others.
    """

    records: ak.Array
    replaced: dict[str, int]
    outside: int


class LatentCodec:
    """Codec that turns each jet into a few latents with a trained autoencoder. Without bounds it promises no largest error.

    Parameters
    ----------
    features
        Transforms of columns to features and back.
    network
        The trained autoencoder.
    latent_range
        Smallest and largest value of each latent on the training jets.
    latent_bits
        Store latents as integers with this many bits instead of float32.
    bounds
        Bounds of the columns: corrections are stored with the latents, so that every jet stays within them.
    summary
        Summary of the training, stored in the model file.
    has_encoder
        Whether the codec has an encoder; a codec that was read from a compressed file has none and can only restore.
    spectra
        Map of restored features that keeps the spectra of the training jets. Corrections to bounds do without it: they are
        smaller for what the decoder itself gives.
    """

    kind = "latent"

    def __init__(
        self,
        features: FeatureMap,
        network: Autoencoder,
        *,
        latent_range: tuple[tuple[float, ...], tuple[float, ...]],
        latent_bits: int | None = None,
        bounds: Bounds | None = None,
        summary: dict[str, Any] | None = None,
        has_encoder: bool = True,
        spectra: Spectra | None = None,
    ):
        self.features = features
        self.network = network.eval()
        self.latent_range = latent_range
        self.integers = None if latent_bits is None else LatentIntegers(latent_bits, *latent_range)
        self.bounds = bounds
        self.summary = summary or {}
        self.has_encoder = has_encoder
        self.spectra = spectra

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of a jet that the codec codes and restores."""
        return self.features.columns

    @property
    def latent_names(self) -> tuple[str, ...]:
        """Names of the latents, z0, z1 and so on."""
        return tuple(f"z{i}" for i in range(self.network.config.latent))

    @property
    def latent_dtype(self) -> np.dtype[Any]:
        """Type in which latents are stored."""
        return np.dtype(np.float32) if self.integers is None else self.integers.dtype

    @property
    def latent_types(self) -> dict[str, np.dtype[Any]]:
        """Types of the latents that are stored, by name."""
        return dict.fromkeys(self.latent_names, self.latent_dtype)

    def with_latent_bits(self, bits: int | None) -> LatentCodec:
        """Give the same codec with latents as n-bit integers, or as float32 for None."""
        return self._with(bits, self.bounds)

    def without_spectra(self) -> LatentCodec:
        """Give the same codec with nothing added to what the decoder gives."""
        plain = copy.copy(self)
        plain.spectra = None
        return plain

    def with_bounds(
        self,
        bounds: Bounds | Mapping[str, Bound | str | float] | None = None,
        edges: Mapping[str, Edges | str | float | Iterable[float]] | None = None,
    ) -> LatentCodec:
        """Give the same codec with bounds on its columns; parameters and errors are those of `BoundedCodec`.

        Latents become 6-bit integers unless you chose a number of bits: with more bits, corrections get smaller by less than the
        latents grow.
        """
        asked = bounds if isinstance(bounds, Bounds) else Bounds.parse(bounds or {}, edges or {})
        return self._with(self.integers.bits if self.integers else BOUNDED_BITS, asked)

    def _with(self, latent_bits: int | None, bounds: Bounds | None) -> LatentCodec:
        return LatentCodec(
            self.features,
            self.network,
            latent_range=self.latent_range,
            latent_bits=latent_bits,
            bounds=bounds,
            summary=self.summary,
            has_encoder=self.has_encoder,
            spectra=self.spectra,
        )

    def replaced(self, jets: ak.Array) -> dict[str, int]:
        """Number of values of each column that the features cannot represent and replace: m ≤ 0 in ``physics``, NaN and −999 for example."""
        return self.features.replaced(self._flat_columns(jets))

    def compress(self, jets: ak.Array) -> CompressedJets:
        """Compress jets to their latents; with bounds, to the latents and the corrections that keep the bounds.

        The inverse is `decompress`. The result's ``latents`` are records z0, z1, … in the jets' lists.

        Raises
        ------
        CodecError
            If the jets do not have a column of the codec.
        ConfigError
            If a bound names a column that the codec does not code or that cannot have a bound.
        """
        latents = self.latents(jets)
        if self.bounds is None:
            return CompressedJets(latents=latents)
        names = [name for name in jets.fields if name in self.columns or _PARTNER.get(name) in self.columns]
        columns, counts = flat_columns(jets[names])
        types = {name: values.dtype for name, values in columns.items()}
        bounds = resolve(self.bounds, {"jets": types})["jets"].in_unit("GeV")
        flat = ak.flatten(latents) if latents.ndim > 1 else latents
        predict = partial(self._predict_rows, flat, tuple(bounds.columns))
        return replace(compress_clusters(columns, counts, bounds, predict), latents=latents)

    def decompress(self, compressed: CompressedJets) -> ak.Array:
        """Give the jets back, in GeV, with the codec's columns; the inverse is `compress`.

        Raises
        ------
        CodecError
            If they were compressed by another codec, or the corrections are damaged.
        """
        latents = compressed.latents
        if latents is None:
            raise CodecError(
                "these jets have no latents: decompress them with the codec that compressed them"
            )
        if not compressed.names:
            return self.jets(latents)
        flat = ak.flatten(latents) if latents.ndim > 1 else latents
        columns = compressed.columns(partial(self._predict_rows, flat, self.coded))
        return _like(latents, kinematics.momenta(columns))

    @property
    def coded(self) -> tuple[str, ...]:
        """Columns that corrections can be for: the codec's own and the four-momentum in its other form."""
        return tuple(dict.fromkeys((*self.columns, *kinematics.MOMENTUM)))

    def latents(self, jets: ak.Array) -> ak.Array:
        """Give the latents of jets as records z0, z1, … in the jets' lists; the inverse is `jets`.

        Raises
        ------
        CodecError
            If the jets do not have a column of the codec, or the codec has no encoder.
        """
        return self.to_records(self.encode(jets), jets)

    def jets(self, latents: ak.Array) -> ak.Array:
        """Give the restored jets of latents, in GeV, with the codec's columns; the inverse is `latents`.

        Raises
        ------
        CodecError
            If these are not latents of this codec.
        """
        features = evaluate(self.network.decoder, self._stored(latents), len(self.columns))
        if self.spectra is not None:
            features = self.spectra(features)
        return _like(latents, self._momenta(features))

    def encode_step(self, make_jets: Callable[[], ak.Array]) -> StepLatents:
        """Give the latents of a step of events; ``make_jets`` makes the jets, in GeV.

        Raises
        ------
        CodecError
            As for `latents`.
        """
        jets = make_jets()
        encoded = self.encode(jets)
        records = self.to_records(encoded, jets)
        if self.bounds is not None:
            return StepLatents(records, {}, 0)
        return StepLatents(records, self.replaced(jets), self.outside(encoded))

    def encode(self, jets: ak.Array) -> NDArray[np.float32]:
        """Give the encoder's latents of jets, shape (jets, latent).

        Raises
        ------
        CodecError
            If the jets do not have a column of the codec, or the codec has no encoder.
        """
        if not self.has_encoder:
            raise CodecError(
                "this model comes from a compressed file and can only restore; compress with a model file"
            )
        features = torch.from_numpy(self.features.forward(self._flat_columns(jets)))
        return evaluate(self.network.encoder, features, self.network.config.latent)

    def outside(self, latents: NDArray[np.float32]) -> int:
        """Count jets whose latents the stored type represents badly: integers outside the training's range, float32 not finite."""
        if self.integers is None:
            return int(np.count_nonzero(~np.isfinite(latents).all(axis=1)))
        return int(np.count_nonzero(self.integers.outside(latents)))

    def to_records(self, latents: NDArray[np.float32], jets: ak.Array) -> ak.Array:
        """Give latents of shape (jets, latent) in the type they are stored in, as records in the jets' lists."""
        stored = latents if self.integers is None else self.integers.forward(latents)
        return _like(jets, ak.zip({name: stored[:, i] for i, name in enumerate(self.latent_names)}))

    def predict(self, latents: ak.Array | None, columns: Iterable[str], unit: str = "GeV") -> Prediction:
        """Give the decoder's prediction of columns in this unit: in float64, so that machines agree to 10⁻¹²."""
        features = evaluate(self._exact_decoder, self._stored(latents).double(), len(self.columns))
        jets = self._momenta(features)
        predicted = {name: kinematics.flat_column(jets, name).astype(np.float64) for name in columns}
        gev, checksum = kinematics.GEV[unit], 0
        for name in self.latent_names:
            checksum = zlib.crc32(kinematics.flat_column(latents, name).tobytes(), checksum)
        return Prediction(
            {name: values / gev if name in ENERGIES else values for name, values in predicted.items()},
            checksum,
        )

    def _predict_rows(self, latents: ak.Array, columns: tuple[str, ...], rows: slice) -> Prediction:
        return self.predict(latents[rows], columns)

    @cached_property
    def _exact_decoder(self) -> torch.nn.Module:
        return copy.deepcopy(self.network.decoder).double()

    def _stored(self, latents: ak.Array) -> torch.Tensor:
        """Latents of shape (jets, latent) for the decoder."""
        if not {*self.latent_names} <= {*latents.fields}:
            found = ", ".join(latents.fields) or "none"
            raise CodecError(f"this model has latents {', '.join(self.latent_names)}; found {found}")
        stored = np.stack([kinematics.flat_column(latents, name) for name in self.latent_names], axis=1)
        return torch.from_numpy(
            stored.astype(np.float32) if self.integers is None else self.integers.inverse(stored)
        )

    def _momenta(self, features: NDArray[Any]) -> ak.Array:
        """Flat jets of features."""
        columns = self.features.inverse(features)
        if "mass" in columns and "E" in columns:
            del columns["E"]
        return kinematics.momenta(columns)

    def coded_columns(self, columns: Sequence[str]) -> tuple[str, ...]:
        """Give those of a collection's columns that the model codes, such as E, or px, py, pz and E, for its four-momentum.

        Raises
        ------
        CodecError
            If a column of the codec does not exist.
        """
        momentum = kinematics.form(columns)
        whole = momentum if len(momentum) == 4 else ()
        coded: list[str] = []
        missing = []
        for name in self.columns:
            if whole and name in kinematics.MOMENTUM:
                coded += whole
            elif own := [same for same in (name, _PARTNER.get(name, name)) if same in columns]:
                coded.append(own[0])
            else:
                missing.append(name)
        if missing:
            raise self._lacking(missing, columns)
        return tuple(dict.fromkeys(coded))

    def _flat_columns(self, jets: ak.Array) -> dict[str, NDArray[np.generic]]:
        available = {*jets.fields, *kinematics.MOMENTUM}
        if missing := [name for name in self.columns if name not in available]:
            raise self._lacking(missing, jets.fields)
        return {name: kinematics.flat_column(jets, name) for name in self.columns}

    def _lacking(self, missing: Sequence[str], columns: Sequence[str]) -> CodecError:
        return CodecError(
            f"the model codes columns {listed(self.columns)}; these jets have no {listed(missing)}, "
            f"only {listed(columns)}; name columns that they have when you train (--columns)"
        )

    def to_bytes(self) -> bytes:
        """Give the codec as the content of a model file; the inverse is `from_bytes`. Equal codecs give equal bytes."""
        return self._pack(encoder=True)

    def stored_model(self) -> bytes:
        """Give the part of the codec that restores jets, as compressed files hold it; `from_bytes` reads it.

        The encoder is left out, which makes it half the size, and so are the bounds, which are in the file's own header.
        """
        return self._pack(encoder=False)

    def _pack(self, *, encoder: bool) -> bytes:
        header = {
            "codec": "latent",
            "columns": list(self.columns),
            "features": self.features.to_config(),
            "network": self.network.config.to_config(),
            "latent_range": [list(ends) for ends in self.latent_range],
            "latent_bits": self.integers.bits if self.integers else None,
            "training": self.summary,
            **(self.bounds.to_config() if self.bounds is not None and encoder else {}),
        }
        tensors = {
            name: tensor.detach().cpu().numpy()
            for name, tensor in self.network.state_dict().items()
            if encoder or not name.startswith("encoder.")
        }
        if self.spectra is not None:
            tensors |= self.spectra.to_tensors()
        return pack_model(header, tensors)

    @property
    def model_sha256(self) -> str:
        """SHA-256 of the model file that `hepae.train` gives: bounds and the number of latent bits do not change it."""
        return hashlib.sha256(self._with(None, None).to_bytes()).hexdigest()

    @classmethod
    def from_bytes(cls, data: bytes, where: str = "model") -> LatentCodec:
        """Rebuild a codec from what `to_bytes` gave; ``where`` names it in errors.

        Raises
        ------
        InputError
            If it is damaged, or was written by a later format.
        CodecError
            If it is another kind of model, or its header and its tensors do not fit together.
        """
        header, tensors = unpack_model(data, where)
        if header.get("codec") != "latent":
            raise CodecError(f"{where} holds a codec {header.get('codec')!r}, not latents")
        try:
            features = FeatureMap.from_config(header["features"])
            basis_columns(features.columns, features.basis)
            config = AutoencoderConfig.from_config(header["network"])
            check_shapes(tensors, len(features.columns), config)  # before the network takes memory
            network = Autoencoder(len(features.columns), config)
            maps = {name: tensors.pop(name) for name in [*tensors] if name.startswith("spectra.")}
            pt = features.columns.index("pt")
            state = {name: torch.from_numpy(tensor.copy()) for name, tensor in tensors.items()}
            has_encoder = any(name.startswith("encoder.") for name in state)
            (network if has_encoder else network.decoder).load_state_dict(
                state if has_encoder else {name.removeprefix("decoder."): state[name] for name in state}
            )
            return cls(
                features,
                network,
                latent_range=read_latent_range(header["latent_range"], config.latent),
                latent_bits=header["latent_bits"],
                bounds=Bounds.from_config(header) if "bounds" in header else None,
                summary=dict(header["training"]),
                has_encoder=has_encoder,
                spectra=Spectra.from_tensors(maps, len(features.columns), pt) if maps else None,
            )
        except (
            CodecError,
            ConfigError,
            AttributeError,
            KeyError,
            OverflowError,
            TypeError,
            ValueError,
            RuntimeError,
        ) as error:
            reason = " ".join(str(error).split())[:200]
            raise CodecError(f"{where} is damaged: its header and tensors do not fit ({reason})") from None

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Write the codec, with its bounds, as a model file; the inverse is `load_codec`."""
        with atomic_output(path, force=force) as temporary:
            temporary.write_bytes(self.to_bytes())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LatentCodec) and self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash(self.to_bytes())


def _like(structure: ak.Array, flat: ak.Array) -> ak.Array:
    """Flat records in the lists of another array."""
    return ak.unflatten(flat, ak.num(structure)) if structure.ndim > 1 else flat


def load_codec(path: str | Path) -> LatentCodec:
    """Read a model file; the inverse is `LatentCodec.save`."""
    path = Path(path)
    return LatentCodec.from_bytes(read_model(path), str(path))
