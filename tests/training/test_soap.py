from __future__ import annotations

import pytest
import torch

from hepae.training.soap import SOAP


def _loss_after(kind, steps):
    """What is left of a loss whose curvature lies along axes that are rotated against the weights' own."""
    torch.manual_seed(0)
    left, right = (torch.linalg.qr(torch.randn(12, 12)).Q for _ in range(2))
    scales = torch.diag(torch.logspace(0, -2, 12))
    target = left @ torch.ones(12, 12) @ right.T
    weights = torch.nn.Parameter(torch.zeros(12, 12))

    def loss():
        return (left @ scales @ left.T @ (weights - target) @ right @ scales @ right.T).square().sum()

    optimizer, start = kind([weights], lr=0.1), loss().item()
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
        schedule.step()
    return loss().item() / start


def test_it_finds_the_axes_of_a_matrix_which_adam_does_not():
    assert _loss_after(SOAP, 200) < 0.3 * _loss_after(torch.optim.Adam, 200)


def test_vectors_are_changed_as_by_adam():
    start, gradients = torch.randn(5), torch.randn(20, 5)
    ends = []
    for kind in (SOAP, torch.optim.AdamW):
        weights = torch.nn.Parameter(start.clone())
        optimizer = kind([weights], lr=0.1, betas=(0.9, 0.99), weight_decay=0.1)
        for gradient in gradients:
            weights.grad = gradient.clone()
            optimizer.step()
        ends.append(weights.detach())
    torch.testing.assert_close(*ends)


@pytest.mark.parametrize("shape", [(3, 5), (1, 4), (4, 1), (1, 1)])
def test_it_continues_from_its_state(shape):
    torch.manual_seed(1)
    start, gradients = torch.randn(shape), torch.randn(30, *shape)
    ends = []
    for stop in (30, 17):
        weights = torch.nn.Parameter(start.clone())
        optimizer = SOAP([weights], lr=0.1)
        for i, gradient in enumerate(gradients):
            if i == stop:
                state = optimizer.state_dict()
                optimizer = SOAP([weights], lr=0.1)
                optimizer.load_state_dict(state)
            weights.grad = gradient.clone()
            optimizer.step()
        ends.append(weights.detach())
    assert torch.equal(*ends)
