"""What is trained, each as one network that says what the base would say of x_t, had it seen the drawing.

    seen   = network.see(drawing)                            once for a picture
    output = network(base, sample, now, texts, seen)         raw outputs (B, C, h, w), float32, see `schedule`

The base is handed in, so that a network's parameters are its own. Where a rival needs gradients through the
base, they run through it; only its weights stay.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from diffusers import ControlNetModel, T2IAdapter, UNet2DConditionModel
from diffusers.models.controlnets.controlnet import ControlNetConditioningEmbedding
from diffusers.models.controlnets.controlnet_xs import ControlNetXSAdapter, UNetControlNetXSModel
from peft import LoraConfig
from torch import Tensor, nn
from torch.nn import functional

from mcm_core.base import Base, Embeddings
from mcm_core.modulation import correction
from mcm_core.modulator import Modulator
from mcm_core.schedule import Moment
from mcm_core.training.job import Job, make_modulator

from .drawing import Drawing, planes_of
from .two_layers import of_two_layers, without_padding

HINT = 32
"""Channels that a drawing has at the latents' size where it enters a U-Net's first convolution."""
LORA_RANK = 16
LORA_LAYERS = ["to_q", "to_k", "to_v", "to_out.0", "conv1", "conv2", "ff.net.0.proj", "ff.net.2"]
XS_RATIO = 0.125
"""Width of a ControlNet-XS beside the base's, about that of its paper's 1.6%."""


class Modulated(nn.Module):
    """Ours: gamma and nu of the base's own prediction, through which no gradient runs."""

    def __init__(self, modulator: Modulator) -> None:
        super().__init__()
        self.modulator = modulator

    def see(self, drawing: Drawing) -> tuple[Tensor, Tensor]:
        """Features, and where there is a drawing: elsewhere the base speaks alone."""
        height, width = (side // self.modulator.config.downscale for side in drawing.labels.shape[1:])
        features = self.modulator.encode(
            drawing.maps, drawing.present, size=(height, width), batch=len(drawing)
        )
        return features, drawing.is_drawn

    def forward(
        self, base: Base, sample: Tensor, now: Moment, texts: Embeddings, seen: tuple[Tensor, Tensor]
    ) -> Tensor:
        features, is_drawn = seen
        output = base.predict(sample, torch.as_tensor(now.timestep), texts)
        eps = now.eps(output, sample)
        change = self.modulator(sample, eps, now.timestep, now.alpha, features)
        return now.shifted(output, correction(eps, change.gamma.float(), change.nu.float()) * is_drawn)


class Plain(nn.Module):
    """The base alone."""

    def see(self, drawing: Drawing) -> None:
        return None

    def forward(self, base: Base, sample: Tensor, now: Moment, texts: Embeddings, seen: None) -> Tensor:
        return base.predict(sample, torch.as_tensor(now.timestep), texts)


class WithControlNet(nn.Module):
    """ControlNet (Zhang et al. 2023): a copy of the encoder, added to the skips; gradients run through the
    decoder."""

    def __init__(self, unet: UNet2DConditionModel, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.control = ControlNetModel.from_unet(unet, conditioning_channels=planes_of(classes)).float()

    def see(self, drawing: Drawing) -> Tensor:
        return drawing.planes(self.classes)

    def forward(self, base: Base, sample: Tensor, now: Moment, texts: Embeddings, seen: Tensor) -> Tensor:
        down, middle = called(self.control, sample, now, texts, controlnet_cond=seen)
        more = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
        return called(base.unet, sample, now, texts, **more)[0].float()


class WithControlNetXS(nn.Module):
    """ControlNet-XS (Zavadski et al. 2023): a slim encoder in step with the base's, which it joins."""

    def __init__(self, unet: UNet2DConditionModel, classes: int) -> None:
        super().__init__()
        self.classes = classes
        deeper = of_two_layers(unet)
        adapter = ControlNetXSAdapter.from_unet(
            deeper, size_ratio=XS_RATIO, conditioning_channels=planes_of(classes)
        )
        joint = UNetControlNetXSModel.from_unet(deeper, adapter.float())
        joint.freeze_unet_params()
        self.joint = joint if deeper is unet else without_padding(joint)

    def see(self, drawing: Drawing) -> Tensor:
        return drawing.planes(self.classes)

    def forward(self, base: Base, sample: Tensor, now: Moment, texts: Embeddings, seen: Tensor) -> Tensor:
        return called(self.joint, sample, now, texts, controlnet_cond=seen)[0].float()


class WithAdapter(nn.Module):
    """T2I-Adapter (Mou et al. 2023): features of the drawing, the same at each step, added in the encoder."""

    def __init__(self, unet: UNet2DConditionModel, classes: int, downscale: int) -> None:
        super().__init__()
        self.classes = classes
        self.adapter = T2IAdapter(
            planes_of(classes), unet.config.block_out_channels, downscale_factor=downscale
        )

    def see(self, drawing: Drawing) -> list[Tensor]:
        return list(self.adapter(drawing.planes(self.classes)))

    def forward(
        self, base: Base, sample: Tensor, now: Moment, texts: Embeddings, seen: list[Tensor]
    ) -> Tensor:
        residuals = [
            functional.avg_pool2d(each, 2) if joins_below(block) else each
            for each, block in zip(seen, base.unet.down_blocks, strict=True)
        ]
        return called(base.unet, sample, now, texts, down_intrablock_additional_residuals=residuals)[
            0
        ].float()


class WithChannels(nn.Module):
    """A U-Net that takes the drawing in channels of its own beside the latents: fine-tuned, LoRA, or new."""

    def __init__(self, unet: UNet2DConditionModel, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.hint = ControlNetConditioningEmbedding(HINT, planes_of(classes))
        self.hint.conv_out.reset_parameters()  # it starts at zero, as do the weights that it meets
        self.unet = unet
        self.unet.conv_in = widened(unet.conv_in, HINT)

    def see(self, drawing: Drawing) -> Tensor:
        return self.hint(drawing.planes(self.classes))

    def forward(self, base: Base, sample: Tensor, now: Moment, texts: Embeddings, seen: Tensor) -> Tensor:
        return called(self.unet, torch.cat([sample, seen.to(sample.dtype)], dim=1), now, texts)[0].float()


def called(
    network: nn.Module, sample: Tensor, now: Moment, texts: Embeddings, **more: Any
) -> tuple[Any, ...]:
    """One forward call of diffusers' kind."""
    dtype = next(network.parameters()).dtype
    timestep = torch.as_tensor(now.timestep, device=sample.device)
    return network(sample.to(dtype), timestep, encoder_hidden_states=texts.hidden, return_dict=False, **more)


def joins_below(block: nn.Module) -> bool:
    """Whether the U-Net adds an adapter's features after this block's own down-sampling: where there is no
    attention, see `UNet2DConditionModel.forward`."""
    return not getattr(block, "has_cross_attention", False) and block.downsamplers is not None


def widened(first: nn.Conv2d, more: int) -> nn.Conv2d:
    """The convolution with so many further inputs, of which it makes nothing yet. Float32, to be trained."""
    wide = copy.deepcopy(first).float().requires_grad_(True)
    wide.in_channels += more
    wide.weight = nn.Parameter(functional.pad(wide.weight.detach(), (0, 0, 0, 0, 0, more)))
    return wide


# -- new ones ----------------------------------------------------------------------------------------------

Build = Callable[[Job], nn.Module]
"""A network before its first step."""


def modulated(preset: str) -> Build:
    def build(job: Job) -> nn.Module:
        sized = replace(job, options=replace(job.options, preset=preset))
        return Modulated(make_modulator(sized, None))

    return build


def controlnet(job: Job) -> nn.Module:
    return WithControlNet(job.base.unet, len(job.layout.classes))


def controlnet_xs(job: Job) -> nn.Module:
    return WithControlNetXS(job.base.unet, len(job.layout.classes))


def t2i_adapter(job: Job) -> nn.Module:
    return WithAdapter(job.base.unet, len(job.layout.classes), job.base.downscale)


def fine_tuned(job: Job) -> nn.Module:
    unet = copy.deepcopy(job.base.unet).float().requires_grad_(True)
    return WithChannels(unet, len(job.layout.classes))


def lora(job: Job) -> nn.Module:
    unet = copy.deepcopy(job.base.unet).requires_grad_(False)
    config = LoraConfig(r=LORA_RANK, lora_alpha=LORA_RANK, target_modules=LORA_LAYERS)
    unet.add_adapter(config)  # its own weights are float32
    return WithChannels(unet, len(job.layout.classes))


def from_scratch(job: Job) -> nn.Module:
    unet = UNet2DConditionModel.from_config(job.base.unet.config)
    return WithChannels(unet, len(job.layout.classes))
