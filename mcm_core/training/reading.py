"""A second loss: how well a drawing is read again in the picture that a prediction stands for.

    x_0' = (x_t - s eps') / a,   eps' = gamma * eps + nu                     as in `objective`
    loss + weight * (1 - share of the training) * (what a reader of x_0' misreads of the drawing)

The noise loss asks for the mean of all pictures that drawing, words and x_t allow, which at much noise is a
blur that may be read as something else; this asks that it be read as what was drawn. The reader is small
and reads latents. It has learned on the base's own estimates of x_0, as blurred as these are at any noise,
so that nothing is decoded and no gradient needs the base. After ControlNet++ (Li et al. 2024, section 3),
where networks for clean pictures read decoded ones, at little noise alone.

It shows early what the drawing is about, and would in the end lead to pictures that are easier to read than
any picture is. So it counts less and less, and the last word is the noise loss's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn
from torch.nn import functional

from mcm_core.drawing.conditions import VOID, Modality
from mcm_core.schedule import Moment
from mcm_core.training.batches import Batch, Batches, loaded
from mcm_core.training.conditioned import modulated_eps
from mcm_core.training.consistency import x0_of
from mcm_core.training.fit import Losses, Progress, Saving, Schedule, Training, fit, go_on
from mcm_core.training.frozen import Frozen
from mcm_core.training.job import Job, plan_of
from mcm_core.training.objective import errors
from mcm_core.training.optimiser import Optimiser
from mcm_core.training.precision import autocast, first_loss_scale
from mcm_core.training.stopping import Stop

FINEST = 2
"""Cells along one side of a latent, at most."""
MOST_CELLS = 64
"""Along one side of a picture of the base's own size, at least one for each latent: what it reads of many
classes is what takes memory."""
LEARNING_RATE = 1e-3
WARM_UP = 30
EMA = 0.99


class LatentReader(nn.Module):
    """Latents (B, C, h, w) -> by modality what is drawn there, in `detail` cells along a side of each: logits
    of void and the classes (B, N + 1, dh, dw), or of an image's planes (B, C, dh, dw)."""

    def __init__(
        self,
        latent_channels: int,
        modalities: Sequence[Modality],
        classes: int,
        detail: int,
        width: int = 64,
        blocks: int = 3,
    ) -> None:
        super().__init__()
        self.detail = detail
        self.planes = {one.name: classes + 1 if one.kind == "labels" else one.channels for one in modalities}
        self.enter = nn.Conv2d(latent_channels, width, 3, padding=1)
        self.blocks = nn.Sequential(
            *(ResnetBlock2D(in_channels=width, temb_channels=None, groups=16) for _ in range(blocks))
        )
        self.read = nn.Conv2d(width, sum(self.planes.values()) * detail**2, 3, padding=1)

    def forward(self, latents: Tensor) -> dict[str, Tensor]:
        hidden = self.enter(latents)
        for block in self.blocks:
            hidden = block(hidden, None)
        read = functional.pixel_shuffle(self.read(hidden), self.detail).float()
        parts = read.split(list(self.planes.values()), dim=1)
        return dict(zip(self.planes, parts, strict=True))


def new_reader(job: Job) -> LatentReader:
    base, layout = job.base, job.layout
    side = max(layout.size) // base.downscale
    detail = max(1, min(FINEST, base.downscale, MOST_CELLS // side))
    return LatentReader(base.latent_channels, layout.modalities, len(layout.classes), detail)


def misread(read: Mapping[str, Tensor], maps: Mapping[str, Tensor], presence: Mapping[str, Tensor]) -> Tensor:
    """(B,): nats a cell by which what was read differs from uint8 maps, ids (B, H, W) or planes
    (B, C, H, W), summed over the modalities that are there, over what is painted of each label map."""
    wrong = [
        presence[name] * (_labels if maps[name].dim() == 3 else _planes)(logits, maps[name])
        for name, logits in read.items()
    ]
    return torch.stack(wrong).sum(dim=0)


def _labels(logits: Tensor, ids: Tensor) -> Tensor:
    size = logits.shape[-2:]
    labels = functional.interpolate(ids[:, None].float(), size, mode="nearest-exact")[:, 0].long()
    painted = (labels != VOID).float()
    wrong = functional.cross_entropy(logits, labels, reduction="none") * painted
    return wrong.sum(dim=(1, 2)) / painted.sum(dim=(1, 2)).clamp(min=1)


def _planes(logits: Tensor, planes: Tensor) -> Tensor:
    """A stroke is thinner than a cell, and fills it."""
    drawn = functional.adaptive_max_pool2d(planes.float() / 255, logits.shape[-2:])
    return functional.binary_cross_entropy_with_logits(logits, drawn, reduction="none").mean(dim=(1, 2, 3))


@dataclass(frozen=True)
class Reading:
    """The objective, see `conditioned.Objective`, of a training: the noise loss, and what is misread, which
    counts `weight` at first and 0 at the end."""

    reader: LatentReader
    weight: float
    training: Training[Any]

    def __call__(self, module: nn.Module, frozen: Frozen, batch: Batch, precision: str) -> Losses:
        now, sample, noise, weights = frozen.noising(batch)
        seen = frozen.seen(sample, now, frozen.answer(batch, sample, now))
        weight = self.weight * (1 - self.training.schedule.share(self.training.progress))

        def loss(eps: Tensor) -> Tensor:
            wrong = weights * errors(eps, noise)
            if weight:
                wrong = wrong + weight * misread_of(self.reader, eps, sample, now, batch, precision)
            return wrong.mean()

        return {
            "loss": loss(modulated_eps(module, frozen, seen, batch, precision)),
            "base alone": loss(seen.eps),
        }


def misread_of(
    reader: nn.Module, eps: Tensor, sample: Tensor, now: Moment, batch: Batch, precision: str
) -> Tensor:
    """(B,): `misread` in the picture that a prediction of the noise in `sample` stands for."""
    device = sample.device
    with autocast(device, precision):
        read = reader(x0_of(eps, sample, now))
    maps = {name: drawn.to(device) for name, drawn in batch.maps.items()}
    return misread(read, maps, {name: given.to(device) for name, given in batch.presence.items()})


def learned_reader(job: Job, frozen: Frozen, stop: Stop) -> LatentReader | None:
    """A reader that has learned on the base's own estimates of x_0, frozen, in eval mode; None where `stop`
    came before its last step. The same command goes on with it."""
    folder = job.out / "reader" / job.fingerprint
    network = new_reader(job).to(job.accelerator.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    schedule = Schedule(job.options.reader_steps, WARM_UP)
    progress = Progress(loss_scale=first_loss_scale(job.precision))
    training = Training(
        network, Optimiser(network, LEARNING_RATE, matrices=True), schedule, EMA, 1.0, progress
    )
    go_on(training, folder)
    if schedule.share(training.progress) < 1:
        job.say(f"Learning to read drawings in the base's estimates, {schedule.steps} steps.")
        _learn(job, training, frozen, Saving(folder, keep=1, writes=job.accelerator.is_main_process), stop)
    return training.average if schedule.share(training.progress) >= 1 else None


def _learn(job: Job, training: Training[LatentReader], frozen: Frozen, saving: Saving, stop: Stop) -> None:
    options = job.options
    module = job.accelerator.prepare_model(training.network)
    whole = replace(options.rates, keep_all=1.0, drop_all=0.0, void=0.0, freehand=0.0)
    data = Batches(job.pairs, replace(plan_of(job), rates=whole))

    def losses(batch: Batch) -> Losses:
        now, sample, _, _ = frozen.noising(batch)
        eps = frozen.answer(batch, sample, now)
        return {"misread": misread_of(module, eps, sample, now, batch, job.precision).mean()}

    fit(
        training,
        lambda steps: loaded(data, steps, options.workers),
        losses,
        saving,
        stop,
        log_every=options.log_every,
        say=job.say,
    )
    frozen.forget()
