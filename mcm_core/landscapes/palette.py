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
    """One time of day or weather. Colours are "#rrggbb"; `light` multiplies every lit surface.

    `veil` is the share of haze over what is near, `haze_strength` over what is far away; `vivid` multiplies
    the saturation of lit surfaces.
    """

    sky: tuple[str, str, str]
    haze: str
    light: tuple[float, float, float]
    orb: str
    cloud: str
    haze_strength: float = 0.55
    vivid: float = 1.1
    veil: float = 0.0
    stars: bool = False
    orb_chance: float = 0.8


LIGHTS: Mapping[str, Light] = {
    "dawn": Light(("#7a8fd0", "#f0b3b8", "#ffe2b4"), "#f6c8ba", (0.97, 0.87, 0.88), "#fff3cf", "#fdd5d0"),
    "day": Light(("#2f8ae0", "#7cc2f4", "#d3eefb"), "#bfe0f5", (1.0, 1.0, 1.0), "#ffe98a", "#ffffff"),
    "sunset": Light(("#5a2a78", "#e2505a", "#ffb650"), "#f2925a", (1.0, 0.74, 0.58), "#ffec9e", "#fb9a76"),
    "dusk": Light(
        ("#2a2a6e", "#7a4a9e", "#f07fa0"),
        "#8656a4",
        (0.66, 0.59, 0.82),
        "#ffe0c8",
        "#9a6ab0",
        vivid=1.3,
        veil=0.1,
        stars=True,
    ),
    "night": Light(
        ("#081038", "#15286a", "#30589c"),
        "#213f86",
        (0.4, 0.45, 0.68),
        "#fff6cf",
        "#3b5596",
        0.45,
        vivid=1.3,
        veil=0.2,
        stars=True,
    ),
    "overcast": Light(
        ("#6587a2", "#9cb6c7", "#d6e2e4"),
        "#afc4d0",
        (0.8, 0.85, 0.88),
        "#f3f1e2",
        "#e6ecee",
        0.6,
        vivid=1.15,
        orb_chance=0.1,
    ),
    "misty": Light(
        ("#93c3cf", "#c9e0dc", "#f9ecd4"),
        "#dde9e2",
        (0.88, 0.94, 0.91),
        "#fffbe2",
        "#f6f9f3",
        0.85,
        orb_chance=0.6,
    ),
}


@dataclass(frozen=True)
class Season:
    """Colours of the ground under white light, and what grows on it.

    `crowns` are those of single trees and of the trees in a wood, `conifers` the share of conifers.
    """

    hill: str
    grass: str
    forest: str
    mountain: str
    sand: str
    snow: str
    crowns: tuple[str, ...]
    snow_line: float
    conifers: float
    snowy_ground: bool = False
    forest_chance: float = 0.75


SEASONS: Mapping[str, Season] = {
    "spring": Season(
        "#86c66a", "#b9e36c", "#52ad63", "#8288a3", "#f2e0ae", "#fbfdff",
        ("#f7a3c4", "#fbc3d8", "#8fd35f", "#66bd5b"), 0.45, 0.15,
    ),
    "summer": Season(
        "#449f4a", "#7cc242", "#1b7346", "#64798f", "#f4dc9c", "#fbfdff",
        ("#2f9a48", "#4cb24a", "#1f7f4b"), 0.25, 0.55,
    ),
    "autumn": Season(
        "#c77a2d", "#d3b53c", "#cf5a24", "#80696f", "#e8cf98", "#fbfdff",
        ("#ea6a2a", "#f4a92a", "#cf3f2b", "#e0872b"), 0.3, 0.12,
    ),
    "winter": Season(
        "#97cbb0", "#b4dfba", "#2f6a6b", "#6a80a3", "#e2dccb", "#f6faff",
        ("#3d7672", "#e4eef6", "#54888a"), 0.8, 0.85, snowy_ground=True,
    ),
    "desert": Season(
        "#dc9160", "#d6be72", "#7f8f3d", "#b9573c", "#f2c57a", "#fbfdff",
        ("#94a046", "#74903f"), 0.0, 0.0, forest_chance=0.25,
    ),
}  # fmt: skip
