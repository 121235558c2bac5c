"""The modulator as a training sees it: one forward call, and the loss with it and without it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from mcm_core.modulation import modulate
from mcm_core.modulator import Modulator
from mcm_core.training.batches import Batch
from mcm_core.training.fit import Losses
from mcm_core.training.frozen import Frozen, Seen
from mcm_core.training.objective import errors
from mcm_core.training.precision import autocast


class Conditioned(nn.Module):
    """The modulator as one forward call, which is what data-parallel training wraps."""

    def __init__(self, modulator: Modulator) -> None:
        super().__init__()
        self.modulator = modulator

    def forward(
        self, seen: Seen, maps: dict[str, Tensor], presence: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """gamma and nu for uint8 maps: ids (B, H, W) or planes (B, C, H, W)."""
        size = seen.sample.shape[-2:]
        features = self.modulator.encode(maps, presence, size=(size[0], size[1]), batch=len(seen.sample))
        output = self.modulator(seen.sample, seen.eps, seen.timesteps, seen.alpha, features)
        return output.gamma, output.nu


def modulated_eps(module: nn.Module, frozen: Frozen, seen: Seen, batch: Batch, precision: str) -> Tensor:
    """gamma * eps + nu (B, C, h, w), float32, for a `Conditioned` module and the drawings of a batch."""
    device = frozen.base.device
    maps = {name: drawn.to(device) for name, drawn in batch.maps.items()}
    presence = {name: given.to(device) for name, given in batch.presence.items()}
    with autocast(device, precision):
        gamma, nu = module(seen, maps, presence)
    return modulate(seen.eps, gamma.float(), nu.float())


Objective = Callable[[nn.Module, Frozen, Batch, str], Losses]
"""(`Conditioned`, frozen, batch, precision) -> the loss, and beside it that of what is to be bettered."""


def losses(module: nn.Module, frozen: Frozen, batch: Batch, precision: str) -> Losses:
    """`loss` with the modulator and `base alone` without it, on the same noise; means over the batch."""
    noised = frozen.noised(batch)
    modulated = modulated_eps(module, frozen, noised, batch, precision)
    return {
        "loss": (noised.weights * errors(modulated, noised.noise)).mean(),
        "base alone": (noised.weights * errors(noised.eps, noised.noise)).mean(),
    }


@torch.no_grad()
def held_out_losses(
    modulator: Modulator, frozen: Frozen, batches: list[Batch], precision: str, objective: Objective = losses
) -> dict[str, float]:
    """The two losses of the objective, means over `batches`."""
    module = Conditioned(modulator)
    told = [objective(module, frozen, batch, precision) for batch in batches]
    return {name: torch.stack([part[name] for part in told]).mean().item() for name in told[0]}
