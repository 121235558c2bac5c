"""What a caption may truthfully say, given all that can be seen."""

from __future__ import annotations

from collections.abc import Sequence

from .facts import CLASS_OF, Thing
from .words import Words

DARK = "dark"  # among the kinds of things in sight: it is dusk or night
ABOVE = frozenset({"sky", "sun", "moon", "stars", "clouds"})
WATERS = frozenset({"lake", "water", "river"})
LANDS = frozenset(
    {"mountains", "mountain", "hills", "forest", "trees", "meadow", "house", "road", "path", "tree"}
)
BROAD = (LANDS | WATERS | {"beach", "sand", "snow", "snowy hills"}) - {"house", "tree", "road", "path"}
FOR_BROAD = frozenset({"golden", "orange", "purple", "violet", "grey", "gray", "bright", "dark"})
FOR_LAND = frozenset({"snowy", "snow covered", "dry", "arid", "frosty"})


def different(things: Sequence[Thing]) -> list[Thing]:
    """Of several kinds of flowers the first: "flowers" twice would be odd."""
    blooming = [thing for thing in things if CLASS_OF[thing.kind] == "flowers"]
    return [thing for thing in things if thing not in blooming[1:]]


def kinds_of(things: Sequence[Thing], time: str) -> frozenset[str]:
    """All kinds of things in sight, and `DARK` at dusk and by night."""
    return frozenset([*(thing.kind for thing in things), *((DARK,) if time in ("dusk", "night") else ())])


def fitting(options: Sequence[str], kinds: frozenset[str]) -> list[str]:
    """Those that are true: without a moon no moonlight, with clouds no clear sky, by night no day."""
    needs = (("moon", {"moon"}), ("star", {"stars"}), ("sky", {"sky"}), ("snow", {"snow", "snowy hills"}))
    return [
        text
        for text in options
        if not any(word in text and not needed & kinds for word, needed in needs)
        and not ("clear" in text and "clouds" in kinds)
        and not (text.endswith(" day") and DARK in kinds)
    ]


def adjectives(words: Words, host: str | None, kinds: frozenset[str]) -> list[str]:
    """Those that this kind of thing can carry, or without one a landscape: no golden house, no dry lake."""
    options = fitting(words.adjectives, kinds)
    if host and host not in BROAD:
        options = [text for text in options if text not in FOR_BROAD]
    if host and host not in LANDS:
        options = [text for text in options if text not in FOR_LAND]
    return options
