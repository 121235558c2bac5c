"""Land: mountain ranges, hills, the ground, flower fields and roads."""

from __future__ import annotations

import numpy as np

from . import shapes
from .painter import Painter
from .palette import SEASONS, mix
from .plants import tree_line, wood_on
from .shapes import Polygon

FLOWERS = {
    "poppies": ("#f0322d", "#ff5a3c"),
    "lavender": ("#8a58d0", "#b18af0"),
    "tulips": ("#f23a72", "#ffd233", "#fb8fbf", "#f0562f"),
    "sunflowers": ("#ffcb1f", "#fbb01b"),
    "daisies": ("#ffffff", "#fff0b0"),
}
ROADS = {"grey": ("#9ca3b6", "#7b8298"), "sandy": ("#f0d9a8", "#cfa872")}
SNOWY_HILL = "#c9dcee"
LAND = ("hill", "grass", "sand", "snow", "flowers")


def distance(p: Painter) -> None:
    """What rises at the horizon: mountains, hills, both or nothing."""
    since = p.easel.last_part
    if p.chance(0.68):
        ranges = int(p.rng.integers(1, 4))
        for index in range(ranges):
            _range(p, distance=0.85 - 0.75 * (index + p.rng.random() * 0.4) / ranges, front=index / ranges)
        p.saw("mountains", where=("in the background", "in the distance"), since=since)
    since = p.easel.last_part
    if p.chance(0.6):
        count = int(p.rng.integers(1, 4))
        for index in range(count):
            _far_hill(p, distance=0.6 - 0.5 * index / count, lift=(count - index - 1) * 0.035)
        p.saw("snowy hills" if p.season.snowy_ground else "hills", where=("in the background",), since=since)


def _range(p: Painter, distance: float, front: float) -> None:
    """A row of peaks, each with a sunny and a shaded face and, above the snow line, a cap."""
    peaks = int(p.rng.integers(2, 6))
    tall = p.rng.uniform(0.1, 0.36) * (1 - 0.35 * front)
    for x in p.rng.permutation(np.linspace(0, 1, peaks) + p.rng.uniform(-0.12, 0.12, peaks)):
        height = tall * p.rng.uniform(0.55, 1.0)
        foot = p.horizon + 0.02
        _peak(
            p, float(x), foot, min(height, p.horizon - 0.05), float(height * p.rng.uniform(1, 1.9)), distance
        )


def _peak(p: Painter, x: float, foot: float, height: float, half: float, distance: float) -> None:
    apex = np.array([x, foot - height], np.float32)
    left = shapes.jagged(p.rng, np.array([x - half, foot]), apex, 4, 0.09)
    right = shapes.jagged(p.rng, apex, np.array([x + half, foot]), 4, 0.09)
    code = p.season.mountain
    far = min(1.0, distance + 0.25)
    p.easel.fill(
        np.concatenate([left, right]), p.lit(code, distance, 1.1), "mountain", foot=p.lit(code, far, 1.1)
    )
    end = np.array([x + half * p.rng.uniform(-0.2, 0.25), foot], np.float32)
    spine = shapes.zigzag(p.rng, apex, end, 3, 0.03)
    shaded = np.concatenate([spine[::-1], right])
    p.easel.fill(shaded, p.lit(code, distance, 0.78), foot=p.lit(code, far, 0.86))
    if height > 0.1 and p.chance(p.season.snow_line):
        _cap(p, left, right, spine, height * p.rng.uniform(0.28, 0.5), distance)


def _cap(p: Painter, left: Polygon, right: Polygon, spine: Polygon, depth: float, distance: float) -> None:
    level = left[-1, 1] + depth
    up, down = left[left[:, 1] < level], right[right[:, 1] < level]
    if len(up) < 3 or len(down) < 3:
        return
    edge = shapes.zigzag(p.rng, down[-1], up[0], 4, depth * 0.3)
    p.easel.fill(np.concatenate([up, down, edge]), p.lit(p.season.snow, distance * 0.5), "snow")
    ridge = spine[spine[:, 1] < level]
    if len(ridge) > 1:
        shade = np.concatenate([ridge[::-1], down, edge[: len(edge) // 2]])
        p.easel.fill(shade, p.lit("#bccdea", distance * 0.5), inside=p.easel.last)


def big_mountain(p: Painter, x: float, foot: float, height: float, half: float) -> None:
    """One mountain by itself, of any size anywhere."""
    since = p.easel.last_part
    _peak(p, x, foot, height, half, 0.15)
    p.saw("mountain", since=since)


def mountain(p: Painter, outline: Polygon) -> None:
    """Rock in any outline: from its upper edge crooked ridges run down, sunny to the left of them."""
    code, (left, top, width, height) = p.season.mountain, shapes.extent(outline)
    p.easel.fill(outline, p.lit(code, 0.15, 1.1), "mountain", foot=p.lit(code, 0.4, 1.1))
    inside, count = p.easel.last, max(1, round(width / 0.4))
    first = float(outline[outline[:, 1].argmin(), 0]) if count == 1 else left + width * 0.5 / count
    for index in range(count):
        x = first + width / count * (index + p.rng.uniform(-0.15, 0.15) * (count > 1))
        column = np.flatnonzero(inside[:, int(np.clip(x, 0, 0.998) * p.easel.size)])
        start = column[0] / p.easel.size - 0.005 if len(column) else top
        apex = np.array([x, start], np.float32)
        end = np.array([x + p.rng.uniform(-0.2, 0.1) * width / count, top + height], np.float32)
        ridge = shapes.zigzag(p.rng, apex, end, 3, 0.06 * height)
        reach = x + 0.8 * width / count
        corner = [[reach, top + height]] if count > 1 else [[1.1, top + height], [1.1, start]]
        shaded = np.concatenate([ridge, np.array(corner, np.float32)])
        p.easel.fill(shaded, p.lit(code, 0.15, 0.78), foot=p.lit(code, 0.4, 0.84), inside=inside)


def _far_hill(p: Painter, distance: float, lift: float) -> None:
    height = p.rng.uniform(0.03, 0.13)
    line = shapes.smooth_ridge(p.rng, p.horizon - lift, height, waves=int(p.rng.integers(1, 4)))
    area = shapes.below(line, p.horizon + 0.12)
    mark = p.mark
    if p.chance(p.season.forest_chance * 0.22):
        wood_on(p, line, distance, p.horizon + 0.12)
    else:
        hill(p, area, distance, "snow" if p.season.snowy_ground else "hill")
        if p.chance(p.season.forest_chance * 0.6):
            tree_line(p, line, distance, p.rng.uniform(0.035, 0.075))
    p.mark = mark


def hill(p: Painter, outline: Polygon, distance: float = 0.15, label: str = "hill") -> None:
    """A hill in any outline: a sunlit rim, and lower down its broad flank."""
    code, height = SNOWY_HILL if label == "snow" else p.season.hill, shapes.extent(outline)[3]
    p.easel.fill(outline, p.lit(code, distance, 1.12), label)
    flank = outline + np.array([0.012, min(0.022, 0.15 * height)], np.float32)
    light, dark = p.lit(code, distance, 1.02), p.lit(code, distance, 0.82)
    p.easel.fill(flank, light, foot=dark, inside=p.easel.last)
    if height > 0.12:
        _swaths(p, outline, p.lit(code, distance, 1.1), 0.3)


def ground(p: Painter, line: Polygon, distance: float, bottom: float = 1.05) -> str:
    """The land from a line down to `bottom`, of the kind that the season has; -> which."""
    outline = shapes.below(line, bottom)
    if p.season.snowy_ground:
        snow(p, outline, distance)
        return "snow"
    if p.chance(0.8 if p.season is SEASONS["desert"] else 0.2):
        sand(p, outline, distance)
        return "sand"
    grass(p, outline, distance)
    return "grass"


def grass(p: Painter, outline: Polygon, distance: float = 0.0) -> None:
    """A meadow in any outline: mown swaths and a few tufts."""
    code = p.season.grass
    p.easel.fill(outline, p.lit(code, distance, 1.03), "grass", foot=p.lit(code, 0, 0.84))
    _swaths(p, outline, p.lit(code, distance / 2, 1.13), 0.5)
    inside, (left, top, width, height) = p.easel.last, shapes.extent(outline)
    blades, flower = [], p.season is SEASONS["spring"]
    for _ in range(int(min(14, 3 + 40 * width * height) * p.rng.uniform(0.4, 1.0))):
        t = p.rng.random()
        x, y, size = left + width * p.rng.random(), top + 0.03 + height * t, 0.014 + 0.02 * t
        for lean in (-0.55, 0.0, 0.55):
            tip = (x + lean * size, y - size * (1.2 if lean else 1.5))
            blades.append(shapes.polygon([(x - size * 0.2, y), tip, (x + size * 0.2, y)]))
    p.easel.dots(blades, p.lit("#f6fbff", 0, 0.96) if p.season.snowy_ground else p.lit(code, 0, 0.7), inside)
    if flower:
        spots = [(left + width * u, top + 0.03 + height * v) for u, v in p.rng.random((6, 2))]
        p.easel.dots([shapes.disc(x, y, 0.011) for x, y in spots], p.lit("#fff6fb"), inside)


def sand(p: Painter, outline: Polygon, distance: float = 0.0) -> None:
    """Sand in any outline, with low dunes."""
    code = p.season.sand
    p.easel.fill(outline, p.lit(code, distance, 1.02), "sand", foot=p.lit(code, 0, 0.9))
    _swaths(p, outline, p.lit(code, distance, 0.86), 0.7)


def snow(p: Painter, outline: Polygon, distance: float = 0.0) -> None:
    """Snow in any outline, with blue drifts."""
    p.easel.fill(outline, p.lit("#fbfdff", distance), "snow", foot=p.lit("#dbe7f7", distance))
    _swaths(p, outline, p.lit("#bfd2ee", distance), 0.7)


def _swaths(p: Painter, outline: Polygon, colour: np.ndarray, opacity: float) -> None:
    """Long flat lenses, larger towards the viewer."""
    inside, (left, top, width, height) = p.easel.last, shapes.extent(outline)
    for _ in range(int(p.rng.integers(3, 6 + int(8 * height)))):
        t = p.rng.random() ** 0.8
        x, y = left + width * p.rng.random(), top + 0.02 + height * t
        half = p.rng.uniform(0.05, 0.16) * (0.5 + t)
        lens = shapes.ellipse(x, y, half, max(0.008, 0.09 * half))
        p.easel.fill(lens, colour, opacity=opacity, inside=inside)


def flowers(p: Painter, outline: Polygon) -> str:
    """A field of one kind of flower in any outline; -> which."""
    name = p.pick(*FLOWERS)
    code = mix(p.lit(p.season.grass, 0, 0.72), p.lit("#2f8f3f", 0, 0.9), 0.5)
    p.easel.fill(outline, code, "flowers", foot=code * np.float32(0.8))
    (_rows if name == "lavender" or p.chance(0.2) else _meadow)(p, outline, FLOWERS[name])
    return name


def _meadow(p: Painter, outline: Polygon, codes: tuple[str, ...]) -> None:
    """Dots in loose rows, larger towards the viewer."""
    inside, (left, top, width, height) = p.easel.last, shapes.extent(outline)
    spots: list[list[Polygon]] = [[] for _ in codes]
    y, row = top + 0.008, 0
    while y < top + height:
        size = 0.0085 + 0.014 * (y - top) / max(height, 0.3)
        for x in np.arange(left + 1.6 * size * (row % 2), left + width, 3.2 * size):
            dot = shapes.ellipse(
                x + p.rng.normal(0, 0.3 * size), y + p.rng.normal(0, 0.3 * size), size, size * 0.82
            )
            spots[int(p.rng.integers(len(codes)))].append(dot[::3])
        y, row = y + 2.1 * size, row + 1
    for code, dots in zip(codes, spots, strict=True):
        p.easel.dots(dots, p.lit(code, 0, 1.05), inside)


def _rows(p: Painter, outline: Polygon, codes: tuple[str, ...]) -> None:
    """Rows that run together far away, each with its lit and its shaded side."""
    inside, (left, top, width, height) = p.easel.last, shapes.extent(outline)
    vanishing = np.array([left + width * p.rng.uniform(0.2, 0.8), top - 0.12 * height - 0.02], np.float32)
    foot = top + height + 0.02
    spread = p.rng.uniform(0.12, 0.2)
    for index in np.arange(-14, 15):
        middle = vanishing[0] + index * spread
        for code, (start, end), shade in ((codes[0], (-0.4, 0.4), 0.86), (codes[-1], (-0.34, 0.12), 1.08)):
            ends = [(middle + share * spread, foot) for share in (start, end)]
            row = shapes.polygon([tuple(vanishing), *ends])
            if -0.4 < middle < 1.4 or abs(index) < 6:
                p.easel.fill(row, p.lit(code, 0, shade), inside=inside)


def road(p: Painter, outline: Polygon, name: str | None = None, inside: np.ndarray | None = None) -> None:
    """A road in any outline, with darker edges."""
    light, dark = ROADS[name or p.pick(*ROADS)]
    p.easel.fill(outline, p.lit(light, 0.05, 1.06), "road", foot=p.lit(light, 0, 0.97), inside=inside)
    p.easel.line(outline, 0.01, p.lit(dark, 0.05), p.easel.last)


def road_ahead(p: Painter, top: float, x: float, width: float, straight: bool) -> None:
    """A road from (x, top) towards the viewer, `width` wide at the bottom, over land."""
    size, land = p.easel.size, p.easel.region(*LAND)
    row, column = (int(np.clip(place, 0, 0.99) * size) for place in (top + 0.06, x))
    if not land[row, column]:
        return
    width = width * 1.35 if straight else width
    name = "grey" if p.easel.region("sand")[row, column] else p.pick("grey", "sandy", "sandy")
    outline, since = shapes.road(p.rng, top, x, width, straight), p.easel.last_part
    road(p, outline, name, inside=land)
    if straight and name == "grey" and width > 0.16:
        _dashes(p, outline)
    p.saw("road" if width > 0.14 else "path", "straight" if straight else "winding", since=since)


def _dashes(p: Painter, outline: Polygon) -> None:
    """The white line along the middle of a road."""
    inside, half = p.easel.last, len(outline) // 2
    left, right = outline[:half], outline[half:][::-1]
    for start in range(8, half - 4, 8):
        ends = [(left[k] * (1 - s) + right[k] * s) for k, s in ((start, 0.46), (start + 4, 0.46))]
        ends += [(left[k] * (1 - s) + right[k] * s) for k, s in ((start + 4, 0.54), (start, 0.54))]
        p.easel.fill(np.array(ends, np.float32), p.lit("#fffaf0"), inside=inside)
