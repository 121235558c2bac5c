"""Houses and towers. All parts are at least some five pixels of 256 wide, so that they stay crisp."""

from __future__ import annotations

import numpy as np

from . import shapes
from .painter import Painter
from .palette import Colour, rgb

WALLS = {
    "white": ("#f6ecd9", "#b9472f"),
    "red": ("#cf3f35", "#5a4a4e"),
    "yellow": ("#f3bd4e", "#a8452f"),
    "blue": ("#6fa3cf", "#3f4a66"),
    "green": ("#7fb573", "#8a4a33"),
    "wooden": ("#a8743f", "#5b3f2f"),
}


def house(p: Painter, x: float, y: float, size: float, angle: float = 0.0, squash: float = 1.0) -> None:
    """A house about 1.4 * size wide that stands on (x, y)."""
    name = p.pick(*WALLS)
    wall, roof = WALLS[name]
    parts = _gabled(p, wall, roof) if p.chance(0.5) else _long(p, wall, roof)
    for part, colour in parts:
        p.easel.fill(shapes.moved(part, x, y, size, angle, squash), colour, "house")
    size_trait = ("big",) if size > 0.22 else ("little",) if size < 0.08 else ()
    p.saw("house", 1, *size_trait, name)


def window_colour(p: Painter) -> Colour:
    """Lit by night."""
    return rgb("#ffd873") if p.light.stars else p.lit("#5f8fb5")


def _gabled(p: Painter, wall: str, roof: str) -> list[tuple[np.ndarray, Colour]]:
    """Its gable to the front: a square, a triangle on it, a door, one to three windows, perhaps a chimney."""
    wide, high = p.rng.uniform(0.42, 0.6), p.rng.uniform(0.6, 0.95)
    peak, door = high + p.rng.uniform(0.45, 0.8), p.rng.uniform(-0.5, 0.5) * wide
    parts = []
    if p.chance(0.6):
        side = 0.5 * wide
        parts.append((shapes.box(side - 0.09, -peak, side + 0.09, -high), p.lit("#7a5a4c")))
    gable = shapes.polygon([(-wide, -high), (wide, -high), (0, -peak)])
    eaves = shapes.polygon([(-wide - 0.14, -high + 0.1), (wide + 0.14, -high + 0.1), (0, -peak - 0.08)])
    parts += [(eaves, p.lit(roof)), (shapes.box(-wide, -high, wide, 0), p.lit(wall))]
    parts.append((shapes.box(wide * 0.55, -high, wide, 0), p.lit(wall, 0, 0.86)))
    if p.chance(0.5):
        parts.append((gable * np.array([0.82, 1], np.float32) + np.array([0, 0.04], np.float32), p.lit(wall)))
    parts.append((shapes.box(door - 0.12, -0.46, door + 0.12, 0), p.lit("#4a3226")))
    for middle in (-0.62 * wide, 0.62 * wide, 0.0):
        if abs(middle - door) > 0.26:
            parts.append(
                (
                    shapes.box(middle - 0.11, -0.62 * high - 0.11, middle + 0.11, -0.62 * high + 0.11),
                    window_colour(p),
                )
            )
    return parts


def _long(p: Painter, wall: str, roof: str) -> list[tuple[np.ndarray, Colour]]:
    """Its eaves to the front: a broad wall under a sloping roof."""
    wide, high = p.rng.uniform(0.58, 0.8), p.rng.uniform(0.5, 0.68)
    top = high + p.rng.uniform(0.36, 0.55)
    chimney = p.rng.uniform(-0.4, 0.4)
    slope = shapes.polygon(
        [(-wide - 0.13, -high + 0.04), (-wide + 0.2, -top), (wide - 0.2, -top), (wide + 0.13, -high + 0.04)]
    )
    parts = [
        (shapes.box(chimney - 0.08, -top - 0.2, chimney + 0.08, -top + 0.1), p.lit("#7a5a4c")),
        (shapes.box(-wide, -high, wide, 0), p.lit(wall)),
        (shapes.box(0.3 * wide, -high, wide, 0), p.lit(wall, 0, 0.86)),
        (slope, p.lit(roof)),
    ]
    door = p.rng.uniform(-0.6, 0.6) * wide
    parts.append((shapes.box(door - 0.11, -0.43, door + 0.11, 0), p.lit("#4a3226")))
    for middle in (-0.66 * wide, 0.0, 0.66 * wide):
        if abs(middle - door) > 0.26:
            parts.append((shapes.box(middle - 0.11, -0.46, middle + 0.11, -0.22), window_colour(p)))
    return parts


def tower(p: Painter, x: float, y: float, height: float) -> None:
    """A lighthouse, a windmill or a castle's tower that stands on (x, y)."""
    kind = p.pick("lighthouse", "lighthouse", "windmill", "castle")
    {"lighthouse": _lighthouse, "windmill": _windmill, "castle": _castle}[kind](p, x, y, height)


def _lighthouse(p: Painter, x: float, y: float, height: float) -> None:
    name = p.pick("red", "blue", "black")
    band = {"red": "#d8392f", "blue": "#2f5fb0", "black": "#35363f"}[name]
    if p.light.stars:
        sky = p.easel.region("sky", "cloud", "mountain", "hill")
        for side in (-1, 1):
            beam = shapes.polygon([(0, -0.86), (side * 2.5, -1.1), (side * 2.5, -0.62)])
            p.easel.fill(shapes.moved(beam, x, y, height), rgb("#ffe9a0"), opacity=0.3, inside=sky)
    trunk = shapes.polygon([(-0.15, 0), (0.15, 0), (0.09, -0.78), (-0.09, -0.78)])
    p.easel.fill(shapes.moved(trunk, x, y, height), p.lit("#f7f1e6"), "tower")
    inside = p.easel.last
    for low in (0.1, 0.36, 0.62):
        stripe = shapes.box(-0.2, -low - 0.13, 0.2, -low)
        p.easel.fill(shapes.moved(stripe, x, y, height), p.lit(band), inside=inside)
    shade = shapes.box(0.04, -1, 0.2, 0)
    p.easel.fill(shapes.moved(shade, x, y, height), p.lit("#20243a"), opacity=0.2, inside=inside)
    lamp = rgb("#ffe27a") if p.light.stars else p.lit("#cfe6f2")
    p.easel.fill(shapes.moved(shapes.box(-0.07, -0.93, 0.07, -0.8), x, y, height), lamp, "tower")
    p.easel.fill(shapes.moved(shapes.box(-0.13, -0.81, 0.13, -0.77), x, y, height), p.lit("#35363f"), "tower")
    dome = shapes.polygon([(-0.1, -0.92), (0.1, -0.92), (0, -1.02)])
    p.easel.fill(shapes.moved(dome, x, y, height), p.lit(band), "tower")
    p.saw("lighthouse", 1, *((f"{name} and white",) if name != "black" else ("black and white",)))


def _windmill(p: Painter, x: float, y: float, height: float) -> None:
    body = shapes.polygon([(-0.2, 0), (0.2, 0), (0.12, -0.62), (-0.12, -0.62)])
    p.easel.fill(shapes.moved(body, x, y, height), p.lit("#f0e3cb"), "tower")
    inside = p.easel.last
    p.easel.fill(shapes.moved(shapes.box(0.04, -0.7, 0.2, 0), x, y, height), p.lit("#c9b697"), inside=inside)
    cap = shapes.ellipse(0, -0.62, 0.14, 0.12)
    p.easel.fill(shapes.moved(cap, x, y, height), p.lit("#8a4a33"), "tower")
    turn = p.rng.uniform(0, np.pi / 2)
    for quarter in range(4):
        blade = shapes.polygon([(0.02, -0.015), (0.42, -0.05), (0.42, 0.03), (0.02, 0.015)])
        placed = shapes.moved(blade, x, y - 0.64 * height, height, turn + quarter * np.pi / 2)
        p.easel.fill(placed, p.lit("#fbf3e2"), "tower", joined=quarter > 0)
    p.saw("windmill")


def _castle(p: Painter, x: float, y: float, height: float) -> None:
    stone, half = "#a39a97", 0.16
    p.easel.fill(shapes.moved(shapes.box(-half, -0.8, half, 0), x, y, height), p.lit(stone), "tower")
    inside = p.easel.last
    p.easel.fill(
        shapes.moved(shapes.box(0.04, -0.8, half, 0), x, y, height), p.lit(stone, 0, 0.8), inside=inside
    )
    for left in (-0.2, -0.05, 0.1):
        tooth = shapes.box(left, -0.92, left + 0.1, -0.78)
        p.easel.fill(shapes.moved(tooth, x, y, height), p.lit(stone, 0, 0.9), "tower", joined=left > -0.2)
    p.easel.fill(
        shapes.moved(shapes.box(-0.2, -0.8, 0.2, -0.72), x, y, height), p.lit(stone, 0, 0.7), "tower"
    )
    p.easel.fill(shapes.moved(shapes.box(-0.04, -0.56, 0.04, -0.42), x, y, height), window_colour(p), "tower")
    p.saw("castle")
