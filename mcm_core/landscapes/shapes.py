"""Outlines of the things in a landscape: polygons (n, 2) of x right, y down, in sides of the picture."""

from __future__ import annotations

import cv2
import numpy as np

Polygon = np.ndarray  # (n, 2) float32

_ANGLES = np.linspace(0, 2 * np.pi, 64, endpoint=False)
CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], 1).astype(np.float32)


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
    return CIRCLE * np.float32(radius) + np.array([x, y], np.float32)


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


def ellipse(x: float, y: float, half_width: float, half_height: float) -> Polygon:
    return disc(0, 0, 1) * polygon([(half_width, half_height)]) + polygon([(x, y)])


def moved(
    shape: Polygon, x: float, y: float, scale: float, angle: float = 0.0, squash: float = 1.0
) -> Polygon:
    """A shape around the origin, squashed in height, turned by `angle` radians, scaled, and put at (x, y)."""
    cos, sin = np.cos(angle), np.sin(angle)
    turned = (shape * [1.0, squash]) @ np.array([[cos, sin], [-sin, cos]])
    return (turned * scale + [x, y]).astype(np.float32)


def heart() -> Polygon:
    """About as wide as [-1, 1]."""
    t = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return (np.stack([x, y], 1) / 16).astype(np.float32)


def star(points: int = 5, inner: float = 0.45) -> Polygon:
    angle = np.arange(2 * points) * np.pi / points - np.pi / 2
    radius = np.where(np.arange(2 * points) % 2, inner, 1.0)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).astype(np.float32)


def loose(rng: np.random.Generator) -> Polygon:
    """A closed hand-drawn blob, about as wide as [-1, 1]."""
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    radius = np.ones_like(angle)
    for k in range(1, 6):
        radius += rng.normal(0, 0.32 / k) * np.sin(k * angle + rng.uniform(0, 2 * np.pi))
    radius = np.clip(radius, 0.25, 1.7)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).astype(np.float32) * 0.8


def brush_stroke(rng: np.random.Generator, start: np.ndarray, end: np.ndarray, width: float) -> Polygon:
    """A thick line from `start` to `end` that bends and wobbles, as a person pulls a round brush."""
    t = np.linspace(0, 1, 24)[:, None]
    along = (end - start).astype(np.float64)
    length = float(np.linalg.norm(along)) + 1e-6
    across = np.array([-along[1], along[0]]) / length
    bend = rng.normal(0, 0.15) * length * np.sin(np.pi * t) + rng.normal(0, 0.05) * length * np.sin(
        2 * np.pi * t
    )
    centre = start + along * t + across * bend
    half = width / 2 * (1 + 0.12 * np.sin(2 * np.pi * (t * rng.uniform(1, 3) + rng.random())))
    cap = np.linspace(0, np.pi, 9)[1:-1, None]
    forward, unit = along / length, across
    front = centre[-1] + half[-1] * (np.cos(cap) * unit + np.sin(cap) * forward)
    back = centre[0] - half[0] * (np.cos(cap) * unit + np.sin(cap) * forward)
    sides = (centre + half * unit, (centre - half * unit)[::-1])
    return np.concatenate([sides[0], front, sides[1], back]).astype(np.float32)


def teardrop() -> Polygon:
    """A balloon's envelope: round above, narrow at y = 1; about as wide as [-1, 1]."""
    angle = np.linspace(np.pi, 2 * np.pi, 40)
    dome = np.stack([np.cos(angle), np.sin(angle)], 1)
    t = np.linspace(0, 1, 16)[1:]
    right = np.stack([1 - 0.78 * t**1.6, 1.15 * t], 1)
    left = right[::-1] * [-1, 1]
    return np.concatenate([dome, right, left]).astype(np.float32)


def arches(left: float, right: float, top: float, foot: float, count: int, rise: float) -> Polygon:
    """A bridge with `count` round openings; its deck bows up by `rise`."""
    x = np.linspace(left, right, 40)
    deck = np.stack([x, top - rise * np.sin(np.pi * (x - left) / (right - left))], 1)
    pier = 0.16 * (right - left) / count
    span = (right - left - pier * (count + 1)) / count
    under = []
    for k in range(count):
        start = left + pier + k * (span + pier)
        angle = np.linspace(np.pi, 2 * np.pi, 14)
        middle = start + span / 2
        crown = top - rise * np.sin(np.pi * (middle - left) / (right - left)) + 0.22 * (foot - top)
        y = foot + np.sin(angle) * (foot - crown)
        under += [np.stack([middle + span / 2 * np.cos(angle), y], 1)]
    below_deck = np.concatenate(under)[::-1]
    ends = [np.array([[right, foot]]), below_deck, np.array([[left, foot]])]
    return np.concatenate([deck, *ends]).astype(np.float32)


def road(rng: np.random.Generator, top: float, x: float, width: float, straight: bool) -> Polygon:
    """A road that narrows towards (x, top), `width` wide at the bottom edge."""
    t = np.linspace(0, 1, 40)
    sway = 0.0 if straight else 1.0
    bends = np.sin(2 * np.pi * (t * rng.uniform(0.5, 1.2) + rng.random())) * (0.15 + t)
    centre = x + rng.uniform(-0.25, 0.25) * t + sway * 0.13 * (bends - bends[0])
    half = 0.006 + width / 2 * t**1.3
    y = top + (1.03 - top) * t
    left, right = np.stack([centre - half, y], 1), np.stack([centre + half, y], 1)
    return np.concatenate([left, right[::-1]]).astype(np.float32)


def extent(outline: Polygon) -> tuple[float, float, float, float]:
    """left, top, width, height of what of an outline lies in the picture or just beyond its edge."""
    low, high = np.clip(outline.min(0), -0.05, 1.05), np.clip(outline.max(0), -0.05, 1.05)
    width, height = np.maximum(high - low, 1e-6)
    return float(low[0]), float(low[1]), float(width), float(height)


def bumpy(line: Polygon, size: float, height: float) -> Polygon:
    """A line from left to right with round humps on it, `size` wide: the top of a wood."""
    x = np.linspace(line[0, 0], line[-1, 0], 400)
    y = np.interp(x, line[:, 0], line[:, 1]) - height * np.sqrt(np.abs(np.sin(np.pi * x / size)))
    return np.stack([x, y], 1).astype(np.float32)


def ring(inner: float) -> Polygon:
    """Between two circles, of radius 1 and `inner`."""
    circle = np.concatenate([disc(0, 0, 1), disc(0, 0, 1)[:1]])
    return np.concatenate([circle, circle[::-1] * np.float32(inner)])


def crescent() -> Polygon:
    """A waning moon, about as wide as [-1, 1]: between an arc around the origin and one around (0.55, 0)."""
    outer = np.linspace(0.25 * np.pi, 1.75 * np.pi, 40)
    reach = np.arctan2(np.sin(outer[0]), np.cos(outer[0]) - 0.55)
    inner = np.linspace(2 * np.pi - reach, reach, 40)[1:-1]
    radius = np.hypot(np.cos(outer[0]) - 0.55, np.sin(outer[0]))
    arcs = [np.stack([np.cos(outer), np.sin(outer)], 1)]
    arcs.append(np.stack([0.55 + radius * np.cos(inner), radius * np.sin(inner)], 1))
    return np.concatenate(arcs).astype(np.float32)


def cross(half: float) -> Polygon:
    """Two bars, `half` their width, about as wide as [-1, 1]."""
    corner = [(half, half), (half, 1.0), (-half, 1.0), (-half, half), (-1.0, half), (-1.0, -half)]
    return polygon(corner + [(-x, -y) for x, y in corner])


def union(outlines: list[Polygon]) -> Polygon:
    """The outline around overlapping shapes; of shapes that do not touch, the largest one's."""
    grid, frame = 512, 256  # pixels a side of the picture, and around it
    mask = np.zeros((grid + 2 * frame,) * 2, np.uint8)
    for outline in outlines:
        cv2.fillPoly(mask, [np.round(outline * grid + frame).astype(np.int32)], 1)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    largest = max(contours, key=cv2.contourArea)[:, 0]
    return ((largest - frame + 0.5) / grid).astype(np.float32)
