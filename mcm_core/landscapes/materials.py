"""What a class looks like inside any outline: the link between a painted map and its picture."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from . import shapes, terrain
from .buildings import WALLS, window_colour
from .painter import Painter
from .palette import mix, rgb
from .sky import BALLOONS, cloud_colours
from .water import SAILS


def paint(p: Painter, outline: np.ndarray, kind: str) -> None:
    """Fill an outline, (n, 2) in sides of the picture, with a class of `easel.CLASSES`."""
    _LOOKS[kind](p, outline)


def _box(outline: np.ndarray) -> tuple[float, float, float, float]:
    """left, top, width, height."""
    left, top = outline.min(0)
    width, height = np.ptp(outline, axis=0)
    return float(left), float(top), float(width) + 1e-6, float(height) + 1e-6


def _sky(p: Painter, outline: np.ndarray) -> None:
    p.easel.fill(outline, rgb(p.light.sky[0]), "sky", foot=rgb(p.light.sky[2]))


def _cloud(p: Painter, outline: np.ndarray) -> None:
    colour, foot = cloud_colours(p)
    p.easel.fill(outline, colour, "cloud", foot=foot)


def _sun(p: Painter, outline: np.ndarray) -> None:
    colour, sky, middle = rgb(p.light.orb), p.easel.region("sky"), outline.mean(0)
    for ring, opacity in ((1.9, 0.13), (1.45, 0.2)):
        p.easel.fill((outline - middle) * np.float32(ring) + middle, colour, opacity=opacity, inside=sky)
    p.easel.fill(outline, colour, "sun")


def _mountain(p: Painter, outline: np.ndarray) -> None:
    """A sunny side and, right of a crooked ridge below its highest point, a shaded one; perhaps a cap."""
    code, (left, top, width, height) = p.season.mountain, _box(outline)
    p.easel.fill(outline, p.lit(code, 0.25, 1.08), "mountain", foot=p.lit(code, 0.5, 1.08))
    inside, apex = p.easel.last, outline[outline[:, 1].argmin()]
    foot = np.array([apex[0] + width * p.rng.uniform(-0.15, 0.15), top + height], np.float32)
    ridge = shapes.zigzag(p.rng, apex, foot, 3, 0.1 * height)
    shaded = np.concatenate(
        [ridge, np.array([[left + width + 0.02, top + height], [left + width + 0.02, top]], np.float32)]
    )
    p.easel.fill(shaded, p.lit(code, 0.25, 0.78), foot=p.lit(code, 0.5, 0.86), inside=inside)


def _snow(p: Painter, outline: np.ndarray) -> None:
    p.easel.fill(outline, p.lit("#fbfdff"), "snow", foot=p.lit("#d8e4f2"))
    _waves(p, outline, p.lit("#c5d3e8"))


def _hill(p: Painter, outline: np.ndarray) -> None:
    code = "#7cb36a" if p.season.snowy_ground else p.season.hill
    p.easel.fill(outline, p.lit(code, 0.2, 1.06), "hill", foot=p.lit(code, 0.2, 0.84))


def _forest(p: Painter, outline: np.ndarray) -> None:
    """A canopy of crowns in rows, each with its shaded foot."""
    left, top, width, height = _box(outline)
    p.easel.fill(outline, p.lit(p.season.forest, 0.1, 0.86), "forest", foot=p.lit(p.season.forest, 0, 0.72))
    inside, conifers, size = p.easel.last, p.chance(0.7), float(np.clip(height * 0.22, 0.035, 0.1))
    for row, y in enumerate(np.arange(top + size * 0.8, min(top + height, 1.05) + size, size * 0.8)):
        for x in np.arange(max(left, -0.05) + size * 0.35 * (row % 2), min(left + width, 1.05), size * 0.7):
            shade = p.rng.uniform(0.85, 1.15)
            if conifers:
                crown = shapes.pine(float(x), float(y), size * p.rng.uniform(0.9, 1.2), width=0.62, tiers=2)
            else:
                crown = shapes.disc(float(x), float(y) - size * 0.4, size * p.rng.uniform(0.34, 0.44))
            p.easel.fill(crown, p.lit(p.season.forest, 0.1, shade), inside=inside)


def _grass(p: Painter, outline: np.ndarray) -> None:
    code = "#93c94a" if p.season.snowy_ground else p.season.grass
    p.easel.fill(outline, p.lit(code, 0.05), "grass", foot=p.lit(code, 0, 0.84))
    inside, (left, top, width, height) = p.easel.last, _box(outline)
    for _ in range(int(p.rng.integers(6, 18))):
        x, y, size = left + width * p.rng.random(), top + height * p.rng.random(), p.rng.uniform(0.014, 0.03)
        for lean in (-0.5, 0.0, 0.5):
            blade = shapes.polygon(
                [(x - size * 0.14, y), (x + lean * size, y - size * 1.3), (x + size * 0.14, y)]
            )
            p.easel.fill(blade, p.lit(code, 0, 0.74), inside=inside)


def _sand(p: Painter, outline: np.ndarray) -> None:
    p.easel.fill(outline, p.lit(p.season.sand), "sand", foot=p.lit(p.season.sand, 0, 0.9))
    _waves(p, outline, p.lit(p.season.sand, 0, 0.84))


def _waves(p: Painter, outline: np.ndarray, colour: np.ndarray) -> None:
    inside, (left, top, width, height) = p.easel.last, _box(outline)
    for _ in range(int(p.rng.integers(3, 10))):
        x, y, size = left + width * p.rng.random(), top + height * p.rng.random(), p.rng.uniform(0.04, 0.1)
        p.easel.fill(shapes.ellipse(x, y, size, 0.0045), colour, opacity=0.7, inside=inside)


def _water(p: Painter, outline: np.ndarray) -> None:
    light = mix(p.lit("#3f97d0"), rgb(p.light.sky[1]), 0.35)
    deep = mix(p.lit("#1b4f86"), rgb(p.light.sky[0]), 0.25)
    p.easel.fill(outline, light, "water", foot=deep)
    _waves(p, outline, mix(p.lit("#dff1fb"), rgb(p.light.sky[2]), 0.4))


def _house(p: Painter, outline: np.ndarray) -> None:
    """The upper part is roof; below stand windows, and a door where there is room."""
    left, top, width, height = _box(outline)
    wall, roof = WALLS[p.pick(*WALLS)]
    p.easel.fill(outline, p.lit(wall), "house")
    inside, eaves = p.easel.last, top + height * p.rng.uniform(0.36, 0.48)
    p.easel.fill(
        shapes.box(left + 0.7 * width, top, left + width, top + height), p.lit(wall, 0, 0.86), inside=inside
    )
    p.easel.fill(shapes.box(left - 0.02, top - 0.02, left + width + 0.02, eaves), p.lit(roof), inside=inside)
    if min(width, height) < 0.1:
        return
    size = min(0.22 * width, 0.2 * height)
    door = left + width * 0.5
    p.easel.fill(
        shapes.box(door - size / 2, top + height - 1.5 * size, door + size / 2, top + height + 0.02),
        p.lit("#4a3226"),
        inside=inside,
    )
    for x in (left + 0.22 * width, left + 0.78 * width):
        middle = eaves + 0.3 * (top + height - eaves)
        window = shapes.box(x - size / 2, middle - size / 2, x + size / 2, middle + size / 2)
        p.easel.fill(window, window_colour(p), inside=inside)


def _boat(p: Painter, outline: np.ndarray) -> None:
    """A hull below, a sail above."""
    left, top, width, height = _box(outline)
    p.easel.fill(outline, p.lit(SAILS[p.pick(*SAILS)]), "boat")
    inside, rail = p.easel.last, top + 0.7 * height
    hull = shapes.box(left - 0.02, rail, left + width + 0.02, top + height + 0.02)
    p.easel.fill(hull, p.lit(p.pick("#6b4423", "#a02f2b", "#2b3a55")), inside=inside)
    mast = left + 0.5 * width
    p.easel.fill(shapes.box(mast - 0.008, top - 0.02, mast + 0.008, rail), p.lit("#5b4030"), inside=inside)


def _tree(p: Painter, outline: np.ndarray) -> None:
    """A trunk in the lowest part, a crown above."""
    left, top, width, height = _box(outline)
    code = "#2f6b54" if p.season.snowy_ground else p.season.forest
    light, dark = p.lit(code, 0, 1.15), p.lit(code, 0, 0.85)
    p.easel.fill(outline, light, "tree", foot=dark)
    inside, middle = p.easel.last, left + 0.5 * width
    shade = shapes.ellipse(left + 0.72 * width, top + 0.45 * height, 0.3 * width, 0.36 * height)
    p.easel.fill(shade, dark, inside=inside)
    if height > 1.2 * width or p.chance(0.3):
        foot = shapes.box(left - 0.02, top + 0.68 * height, left + width + 0.02, top + height + 0.02)
        narrow = inside[int(np.clip((top + 0.85 * height), 0, 0.99) * p.easel.size)].mean() < 0.5 * width
        trunk = (
            foot
            if narrow
            else shapes.box(
                middle - 0.1 * width, top + 0.68 * height, middle + 0.1 * width, top + height + 0.02
            )
        )
        p.easel.fill(trunk, p.lit("#6b4a33"), inside=inside)


def _road(p: Painter, outline: np.ndarray) -> None:
    light, dark = terrain.ROADS[p.pick(*terrain.ROADS)]
    p.easel.fill(outline, p.lit(light, 0.1), "road", foot=p.lit(dark, 0.05))


def _bridge(p: Painter, outline: np.ndarray) -> None:
    """A deck along its upper edge, openings shown as darker arches."""
    left, top, width, height = _box(outline)
    stone = p.pick("#b9a48c", "#a0938c", "#c98f6b", "#d8432f")
    p.easel.fill(outline, p.lit(stone), "bridge", foot=p.lit(stone, 0, 0.8))
    inside = p.easel.last
    deck = shapes.box(left - 0.02, top - 0.02, left + width + 0.02, top + min(0.05, 0.2 * height))
    p.easel.fill(deck, p.lit(stone, 0, 0.76), inside=inside)


def _tower(p: Painter, outline: np.ndarray) -> None:
    """Striped across."""
    left, top, width, height = _box(outline)
    p.easel.fill(outline, p.lit("#f7f1e6"), "tower")
    inside, band = p.easel.last, p.lit(p.pick("#d8392f", "#2f5fb0", "#35363f"))
    for low in (0.05, 0.4, 0.75):
        stripe = shapes.box(left - 0.02, top + low * height, left + width + 0.02, top + (low + 0.17) * height)
        p.easel.fill(stripe, band, inside=inside)
    p.easel.fill(
        shapes.box(left + 0.62 * width, top, left + width, top + height),
        p.lit("#20243a"),
        opacity=0.2,
        inside=inside,
    )


def _balloon(p: Painter, outline: np.ndarray) -> None:
    """Striped from top to bottom."""
    left, top, width, height = _box(outline)
    colours = [p.lit(code, 0.05) for code in BALLOONS[p.pick(*BALLOONS)]]
    p.easel.fill(outline, colours[0], "balloon")
    inside = p.easel.last
    for index in range(1, 7, 2):
        stripe = shapes.box(
            left + width * index / 7, top - 0.02, left + width * (index + 1) / 7, top + height + 0.02
        )
        p.easel.fill(stripe, colours[(index // 2 + 1) % len(colours)], inside=inside)
    if height > 1.3 * width:
        basket = shapes.box(left - 0.02, top + 0.88 * height, left + width + 0.02, top + height + 0.02)
        p.easel.fill(basket, p.lit("#8a5a2b"), inside=inside)


def _flowers(p: Painter, outline: np.ndarray) -> None:
    p.saw(terrain.flower_field(p, outline))


_LOOKS: dict[str, Callable[[Painter, np.ndarray], None]] = {
    "sky": _sky, "cloud": _cloud, "sun": _sun, "mountain": _mountain, "snow": _snow, "hill": _hill,
    "forest": _forest, "grass": _grass, "sand": _sand, "water": _water, "house": _house, "boat": _boat,
    "tree": _tree, "road": _road, "bridge": _bridge, "tower": _tower, "balloon": _balloon,
    "flowers": _flowers,
}  # fmt: skip
