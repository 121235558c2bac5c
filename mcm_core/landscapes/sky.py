"""The sky of a scene: its gradient, stars, sun or moon, clouds, balloons."""

from __future__ import annotations

import numpy as np

from . import shapes
from .painter import WHITE, Painter
from .palette import Colour, mix, rgb

BALLOONS = {
    "red": ("#e23d3d", "#fff4e0"),
    "yellow": ("#f7b71d", "#e8572a"),
    "blue": ("#2f6fd6", "#f5f0e4"),
    "rainbow": ("#e2463d", "#f7b71d", "#35a853", "#2f6fd6", "#8a45b5"),
}


def paint_sky(p: Painter) -> None:
    """The whole sky with all that hangs in it."""
    gradient(p)
    if p.light.stars:
        stars(p, int(p.rng.integers(12, 40)), p.horizon * 0.85)
        p.saw("stars")
    if p.chance(p.light.orb_chance):
        radius = float(p.rng.choice([0.035, 0.055, 0.08, 0.12])) * p.rng.uniform(0.85, 1.2)
        orb(p, p.rng.uniform(0.1, 0.9), p.rng.uniform(0.1, max(0.14, p.horizon - 0.06)), radius)
    if p.chance(0.6):
        _clouds(p)


def gradient(p: Painter) -> None:
    """The light's own colours from the top to below the horizon."""
    top, middle, low = (rgb(code) for code in p.light.sky)
    half = p.horizon * p.rng.uniform(0.45, 0.65)
    p.easel.fill(shapes.box(-0.1, 0, 1.1, half), top, foot=middle)
    p.easel.fill(shapes.box(-0.1, half, 1.1, p.horizon + 0.1), middle, foot=low)
    p.easel.fill(shapes.box(-0.1, p.horizon + 0.1, 1.1, 1.01), low)


def stars(p: Painter, count: int, depth: float) -> None:
    sky = p.easel.region("sky")
    for _ in range(count):
        spot = shapes.disc(p.rng.random(), p.rng.random() * depth, p.rng.uniform(0.003, 0.006))
        p.easel.fill(spot, WHITE, opacity=p.rng.uniform(0.6, 0.95), inside=sky)


def orb(p: Painter, x: float, y: float, radius: float) -> None:
    """The sun, or where there are stars the moon, with its halo in the sky."""
    colour, sky = rgb(p.light.orb), p.easel.region("sky")
    for ring, opacity in ((2.6, 0.13), (1.75, 0.2)):
        p.easel.fill(shapes.disc(x, y, radius * ring), colour, opacity=opacity, inside=sky)
    p.easel.fill(shapes.disc(x, y, radius), colour, "sun")
    if p.light.stars:
        crater = mix(colour, rgb("#8a8fa8"), 0.25)
        for _ in range(3):
            dx, dy = p.rng.uniform(-0.5, 0.5, 2) * radius
            p.easel.fill(shapes.disc(x + dx, y + dy, radius * p.rng.uniform(0.12, 0.24)), crater)
    p.saw("moon" if p.light.stars else "sun", 1, *(("big",) if radius > 0.1 else ()))


def cloud_colours(p: Painter) -> tuple[Colour, Colour]:
    """Its top and its foot."""
    colour = rgb(p.light.cloud)
    return colour, mix(colour, rgb(p.light.sky[1]), 0.35)


def _clouds(p: Painter) -> None:
    colour, foot = cloud_colours(p)
    for _ in range(int(p.rng.integers(1, 5))):
        width, y = p.rng.uniform(0.16, 0.44), p.rng.uniform(0.08, max(0.12, p.horizon - 0.1))
        p.easel.fill(shapes.cloud(p.rng, p.rng.random(), y, width), colour, "cloud", foot=foot)
    p.saw("clouds")


def balloon(p: Painter, x: float, y: float, size: float) -> None:
    """A hot-air balloon whose envelope is 2 * size wide and centred on (x, y)."""
    name = p.pick(*BALLOONS)
    colours = [p.lit(code, 0.1) for code in BALLOONS[name]]
    at, envelope = np.array([x, y], np.float32), shapes.teardrop()
    p.easel.fill(envelope * np.float32(size) + at, colours[0], "balloon")
    inside = p.easel.last
    for index, width in enumerate((0.74, 0.44, 0.16), start=1):
        gore = envelope * np.array([width, 1.0], np.float32)
        p.easel.fill(gore * np.float32(size) + at, colours[index % len(colours)], inside=inside)
    shade = shapes.moved(envelope, 0, 0, 1) * np.array([0.5, 1.0], np.float32) + np.array(
        [0.55, 0], np.float32
    )
    p.easel.fill(shade * np.float32(size) + at, p.lit("#20243a"), opacity=0.16, inside=inside)
    rope, basket = p.lit("#5b4030"), p.lit("#8a5a2b")
    for side in (-1, 1):
        line = shapes.polygon([(side * 0.2, 1.1), (side * 0.26, 1.1), (side * 0.2, 1.5), (side * 0.14, 1.5)])
        p.easel.fill(line * np.float32(size) + at, rope, "balloon", joined=True)
    p.easel.fill(shapes.box(-0.24, 1.45, 0.24, 1.8) * np.float32(size) + at, basket, "balloon")
    p.saw(
        "balloon", 1, *(("big",) if size > 0.15 else ()), *((name,) if name != "rainbow" else ("colourful",))
    )


def balloons(p: Painter) -> None:
    """One to three of them in the upper part."""
    for _ in range(int(p.rng.choice([1, 1, 1, 2, 3]))):
        size = p.rng.uniform(0.035, 0.12)
        balloon(p, p.rng.uniform(0.1, 0.9), p.rng.uniform(0.1, max(0.16, p.horizon - 0.22)), size)
