"""A modulator distilled to few unguided steps: consistency distillation of the modulator alone.

No gradient runs through the base, which stays bitwise what it was (Song et al. 2023, with guidance folded in
as in Luo et al. 2023, LCM). On a grid of timesteps, for the next lower one t' of t:

    x_t  = a_t x_0 + s_t noise
    e    = eps_u + w (gamma_T eps_c + nu_T - eps_u)      the teacher, guided: one base call for both texts;
                                                         the prompt boosted where it is, see `modulation`
    x_t' = a_t' x0(e, x_t) + s_t' e                      one DDIM step
    goal = x0(target's gamma eps_c + nu, x_t')           the averaged student: one more base call
    got  = x0(student's gamma eps_c + nu, x_t)           on the eps_c of the first call

At the lowest timestep the goal is the teacher's own x0. x0(e, x_t) = (x_t - s_t e) / a_t.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from mcm_core.modulation import boosted, guide
from mcm_core.modulator import Modulator
from mcm_core.schedule import EPSILON, Moment
from mcm_core.training.batches import Batch
from mcm_core.training.conditioned import Conditioned, modulated_eps
from mcm_core.training.fit import Losses
from mcm_core.training.frozen import Frozen

HUBER = 0.00054
"""Where the loss turns from square to linear (Song and Dhariwal 2023, section 3.3)."""


def grid_timesteps(total: int, points: int) -> Tensor:
    """(points,) long, rising: k - 1, 2k - 1, ... for k = total // points, as in diffusers' LCMScheduler."""
    return torch.arange(1, points + 1) * (total // points) - 1


def grid_places(u: Tensor, points: int) -> Tensor:
    """Places on the grid (B,) long from uniform numbers `u` (B,) in [0, 1)."""
    return (u * points).long().clamp(max=points - 1)


def x0_of(eps: Tensor, sample: Tensor, now: Moment) -> Tensor:
    """The clean latents that a prediction of the noise stands for, whatever the base predicts."""
    return replace(now, prediction_type=EPSILON).x0(eps, sample)


def ddim(eps: Tensor, sample: Tensor, now: Moment, then: Moment) -> Tensor:
    """One deterministic step (Song et al. 2021, equation 12 with sigma = 0)."""
    return then.noised(x0_of(eps, sample, now), eps)


def pseudo_huber(got: Tensor, goal: Tensor) -> Tensor:
    """(B, C, h, w) -> (B,), per root of the numbers in a row: sqrt(mean d^2 + c^2) - c."""
    return ((got.float() - goal.float()).square().mean(dim=(1, 2, 3)) + HUBER**2).sqrt() - HUBER


@dataclass(frozen=True)
class Distillation:
    """The objective, see `conditioned.Objective`: the loss, and beside it that of the teacher, undistilled.

    Attributes:
        teacher: a trained modulator, frozen, on the base's device.
        target: the average of the student that is aimed at, see `fit.Training.target`.
        guidance_scale: w; 1 for none, as for bases without text.
        grid: how many timesteps.
    """

    teacher: Modulator
    target: Modulator
    guidance_scale: float
    grid: int

    def __call__(self, module: nn.Module, frozen: Frozen, batch: Batch, precision: str) -> Losses:
        grid, places = grid_timesteps(len(frozen.abar), self.grid), grid_places(batch.moments, self.grid)
        high, low = frozen.moments(grid[places]), frozen.moments(grid[(places - 1).clamp(min=0)])
        is_last = (places == 0).to(frozen.base.device).view(-1, 1, 1, 1)
        with torch.no_grad():
            sample = high.noised(*frozen.clean_and_noise(batch))
            texts = (batch.texts, ("",) * len(batch.texts)) if self.guidance_scale != 1 else (batch.texts,)
            eps, *textless = frozen.eps(sample, high, *texts)
            seen = frozen.seen(sample, high, eps)
            unguided = modulated_eps(Conditioned(self.teacher), frozen, seen, batch, precision)
            taught = self._guided(eps, textless[0], unguided, batch) if textless else unguided
            lower = ddim(taught, sample, high, low)
            seen_lower = frozen.seen(lower, low, *frozen.eps(lower, low, batch.texts))
            aimed = modulated_eps(Conditioned(self.target), frozen, seen_lower, batch, precision)
            goal = torch.where(is_last, x0_of(taught, sample, high), x0_of(aimed, lower, low))
        got = x0_of(modulated_eps(module, frozen, seen, batch, precision), sample, high)
        return {
            "loss": pseudo_huber(got, goal).mean(),
            "undistilled": pseudo_huber(x0_of(unguided, sample, high), goal).mean(),
        }

    def _guided(self, eps: Tensor, textless: Tensor, modulated: Tensor, batch: Batch) -> Tensor:
        """As the teacher paints: the prompt is boosted where there is a drawing."""
        is_drawn = torch.stack([*batch.presence.values()]).amax(dim=0).bool().view(-1, 1, 1, 1).to(eps.device)
        led = boosted(eps, textless, modulated, self.teacher.config.prompt_boost, strength=1.0)
        return guide(textless, torch.where(is_drawn, led, modulated), self.guidance_scale)
