"""What can be told of a scene: the things that are in sight, how many, how large, and what they are like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .easel import IDS, Easel

CLASS_OF: Mapping[str, str | None] = {
    "sky": "sky", "sun": "sun", "moon": "sun", "stars": None, "clouds": "cloud",
    "mountains": "mountain", "hills": "hill",
    "mountain": "mountain", "snowy hills": "snow",
    "forest": "forest", "trees": "forest", "lake": "water", "water": "water", "river": "water",
    "boat": "boat", "rowing boat": "boat", "house": "house", "meadow": "grass", "beach": "sand",
    "sand": "sand", "snow": "snow", "tree": "tree", "palm": "tree", "pine": "tree", "poplar": "tree",
    "cactus": "tree", "road": "road", "path": "road", "bridge": "bridge", "lighthouse": "tower",
    "tower": "tower", "windmill": "tower", "castle": "tower", "balloon": "balloon", "poppies": "flowers",
    "lavender": "flowers", "tulips": "flowers", "sunflowers": "flowers", "daisies": "flowers",
}  # fmt: skip
"""Each kind of thing and the class of the map that it is painted in; stars are in no map."""

SIZES: Mapping[str, tuple[float, float]] = {
    "sun": (0.003, 0.03), "moon": (0.003, 0.03), "boat": (0.003, 0.03), "rowing boat": (0.002, 0.03),
    "house": (0.009, 0.06), "tree": (0.005, 0.05), "palm": (0.004, 0.04), "pine": (0.005, 0.05),
    "lighthouse": (0.006, 0.035), "windmill": (0.008, 0.045), "castle": (0.008, 0.045),
    "balloon": (0.006, 0.035), "bridge": (0.01, 0.05), "cactus": (0.004, 0.04),
}  # fmt: skip
"""Below the first share of the picture a thing is little, above the second it is big."""

LEAST = {None: 0.0, "sun": 0.0008, "boat": 0.0012, "balloon": 0.0015, "tree": 0.0015, "tower": 0.0015}
LEAST_AREA = 0.004  # of the picture, for any other class
SEASONAL = 0.03  # of the picture must show the season before a caption may tell it


@dataclass(frozen=True)
class Thing:
    """Something that can be seen in a scene: a key of `CLASS_OF`, how many, and what it is like.

    `traits` are true adjectives in the order in which English says them, such as ("big", "red"). `where` are
    true phrases of its place, such as "in the background".
    """

    kind: str
    count: int = 1
    traits: tuple[str, ...] = ()
    where: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sighting:
    """One thing as it was painted: in the parts `first` to `last` of the easel."""

    kind: str
    first: int
    last: int
    traits: tuple[str, ...]
    where: tuple[str, ...]


def things(sightings: Sequence[Sighting], easel: Easel) -> tuple[Thing, ...]:
    """Those of which enough is left in sight, the same kinds together."""
    pixels = np.bincount(easel.parts.ravel(), minlength=len(easel.part_labels)) / easel.parts.size
    seen: dict[str, list[Thing]] = {}
    if (easel.labels == IDS["sky"]).mean() > 0.05:
        seen["sky"] = [Thing("sky")]
    for sighting in sightings:
        label = CLASS_OF[sighting.kind]
        parts = range(sighting.first, sighting.last + 1)
        share = sum(pixels[part] for part in parts if easel.part_labels[part] == label)
        if share >= LEAST.get(label, LEAST_AREA):
            little, big = SIZES.get(sighting.kind, (0.0, 1.0))
            size = ("big",) if share > big else ("little",) if share < little else ()
            thing = Thing(sighting.kind, 1, (*size, *sighting.traits), sighting.where)
            seen.setdefault(sighting.kind, []).append(thing)
    return tuple(_together(alike) for alike in seen.values())


def _together(alike: Sequence[Thing]) -> Thing:
    """Several of a kind, with what is true of all."""
    first = alike[0]
    traits = tuple(trait for trait in first.traits if all(trait in other.traits for other in alike))
    where = tuple(place for place in first.where if all(place in other.where for other in alike))
    return Thing(first.kind, len(alike), traits, where)


def shows_season(labels: np.ndarray, season: str) -> bool:
    """Whether a map, (H, W) ids, has enough that looks different from season to season."""
    shares = np.bincount(labels.ravel(), minlength=len(IDS) + 1) / labels.size
    telling = ["grass", "hill", "forest", "tree"]
    telling += {"winter": ["snow", "house"], "desert": ["sand", "mountain"]}.get(season, [])
    misleading = 0.0 if season == "winter" else shares[IDS["snow"]]
    return bool(sum(shares[IDS[name]] for name in telling) > max(SEASONAL, misleading))
