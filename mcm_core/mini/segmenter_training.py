"""`python -m mcm_core train-segmenter --data DIR --out DIR`: the network that judges, trained on renders.

It takes about ten minutes on two cores. The same command goes on where an interrupted run stopped.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from mcm_core.devices import choose_device
from mcm_core.drawing.conditions import InputError
from mcm_core.evaluation.overlap import confusions, iou
from mcm_core.evaluation.segmenter import Network, Seen, Segmenter, load, to_signed
from mcm_core.landscapes.captions import ATTRIBUTES
from mcm_core.landscapes.easel import CLASSES
from mcm_core.sums import write_sums
from mcm_core.training import fit
from mcm_core.training.precision import AUTO, autocast

from .damage import damaged

RARITY = (
    0.4  # a class counts by its frequency to the power of minus this: a boat is few pixels, but a whole thing
)
HELD_OUT_SHARE = 16  # one picture in so many is for the figures alone


@dataclass(frozen=True, eq=False)
class Renders:
    """N renders: pictures (N, H, W, 3) and labels (N, H, W) uint8, attributes (N,) int64 by name."""

    pictures: Tensor
    labels: Tensor
    attributes: dict[str, Tensor]

    def to(self, device: torch.device) -> Renders:
        moved = {name: each.to(device) for name, each in self.attributes.items()}
        return Renders(self.pictures.to(device), self.labels.to(device), moved)

    def __getitem__(self, rows: Tensor | slice) -> Renders:
        return Renders(
            self.pictures[rows],
            self.labels[rows],
            {name: each[rows] for name, each in self.attributes.items()},
        )


def read_renders(folder: Path, count: int) -> Renders:
    """The first `count` renders of a folder that `render` wrote.

    Raises:
        InputError: no such folder, a row that is no render of the embedded world, a picture that does not
        open.
    """
    try:
        lines = (folder / "metadata.jsonl").read_text(encoding="utf-8").splitlines()[:count]
        rows: list[dict[str, Any]] = [json.loads(line) for line in lines]
        attributes = {
            name: torch.tensor([words.index(row[name]) for row in rows]) for name, words in ATTRIBUTES.items()
        }
        pictures = _read([folder / row["file_name"] for row in rows], cv2.IMREAD_COLOR)
        labels = _read([folder / row["labels"] for row in rows], cv2.IMREAD_GRAYSCALE)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{folder} cannot be read as renders ({error}): write it with `render --styles all`."
        ) from error
    return Renders(torch.from_numpy(pictures), torch.from_numpy(labels), attributes)


def class_weights(labels: Tensor, count: int) -> Tensor:
    """(count,) of mean 1 over the pixels: rarer classes count more, see `RARITY`."""
    pixels = torch.bincount(labels.flatten().int(), minlength=count + 1)[1:].float()
    share = (pixels / pixels.sum()).clamp(min=1e-4)
    weights = share**-RARITY
    return weights / (weights * share).sum()


def objective(seen: Seen, renders: Renders, softness: Tensor, weights: Tensor) -> Tensor:
    """Cross entropies of pixels, attributes and areas, and of how soft the picture was made."""
    wanted = renders.labels.long() - 1
    pixels = functional.cross_entropy(seen.classes.float(), wanted, weights)
    words = [
        functional.cross_entropy(seen.attributes[name].float(), each)
        for name, each in renders.attributes.items()
    ]
    areas = functional.cross_entropy(seen.areas.float(), _shares(wanted, len(weights)))
    soft = functional.binary_cross_entropy_with_logits(seen.softness.float(), softness)
    return pixels + 0.3 * torch.stack(words).sum() + 0.2 * areas + 0.2 * soft


def _shares(wanted: Tensor, classes: int) -> Tensor:
    """(B, H, W) indices -> (B, classes) share of each class; one-hot maps would be as slow as the network."""
    first = classes * torch.arange(len(wanted), device=wanted.device)[:, None]
    counts = torch.bincount((first + wanted.flatten(1)).flatten(), minlength=classes * len(wanted))
    return counts.view(len(wanted), classes) / wanted[0].numel()


def train(
    renders: Renders,
    out: Path,
    steps: int,
    batch: int,
    lr: float,
    save_seconds: float = 60,
    seconds: float | None = None,
) -> Network:
    """A new network, trained where the renders are; the same call goes on from the checkpoints in `out`."""
    device = renders.pictures.device
    torch.manual_seed(0)
    classes = [{"name": each.name, "color": each.color} for each in CLASSES]
    model = Network(classes, {name: list(words) for name, words in ATTRIBUTES.items()})
    model.to(device, memory_format=torch.channels_last)
    weights = class_weights(renders.labels, len(CLASSES))

    def loss(generator: torch.Generator) -> Tensor:
        chosen = renders[torch.randint(len(renders.pictures), (batch,), generator=generator).to(device)]
        chosen = mirrored(chosen) if torch.rand((), generator=generator) < 0.5 else chosen
        pictures, softness = damaged(to_signed(chosen.pictures), generator)
        with autocast(device, AUTO):
            seen = model(pictures.contiguous(memory_format=torch.channels_last))
        return objective(seen, chosen, softness, weights)

    return fit.train(
        model,
        loss,
        steps=steps,
        out=out,
        lr=lr,
        matrices=True,
        ema=0.995,
        save_seconds=save_seconds,
        seconds=seconds,
    )


def mirrored(renders: Renders) -> Renders:
    return Renders(renders.pictures.flip(2), renders.labels.flip(2), renders.attributes)


def figures(segmenter: Segmenter, renders: Renders) -> dict[str, float]:
    """mIoU and the accuracy of each attribute on renders that were not trained on."""
    reading = segmenter.read(renders.pictures.numpy())
    overlap = iou(confusions(renders.labels.numpy(), reading.labels, len(CLASSES)).sum(0))
    right = {
        name: float((reading.attributes[name] == each.numpy()).mean())
        for name, each in renders.attributes.items()
    }
    return {"mIoU": overlap.mean, **right}


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser("python -m mcm_core train-segmenter", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="renders in all styles")
    parser.add_argument(
        "--out", type=Path, required=True, help="the folder for the segmenter (and `checkpoints`)"
    )
    parser.add_argument(
        "--pictures", type=int, default=5000, help="how many of the renders, at most; 5000 are 1.3 GB"
    )
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--device", help="cuda, mps or cpu (default: the best that is here)")
    options = parser.parse_args(argv)
    if min(options.pictures, options.steps, options.batch_size) < 1:
        parser.error("--pictures, --steps and --batch-size must be at least 1")
    renders = read_renders(options.data, options.pictures)
    held_out = max(1, len(renders.pictures) // HELD_OUT_SHARE)
    if len(renders.pictures) <= held_out:
        raise InputError(f"{options.data} holds too few renders: render at least a thousand.")
    checkpoints = options.out / "checkpoints"
    trained = renders[held_out:].to(choose_device(options.device))
    network = train(trained, checkpoints, options.steps, options.batch_size, options.lr)
    save(network, options.out)
    told = figures(load(options.out), renders[:held_out])
    (options.out / "figures.json").write_text(json.dumps({"held out renders": held_out, **told}, indent=1))
    print(" ".join(f"{name} {value:.3f}" for name, value in told.items()))
    return 0


def save(network: Network, folder: Path) -> None:
    """config.json and half precision safetensors; the network itself is in half precision afterwards."""
    network.half().save_pretrained(folder, safe_serialization=True)
    write_sums(folder)


def _read(files: Sequence[Path], mode: int) -> np.ndarray:
    """N pictures as one array, RGB or grey; a list of them beside it would double the memory."""
    pictures: np.ndarray | None = None
    for index, file in enumerate(tqdm(files, "reading", unit="picture", leave=False)):
        picture = cv2.imread(str(file), mode)
        if picture is None:
            raise ValueError(f"{file.name} does not open")
        if pictures is None:
            pictures = np.empty((len(files), *picture.shape), np.uint8)
        pictures[index] = picture[..., ::-1] if mode == cv2.IMREAD_COLOR else picture
    if pictures is None:
        raise ValueError("it has no rows")
    return pictures
