"""Two ways in which nothing is trained for the drawing: gradients at each step, and prompts by region.

Gradients need a network that reads pictures; it is trained here, on the same pairs and for the same minutes
as the others, and is not the one that judges. It reads the base's own estimate of x_0 in latents, as blurred
as that is at any noise, which is more than a network for clean pictures could (Bansal et al. 2023 take one).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from mcm_core.base import Base, Embeddings
from mcm_core.drawing.conditions import VOID, LabelClass
from mcm_core.modulation import guide
from mcm_core.schedule import Moment
from mcm_core.training.batches import Batch
from mcm_core.training.consistency import x0_of
from mcm_core.training.frozen import Frozen
from mcm_core.training.job import Job
from mcm_core.training.reading import LatentReader, misread

from .drawing import Drawing, of_batch
from .networks import called
from .painting import Prediction

# -- gradients of a network that reads ---------------------------------------------------------------------

WIDTH, DETAIL = 96, 4
"""Channels of what reads, and its cells along one side of a latent."""
SCALES = (0.1, 0.2, 0.4, 0.8)
"""Strengths to choose from: the gradient's length beside that of the predicted noise."""


def reader(job: Job) -> LatentReader:
    layout, channels = job.layout, job.base.latent_channels
    return LatentReader(channels, layout.modalities, len(layout.classes), DETAIL, WIDTH, blocks=4)


def reading_errors(network: nn.Module, latents: Tensor, drawing: Drawing) -> Tensor:
    """(B,): how far the latents are from the drawing, over what is painted and over the strokes."""
    return misread(network(latents), drawing.maps, drawing.present)


def reading_loss(network: nn.Module, frozen: Frozen, batch: Batch) -> Tensor:
    """What the reader is trained on: the base's estimate of x_0."""
    now, sample, _, _ = frozen.noising(batch)
    (eps,) = frozen.eps(sample, now, batch.texts)
    return reading_errors(network, x0_of(eps, sample, now), of_batch(batch, frozen.base.device)).mean()


def by_gradients(
    network: nn.Module, base: Base, prompts: Sequence[str], drawing: Drawing, scale: float
) -> Prediction:
    """Universal guidance (Bansal et al. 2023, forward guidance), through the base: its prediction is shifted
    along the gradient in x_t of what the reader finds wrong with x_0, of `scale` times its own length.
    """
    texts = Embeddings.cat(base.encode_prompts(prompts))
    empty = Embeddings.cat(base.encode_prompts([""] * len(prompts), negative=True))

    def predict(sample: Tensor, now: Moment) -> Tensor:
        with torch.enable_grad():
            noisy = sample.detach().requires_grad_()
            positive = called(base.unet, noisy, now, texts)[0].to(noisy.dtype)
            wrong = reading_errors(network, now.x0(positive, noisy), drawing).sum()
            (gradient,) = torch.autograd.grad(wrong, noisy)
        positive = positive.detach()
        negative = base.predict(sample, torch.as_tensor(now.timestep), empty)
        output = guide(negative, positive, base.default_guidance_scale)
        along = gradient / length(gradient).clamp(min=1e-12) * length(now.eps(output, sample))
        return now.shifted(output, scale * along)

    return predict


def length(tensor: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, 1, 1, 1): the Euclidean norm of each row."""
    return tensor.flatten(1).norm(dim=1).view(-1, 1, 1, 1)


# -- prompts by region -------------------------------------------------------------------------------------

BOOTSTRAP = 0.2
"""So much of the way each region is painted on a plain ground of its own, so that its thing lies within."""


def by_regions(
    base: Base, prompts: Sequence[str], drawing: Drawing, classes: Sequence[LabelClass], seeds: Sequence[int]
) -> Prediction:
    """MultiDiffusion (Bar-Tal et al. 2023, section 4.2): each class is painted by a prompt of its own, and
    the predictions are put together by the map. What is unpainted has the prompt alone; strokes are not read.

    They put together x_t-1 instead, which is the same: the scheduler's step is linear in the prediction.
    """
    rows = [_Regions(base, *row, classes) for row in zip(prompts, drawing.labels, seeds, strict=True)]

    def predict(sample: Tensor, now: Moment) -> Tensor:
        return torch.cat([row.predict(sample[i : i + 1], now) for i, row in enumerate(rows)])

    return predict


class _Regions:
    """The regions of one picture: masks (R, 1, h, w), which sum to 1, and a prompt for each."""

    def __init__(
        self, base: Base, prompt: str, labels: Tensor, seed: int, classes: Sequence[LabelClass]
    ) -> None:
        present = labels.unique().tolist()
        planes = torch.stack([labels == label for label in present])[:, None].float()
        self.base, self.masks = base, functional.avg_pool2d(planes, base.downscale)
        names = [f"{classes[label - 1].name}, {prompt}" if label != VOID else prompt for label in present]
        self.texts = Embeddings.cat(base.encode_prompts(names))
        self.empty = Embeddings.cat(base.encode_prompts([""] * len(names), negative=True))
        random = torch.Generator().manual_seed(seed)
        colours = torch.rand(len(names), 3, 1, 1, generator=random) * 2 - 1
        side = 2 * base.downscale
        plain = base.encode(colours.expand(-1, -1, side, side).to(base.device))
        self.grounds = plain.mean(dim=(2, 3), keepdim=True)
        self.noise = torch.randn(len(names), *plain.shape[1:2], *self.masks.shape[2:], generator=random)

    def predict(self, sample: Tensor, now: Moment) -> Tensor:
        samples = sample.expand(len(self.masks), -1, -1, -1)
        if float(now.timestep) >= (1 - BOOTSTRAP) * self.base.num_train_timesteps:
            ground = now.noised(self.grounds, self.noise.to(sample.device))
            samples = torch.where(self.masks > 0, samples, ground)
        texts = Embeddings.cat([self.empty, self.texts])
        both = self.base.predict(torch.cat([samples] * 2), torch.as_tensor(now.timestep), texts)
        negative, positive = both.chunk(2)
        parts = guide(negative, positive, self.base.default_guidance_scale)
        return (self.masks * parts).sum(dim=0, keepdim=True)
