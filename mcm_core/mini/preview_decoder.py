"""A small decoder for previews: the embedded base's latents to pictures, an `AutoencoderTiny`'s lower half.

`python -m mcm_core train-preview-decoder --base BASE --data DIR --out DIR`: it learns from latents and the
renders that they were encoded from, and is then worth a small part of the autoencoder's time. TAESD (Bohan
2023) is the same for Stable Diffusion. The same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from torch import Tensor

from mcm_core.devices import choose_device
from mcm_core.drawing.conditions import InputError
from mcm_core.evaluation.segmenter import to_signed
from mcm_core.sums import write_sums
from mcm_core.training.checkpoints import replace_files
from mcm_core.training.fit import train
from mcm_core.training.precision import AUTO, autocast

from .autoencoder import reconstruction_loss
from .latents import encode, read_pictures, read_rows

DOWNSCALE = 8  # pixels per latent along each side
MOST_NOISE = 0.05
"""In deviations of the latents: a clean estimate along the way is a little off what an encoder gives."""


def build_preview_decoder(channels: int = 24) -> AutoencoderTiny:
    """As many channels at each of four sizes, its blocks where the picture is small; with 24 a decode is a
    sixth of the autoencoder's time or less, with 16 a tenth. The encoder is never used."""
    return AutoencoderTiny(
        encoder_block_out_channels=(4,) * 4,
        num_encoder_blocks=(0,) * 4,
        decoder_block_out_channels=(channels,) * 4,
        num_decoder_blocks=(3, 3, 1, 0),
        latent_channels=4,
        scaling_factor=1.0,
    )


def train_preview_decoder(
    latents: Tensor,
    pictures: Tensor,
    out: Path,
    *,
    steps: int,
    batch: int,
    lr: float,
    size: int = 128,
    channels: int = 24,
    precision: str = AUTO,
) -> AutoencoderTiny:
    """-> the averaged decoder, on the device of the latents; resumable in `out`.

    Args:
        latents: (N, 4, h, w) of unit deviation, as the sampler has them, in any floating-point type.
        pictures: (N, 8 h, 8 w, 3) uint8, what they were encoded from, on the same device.
        size: of the square crops in pixels, a multiple of 8; that of the pictures for no crops.
        channels: see `build_preview_decoder`.
    """
    torch.manual_seed(0)
    model = build_preview_decoder(channels).to(latents.device, memory_format=torch.channels_last)
    model.encoder.requires_grad_(False)

    def loss(generator: torch.Generator) -> Tensor:
        cut, images = paired_crops(latents, pictures, size // DOWNSCALE, batch, generator)
        level = MOST_NOISE * torch.rand(batch, 1, 1, 1, generator=generator)
        noise = level * torch.randn(cut.shape, generator=generator)
        noisy = (cut + noise.to(cut.device)).contiguous(memory_format=torch.channels_last)
        with autocast(latents.device, precision):
            output = model.decode(noisy).sample
        return reconstruction_loss(output.float(), images)

    return train(model, loss, steps=steps, out=out, lr=lr, matrices=True)


def save_preview_decoder(model: AutoencoderTiny, folder: Path) -> None:
    """Write the stock diffusers folder in half precision, with its SHA256SUMS."""

    def write(target: Path) -> None:
        copy.deepcopy(model).half().save_pretrained(target)
        write_sums(target)

    replace_files(folder, write)


def paired_crops(
    latents: Tensor, pictures: Tensor, side: int, batch: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Random crops of `side` latents: (batch, 4, side, side) float32, and their pixels (batch, 3, 8 side,
    8 side) in [-1, 1]. Not mirrored: the latents of a mirrored picture are others."""
    which = torch.randint(len(latents), (batch,), generator=generator)
    room = torch.tensor([length - side + 1 for length in latents.shape[2:]])
    corner = (torch.rand(batch, 2, generator=generator) * room).long()
    places = [(n, y, x) for n, (y, x) in zip(which.tolist(), corner.tolist(), strict=True)]
    cut = [latents[n, :, y : y + side, x : x + side] for n, y, x in places]
    d = DOWNSCALE
    seen = [pictures[n, d * y : d * (y + side), d * x : d * (x + side)] for n, y, x in places]
    return torch.stack(cut).float(), to_signed(torch.stack(seen))


def main(argv: Sequence[str]) -> int:
    command = argparse.ArgumentParser("python -m mcm_core train-preview-decoder", description=__doc__)
    add = command.add_argument
    add("--base", type=Path, required=True, help="a base that train-base wrote")
    add("--data", type=Path, required=True, help="a folder written by `python -m mcm_core render`")
    add("--out", type=Path, required=True, help="the folder for the decoder (and `checkpoints`)")
    add("--pictures", type=int, default=4000, help="how many of the renders, at most")
    add("--steps", type=int, default=4000)
    add("--batch-size", type=int, default=64)
    add("--lr", type=float, default=3e-3)
    add("--channels", type=int, default=24)
    add("--device", help="cuda, mps or cpu (default: the best that is here)")
    options = command.parse_args(argv)
    if min(options.pictures, options.steps, options.batch_size, options.channels) < 1:
        raise InputError("--pictures, --steps, --batch-size and --channels must be at least 1.")
    device = choose_device(options.device)
    autoencoder = AutoencoderKL.from_pretrained(options.base / "vae", torch_dtype=torch.float32).to(device)
    rows = read_rows(options.data)[: options.pictures]
    pictures = read_pictures(options.data, rows).to(device)
    latents = encode(autoencoder, pictures) * autoencoder.config.scaling_factor
    model = train_preview_decoder(
        latents,
        pictures,
        options.out / "checkpoints",
        steps=options.steps,
        batch=options.batch_size,
        lr=options.lr,
        channels=options.channels,
    )
    save_preview_decoder(model, options.out)
    print(f"The preview decoder is in {options.out}.")
    return 0
