"""The model card of the embedded base: what it is, how it was made, and what the hub needs to know of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio

from mcm_core.evaluation.cases import GUIDANCE
from mcm_core.evaluation.segmenter import to_signed
from mcm_core.landscapes.captions import STYLES
from mcm_core.landscapes.render import HELD_OUT, example
from mcm_core.schedule import V_PREDICTION
from mcm_core.training.card import machine, table

HELD_OUT_COUNT = 32
STEPS = 8  # measured and looking as good as twenty


@dataclass(frozen=True)
class Stage:
    """One stage of the training: what it learned, its steps, seconds, pictures a step and precision."""

    name: str
    steps: int
    seconds: float
    batch: int
    precision: str


@torch.no_grad()
def psnr(autoencoder: AutoencoderKL, styles: tuple[str, ...]) -> float:
    """Mean over held-out renders of the peak signal-to-noise ratio in decibels, after encode and decode."""
    renders = np.stack([example(HELD_OUT + seed, styles).picture for seed in range(HELD_OUT_COUNT)])
    pictures = to_signed(torch.from_numpy(renders))
    ratios = [_psnr(autoencoder, picture[None]) for picture in pictures]
    return float(np.mean(ratios))


def _psnr(autoencoder: AutoencoderKL, picture: Tensor) -> float:
    decoded = autoencoder.decode(autoencoder.encode(picture).latent_dist.mode()).sample.clamp(-1, 1)
    return float(peak_signal_noise_ratio(decoded, picture, data_range=2.0))


def write_card(
    folder: Path,
    autoencoder: AutoencoderKL,
    pictures: int,
    stages: list[Stage],
    parameters: Mapping[str, int],
    prediction_type: str,
    init: Path | None,
) -> None:
    """README.md in the base's folder; `init` is the base that it was trained further from."""
    hours = sum(stage.seconds for stage in stages) / 3600
    training = {
        "data": f"{pictures:,} pictures by `python -m mcm_core render --styles all`, each also mirrored",
        **({"trained further from": init.name} if init else {}),
        **{stage.name: _told(stage) for stage in stages if stage.steps},
        "time": f"{hours:.2f} hours",
        "machine": machine(),
        "seed": "0",
    }
    figures = {
        "autoencoder, held-out posters": f"{psnr(autoencoder, ('poster',)):.2f} dB",
        "autoencoder, held-out scenes in all styles": f"{psnr(autoencoder, tuple(STYLES)):.2f} dB",
    }
    text = _CARD.format(
        guidance=f"{GUIDANCE:g}",
        steps=STEPS,
        prediction="v prediction" if prediction_type == V_PREDICTION else f"{prediction_type} prediction",
        parameters=table({name: f"{count:,}" for name, count in parameters.items()}),
        training=table(training),
        figures=table(figures),
    )
    (folder / "README.md").write_text(text, encoding="utf-8")


def _told(stage: Stage) -> str:
    return f"{stage.steps:,} steps of {stage.batch} in {stage.precision}: {stage.seconds / 60:.1f} minutes"


_CARD = """---
library_name: diffusers
pipeline_tag: text-to-image
license: mit
inference:
  parameters:
    guidance_scale: {guidance}
    num_inference_steps: {steps}
tags: [stable-diffusion, landscapes]
---

# The mini model: 256 x 256 landscapes in six styles

A small text-to-image latent diffusion model of Stable Diffusion's own parts (CLIP tokenizer and text encoder,
conditional U-Net with {prediction}, 8x autoencoder, DPM-Solver++), for a machine without a network. It knows
the rendered landscapes that it was trained on and nothing else: times of day, seasons, what is in them, and
the style words watercolor, oil painting, pencil drawing, crayon drawing and pixel art.

```python
import torch
from diffusers import StableDiffusionPipeline

pipe = StableDiffusionPipeline.from_pretrained("PATH/OF/THIS/FOLDER", torch_dtype=torch.float32)
prompt = "a lake and mountains at sunset in autumn"
picture = pipe(prompt, num_inference_steps={steps}, guidance_scale={guidance}).images[0]
```

## Parameters

{parameters}

## Training

By `python -m mcm_core train-base`, from scenes that `python -m mcm_core render` draws.

{training}

## Figures

Peak signal-to-noise ratio of encoding and decoding; scenes from seed 10,000,000 on are never trained on.

{figures}
"""
