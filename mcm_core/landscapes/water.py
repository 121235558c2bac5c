"""Water and what floats on it or spans it: lakes with their mirror, rivers, boats, bridges."""

from __future__ import annotations

import numpy as np

from . import shapes
from .painter import WHITE, Painter
from .palette import mix, rgb
from .plants import tree_line

SAILS = {"white": "#fbf6ea", "red": "#e8483c", "yellow": "#f2b53c", "blue": "#3f7fd0"}
HULLS = ("#6b4423", "#a02f2b", "#2b3a55", "#f2efe6")


def lake(p: Painter) -> float:
    """A lake or the sea below the horizon, with its mirror; -> the height of its shore."""
    shore = p.horizon + p.rng.uniform(0.0, 0.015)
    if p.chance(p.season.forest_chance * 0.5):
        flat = np.stack([np.linspace(-0.02, 1.02, 40), np.full(40, shore)], 1).astype(np.float32)
        tree_line(p, flat, 0.3, p.rng.uniform(0.03, 0.09))
    area = shapes.box(-0.1, shore, 1.1, 1.05)
    p.easel.fill(area, WHITE, "water")
    mirror(p, shore)
    ripples(p, shore, int(p.rng.integers(6, 18)))
    p.saw(p.pick("lake", "water"))
    return shore


def mirror(p: Painter, shore: float) -> None:
    """The picture above the shore, upside down and half sunk in the water's own colour."""
    size = p.easel.size
    row = round(shore * size)
    depth = np.arange(size - row)
    source = np.clip(row - 1 - (depth * 0.9).astype(int), 0, size - 1)
    sway = np.round(2.2 * np.sin(depth * 0.11 + p.rng.random() * 6)).astype(int)
    columns = np.clip(np.arange(size)[None] + sway[:, None], 0, size - 1)
    mirrored = p.easel.picture[source[:, None], columns]
    water = mix(p.lit("#2f7fb8"), rgb(p.light.sky[1]), 0.35)
    deep = mix(p.lit("#1b4f86"), rgb(p.light.sky[0]), 0.25)
    share = np.linspace(0, 1, len(depth), dtype=np.float32)[:, None, None]
    p.easel.picture[row:] = mirrored * 0.42 + (water + (deep - water) * share) * 0.58


def ripples(p: Painter, shore: float, count: int) -> None:
    bright = mix(p.lit("#dff1fb"), rgb(p.light.sky[2]), 0.4)
    for _ in range(count):
        depth = p.rng.random() ** 0.7
        y, width = shore + 0.02 + depth * (1 - shore), p.rng.uniform(0.03, 0.16) * (0.4 + depth)
        x, thick = p.rng.random(), 0.0022 + 0.0028 * depth
        p.easel.fill(
            shapes.disc(0, 0, 1) * [width, thick] + np.array([x, y], np.float32), bright, opacity=0.45
        )


def river(p: Painter, x: float) -> None:
    outline = shapes.river(p.rng, p.horizon + 0.03, x)
    top, low = (
        mix(p.lit("#4a97cc"), rgb(p.light.sky[2]), 0.4),
        mix(p.lit("#2a6aa8"), rgb(p.light.sky[1]), 0.25),
    )
    p.easel.fill(outline, top, "water", foot=low)
    p.saw("river")


def boats(p: Painter, shore: float) -> None:
    """One to three on the water below `shore`."""
    wet, side = p.easel.region("water"), p.easel.size
    left = int(p.rng.choice([1, 1, 1, 2, 3]))
    for _ in range(12):
        x, y = p.rng.uniform(0.12, 0.88), p.rng.uniform(shore + 0.03, min(0.95, shore + 0.3))
        size = p.rng.uniform(0.06, 0.15) * (0.7 + (y - p.horizon))
        if left and wet[int(y * side), int((x - 0.7 * size) * side) : int((x + 0.7 * size) * side)].all():
            boat(p, x, y, size, rowing=p.chance(0.2))
            left -= 1


def boat(p: Painter, x: float, y: float, size: float, rowing: bool = False) -> None:
    """A sailing boat about 1.5 * size wide and 1.9 * size high, or a rowing boat; its hull lies on (x, y)."""
    at, hull_colour = np.array([x, y], np.float32), p.lit(p.pick(*HULLS))
    hull = shapes.polygon([(-0.8, -0.2), (0.8, -0.2), (0.52, 0.18), (-0.52, 0.18)])
    traits: tuple[str, ...] = ("big",) if size > 0.2 else ()
    if rowing:
        hull = shapes.polygon([(-1, -0.3), (-0.6, -0.14), (0.6, -0.14), (1, -0.3), (0.62, 0.2), (-0.62, 0.2)])
        p.easel.fill(hull * np.float32(size) + at, hull_colour, "boat")
        rim = shapes.polygon(
            [(-0.94, -0.26), (-0.6, -0.14), (0.6, -0.14), (0.94, -0.26), (0.8, 0), (-0.8, 0)]
        )
        p.easel.fill(rim * np.float32(size) + at, hull_colour * np.float32(0.72), inside=p.easel.last)
    else:
        name = p.pick(*SAILS)
        sail = p.lit(SAILS[name])
        mast = shapes.box(-0.035, -1.75, 0.035, -0.1)
        main = shapes.polygon([(0.06, -1.7), (0.78, -0.32), (0.06, -0.32)])
        jib = shapes.polygon([(-0.07, -1.5), (-0.07, -0.32), (-0.62, -0.32)])
        for part, colour in ((mast, p.lit("#5b4030")), (main, sail), (jib, sail * np.float32(0.86))):
            p.easel.fill(part * np.float32(size) + at, colour, "boat")
        p.easel.fill(hull * np.float32(size) + at, hull_colour, "boat")
        traits = (*traits, name)
    shadow = shapes.ellipse(x, y + size * 0.26, size * 0.62, size * 0.07)
    p.easel.fill(shadow, p.lit("#1b3558"), opacity=0.4, inside=p.easel.region("water"))
    p.saw("rowing boat" if rowing else "boat", 1, *traits)


def bridge(p: Painter, left: float, right: float, top: float, foot: float) -> None:
    """Its deck at `top` and its piers down to `foot`: of stone, or hung from two towers."""
    if p.chance(0.6):
        stone, count = p.pick("#b9a48c", "#a0938c", "#c98f6b"), int(p.rng.integers(1, 4))
        outline = shapes.arches(left, right, top, foot, count, p.rng.uniform(0, 0.25) * (foot - top))
        p.easel.fill(outline, p.lit(stone), "bridge", foot=p.lit(stone, 0, 0.8))
        edge = shapes.box(left, top, right, top + 0.12 * (foot - top))
        p.easel.fill(edge, p.lit(stone, 0, 0.78), inside=p.easel.last)
        p.saw("bridge", 1, "stone")
        return
    code = p.pick("#d8432f", "#3f6fb5", "#8a5a2b")
    light, dark, high = p.lit(code), p.lit(code, 0, 0.78), foot - top
    p.easel.fill(shapes.box(left, top, right, top + max(0.02, 0.16 * high)), dark, "bridge")
    span = right - left
    for share in (0.26, 0.74):
        middle, half = left + share * span, max(0.01, 0.022 * span)
        p.easel.fill(shapes.box(middle - half, top - 1.1 * high, middle + half, foot), light, "bridge")
    x = np.linspace(left, right, 60)
    sag = np.abs(((x - left) / span - 0.26) % 0.48 - 0.24) / 0.24
    cable = top - (0.08 + 0.95 * np.clip(sag, 0, 1) ** 2) * high
    line = np.concatenate([np.stack([x, cable - 0.005], 1), np.stack([x, cable + 0.005], 1)[::-1]])
    p.easel.fill(line.astype(np.float32), light, "bridge")
    p.saw("bridge", 1, *(("red",) if code == "#d8432f" else ("blue",) if code == "#3f6fb5" else ("wooden",)))
