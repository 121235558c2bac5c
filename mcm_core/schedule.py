"""The noise schedule at one moment, and what a base's raw output says there.

The forward process is variance preserving: x_t = alpha * x_0 + sigma * eps with alpha^2 + sigma^2 = 1. A base
gives one of

    epsilon       output = eps                         (Ho et al. 2020)
    v_prediction  output = alpha * eps - sigma * x_0   (Salimans and Ho 2022)
    sample        output = x_0

Schedulers of the sigma family (Euler, Heun, KDPM2) hold x_t / alpha; what `scheduler.scale_model_input`
returns is x_t in the sense of this file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

Scale = Tensor | float

EPSILON = "epsilon"
V_PREDICTION = "v_prediction"
SAMPLE = "sample"
PREDICTION_TYPES = (EPSILON, V_PREDICTION, SAMPLE)

SMALLEST_ALPHA = 10**-1.5
"""Below this alpha the picture is nearly pure noise (zero terminal SNR): eps says nothing about x_0 there."""


@dataclass(frozen=True)
class Moment:
    """A point of the noise schedule for a base of one prediction type.

    `timestep`, `alpha` and `sigma` are numbers, or tensors (B,) and (B, 1, 1, 1) for a batch of moments.
    Samples, outputs and noise are (B, C, h, w).
    """

    timestep: Scale
    alpha: Scale
    sigma: Scale
    prediction_type: str

    def to(self, device: torch.device) -> Moment:
        """A batch of moments on a device."""
        timestep, alpha, sigma = (
            torch.as_tensor(s).to(device) for s in (self.timestep, self.alpha, self.sigma)
        )
        return replace(self, timestep=timestep, alpha=alpha, sigma=sigma)

    def part(self, rows: slice) -> Moment:
        """Some of a batch of moments."""
        timestep, alpha, sigma = (torch.as_tensor(s)[rows] for s in (self.timestep, self.alpha, self.sigma))
        return replace(self, timestep=timestep, alpha=alpha, sigma=sigma)

    def noised(self, x0: Tensor, eps: Tensor) -> Tensor:
        """x_t of the clean latents and the noise."""
        return self.alpha * x0 + self.sigma * eps

    def target(self, x0: Tensor, eps: Tensor) -> Tensor:
        """The raw output of a perfect base."""
        if self.prediction_type == EPSILON:
            return eps
        if self.prediction_type == V_PREDICTION:
            return self.alpha * eps - self.sigma * x0
        return x0

    def eps(self, output: Tensor, sample: Tensor) -> Tensor:
        """The noise that a raw output stands for: the output itself where the base predicts noise."""
        if self.prediction_type == EPSILON:
            return output
        if self.prediction_type == V_PREDICTION:
            return self.alpha * output + self.sigma * sample
        return (sample - self.alpha * output) / self.sigma

    def x0(self, output: Tensor, sample: Tensor) -> Tensor:
        """The estimate of the clean latents that a raw output stands for."""
        if self.prediction_type == EPSILON:
            return (sample - self.sigma * output) / torch.as_tensor(self.alpha).clamp(min=SMALLEST_ALPHA)
        if self.prediction_type == V_PREDICTION:
            return self.alpha * sample - self.sigma * output
        return output

    def shifted(self, output: Tensor, delta: Tensor) -> Tensor:
        """The raw output whose noise is larger by `delta`; bitwise `output` where delta is zero."""
        if self.prediction_type == EPSILON:
            return output + delta
        if self.prediction_type == V_PREDICTION:
            return output + delta / self.alpha
        return output - self.sigma * delta / self.alpha


def moment(alphas_cumprod: Tensor, timestep: float, prediction_type: str) -> Moment:
    """The moment at one timestep, which may lie between two of the training's: all numbers."""
    alpha, sigma = signal_and_noise(alphas_cumprod, torch.tensor(timestep, dtype=torch.float64))
    return Moment(timestep, alpha.item(), sigma.item(), prediction_type)


def moments(alphas_cumprod: Tensor, timesteps: Tensor, prediction_type: str) -> Moment:
    """The moments of a batch, `timesteps` (B,)."""
    alpha, sigma = (scale.view(-1, 1, 1, 1) for scale in signal_and_noise(alphas_cumprod, timesteps))
    return Moment(timesteps, alpha, sigma, prediction_type)


def signal_and_noise(alphas_cumprod: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor]:
    """alpha and sigma at `timesteps`, of their shape, float32 on the device of `alphas_cumprod`.

    Between two timesteps sigma / alpha is interpolated linearly, as the Euler scheduler does.
    """
    table = alphas_cumprod.cpu().double()  # mps has no float64
    steps = timesteps.cpu().double().clamp(0, len(table) - 1)
    below = steps.floor().long()
    if torch.equal(below.double(), steps):
        squared = table[below]
    else:
        ratio = ((1 - table) / table).sqrt()
        above = (below + 1).clamp(max=len(table) - 1)
        squared = 1 / (1 + torch.lerp(ratio[below], ratio[above], steps - below) ** 2)
    alpha, sigma = squared.sqrt().float(), (1 - squared).sqrt().float()
    return alpha.to(alphas_cumprod.device), sigma.to(alphas_cumprod.device)
