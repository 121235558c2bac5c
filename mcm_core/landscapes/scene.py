"""One poster landscape: what is in it, drawn back to front from a seed."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from . import shapes
from .easel import Easel
from .palette import LIGHTS, SEASONS, Colour, Light, Season, mix, rgb

Rng = np.random.Generator
WHITE = np.ones(3, np.float32)


@dataclass
class Scene:
    """A finished scene and the facts for its caption.

    picture (256, 256, 3) uint8, labels (256, 256) uint8, parts (256, 256) int32 (see `Easel`).
    """

    picture: np.ndarray
    labels: np.ndarray
    parts: np.ndarray
    time: str
    season: str
    things: tuple[str, ...]


@dataclass
class Painter:
    """What all the parts of one scene share while it is painted."""

    rng: Rng
    easel: Easel
    light: Light
    season: Season
    horizon: float
    things: list[str] = field(default_factory=list)

    def lit(self, code: str, distance: float = 0.0, shade: float = 1.0) -> Colour:
        """A surface's colour under this light, `distance` in [0, 1] towards the haze."""
        colour = rgb(code) * np.asarray(self.light.light, np.float32) * np.float32(shade)
        return np.clip(mix(colour, rgb(self.light.haze), distance * self.light.haze_strength), 0, 1)

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)


def render(seed: int) -> Scene:
    """The scene of a seed: the same numbers on every machine with the same versions of numpy and OpenCV."""
    rng = np.random.default_rng(seed)
    time, season = str(rng.choice(list(LIGHTS))), str(rng.choice(list(SEASONS)))
    horizon = float(rng.uniform(0.36, 0.72))
    painter = Painter(rng, Easel(), LIGHTS[time], SEASONS[season], horizon)
    _sky(painter)
    _distance(painter)
    _middle(painter)
    _foreground(painter)
    return Scene(*painter.easel.finish(), time, season, tuple(dict.fromkeys(painter.things)))


def _sky(p: Painter) -> None:
    top, middle, low = (rgb(code) for code in p.light.sky)
    half = p.horizon * p.rng.uniform(0.45, 0.65)
    p.easel.fill(shapes.box(-0.1, 0, 1.1, half), top, foot=middle)
    p.easel.fill(shapes.box(-0.1, half, 1.1, p.horizon + 0.1), middle, foot=low)
    p.easel.fill(shapes.box(-0.1, p.horizon + 0.1, 1.1, 1.01), low)
    if p.light.stars:
        for _ in range(int(p.rng.integers(12, 40))):
            x, y = p.rng.random(), p.rng.random() * p.horizon * 0.85
            p.easel.fill(
                shapes.disc(x, y, p.rng.uniform(0.0022, 0.005)), WHITE, opacity=p.rng.uniform(0.5, 0.95)
            )
    if p.chance(p.light.orb_chance):
        _orb(p)
    if p.chance(0.65):
        _clouds(p)


def _orb(p: Painter) -> None:
    radius = float(p.rng.choice([0.035, 0.055, 0.08, 0.12])) * p.rng.uniform(0.85, 1.2)
    x, y = p.rng.uniform(0.1, 0.9), p.rng.uniform(0.1, max(0.14, p.horizon - 0.06))
    colour, sky = rgb(p.light.orb), p.easel.region("sky")
    for ring, opacity in ((2.6, 0.13), (1.75, 0.2)):
        p.easel.fill(shapes.disc(x, y, radius * ring), colour, opacity=opacity, inside=sky)
    p.easel.fill(shapes.disc(x, y, radius), colour, "sun")
    if p.light.stars:
        crater = mix(colour, rgb("#8a8fa8"), 0.25)
        for _ in range(3):
            dx, dy = p.rng.uniform(-0.5, 0.5, 2) * radius
            p.easel.fill(shapes.disc(x + dx, y + dy, radius * p.rng.uniform(0.1, 0.22)), crater)
    p.things.append("moon" if p.light.stars else "sun")


def _clouds(p: Painter) -> None:
    colour = rgb(p.light.cloud)
    for _ in range(int(p.rng.integers(1, 5))):
        width, y = p.rng.uniform(0.16, 0.44), p.rng.uniform(0.08, max(0.12, p.horizon - 0.1))
        outline = shapes.cloud(p.rng, p.rng.random(), y, width)
        p.easel.fill(outline, colour, "cloud", foot=mix(colour, rgb(p.light.sky[1]), 0.35))
    p.things.append("clouds")


def _distance(p: Painter) -> None:
    if p.chance(0.7):
        ranges = int(p.rng.integers(1, 4))
        for index in range(ranges):
            _range(p, distance=0.85 - 0.75 * (index + p.rng.random() * 0.4) / ranges, front=index / ranges)
        p.things.append("mountains")
    if p.chance(0.6):
        count = int(p.rng.integers(1, 4))
        for index in range(count):
            _hill(p, distance=0.6 - 0.5 * index / count, lift=(count - index - 1) * 0.035)
        p.things.append("hills")


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
        _tree_line(p, line, distance, p.rng.uniform(0.03, 0.07))


def _tree_line(p: Painter, line: np.ndarray, distance: float, height: float) -> None:
    """Trees in groups along a ridge, or a closed forest standing on it."""
    conifers, closed = p.chance(0.7), p.chance(0.45)
    start = p.rng.uniform(-0.1, 0.6)
    end = start + p.rng.uniform(0.3, 1.1)
    spots = np.arange(start, end, height * (0.3 if closed else 0.62))
    if closed:
        wood = line[(line[:, 0] > start) & (line[:, 0] < end)]
        if len(wood) > 1:
            lift = np.array([0, height], np.float32)
            base = np.concatenate([wood - 0.35 * lift, (wood + 0.55 * lift)[::-1]])
            p.easel.fill(base, p.lit(p.season.forest, distance, 0.9), "forest")
    for x in spots:
        if closed or p.chance(0.75):
            y = float(np.interp(x, line[:, 0], line[:, 1])) + height * 0.12
            size = height * p.rng.uniform(0.7, 1.25)
            _tree(p, float(x + p.rng.normal(0, height * 0.1)), y, size, distance, conifers, joined=closed)
    p.things.append("forest" if closed else "trees")


def _tree(
    p: Painter, x: float, y: float, height: float, distance: float, conifer: bool, joined: bool = False
) -> None:
    shade = p.rng.uniform(0.85, 1.12)
    colour, dark = p.lit(p.season.forest, distance, shade), p.lit(p.season.forest, distance, shade * 0.78)
    trunk = p.lit("#5b4030", distance)
    if height > 0.06:
        p.easel.fill(
            shapes.box(x - height * 0.035, y - height * 0.2, x + height * 0.035, y),
            trunk,
            "forest",
            joined=joined,
        )
    if conifer:
        outline = shapes.pine(x, y - height * 0.08, height)
        p.easel.fill(outline, colour, "forest", joined=joined)
        if height > 0.05:
            p.easel.fill(
                np.concatenate([outline[len(outline) // 2 :], [[x, y - height * 0.1]]]).astype(np.float32),
                dark,
            )
    else:
        crown = shapes.blob(p.rng, x, y - height * 0.58, height * 0.36, squash=1.12)
        p.easel.fill(crown, colour, "forest", joined=joined)
        if height > 0.05:
            right = shapes.blob(p.rng, x + height * 0.08, y - height * 0.52, height * 0.25, squash=1.1)
            p.easel.fill(right, dark)


def _middle(p: Painter) -> None:
    """Below the horizon: a lake or the sea with its mirror, or land, perhaps with a river."""
    if p.chance(0.62):
        _lake(p)
    else:
        _ground(p, shapes.smooth_ridge(p.rng, p.horizon + 0.02, p.rng.uniform(0.0, 0.02), 2), 0.25)
        if p.chance(0.3):
            _river(p)


def _lake(p: Painter) -> None:
    shore = p.horizon + p.rng.uniform(0.0, 0.015)
    if p.chance(p.season.forest_chance * 0.5):
        flat = np.stack([np.linspace(-0.02, 1.02, 40), np.full(40, shore)], 1).astype(np.float32)
        _tree_line(p, flat, 0.3, p.rng.uniform(0.03, 0.09))
    area = shapes.box(-0.1, shore, 1.1, 1.05)
    p.easel.fill(area, WHITE, "water")
    _mirror(p, shore)
    _ripples(p, shore, int(p.rng.integers(6, 18)))
    p.things.append(str(p.rng.choice(["lake", "water"])))
    if p.chance(0.4):
        for _ in range(1 + p.chance(0.25)):
            _boat(p, p.rng.uniform(0.12, 0.88), p.rng.uniform(shore + 0.03, min(0.95, shore + 0.3)))
        p.things.append("boat")


def _mirror(p: Painter, shore: float) -> None:
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


def _ripples(p: Painter, shore: float, count: int) -> None:
    bright = mix(p.lit("#dff1fb"), rgb(p.light.sky[2]), 0.4)
    for _ in range(count):
        depth = p.rng.random() ** 0.7
        y, width = shore + 0.02 + depth * (1 - shore), p.rng.uniform(0.03, 0.16) * (0.4 + depth)
        x, thick = p.rng.random(), 0.0022 + 0.0028 * depth
        p.easel.fill(
            shapes.disc(0, 0, 1) * [width, thick] + np.array([x, y], np.float32), bright, opacity=0.45
        )


def _boat(p: Painter, x: float, y: float) -> None:
    size = p.rng.uniform(0.06, 0.13) * (0.7 + (y - p.horizon))
    hull = shapes.polygon([(-0.75, -0.16), (0.75, -0.16), (0.5, 0.16), (-0.5, 0.16)])
    mast = shapes.box(-0.03, -1.7, 0.03, -0.1)
    main = shapes.polygon([(0.06, -1.65), (0.72, -0.3), (0.06, -0.3)])
    jib = shapes.polygon([(-0.07, -1.45), (-0.07, -0.3), (-0.55, -0.3)])
    at = np.array([x, y], np.float32)
    sail = p.lit(str(p.rng.choice(["#fbf6ea", "#f3d9b0", "#e85d4c", "#f2b53c"])))
    for part, colour in ((mast, p.lit("#5b4030")), (main, sail), (jib, sail * np.float32(0.9))):
        p.easel.fill(part * np.float32(size) + at, colour, "boat")
    p.easel.fill(
        hull * np.float32(size) + at, p.lit(str(p.rng.choice(["#6b4423", "#8c2f2b", "#2b3a55"]))), "boat"
    )
    p.easel.fill(
        shapes.disc(0, 0, 1) * [size * 0.6, size * 0.07] + at + [0, size * 0.24],
        p.lit("#1b3558"),
        opacity=0.4,
    )


def _ground(p: Painter, line: np.ndarray, distance: float, kind: str | None = None) -> str:
    kind = kind or _ground_kind(p)
    code = {"grass": p.season.grass, "sand": p.season.sand, "snow": "#f4f8fc"}[kind]
    area = shapes.below(line, 1.05)
    p.easel.fill(area, p.lit(code, distance), kind, foot=p.lit(code, 0, 0.84 if kind == "grass" else 0.92))
    _texture(p, line, kind, code)
    return kind


def _ground_kind(p: Painter) -> str:
    if p.season.snowy_ground:
        return "snow"
    dry = 0.8 if p.season is SEASONS["desert"] else 0.22
    return "sand" if p.chance(dry) else "grass"


def _texture(p: Painter, line: np.ndarray, kind: str, code: str) -> None:
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


def _river(p: Painter) -> None:
    outline = shapes.river(p.rng, p.horizon + 0.03, p.rng.uniform(0.2, 0.8))
    top, low = (
        mix(p.lit("#4a97cc"), rgb(p.light.sky[2]), 0.4),
        mix(p.lit("#2a6aa8"), rgb(p.light.sky[1]), 0.25),
    )
    p.easel.fill(outline, top, "water", foot=low)
    p.things.append("river")


def _foreground(p: Painter) -> None:
    if p.chance(0.62):
        level = p.rng.uniform(max(0.74, p.horizon + 0.1), 0.95)
        line = shapes.smooth_ridge(p.rng, level, p.rng.uniform(0.01, 0.06), 2)
        kind = _ground(p, line, 0.0)
        p.things.append({"grass": "meadow", "sand": "beach", "snow": "snow"}[kind])
    if p.chance(0.5):
        _house(p)
    if p.chance(p.season.forest_chance * 0.6):
        _near_trees(p)


def _place_to_stand(p: Painter, half: float) -> tuple[float, float] | None:
    """Where something 2 * half wide has land under its whole foot, or None: nothing stands in the water."""
    land, size = p.easel.region("hill", "grass", "sand", "snow"), p.easel.size
    for _ in range(12):
        x, y = p.rng.uniform(half, 1 - half), p.rng.uniform(p.horizon + 0.03, 0.97)
        foot = land[int(y * size), int((x - half) * size) : int((x + half) * size) + 1]
        if foot.all() and land[int((y - 0.02) * size), int(x * size)]:
            return float(x), float(y)
    return None


def _near_trees(p: Painter) -> None:
    conifers, size = p.chance(0.7), p.rng.uniform(0.09, 0.24)
    places = [_place_to_stand(p, 0.04 * size) for _ in range(int(p.rng.integers(2, 9)))]
    standing = sorted((place for place in places if place is not None), key=lambda place: place[1])
    for x, y in standing:
        nearness = 0.6 + 0.4 * (y - p.horizon) / (1 - p.horizon)
        _tree(p, x, y, size * nearness * p.rng.uniform(0.8, 1.2), 0.0, conifers)
    if standing:
        p.things.append("trees")


def _house(p: Painter) -> None:
    size = float(p.rng.uniform(0.07, 0.16))
    place = _place_to_stand(p, 0.62 * size)
    if place is None:
        return
    at, unit = np.array(place, np.float32), np.float32(size)
    p.things.append("house")
    wall, roof = (
        str(p.rng.choice(["#f1e4cf", "#c23b32", "#e8b04a", "#8fb3c9"])),
        str(p.rng.choice(["#8c3b2e", "#4b4a58"])),
    )
    window = rgb("#ffd873") if p.light.stars else p.lit("#7fb0cf")
    parts = [
        (shapes.box(0.18, -1.25, 0.34, -0.7), p.lit("#7a5a4c")),
        (shapes.box(-0.6, -0.62, 0.6, 0.0), p.lit(wall)),
        (shapes.box(0.12, -0.62, 0.6, 0.0), p.lit(wall, 0, 0.86)),
        (shapes.polygon([(-0.74, -0.58), (-0.42, -1.1), (0.42, -1.1), (0.74, -0.58)]), p.lit(roof)),
        (shapes.box(-0.44, -0.46, -0.12, -0.2), window),
        (shapes.box(0.26, -0.42, 0.46, 0.0), p.lit("#4a3226")),
    ]
    for part, colour in parts:
        p.easel.fill(part * unit + at, colour, "house")
