"""One poster landscape: what is in it, drawn back to front from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import shapes, terrain, water, wild
from .buildings import house, tower
from .easel import IDS, SIDE, Easel
from .facts import Thing, shows_season, things
from .painter import Painter
from .palette import LIGHTS, SEASONS
from .plants import single_tree
from .sky import balloons, whole_sky

WILD_SHARE = 0.35


@dataclass
class Scene:
    """A finished scene and the facts for its caption.

    picture (side, side, 3) uint8, labels (side, side) uint8, parts (side, side) int32 (see `Easel`). A wild
    scene may hold nothing that tells its season.
    """

    picture: np.ndarray
    labels: np.ndarray
    parts: np.ndarray
    time: str
    season: str
    things: tuple[Thing, ...]
    wild: bool = False
    shows_season: bool = True


def render(seed: int, side: int = SIDE) -> Scene:
    """The scene of a seed: the same numbers on every machine with the same versions of numpy and OpenCV.

    Two thirds are landscapes as one meets them, the rest the same things at any size and place.
    """
    rng = np.random.default_rng(seed)
    time, season = str(rng.choice(list(LIGHTS))), str(rng.choice(list(SEASONS)))
    painter = Painter(rng, Easel(), LIGHTS[time], SEASONS[season], float(rng.uniform(0.36, 0.72)))
    is_wild = painter.chance(WILD_SHARE)
    (wild.scene if is_wild else natural)(painter)
    picture, labels, parts = painter.easel.finish(side)
    seen = things(painter.sightings, painter.easel)
    return Scene(picture, labels, parts, time, season, seen, is_wild, shows_season(labels, season))


def natural(p: Painter) -> None:
    """Sky, distance, what lies below the horizon, and what stands in front."""
    whole_sky(p)
    if p.chance(0.14):
        balloons(p)
    terrain.distance(p)
    shore = _middle(p)
    _foreground(p, shore)
    if shore is not None and p.chance(0.45):
        water.boats(p, shore)


def _middle(p: Painter) -> float | None:
    """Below the horizon: a lake or the sea, or land; -> the height of the shore, if there is one."""
    if p.chance(0.55):
        shore = water.lake(p, bool(p.easel.region("mountain", "hill", "snow").any()))
        if p.chance(0.18):
            _bridge_over_lake(p, shore)
        return shore
    line = shapes.smooth_ridge(p.rng, p.horizon + 0.02, p.rng.uniform(0.0, 0.02), 2)
    kind, since = terrain.ground(p, line, 0.25), p.easel.last_part - 1
    p.saw({"grass": "meadow"}.get(kind, kind), since=since)
    if p.chance(0.3):
        water.river(p, p.rng.uniform(0.2, 0.8))
        if p.chance(0.4):
            _bridge_over_river(p)
    elif kind == "grass" and not p.season.snowy_ground and p.chance(0.4):
        _flowers(p, p.horizon + p.rng.uniform(0.05, 0.2))
    return None


def _bridge_over_lake(p: Painter, shore: float) -> None:
    """From one edge of the picture to the other, or to a spit of land."""
    top = shore + p.rng.uniform(-0.03, 0.05)
    foot, left, right = top + p.rng.uniform(0.1, 0.2), -0.08, 1.08
    if p.chance(0.5):
        right = p.rng.uniform(0.55, 0.85)
        x = np.linspace(right - 0.16, 1.05, 40)
        rise = np.clip((x - x[0]) / 0.2, 0, 1) ** 0.5 * (foot - top + p.rng.uniform(0.0, 0.04))
        terrain.ground(p, np.stack([x, foot + 0.02 - rise], 1).astype(np.float32), 0.15, foot + 0.05)
    water.bridge(p, left, right, top, foot)


def _bridge_over_river(p: Painter) -> None:
    """Where the river is broad enough to need one."""
    size = p.easel.size
    y = p.rng.uniform(min(p.horizon + 0.2, 0.88), 0.92)
    wet = np.flatnonzero(p.easel.region("water")[min(size - 1, int(y * size))])
    if len(wet) > 0.06 * size:
        left, right = wet[0] / size - 0.07, wet[-1] / size + 0.07
        high = float(np.clip((right - left) * 0.3, 0.06, 0.14))
        water.bridge(p, left, right, y - high, y)


def _flowers(p: Painter, level: float) -> None:
    line, since = shapes.smooth_ridge(p.rng, min(level, 0.9), p.rng.uniform(0.01, 0.05), 2), p.easel.last_part
    p.saw(terrain.flowers(p, shapes.below(line, 1.05)), since=since)


def _foreground(p: Painter, shore: float | None) -> None:
    crossed = bool((p.easel.labels == IDS["water"]).any()) and shore is None  # by a river, to be seen whole
    if p.chance(0.2 if crossed else 0.6):
        level, since = p.rng.uniform(max(0.74, p.horizon + 0.1), 0.95), p.easel.last_part
        if p.season not in (SEASONS["winter"], SEASONS["desert"]) and p.chance(0.25):
            _flowers(p, level)
        else:
            kind = terrain.ground(p, shapes.smooth_ridge(p.rng, level, p.rng.uniform(0.01, 0.06), 2), 0.0)
            sand = "sand" if shore is None else "beach"
            p.saw({"grass": "meadow", "sand": sand, "snow": "snow"}[kind], since=since)
    if shore is None and not crossed and p.chance(0.4):
        x, width = p.rng.uniform(0.2, 0.8), p.rng.uniform(0.1, 0.34)
        terrain.road_ahead(p, p.horizon + 0.03, x, width, p.chance(0.35))
    if p.chance(0.5):
        _house(p)
    if p.chance(0.2):
        height = p.rng.uniform(0.24, 0.55)
        place = _place_to_stand(p, 0.16 * height)
        if place is not None:
            tower(p, *place, height)
    if p.chance(0.55):
        _trees(p)


def _house(p: Painter) -> None:
    size = float(p.rng.choice([p.rng.uniform(0.1, 0.17), p.rng.uniform(0.17, 0.34)], p=[0.6, 0.4]))
    place = _place_to_stand(p, 0.6 * size)
    if place is None:
        return
    x, y = place
    if p.chance(0.3) and y < 0.88:
        terrain.road_ahead(p, y - 0.01, x, p.rng.uniform(0.1, 0.2), False)
    house(p, x, y, size)


def _trees(p: Painter) -> None:
    """One tree, or a few of one kind, each by itself."""
    count = int(p.rng.choice([1, 1, 2, 3, 4]))
    height = p.rng.uniform(0.12, 0.3) if count > 1 else p.rng.uniform(0.15, 0.5)
    places = [_place_to_stand(p, 0.06 * height) for _ in range(count)]
    for x, y in sorted((place for place in places if place is not None), key=lambda place: place[1]):
        nearness = 0.6 + 0.4 * (y - p.horizon) / (1 - p.horizon)
        single_tree(p, x, y, height * nearness * p.rng.uniform(0.85, 1.15))


def _place_to_stand(p: Painter, half: float) -> tuple[float, float] | None:
    """Where something 2 * half wide has land under its whole foot, or None: nothing stands in the water."""
    land, size = p.easel.region("hill", "grass", "sand", "snow", "flowers"), p.easel.size
    half = min(half, 0.45)
    for _ in range(12):
        x, y = p.rng.uniform(half, 1 - half), p.rng.uniform(p.horizon + 0.03, 0.97)
        foot = land[int(y * size), int((x - half) * size) : int((x + half) * size) + 1]
        if foot.all() and land[int((y - 0.02) * size), int(x * size)]:
            return float(x), float(y)
    return None
