"""Houses and towers. All parts are at least some five pixels of 256 wide, so that they stay crisp."""

from __future__ import annotations

import numpy as np

from . import shapes
from .painter import Painter
from .palette import Colour, rgb
from .shapes import Polygon

Part = tuple[Polygon, Colour]

WALLS = {
    "white": ("#fbf3e0", "#c64a33"),
    "red": ("#da3f35", "#54495c"),
    "yellow": ("#fac44e", "#b04a33"),
    "blue": ("#6aa9de", "#3f4d78"),
    "green": ("#7fc07a", "#94503a"),
    "pink": ("#f5a3a8", "#7a4a68"),
    "wooden": ("#b57c42", "#5f4133"),
}
DOOR, CHIMNEY, FRAME = "#5a3626", "#8a5f52", "#fff8ea"
DETAIL = 0.02  # of the picture: what is smaller is left out
FRAMED = 0.28  # houses from this size on have frames in their windows


def house(p: Painter, x: float, y: float, size: float, angle: float = 0.0, squash: float = 1.0) -> None:
    """A house about 1.3 * size wide that stands on (x, y). In winter its roof is white."""
    name, since = p.pick(*WALLS), p.easel.last_part
    wall, roof = WALLS[name]
    roof = "#f3f8fd" if p.season.snowy_ground else roof
    for part, colour in (_gabled, _long, _cornered)[int(p.rng.integers(3))](p, wall, roof, size):
        if np.ptp(part, axis=0).min() * size > 0.6 * DETAIL:
            p.easel.fill(shapes.moved(part, x, y, size, angle, squash), colour, "house")
    p.saw("house", name, since=since)


def window_colour(p: Painter) -> Colour:
    """Lit by night."""
    return rgb("#ffdc6e") if p.light.stars else p.lit("#4f8fc4")


def _window(p: Painter, x: float, y: float, size: float, half: float = 0.13) -> list[Part]:
    """A pane; on large houses a frame with four panes."""
    if size < FRAMED:
        return [(shapes.box(x - half, y - half, x + half, y + half), window_colour(p))]
    edge, rim = half + 0.035, 0.025
    parts = [(shapes.box(x - edge, y - edge, x + edge, y + edge), p.lit(FRAME))]
    for left in (x - half, x + rim):
        for top in (y - half, y + rim):
            pane = shapes.box(left, top, left + half - rim, top + half - rim)
            parts.append((pane, window_colour(p)))
    return parts


def _door(p: Painter, x: float, high: float = 0.46) -> list[Part]:
    return [(shapes.box(x - 0.13, -high, x + 0.13, 0), p.lit(DOOR))]


def _gabled(p: Painter, wall: str, roof: str, size: float) -> list[Part]:
    """Its gable to the front: a square, a triangle on it, a door, one to three windows, perhaps a chimney."""
    wide, high = p.rng.uniform(0.46, 0.62), p.rng.uniform(0.6, 0.9)
    peak, door = high + p.rng.uniform(0.45, 0.75), p.rng.choice([-0.5, 0.0, 0.5]) * wide
    parts: list[Part] = []
    if p.chance(0.6):
        side = 0.5 * wide
        parts.append((shapes.box(side - 0.1, -peak - 0.02, side + 0.1, -high), p.lit(CHIMNEY)))
    eaves = shapes.polygon([(-wide - 0.16, -high + 0.1), (wide + 0.16, -high + 0.1), (0, -peak - 0.1)])
    parts += [(eaves, p.lit(roof)), (shapes.box(-wide, -high, wide, 0), p.lit(wall))]
    if p.chance(0.6):
        gable = shapes.polygon([(-wide * 0.84, -high + 0.02), (wide * 0.84, -high + 0.02), (0, -peak + 0.16)])
        parts.append((gable, p.lit(wall, 0, 0.86)))
    else:
        shaded = shapes.polygon([(0, -peak - 0.1), (wide + 0.16, -high + 0.1), (0, -high + 0.1)])
        parts.append((shaded, p.lit(roof, 0, 0.84)))
    parts += _door(p, door)
    spots = (-0.6 * wide, 0.6 * wide) if door == 0.0 else (-0.4 * door, door)
    for spot in spots if p.chance(0.7) else spots[:1]:
        if abs(spot - door) > 0.27:
            parts += _window(p, spot, -0.6 * high, size)
    if len(spots) and peak - high > 0.6 and door != 0.0:
        parts += _window(p, 0.0, -high - 0.12, size, 0.1)
    return parts


def _long(p: Painter, wall: str, roof: str, size: float) -> list[Part]:
    """Its eaves to the front: a broad wall under a sloping roof."""
    wide, high = p.rng.uniform(0.6, 0.8), p.rng.uniform(0.52, 0.66)
    top, chimney = high + p.rng.uniform(0.36, 0.5), p.rng.uniform(-0.4, 0.4)
    slope = [
        (-wide - 0.13, -high + 0.04),
        (-wide + 0.2, -top),
        (wide - 0.2, -top),
        (wide + 0.13, -high + 0.04),
    ]
    parts = [
        (shapes.box(chimney - 0.1, -top - 0.2, chimney + 0.1, -top + 0.1), p.lit(CHIMNEY)),
        (shapes.box(-wide, -high, wide, 0), p.lit(wall)),
        (shapes.polygon(slope), p.lit(roof)),
    ]
    door = p.rng.choice([-0.62, 0.0, 0.62]) * wide
    parts += _door(p, door, 0.44)
    for spot in (-0.62 * wide, 0.0, 0.62 * wide):
        if abs(spot - door) > 0.27:
            parts += _window(p, spot, -0.32, size, 0.125)
    return parts


def _cornered(p: Painter, wall: str, roof: str, size: float) -> list[Part]:
    """Seen over its corner: the gable in the light, the long side and its roof in the shade."""
    wide, high = p.rng.uniform(0.34, 0.42), p.rng.uniform(0.55, 0.72)
    peak, end = high + p.rng.uniform(0.36, 0.5), p.rng.uniform(0.75, 0.9)
    left, middle = -0.75, -0.75 + 2 * wide
    apex = left + wide
    gable = [(left, 0), (left, -high), (apex, -peak), (middle, -high), (middle, 0)]
    top = [(apex - 0.06, -peak - 0.08), (end - 0.06, -peak - 0.08), (end + 0.14, -high + 0.1)]
    strip = [
        (left - 0.14, -high + 0.08),
        (apex, -peak - 0.08),
        (apex, -peak + 0.14),
        (left + 0.06, -high + 0.08),
    ]
    parts = [
        (shapes.box(0.35, -peak - 0.26, 0.55, -peak + 0.1), p.lit(CHIMNEY)),
        (shapes.box(middle - 0.02, -high, end, 0), p.lit(wall, 0, 0.8)),
        (shapes.polygon(gable), p.lit(wall)),
        (shapes.polygon([*top, (middle + 0.1, -high + 0.1)]), p.lit(roof)),
        (shapes.polygon(strip), p.lit(roof, 0, 0.86)),
    ]
    parts += _door(p, left + wide, 0.42)
    parts += _window(p, (middle + end) / 2, -0.3, size)
    return (
        parts if p.chance(0.5) else [(part * np.array([-1, 1], np.float32), colour) for part, colour in parts]
    )


def house_in(p: Painter, outline: Polygon) -> None:
    """A house in any outline: a roof above, windows in rows and a door below, where there is room."""
    left, top, width, height = shapes.extent(outline)
    wall, roof = WALLS[p.pick(*WALLS)]
    p.easel.fill(outline, p.lit(wall), "house")
    inside, low = p.easel.last, top + height
    shade = shapes.box(left + 0.72 * width, top - 0.05, left + width + 0.05, low + 0.05)
    p.easel.fill(shade, p.lit(wall, 0, 0.86), inside=inside)
    eaves = top + min(height * p.rng.uniform(0.34, 0.46), 0.3)
    cover = shapes.box(left - 0.05, top - 0.05, left + width + 0.05, eaves)
    roof = "#f3f8fd" if p.season.snowy_ground else roof
    p.easel.fill(cover, p.lit(roof), inside=inside, drawn=True)
    if min(width, low - eaves) < 0.09:
        return
    columns = int(np.clip(width / 0.17, 1, 5)) | 1
    rows = int(np.clip((low - eaves) / 0.2, 1, 4))
    cell = min(width / columns, (low - eaves) / rows)
    for row in range(rows):
        for column in range(columns):
            x = left + width * (column + 0.5) / columns
            y = eaves + (low - eaves) * (row + 0.5) / rows
            if row == rows - 1 and column == columns // 2:
                door = shapes.box(x - 0.22 * cell, y - 0.2 * cell, x + 0.22 * cell, low + 0.05)
                p.easel.fill(door, p.lit(DOOR), inside=inside, drawn=True)
            else:
                _pane(p, x, y, max(0.24 * cell, DETAIL / 2), inside)


def _pane(p: Painter, x: float, y: float, half: float, inside: np.ndarray) -> None:
    """A window, if there is wall all around it."""
    size = p.easel.size
    low, high = int((y - half) * size), int((y + half) * size) + 1
    start, end = int((x - half) * size), int((x + half) * size) + 1
    if min(low, start) >= 0 and max(high, end) <= size and inside[low:high, start:end].all():
        pane = shapes.box(x - half, y - half, x + half, y + half)
        p.easel.fill(pane, window_colour(p), inside=inside, drawn=True)


def tower(p: Painter, x: float, y: float, height: float, kind: str | None = None) -> None:
    """A lighthouse, a windmill or a castle's tower that stands on (x, y)."""
    kind, since = kind or p.pick("lighthouse", "lighthouse", "windmill", "castle"), p.easel.last_part
    traits = {"lighthouse": _lighthouse, "windmill": _windmill, "castle": _castle}[kind](p, x, y, height)
    p.saw(kind, *traits, since=since)


def _lighthouse(p: Painter, x: float, y: float, height: float) -> tuple[str, ...]:
    name = p.pick("red", "red", "blue", "black")
    band = {"red": "#e03a30", "blue": "#2f66c0", "black": "#3a3b48"}[name]
    if p.light.stars:
        air = p.easel.region("sky", "cloud", "mountain", "hill")
        for side in (-1, 1):
            for reach, opacity in ((0.5, 0.2), (1.0, 0.22)):
                beam = shapes.polygon(
                    [(0, -0.86), (side * 2.5, -0.86 - 0.26 * reach), (side * 2.5, -0.86 + 0.26 * reach)]
                )
                p.easel.fill(shapes.moved(beam, x, y, height), rgb("#ffe9a0"), opacity=opacity, inside=air)
    trunk = shapes.polygon([(-0.16, 0), (0.16, 0), (0.1, -0.78), (-0.1, -0.78)])
    p.easel.fill(shapes.moved(trunk, x, y, height), p.lit("#fbf6ea"), "tower")
    inside = p.easel.last
    for low in (0.1, 0.36, 0.62):
        stripe = shapes.moved(shapes.box(-0.2, -low - 0.13, 0.2, -low), x, y, height)
        p.easel.fill(stripe, p.lit(band), inside=inside, drawn=height > 0.3)
    shade = shapes.moved(shapes.polygon([(0.05, 0), (0.03, -1), (0.2, -1), (0.2, 0)]), x, y, height)
    p.easel.fill(shade, p.lit("#20243a"), opacity=0.2, inside=inside)
    lamp = rgb("#ffe67a") if p.light.stars else p.lit("#bfe0f2")
    for part, colour in (
        (shapes.box(-0.075, -0.94, 0.075, -0.8), lamp),
        (shapes.box(-0.14, -0.82, 0.14, -0.76), p.lit("#3a3b48")),
        (shapes.polygon([(-0.115, -0.92), (0.115, -0.92), (0, -1.05)]), p.lit(band)),
    ):
        p.easel.fill(shapes.moved(part, x, y, height), colour, "tower")
    return (f"{name} and white",)


def _windmill(p: Painter, x: float, y: float, height: float) -> tuple[str, ...]:
    body = shapes.polygon([(-0.2, 0), (0.2, 0), (0.13, -0.62), (-0.13, -0.62)])
    p.easel.fill(shapes.moved(body, x, y, height), p.lit("#fbeed6"), "tower")
    shade = shapes.moved(shapes.box(0.04, -0.7, 0.2, 0), x, y, height)
    p.easel.fill(shade, p.lit("#d6bf99"), inside=p.easel.last)
    door = shapes.moved(shapes.box(-0.07, -0.2, 0.07, 0), x, y, height)
    p.easel.fill(door, p.lit(DOOR), inside=p.easel.last, drawn=True)
    cap = shapes.ellipse(0, -0.63, 0.15, 0.13)
    p.easel.fill(shapes.moved(cap, x, y, height), p.lit("#b5492f"), "tower")
    turn = p.rng.uniform(0.15, np.pi / 2 - 0.15)
    for quarter in range(4):
        blade = shapes.polygon([(0.02, -0.022), (0.44, -0.07), (0.44, 0.05), (0.02, 0.022)])
        placed = shapes.moved(blade, x, y - 0.64 * height, height, turn + quarter * np.pi / 2)
        p.easel.fill(placed, p.lit("#fff6e4" if quarter % 2 else "#ecdcc0"), "tower", joined=quarter > 0)
    return ()


def _castle(p: Painter, x: float, y: float, height: float) -> tuple[str, ...]:
    """A round tower of stone under a pointed roof."""
    stone, roof = p.pick("#b3aab2", "#c9b39a"), p.pick("#c8402f", "#3f6fb5", "#6a4a86")
    for part, colour in (
        (shapes.box(-0.16, -0.62, 0.16, 0), p.lit(stone)),
        (shapes.box(0.04, -0.62, 0.16, 0), p.lit(stone, 0, 0.82)),
        (shapes.box(-0.2, -0.7, 0.2, -0.56), p.lit(stone, 0, 0.92)),
        (shapes.polygon([(-0.24, -0.68), (0.24, -0.68), (0, -1.04)]), p.lit(roof)),
        (shapes.polygon([(0.03, -0.68), (0.24, -0.68), (0, -1.04)]), p.lit(roof, 0, 0.82)),
        (shapes.box(-0.055, -0.48, 0.055, -0.34), window_colour(p)),
        (shapes.box(-0.07, -0.17, 0.07, 0), p.lit(DOOR)),
    ):
        p.easel.fill(shapes.moved(part, x, y, height), colour, "tower")
    return ("stone",)


def tower_in(p: Painter, outline: Polygon) -> None:
    """A tower in any outline: striped across, the right side in the shade."""
    left, top, width, height = shapes.extent(outline)
    p.easel.fill(outline, p.lit("#fbf6ea"), "tower")
    inside, band = p.easel.last, p.lit(p.pick("#e03a30", "#2f66c0", "#3a3b48"))
    count = int(np.clip(round(height / max(0.9 * width, 0.12)), 2, 5))
    for index in range(count):
        low = top + height * index / count
        stripe = shapes.box(left - 0.05, low, left + width + 0.05, low + 0.5 * height / count)
        p.easel.fill(stripe, band, inside=inside, drawn=True)
    shade = shapes.box(left + 0.64 * width, top - 0.05, left + width + 0.05, top + height + 0.05)
    p.easel.fill(shade, p.lit("#20243a"), opacity=0.2, inside=inside)
