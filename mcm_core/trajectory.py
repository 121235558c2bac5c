"""One picture on its way from noise to latents: its own noise, scheduler and calls of the networks.

A batch holds [negative, positive] at most. On a CPU a larger batch changes the last bits of a float32
convolution (by 2e-6 here), and a picture must not depend on which others are made with it. That costs little
there: a batch of 8 took 0.9 of the time per picture in float32 and 0.7 in bfloat16. The plain twin of a
comparison runs in the same way, so that it is bitwise what the plain base makes alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mcm_core.base import Base, Embeddings, schedulers
from mcm_core.control import Control, NotFiniteError
from mcm_core.modulation import guide
from mcm_core.request import Resolved
from mcm_core.schedule import Moment


@dataclass(frozen=True)
class Setting:
    """What the pictures of a request share.

    `embeddings` are [negative, positive] where it is guided. `control` is None where nothing is drawn.
    `undrawn` is of a live modulator: what acts where `control` does not; None leaves that to the base alone.
    """

    base: Base
    request: Resolved
    embeddings: Embeddings
    control: Control | None
    undrawn: Control | None = None

    def acting(self, progress: float, now: Moment) -> Control | None:
        """What acts after `progress` in [0, 1) of the trajectory."""
        control = self.control
        return control if control is not None and control.acts_at(progress, now) else self.undrawn

    def make_scheduler(self) -> Any:
        """A fresh scheduler with its timesteps."""
        live = None if self.undrawn is None else self.undrawn.modulator.live
        base, request = self.base, self.request
        scheduler = base.live_scheduler(live.grid) if live else base.make_scheduler(request.scheduler)
        schedulers.set_timesteps(scheduler, request.steps, base.device)
        return scheduler

    @property
    def latent_size(self) -> tuple[int, int]:
        """(h, w) of the latents."""
        return self.request.height // self.base.downscale, self.request.width // self.base.downscale


@dataclass
class Trajectory:
    """The state of one picture. `x0` (1, C, h, w) and the actions (1, h, w) are those of the last step."""

    setting: Setting
    scheduler: Any
    generator: torch.Generator
    latents: Tensor
    x0: Tensor
    gamma_action: Tensor
    nu_action: Tensor

    def __len__(self) -> int:
        """Calls of the base from noise to picture."""
        return len(self.scheduler.timesteps)


def start(setting: Setting, seed: int) -> Trajectory:
    """Pure noise, from a generator on the CPU, so that a seed means the same on every device."""
    base, scheduler = setting.base, setting.make_scheduler()
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn((1, base.latent_channels, *setting.latent_size), generator=generator).to(base.device)
    still = torch.zeros(1, *setting.latent_size, device=base.device)
    latents = noise * scheduler.init_noise_sigma
    return Trajectory(setting, scheduler, generator, latents, torch.zeros_like(noise), still, still)


@torch.no_grad()
def advance(trajectory: Trajectory, index: int) -> None:
    """Step number `index`: one call of the base, one of the modulator where it acts, one of the scheduler.

    Raises:
        NotFiniteError: the latents are no numbers any more.
    """
    setting, scheduler = trajectory.setting, trajectory.scheduler
    base, timestep = setting.base, scheduler.timesteps[index]
    sample = scheduler.scale_model_input(trajectory.latents, timestep)
    twice = torch.cat([sample] * 2) if setting.request.guided else sample
    output = base.predict(twice, timestep, setting.embeddings, setting.request.guidance_scale)
    now = base.moment(float(timestep))
    control = setting.acting(index / len(trajectory), now)
    if control is not None:
        output = _modulated(trajectory, control, output, sample, now)
    else:
        output = _guided(setting, output)
        trajectory.gamma_action = trajectory.nu_action = torch.zeros_like(trajectory.nu_action)
    trajectory.x0 = now.x0(output, sample)
    latents, generator = trajectory.latents, trajectory.generator
    trajectory.latents = schedulers.step(scheduler, output, timestep, latents, generator)
    if not bool(torch.isfinite(trajectory.latents).all()):
        raise NotFiniteError(
            f"The latents are no finite numbers any more at step {index + 1}: take another scheduler, more "
            "steps or less guidance, or open the base in float32."
        )


def _modulated(
    trajectory: Trajectory, control: Control, output: Tensor, sample: Tensor, now: Moment
) -> Tensor:
    """The guided prediction with the modulation in its place, see `modulation.Placement`."""
    setting, placement = trajectory.setting, trajectory.setting.request.placement
    negative = None
    if setting.request.guided and placement == "conditional":
        negative, output = output.chunk(2)
    elif placement == "guided":
        output = _guided(setting, output)
    corrected = control.correct(output, sample, now, negative)
    trajectory.gamma_action, trajectory.nu_action = corrected.gamma_action[-1:], corrected.nu_action[-1:]
    modulated = corrected.output
    return _guided(setting, modulated if negative is None else torch.cat([negative, modulated]))


def _guided(setting: Setting, output: Tensor) -> Tensor:
    """[negative, positive] -> their guided combination; a single prediction as it is."""
    if len(output) == 1:
        return output
    negative, positive = output.chunk(2)
    return guide(negative, positive, setting.request.guidance_scale)
