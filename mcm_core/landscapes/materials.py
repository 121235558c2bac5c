"""What a class looks like inside any outline: the link between a painted map and its picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from . import buildings, plants, sky, terrain, water
from .painter import Painter
from .shapes import Polygon

LOOKS: Mapping[str, Callable[[Painter, Polygon], object]] = {
    "sky": sky.sky,
    "cloud": sky.cloud,
    "sun": sky.sun,
    "mountain": terrain.mountain,
    "snow": terrain.snow,
    "hill": terrain.hill,
    "forest": plants.forest,
    "grass": terrain.grass,
    "sand": terrain.sand,
    "water": water.water,
    "house": buildings.house_in,
    "boat": water.boat_in,
    "tree": plants.tree,
    "road": terrain.road,
    "bridge": water.bridge_in,
    "tower": buildings.tower_in,
    "balloon": sky.balloon,
    "flowers": terrain.flowers,
}
"""Landscapes are painted by these same functions, where they lie as in nature."""

KINDS = {"cloud": "clouds", "hill": "hills", "grass": "meadow"}
"""What a caption calls a class; the sun is perhaps a moon, flowers say their own name."""


def paint(p: Painter, outline: Polygon, label: str) -> None:
    """Fill an outline, (n, 2) in sides of the picture, with a class of `easel.CLASSES`, and remember it."""
    since = p.easel.last_part
    told = LOOKS[label](p, outline)
    if label == "sky":
        return
    name = "moon" if label == "sun" and p.light.stars else KINDS.get(label, label)
    p.saw(told if isinstance(told, str) else name, since=since)
