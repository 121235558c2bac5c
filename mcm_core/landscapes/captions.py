"""Captions in the words that people use, in many orders and lengths.

They tell of style, time of day, season and what is there, and never contradict the picture. About a quarter
of the facts stays unsaid, so that short prompts work.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .facts import Thing

Rng = np.random.Generator


@dataclass(frozen=True)
class Words:
    """How a time or a season is said: as a phrase, as an adjective, as the head of a sentence."""

    phrases: tuple[str, ...]
    adjectives: tuple[str, ...]
    heads: tuple[str, ...]


TIMES: Mapping[str, Words] = {
    "dawn": Words(
        (
            "at dawn",
            "at sunrise",
            "in the early morning",
            "at first light",
            "in the morning",
            "before sunrise",
        ),
        ("sunrise", "dawn", "early morning", "morning"),
        ("dawn", "sunrise", "an early morning", "first light", "morning"),
    ),
    "day": Words(
        (
            "at noon",
            "on a sunny day",
            "by day",
            "under a clear blue sky",
            "in daylight",
            "in bright sunshine",
            "on a clear day",
        ),
        ("sunny", "sunlit", "bright", "daytime"),
        ("a sunny day", "noon", "a clear day", "midday", "blue sky", "sunshine"),
    ),
    "sunset": Words(
        (
            "at sunset",
            "in the evening glow",
            "under an orange sky",
            "at golden hour",
            "in the evening",
            "under a red sky",
            "at sundown",
        ),
        ("sunset", "golden", "evening", "orange"),
        (
            "sunset",
            "a red sunset",
            "golden hour",
            "an orange evening",
            "evening",
            "a glowing sunset",
            "sundown",
        ),
    ),
    "dusk": Words(
        ("at dusk", "at twilight", "under a purple sky", "after sunset", "at nightfall", "in the blue hour"),
        ("dusk", "twilight", "purple"),
        ("dusk", "twilight", "nightfall", "a purple evening", "blue hour"),
    ),
    "night": Words(
        (
            "at night",
            "by night",
            "in the moonlight",
            "under a starry sky",
            "under the stars",
            "at midnight",
            "in the dark",
        ),
        ("night", "moonlit", "starry", "dark"),
        ("night", "a starry night", "moonlight", "midnight", "a dark night", "a clear night"),
    ),
    "overcast": Words(
        (
            "on a cloudy day",
            "under a grey sky",
            "on an overcast day",
            "in dull weather",
            "on a rainy day",
            "under a cloudy sky",
            "under a gray sky",
        ),
        ("cloudy", "overcast", "grey", "gloomy"),
        ("a cloudy day", "an overcast day", "grey weather", "a grey sky", "a gloomy day"),
    ),
    "misty": Words(
        (
            "in the mist",
            "in fog",
            "on a misty morning",
            "on a hazy day",
            "in the haze",
            "on a foggy day",
            "in the fog",
        ),
        ("misty", "foggy", "hazy"),
        ("mist", "fog", "a misty morning", "a foggy day", "haze", "a hazy day"),
    ),
}
SEASONS: Mapping[str, Words] = {
    "spring": Words(
        ("in spring", "in springtime", "in april", "in may"),
        ("spring", "springtime"),
        ("spring", "a spring day", "springtime"),
    ),
    "summer": Words(
        ("in summer", "in summertime", "in july", "in august"),
        ("summer", "summery"),
        ("summer", "a summer day", "summertime"),
    ),
    "autumn": Words(
        ("in autumn", "in fall", "in october", "in the fall"),
        ("autumn", "fall", "autumnal"),
        ("autumn", "fall", "an autumn day", "fall colors"),
    ),
    "winter": Words(
        ("in winter", "in the snow", "in wintertime", "in january", "in december"),
        ("winter", "snowy", "wintry", "snow covered"),
        ("winter", "snow", "a winter day", "a snowy day"),
    ),
    "desert": Words(
        ("in the desert", "in a dry land", "in the dry heat", "in a desert landscape"),
        ("desert", "dry", "arid"),
        ("desert", "a desert", "dry land"),
    ),
}


@dataclass(frozen=True)
class Nouns:
    """What a kind of thing is called, alone and as several; `article` is false for what is not counted."""

    single: tuple[str, ...]
    several: tuple[str, ...]
    label: str | None
    article: bool = True


THINGS: Mapping[str, Nouns] = {
    "sun": Nouns(("sun",), ("suns",), "sun"),
    "moon": Nouns(("moon", "full moon"), ("moons",), "sun"),
    "stars": Nouns(("stars", "a starry sky"), ("stars",), None, False),
    "clouds": Nouns(("clouds", "white clouds", "some clouds"), ("clouds",), "cloud", False),
    "mountains": Nouns(
        ("mountains", "a mountain range", "peaks", "a mountain", "mountain peaks"),
        ("mountains",),
        "mountain",
        False,
    ),
    "hills": Nouns(("hills", "rolling hills", "a hill", "green hills"), ("hills",), "hill", False),
    "forest": Nouns(("forest", "wood", "pine forest"), ("woods", "forests"), "forest"),
    "trees": Nouns(("trees", "some trees", "a row of trees"), ("trees",), "forest", False),
    "lake": Nouns(("lake", "calm lake", "pond"), ("lakes",), "water"),
    "water": Nouns(("the sea", "water", "the ocean", "the coast"), ("water",), "water", False),
    "river": Nouns(("river", "winding river", "stream"), ("rivers",), "water"),
    "boat": Nouns(
        ("boat", "sailing boat", "sailboat", "ship"), ("boats", "sailboats", "sailing boats"), "boat"
    ),
    "rowing boat": Nouns(("rowing boat", "boat", "rowboat"), ("boats", "rowing boats"), "boat"),
    "house": Nouns(("house", "cottage", "cabin", "hut", "home"), ("houses", "cottages", "cabins"), "house"),
    "meadow": Nouns(("meadow", "field", "green field"), ("meadows", "fields"), "grass"),
    "beach": Nouns(("beach", "sandy beach"), ("beaches",), "sand"),
    "sand": Nouns(("sand",), ("sand",), "sand", False),
    "snow": Nouns(("snow", "fresh snow", "deep snow"), ("snow",), "snow", False),
    "tree": Nouns(("tree",), ("trees",), "tree"),
    "palm": Nouns(("palm tree", "palm", "tree"), ("palm trees", "palms", "trees"), "tree"),
    "pine": Nouns(("pine", "pine tree", "fir tree", "tree"), ("pines", "pine trees", "trees"), "tree"),
    "poplar": Nouns(("poplar", "tall tree", "tree"), ("poplars", "trees"), "tree"),
    "cactus": Nouns(("cactus",), ("cactuses",), "tree"),
    "path": Nouns(("path", "footpath", "lane", "road"), ("paths",), "road"),
    "road": Nouns(("road", "path", "lane", "track"), ("roads", "paths"), "road"),
    "bridge": Nouns(("bridge",), ("bridges",), "bridge"),
    "lighthouse": Nouns(("lighthouse", "tower"), ("lighthouses", "towers"), "tower"),
    "tower": Nouns(("tower", "lighthouse"), ("towers",), "tower"),
    "windmill": Nouns(("windmill", "mill"), ("windmills",), "tower"),
    "castle": Nouns(("tower", "castle tower"), ("towers",), "tower"),
    "balloon": Nouns(("hot air balloon", "balloon"), ("hot air balloons", "balloons"), "balloon"),
    "poppies": Nouns(
        ("poppies", "red poppies", "a field of poppies", "flowers", "red flowers"),
        ("poppies", "flowers"),
        "flowers",
        False,
    ),
    "lavender": Nouns(
        ("lavender", "a lavender field", "purple flowers", "flowers"),
        ("lavender", "flowers"),
        "flowers",
        False,
    ),
    "tulips": Nouns(
        ("tulips", "a field of tulips", "colorful flowers", "flowers"),
        ("tulips", "flowers"),
        "flowers",
        False,
    ),
    "sunflowers": Nouns(
        ("sunflowers", "a field of sunflowers", "yellow flowers", "flowers"),
        ("sunflowers", "flowers"),
        "flowers",
        False,
    ),
    "daisies": Nouns(
        ("daisies", "white flowers", "a field of daisies", "flowers"),
        ("daisies", "flowers"),
        "flowers",
        False,
    ),
}
CLASS_OF: Mapping[str, str | None] = {kind: nouns.label for kind, nouns in THINGS.items()}

STYLES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "poster": (
        ("a poster of", "a travel poster of", "a flat illustration of", "an illustration of", "a picture of"),
        ("poster", "travel poster", "flat illustration", "as a poster"),
    ),
    "watercolor": (
        (
            "a watercolor of",
            "a watercolor painting of",
            "watercolour,",
            "watercolor painting of",
            "an aquarelle of",
        ),
        (
            "watercolor",
            "in watercolor",
            "watercolor painting",
            "as a watercolor",
            "watercolour",
            "painted in watercolor",
        ),
    ),
    "oil painting": (
        ("an oil painting of", "oil painting,", "an oil on canvas of", "oil painting of"),
        ("oil painting", "in oil", "oil on canvas", "as an oil painting", "painted in oil"),
    ),
    "pencil drawing": (
        ("a pencil drawing of", "pencil drawing,", "a pencil sketch of", "pencil drawing of"),
        ("pencil drawing", "in pencil", "pencil sketch", "as a pencil drawing", "drawn in pencil"),
    ),
    "crayon drawing": (
        ("a crayon drawing of", "crayon drawing,", "a child's crayon drawing of", "crayon drawing of"),
        ("crayon drawing", "in crayon", "wax crayons", "as a crayon drawing", "drawn in crayon"),
    ),
    "pixel art": (
        ("pixel art of", "pixel art,", "a pixel art picture of", "8 bit pixel art of"),
        ("pixel art", "in pixels", "as pixel art", "in the style of pixel art", "8 bit"),
    ),
}
"""Of each style: what can lead a sentence, and what can end it or stand in a list."""

COUNTS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six"}
NAMELESS = ("a landscape", "a scene", "a view", "landscape", "scenery")
LINKS = ("and", "with", "by", "near", "and", "with")


def caption(style: str, time: str, season: str | None, things: Sequence[Thing], rng: Rng, said: float = 0.78) -> str:
    """One caption. `said` is the share of the facts that are told; at 1 time, season and style are sure."""
    when = [words for words in (TIMES[time], *([SEASONS[season]] if season else [])) if rng.random() < max(said, 0.8) or said >= 1]
    when = [when[index] for index in rng.permutation(len(when))]
    shown = [
        thing for thing in (things[index] for index in rng.permutation(len(things))) if rng.random() < said
    ]
    forms = (_sentence, _sentence, _adjectival, _headed, _listed, _short)
    text = forms[int(rng.integers(len(forms)))](when, shown[: int(rng.integers(1, 6))], rng)
    return " ".join(_styled(text, style, rng, said).split())


def prompts(seed: int, styles: Sequence[str] = ("poster",)) -> tuple[str, str, str, str]:
    """A prompt of this grammar that tells all: -> prompt, style, time, season. For the evaluation."""
    rng = np.random.default_rng([seed, 2])
    style, time, season = (_pick(rng, tuple(table)) for table in (styles, TIMES, SEASONS))
    kinds = ("mountains", "hills", "lake", "river", "forest", "house", "boat", "clouds", "tree", "road")
    things = [Thing(str(kind)) for kind in rng.choice(kinds, int(rng.integers(1, 4)), replace=False)]
    return caption(style, time, season, things, rng, said=1.0), style, time, season


def vocabulary() -> frozenset[str]:
    """All words that a caption can use."""
    tables: list[str] = [*NAMELESS, *LINKS, *COUNTS.values(), *_SMALL_WORDS]
    for words in (*TIMES.values(), *SEASONS.values()):
        tables += [*words.phrases, *words.adjectives, *words.heads]
    for nouns in THINGS.values():
        tables += [*nouns.single, *nouns.several]
    for leads, tails in STYLES.values():
        tables += [*leads, *tails]
    tables += TRAITS
    return frozenset(word for text in tables for word in re.findall(r"[a-z0-9']+", text))


TRAITS = (
    "big",
    "little",
    "bare",
    "red",
    "yellow",
    "blue",
    "white",
    "green",
    "wooden",
    "stone",
    "colourful",
    "winding",
    "straight",
    "red and white",
    "blue and white",
    "black and white",
    "large",
    "huge",
    "small",
    "tiny",
    "colorful",
)
_SAME = {
    "big": ("big", "large", "huge"),
    "little": ("little", "small", "tiny"),
    "colourful": ("colourful", "colorful"),
}
_SMALL_WORDS = (
    "a",
    "an",
    "the",
    "over",
    "under",
    "of",
    "in",
    "on",
    "at",
    "with",
    "day",
    "landscape",
    "beside",
    "scene",
    "sky",
)


def _pick(rng: Rng, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]


def _noun(thing: Thing, rng: Rng, adjective: str = "", article: bool = True) -> str:
    """A thing with what is true of it: "a big red house", "three suns", "misty mountains"."""
    nouns = THINGS[thing.kind]
    traits = [_pick(rng, _SAME.get(trait, (trait,))) for trait in thing.traits if rng.random() < 0.5]
    if thing.count > 1 and nouns.article:
        number = COUNTS.get(thing.count, "many") if rng.random() < 0.7 else ""
        return " ".join([number, *traits, adjective, _pick(rng, nouns.several)])
    name = _pick(rng, nouns.single)
    if not nouns.article:
        bare = re.sub(r"^(a|an|the|some) ", "", name)
        return f"{adjective} {bare}" if adjective else name if article else bare
    plain = " ".join(" ".join([*traits, adjective, name]).split())
    return f"{_article(plain, thing.kind, rng)} {plain}" if article else plain


def _article(noun: str, kind: str, rng: Rng) -> str:
    if kind in ("sun", "moon") and rng.random() < 0.6:
        return "the"
    return "an" if noun[0] in "aeiou" else "a"


def _joined(names: Sequence[str], rng: Rng) -> str:
    """ "x", "x and y", "x with y and z", "x, y and z"."""
    if not names:
        return _pick(rng, NAMELESS)
    if len(names) == 1:
        return names[0]
    if rng.random() < 0.5:
        return f"{', '.join(names[:-1])} and {names[-1]}"
    rest = f"{', '.join(names[1:-1])} and {names[-1]}" if len(names) > 2 else names[1]
    return f"{names[0]} {_pick(rng, LINKS)} {rest}"


def _sentence(when: list[Words], shown: list[Thing], rng: Rng) -> str:
    """Phrases of time and season before, between or after what is there."""
    names, phrases = [_noun(thing, rng) for thing in shown], [_pick(rng, words.phrases) for words in when]
    place = rng.random()
    if place < 0.3 and phrases:
        return f"{', '.join(phrases)}, {_joined(names, rng)}"
    if place < 0.6 and phrases and len(names) > 1:
        return f"{names[0]} {' '.join(phrases)} {_pick(rng, ('with', 'and'))} {_joined(names[1:], rng)}"
    if place < 0.75 and len(phrases) == 2:
        return f"{phrases[0]}, {_joined(names, rng)} {phrases[1]}"
    return f"{_joined(names, rng)} {' '.join(phrases)}"


def _adjectival(when: list[Words], shown: list[Thing], rng: Rng) -> str:
    """The first thing carries time or season or both: "a misty autumn forest by a lake"."""
    as_adjectives = when if rng.random() < 0.5 else when[:1]
    adjective = " ".join(_pick(rng, words.adjectives) for words in as_adjectives)
    phrases = " ".join(_pick(rng, words.phrases) for words in when[len(as_adjectives) :])
    if not shown:
        head = " ".join(f"{adjective} landscape".split())
        return f"{_article(head, '', rng)} {head} {phrases}"
    names = [_noun(shown[0], rng, adjective), *(_noun(thing, rng) for thing in shown[1:])]
    return f"{_joined(names, rng)} {phrases}"


def _headed(when: list[Words], shown: list[Thing], rng: Rng) -> str:
    """Time or season speaks first: "sunset over a lake", "a winter day with a house"."""
    if not when:
        return _joined([_noun(thing, rng) for thing in shown], rng)
    head, names = _pick(rng, when[0].heads), [_noun(thing, rng) for thing in shown]
    rest = f" {_pick(rng, when[1].phrases)}" if len(when) > 1 else ""
    link = _pick(rng, (" over", ",", " with", ":", " and"))
    if rng.random() < 0.5:
        return f"{head}{rest}{link} {_joined(names, rng)}"
    return f"{head}{link} {_joined(names, rng)}{rest}"


def _listed(when: list[Words], shown: list[Thing], rng: Rng) -> str:
    """Words between commas, in any order."""
    article = bool(rng.random() < 0.4)
    parts = [_noun(thing, rng, article=article) for thing in shown]
    parts += [re.sub(r"^(a|an) ", "", _pick(rng, words.heads + words.phrases)) for words in when]
    return ", ".join(parts[index] for index in rng.permutation(len(parts))) or _pick(rng, NAMELESS)


def _short(when: list[Words], shown: list[Thing], rng: Rng) -> str:
    """Two or three words: "winter forest", "red house", "lake sunset"."""
    first = _noun(shown[0], rng, article=False) if shown else "landscape"
    last = ""
    if rng.random() < 0.3 and when:
        last, when = re.sub(r"^(a|an) ", "", _pick(rng, when[0].heads)), when[1:]
    return " ".join([*(_pick(rng, words.adjectives) for words in when), first, last])


def _styled(text: str, style: str, rng: Rng, said: float) -> str:
    """The style before or after; a poster mostly needs no word."""
    leads, tails = STYLES[style]
    if style == "poster" and rng.random() < 0.6:
        return text
    if rng.random() < 0.5:
        return f"{_pick(rng, leads)} {text}"
    if rng.random() < 0.2:
        return f"{re.sub(r'^(in|as|painted|drawn) .*', tails[0], _pick(rng, tails))}, {text}"
    return f"{text}, {_pick(rng, tails)}"
