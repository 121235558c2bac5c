"""A modulator holding one drawing: what acts on a frozen base's output, in the pipeline and in `wrap`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from mcm_core import modulation
from mcm_core.drawing.conditions import Conditions, to_tensors
from mcm_core.modulator import Modulator


class NotFiniteError(ArithmeticError):
    """NaN or infinity instead of a picture. The message says where it arose and what to try."""


@dataclass(frozen=True)
class Moment:
    """A point of the noise schedule: x_t (B, C, h, w), variance preserving, at timestep t."""

    sample: Tensor
    timestep: float
    alpha: float
    sigma: float


def moment(alphas_cumprod: Tensor, sample: Tensor, timestep: Tensor | float) -> Moment:
    """The moment at `timestep`, a number or a tensor of equal ones."""
    number = float(torch.as_tensor(timestep).flatten()[0])
    alpha, sigma = modulation.signal_and_noise(alphas_cumprod, number)
    return Moment(sample, number, alpha.item(), sigma.item())


@dataclass(frozen=True)
class Corrected:
    """A base's output after the modulation, and where it acted.

    `gamma_action` and `nu_action` are (B, h, w): strength * |gamma - 1| |eps| and strength * |nu|, means over
    the channels.
    """

    output: Tensor
    gamma_action: Tensor
    nu_action: Tensor


@dataclass(frozen=True)
class Control:
    """A modulator and the features (1, F, h, w) of one drawing.

    Attributes:
        strength: of the whole correction; the modalities' shares are in the features already.
        start, end: the part of the trajectory, in [0, 1], in which it acts.
    """

    modulator: Modulator
    features: Tensor
    strength: float
    start: float = 0.0
    end: float = 1.0

    def acts_at(self, progress: float, now: Moment) -> bool:
        """Whether it acts after `progress` in [0, 1) of the trajectory: not outside of the windows of request
        and training, and not where the sample is nothing but noise.
        """
        in_window = self.start <= progress < self.end and self.modulator.acts_at(now.timestep)
        return in_window and now.alpha >= modulation.SINGULAR_ALPHA

    @torch.no_grad()
    def correct(self, output: Tensor, now: Moment, prediction_type: str) -> Corrected:
        """The base's raw `output` (B, C, h, w), modulated; `now.sample` has as many rows, or one.

        Raises:
            NotFiniteError: the modulator gave NaN or infinity.
        """
        scales = (now.alpha, now.sigma, prediction_type)
        sample = now.sample.float().expand_as(output)
        eps = modulation.to_epsilon(output.float(), sample, *scales)
        features = self.features.expand(len(output), -1, -1, -1)
        change = self.modulator(sample, eps, now.timestep, now.alpha, features)
        delta = modulation.correction(eps, change.gamma, change.nu, self.strength)
        if not bool(torch.isfinite(delta).all()):
            raise NotFiniteError("The modulator gave numbers that are not finite: retrain it.")
        return Corrected(
            modulation.add_to_output(output, delta.to(output.dtype), *scales),
            self.strength * ((change.gamma - 1).abs() * eps.abs()).mean(dim=1),
            self.strength * change.nu.abs().mean(dim=1),
        )


def prepare(
    modulator: Modulator,
    conditions: Conditions | None,
    strength: Mapping[str, float],
    latent_size: tuple[int, int],
    start: float = 0.0,
    end: float = 1.0,
) -> Control | None:
    """The control that a drawing exerts; None where there is none: nothing drawn, or all strengths 0.

    The strongest modality sets the strength of the whole correction, the others count in proportion to it, by
    their presence. Modalities that `strength` does not name count 1.
    """
    drawn = conditions.drawn().maps if conditions is not None else {}
    given = {name: strength.get(name, 1.0) for name in drawn}
    overall = max(given.values(), default=0.0)
    if conditions is None or overall == 0 or start >= end:
        return None
    pixels = (latent_size[0] * modulator.config.downscale, latent_size[1] * modulator.config.downscale)
    tensors = to_tensors(
        conditions.drawn(), modulator.modalities, modulator.classes, pixels, modulator.device, modulator.dtype
    )
    presence = {name: value / overall for name, value in given.items()}
    with torch.no_grad():
        features = modulator.encode(tensors, presence, size=latent_size)
    return Control(modulator, features, overall, start, end)
