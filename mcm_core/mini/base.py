"""`python -m mcm_core train-base --data DIR --out DIR`: the embedded base, from scenes to a diffusers folder.

Four stages, each resumable by the same command: words, autoencoder, latents, denoiser.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from torch import Tensor
from tqdm import tqdm
from transformers import CLIPTextModel, CLIPTokenizer

from mcm_core.drawing.conditions import InputError
from mcm_core.training.fit import spent
from mcm_core.training.precision import AUTO, autocast

from .autoencoder import train_autoencoder
from .base_card import Stage, write_card
from .denoiser import build_scheduler, build_unet, train_denoiser
from .text import CONTEXT, build_text_encoder, learn_tokenizer

SHARD = "9MB"


def read_rows(folder: Path) -> list[dict[str, str]]:
    """The lines of metadata.jsonl."""
    return [json.loads(line) for line in (folder / "metadata.jsonl").read_text(encoding="utf-8").splitlines()]


def read_pictures(folder: Path, rows: Sequence[dict[str, str]]) -> Tensor:
    """(N, 256, 256, 3) uint8 RGB."""
    files = [folder / row["file_name"] for row in rows]
    return torch.from_numpy(np.stack([_read(file) for file in files]))


def _read(file: Path) -> np.ndarray:
    picture = cv2.imread(str(file), cv2.IMREAD_COLOR_RGB)
    if picture is None:
        raise InputError(f"{file} is missing or no picture; render the data set again.")
    return picture


@torch.no_grad()
def encode_all(
    autoencoder: AutoencoderKL, folder: Path, rows: Sequence[dict[str, str]], batch: int = 8
) -> Tensor:
    """Latents of all pictures, (N, 4, 32, 32) float16 of unit deviation; sets the autoencoder's scaling."""
    chunks = []
    for start in tqdm(range(0, len(rows), batch), "latents"):
        images = _signed(read_pictures(folder, rows[start : start + batch]))
        with autocast(images.device, AUTO):
            chunks.append(autoencoder.encode(images).latent_dist.mode().float())
    latents = torch.cat(chunks)
    autoencoder.register_to_config(scaling_factor=round(1 / latents.std().item(), 4))
    return (latents * autoencoder.config.scaling_factor).half()


def _signed(pictures: Tensor) -> Tensor:
    """(B, H, W, 3) uint8 -> (B, 3, H, W) in [-1, 1], channels last."""
    return (pictures.permute(0, 3, 1, 2).float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def assemble(
    autoencoder: AutoencoderKL,
    unet: UNet2DConditionModel,
    encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
    out: Path,
) -> None:
    """Write the stock diffusers folder: half precision, every file below 10 MB."""
    pipeline = StableDiffusionPipeline(
        vae=autoencoder,
        text_encoder=encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.to(torch.float16).save_pretrained(out, safe_serialization=True, max_shard_size=SHARD)


def main(argv: Sequence[str]) -> int:
    options = parser().parse_args(argv)
    rows = read_rows(options.data)
    options.out.mkdir(parents=True, exist_ok=True)
    parts = _new_parts(options, rows) if options.init is None else _given_parts(options.init)
    latents = _latents(options, rows, parts.autoencoder)
    texts = ["", *(row["text"] for row in rows)]
    tokens = parts.tokenizer(
        texts, padding="max_length", max_length=CONTEXT, truncation=True, return_tensors="pt"
    ).input_ids
    unet, encoder = train_denoiser(
        latents, tokens[1:], tokens[0], parts.unet, parts.encoder, options.out / "denoiser",
        steps=options.steps, batch=options.batch_size, lr=options.lr,
    )  # fmt: skip
    assemble(parts.autoencoder, unet, encoder, parts.tokenizer, options.out / "base")
    stages = [
        Stage("autoencoder", *_spent(options.out / "autoencoder", options.autoencoder_batch)),
        Stage("denoiser and text encoder", *_spent(options.out / "denoiser", options.batch_size)),
    ]
    networks = {"U-Net": unet, "text encoder": encoder, "autoencoder": parts.autoencoder}
    counts = {name: sum(p.numel() for p in network.parameters()) for name, network in networks.items()}
    write_card(options.out / "base", parts.autoencoder.float(), len(rows), stages, counts, options.init)
    return 0


def parser() -> argparse.ArgumentParser:
    command = argparse.ArgumentParser("python -m mcm_core train-base", description=__doc__)
    command.add_argument(
        "--data", type=Path, required=True, help="a folder written by `python -m mcm_core render`"
    )
    command.add_argument(
        "--out", type=Path, required=True, help="checkpoints, and the base in its folder `base`"
    )
    command.add_argument(
        "--init", type=Path, help="a base to train further: its denoiser; words and autoencoder stay"
    )
    command.add_argument("--autoencoder-pictures", type=int, default=4000)
    command.add_argument("--autoencoder-steps", type=int, default=4200)
    command.add_argument("--autoencoder-batch", type=int, default=4)
    command.add_argument("--steps", type=int, default=3700, help="of the denoiser")
    command.add_argument("--batch-size", type=int, default=32, help="of the denoiser")
    command.add_argument("--lr", type=float, default=2e-3, help="of the denoiser")
    return command


@dataclass(frozen=True)
class Parts:
    """What the denoiser's training begins with."""

    tokenizer: CLIPTokenizer
    autoencoder: AutoencoderKL
    unet: UNet2DConditionModel
    encoder: CLIPTextModel


def _new_parts(options: argparse.Namespace, rows: Sequence[dict[str, str]]) -> Parts:
    tokenizer = learn_tokenizer(row["text"] for row in rows)
    autoencoder = _autoencoder(options, rows)
    torch.manual_seed(0)
    encoder = build_text_encoder(tokenizer)
    torch.manual_seed(0)
    return Parts(tokenizer, autoencoder, build_unet(encoder.config.hidden_size), encoder)


def _given_parts(folder: Path) -> Parts:
    """Those of a base that this command wrote."""
    if not (folder / "model_index.json").is_file():
        raise InputError(f"{folder} is no base: give the folder `base` that this command wrote.")
    pipe = StableDiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32)
    autoencoder = pipe.vae.to(memory_format=torch.channels_last)
    return Parts(pipe.tokenizer, autoencoder, pipe.unet, pipe.text_encoder)


def _spent(folder: Path, batch: int) -> tuple[int, int, float]:
    steps, seconds = spent(folder)
    return steps, batch, seconds


def _autoencoder(options: argparse.Namespace, rows: Sequence[dict[str, str]]) -> AutoencoderKL:
    done = options.out / "autoencoder" / "result"
    if not done.exists():
        pictures = read_pictures(options.data, rows[: options.autoencoder_pictures])
        model = train_autoencoder(
            pictures,
            options.out / "autoencoder",
            steps=options.autoencoder_steps,
            batch=options.autoencoder_batch,
        )
        model.save_pretrained(done)
    return AutoencoderKL.from_pretrained(done).to(memory_format=torch.channels_last)


def _latents(
    options: argparse.Namespace, rows: Sequence[dict[str, str]], autoencoder: AutoencoderKL
) -> Tensor:
    stored = options.out / "latents.pt"
    if not stored.exists():
        torch.save((encode_all(autoencoder, options.data, rows), autoencoder.config.scaling_factor), stored)
    latents, scaling = torch.load(stored, weights_only=True)
    autoencoder.register_to_config(scaling_factor=scaling)
    return latents
