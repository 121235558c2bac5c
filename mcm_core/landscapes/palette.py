"""Colours of the embedded world: seven times of day or weathers, five seasons or biomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

Colour = np.ndarray  # (3,) float32, RGB in [0, 1]


def rgb(code: str) -> Colour:
    """ "#rrggbb" -> (3,) float32 in [0, 1]."""
    return np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)], np.float32) / 255


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """`share` of b, the rest of a."""
    return a + (b - a) * np.float32(share)


@dataclass(frozen=True)
class Light:
    """One time of day or weather. Colours are "#rrggbb"; `light` multiplies every lit surface."""

    sky: tuple[str, str, str]
    haze: str
    light: tuple[float, float, float]
    orb: str
    cloud: str
    haze_strength: float = 0.55
    stars: bool = False
    orb_chance: float = 0.8


LIGHTS: Mapping[str, Light] = {
    "dawn": Light(("#7d8fc4", "#eab3b5", "#ffe0b8"), "#f3c9b8", (0.94, 0.84, 0.86), "#fff1cf", "#fbd5cf"),
    "day": Light(("#3d8fd9", "#84c3f0", "#d5edf9"), "#c4e0f2", (1.0, 1.0, 1.0), "#fff3b0", "#ffffff"),
    "sunset": Light(("#4d2c6d", "#d64f5c", "#ffb65e"), "#ee9460", (0.98, 0.7, 0.56), "#ffe9a8", "#f59a7a"),
    "dusk": Light(
        ("#232858", "#64458a", "#e07a9c"), "#7a5296", (0.64, 0.52, 0.76), "#ffd9c2", "#8a5f9c", stars=True
    ),
    "night": Light(
        ("#070c24", "#12204a", "#2b4775"),
        "#1e335f",
        (0.31, 0.39, 0.62),
        "#fdf6d8",
        "#33456f",
        0.45,
        stars=True,
    ),
    "overcast": Light(
        ("#6d8aa1", "#9db4c3", "#cbdadd"),
        "#aebfca",
        (0.76, 0.8, 0.83),
        "#eef0ea",
        "#dde1e2",
        0.6,
        orb_chance=0.15,
    ),
    "misty": Light(
        ("#aecbd2", "#d3e0dd", "#f4efe2"),
        "#e3e9e4",
        (0.86, 0.92, 0.9),
        "#fffbe6",
        "#f6f7f3",
        0.8,
        orb_chance=0.6,
    ),
}


@dataclass(frozen=True)
class Season:
    """Colours of the ground under white light, and what the ground is made of."""

    hill: str
    grass: str
    forest: str
    mountain: str
    sand: str
    snow_line: float
    snowy_ground: bool = False
    forest_chance: float = 0.75


SEASONS: Mapping[str, Season] = {
    "spring": Season("#7cb36a", "#b3dc74", "#3d9160", "#7f8396", "#ecd7a4", 0.45),
    "summer": Season("#4f9d4c", "#93c94a", "#1c6b45", "#6d7b8a", "#efd292", 0.25),
    "autumn": Season("#b87b3a", "#d9b04d", "#c4562b", "#7d6c69", "#dcc08a", 0.3),
    "winter": Season("#c3d6e6", "#eaf1f7", "#35605f", "#6b7b93", "#d8d3c4", 0.75, snowy_ground=True),
    "desert": Season("#cf8a4e", "#d3b05f", "#74803c", "#ad5a3e", "#ecc27c", 0.0, forest_chance=0.2),
}
