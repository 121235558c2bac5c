"""From noise to pictures, the same way for all methods: the base's own scheduler, steps and guidance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from mcm_core.base import Base, Embeddings, schedulers
from mcm_core.modulation import guide
from mcm_core.pipeline import to_uint8
from mcm_core.schedule import Moment
from mcm_core.training.precision import autocast

from .drawing import Drawing, joined

Prediction = Callable[[Tensor, Moment], Tensor]
"""The guided raw output for x_t, both (B, C, h, w), of pictures whose words and drawings are given."""

Placement = Literal["prompt", "both"]
PLACEMENTS: tuple[Placement, ...] = get_args(Placement)
"""Which branch of guidance sees the drawing: then guidance multiplies what it changes, or does not."""


def guided(
    network: Any,
    base: Base,
    prompts: Sequence[str],
    drawing: Drawing,
    placement: Placement,
    precision: str,
) -> Prediction:
    """What a network of `networks` says under guidance."""
    empty = base.encode_prompts([""] * len(prompts), negative=True)
    texts = Embeddings.cat([*empty, *base.encode_prompts(prompts)])
    negative = drawing if placement == "both" else drawing.without()
    with torch.no_grad(), autocast(base.device, precision):
        seen = network.see(joined(negative, drawing))

    def predict(sample: Tensor, now: Moment) -> Tensor:
        with autocast(base.device, precision):
            output = network(base, torch.cat([sample] * 2), now, texts, seen).float()
        negative, positive = output.chunk(2)
        return guide(negative, positive, base.default_guidance_scale)

    return predict


@torch.no_grad()
def paint(base: Base, predict: Prediction, seeds: Sequence[int], steps: int) -> np.ndarray:
    """(B, H, W, 3) uint8, one picture for each seed, whose noise is that of the pipeline."""
    height, width = (side // base.downscale for side in base.default_size)
    shape = (1, base.latent_channels, height, width)
    noise = [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    scheduler = base.make_scheduler(None)
    scheduler.set_timesteps(steps, device=base.device)
    latents = torch.cat(noise).to(base.device) * scheduler.init_noise_sigma
    generator = torch.Generator().manual_seed(seeds[0])
    for timestep in scheduler.timesteps:
        sample = scheduler.scale_model_input(latents, timestep)
        output = predict(sample, base.moment(float(timestep)))
        latents = schedulers.step(scheduler, output, timestep, latents, generator)
    return to_uint8(base.decode(latents))
