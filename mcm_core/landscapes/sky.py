"""The sky of a scene: its gradient, stars, sun or moon, clouds, balloons."""

from __future__ import annotations

import numpy as np

from . import shapes
from .painter import WHITE, Painter
from .palette import mix, rgb
from .shapes import Polygon

BALLOONS = {
    "red and white": ("#e63b3b", "#fff4e0"),
    "yellow": ("#fbc02a", "#ee6a2a"),
    "blue and white": ("#2f6fd6", "#f5f0e4"),
    "purple": ("#8a45b5", "#f7b71d"),
    "rainbow": ("#e2463d", "#f7b71d", "#35a853", "#2f6fd6", "#8a45b5"),
}


def whole_sky(p: Painter) -> None:
    """The sky behind a landscape with all that hangs in it."""
    gradient(p)
    if p.light.stars:
        stars(p, p.horizon * 0.85)
    if p.chance(p.light.orb_chance):
        radius = float(p.rng.choice([0.035, 0.055, 0.08, 0.12])) * p.rng.uniform(0.85, 1.2)
        orb(p, p.rng.uniform(0.1, 0.9), p.rng.uniform(0.1, max(0.14, p.horizon - 0.06)), radius)
    heavy = p.light.orb_chance < 0.2
    if heavy or p.chance(0.55):
        since = p.easel.last_part
        for _ in range(int(p.rng.integers(2, 7) if heavy else p.rng.integers(1, 5))):
            width, y = p.rng.uniform(0.16, 0.44), p.rng.uniform(0.08, max(0.12, p.horizon - 0.1))
            cloud(p, shapes.cloud(p.rng, p.rng.random(), y, width * (1.3 if heavy else 1.0)))
        p.saw("clouds", where=("in the sky",), since=since)


def gradient(p: Painter) -> None:
    """The light's own colours from the top to below the horizon."""
    top, middle, low = (rgb(code) for code in p.light.sky)
    half = p.horizon * p.rng.uniform(0.45, 0.65)
    p.easel.fill(shapes.box(-0.1, 0, 1.1, half), top, foot=middle)
    p.easel.fill(shapes.box(-0.1, half, 1.1, p.horizon + 0.1), middle, foot=low)
    p.easel.fill(shapes.box(-0.1, p.horizon + 0.1, 1.1, 1.01), low)


def stars(p: Painter, depth: float) -> None:
    _stars(p, shapes.box(0, 0, 1, depth), p.easel.region("sky"))
    p.saw("stars")


def _stars(p: Painter, area: Polygon, inside: np.ndarray) -> None:
    left, top, width, height = shapes.extent(area)
    count = int(p.rng.integers(10, 34) * min(1.0, width * height * 2.5)) + 1
    spots = p.rng.random((count, 2)) * [width, height] + [left, top]
    for share in (0.6, 1.0):
        discs = [shapes.disc(x, y, p.rng.uniform(0.0035, 0.0075)) for x, y in spots[:: 1 if share < 1 else 2]]
        p.easel.dots(discs, mix(rgb(p.light.sky[0]), WHITE, share), inside)


def sky(p: Painter, outline: Polygon) -> None:
    """Sky in any outline."""
    p.easel.fill(outline, rgb(p.light.sky[0]), "sky", foot=rgb(p.light.sky[2]))
    if p.light.stars:
        _stars(p, outline, p.easel.last)


def sun(p: Painter, outline: Polygon) -> None:
    """The sun or, where there are stars, the moon, in any outline, with a halo in the sky around it."""
    colour, around, middle = rgb(p.light.orb), p.easel.region("sky"), outline.mean(0)
    size = float(np.ptp(outline, axis=0).max()) / 2
    for ring, opacity in ((1 + min(0.16 / size, 1.6), 0.13), (1 + min(0.075 / size, 0.75), 0.2)):
        p.easel.fill((outline - middle) * np.float32(ring) + middle, colour, opacity=opacity, inside=around)
    p.easel.fill(outline, colour, "sun", foot=mix(colour, rgb(p.light.sky[2]), 0.15))
    if p.light.stars:
        inside, crater = p.easel.last, mix(colour, rgb("#8a8fb4"), 0.25)
        for _ in range(3):
            x, y = middle + p.rng.uniform(-0.5, 0.5, 2) * size
            p.easel.fill(shapes.disc(x, y, size * p.rng.uniform(0.12, 0.24)), crater, inside=inside)


def orb(p: Painter, x: float, y: float, radius: float) -> None:
    sun(p, shapes.disc(x, y, radius))
    p.saw("moon" if p.light.stars else "sun")


def cloud(p: Painter, outline: Polygon) -> None:
    """A cloud in any outline: bright above, with a soft belly."""
    colour = rgb(p.light.cloud)
    belly = mix(colour, rgb(p.light.sky[1]), 0.36)
    p.easel.fill(outline, belly, "cloud", foot=mix(belly, rgb(p.light.sky[1]), 0.2))
    _, _, width, height = shapes.extent(outline)
    lift = np.array([-0.04 * min(width, 0.5), -0.24 * min(height, 0.3)], np.float32)
    p.easel.fill(outline + lift, colour, foot=mix(colour, belly, 0.3), inside=p.easel.last)


def hot_air_balloon(p: Painter, x: float, y: float, size: float, angle: float = 0.0) -> None:
    """A hot-air balloon whose envelope is 2 * size wide and centred on (x, y)."""
    name = p.pick(*BALLOONS)
    colours = [p.lit(code, 0.08) for code in BALLOONS[name]]
    envelope, since = shapes.teardrop(), p.easel.last_part

    def placed(shape: Polygon) -> Polygon:
        return shapes.moved(shape, x, y, size, angle)

    for side in (-1, 1):
        rope = shapes.polygon([(side * 0.2, 1.1), (side * 0.3, 1.1), (side * 0.24, 1.5), (side * 0.12, 1.5)])
        p.easel.fill(placed(rope), p.lit("#5b4030"), "balloon", joined=side > 0)
    p.easel.fill(placed(shapes.box(-0.26, 1.42, 0.26, 1.82)), p.lit("#9a632d"), "balloon")
    p.easel.fill(placed(envelope), colours[0], "balloon")
    _gores(p, [placed(envelope * np.array([width, 1], np.float32)) for width in (0.74, 0.44, 0.16)], colours)
    shade = placed(envelope * np.array([0.5, 1], np.float32) + np.array([0.6, 0], np.float32))
    p.easel.fill(shade, p.lit("#20243a"), opacity=0.16, inside=p.easel.last)
    p.saw("balloon", name if name != "rainbow" else "colourful", where=("in the sky",), since=since)


def _gores(p: Painter, gores: list[Polygon], colours: list[np.ndarray]) -> None:
    inside = p.easel.last
    for index, gore in enumerate(gores, start=1):
        p.easel.fill(gore, colours[index % len(colours)], inside=inside)


def balloon(p: Painter, outline: Polygon) -> None:
    """A balloon in any outline: striped from top to bottom, with a basket where it is long."""
    left, top, width, height = shapes.extent(outline)
    colours = [p.lit(code, 0.05) for code in BALLOONS[p.pick(*BALLOONS)]]
    p.easel.fill(outline, colours[0], "balloon")
    inside, middle = p.easel.last, np.array([left + width / 2, 0], np.float32)
    gores = [
        (outline - middle) * np.array([share, 1.05], np.float32) + middle for share in (0.74, 0.44, 0.16)
    ]
    _gores(p, gores, colours)
    shade = shapes.box(left + 0.7 * width, top - 0.02, left + width + 0.02, top + height + 0.02)
    p.easel.fill(shade, p.lit("#20243a"), opacity=0.16, inside=inside)
    if height > 1.25 * width:
        basket = shapes.box(left - 0.02, top + 0.86 * height, left + width + 0.02, top + height + 0.02)
        p.easel.fill(basket, p.lit("#9a632d"), inside=inside)


def balloons(p: Painter) -> None:
    """One to three of them in the upper part."""
    for _ in range(int(p.rng.choice([1, 1, 1, 2, 3]))):
        size = p.rng.uniform(0.045, 0.13)
        hot_air_balloon(p, p.rng.uniform(0.1, 0.9), p.rng.uniform(0.1, max(0.16, p.horizon - 0.22)), size)
