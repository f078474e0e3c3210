from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from hepae.latent.autoencoder import Autoencoder, AutoencoderConfig
from hepae.training.folds import ROWS, FoldedStart
from hepae.training.soap import SOAP
from hepae.training.train import train


@pytest.fixture(scope="module")
def features():
    """Four correlated columns, the smallest component a tenth of the largest."""
    torch.manual_seed(0)
    turned = torch.linalg.qr(torch.randn(4, 4)).Q
    return torch.randn(20_000, 4) @ torch.diag(torch.tensor([1.0, 0.5, 0.2, 0.1])) @ turned + 3


def test_the_two_smallest_components_can_be_read_off_one_latent(features):
    start = FoldedStart.fit(features, 3)
    latents = start.latents(features)
    assert latents.shape == (20_000, 3)
    place = (latents[:, 0] / 2 + 1) / 2 * ROWS
    row = place.floor().clamp(0, ROWS - 1)
    across = ((row + 0.5) / ROWS * 2 - 1) * 2.5
    along = (2 * (place - row) - 1) * 4 * torch.where(row % 2 == 0, 1, -1)
    components = torch.cat([torch.stack([across, along], dim=1), latents[:, 1:]], dim=1)
    restored = components @ torch.linalg.pinv(start.axes) + start.mean
    without_the_smallest = 0.1**2 / 4
    assert (restored - features).square().mean() < 0.1 * without_the_smallest


def test_neighbouring_rows_meet_at_their_ends(features):
    start = FoldedStart.fit(features, 3)
    # A jet at the end of each row, four standard deviations along it.
    ends = torch.tensor([[(row + 0.5) / ROWS * 5 - 2.5, 4.0 * (1 - row % 2 * 2)] for row in range(ROWS)])
    components = torch.cat([ends, torch.zeros(ROWS, 2)], dim=1)
    latents = start.latents(components @ torch.linalg.pinv(start.axes) + start.mean)[:, 0]
    steps = torch.arange(1, ROWS + 1) / ROWS
    torch.testing.assert_close(latents, (2 * steps - 1) * 2, atol=1e-2, rtol=0)


def test_fewer_latents_take_the_leading_components(features):
    start = FoldedStart.fit(features, 2)
    leading = start.latents(features)[:, 1]
    assert leading.std() == pytest.approx(1.0, rel=0.01)
    variance = torch.linalg.eigvalsh(torch.cov(features.T))[-1]
    expected = (features - features.mean(dim=0)) @ start.axes[:, -1]
    assert (start.axes[:, -1].norm() ** -2).item() == pytest.approx(variance.item(), rel=0.01)
    torch.testing.assert_close(leading, expected, atol=1e-3, rtol=0)


def test_a_network_learns_the_folds(features):
    torch.manual_seed(0)
    network, start = Autoencoder(4, AutoencoderConfig.preset("folded")), FoldedStart.fit(features, 3)
    network.start_standardized(features.mean(dim=0), features.std(dim=0))
    optimizer = SOAP(network.parameters(), lr=0.01)
    for batch in features.split(100):
        optimizer.zero_grad()
        start.loss(network, batch).backward()
        optimizer.step()
    with torch.inference_mode():
        restored = network.decoder(start.latents(features))
    without_the_smallest = 0.1**2 / 4
    assert (restored - features).square().mean() < 0.5 * without_the_smallest


def test_as_many_latents_as_columns_need_no_folds(small, jets):
    config = small.with_preset("folded")
    config = replace(config, network=replace(config.network, latent=4))
    assert train(jets, config).history[-1].validation_loss < 1e-3
