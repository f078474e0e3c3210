"""Rate–distortion: what jets cost in bytes, and what that does to them, for every way to make them smaller.

All integers go through pcodec, the best coder of integers that is at hand: bytes are of the streams alone, without a file's own
and without a model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np
from benchmarks.ours import flat_momenta
from benchmarks.quantized import pco

import hepae
from hepae import kinematics
from hepae.latent.features import FeatureMap
from hepae.latent.integers import LatentIntegers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

BITS = range(2, 17)
NAMES = {"physics": "physics", "minmax": "[0, 1]"}
"""What figures call a basis."""
BOUND_SCALES = (0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 200)
"""Of the standard bounds (pt 0.1 %, eta and phi 0.001, mass 1 % + 1 MeV)."""


@dataclass(frozen=True)
class Point:
    """Jets as one way restores them: its family and setting, bytes a jet, and the jets."""

    family: str
    setting: str
    bytes_per_jet: float
    restored: ak.Array


@dataclass(frozen=True)
class PCA:
    """Principal components of features, as the linear network of the same size would find them.

    Components are by the eigenvectors of the covariance of the training jets' features.
    """

    mean: FloatArray
    components: FloatArray
    """Of shape (size, columns), orthonormal rows."""

    @classmethod
    def fit(cls, features: NDArray[Any], size: int) -> PCA:
        """Fit to features of shape (jets, columns)."""
        matrix = features.astype(np.float64)
        _, vectors = np.linalg.eigh(np.cov(matrix.T))  # in ascending order of the variance
        return cls(matrix.mean(axis=0), vectors[:, ::-1][:, :size].T)

    def forward(self, features: NDArray[Any]) -> FloatArray:
        """Features to components, of shape (jets, size); the inverse is `inverse`."""
        return (features - self.mean) @ self.components.T

    def inverse(self, components: NDArray[Any]) -> FloatArray:
        """Components to features."""
        return components @ self.components + self.mean

    def loss(self, features: NDArray[Any]) -> float:
        """Mean squared error of restored features."""
        return float(np.mean((self.inverse(self.forward(features)) - features) ** 2))


def stream_bytes(integers: NDArray[Any]) -> int:
    """Bytes of integers of shape (jets, columns) by pcodec, column by column."""
    return sum(len(pco(np.ascontiguousarray(column.astype(np.int32)))) for column in integers.T)


def points(train: ak.Array, test: ak.Array, codecs: Mapping[str, hepae.LatentCodec]) -> Iterator[Point]:
    """Restore the test jets in every way; what a way has to learn, it learns on the training jets.

    Parameters
    ----------
    train, test
        Flat jets in GeV.
    codecs
        Autoencoders by the name of their family.
    """
    for family, codec in codecs.items():
        yield Point(f"{family}, float32", "32 bits", 4.0 * len(codec.latent_names), _restored(codec, test))
        for bits in BITS:
            coded = codec.with_latent_bits(bits)
            latents = coded.latents(test)
            size = stream_bytes(_matrix(latents)) / len(test)
            yield Point(f"{family}, n bits", f"{bits} bits", size, coded.jets(latents))
        for scale in BOUND_SCALES[2:6]:
            bounded = codec.with_bounds(standard_bounds(scale))
            compressed = bounded.compress(test)
            corrections = sum(cluster.nbytes for cluster in compressed.clusters)
            size = (stream_bytes(_matrix(compressed.latents)) + corrections) / len(test)
            yield Point(f"{family}, bounded", f"pt {0.1 * scale:g}%", size, bounded.decompress(compressed))
    for family, bounds_of in (("bounds", standard_bounds), ("bounds, mass as pt", equal_bounds)):
        for scale in BOUND_SCALES:
            compressed = hepae.BoundedCodec(bounds_of(scale)).compress(test)
            restored = kinematics.momenta(compressed.columns())
            yield Point(family, f"pt {0.1 * scale:g}%", compressed.nbytes / len(test), restored)
    for basis in NAMES:
        features = FeatureMap.fit(flat_momenta(train), basis)
        matrix, tested = (features.forward(flat_momenta(jets)) for jets in (train, test))
        pca = PCA.fit(matrix, 3)
        for bits in BITS:
            grid = integers_of(matrix, bits)
            integers = grid.forward(tested)
            restored = kinematics.momenta(features.inverse(grid.inverse(integers)))
            size = stream_bytes(integers) / len(test)
            yield Point(f"integers, {NAMES[basis]}", f"{bits} bits", size, restored)
            grid = integers_of(pca.forward(matrix), bits)
            integers = grid.forward(pca.forward(tested))
            restored = kinematics.momenta(features.inverse(pca.inverse(grid.inverse(integers))))
            size = stream_bytes(integers) / len(test)
            yield Point(f"PCA-3, {NAMES[basis]}", f"{bits} bits", size, restored)


def integers_of(values: NDArray[Any], bits: int) -> LatentIntegers:
    """The grid of n-bit integers over the range of values, shape (jets, columns), as that of latents is made."""
    return LatentIntegers(bits, tuple(values.min(axis=0).tolist()), tuple(values.max(axis=0).tolist()))


def _restored(codec: hepae.LatentCodec, jets: ak.Array) -> ak.Array:
    return codec.decompress(codec.compress(jets))


def _matrix(latents: ak.Array) -> NDArray[Any]:
    """Latents as an array of shape (jets, latents)."""
    return np.stack([ak.to_numpy(latents[name]) for name in latents.fields], axis=1)


def standard_bounds(scale: float) -> dict[str, str | float]:
    """The standard bounds, so many times as wide."""
    return {**equal_bounds(scale), "mass": f"{min(scale, 50):g}%+1MeV"}


def equal_bounds(scale: float) -> dict[str, str | float]:
    """Bounds of pt and eta and phi so many times the standard ones, and that of mass as pt's."""
    relative = f"{0.1 * scale:g}%"
    return {"pt": relative, "eta": 1e-3 * scale, "phi": 1e-3 * scale, "mass": f"{relative}+1MeV"}
