"""Writes a diffusers folder as one `.safetensors` file with the names of the original Stable Diffusion.

The inverse of what diffusers does when it reads such files, so that the tests need no real checkpoint.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import diffusers
import torch
from safetensors.torch import save_file
from torch import Tensor

Rule = tuple[str, str | Callable[[re.Match[str]], str]]

UNET_NAMES: list[Rule] = [
    (r"^time_embedding\.linear_1", "time_embed.0"),
    (r"^time_embedding\.linear_2", "time_embed.2"),
    (r"^conv_in", "input_blocks.0.0"),
    (r"^conv_norm_out", "out.0"),
    (r"^conv_out", "out.2"),
    (r"^mid_block\.attentions\.0", "middle_block.1"),
    (r"^mid_block\.resnets\.(\d)", lambda found: f"middle_block.{2 * int(found[1])}"),
]
UNET_RESNET: list[Rule] = [
    (r"norm1", "in_layers.0"),
    (r"conv1", "in_layers.2"),
    (r"norm2", "out_layers.0"),
    (r"conv2", "out_layers.3"),
    (r"time_emb_proj", "emb_layers.1"),
    (r"conv_shortcut", "skip_connection"),
]
VAE_NAMES: list[Rule] = [
    (r"down_blocks\.(\d)\.resnets", r"down.\1.block"),
    (r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample"),
    (r"mid_block\.resnets\.(\d)", lambda found: f"mid.block_{int(found[1]) + 1}"),
    (r"mid_block\.attentions\.0\.group_norm", "mid.attn_1.norm"),
    (r"mid_block\.attentions\.0\.to_out\.0", "mid.attn_1.proj_out"),
    (r"mid_block\.attentions\.0\.to_", "mid.attn_1."),
    (r"conv_norm_out", "norm_out"),
    (r"conv_shortcut", "nin_shortcut"),
]


def write_single_file(folder: Path, file: Path, dtype: torch.dtype = torch.float32) -> Path:
    """The Stable Diffusion in `folder` as one file."""
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(folder, dtype=dtype)
    text = pipe.text_encoder.state_dict()
    prefix = "" if any(name.startswith("text_model.") for name in text) else "text_model."
    weights = {f"cond_stage_model.transformer.{prefix}{name}": value for name, value in text.items()}
    layers = pipe.unet.config.layers_per_block + 1
    for name, value in pipe.unet.state_dict().items():
        weights[f"model.diffusion_model.{_unet_name(name, layers)}"] = value
    for name, value in pipe.vae.state_dict().items():
        ours = _vae_name(name, len(pipe.vae.config.block_out_channels))
        weights[f"first_stage_model.{ours}"] = _as_convolution(ours, value)
    save_file({name: value.contiguous() for name, value in weights.items()}, file)
    return file


def _unet_name(name: str, layers: int) -> str:
    def numbered(found: re.Match[str]) -> str:
        way, level, kind, layer = found[1], int(found[2]), found[3], int(found[4])
        if kind == "downsamplers":
            return f"input_blocks.{(level + 1) * layers}.0.op"
        if kind == "upsamplers":
            return f"output_blocks.{level * layers + layers - 1}.{'12'[level > 0]}.conv"
        number = level * layers + layer + (1 if way == "down" else 0)
        return f"{'input' if way == 'down' else 'output'}_blocks.{number}.{int(kind == 'attentions')}"

    if ".resnets." in name:
        name = _rename(name, UNET_RESNET)
    name = re.sub(r"^(down|up)_blocks\.(\d)\.(\w+)\.(\d)(?:\.conv(?=\.))?", numbered, name)
    return _rename(name, UNET_NAMES)


def _vae_name(name: str, levels: int) -> str:
    def reversed_level(found: re.Match[str]) -> str:
        kind = {"resnets": "block", "upsamplers.0": "upsample"}[found[2]]
        return f"up.{levels - 1 - int(found[1])}.{kind}"

    return _rename(re.sub(r"up_blocks\.(\d)\.(resnets|upsamplers\.0)", reversed_level, name), VAE_NAMES)


def _rename(name: str, rules: list[Rule]) -> str:
    for pattern, wanted in rules:
        name = re.sub(pattern, wanted, name)
    return name


def _as_convolution(name: str, value: Tensor) -> Tensor:
    """The original's attention projects by convolutions of one pixel."""
    projects = ".attn_1." in name and ".norm." not in name and name.endswith("weight")
    return value[..., None, None] if projects else value
