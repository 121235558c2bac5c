"""The modulator as a part in other people's code: a stock diffusers pipeline whose U-Net is wrapped.

Text to image, with whatever else the pipeline can do (LoRA, IP-Adapter, callbacks, prompt weighting):

    pipe = StableDiffusionPipeline.from_pretrained("stable-diffusion-v1-5/stable-diffusion-v1-5")
    modulator = Modulator.from_pretrained("someone/landscapes-modulator")
    drawn = modulate(pipe, modulator, conditions)
    image = drawn("a lake at dusk", generator=torch.Generator().manual_seed(7)).images[0]

Image to image (inpainting likewise), where the drawing steers what an existing picture turns into:

    pipe = StableDiffusionImg2ImgPipeline.from_pretrained("stable-diffusion-v1-5/stable-diffusion-v1-5")
    drawn = modulate(pipe, modulator, conditions, strength={"labels": 1.0, "sketch": 0.5})
    image = drawn("a lake at dusk", image=picture, strength=0.7).images[0]

`pipe` itself is not changed: nothing is patched, and it goes on making plain pictures from the same weights.
"""

from __future__ import annotations

import copy
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from diffusers import AutoencoderTiny, DiffusionPipeline
from diffusers.models.modeling_utils import ModelMixin
from diffusers.models.unets.unet_2d_condition import UNet2DConditionOutput
from torch import Tensor, nn

from mcm_core.base.identity import Identity, identify
from mcm_core.base.schedulers import is_of_few_steps, prediction_type
from mcm_core.control import Control, prepare
from mcm_core.drawing.conditions import Conditions, InputError
from mcm_core.modulator import Modulator
from mcm_core.request import (
    DEFAULT_PLACEMENT,
    fitting_drawing,
    known_boost,
    known_placement,
    strengths,
    window,
)
from mcm_core.schedule import Moment, moment

HOOKED = ("_hf_hook", "_old_forward")
"""Where accelerate keeps what moves a network to its device and back: the U-Net's own, not the wrapper's."""
UNSUITABLE = {
    "PAG": "perturbed-attention guidance puts a third branch into its batches",
    "SAG": "self-attention guidance reads the attention maps of the U-Net",
    "InstructPix2Pix": "its batches have three branches",
    "Panorama": "it shows the U-Net many crops, each of which would get the whole drawing",
}
"""Kinds of pipelines, by what their names hold, that cannot follow a drawing, and why."""


def modulate(
    pipe: Any,
    modulator: Modulator,
    conditions: Conditions,
    *,
    strength: float | Mapping[str, float] = 1.0,
    start: float = 0.0,
    end: float = 1.0,
    placement: str = DEFAULT_PLACEMENT,
    prompt_boost: float | None = None,
) -> Any:
    """A new pipeline of the type of `pipe`, with the same weights, that follows a drawing.

    Args:
        pipe: any diffusers pipeline around one U-Net: text to image, img2img, inpainting, ...
        modulator: trained for this base.
        conditions: the drawing; it is scaled to the size of each picture.
        strength: of all modalities, or by modality; 0 is bitwise the unwrapped pipeline.
        start, end: the part of the noise schedule, in [0, 1] from pure noise on, in which it acts. A U-Net
            sees timesteps, not step numbers: 0.5 is the middle of the base's noise schedule.
        placement, prompt_boost: as in a `Request`, but for the placement "guided".

    Raises:
        InputError: the modulator does not fit or is made for few steps, one of the values cannot be, "guided"
            placement, a pipeline that has no U-Net or is `UNSUITABLE`.
    """
    _check_kind(pipe)
    if modulator.live is not None:
        raise InputError(
            "This modulator is made for few steps: it has a scheduler of its own and its guidance inside, "
            "which a stock pipeline does not know. Use MCMPipeline, or the modulator that it was made from."
        )
    if known_placement(placement) == "guided":
        raise InputError(
            "A U-Net does not see the guided prediction: choose the placement 'both' or 'conditional', or "
            "use MCMPipeline for 'guided'."
        )
    _identity(pipe, modulator).check(modulator)
    acts = (*window(start, end), known_boost(prompt_boost, modulator), _guides_itself(pipe))
    names = [modality.name for modality in modulator.modalities]
    given = strength if isinstance(strength, Mapping) else dict.fromkeys(names, strength)
    drawn, judged = fitting_drawing(conditions, modulator), strengths(given, modulator)

    def control(size: tuple[int, int]) -> Control | None:
        return prepare(modulator, drawn, judged, size, *acts)

    unet = ModulatedUNet(pipe, modulator, control, placement)
    parts = {**pipe.config, **pipe.components, "unet": unet, "scheduler": copy.deepcopy(pipe.scheduler)}
    wanted = inspect.signature(type(pipe).__init__).parameters
    return type(pipe)(**{name: parts[name] for name in wanted if name in parts})


def _check_kind(pipe: Any) -> None:
    """Refuse by name what has no U-Net, no noise schedule of alphas, or batches of another make."""
    kind = type(pipe).__name__
    if getattr(pipe, "unet", None) is None:
        raise InputError(
            f"{kind} has no U-Net: a modulator works with U-Net models (SD 1.x, 2.x, SDXL, LDM)."
        )
    reason = next((reason for part, reason in UNSUITABLE.items() if part in kind), None)
    if reason is not None:
        raise InputError(f"{kind} cannot follow a drawing: {reason}. Use a pipeline without that.")
    if not isinstance(getattr(pipe.scheduler, "alphas_cumprod", None), Tensor):
        name = type(pipe.scheduler).__name__
        raise InputError(
            f"{name} has no alphas_cumprod: give the pipeline a DDIM, Euler or DPM-Solver scheduler."
        )


def _guides_itself(pipe: Any) -> bool:
    """As `Base.guides_itself`, but that of a Turbo nothing in its pipeline tells."""
    return is_of_few_steps(pipe.scheduler) or pipe.unet.config.get("time_cond_proj_dim") is not None


def _identity(pipe: Any, modulator: Modulator) -> Identity:
    """That of the pipeline; a tiny autoencoder speaks the U-Net's own latents, whatever their scaling."""
    name = getattr(pipe, "name_or_path", "") or type(pipe).__name__
    if not isinstance(getattr(pipe, "vae", None), AutoencoderTiny):
        return identify(pipe, name)
    return identify(pipe, name, (modulator.config.latent_scaling, modulator.config.latent_shift))


class ModulatedUNet(ModelMixin):
    """Takes the U-Net's place in the pipeline: only `forward` is its own.

    Attributes are read from and set on the wrapped `unet` (its config, attention processors, adapters), which
    the plain pipeline shares. It is a `ModelMixin` because diffusers loads LoRA into nothing else.
    """

    def __init__(
        self,
        pipe: Any,
        modulator: Modulator,
        control: Callable[[tuple[int, int]], Control | None],
        placement: str,
    ) -> None:
        super().__init__()
        self.unet = pipe.unet
        self.modulator = modulator.to(pipe.unet.device)
        self.__dict__.update(
            _control=control,
            _controls={},
            _placement=placement,
            _prediction=prediction_type(pipe.scheduler),
            _alphas_cumprod=pipe.scheduler.alphas_cumprod.cpu(),
        )

    @property
    def dtype(self) -> torch.dtype:
        return self.unet.dtype

    @property
    def device(self) -> torch.device:
        return self.unet.device

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name in HOOKED:
                raise
            return getattr(super().__getattr__("unet"), name)

    def __setattr__(self, name: str, value: Any) -> None:
        mine = (
            name in HOOKED
            or name in self.__dict__
            or hasattr(type(self), name)
            or "unet" not in self._modules
        )
        owner = self if mine or not hasattr(self.unet, name) else self.unet
        nn.Module.__setattr__(owner, name, value)

    def named_modules(self, *args: Any, **kwargs: Any) -> Iterator[tuple[str, nn.Module]]:
        """Those of the U-Net alone: who looks here for attention to change must not find the modulator's."""
        return self.unet.named_modules(*args, **kwargs)

    def save_pretrained(self, *args: Any, **kwargs: Any) -> None:
        """A drawing cannot be saved with a pipeline.

        Raises:
            InputError: always.
        """
        raise InputError(
            "A pipeline that follows a drawing cannot be saved. Save the plain pipeline and the modulator, "
            "and call modulate() on them when they are opened again."
        )

    @torch.compiler.disable(recursive=False)
    def forward(
        self,
        sample: Tensor,
        timestep: Tensor | float,
        encoder_hidden_states: Tensor | None = None,
        *args: Any,
        return_dict: bool = True,
        **kwargs: Any,
    ) -> UNet2DConditionOutput | tuple[Tensor]:
        """The U-Net's output (B, C, h, w), modulated. Arguments are those of the wrapped U-Net."""
        is_told = encoder_hidden_states is not None
        text = (encoder_hidden_states,) if is_told else ()
        output = self.unet(sample, timestep, *text, *args, return_dict=False, **kwargs)[0]
        latents = sample[:, : output.shape[1]]  # an inpainting U-Net sees mask and picture behind them
        now = moment(self._alphas_cumprod, float(torch.as_tensor(timestep).flatten()[0]), self._prediction)
        output = self._modulated(output, latents, now, is_told)
        return UNet2DConditionOutput(sample=output) if return_dict else (output,)

    def _modulated(self, output: Tensor, latents: Tensor, now: Moment, is_told: bool) -> Tensor:
        if self.modulator.device != latents.device:  # a hook moved the U-Net, or a pipeline that shares it
            self.modulator.to(latents.device)
        control = self._control_at(latents)
        progress = 1 - (float(now.timestep) + 1) / len(self._alphas_cumprod)
        if control is None or not control.acts_at(max(progress, 0.0), now):
            return output
        pipe = _calling_pipeline()
        if pipe is not None:
            _check_kind(pipe)
        is_guided = is_told and self._placement == "conditional"  # without words there is nothing to guide by
        count = _unconditional(pipe, len(output)) if is_guided else 0
        negative = output[:count]
        corrected = control.correct(output[count:], latents[count:], now, negative if count else None)
        return torch.cat([negative, corrected.output])

    def _control_at(self, sample: Tensor) -> Control | None:
        """The drawing at the size of `sample`; encoded once per size, device and precision."""
        key = (sample.shape[-2:], self.modulator.device, self.modulator.dtype)
        if key not in self._controls:
            self._controls[key] = self._control(tuple(sample.shape[-2:]))
        return self._controls[key]


def _unconditional(pipe: Any, count: int) -> int:
    """How many of a batch of [negative, positive] are negative; 0 where there is no guidance.

    Raises:
        InputError: nobody knows.
    """
    if pipe is None and count % 2:
        return 0
    guided = getattr(pipe, "do_classifier_free_guidance", None)
    if not isinstance(guided, bool):
        raise InputError(
            "Whether this batch is [negative, positive] is not known. Say placement='both' in modulate()."
        )
    return count // 2 if guided else 0


def _calling_pipeline() -> Any:
    """The pipeline whose call is running: it alone knows what its batches are made of.

    A U-Net is shared between pipelines (`from_pipe`, `Pipeline(**pipe.components)`), and they do not tell it
    who calls.
    """
    frame = sys._getframe(1)
    while frame is not None:
        owner = frame.f_locals.get("self") if "self" in frame.f_code.co_varnames else None
        if isinstance(owner, DiffusionPipeline):
            return owner
        frame = frame.f_back  # type: ignore[assignment]
    return None
