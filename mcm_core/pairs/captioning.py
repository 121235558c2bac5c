"""What is said of a photo: by a text file beside it, by a model, or the same for all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from mcm_core.drawing.conditions import InputError

Captioner = Callable[[Sequence[Path], Sequence[np.ndarray]], list[str | None]]
"""Photos' paths and their pictures (H, W, 3) uint8 -> their captions, None where nothing is said."""
LONGEST = 40  # tokens of a caption


def written(fixed: str | None) -> Captioner:
    """The text in photo.txt beside photo.jpg, else `fixed`."""

    def captions(paths: Sequence[Path], pictures: Sequence[np.ndarray]) -> list[str | None]:
        return [beside(path) or fixed for path in paths]

    return captions


def beside(path: Path) -> str | None:
    """The caption in the text file of a photo's name, if there is one."""
    text = path.with_suffix(".txt")
    said = text.read_text(encoding="utf-8", errors="replace").strip() if text.is_file() else ""
    return " ".join(said.split()) or None


def spoken(source: str, device: torch.device, before: str = "") -> Captioner:
    """A captioner of transformers (BLIP, GIT and the like), with words put before what it says; a text beside
    a photo goes first.

    Raises:
        InputError: it cannot be opened.
    """
    from transformers import AutoModelForImageTextToText, AutoProcessor

    try:
        processor = AutoProcessor.from_pretrained(source)
        model = AutoModelForImageTextToText.from_pretrained(source).to(device).eval()
    except Exception as error:  # hub, weights, classes: each raises its own kind
        raise InputError(f"{source} cannot be opened as a captioner: {_first_line(error)}") from error

    @torch.inference_mode()
    def captions(paths: Sequence[Path], pictures: Sequence[np.ndarray]) -> list[str | None]:
        inputs = processor(images=[Image.fromarray(picture) for picture in pictures], return_tensors="pt")
        ids = model.generate(**inputs.to(device, model.dtype), max_new_tokens=LONGEST)
        said = [before + text.strip() for text in processor.batch_decode(ids, skip_special_tokens=True)]
        return [beside(path) or text for path, text in zip(paths, said, strict=True)]

    return captions


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
