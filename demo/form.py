"""The words and numbers of a request as fields of the page, and back."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import gradio as gr

from mcm_core.drawing.conditions import Conditions, Size
from mcm_core.live import Live
from mcm_core.request import (
    MAX_PROMPT,
    MAX_SEED,
    MAX_STRENGTH,
    RANDOM_SEED,
    Request,
    Resolved,
    random_seed,
    seed,
    whole,
)

from .fields import Choice, Number, Slider, Text
from .models import Model, Models

LIVE_STEPS = 8
MAX_STEPS = 60
MAX_GUIDANCE = 15.0
MAX_VARIATIONS = 4
STYLES = {
    "Watercolour": "watercolor of {}",
    "Oil": "oil painting of {}",
    "Pencil": "pencil drawing of {}",
    "Crayon": "crayon drawing of {}",
    "Pixel art": "pixel art of {}",
    "Dawn": "{} at dawn",
    "Sunset": "{} at sunset",
    "Night": "{} at night",
    "Winter": "{} in winter",
    "Mist": "{} in the mist",
}
"""Chips, and what each makes of the prompt."""
_STYLES = "watercolou?r( painting)?|aquarelle|oil painting|(pencil|crayon) (drawing|sketch)|pixel art"
_HOURS = "dawn|sunrise|daybreak|day(light)?|noon|midday|sunset|sundown|dusk|twilight|(mid)?night|moonlight"
GROUPS = {
    rf"\s*,?\s*\b((in|as|an?) )*({_STYLES})( of)?\b": (
        "Watercolour",
        "Oil",
        "Pencil",
        "Crayon",
        "Pixel art",
    ),
    rf"\s*,?\s*\b((at|by|in|during) (the )?({_HOURS})|in the (early )?(morning|afternoon|evening))\b": (
        "Dawn",
        "Sunset",
        "Night",
    ),
    r"\s*,?\s*\bin (the )?(spring(time)?|summer(time)?|autumn|fall|winter(time)?)\b": ("Winter",),
    r"\s*,?\s*\bin (the |thick )?(mist|fog|haze)\b": ("Mist",),
}
"""Chips of which one at a time is chosen, by the words of a prompt that they stand in place of."""

Updates = dict[Any, Any]
"""New values or `gr.update`s by component."""


@dataclass(frozen=True)
class Form:
    """The fields; `strengths` by modality, for every modality of every model."""

    prompt: gr.Textbox
    styles: gr.CheckboxGroup
    negative_prompt: gr.Textbox
    steps: gr.Slider
    guidance_scale: gr.Slider
    seed: gr.Number
    locked: gr.Checkbox
    scheduler: gr.Dropdown
    shape: gr.Dropdown
    variations: gr.Slider
    start: gr.Slider
    end: gr.Slider
    strengths: Mapping[str, gr.Slider]

    def by_name(self) -> dict[str, Any]:
        """Every field by the name that it has in a link."""
        named = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "strengths"}
        return {**named, **{f"strength.{name}": field for name, field in self.strengths.items()}}

    def request(
        self, values: Mapping[Any, Any], conditions: Conditions, model: Model, live: bool = False
    ) -> Request:
        """What the fields ask for; `values` by component. A live request takes few steps and one seed.

        Raises:
            InputError: the seed or the number of variations is no whole number. The rest is not judged here.
        """
        steps: Any = values[self.steps]
        prompt, negative_prompt = self.words(values, model)
        height, width = self.size(values, model)
        request = Request(
            prompt=prompt,
            negative_prompt=negative_prompt,
            conditions=conditions,
            steps=_fewer(steps) if live and model.drafts is None else steps,
            guidance_scale=values[self.guidance_scale] if model.base.accepts_text else None,
            seeds=seeds(values[self.seed], 1 if live else values[self.variations]),
            scheduler=values[self.scheduler],
            width=width,
            height=height,
            strength={kind.name: values[self.strengths[kind.name]] for kind in model.modalities},
            start=values[self.start],
            end=values[self.end],
        )
        return request if model.live is None else _with_its_own(request, model.live)

    def words(self, values: Mapping[Any, Any], model: Model) -> tuple[str, str]:
        """The prompt and the negative prompt, as far as the model reads them."""
        negative = values[self.negative_prompt] or "" if model.takes_negative_prompt else ""
        return styled(values[self.prompt] or "", values[self.styles]), negative

    def size(self, values: Mapping[Any, Any], model: Model) -> Size:
        """(H, W) of the pictures that are asked for, the model's own where it does not offer the shape."""
        return {shape(size): size for size in model.sizes}.get(values[self.shape], model.size)

    def chosen_size(self, values: Mapping[Any, Any]) -> Size | None:
        """(H, W) that the menu says, whichever model offers it."""
        said = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", str(values[self.shape]))
        return (int(said[2]), int(said[1])) if said else None

    def restored(self, request: Resolved) -> Updates:
        """The fields as they were for a request."""
        return {
            self.prompt: request.prompt,
            self.styles: [],
            self.negative_prompt: request.negative_prompt,
            self.steps: request.steps,
            self.guidance_scale: request.guidance_scale,
            self.seed: request.seeds[0],
            self.locked: True,
            self.scheduler: request.scheduler,
            self.shape: shape((request.height, request.width)),
            self.variations: len(request.seeds),
            self.start: request.start,
            self.end: request.end,
            **{field: request.strength.get(name, 1.0) for name, field in self.strengths.items()},
        }

    def adapted(self, model: Model, size: Size) -> Updates:
        """The fields for another model and pictures of a size (H, W): its own defaults, and what it cannot do
        greyed with the reason."""
        base, taken = model.base, {kind.name for kind in model.modalities}
        text = gr.update(interactive=base.accepts_text, placeholder=_placeholder(model))
        scheduler = gr.update(choices=list(model.schedulers), value=model.defaults.scheduler)
        guidance = gr.update(value=model.defaults.guidance_scale, interactive=model.is_guided)
        strengths = {
            field: gr.update(interactive=name in taken, label=strength_label(name, model))
            for name, field in self.strengths.items()
        }
        return {
            self.prompt: text,
            self.negative_prompt: gr.update(interactive=model.takes_negative_prompt),
            self.steps: gr.update(value=model.defaults.steps),
            self.guidance_scale: guidance,
            self.scheduler: scheduler,
            self.shape: gr.update(choices=shapes(model), value=shape(size)),
            self.styles: gr.update(interactive=base.accepts_text),
            **strengths,
        }


def _with_its_own(request: Request, live: Live) -> Request:
    """The request as a modulator of few steps can do it: the nearest of its steps, all else its own."""
    steps: Any = request.steps
    if isinstance(steps, int | float):
        steps = min(live.steps, key=lambda offered: abs(offered - steps))
    return replace(request, steps=steps, guidance_scale=None, scheduler=None)


def _fewer(steps: Any) -> Any:
    return min(steps, LIVE_STEPS) if isinstance(steps, int | float) else steps


def styled(prompt: Any, chips: Any) -> Any:
    """The prompt with the words of the chosen chips around it; what is no text is left to the check."""
    if not isinstance(prompt, str) or not isinstance(chips, Sequence):
        return prompt
    for chip in chips:
        prompt = STYLES[chip].replace("{}", prompt.strip() or "a scene")
    return prompt


def seeds(first: Any, count: Any) -> tuple[int, ...]:
    """`count` seeds from `first` on; None, which is an empty field, and -1 stand for a random beginning.

    Raises:
        InputError: a number that is no whole number, or out of its range.
    """
    begin = seed(RANDOM_SEED if first is None else first)
    number = whole("variations", count, 1, MAX_VARIATIONS)
    return tuple((begin + index) % (MAX_SEED + 1) for index in range(number))


def shape(size: Size) -> str:
    """What a size (H, W) is called in a link."""
    return f"{size[1]}x{size[0]}"


def shapes(model: Model) -> list[tuple[str, str]]:
    """The sizes that a model offers, for a menu."""
    return [(shape(size).replace("x", " × "), shape(size)) for size in model.sizes]


def strength_label(name: str, model: Model) -> str:
    taken = name in {kind.name for kind in model.modalities}
    return f"Strength of {name}" if taken else f"This model takes no {name}"


def _placeholder(model: Model) -> str:
    return "What should it be?" if model.base.accepts_text else f"{model.base.id} takes no text"


# -- the fields themselves ---------------------------------------------------------------------------------


def prompt_field(model: Model) -> gr.Textbox:
    return Text(
        label="Prompt",
        show_label=False,
        container=False,
        placeholder=_placeholder(model),
        interactive=model.base.accepts_text,
        max_length=MAX_PROMPT,
        lines=1,
        max_lines=3,
        elem_id="prompt",
    )


def style_field(model: Model) -> gr.CheckboxGroup:
    text = model.base.accepts_text
    return gr.CheckboxGroup(
        list(STYLES), label="Style", show_label=False, interactive=text, elem_id="styles", container=False
    )


def setting_fields(models: Models) -> dict[str, Any]:
    """What is folded away."""
    model = models.default
    guided: dict[str, Any] = {"step": 0.1, "label": "Guidance", "interactive": model.is_guided}
    with gr.Row():
        steps = Slider(1, MAX_STEPS, models.default.defaults.steps, step=1, label="Steps")
        guidance = Slider(0, MAX_GUIDANCE, model.defaults.guidance_scale, **guided)
        variations = Slider(1, MAX_VARIATIONS, 1, step=1, label="Variations")
        scheduler = Choice(list(model.schedulers), value=model.defaults.scheduler, label="Scheduler")
        size = Choice(shapes(model), value=shape(model.size), label="Shape", elem_id="shape")
    with gr.Row():
        kinds = [kind for offered in models.by_name.values() for kind in offered.modalities]
        strengths = {name: _strength_field(name, model) for name in dict.fromkeys(k.name for k in kinds)}
        start = Slider(0, 1, 0, step=0.05, label="Drawing acts from", elem_id="start")
        end = Slider(0, 1, 1, step=0.05, label="until (lower keeps more of the style)", elem_id="end")
    hint = "What should not be there?"
    taken = model.takes_negative_prompt
    negative = Text(label="Negative prompt", placeholder=hint, interactive=taken, lines=1)
    return {
        "steps": steps,
        "guidance_scale": guidance,
        "variations": variations,
        "scheduler": scheduler,
        "shape": size,
        "strengths": strengths,
        "start": start,
        "end": end,
        "negative_prompt": negative,
    }


def _strength_field(name: str, model: Model) -> gr.Slider:
    is_taken = name in {kind.name for kind in model.modalities}
    label = strength_label(name, model)
    return Slider(0, MAX_STRENGTH, 1, step=0.05, label=label, interactive=is_taken)


def seed_fields() -> dict[str, Any]:
    """The seed, and whether Generate keeps it."""
    bare: dict[str, Any] = {"show_label": False, "container": False}
    number = Number(
        random_seed(),
        label="Seed",
        precision=0,
        minimum=0,
        maximum=MAX_SEED,
        placeholder="any seed",
        min_width=84,
        elem_id="seed",
        **bare,
    )
    return {"seed": number, "locked": gr.Checkbox(True, label="Keep seed", elem_id="locked", container=False)}


def restored_note(request: Resolved) -> str:
    """For people: what bringing back a request has set."""
    parts = [
        "drawing" if request.conditions.maps else "no drawing",
        "prompt" if request.prompt.strip() else "no prompt",
        f"seed {request.seeds[0]}",
        f"{request.steps} steps" if request.steps != 1 else "1 step",
    ]
    if request.guided:
        parts.append(f"guidance {request.guidance_scale:g}")
    off = [f"strength of {name} {value:g}" for name, value in request.strength.items() if value != 1]
    return f"Restored: {', '.join(parts + off)}"


def word_script() -> str:
    """JavaScript (chips, prompt) -> chips: words typed after a chip of their group switch it off."""
    return """(chips, prompt) => {
        const said = Object.entries(GROUPS).filter(([words]) => new RegExp(words, "i").test(prompt));
        return [chips.filter((chip) => !said.some(([, group]) => group.includes(chip)))];
    }""".replace("GROUPS", json.dumps(GROUPS))


def chip_script() -> str:
    """JavaScript (chips, prompt) -> both: the newest chip of a group replaces what says otherwise."""
    return """(chips, prompt) => {
        const kept = [];
        for (const [words, group] of Object.entries(GROUPS)) {
            const newest = chips.filter((chip) => group.includes(chip)).at(-1);
            if (newest === undefined) continue;
            kept.push(newest);
            prompt = prompt.replace(new RegExp(words, "gi"), "").trim();
        }
        return [chips.filter((chip) => kept.includes(chip)), prompt];
    }""".replace("GROUPS", json.dumps(GROUPS))


# -- links -------------------------------------------------------------------------------------------------


def from_link(form: Form, query: Mapping[str, str], model: Model) -> Updates:
    """New values for the fields that a link names, if they are right and the model offers them."""
    readers: dict[str, Callable[[str], Any]] = {
        **dict.fromkeys(("prompt", "negative_prompt"), lambda text: text[:MAX_PROMPT]),
        "styles": lambda text: [chip for chip in text.split(",") if chip in STYLES],
        "locked": lambda text: text == "true",
        "seed": lambda text: partial(_number, field=form.seed)(text) if text else gr.update(value=None),
        "scheduler": lambda text: text if text in model.schedulers else None,
        "shape": lambda text: text if text in map(shape, model.sizes) else None,
    }
    updates: Updates = {}
    for name, field in form.by_name().items():
        read = readers.get(name) or partial(_number, field=field)
        value = read(query[name]) if name in query else None
        if value is not None:
            updates[field] = value
    return updates


def _number(text: str, field: Any) -> float | None:
    """A number within the field's bounds, whole where the field counts in ones."""
    try:
        number = float(text)
    except ValueError:
        return None
    if not field.minimum <= number <= field.maximum:  # NaN, too
        return None
    return int(number) if number.is_integer() else number
