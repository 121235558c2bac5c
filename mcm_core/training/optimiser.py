"""Muon for the matrices and convolutions of a small network, AdamW for the rest.

Muon (Jordan 2024) orthogonalises each matrix's momentum, which costs a fixed time per step and saves steps.
A convolution is taken as the matrix (out, in * kernel).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

LAYERS = (nn.Linear, nn.Conv2d)


class Optimiser:
    """AdamW, and with `matrices` Muon beside it, behind one `step` that scales the learning rate."""

    def __init__(self, module: nn.Module, lr: float, *, matrices: bool, weight_decay: float = 0.0) -> None:
        hidden = _hidden(module) if matrices else []
        chosen = {id(p) for p in hidden}
        rest = [p for p in module.parameters() if p.requires_grad and id(p) not in chosen]
        self.lr = lr
        self.pairs = [(p, nn.Parameter(_as_matrix(p.data))) for p in hidden]
        if any(p.data_ptr() != matrix.data_ptr() for p, matrix in self.pairs):
            raise ValueError(
                "convolutions must be in channels_last, so that their matrices share their memory"
            )
        adamw = torch.optim.AdamW(rest, lr, betas=(0.9, 0.99), weight_decay=weight_decay, fused=True)
        self.optimisers: dict[str, torch.optim.Optimizer] = {"adamw": adamw}
        if hidden:
            self.optimisers["muon"] = Muon([matrix for _, matrix in self.pairs], lr, weight_decay)

    def step(self, scale: float) -> None:
        """One update with lr * scale; gradients are dropped afterwards."""
        for parameter, matrix in self.pairs:
            matrix.grad = None if parameter.grad is None else _as_matrix(parameter.grad)
        for optimiser in self.optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = self.lr * scale
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        for parameter, _ in self.pairs:
            parameter.grad = None

    def state_dict(self) -> dict[str, object]:
        return {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()}

    def load_state_dict(self, state: dict[str, dict[str, object]]) -> None:
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(state[name])


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised. In float32: torch's own works in bfloat16, which most CPUs only emulate."""

    def __init__(self, matrices: list[nn.Parameter], lr: float, weight_decay: float) -> None:
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay, "momentum": 0.95})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            moved = [matrix for matrix in group["params"] if matrix.grad is not None]
            for matrices in _by_shape(moved):
                self._move(matrices, group)

    def _move(self, matrices: list[Tensor], group: dict[str, Any]) -> None:
        """Matrices of one shape, together: a GPU would spend the time on starting thousands of products."""
        gradients = [matrix.grad for matrix in matrices if matrix.grad is not None]  # all of them
        momenta = [
            self.state[matrix].setdefault("momentum_buffer", torch.zeros_like(matrix)) for matrix in matrices
        ]
        torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
        ahead = torch._foreach_lerp(gradients, momenta, group["momentum"])
        updates = orthogonal(torch.stack(ahead)).unbind()
        rate = group["lr"] * 0.2 * max(matrices[0].shape) ** 0.5  # moves as far as AdamW would
        torch._foreach_mul_(matrices, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_sub_(matrices, updates, alpha=rate)


def orthogonal(matrices: Tensor) -> Tensor:
    """(n, rows, columns) -> nearly the orthogonal matrices next to them: five Newton-Schulz steps (Jordan
    2024)."""
    is_wide = matrices.shape[1] <= matrices.shape[2]
    x = matrices if is_wide else matrices.mT
    x = x / x.flatten(1).norm(dim=1).clamp(min=1e-7).view(-1, 1, 1)
    for _ in range(5):
        square = x @ x.mT
        x = 3.4445 * x + torch.baddbmm(square, square, square, beta=-4.7750, alpha=2.0315) @ x
    return x if is_wide else x.mT


def _by_shape(matrices: Iterable[Tensor]) -> list[list[Tensor]]:
    groups: dict[torch.Size, list[Tensor]] = {}
    for matrix in matrices:
        groups.setdefault(matrix.shape, []).append(matrix)
    return [*groups.values()]


def _hidden(module: nn.Module) -> list[nn.Parameter]:
    """The weights of layers between hidden ones: no embeddings, and no last convolution of few rows."""
    weights = [layer.get_parameter("weight") for layer in module.modules() if isinstance(layer, LAYERS)]
    return [p for p in weights if p.requires_grad and min(p.shape[0], p[0].numel()) >= 16]


def _as_matrix(tensor: Tensor) -> Tensor:
    """(out, in, kh, kw) -> (out, kh * kw * in), sharing memory: the order of columns is nothing to Muon."""
    if tensor.ndim == 4:
        return tensor.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1).flatten(1)
    return tensor
