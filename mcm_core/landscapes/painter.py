"""What all the parts of one scene share while it is painted."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .easel import Easel
from .facts import Sighting
from .palette import Colour, Light, Season, mix, rgb

Rng = np.random.Generator
WHITE = np.ones(3, np.float32)


@dataclass
class Painter:
    """A scene under way. `horizon` is the height of the horizon in sides of the picture, from the top."""

    rng: Rng
    easel: Easel
    light: Light
    season: Season
    horizon: float
    sightings: list[Sighting] = field(default_factory=list)
    mark: int = 0

    def lit(self, code: str, distance: float = 0.0, shade: float = 1.0) -> Colour:
        """A surface's colour under this light, `distance` in [0, 1] towards the haze."""
        colour = rgb(code) * np.asarray(self.light.light, np.float32) * np.float32(shade)
        haze = self.light.veil + distance * (self.light.haze_strength - self.light.veil)
        grey = colour.mean()
        colour = grey + (colour - grey) * np.float32(self.light.vivid)
        return np.clip(mix(colour, rgb(self.light.haze), haze), 0, 1)

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def pick(self, *options: str) -> str:
        return options[int(self.rng.integers(len(options)))]

    def saw(self, kind: str, *traits: str, where: tuple[str, ...] = (), since: int | None = None) -> None:
        """Remember what was painted after part `since`, or else after the last thing."""
        first = self.mark if since is None else since
        self.sightings.append(Sighting(kind, first + 1, self.easel.last_part, traits, where))
        self.mark = self.easel.last_part
