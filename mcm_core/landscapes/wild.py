"""Scenes that no landscape has: the same things at any size and place, in any outline.

A person draws a house as large as the picture, a heart of forest, three suns, water above land. A model that
had only seen what is natural would answer with what is natural.
"""

from __future__ import annotations

import numpy as np

from . import materials, shapes, sky, terrain, water
from .buildings import house, tower
from .easel import CLASSES
from .painter import Painter
from .plants import single_tree

AREAS = ("sky", "water", "grass", "sand", "snow", "forest", "hill", "mountain", "flowers", "cloud", "road")
GROUNDS = ("grass", "sand", "snow", "hill", "flowers", "water", "road")
SAID = {"cloud": "clouds", "mountain": "mountains", "hill": "hills", "grass": "meadow"}
"""What a large area of a class is called; flowers say their own name, the sky is not worth a word."""


def paint(p: Painter) -> None:
    """One of several kinds of composition."""
    kinds = (
        _bands,
        _checkers,
        _emblem,
        _emblem,
        _strokes,
        _strokes,
        _childish,
        _childish,
        _giant,
        _giant,
        _crowd,
    )
    kinds[int(p.rng.integers(len(kinds)))](p)


def _area(p: Painter, outline: np.ndarray, kind: str) -> None:
    """A class in an outline, remembered for the caption where it is large enough to be seen."""
    materials.paint(p, outline, kind)
    if kind not in ("sky", "flowers") and p.easel.last.mean() > 0.015:
        name = "moon" if kind == "sun" and p.light.stars else SAID.get(kind, kind)
        if not any(thing.kind == name for thing in p.things) or kind in (
            "sun",
            "house",
            "boat",
            "tree",
            "balloon",
        ):
            p.saw(name)


def _background(p: Painter, kind: str) -> None:
    _area(p, shapes.box(-0.05, -0.05, 1.05, 1.05), kind)


def _two(p: Painter) -> tuple[str, str]:
    first, second = p.rng.choice(len(AREAS), 2, replace=False)
    return AREAS[int(first)], AREAS[int(second)]


def _bands(p: Painter) -> None:
    """Two to five bands of any classes, level, upright or slanted, with wavy borders."""
    count, angle = int(p.rng.integers(2, 6)), float(p.rng.choice([0, 0, np.pi / 2, p.rng.uniform(-0.6, 0.6)]))
    edges = np.sort(p.rng.uniform(-0.1, 1.0, count - 1))
    kinds = p.rng.choice(len(AREAS), count, replace=False)
    _background(p, AREAS[int(kinds[0])])
    for edge, kind in zip(edges, kinds[1:], strict=True):
        line = shapes.smooth_ridge(p.rng, float(edge), p.rng.uniform(0, 0.08), 3)
        line[0, 0], line[-1, 0] = -1, 2
        band = shapes.below(line.astype(np.float32), 2.2) - np.float32(0.5)
        _area(p, shapes.moved(band, 0.5, 0.5, 1.0, angle), AREAS[int(kind)])


def _checkers(p: Painter) -> None:
    """A grid of two classes."""
    first, second = _two(p)
    count = int(p.rng.integers(2, 5))
    _background(p, first)
    for row in range(count):
        for column in range(count):
            if (row + column) % 2:
                square = shapes.box(column / count, row / count, (column + 1) / count, (row + 1) / count)
                _area(p, square, second)


def _outline(p: Painter) -> np.ndarray:
    """Some shape around the origin, about as wide as [-1, 1]."""
    square = shapes.box(-0.8, -0.8, 0.8, 0.8)
    triangle = shapes.polygon([(0, -1), (1, 0.8), (-1, 0.8)])
    options = (
        shapes.heart(),
        shapes.star(),
        shapes.disc(0, 0, 1),
        square,
        triangle,
        shapes.loose(p.rng),
        shapes.loose(p.rng),
    )
    return options[int(p.rng.integers(len(options)))]


def _emblem(p: Painter) -> None:
    """One to three shapes of any class on one or two others."""
    first, second = _two(p)
    _background(p, first)
    if p.chance(0.5):
        line = shapes.smooth_ridge(p.rng, p.rng.uniform(0.3, 0.9), p.rng.uniform(0, 0.06), 2)
        _area(p, shapes.below(line, 1.05), second)
    for _ in range(int(p.rng.choice([1, 1, 2, 3]))):
        kind = CLASSES[int(p.rng.integers(len(CLASSES)))].name
        x, y = p.rng.uniform(0.15, 0.85, 2)
        size, turn = p.rng.uniform(0.08, 0.42), p.rng.normal(0, 0.3)
        placed = shapes.moved(_outline(p), x, y, size, turn, p.rng.uniform(0.6, 1.3))
        _area(p, placed, kind)


def _strokes(p: Painter) -> None:
    """Areas dabbed with a round brush, as a person paints a map in a hurry."""
    background, low = "sky" if p.chance(0.6) else _two(p)[0], p.pick(*GROUNDS)
    _background(p, background)
    if p.chance(0.7):
        level = p.rng.uniform(0.4, 0.9)
        _area(
            p,
            shapes.brush_stroke(p.rng, np.array([-0.2, level + 0.3]), np.array([1.2, level + 0.3]), 0.66),
            low,
        )
    for _ in range(int(p.rng.integers(1, 6))):
        kind, width = CLASSES[int(p.rng.integers(len(CLASSES)))].name, p.rng.uniform(0.05, 0.2)
        start, end = p.rng.uniform(-0.05, 1.05, 2), p.rng.uniform(-0.05, 1.05, 2)
        middle = (start + end) / 2
        end = middle + (end - middle) * p.rng.uniform(0.2, 1)
        _area(p, shapes.brush_stroke(p.rng, start, end, width), kind)


def _strip(p: Painter, low: float, high: float) -> float:
    """Sky, and a strip of ground from a level in [low, high]; -> the level."""
    level = float(p.rng.uniform(low, high))
    p.horizon = level
    sky.gradient(p)
    if p.light.stars and p.chance(0.7):
        sky.stars(p, int(p.rng.integers(8, 24)), level)
        p.saw("stars")
    line = shapes.smooth_ridge(p.rng, level, p.rng.uniform(0, 0.05), 2)
    _area(
        p,
        shapes.below(line, 1.05),
        p.pick("grass", "grass", "snow" if p.season.snowy_ground else "hill", "sand", "flowers"),
    )
    return level


def _childish(p: Painter) -> None:
    """A child's drawing: a big house on a strip of ground, trees like lollipops, the sun in a corner."""
    level = _strip(p, 0.62, 0.92)
    if p.chance(0.8):
        x, y = p.rng.choice([0.1, 0.9]) + p.rng.normal(0, 0.05), p.rng.uniform(0.05, 0.22)
        sky.orb(p, float(x), float(y), p.rng.uniform(0.08, 0.2))
    if p.chance(0.5):
        for _ in range(int(p.rng.integers(1, 4))):
            x, y, size = p.rng.uniform(0.15, 0.85), p.rng.uniform(0.08, 0.35), p.rng.uniform(0.05, 0.12)
            _area(p, shapes.blob(p.rng, x, y, size, squash=0.6, bumps=5), "cloud")
    foot = level + p.rng.uniform(0.0, 0.1)
    spots = p.rng.permutation(np.linspace(0.16, 0.84, 4))
    if p.chance(0.85):
        x = float(spots[0])
        house(p, x, foot, p.rng.uniform(0.18, 0.5))
        if p.chance(0.4):
            terrain.road(p, foot, x, p.rng.uniform(0.1, 0.3), p.chance(0.5))
    for x in spots[1 : 1 + int(p.rng.integers(0, 4))]:
        single_tree(p, float(x), foot, p.rng.uniform(0.25, 0.6), p.pick("lollipop", "round", "pine"))


def _giant(p: Painter) -> None:
    """One thing of any size anywhere, on its ground, floating or cut by the edge."""
    level = _strip(p, 0.35, 0.95)
    x, y, size = p.rng.uniform(0.1, 0.9), p.rng.uniform(0.3, 1.05), p.rng.uniform(0.15, 0.7)
    y = float(level + 0.05) if p.chance(0.5) else float(y)
    kind = p.pick("house", "house", "boat", "tree", "tower", "balloon", "sun", "mountain", "bridge")
    if kind == "house":
        house(p, x, y, size * 0.8, p.rng.normal(0, 0.12), p.rng.uniform(0.8, 1.25))
    elif kind == "boat":
        water.boat(p, x, y, size * 0.6, p.chance(0.25))
    elif kind == "tree":
        single_tree(p, x, y, size * 1.3)
    elif kind == "tower":
        tower(p, x, y, size * 1.3)
    elif kind == "balloon":
        sky.balloon(p, x, y * 0.6, size * 0.6)
    elif kind == "sun":
        sky.orb(p, x, y * 0.7, size * 0.5)
    elif kind == "bridge":
        water.bridge(p, x - size, x + size, y - 0.3 * size, y)
    else:
        peak = shapes.polygon([(x - size, y), (x + p.rng.normal(0, 0.1), y - size), (x + size, y)])
        _area(p, peak, "mountain")


def _crowd(p: Painter) -> None:
    """Two to six of one thing: suns, houses, trees, boats, balloons."""
    level = _strip(p, 0.4, 0.9)
    count, kind = int(p.rng.integers(2, 6)), p.pick("sun", "house", "tree", "boat", "balloon", "tower")
    if kind == "boat":
        _area(p, shapes.box(-0.05, level, 1.05, 1.05), "water")
    for x in np.linspace(0.12, 0.88, count) + p.rng.normal(0, 0.03, count):
        y, size = level + p.rng.uniform(0.02, 0.12), p.rng.uniform(0.08, 0.2)
        if kind == "sun":
            sky.orb(p, float(x), p.rng.uniform(0.1, max(0.15, level - 0.1)), size * 0.6)
        elif kind == "house":
            house(p, float(x), y, size)
        elif kind == "tree":
            single_tree(p, float(x), y, size * 2)
        elif kind == "boat":
            water.boat(p, float(x), y + 0.05, size)
        elif kind == "balloon":
            sky.balloon(p, float(x), p.rng.uniform(0.12, max(0.2, level - 0.2)), size * 0.7)
        else:
            tower(p, float(x), y, size * 2.2)
