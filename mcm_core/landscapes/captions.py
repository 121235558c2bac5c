"""Captions in varied words: style, time of day, season, what is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

Rng = np.random.Generator

TIMES: Mapping[str, Sequence[str]] = {
    "dawn": ("at dawn", "at sunrise", "in the early morning", "at first light"),
    "day": ("at noon", "on a sunny day", "by day", "under a clear blue sky", "in daylight"),
    "sunset": ("at sunset", "in the evening glow", "under an orange sky", "at golden hour"),
    "dusk": ("at dusk", "at twilight", "under a purple sky", "after sunset"),
    "night": ("at night", "by night", "in the moonlight", "under a starry sky"),
    "overcast": ("on a cloudy day", "under a grey sky", "on an overcast day", "in dull weather"),
    "misty": ("in the mist", "in fog", "on a misty morning", "on a hazy day"),
}
SEASONS: Mapping[str, Sequence[str]] = {
    "spring": ("in spring", "in springtime"),
    "summer": ("in summer", "in summertime"),
    "autumn": ("in autumn", "in fall"),
    "winter": ("in winter", "in the snow", "in wintertime"),
    "desert": ("in the desert", "in a dry land"),
}
THINGS: Mapping[str, Sequence[str]] = {
    "sun": ("the sun", "a bright sun"),
    "moon": ("the moon", "a full moon"),
    "clouds": ("clouds", "some clouds"),
    "mountains": ("mountains", "a mountain range", "peaks"),
    "hills": ("hills", "rolling hills"),
    "forest": ("a forest", "woods", "a wood"),
    "trees": ("trees", "some trees"),
    "lake": ("a lake", "a calm lake"),
    "water": ("water", "the sea"),
    "river": ("a river", "a winding river"),
    "boat": ("a boat", "a sailing boat", "a sailboat"),
    "house": ("a house", "a cottage", "a cabin"),
    "meadow": ("a meadow", "grass", "green grass"),
    "beach": ("a beach", "sand"),
    "snow": ("snow", "fresh snow"),
}
STYLES: Mapping[str, Sequence[str]] = {
    "poster": ("", "", "a poster of", "a travel poster of", "a flat illustration of"),
    "watercolor": ("a watercolor of", "a watercolor painting of", "watercolour,"),
    "oil painting": ("an oil painting of", "oil painting,", "an oil on canvas of"),
    "pencil drawing": ("a pencil drawing of", "pencil drawing,", "a pencil sketch of"),
    "crayon drawing": ("a crayon drawing of", "crayon drawing,", "a child's crayon drawing of"),
    "pixel art": ("pixel art of", "pixel art,", "a pixel art picture of"),
}


def caption(style: str, time: str, season: str, things: Sequence[str], rng: Rng) -> str:
    """One sentence about a scene. A quarter of the facts stays unsaid, so that short prompts work too."""
    named = [str(rng.choice(THINGS[thing])) for thing in rng.permutation(list(things)) if rng.random() < 0.8]
    subject = _listed(named) if named else str(rng.choice(["a landscape", "a scene", "a view"]))
    when = [
        str(rng.choice(words[key]))
        for words, key in ((TIMES, time), (SEASONS, season))
        if rng.random() < 0.85
    ]
    rng.shuffle(when)
    lead = str(rng.choice(STYLES[style]))
    when_first = rng.random() < 0.25 and when and not lead.endswith("of")
    body = f"{', '.join(when)}, {subject}" if when_first else f"{subject} {' '.join(when)}"
    return " ".join(f"{lead} {body}".split())


def _listed(names: Sequence[str]) -> str:
    if len(names) == 1:
        return names[0]
    return f"{', '.join(names[:-1])} and {names[-1]}"
