"""SOAP: Adam in the eigenbasis of the gradients' second moments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


SIDES = ("left", "right")


class SOAP(torch.optim.Optimizer):
    """Adam that works in the eigenbasis of each weight matrix's gradients (Vyas et al. 2024, arXiv:2409.11321).

    A step costs more than one of Adam, and takes the loss further: it pays for narrow networks.

    Parameters
    ----------
    parameters
        Matrices are turned into their eigenbasis, vectors are not.
    lr
        Step size.
    betas
        Decay of the mean and of the mean square of the gradients.
    eps
        Added to the root of the mean square.
    weight_decay
        As AdamW has it.
    every
        Steps after which the eigenbases are brought up to date.
    """

    def __init__(
        self,
        parameters: Iterable[torch.Tensor],
        *,
        lr: float = 3e-3,
        betas: tuple[float, float] = (0.95, 0.99),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        every: int = 10,
    ):
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "every": every}
        super().__init__(parameters, options)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Change every parameter by its gradient; ``closure`` is not used."""
        del closure
        for group in self.param_groups:
            for weights in group["params"]:
                if weights.grad is not None:
                    self._change(weights, weights.grad, group)

    def _change(self, weights: torch.Tensor, gradient: torch.Tensor, group: dict[str, Any]) -> None:
        state, (beta1, beta2) = self.state[weights], group["betas"]
        matrix, turned = gradient.ndim == 2, gradient
        if not state:
            state["step"] = 0
            state["mean"], state["square"] = torch.zeros_like(weights), torch.zeros_like(weights)
            if matrix:
                state |= _moments(gradient)
                state |= {f"{side}_basis": torch.eye(len(state[side])).to(gradient) for side in SIDES}
                _turn(state)
        state["step"] += 1
        state["mean"].lerp_(gradient, 1 - beta1)
        mean = state["mean"]
        if matrix:
            left, right = state["left_basis"], state["right_basis"]
            turned, mean = left.T @ gradient @ right, left.T @ mean @ right
        state["square"].lerp_(turned.square(), 1 - beta2)
        root = (state["square"] / (1 - beta2 ** state["step"])).sqrt_().add_(group["eps"])
        change = mean / (1 - beta1 ** state["step"]) / root
        if matrix:
            change = left @ change @ right.T
        weights.mul_(1 - group["lr"] * group["weight_decay"]).sub_(change, alpha=group["lr"])
        if matrix:
            for side, moment in _moments(gradient).items():
                state[side].lerp_(moment, 1 - beta2)
            if state["step"] % group["every"] == 0:
                _turn(state)


def _moments(gradient: torch.Tensor) -> dict[str, torch.Tensor]:
    """Second moments of a matrix's gradient over its rows and over its columns."""
    return dict(zip(SIDES, (gradient @ gradient.T, gradient.T @ gradient), strict=True))


def _turn(state: dict[str, Any]) -> None:
    """Bring the eigenbases up to date by one step of the power iteration, in descending order of the eigenvalues."""
    for dim, side in enumerate(SIDES):
        moment, basis = state[side], state[f"{side}_basis"]
        order = (basis * (moment @ basis)).sum(dim=0).argsort(descending=True)
        state["square"] = state["square"].index_select(dim, order)
        state[f"{side}_basis"] = torch.linalg.qr(moment @ basis[:, order]).Q
