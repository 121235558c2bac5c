"""Latents of a folder of scenes, in shards, so that a stopped stage goes on and data can grow."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor
from tqdm import tqdm

from mcm_core.drawing.conditions import InputError
from mcm_core.evaluation.segmenter import to_signed
from mcm_core.training.checkpoints import is_complete, write_folder
from mcm_core.training.precision import AUTO, autocast

SHARD = 2000  # scenes
AT_ONCE = {"cuda": 128}  # pictures by device; elsewhere 8

Rows = Sequence[dict[str, Any]]
"""The lines of metadata.jsonl."""


def read_rows(folder: Path) -> Rows:
    """Raises: InputError: no metadata.jsonl, or a line that is no scene with a caption."""
    try:
        with (folder / "metadata.jsonl").open(encoding="utf-8") as lines:  # not splitlines: U+2028 is text
            rows = [json.loads(line) for line in lines]
        if not rows or not all(isinstance(row["file_name"] + row["text"], str) for row in rows):
            raise ValueError("it names no scenes")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder} is no folder of `render` ({error}): write it with `render`.") from error
    return rows


def read_pictures(folder: Path, rows: Rows) -> Tensor:
    """(N, H, W, 3) uint8 RGB."""
    return torch.from_numpy(np.stack([_read(folder / row["file_name"]) for row in rows]))


def encode(autoencoder: AutoencoderKL, pictures: Tensor, precision: str = AUTO) -> Tensor:
    """(N, H, W, 3) uint8 -> (N, 4, h, w) float32, before any scaling, where the autoencoder is."""
    device = autoencoder.device
    with torch.no_grad(), autocast(device, precision):
        parts = (to_signed(part.to(device)) for part in pictures.split(at_once(device)))
        return torch.cat([autoencoder.encode(part).latent_dist.mode().float() for part in parts])


def at_once(device: torch.device) -> int:
    """How many pictures go through the autoencoder together."""
    return AT_ONCE.get(device.type, 8)


def write_shards(autoencoder: AutoencoderKL, data: Path, rows: Rows, out: Path, precision: str) -> None:
    """Encode what `out` does not hold yet, or holds of other scenes or by another autoencoder."""
    weights = _fingerprint(autoencoder)
    for number, start in enumerate(tqdm(range(0, len(rows), SHARD), "latents", unit="shard")):
        part, folder = rows[start : start + SHARD], _shard(out, number)
        made_of = f"{weights} {_contents(data, part)}"
        if is_complete(folder) and (folder / "made_of.txt").read_text() == made_of:
            continue

        def write(target: Path, part: Rows = part, made_of: str = made_of) -> None:
            many = at_once(autoencoder.device)
            chunks = (read_pictures(data, part[at : at + many]) for at in range(0, len(part), many))
            latents = torch.cat([_both_ways(autoencoder, pictures, precision) for pictures in chunks])
            torch.save((latents * autoencoder.config.scaling_factor).half().cpu(), target / "latents.pt")
            (target / "made_of.txt").write_text(made_of)

        write_folder(folder, write)


def _both_ways(autoencoder: AutoencoderKL, pictures: Tensor, precision: str) -> Tensor:
    """(N, H, W, 3) uint8 -> (N, 2, 4, h, w): of the pictures, and of the mirrored ones."""
    return torch.stack([encode(autoencoder, way, precision) for way in (pictures, pictures.flip(2))], dim=1)


def read_shards(out: Path, count: int) -> Tensor:
    """(count, 2, 4, h, w) float16 of unit deviation; the second is that of the mirrored picture.

    Raises:
        InputError: there are fewer, or some are damaged.
    """
    shards = [_shard(out, number) for number in range(-(-count // SHARD))]
    whole = [torch.load(shard / "latents.pt", weights_only=True) for shard in shards if is_complete(shard)]
    if sum(map(len, whole)) != count:
        raise InputError(f"{out} does not hold the latents of {count} scenes: run --stage latents first.")
    return torch.cat(whole)


def _read(file: Path) -> np.ndarray:
    picture = cv2.imread(str(file), cv2.IMREAD_COLOR_RGB)
    if picture is None:
        raise InputError(f"{file} is missing or no picture; render the data set again.")
    return picture


def _shard(out: Path, number: int) -> Path:
    return out / f"{number:05d}"


def _contents(data: Path, rows: Rows) -> str:
    """A hash of the rows and the sizes of their pictures, which stand for the pixels."""
    sizes = [(data / row["file_name"]).stat().st_size for row in rows]
    return hashlib.sha256(json.dumps([rows, sizes]).encode()).hexdigest()


def _fingerprint(autoencoder: AutoencoderKL) -> str:
    digest = hashlib.sha256(str(autoencoder.config.scaling_factor).encode())
    for name, value in sorted(autoencoder.state_dict().items()):
        digest.update(name.encode() + value.contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()
