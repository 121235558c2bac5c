"""Prompts that say time of day, season and style once each, in an order and a length that are asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import permutations

import numpy as np

from mcm_core.landscapes.captions import SEASONS, STYLES, TIMES, caption
from mcm_core.landscapes.facts import Thing

ORDERS = tuple(permutations(("time", "season", "style")))
LENGTHS = ("short", "long")
SHORT = 8
"""A short prompt has at most so many words, a long one more."""
AMBIGUOUS = ("snow", "snowy hills")
"""Things whose names are the season's words, too."""
TRIES = 5000


def kind(number: int) -> tuple[tuple[str, ...], str, str]:
    """(order, length, style) of a prompt by its number: after 12 every order in every length, after 72 in
    every style, too."""
    turn, place = divmod(number, len(ORDERS) * len(LENGTHS))
    styles = tuple(STYLES)
    return ORDERS[place % len(ORDERS)], LENGTHS[place // len(ORDERS)], styles[(place + turn) % len(styles)]


def prompt(
    asked: Mapping[str, str],
    things: Sequence[Thing],
    order: Sequence[str],
    length: str,
    rng: np.random.Generator,
) -> str:
    """A caption of the embedded world's own grammar, drawn until it is of this order and length.

    `asked` names time, season and style. A short one tells of one thing at most.
    """
    seen = [thing for thing in things if thing.kind not in AMBIGUOUS]
    sky = [thing for thing in seen if thing.kind == "sky"]
    for _ in range(TRIES):
        others = [thing for thing in seen if thing.kind != "sky"]
        if length == "short" and others:
            others = [others[int(rng.integers(len(others)))]]
        text = caption(asked["style"], asked["time"], asked["season"], [*sky, *others], rng, said=1.0)
        is_short = len(re.findall(r"\w+", text)) <= SHORT
        if is_short == (length == "short") and said_in(text, asked) == tuple(order):
            return text
    raise AssertionError(f"no {length} prompt says {', '.join(order)} of {dict(asked)}")


def said_in(text: str, asked: Mapping[str, str]) -> tuple[str, ...] | None:
    """The order in which a prompt says what is asked for; None where anything is not said just once."""
    places = {}
    for name, word in asked.items():
        found = [match.start() for match in _ways(name, word).finditer(text)]
        if len(found) != 1:
            return None
        places[name] = found[0]
    return tuple(sorted(places, key=lambda name: places[name]))


@cache
def _ways(name: str, word: str) -> re.Pattern[str]:
    """All that says a word of an attribute, the longest way first."""
    if name == "style":
        manner = STYLES[word]
        ways = [*manner.leads, *manner.tails, *manner.names]
    else:
        words = (TIMES if name == "time" else SEASONS)[word]
        ways = [*words.phrases, *words.adjectives, *words.heads]
    bare = {re.sub("^(a|an|the) ", "", way) for way in ways}
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, sorted(bare, key=len, reverse=True)))})\b")
