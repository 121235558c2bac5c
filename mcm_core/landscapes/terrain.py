"""Land: mountain ranges, hills, the ground and what grows flat on it, roads."""

from __future__ import annotations

import numpy as np

from . import shapes
from .painter import Painter
from .palette import SEASONS
from .plants import tree_line

FLOWERS = {
    "poppies": ("#e5322d", "#f04f3a"),
    "lavender": ("#8b5cc9", "#a578e0"),
    "tulips": ("#f03e6e", "#ffcf33", "#f58ab8"),
    "sunflowers": ("#ffc61a", "#f7a81b"),
    "daisies": ("#ffffff", "#ffe98a"),
}
ROADS = {"grey": ("#8b8f9c", "#6d7180"), "sandy": ("#d9bd8c", "#c2a070")}


def distance(p: Painter) -> None:
    if p.chance(0.7):
        ranges = int(p.rng.integers(1, 4))
        for index in range(ranges):
            _range(p, distance=0.85 - 0.75 * (index + p.rng.random() * 0.4) / ranges, front=index / ranges)
        p.saw("mountains")
    if p.chance(0.6):
        count = int(p.rng.integers(1, 4))
        for index in range(count):
            _hill(p, distance=0.6 - 0.5 * index / count, lift=(count - index - 1) * 0.035)
        p.saw("hills")


def _range(p: Painter, distance: float, front: float) -> None:
    """A row of peaks, each with a sunny and a shaded face and, above the snow line, a cap."""
    peaks = int(p.rng.integers(2, 6))
    tall = p.rng.uniform(0.1, 0.34) * (1 - 0.35 * front)
    for x in p.rng.permutation(np.linspace(0, 1, peaks) + p.rng.uniform(-0.12, 0.12, peaks)):
        height = tall * p.rng.uniform(0.55, 1.0)
        _peak(p, float(x), min(height, p.horizon - 0.05), float(height * p.rng.uniform(1.0, 1.9)), distance)


def _peak(p: Painter, x: float, height: float, half: float, distance: float) -> None:
    foot = p.horizon + 0.02
    apex = np.array([x, foot - height], np.float32)
    left = shapes.jagged(p.rng, np.array([x - half, foot]), apex, 4, 0.09)
    right = shapes.jagged(p.rng, apex, np.array([x + half, foot]), 4, 0.09)
    outline = np.concatenate([left, right])
    code = p.season.mountain
    p.easel.fill(
        outline, p.lit(code, distance, 1.08), "mountain", foot=p.lit(code, min(1, distance + 0.25), 1.08)
    )
    spine = shapes.zigzag(
        p.rng, apex, np.array([x + half * p.rng.uniform(-0.2, 0.25), foot], np.float32), 3, 0.03
    )
    shaded = np.concatenate([spine[::-1], right])
    p.easel.fill(shaded, p.lit(code, distance, 0.78), foot=p.lit(code, min(1, distance + 0.25), 0.86))
    if height > 0.1 and p.chance(p.season.snow_line):
        _cap(p, left, right, spine, height * p.rng.uniform(0.25, 0.5), distance)


def _cap(
    p: Painter, left: np.ndarray, right: np.ndarray, spine: np.ndarray, depth: float, distance: float
) -> None:
    level = left[-1, 1] + depth
    up, down = left[left[:, 1] < level], right[right[:, 1] < level]
    if len(up) < 3 or len(down) < 3:
        return
    edge = shapes.zigzag(p.rng, down[-1], up[0], 4, depth * 0.3)
    p.easel.fill(np.concatenate([up, down, edge]), p.lit("#fbfdff", distance * 0.5), "snow")
    ridge = spine[spine[:, 1] < level]
    if len(ridge) > 1:
        shade = np.concatenate([ridge[::-1], down, edge[: len(edge) // 2]])
        inside = p.easel.region("snow")
        p.easel.fill(shade, p.lit("#c5d3e8", distance * 0.5), inside=inside)


def _hill(p: Painter, distance: float, lift: float) -> None:
    height = p.rng.uniform(0.03, 0.13)
    line = shapes.smooth_ridge(p.rng, p.horizon - lift, height, waves=int(p.rng.integers(1, 4)))
    code = p.season.hill
    label = "snow" if p.season.snowy_ground else "hill"
    area = shapes.below(line, p.horizon + 0.12)
    p.easel.fill(area, p.lit(code, distance, 1.06), label, foot=p.lit(code, distance, 0.86))
    if p.chance(p.season.forest_chance * 0.6):
        tree_line(p, line, distance, p.rng.uniform(0.03, 0.07))


def ground(p: Painter, line: np.ndarray, distance: float, kind: str | None = None) -> str:
    kind = kind or _ground_kind(p)
    code = {"grass": p.season.grass, "sand": p.season.sand, "snow": "#f4f8fc"}[kind]
    area = shapes.below(line, 1.05)
    p.easel.fill(area, p.lit(code, distance), kind, foot=p.lit(code, 0, 0.84 if kind == "grass" else 0.92))
    texture(p, line, kind, code)
    return kind


def _ground_kind(p: Painter) -> str:
    if p.season.snowy_ground:
        return "snow"
    dry = 0.8 if p.season is SEASONS["desert"] else 0.22
    return "sand" if p.chance(dry) else "grass"


def texture(p: Painter, line: np.ndarray, kind: str, code: str) -> None:
    """Tufts in grass, long low waves in sand and snow: few, and bigger towards the viewer."""
    inside = p.easel.region(kind)
    for _ in range(int(p.rng.integers(8, 22))):
        x, t = float(p.rng.random()), float(p.rng.random() ** 0.6)
        top = float(np.interp(x, line[:, 0], line[:, 1]))
        y, size = top + 0.02 + t * (1 - top), 0.01 + 0.022 * t
        if kind == "grass":
            for lean in (-0.5, 0.0, 0.5):
                blade = shapes.polygon(
                    [(x - size * 0.12, y), (x + lean * size, y - size * 1.3), (x + size * 0.12, y)]
                )
                p.easel.fill(blade, p.lit(code, 0, 0.74), inside=inside)
        else:
            wave = shapes.disc(0, 0, 1) * [size * 5, size * 0.16] + np.array([x, y], np.float32)
            p.easel.fill(wave, p.lit(code, 0, 0.86), opacity=0.7, inside=inside)


def flower_field(p: Painter, outline: np.ndarray) -> str:
    """A meadow full of one kind of flower inside an outline; -> which."""
    name = p.pick(*FLOWERS)
    green = p.lit(p.season.grass, 0.05, 0.8)
    p.easel.fill(outline, green, "flowers", foot=p.lit(p.season.grass, 0, 0.62))
    inside, colours = p.easel.last, [p.lit(code) for code in FLOWERS[name]]
    top, height = float(outline[:, 1].min()), float(np.ptp(outline[:, 1])) + 1e-6
    left, width = float(max(outline[:, 0].min(), 0)), float(min(np.ptp(outline[:, 0]), 1.0)) + 1e-6
    y, row = top + 0.008, 0
    while y < min(top + height, 1.0):
        depth = (y - top) / max(height, 0.25)
        size = 0.006 + 0.012 * depth
        gap = size * (2.7 if name == "lavender" else 3.4)
        for x in np.arange(left + gap * (row % 2) / 2, left + width, gap):
            dot = shapes.ellipse(
                x + p.rng.normal(0, size * 0.25), y + p.rng.normal(0, size * 0.2), size, size * 0.8
            )
            p.easel.fill(dot, colours[int(p.rng.integers(len(colours)))], inside=inside)
        y, row = y + size * (1.5 if name == "lavender" else 2.2), row + 1
    return name


def road(p: Painter, top: float, x: float, width: float, straight: bool) -> None:
    """A road from (x, top) towards the viewer, `width` wide at the bottom, over land."""
    land = p.easel.region("hill", "grass", "sand", "snow", "flowers")
    light, dark = (p.lit(code, 0.1) for code in ROADS[p.pick(*ROADS)])
    outline = shapes.road(p.rng, top, x, width, straight)
    p.easel.fill(outline, light, "road", foot=dark, inside=land)
    p.saw("road", 1, *(("straight",) if straight else ("winding",)))
