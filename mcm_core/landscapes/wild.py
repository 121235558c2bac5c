"""Scenes that no landscape has: the same things at any size and place, in any outline.

A person draws a house as large as the picture, a heart of forest, three suns, water above land. A model that
had only seen what is natural would answer with what is natural.
"""

from __future__ import annotations

import numpy as np

from . import shapes, sky, terrain, water
from .buildings import house, tower
from .easel import CLASSES
from .materials import paint
from .painter import Painter
from .plants import single_tree
from .shapes import Polygon

AREAS = (
    "sky", "water", "grass", "sand", "snow", "forest", "hill", "mountain", "flowers", "cloud", "road",
    "sky", "water", "grass",
)  # fmt: skip
GROUNDS = ("grass", "sand", "snow", "hill", "flowers", "water", "road", "forest")
NAMES = tuple(kind.name for kind in CLASSES)


def scene(p: Painter) -> None:
    """One of several kinds of composition."""
    kinds = (
        _bands, _bands, _checkers, _emblem, _emblem, _emblem, _strokes, _strokes,
        _painted, _painted, _painted, _childish, _childish, _childish, _giant, _giant, _giant, _crowd, _crowd,
    )  # fmt: skip
    kinds[int(p.rng.integers(len(kinds)))](p)


def _background(p: Painter, label: str) -> None:
    """A class all over; behind, where it is sky, with the light's own gradient."""
    if label == "sky":
        p.horizon = p.rng.uniform(0.6, 1.0)
        sky.gradient(p)
        if p.light.stars and p.chance(0.7):
            sky.stars(p, 0.9)
    else:
        paint(p, shapes.box(-0.05, -0.05, 1.05, 1.05), label)


def _different(p: Painter, count: int) -> list[str]:
    return [AREAS[index] for index in p.rng.permutation(len(AREAS) - 3)[:count]]


def _bands(p: Painter) -> None:
    """Two to five bands of any classes, level, upright or slanted, with wavy borders."""
    count, angle = int(p.rng.integers(2, 6)), float(p.rng.choice([0, 0, np.pi / 2, p.rng.uniform(-0.6, 0.6)]))
    first, *others = _different(p, count)
    _background(p, first)
    for edge, label in zip(np.sort(p.rng.uniform(0.1, 0.9, count - 1)), others, strict=True):
        line = shapes.smooth_ridge(p.rng, float(edge), p.rng.uniform(0, 0.08), 3)
        line[0, 0], line[-1, 0] = -1, 2
        band = shapes.below(line, 2.2) - np.float32(0.5)
        paint(p, shapes.moved(band, 0.5, 0.5, 1.0, angle), label)


def _checkers(p: Painter) -> None:
    """A grid of two classes."""
    first, second = _different(p, 2)
    _background(p, first)
    columns, rows = (int(count) for count in p.rng.integers(2, 5, 2))
    for index in range(columns * rows):
        column, row = index % columns, index // columns
        if (column + row) % 2:
            cell = shapes.box(column / columns, row / rows, (column + 1) / columns, (row + 1) / rows)
            paint(p, cell, second)


def _outline(p: Painter) -> Polygon:
    """A simple outline about as wide as [-1, 1]."""
    options = (
        shapes.heart(),
        shapes.star(),
        shapes.disc(0, 0, 1),
        shapes.box(-0.8, -0.8, 0.8, 0.8),
        shapes.box(-1.2, -0.25, 1.2, 0.25),
        shapes.polygon([(0, -1), (1, 0.8), (-1, 0.8)]),
        shapes.ring(p.rng.uniform(0.45, 0.7)),
        shapes.crescent(),
        shapes.cross(p.rng.uniform(0.25, 0.4)),
        shapes.loose(p.rng),
        shapes.loose(p.rng),
    )
    return options[int(p.rng.integers(len(options)))]


def _emblem(p: Painter) -> None:
    """One to three shapes of any class on one or two others."""
    first, second = _different(p, 2)
    _background(p, "sky" if p.chance(0.4) else first)
    if p.chance(0.5):
        line = shapes.smooth_ridge(p.rng, p.rng.uniform(0.3, 0.9), p.rng.uniform(0, 0.06), 2)
        paint(p, shapes.below(line, 1.05), second)
    for _ in range(int(p.rng.choice([1, 1, 2, 3]))):
        x, y = p.rng.uniform(0.15, 0.85, 2)
        size, turn = p.rng.uniform(0.1, 0.42), p.rng.normal(0, 0.3) * p.chance(0.5)
        outline = shapes.moved(_outline(p), x, y, size, turn, p.rng.uniform(0.7, 1.25))
        paint(p, outline, p.pick(*NAMES))


def _strokes(p: Painter) -> None:
    """Areas dabbed with a round brush, as a person paints a map in a hurry."""
    _background(p, "sky" if p.chance(0.6) else p.pick(*AREAS))
    if p.chance(0.75):
        level = p.rng.uniform(0.35, 0.9)
        start, end = np.array([-0.3, level + 0.35]), np.array([1.3, level + 0.35])
        paint(p, shapes.brush_stroke(p.rng, start, end, 0.75), p.pick(*GROUNDS))
    for _ in range(int(p.rng.integers(1, 6))):
        start, end = p.rng.uniform(-0.05, 1.05, 2), p.rng.uniform(-0.05, 1.05, 2)
        middle, width = (start + end) / 2, p.rng.uniform(0.06, 0.22)
        end = middle + (end - middle) * p.rng.uniform(0.2, 1)
        if p.chance(0.5):
            end[1] = start[1] + p.rng.normal(0, 0.04)
        paint(p, shapes.brush_stroke(p.rng, start, end, width), p.pick(*NAMES))


def _painted(p: Painter) -> None:
    """A landscape as a person paints its map: each class a patch of strokes, roughly where it belongs."""
    _background(p, "sky")
    level = p.rng.uniform(0.4, 0.75)
    p.horizon = level
    for label in ("mountain", "hill", "forest"):
        if p.chance(0.4):
            paint(p, _patch(p, p.rng.uniform(0.1, 0.9), level - p.rng.uniform(-0.02, 0.14), 0.35), label)
    start, end = np.array([-0.3, level + 0.45]), np.array([1.3, level + 0.45])
    paint(p, shapes.brush_stroke(p.rng, start, end, 0.9), p.pick(*GROUNDS))
    for _ in range(int(p.rng.integers(1, 4))):
        label = p.pick("water", "water", "sand", "flowers", "grass", "road", "forest", "snow")
        paint(p, _patch(p, p.rng.random(), p.rng.uniform(level + 0.08, 1.0), 0.4), label)
    for label in ("sun", "cloud", "balloon"):
        if p.chance(0.4):
            x, y = p.rng.uniform(0.1, 0.9), p.rng.uniform(0.05, 0.8 * level)
            paint(p, _patch(p, x, y, {"cloud": 0.24}.get(label, 0.1)), label)
    for label in ("house", "tree", "boat", "tower"):
        if p.chance(0.3):
            paint(p, _patch(p, p.rng.uniform(0.1, 0.9), level + p.rng.uniform(-0.08, 0.25), 0.16), label)


def _patch(p: Painter, x: float, y: float, reach: float) -> Polygon:
    """One to four overlapping strokes around (x, y), about `reach` wide."""
    width = reach * p.rng.uniform(0.4, 0.8)
    strokes = []
    for _ in range(int(p.rng.integers(1, 5))):
        middle = np.array([x, y]) + p.rng.normal(0, 0.2, 2) * [reach, 0.5 * reach]
        half = np.array([p.rng.uniform(0.2, 0.5), p.rng.normal(0, 0.12)]) * reach
        strokes.append(shapes.brush_stroke(p.rng, middle - half, middle + half, width))
    return shapes.union(strokes)


def _strip(p: Painter, low: float, high: float) -> float:
    """Sky, and a strip of ground from a level in [low, high]; -> the level."""
    level = float(p.rng.uniform(low, high))
    p.horizon = level
    sky.gradient(p)
    if p.light.stars and p.chance(0.7):
        sky.stars(p, level)
    line = shapes.smooth_ridge(p.rng, level, p.rng.uniform(0, 0.05), 2)
    kinds = (
        ("snow", "snow", "grass") if p.season.snowy_ground else ("grass", "grass", "hill", "sand", "flowers")
    )
    paint(p, shapes.below(line, 1.05), p.pick(*kinds))
    return level


def _childish(p: Painter) -> None:
    """A child's drawing: a big house on a strip of ground, trees like lollipops, the sun in a corner."""
    level = _strip(p, 0.62, 0.92)
    if p.chance(0.8):
        x, y = p.rng.choice([0.1, 0.9]) + p.rng.normal(0, 0.05), p.rng.uniform(0.05, 0.22)
        sky.orb(p, float(x), float(y), p.rng.uniform(0.08, 0.2))
    if p.chance(0.5):
        for _ in range(int(p.rng.integers(1, 4))):
            x, y, size = p.rng.uniform(0.15, 0.85), p.rng.uniform(0.08, 0.35), p.rng.uniform(0.06, 0.13)
            paint(p, shapes.blob(p.rng, x, y, size, squash=0.6, bumps=5), "cloud")
    foot = level + p.rng.uniform(0.02, 0.1)
    spots, trees = p.rng.permutation(np.linspace(0.14, 0.86, 4)), int(p.rng.integers(0, 4))
    if p.chance(0.85):
        x = float(spots[0])
        if p.chance(0.5):
            terrain.road_ahead(p, foot, x, p.rng.uniform(0.12, 0.3), p.chance(0.5))
        house(p, x, foot, p.rng.uniform(0.2, 0.5))
    for x in spots[1 : 1 + trees]:
        species = p.pick("lollipop", "lollipop", "round", "pine")
        single_tree(p, float(x), foot, p.rng.uniform(0.25, 0.6), species)


def _giant(p: Painter) -> None:
    """One thing of any size anywhere, on its ground, floating or cut by the edge."""
    level, kind = _strip(p, 0.35, 0.95), p.pick(*_GIANTS)
    x, size, turn = p.rng.uniform(0.1, 0.9), p.rng.uniform(0.2, 0.75), p.rng.normal(0, 0.12) * p.chance(0.4)
    y = float(level + 0.05 if p.chance(0.6) else p.rng.uniform(0.3, 1.05))
    _thing(p, kind, float(x), y, size, float(turn))


_GIANTS = ("house", "boat", "boat", "tree", "tower", "balloon", "sun", "mountain", "bridge", "bridge")


def _thing(p: Painter, kind: str, x: float, y: float, size: float, turn: float = 0.0) -> None:
    """A whole thing about as high as `size`, standing at (x, y), or hanging above it."""
    if kind == "house":
        house(p, x, y, size * 0.8, turn, p.rng.uniform(0.8, 1.2))
    elif kind == "boat":
        water.boat(p, x, y, size * 0.6, p.chance(0.25), turn)
    elif kind == "tree":
        single_tree(p, x, y, size * 1.2)
    elif kind == "tower":
        tower(p, x, y, size * 1.3)
    elif kind == "balloon":
        sky.hot_air_balloon(p, x, min(y, 0.9) * 0.6, size * 0.5, turn)
    elif kind == "sun":
        sky.orb(p, x, y * 0.7, size * 0.5)
    elif kind == "bridge":
        line = shapes.smooth_ridge(p.rng, min(y - 0.12 * size, 0.94), 0.0, 1)
        paint(p, shapes.below(line, 1.05), "water")
        water.bridge(p, x - size, x + size, y - 0.35 * size, y)
    elif p.chance(0.5):
        terrain.big_mountain(p, x, y, size * p.rng.uniform(0.7, 1.2), size)
    else:
        paint(
            p,
            shapes.polygon([(x - size, y), (x + p.rng.normal(0, 0.1), y - size), (x + size, y)]),
            "mountain",
        )


def _crowd(p: Painter) -> None:
    """Two to five of one thing: suns, houses, trees, boats, balloons, towers."""
    count, kind = (
        int(p.rng.integers(2, 6)),
        p.pick("sun", "house", "tree", "boat", "boat", "balloon", "tower"),
    )
    level, size = _strip(p, 0.45, 0.9), p.rng.uniform(0.7, 1.0) / count
    if kind == "boat":
        paint(p, shapes.box(-0.05, level, 1.05, 1.05), "water")
    for x in np.linspace(0.5 / count, 1 - 0.5 / count, count) + p.rng.normal(0, 0.02, count):
        scale, foot = size * p.rng.uniform(0.8, 1.1), level + p.rng.uniform(0.02, 0.1)
        if kind in ("sun", "balloon"):
            foot = p.rng.uniform(0.15, level)
        _thing(p, kind, float(x), float(foot), float({"tree": 1.1, "sun": 0.6}.get(kind, 0.9) * scale))
