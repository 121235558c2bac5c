"""diffusers' ControlNet-XS knows only U-Nets of two layers a block: one of a single layer as such a one.

The further layers say what came in, bit for bit. They are there while weights are copied by name, and are
then replaced by nothing at all, so that they cost no time.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.controlnets.controlnet_xs import UNetControlNetXSModel
from torch import Tensor, nn


class First(nn.Module):
    """In place of a layer: the first `channels` of its first argument."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, hidden: Tensor, *_: Any, **__: Any) -> Tensor:
        return hidden[:, : self.channels]


class Same(nn.Module):
    """In place of an attention: its first argument, in the tuple that is asked for."""

    def forward(self, hidden: Tensor, *_: Any, **__: Any) -> tuple[Tensor]:
        return (hidden,)


@torch.no_grad()
def of_two_layers(unet: UNet2DConditionModel) -> UNet2DConditionModel:
    """The U-Net with two layers a block; as it is where it has them. Its padding is not yet passed over.

    Raises:
        ValueError: it has neither one layer a block nor two.
    """
    if unet.config.layers_per_block == 2:
        return unet
    if unet.config.layers_per_block != 1:
        raise ValueError("ControlNet-XS is for U-Nets of one or two layers a block")
    padded = UNet2DConditionModel.from_config({**unet.config, "layers_per_block": 2})
    state = {renamed(name): value for name, value in unet.state_dict().items()}
    padded.load_state_dict(state, strict=False)
    return padded.to(unet.device, unet.dtype).requires_grad_(False)


def renamed(name: str) -> str:
    """Of a parameter: the second of a block's two layers on the way up is the last of three, since its skip
    comes from further up."""
    for kind in ("resnets", "attentions"):
        block, found, rest = name.partition(f".{kind}.1.")
        if found and block.startswith("up_blocks."):
            return f"{block}.{kind}.2.{rest}"
    return name


def without_padding(joint: UNetControlNetXSModel) -> UNetControlNetXSModel:
    """The same network, changed in place, whose base passes over its further layers."""
    for block in joint.down_blocks:
        block.base_resnets[1] = First(block.base_resnets[1].out_channels)
        _pass_over(block.base_attentions)
    for block in joint.up_blocks:
        block.resnets[1] = First(block.resnets[1].out_channels)
        _pass_over(block.attentions)
    return joint


def _pass_over(attentions: Any) -> None:
    if isinstance(attentions, nn.ModuleList):  # else there are none
        attentions[1] = Same()
