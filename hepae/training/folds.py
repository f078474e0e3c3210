"""FoldedStart: latents to begin with, for a network that has to fold."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

ROWS = 8
"""Times the surface of the latents crosses the jets: more are finer, and harder to learn."""
_ACROSS, _ALONG, _ENDS = 2.5, 4.0, 2.0
"""Standard deviations that the rows cover across and along them, and the latent at the ends of all of them."""

_JETS = 100_000
"""About how many jets the components are fitted to."""


@dataclass(frozen=True)
class FoldedStart:
    """Latents made by hand: the leading principal components, of which the two smallest share one latent.

    That latent follows one component in rows, back and forth, and goes on to the next row in the other component. A network
    that learns such latents first, and is then trained as a whole, ends with a lower loss than one that has to find folds.

    ``axes`` of shape (columns, latents + 1) give the components in standard deviations, the smallest first; ``std`` is that of
    the features.
    """

    mean: torch.Tensor
    std: torch.Tensor
    axes: torch.Tensor

    @classmethod
    def fit(cls, features: torch.Tensor, latents: int) -> FoldedStart:
        """Fit the components to features of shape (jets, columns), with fewer latents than columns."""
        features = features[:: math.ceil(len(features) / _JETS)]
        variances, vectors = torch.linalg.eigh(torch.cov(features.T.double()))
        axes = vectors / variances.clamp_min(1e-12).sqrt()
        std = features.std(dim=0)
        return cls(features.mean(dim=0), torch.where(std > 0, std, 1.0), axes[:, -latents - 1 :].float())

    def to(self, device: torch.device) -> FoldedStart:
        """Give the same on another device."""
        return FoldedStart(self.mean.to(device), self.std.to(device), self.axes.to(device))

    def latents(self, features: torch.Tensor) -> torch.Tensor:
        """Features of shape (jets, columns) to latents of shape (jets, latents)."""
        across, along, *others = ((features - self.mean) @ self.axes).unbind(dim=1)
        row = ((across / _ACROSS + 1) / 2 * ROWS).floor().clamp(0, ROWS - 1)
        along = (along / _ALONG).clamp(-1, 1) * torch.where(row % 2 == 0, 1, -1)
        place = (row + (along + 1) / 2) / ROWS
        return torch.stack([(2 * place - 1) * _ENDS, *others], dim=1)

    def loss(self, network: torch.nn.Module, features: torch.Tensor) -> torch.Tensor:
        """Mean squared error of the encoder's latents, and of what the decoder makes of these latents."""
        latents = self.latents(features)
        expected = torch.cat([latents, features], dim=1)
        scales = torch.cat([torch.ones_like(latents[0]), self.std])
        error: torch.Tensor = network(features, latents) - expected
        return (error / scales).square().mean()
