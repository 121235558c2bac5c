"""What an autoencoder and a sampler do to a picture, as augmentation: softness, blotches, colours a little
off.

The segmenter must not be thrown by them: it is to judge where things are, not how crisply they are drawn. How
soft each picture was made comes back, as the segmenter learns to tell it, so that its features see softness.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

SOFTENED = 0.6  # share of the pictures
SCALES = (0.25, 0.6)  # a soft picture went through this share of its size and back
GAIN, LIFT = 0.08, 0.05  # of each colour channel, standard deviations
BLOTCHES = 0.06  # standard deviation at most


def damaged(pictures: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """(B, 3, H, W) in [-1, 1] -> the same, damaged, and how soft it is made, (B,) in [0, 1]."""
    device = pictures.device
    softness = _softness(len(pictures), generator).to(device)
    soft = pictures + softness.view(-1, 1, 1, 1) * (_through_small(pictures, generator) - pictures)
    blotches = _blotches(pictures.shape, generator).to(device)
    return (_colours_off(soft, generator) + blotches).clamp_(-1, 1), softness


def _softness(count: int, generator: torch.Generator) -> Tensor:
    chosen = torch.rand(count, generator=generator) < SOFTENED
    return chosen * torch.rand(count, generator=generator)


def _through_small(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Shrunk by area and grown again; one scale for all, as each is blended by its own softness."""
    low, high = SCALES
    scale = low + (high - low) * torch.rand((), generator=generator).item()
    small = [max(1, round(side * scale)) for side in pictures.shape[-2:]]
    shrunk = functional.interpolate(pictures, small, mode="area")
    return functional.interpolate(shrunk, pictures.shape[-2:], mode="bilinear")


def _colours_off(pictures: Tensor, generator: torch.Generator) -> Tensor:
    shape = (len(pictures), 3, 1, 1)
    gain = 1 + GAIN * torch.randn(shape, generator=generator)
    lift = LIFT * torch.randn(shape, generator=generator)
    return pictures * gain.to(pictures.device) + lift.to(pictures.device)


def _blotches(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Smooth noise of a latent's grain (8 pixels), of another strength for each picture."""
    count, channels, height, width = shape
    coarse = torch.randn(count, channels, max(1, height // 8), max(1, width // 8), generator=generator)
    strength = BLOTCHES * torch.rand(count, 1, 1, 1, generator=generator)
    return functional.interpolate(strength * coarse, (height, width), mode="bilinear")
