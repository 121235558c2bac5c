"""Style words as image filters. The poster is the picture as it was painted."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np

Rng = np.random.Generator


def _noise(rng: Rng, shape: tuple[int, int], sigma: tuple[float, float]) -> np.ndarray:
    """Smooth noise of unit deviation, sigma (x, y) in pixels of 256: the same at any size of the picture."""
    white = rng.standard_normal((256, 256), np.float32)
    field = cv2.GaussianBlur(white, (0, 0), sigmaX=sigma[0], sigmaY=sigma[1])
    return cv2.resize(field / (field.std() + 1e-6), shape[::-1], interpolation=cv2.INTER_CUBIC)


def _warp(picture: np.ndarray, rng: Rng, amplitude: float, scale: float) -> np.ndarray:
    height, width = picture.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    dx, dy = (amplitude * height / 256 * _noise(rng, (height, width), (scale, scale)) for _ in range(2))
    return cv2.remap(picture, x + dx, y + dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def _outline(picture: np.ndarray, width: float = 1.0) -> np.ndarray:
    """How much of an edge there is at each pixel, (H, W) in [0, 1]."""
    k = picture.shape[0] / 256
    smooth = cv2.GaussianBlur(picture, (0, 0), k * width)
    gx, gy = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    return np.clip(np.sqrt((gx**2 + gy**2).sum(-1)) * 1.6 * k - 0.12, 0, 1)


def _saturated(picture: np.ndarray, factor: float) -> np.ndarray:
    grey = picture.mean(-1, keepdims=True)
    return np.clip(grey + (picture - grey) * np.float32(factor), 0, 1)


def watercolor(picture: np.ndarray, rng: Rng) -> np.ndarray:
    """Luminous washes that wobble and pool where they end, lighter and darker in clouds, on white paper."""
    wash = cv2.bilateralFilter(_warp(picture, rng, 1.4, 8), 7, 0.1, 4 * len(picture) / 256)
    strength = 0.74 + 0.1 * np.clip(_noise(rng, wash.shape[:2], (16, 16)), -1.6, 1.6)
    thin = 1 - (1 - _saturated(wash, 1.35)) * strength[..., None]
    pooled = thin ** (1 + 0.9 * _outline(wash, 1.5)[..., None])
    return pooled * np.array([1.0, 0.99, 0.965], np.float32)


def oil_painting(picture: np.ndarray, rng: Rng) -> np.ndarray:
    """Thick, saturated dabs with soft, wandering edges and the light on their ridges."""
    moved = (np.clip(_warp(picture, rng, 1.15, 3.6), 0, 1) * 255).astype(np.uint8)
    paint = cv2.medianBlur(moved, (5 * len(picture) // 256) | 1) / np.float32(255)
    ridges = _warp(_noise(rng, paint.shape[:2], (8, 2)), rng, 6, 18)
    return _saturated(paint, 1.3) * (1 + 0.075 * np.clip(ridges, -2, 2)[..., None])


def pencil_drawing(picture: np.ndarray, rng: Rng) -> np.ndarray:
    """Graphite: outlines and soft tone on white paper."""
    grey = cv2.GaussianBlur(picture, (0, 0), len(picture) / 256) @ np.array([0.3, 0.59, 0.11], np.float32)
    tone = 0.6 + 0.4 * np.clip(grey, 0, 1) ** 0.7
    lines = np.maximum(_outline(picture, 0.7), 0.6 * _outline(picture, 1.3))
    drawn = tone * (1 - 0.72 * lines) + 0.012 * _noise(rng, grey.shape, (2, 2))
    return drawn[..., None] * np.array([1.0, 0.99, 0.975], np.float32)


def crayon_drawing(picture: np.ndarray, rng: Rng) -> np.ndarray:
    """Bright wax on paper: strong outlines in a darker tone, waxy strokes that let the paper through."""
    moved = _warp(picture, rng, 1.2, 5)
    grey = moved.mean(-1, keepdims=True)
    bright = np.clip(0.16 + 0.9 * (grey + (moved - grey) * 1.55), 0, 1)
    wax = np.clip(0.84 + 0.085 * np.clip(_noise(rng, grey.shape[:2], (2.6, 10)), -2, 2), 0, 1)[..., None]
    on_paper = bright * wax + (1 - wax)
    return on_paper * (1 - 0.55 * _outline(moved, 1.5)[..., None] * (1 - 0.5 * bright))


def pixel_art(picture: np.ndarray, rng: Rng) -> np.ndarray:
    """Sixty-four pixels a side, twelve levels of brightness."""
    del rng
    small = _saturated(cv2.resize(picture, (64, 64), interpolation=cv2.INTER_AREA), 1.15)
    light = small.mean(-1, keepdims=True)
    blocks = small + np.round(light * 11) / 11 - light
    return cv2.resize(blocks, picture.shape[1::-1], interpolation=cv2.INTER_NEAREST)


STYLES: Mapping[str, Callable[[np.ndarray, Rng], np.ndarray] | None] = {
    "poster": None,
    "watercolor": watercolor,
    "oil painting": oil_painting,
    "pencil drawing": pencil_drawing,
    "crayon drawing": crayon_drawing,
    "pixel art": pixel_art,
}


def stylise(picture: np.ndarray, style: str, rng: Rng) -> np.ndarray:
    """(H, W, 3) uint8 -> the same in a style of STYLES."""
    effect = STYLES[style]
    if effect is None:
        return picture
    painted = effect(picture.astype(np.float32) / 255, rng)
    return np.round(np.clip(painted, 0, 1) * 255).astype(np.uint8)
