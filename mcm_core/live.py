"""What a modulator that was distilled to few unguided steps says of itself: see `training.consistency`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from mcm_core.drawing.conditions import InputError

SCHEDULER = "lcm"
"""What samples it, and no other modulator: see `base.schedulers.live_scheduler`."""


@dataclass(frozen=True)
class Live:
    """How such a modulator is sampled.

    Attributes:
        steps: the numbers of steps that it offers, each at most `grid`.
        guidance_scale: of its teacher; it is folded in, so that the samples are not guided.
        grid: how many timesteps it knows, spread as in diffusers' LCMScheduler.
    """

    steps: tuple[int, ...]
    guidance_scale: float
    grid: int

    @classmethod
    def of(cls, entries: Mapping[str, Any], num_train_timesteps: int) -> Live:
        """From the entries of a config. Raises InputError."""
        steps, scale, grid = (entries.get(name) for name in ("steps", "guidance_scale", "grid"))
        if not _is_whole(grid) or not 1 <= grid <= num_train_timesteps:
            raise InputError(f"live.grid must be a whole number from 1 to {num_train_timesteps}.")
        listed = list(steps) if isinstance(steps, Sequence) else []
        if not listed or not all(_is_whole(number) and 1 <= number <= grid for number in listed):
            raise InputError(f"live.steps must list whole numbers from 1 to the grid's {grid}.")
        if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0 <= scale < float("inf"):
            raise InputError("live.guidance_scale must be a number from 0.")
        return cls(tuple(sorted(set(listed))), float(scale), grid)


def _is_whole(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
