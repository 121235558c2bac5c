"""Schedulers by name: which there are, which cannot work with a base, and a fresh one per request.

A scheduler holds the state of one run. Two runs on one object give errors or, with PNDM, silently wrong
pictures, so that the base's own scheduler is a template which is never stepped.
"""

from __future__ import annotations

import copy
import inspect
from typing import Any

import diffusers
import torch
from torch import Tensor

from mcm_core.drawing.conditions import InputError
from mcm_core.schedule import EPSILON, PREDICTION_TYPES, SAMPLE, V_PREDICTION

SCHEDULERS: dict[str, type[Any]] = {
    "ddim": diffusers.DDIMScheduler,
    "ddpm": diffusers.DDPMScheduler,
    "euler": diffusers.EulerDiscreteScheduler,
    "euler-a": diffusers.EulerAncestralDiscreteScheduler,
    "heun": diffusers.HeunDiscreteScheduler,
    "kdpm2": diffusers.KDPM2DiscreteScheduler,
    "kdpm2-a": diffusers.KDPM2AncestralDiscreteScheduler,
    "dpmsolver++": diffusers.DPMSolverMultistepScheduler,
    "unipc": diffusers.UniPCMultistepScheduler,
    "deis": diffusers.DEISMultistepScheduler,
    "pndm": diffusers.PNDMScheduler,
    "lcm": diffusers.LCMScheduler,
    "tcd": diffusers.TCDScheduler,
}
FALLBACK = "ddim"
FEW_STEPS = ("lcm", "tcd")
"""For bases that were distilled to few steps (Luo et al. 2023, Zheng et al. 2024): others blur under them."""

_NO_SAMPLE = {"pndm", "euler-a", "kdpm2", "kdpm2-a"}
_NO_V = {"pndm"}  # it averages v across timesteps and converts the mean with the last one's alpha


def refusal(name: str, template: Any) -> str | None:
    """Why the scheduler `name` cannot drive the base whose own scheduler is `template`; None where it can."""
    if name not in SCHEDULERS:
        return f"There is no scheduler {name!r:.60}: choose from {', '.join(available(template))}."
    if name in FEW_STEPS and not is_of_few_steps(template):
        return f"The scheduler {name!r} is for bases made for few steps, see `mcm fuse`: take another."
    prediction = prediction_type(template)
    if (prediction == SAMPLE and name in _NO_SAMPLE) or (prediction == V_PREDICTION and name in _NO_V):
        return f"The scheduler {name!r} cannot work with a base that predicts {prediction!r}: take another."
    rescales = template.config.get("rescale_betas_zero_snr", False)
    if rescales and "rescale_betas_zero_snr" not in inspect.signature(SCHEDULERS[name]).parameters:
        return f"The scheduler {name!r} cannot end in pure noise, as this base was trained to: take another."
    return None


def is_of_few_steps(template: Any) -> bool:
    """Whether the base whose own scheduler is `template` was distilled to few steps."""
    return type(template) in [SCHEDULERS[name] for name in FEW_STEPS]


def most_steps(template: Any, name: str) -> int:
    """How many steps the scheduler `name` can take with this base."""
    steps = int(template.config.num_train_timesteps)
    return min(steps, template.config.original_inference_steps) if name in FEW_STEPS else steps


def available(template: Any) -> tuple[str, ...]:
    """The names that work with the base whose own scheduler is `template`."""
    return tuple(name for name in SCHEDULERS if refusal(name, template) is None)


def default_name(template: Any) -> str:
    """The name of the base's own scheduler, or `FALLBACK` where that one has no name here or cannot work."""
    names = [name for name, kind in SCHEDULERS.items() if kind is type(template)]
    return names[0] if names and refusal(names[0], template) is None else FALLBACK


def checked_name(template: Any, name: str | None) -> str:
    """`name`, or for None the name of the base's own scheduler.

    Raises:
        InputError: no such name, or one that cannot work with this base.
    """
    name = default_name(template) if name is None else name
    reason = refusal(name, template)
    if reason:
        raise InputError(reason)
    return name


def make_scheduler(template: Any, name: str | None = None, *, latent: bool = True) -> Any:
    """A fresh scheduler on the base's noise schedule.

    Args:
        template: the base's own scheduler; it is not changed.
        name: one of `SCHEDULERS`, None for the base's own.
        latent: whether it works on latents, which must not be clipped to [-1, 1].

    Raises:
        InputError: see `checked_name`.
    """
    name = checked_name(template, name)
    if type(template) is SCHEDULERS[name]:
        return copy.deepcopy(template)
    return converted(template, name, latent=latent)


def converted(template: Any, name: str, *, latent: bool = True) -> Any:
    """A scheduler of this name on the noise schedule of `template`, whether or not that suits the base."""
    config = {"skip_prk_steps": True, **template.config}  # as every Stable Diffusion folder has it for pndm
    if name == "deis":  # its algorithms are others than DPM-Solver's, which go by this name, too
        config.pop("algorithm_type", None)
    if latent:
        config.setdefault("clip_sample", False)
    return SCHEDULERS[name].from_config(config)


def set_timesteps(scheduler: Any, steps: int, device: torch.device) -> None:
    """As the scheduler does it, less the step behind the last one.

    That t = -1 is what rounding makes of "trailing" spacing at some counts (61 of 1000). Schedulers that go
    by sigmas make a step of it that changes next to nothing; those by timesteps would take it for pure noise.
    """
    scheduler.set_timesteps(steps, device=device)
    if not hasattr(scheduler, "sigmas"):
        scheduler.timesteps = scheduler.timesteps[scheduler.timesteps >= 0]


def live_scheduler(template: Any, grid: int) -> Any:
    """A fresh scheduler for a modulator that knows `grid` timesteps: x_t -> x_0, and new noise on that.

    Consistency sampling (Song et al. 2023, algorithm 1). diffusers blends x_t into x_0 near t = 0, for
    networks that are not consistent there themselves; at so large a `timestep_scaling` nothing is blended in.
    """
    own = {
        "original_inference_steps": grid,
        "timestep_scaling": 1e6,
        "clip_sample": False,
        "thresholding": False,
    }
    return diffusers.LCMScheduler.from_config({**template.config, **own})


def prediction_type(template: Any) -> str:
    """ "epsilon", "v_prediction" or "sample".

    Raises:
        InputError: any other kind of prediction, such as flow matching.
    """
    kind = template.config.get("prediction_type", EPSILON)
    if kind not in PREDICTION_TYPES or not hasattr(template, "alphas_cumprod"):
        raise InputError(
            f"The base's scheduler ({type(template).__name__}, prediction {kind!r}) is not supported: "
            f"the base must predict one of {', '.join(PREDICTION_TYPES)}."
        )
    return str(kind)


def step(scheduler: Any, output: Tensor, timestep: Tensor, sample: Tensor, generator: Any) -> Tensor:
    """x_t -> x_t-1; `generator` feeds the schedulers that add noise."""
    noise = {"generator": generator} if "generator" in inspect.signature(scheduler.step).parameters else {}
    return scheduler.step(output, timestep, sample, **noise, return_dict=False)[0]
