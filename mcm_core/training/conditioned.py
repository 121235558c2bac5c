"""The modulator as a training sees it: one forward call, and the loss with it and without it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mcm_core.modulation import modulate
from mcm_core.modulator import Modulator
from mcm_core.training.batches import Batch
from mcm_core.training.fit import Losses
from mcm_core.training.frozen import Frozen, Noised
from mcm_core.training.objective import errors
from mcm_core.training.precision import autocast


class Conditioned(nn.Module):
    """The modulator as one forward call, which is what data-parallel training wraps."""

    def __init__(self, modulator: Modulator) -> None:
        super().__init__()
        self.modulator = modulator

    def forward(
        self, noised: Noised, maps: dict[str, Tensor], presence: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """gamma and nu for uint8 maps: ids (B, H, W) or planes (B, C, H, W)."""
        size = noised.sample.shape[-2:]
        features = self.modulator.encode(maps, presence, size=(size[0], size[1]), batch=len(noised.sample))
        output = self.modulator(noised.sample, noised.eps, noised.timesteps, noised.alpha, features)
        return output.gamma, output.nu


def losses(module: nn.Module, frozen: Frozen, batch: Batch, precision: str) -> Losses:
    """`loss` with the modulator and `base alone` without it, on the same noise; means over the batch."""
    device = frozen.base.device
    noised = frozen.noised(batch)
    maps = {name: drawn.to(device) for name, drawn in batch.maps.items()}
    presence = {name: given.to(device) for name, given in batch.presence.items()}
    with autocast(device, precision):
        gamma, nu = module(noised, maps, presence)
    modulated = modulate(noised.eps, gamma.float(), nu.float())
    return {
        "loss": (noised.weights * errors(modulated, noised.noise)).mean(),
        "base alone": (noised.weights * errors(noised.eps, noised.noise)).mean(),
    }


@torch.no_grad()
def held_out_losses(
    modulator: Modulator, frozen: Frozen, batches: list[Batch], precision: str
) -> tuple[float, float]:
    """The loss with the modulator and of the base alone, means over `batches`."""
    module = Conditioned(modulator)
    rows = [torch.stack([*losses(module, frozen, batch, precision).values()]) for batch in batches]
    loss, plain = torch.stack(rows).mean(dim=0).tolist()
    return loss, plain
