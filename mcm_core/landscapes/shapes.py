"""Outlines of the things in a landscape: polygons (n, 2) of x right, y down, in sides of the picture."""

from __future__ import annotations

import numpy as np

Polygon = np.ndarray  # (n, 2) float32


def polygon(points: list[tuple[float, float]]) -> Polygon:
    return np.asarray(points, np.float32)


def smooth_ridge(rng: np.random.Generator, level: float, height: float, waves: int = 3) -> Polygon:
    """A rolling line across the picture: a few sines of falling size around `level`."""
    x = np.linspace(-0.02, 1.02, 80)
    y = np.zeros_like(x)
    for k in range(1, waves + 1):
        y += np.sin(2 * np.pi * (x * k * rng.uniform(0.35, 0.75) + rng.random())) * rng.uniform(0.4, 1) / k
    y = level - height * y / (np.abs(y).max() + 1e-6)
    return np.stack([x, y], 1).astype(np.float32)


def jagged(
    rng: np.random.Generator, start: np.ndarray, end: np.ndarray, depth: int, rough: float
) -> np.ndarray:
    """Midpoint displacement from `start` to `end`: (2**depth + 1, 2)."""
    line = np.stack([start, end]).astype(np.float32)
    for _ in range(depth):
        middle = (line[:-1] + line[1:]) / 2
        length = np.linalg.norm(line[1:] - line[:-1], axis=1)
        middle[:, 1] += rng.normal(0, rough, len(middle)) * length
        middle[:, 0] += rng.normal(0, rough / 2, len(middle)) * length
        out = np.empty((len(line) + len(middle), 2), np.float32)
        out[::2], out[1::2] = line, middle
        line = out
    return line


def below(line: np.ndarray, bottom: float) -> Polygon:
    """The area between a line from left to right and the height `bottom`."""
    ends = np.array([[line[-1, 0], bottom], [line[0, 0], bottom]], np.float32)
    return np.concatenate([line, ends])


def zigzag(
    rng: np.random.Generator, start: np.ndarray, end: np.ndarray, teeth: int, size: float
) -> np.ndarray:
    """A saw-toothed line from `start` to `end`, teeth up and down by `size`."""
    line = start + (end - start) * np.linspace(0, 1, 2 * teeth + 1, dtype=np.float32)[:, None]
    line[1:-1:2, 1] += size * rng.uniform(0.5, 1.2, teeth)
    line[2:-1:2, 1] -= size * rng.uniform(0.2, 0.8, teeth - 1)
    return line


def pine(x: float, y: float, height: float, width: float = 0.42, tiers: int = 3) -> Polygon:
    """A conifer standing on (x, y): stacked triangles."""
    half = height * width / 2
    left, right = [], []
    for tier in range(tiers):
        top, foot = y - height * (1 - 0.27 * tier), y - height * (0.62 - 0.27 * tier) + height * 0.04
        spread = half * (0.55 + 0.225 * tier)
        inner = 0.0 if tier == 0 else spread * 0.42
        left += [(x - inner, top), (x - spread, foot)]
        right += [(x + inner, top), (x + spread, foot)]
    return polygon(left + right[::-1])


def blob(
    rng: np.random.Generator, x: float, y: float, radius: float, squash: float = 1.0, bumps: int = 7
) -> Polygon:
    """A rounded crown or bush: a circle with soft bumps."""
    angle = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    r = radius * (1 + 0.09 * np.sin(bumps * angle + rng.random() * 6))
    return np.stack([x + r * np.cos(angle), y + squash * r * np.sin(angle)], 1).astype(np.float32)


def disc(x: float, y: float, radius: float) -> Polygon:
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    return np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], 1).astype(np.float32)


def cloud(rng: np.random.Generator, x: float, y: float, width: float) -> Polygon:
    """A poster cloud: a flat foot and the envelope of two to four domes over a low base."""
    grid = np.linspace(-0.5, 0.5, 60)
    top = 0.07 * np.clip(1 - (2 * grid) ** 6, 0, 1) ** 0.5
    for _ in range(int(rng.integers(2, 5))):
        middle, half, height = rng.uniform(-0.28, 0.28), rng.uniform(0.12, 0.22), rng.uniform(0.12, 0.24)
        top = np.maximum(top, height * np.sqrt(np.clip(1 - ((grid - middle) / half) ** 2, 0, 1)))
    return np.stack([x + width * grid, y - width * top], 1).astype(np.float32)


def river(rng: np.random.Generator, top: float, x: float) -> Polygon:
    """A winding band of water that widens towards the viewer."""
    t = np.linspace(0, 1, 40)
    sway = 0.16 * np.sin(2 * np.pi * (t * rng.uniform(0.6, 1.3) + rng.random())) * (0.25 + t)
    drift = rng.uniform(-0.3, 0.3)
    centre = x + drift * t + sway
    half = 0.008 + rng.uniform(0.1, 0.22) * t**1.6
    y = top + (1.03 - top) * t
    left, right = np.stack([centre - half, y], 1), np.stack([centre + half, y], 1)
    return np.concatenate([left, right[::-1]]).astype(np.float32)


def box(left: float, top: float, right: float, bottom: float) -> Polygon:
    return polygon([(left, top), (right, top), (right, bottom), (left, bottom)])
