"""Drawings and photos that stand for what people upload."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw

from mcm_core.drawing.conditions import LabelClass

CLASSES = (
    LabelClass("sky", "#8ec1ef"),
    LabelClass("cloud", "#f2f4f7"),
    LabelClass("hill", "#6a9a4c"),
    LabelClass("sea", "#2b5fae"),
)


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def layout() -> np.ndarray:
    """48 x 64 ids: all four classes and an unpainted corner."""
    labels = np.repeat(np.array([1, 2, 3, 4], np.uint8), 12)[:, None].repeat(64, axis=1)
    labels[:12, :16] = 0
    return labels


def drawing(paper: object, stroke: object, mode: str = "RGB", width: int = 2) -> Image.Image:
    image = Image.new(mode, (96, 80), paper)  # type: ignore[arg-type]
    draw = ImageDraw.Draw(image)
    draw.line([(8, 60), (40, 20), (88, 66)], fill=stroke, width=width)  # type: ignore[arg-type]
    draw.ellipse([60, 8, 80, 28], outline=stroke, width=width)  # type: ignore[arg-type]
    return image


def photo() -> Image.Image:
    """A dark disc on a bright, noisy slope."""
    y, x = np.mgrid[:160, :200]
    gray = 150 + x * 0.3 + np.random.default_rng(3).normal(0, 3, x.shape)
    gray[np.hypot(x - 100, y - 80) < 50] -= 110
    return Image.fromarray(np.clip(gray, 0, 255).astype(np.uint8)).convert("RGB")
