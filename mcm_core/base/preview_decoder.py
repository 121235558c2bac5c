"""A small decoder that shows latents as pictures on the way: diffusers' `AutoencoderTiny`, such as TAESD.

It takes the latents as the sampler has them, and costs a small part of the autoencoder's time. What it shows
is only looked at: finished pictures come from the base's own autoencoder.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderTiny
from torch import Tensor

from mcm_core.base.identity import Identity
from mcm_core.base.opening import hub_options, only_half
from mcm_core.drawing.conditions import InputError
from mcm_core.weights import opening, require_complete, require_finite

KIND = "AutoencoderTiny"


def open_preview_decoder(source: str | Path, **options: Any) -> AutoencoderTiny:
    """The decoder in a diffusers folder or at a hub id, in float32 on the CPU, frozen, without its encoder.

    Raises:
        InputError: it is another kind of network, a pickle, damaged, incomplete or not finite.
    """
    with opening(source, "preview decoder"):
        kind = AutoencoderTiny.load_config(source, **hub_options(options)).get("_class_name")
        if kind != KIND:
            raise InputError(f"{source} holds a {kind}: give an {KIND}, as madebyollin/taesd is one.")
        decoder, report = AutoencoderTiny.from_pretrained(
            source,
            use_safetensors=True,
            output_loading_info=True,
            **({"variant": "fp16"} if only_half(Path(source)) else {}),
            **hub_options(options),
        )
        require_complete(report, source)
        require_finite(decoder, source)
    del decoder.encoder
    return decoder.float().requires_grad_(False).eval().to(memory_format=torch.channels_last)


def require_fit(decoder: AutoencoderTiny, identity: Identity) -> None:
    """Refuse a decoder of other latents than the base's, as far as its config.json tells.

    Raises:
        InputError: it takes other channels, enlarges otherwise, gives no colours, or its scaling is damaged.
    """
    config = decoder.config
    for name in ("upsampling_scaling_factor", "scaling_factor", "shift_factor"):
        value = config[name]
        if not (isinstance(value, int | float) and math.isfinite(value) and (value > 0 or "shift" in name)):
            raise InputError(
                f"The preview decoder's config.json is damaged: its {name} is {value!r:.40}. Copy or "
                "download it again."
            )
    enlarges = config.upsampling_scaling_factor ** (len(config.decoder_block_out_channels) - 1)
    facts = {
        "channels of the latents": (config.latent_channels, identity.latent_channels),
        "pixels per latent along each side": (enlarges, identity.downscale),
        "channels of the pictures": (config.out_channels, 3),
    }
    for what, (its, wanted) in facts.items():
        if its != wanted:
            raise InputError(
                f"This preview decoder does not fit the base {identity.id}: its {what} are {its}, not "
                f"{wanted}. Take the one that was made for this base's latents, or none."
            )


def decode_preview(decoder: AutoencoderTiny, latents: Tensor) -> Tensor:
    """Scaled latents (B, C, h, w) -> (B, 3, H, W) in [-1, 1], with diffusers' pipelines' use of the scaling:
    an `AutoencoderTiny` learned from scaled latents, so that its own `scaling_factor` is 1."""
    raw = latents.to(decoder.device) / decoder.config.scaling_factor + decoder.config.shift_factor
    raw = raw.to(decoder.dtype).contiguous(memory_format=torch.channels_last)
    return decoder.decode(raw, return_dict=False)[0].to(latents.dtype).clamp(-1, 1)
