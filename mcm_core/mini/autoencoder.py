"""The autoencoder of the embedded base: 256 x 256 posters to 4 x 32 x 32 latents and back."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn import functional as F

from mcm_core.evaluation.segmenter import to_signed
from mcm_core.training.fit import train
from mcm_core.training.precision import AUTO, autocast, compiled

NOISE = 0.03
"""Standard deviation of what is added to the latents, so that near latents are decoded alike."""


def build_autoencoder() -> AutoencoderKL:
    """Narrow where the picture is large, wide where it is small: 4.1M parameters, 22 GFLOP a decode."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(16, 48, 96, 160),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        mid_block_add_attention=False,
        sample_size=256,
        force_upcast=False,
    )


def reconstruction_loss(output: Tensor, target: Tensor) -> Tensor:
    """L1 of the pixels and, for crisp edges, of their differences to the right and down at two scales."""
    loss = (output - target).abs().mean() + 2 * F.mse_loss(output, target)
    for _ in range(2):
        for dim in (-1, -2):
            loss = loss + 0.5 * (output.diff(dim=dim) - target.diff(dim=dim)).abs().mean()
        output, target = F.avg_pool2d(output, 2), F.avg_pool2d(target, 2)
    return loss


def crops(pictures: Tensor, size: int, batch: int, generator: torch.Generator) -> Tensor:
    """Random crops, half of them mirrored: (N, H, W, 3) uint8 -> (batch, 3, size, size) in [-1, 1]."""
    device, along = pictures.device, torch.arange(size)
    which = torch.randint(len(pictures), (batch, 1, 1), generator=generator)
    room = pictures.shape[1] - size + 1
    top, left = torch.randint(room, (2, batch, 1), generator=generator)
    mirrored = torch.rand(batch, 1, generator=generator) < 0.5
    rows, columns = top + along, left + torch.where(mirrored, along.flip(0), along)
    place = (which, rows[:, :, None], columns[:, None, :])
    return to_signed(pictures[tuple(index.to(device) for index in place)])


def train_autoencoder(
    pictures: Tensor,
    out: Path,
    *,
    steps: int,
    size: int = 128,
    batch: int = 8,
    lr: float = 3e-3,
    precision: str = AUTO,
    seconds: float | None = None,
) -> AutoencoderKL:
    """pictures (N, H, W, 3) uint8 -> the averaged autoencoder, trained where they are; resumable in `out`."""
    device = pictures.device
    torch.manual_seed(0)
    model = build_autoencoder().to(device, memory_format=torch.channels_last)

    def error(images: Tensor, noise: Tensor) -> Tensor:
        with autocast(device, precision):
            latents = model.encode(images).latent_dist.mean
            output = model.decode(latents + NOISE * noise).sample
        spread = (latents.float().square().mean() - 1).square()
        return reconstruction_loss(output.float(), images) + 0.01 * spread

    fused = compiled(error, device)

    def loss(generator: torch.Generator) -> Tensor:
        images = crops(pictures, size, batch, generator).contiguous(memory_format=torch.channels_last)
        noise = torch.randn((batch, 4, size // 8, size // 8), generator=generator)
        return fused(images, noise.to(device))

    return train(model, loss, steps=steps, out=out, lr=lr, matrices=True, seconds=seconds)
