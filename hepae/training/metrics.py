"""EpochMetrics: the losses and residuals of an epoch, and how they are measured."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from hepae.kinematics import CENTRAL, column_residual
from hepae.latent.autoencoder import CACHED_JETS
from hepae.latent.batches import batches

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hepae.latent.autoencoder import Autoencoder
    from hepae.latent.features import FeatureMap

_RESIDUALS = 10_000
"""About how many validation jets have their residuals recorded in each epoch."""


@dataclass(frozen=True)
class EpochMetrics:
    """Losses of an epoch (mean squared errors of the features), the learning rate at its end, and the speed.

    ``p68`` is half the width of the central 68 % of the residuals of each column on the validation jets; residuals of pt,
    mass and E are relative.
    """

    epoch: int
    train_loss: float
    validation_loss: float
    test_loss: float | None
    learning_rate: float
    jets_per_s: float
    p68: dict[str, float] = field(default_factory=dict)

    def numbers(self) -> dict[str, float | None]:
        """All numbers by name, as metrics.csv and TensorBoard have them."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "p68"}
        return {**own, **{f"{name}_p68": value for name, value in self.p68.items()}}


def squared_error(model: Autoencoder, features: torch.Tensor) -> tuple[float, torch.Tensor, torch.Tensor]:
    """Sum over jets and columns of (restored − original)², and an evenly spaced sample of the jets, original and restored."""
    model.eval()
    device = next(model.parameters()).device
    total, sample = torch.zeros((), dtype=torch.float64, device=device), [(features[:0], features[:0])]
    every = math.ceil(len(features) / _RESIDUALS) or 1
    with torch.inference_mode():
        for batch in batches(features, CACHED_JETS):
            original = batch.to(device)
            restored = model(original)
            total += functional.mse_loss(restored, original, reduction="sum").double()
            sample.append((batch[::every], restored[::every].cpu()))
    before, after = zip(*sample, strict=True)
    return float(total), torch.cat(before), torch.cat(after)


def residuals(
    columns: FeatureMap, original: torch.Tensor, restored: torch.Tensor
) -> dict[str, NDArray[np.floating[Any]]]:
    """Residuals of each column, from the features of jets before and after; values that are not finite are left out."""
    before, after = columns.inverse(original.numpy()), columns.inverse(restored.numpy())
    by_column = {name: column_residual(name, before[name], after[name]) for name in columns.columns}
    return {name: values[np.isfinite(values)] for name, values in by_column.items()}


def p68(values: NDArray[np.floating[Any]]) -> float:
    """Half the width of the central 68 %: σ for a Gaussian."""
    if not values.size:
        return math.nan
    low, high = np.quantile(values, [(1 - CENTRAL) / 2, (1 + CENTRAL) / 2])
    return float(high - low) / 2
