"""What a picture is asked for, and the one place where every field of it is judged."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from mcm_core import emphasis
from mcm_core.drawing.conditions import Conditions, InputError, check
from mcm_core.live import SCHEDULER, Live
from mcm_core.modulation import PLACEMENTS, Placement

if TYPE_CHECKING:
    from mcm_core.base import Base
    from mcm_core.modulator import Modulator

DEFAULT_PLACEMENT: Placement = "conditional"
RANDOM_SEED = -1

MAX_SEED = 2**32 - 1
MAX_STEPS = 150
MAX_BATCH = 16
MAX_PROMPT = 1000
MAX_GUIDANCE = 30.0
MAX_STRENGTH = 2.0
MAX_BOOST = 5.0
MAX_GROWTH = 2
"""The longest side of a picture, as a multiple of what the base was trained on."""


@dataclass(frozen=True)
class Request:
    """One or several pictures. Numbers, text and arrays only, so that it can be pickled and sent elsewhere.

    Attributes:
        prompt, negative_prompt: for bases that take text; at most `MAX_PROMPT` characters, and words may be
            weighted, see `emphasis`.
        conditions: the drawing; empty for none.
        steps: denoising steps, 1 to `MAX_STEPS`, or those that a live modulator offers; None for the base's
            default, or for the most of a live modulator.
        guidance_scale: of classifier-free guidance; None for the base's default, 1 or less for none. A live
            modulator takes no other: it has been distilled with its own. A base that embeds its guidance is
            told it, and has no negative prompt.
        seeds: one picture each, 0 to 2**32 - 1; -1 stands for a random one.
        scheduler: a name in `schedulers.SCHEDULERS`; None for the base's own, or a live modulator's.
        width, height: in pixels; None for the base's default.
        strength: 0 (off) to `MAX_STRENGTH` by modality; those not named count 1.
        start, end: the part of the trajectory, in [0, 1], in which the modulator acts.
        placement: where it acts under guidance, see `modulation.Placement`.
        prompt_boost: how many times as much the prompt is guided while the drawing acts in its branch, 1 to
            `MAX_BOOST`, see `modulation.boosted`; None for what the modulator is made for.
        compare: also make the picture from the same noise without the drawing.
        previews: also make a preview at every step.
    """

    prompt: str = ""
    negative_prompt: str = ""
    conditions: Conditions = field(default_factory=Conditions)
    steps: int | None = None
    guidance_scale: float | None = None
    seeds: tuple[int, ...] = (0,)
    scheduler: str | None = None
    width: int | None = None
    height: int | None = None
    strength: Mapping[str, float] = field(default_factory=dict)
    start: float = 0.0
    end: float = 1.0
    placement: Placement = DEFAULT_PLACEMENT
    prompt_boost: float | None = None
    compare: bool = False
    previews: bool = True

    def resolved(self, base: Base, modulator: Modulator | None) -> Resolved:
        """The request as these models can do it, with every default and random seed filled in.

        Raises:
            InputError: whatever cannot be done, with what to do instead.
        """
        height, width = base.default_size
        live = modulator.live if modulator is not None else None
        start, end = window(self.start, self.end)
        scheduler = _scheduler(self.scheduler, base, live)
        guidance_scale = _guidance(self.guidance_scale, base, live)
        return Resolved(
            prompt=_text("prompt", self.prompt, base),
            negative_prompt=_negative_prompt(self.negative_prompt, base),
            conditions=fitting_drawing(self.conditions, modulator),
            steps=_steps(self.steps, base, scheduler) if live is None else _live_steps(self.steps, live),
            guidance_scale=guidance_scale,
            seeds=_seeds(self.seeds),
            scheduler=scheduler,
            height=_side("height", self.height, height, base),
            width=_side("width", self.width, width, base),
            strength=strengths(self.strength, modulator),
            start=start,
            end=end,
            placement=known_placement(self.placement),
            prompt_boost=known_boost(self.prompt_boost, modulator),
            compare=_flag("compare", self.compare),
            previews=_flag("previews", self.previews),
            guided=guidance_scale > 1 and not base.embeds_guidance,
            live=live is not None,
        )


@dataclass(frozen=True)
class Resolved(Request):
    """A request that was judged for a base and a modulator: nothing is missing, and nothing is checked again.

    `strength` names every modality. As a `Request` it asks for the same again, of these models or of others.
    `guided`: the base runs twice at each step, once without the prompt.
    `live`: the modulator is sampled in few unguided steps, see `live.Live`.
    """

    steps: int = field(kw_only=True)
    guidance_scale: float = field(kw_only=True)
    scheduler: str = field(kw_only=True)
    width: int = field(kw_only=True)
    height: int = field(kw_only=True)
    prompt_boost: float = field(kw_only=True)
    guided: bool = field(kw_only=True)
    live: bool = field(default=False, kw_only=True)


# -- judging one field -------------------------------------------------------------------------------------


def whole(name: str, value: Any, low: int, high: int) -> int:
    """A whole number in [low, high], also as a float. Raises InputError."""
    is_whole = isinstance(value, Integral) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not is_whole or not low <= value <= high:
        raise InputError(f"{name} must be a whole number from {low} to {high}.")
    return int(value)


def seed(value: Any) -> int:
    """A seed, drawn at random for -1. Raises InputError."""
    number = whole("seed", value, RANDOM_SEED, MAX_SEED)
    return random_seed() if number == RANDOM_SEED else number


def random_seed() -> int:
    """Short enough to be read out; far more than anybody will look at."""
    return secrets.randbelow(1_000_000)


def window(start: Any, end: Any) -> tuple[float, float]:
    """The part of the trajectory in which the modulator acts. Raises InputError."""
    first, last = _number("start", start, 0, 1), _number("end", end, 0, 1)
    if first > last:
        raise InputError("The modulation must start before it ends: give a start that is below the end.")
    return first, last


def fitting_drawing(value: Any, modulator: Modulator | None) -> Conditions:
    """A drawing that the modulator can follow, or an empty one. Raises InputError."""
    if not isinstance(value, Conditions):
        raise InputError("The drawing must be a Conditions object: see mcm_core.drawing.conditions.")
    if value.maps and modulator is None:
        raise InputError(
            "There is a drawing, but no modulator that could follow it: give one, or no drawing."
        )
    if modulator is not None:
        check(value, modulator.modalities, modulator.classes)
    return value


def strengths(value: Any, modulator: Modulator | None) -> dict[str, float]:
    """The strength of every modality. Raises InputError."""
    if not isinstance(value, Mapping):
        raise InputError("strength must give a number for each modality.")
    known = [modality.name for modality in modulator.modalities] if modulator is not None else []
    unknown = [name for name in value if name not in known]
    if unknown:
        takes = f"takes {', '.join(known)}" if known else "is not there"
        raise InputError(
            f"There is no modality {unknown[0]!r:.60} to give a strength to: the modulator {takes}."
        )
    return {name: _number(f"strength of {name}", value.get(name, 1.0), 0, MAX_STRENGTH) for name in known}


def known_placement(value: Any) -> Placement:
    """One of `PLACEMENTS`. Raises InputError."""
    if value not in PLACEMENTS:
        raise InputError(f"placement must be one of {', '.join(PLACEMENTS)}.")
    return value


def known_boost(value: Any, modulator: Modulator | None) -> float:
    """How much more the prompt is guided; by default as the modulator's config says. Raises InputError."""
    if value is None:
        value = 1.0 if modulator is None else modulator.config.prompt_boost
    return _number("prompt_boost", value, 1, MAX_BOOST)


def _number(name: str, value: Any, low: float, high: float) -> float:
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not number or not low <= value <= high:  # NaN fails, too
        raise InputError(f"{name} must be a number from {low:g} to {high:g}.")
    return float(value)


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise InputError(f"{name} must be true or false.")
    return value


def _text(name: str, value: Any, base: Base) -> str:
    if not isinstance(value, str):
        raise InputError(f"The {name} must be text.")
    if len(value) > MAX_PROMPT:
        raise InputError(f"The {name} has {len(value)} characters: shorten it to at most {MAX_PROMPT}.")
    if value.strip() and not base.accepts_text:
        raise InputError(f"The base {base.id} takes no text: leave the {name} empty.")
    emphasis.check(name, value)
    return value.encode("utf-8", "replace").decode("utf-8")  # a lone surrogate stops the tokenizer


def _negative_prompt(value: Any, base: Base) -> str:
    text = _text("negative prompt", value, base)
    if text.strip() and base.embeds_guidance:
        raise InputError(
            f"The base {base.id} is told its guidance and takes no negative prompt: leave it empty."
        )
    return text


def _steps(value: Any, base: Base, scheduler: str) -> int:
    most = min(MAX_STEPS, base.most_steps(scheduler))
    return min(base.default_steps, most) if value is None else whole("steps", value, 1, most)


def _live_steps(value: Any, live: Live) -> int:
    if value is None:
        return max(live.steps)
    offered = [steps for steps in live.steps if not isinstance(value, bool) and steps == value]
    if not offered:
        named = " or ".join(map(str, live.steps))
        raise InputError(f"This modulator is made for few steps: steps must be {named}.")
    return offered[0]


def _guidance(value: Any, base: Base, live: Live | None) -> float:
    if value is None:
        return base.default_guidance_scale if live is None else 1.0
    scale = _number("guidance_scale", value, 0, MAX_GUIDANCE)
    if scale > 1 and live is not None:
        raise InputError(
            f"Guidance of {live.guidance_scale:g} is part of this modulator, so that it takes no more: leave "
            "guidance_scale or give 1."
        )
    if scale > 1 and not base.accepts_text:
        raise InputError(
            f"The base {base.id} takes no text, so that it cannot be guided: leave guidance_scale."
        )
    return scale


def _seeds(value: Any) -> tuple[int, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence) or not 1 <= len(value) <= MAX_BATCH:
        raise InputError(f"seeds must be a list of 1 to {MAX_BATCH} whole numbers.")
    return tuple(seed(item) for item in value)


def _scheduler(value: Any, base: Base, live: Live | None) -> str:
    if live is not None:
        if value not in (None, SCHEDULER):
            raise InputError(
                f"This modulator has a scheduler of its own: leave the scheduler or give {SCHEDULER}."
            )
        return SCHEDULER
    if value is not None and not isinstance(value, str):
        raise InputError(f"scheduler must be one of {', '.join(base.scheduler_names)}.")
    return base.scheduler_name(value)


def _side(name: str, value: Any, default: int, base: Base) -> int:
    if value is None:
        return default
    multiple = base.size_multiple
    side = whole(name, value, base.least_side, MAX_GROWTH * default)
    if side % multiple:
        nearest = max(round(side / multiple), 1) * multiple
        raise InputError(f"{name} must be a multiple of {multiple}: take {nearest}.")
    return side
