"""What all the parts of one scene share while it is painted, and the facts that its caption may tell."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .easel import Easel
from .palette import Colour, Light, Season, mix, rgb

Rng = np.random.Generator
WHITE = np.ones(3, np.float32)


@dataclass(frozen=True)
class Thing:
    """Something that can be seen in a scene: a key of `captions.THINGS`, how many, and what it is like.

    `traits` are true adjectives in the order in which English says them, such as ("big", "red").
    """

    kind: str
    count: int = 1
    traits: tuple[str, ...] = ()


@dataclass
class Painter:
    """A scene under way. `horizon` is the height of the horizon in sides of the picture, from the top."""

    rng: Rng
    easel: Easel
    light: Light
    season: Season
    horizon: float
    things: list[Thing] = field(default_factory=list)

    def lit(self, code: str, distance: float = 0.0, shade: float = 1.0) -> Colour:
        """A surface's colour under this light, `distance` in [0, 1] towards the haze."""
        colour = rgb(code) * np.asarray(self.light.light, np.float32) * np.float32(shade)
        return np.clip(mix(colour, rgb(self.light.haze), distance * self.light.haze_strength), 0, 1)

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def pick(self, *options: str) -> str:
        return options[int(self.rng.integers(len(options)))]

    def saw(self, kind: str, count: int = 1, *traits: str) -> None:
        """Remember what was painted; the same kind twice adds up."""
        for index, thing in enumerate(self.things):
            if thing.kind == kind:
                common = tuple(trait for trait in thing.traits if trait in traits)
                self.things[index] = Thing(kind, thing.count + count, common)
                return
        self.things.append(Thing(kind, count, tuple(traits)))
