"""Water and what floats on it or spans it: lakes with their mirror, rivers, boats, bridges."""

from __future__ import annotations

import numpy as np

from . import shapes
from .painter import WHITE, Painter
from .palette import Colour, mix, rgb
from .plants import tree_line
from .shapes import Polygon

SAILS = {"white": "#fdf8ea", "red": "#ee4a3c", "yellow": "#f8bd3a", "blue": "#3f86dc"}
HULLS = ("#7a4a24", "#b0322d", "#2b3f66", "#f2efe6")
BRIDGES = {"red": "#dd4632", "blue": "#4379c4", "wooden": "#99652f"}
STONES = ("#c4ae94", "#aea6ac", "#d09a74")


def lake(p: Painter, behind: bool) -> float:
    """A lake or the sea below the horizon, with its mirror; -> the height of its shore.

    `behind` says whether mountains or hills stand at its other side.
    """
    shore = p.horizon + p.rng.uniform(0.0, 0.015)
    wooded = p.chance(p.season.forest_chance * 0.5)
    if wooded:
        flat = np.stack([np.linspace(-0.02, 1.02, 40), np.full(40, shore)], 1).astype(np.float32)
        tree_line(p, flat, 0.3, p.rng.uniform(0.035, 0.09))
    since = p.easel.last_part
    p.easel.fill(shapes.box(-0.1, shore, 1.1, 1.05), WHITE, "water")
    _mirror(p, shore)
    _ripples(p, shapes.box(0, shore, 1, 1.02))
    p.saw("lake" if p.chance(0.75 if behind or wooded else 0.2) else "water", since=since)
    return shore


def _mirror(p: Painter, shore: float) -> None:
    """The picture above the shore, upside down and half sunk in the water's own colour."""
    size = p.easel.size
    row = round(shore * size)
    depth = np.arange(size - row)
    source = np.clip(row - 1 - (depth * 0.9).astype(int), 0, size - 1)
    sway = np.round(2.2 * np.sin(depth * 0.11 + p.rng.random() * 6)).astype(int)
    columns = np.clip(np.arange(size)[None] + sway[:, None], 0, size - 1)
    mirrored = p.easel.picture[source[:, None], columns]
    light, deep = _colours(p)
    share = np.linspace(0, 1, len(depth), dtype=np.float32)[:, None, None]
    p.easel.picture[row:] = mirrored * 0.42 + (light + (deep - light) * share) * 0.58


def _colours(p: Painter) -> tuple[Colour, Colour]:
    """Of water far away and near."""
    light = mix(p.lit("#2f90cf"), rgb(p.light.sky[1]), 0.35)
    return light, mix(p.lit("#195a9c"), rgb(p.light.sky[0]), 0.25)


def _ripples(p: Painter, outline: Polygon) -> None:
    """Bright lenses, larger towards the viewer."""
    inside, (left, top, width, height) = p.easel.last, shapes.extent(outline)
    bright = mix(p.lit("#dff3fd"), rgb(p.light.sky[2]), 0.4)
    for _ in range(int(p.rng.integers(4, 9 + int(10 * width * height)))):
        t = p.rng.random() ** 0.7
        x, y = left + width * p.rng.random(), top + 0.02 + height * t
        half = p.rng.uniform(0.03, 0.13) * (0.4 + t)
        lens = shapes.ellipse(x, y, half, 0.0035 + 0.0035 * t)
        p.easel.fill(lens, bright, opacity=0.5, inside=inside)


def water(p: Painter, outline: Polygon) -> None:
    """Water in any outline."""
    light, deep = _colours(p)
    p.easel.fill(outline, light, "water", foot=deep)
    _ripples(p, outline)


def river(p: Painter, x: float) -> None:
    since = p.easel.last_part
    water(p, shapes.river(p.rng, p.horizon + 0.03, x))
    p.saw("river", since=since)


def boats(p: Painter, shore: float) -> None:
    """One to three on the water below `shore`."""
    wet, side = p.easel.region("water"), p.easel.size
    left = int(p.rng.choice([1, 1, 1, 2, 3]))
    for _ in range(14):
        x, y = p.rng.uniform(0.12, 0.88), p.rng.uniform(shore + 0.04, min(0.95, shore + 0.32))
        size = p.rng.uniform(0.07, 0.17) * (0.7 + (y - p.horizon))
        row = wet[int(y * side), int(max(0, x - 0.8 * size) * side) : int((x + 0.8 * size) * side)]
        if left and row.all():
            boat(p, x, y, size, rowing=p.chance(0.2))
            left -= 1


def boat(p: Painter, x: float, y: float, size: float, rowing: bool = False, angle: float = 0.0) -> None:
    """A sailing boat about 1.6 * size wide and 1.9 * size high, or a rowing boat; its hull lies on (x, y)."""
    since, wet = p.easel.last_part, p.easel.region("water")
    afloat = bool(wet[int(np.clip(y, 0, 0.99) * p.easel.size), int(np.clip(x, 0, 0.99) * p.easel.size)])
    parts, name = _rowing_boat(p) if rowing else _sailing_boat(p)
    if afloat:
        for part, colour in parts:
            mirrored = part * np.array([1, -0.8], np.float32) + np.array([0, 0.3], np.float32)
            p.easel.fill(shapes.moved(mirrored, x, y, size), colour, opacity=0.28, inside=wet)
        shadow = shapes.ellipse(x, y + size * 0.2, size * 0.66, size * 0.07)
        p.easel.fill(shadow, p.lit("#143056"), opacity=0.45, inside=wet)
    for part, colour in parts:
        p.easel.fill(shapes.moved(part, x, y, size, angle), colour, "boat")
    places = ("on the water",) if afloat else ()
    p.saw("rowing boat" if rowing else "boat", *name, where=places, since=since)


def _rowing_boat(p: Painter) -> tuple[list[tuple[Polygon, Colour]], tuple[str, ...]]:
    hull = [(-1, -0.34), (-0.6, -0.16), (0.6, -0.16), (1, -0.34), (0.62, 0.2), (-0.62, 0.2)]
    rim = [(-1, -0.34), (-0.6, -0.16), (0.6, -0.16), (1, -0.34), (0.86, -0.08), (0.6, 0.02), (-0.6, 0.02)]
    colour = p.lit(p.pick(*HULLS))
    band = shapes.polygon([*rim, (-0.86, -0.08)])
    return [(shapes.polygon(hull), colour), (band, colour * np.float32(0.74))], ()


def _sailing_boat(p: Painter) -> tuple[list[tuple[Polygon, Colour]], tuple[str, ...]]:
    name = p.pick(*SAILS)
    sail = p.lit(SAILS[name])
    hull = shapes.polygon([(-0.84, -0.22), (0.84, -0.22), (0.54, 0.18), (-0.54, 0.18)])
    mast = shapes.box(-0.05, -1.78, 0.05, -0.1)
    main = shapes.polygon([(0.06, -1.7), (0.8, -0.32), (0.06, -0.32)])
    jib = shapes.polygon([(-0.07, -1.5), (-0.07, -0.32), (-0.64, -0.32)])
    parts = [(mast, p.lit("#5b4030")), (main, sail), (jib, sail * np.float32(0.84))]
    return [*parts, (hull, p.lit(p.pick(*HULLS)))], (name,)


def boat_in(p: Painter, outline: Polygon) -> None:
    """A boat in any outline: a hull below, two sails above."""
    left, top, width, height = shapes.extent(outline)
    sail = p.lit(SAILS[p.pick(*SAILS)])
    p.easel.fill(outline, sail, "boat")
    inside, rail, mast = p.easel.last, top + 0.68 * height, left + 0.48 * width
    right, low = left + width + 0.05, top + height + 0.05
    p.easel.fill(shapes.box(left - 0.05, top - 0.05, mast, rail), sail * np.float32(0.84), inside=inside)
    half = max(0.01, 0.025 * width)
    p.easel.fill(shapes.box(mast - half, top - 0.05, mast + half, rail), p.lit("#5b4030"), inside=inside)
    hull = p.lit(p.pick(*HULLS))
    p.easel.fill(shapes.box(left - 0.05, rail, right, low), hull, inside=inside, drawn=True)


def bridge(p: Painter, left: float, right: float, top: float, foot: float) -> None:
    """Its deck at `top` and its piers down to `foot`: of stone, or hung from two towers."""
    since, wet = p.easel.last_part, p.easel.region("water")
    if p.chance(0.55):
        stone, count = p.lit(p.pick(*STONES)), int(np.clip((right - left) / (2.2 * (foot - top)), 1, 4))
        outline = shapes.arches(left, right, top, foot, count, p.rng.uniform(0.1, 0.3) * (foot - top))
        mirrored = outline * np.array([1, -1], np.float32) + np.array([0, 2 * foot], np.float32)
        p.easel.fill(mirrored, stone * np.float32(0.7), opacity=0.4, inside=wet)
        p.easel.fill(outline, stone, "bridge", foot=stone * np.float32(0.78))
        strip = outline[:40]
        lower = (strip + np.array([0, 0.16 * (foot - top)], np.float32))[::-1]
        p.easel.fill(np.concatenate([strip, lower]), stone * np.float32(1.1), inside=p.easel.last, drawn=True)
        p.saw("bridge", "stone", where=("over the water",), since=since)
        return
    name = p.pick("red", "red", "blue", "wooden")
    _hung(p, left, right, top, foot, BRIDGES[name], wet)
    p.saw("bridge", name, where=("over the water",), since=since)


def _hung(p: Painter, left: float, right: float, top: float, foot: float, code: str, wet: np.ndarray) -> None:
    """A suspension bridge: a deck, two towers, a cable and its hangers."""
    light, dark, high, span = p.lit(code), p.lit(code, 0, 0.78), foot - top, right - left
    half, thick = max(0.011, 0.022 * span), max(0.018, 0.16 * high)
    x = np.linspace(left, right, 60)
    sag = np.abs(((x - left) / span - 0.26) % 0.48 - 0.24) / 0.24
    cable = top - (0.08 + 0.95 * np.clip(sag, 0, 1) ** 2) * high
    line = np.concatenate([np.stack([x, cable - 0.0075], 1), np.stack([x, cable + 0.0075], 1)[::-1]])
    towers = [left + share * span for share in (0.26, 0.74)]
    for middle in towers:
        image = shapes.box(middle - half, foot, middle + half, foot + 1.6 * high)
        p.easel.fill(image, dark, opacity=0.35, inside=wet)
    for index in range(2, 58, 6):
        hanger = shapes.box(x[index] - 0.004, cable[index], x[index] + 0.004, top)
        p.easel.fill(hanger, light, "bridge", joined=index > 2)
    p.easel.fill(line.astype(np.float32), light, "bridge", joined=True)
    p.easel.fill(shapes.box(left, top, right, top + thick), dark, "bridge")
    for middle in towers:
        p.easel.fill(shapes.box(middle - half, top - 1.1 * high, middle + half, foot), light, "bridge")


def bridge_in(p: Painter, outline: Polygon) -> None:
    """A bridge in any outline: a deck along its upper edge, dark arches below."""
    left, top, width, height = shapes.extent(outline)
    stone = p.lit(p.pick(*STONES, BRIDGES["red"]))
    p.easel.fill(outline, stone, "bridge", foot=stone * np.float32(0.86))
    inside, low = p.easel.last, top + height
    strip = outline - np.array([0, 0.82 * min(height, 0.25)], np.float32)
    p.easel.fill(strip, stone * np.float32(1.12), inside=inside)
    count = int(np.clip(round(width / max(0.14, 0.9 * height)), 1, 5))
    if min(width / count, height) > 0.06:
        for index in range(count):
            middle, half = left + width * (index + 0.5) / count, 0.34 * width / count
            rise = min(0.62 * height, 1.6 * half)
            arch = shapes.ellipse(middle, low, half, rise)
            p.easel.fill(arch, stone * np.float32(0.5), inside=inside, drawn=True)
