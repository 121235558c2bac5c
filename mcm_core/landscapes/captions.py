"""Captions in the words that people use, in many orders and lengths.

They tell of style, time of day, season and what is there, each early, late or in the middle, and never
contradict the picture. About a quarter of the facts stays unsaid, so that short prompts work.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .facts import Thing
from .truth import ABOVE, WATERS, adjectives, different, fitting, kinds_of
from .words import COUNTS, NAMELESS, SEASONS, STYLES, THINGS, TIMES, TRAITS, Words

__all__ = [
    "ATTRIBUTES",
    "SEASONS",
    "STYLES",
    "THINGS",
    "TIMES",
    "Prompt",
    "caption",
    "prompts",
    "vocabulary",
    "vocabulary_groups",
]

ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "time": tuple(TIMES),
    "season": tuple(SEASONS),
    "style": tuple(STYLES),
}
"""What a judge can read from a picture; the names are those of the columns of metadata.jsonl."""

Rng = np.random.Generator

TERSE = 0.12  # of the captions are a few words without articles
LONGEST = 36  # words and signs: the embedded base reads 38


@dataclass(frozen=True)
class Prompt:
    """A prompt for the evaluation, and all that it says."""

    text: str
    time: str
    season: str
    style: str
    things: tuple[Thing, ...]


@dataclass(frozen=True)
class _Told:
    """What a caption is about to say, in random order.

    `kinds` are all that can be seen, said or not, and `truth.DARK` at dusk and by night.
    """

    when: tuple[Words, ...]
    shown: tuple[Thing, ...]
    kinds: frozenset[str]


def caption(
    style: str, time: str, season: str | None, things: Sequence[Thing], rng: Rng, said: float = 0.75
) -> str:
    """One caption of at most 36 words and signs.

    `said` is the share of time, season and things that is told; at 1 all of them, up to six things. A
    season of None is not told: the picture does not show it.
    """
    terse = said < 1 and rng.random() < TERSE
    said = said / 2 if terse else said
    when = [
        words for words in (TIMES[time], SEASONS[season] if season else None) if words and rng.random() < said
    ]
    kept = [thing for thing in things if rng.random() < (said if thing.kind != "sky" else 0.06)]
    most = 6 if said >= 1 else 1 if terse else int(rng.choice([1, 1, 2, 2, 3, 3, 4, 5, 6]))
    shown = different([kept[index] for index in rng.permutation(len(kept))])[:most]
    order = [when[index] for index in rng.permutation(len(when))]
    form = _short if terse else _FORMS[int(rng.integers(len(_FORMS)))]
    shown = shown[: int(rng.integers(1, 3))] if form is _short and said < 1 else shown
    while True:
        told = _Told(tuple(order), tuple(shown), kinds_of(things, time))
        text = _tidy(form(told, style, rng))
        if len(re.findall(r"\w+|[^\w\s]", text)) <= LONGEST:
            return text
        shown = shown[:-1]


def prompts(seeds: Iterable[int], styles: Sequence[str] = tuple(STYLES)) -> Iterator[Prompt]:
    """For each seed a prompt of the same grammar that says time, season, style and one to three things."""
    for seed in seeds:
        rng = np.random.default_rng([seed, 2])
        style, time, season = (_pick(rng, tuple(table)) for table in (styles, TIMES, SEASONS))
        kinds = ["mountains", "hills", "lake", "water", "river", "forest", "house", "boat", "tree", "road"]
        kinds += ["bridge", "lighthouse", "balloon", *(("clouds",) if time != "day" else ("sun",))]
        chosen = rng.choice(kinds, int(rng.integers(1, 4)), replace=False)
        things = tuple(Thing(str(kind)) for kind in chosen)
        around = [Thing("sky"), *([Thing("snow")] if season == "winter" else [])]
        around += [Thing("moon"), Thing("stars")] if time == "night" else []
        order = tuple(things[index] for index in rng.permutation(len(things)))
        when = [(TIMES[time], SEASONS[season])[index] for index in rng.permutation(2)]
        seen = kinds_of((*things, *around), time)
        text = _FORMS[int(rng.integers(len(_FORMS)))](_Told(tuple(when), order, seen), style, rng)
        yield Prompt(_tidy(text), time, season, style, things)


def vocabulary() -> frozenset[str]:
    """All words that a caption can use."""
    texts = [*NAMELESS, *COUNTS.values(), *_SMALL_WORDS]
    for words in (*TIMES.values(), *SEASONS.values()):
        texts += [*words.phrases, *words.adjectives, *words.heads]
    for nouns in THINGS.values():
        texts += [*nouns.single, *nouns.several]
    for manner in STYLES.values():
        texts += [*manner.leads, *manner.tails, *manner.names]
    for names in TRAITS.values():
        texts += names
    return frozenset(word for text in texts for word in _WORD.findall(text))


def vocabulary_groups() -> dict[str, tuple[str, ...]]:
    """The same words by group, in phrases where they have their meaning in such."""
    groups = {
        "Time and weather": [phrase for words in TIMES.values() for phrase in words.phrases],
        "Season": [phrase for words in SEASONS.values() for phrase in words.phrases],
        "Things": [_bare(noun) for nouns in THINGS.values() for noun in (*nouns.single, *nouns.several)],
        "Looks": [word for names in TRAITS.values() for word in names],
        "How many": list(COUNTS.values()),
        "Style": [name for manner in STYLES.values() for name in manner.names],
    }
    said = {word for texts in groups.values() for text in texts for word in _WORD.findall(text)}
    groups["More words"] = sorted(vocabulary() - said)
    return {name: tuple(dict.fromkeys(texts)) for name, texts in groups.items()}


_WORD = re.compile(r"[a-z0-9']+")
_SMALL_WORDS = (
    "a an the and with by near beside under over behind of in on at day evening morning many",
    "in the sky background distance on the water over",
)


def _pick(rng: Rng, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]


def _tidy(text: str) -> str:
    return " ".join(text.replace(" ,", ",").replace(" :", ":").split()).strip(", :")


def _bare(text: str) -> str:
    return re.sub(r"^(a|an|the|some|many) ", "", text)


def _with_article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeio8' else 'a'} {noun}"


def _noun(thing: Thing, rng: Rng, adjective: str = "", article: bool = True) -> str:
    """A thing with what is true of it: "a big red house", "three suns", "misty mountains"."""
    nouns = THINGS[thing.kind]
    traits = [_pick(rng, TRAITS[trait]) for trait in thing.traits if rng.random() < 0.5]
    before = " ".join([traits[0], adjective, *traits[1:]] if traits else [adjective])
    if not nouns.counted:
        name = _pick(rng, nouns.single)
        bare = " ".join(f"{before} {_bare(name)}".split())
        single = name.startswith(("a ", "an ")) and not name.startswith("a few")
        return (
            bare if not article else name if not before.strip() else _with_article(bare) if single else bare
        )
    if thing.count > 1:
        number = COUNTS.get(thing.count, "many") if article or rng.random() < 0.5 else ""
        return " ".join(f"{number} {before} {_pick(rng, nouns.several)}".split())
    bare = " ".join(f"{before} {_pick(rng, nouns.single)}".split())
    if not article:
        return bare
    return f"the {bare}" if thing.kind in ABOVE and rng.random() < 0.6 else _with_article(bare)


def _placed(thing: Thing, rng: Rng, noun: str) -> str:
    """The noun, now and then with its place: "a boat on the water"."""
    return f"{noun} {_pick(rng, thing.where)}" if thing.where and rng.random() < 0.25 else noun


def _adjective(words: Words, host: Thing | None, told: _Told, rng: Rng) -> str:
    """A time or season as an adjective of the host, or of a landscape; "" if none fits."""
    options = adjectives(words, host.kind if host else None, told.kinds)
    return _pick(rng, options) if options else ""


def _phrase(words: Words, told: _Told, rng: Rng) -> str:
    return _pick(rng, fitting(words.phrases, told.kinds))


def _link(first: Thing, second: Thing, rng: Rng) -> str:
    """A word between two things that is true or harmless."""
    options = ["and", "with", "and", "with"]
    if first.kind not in ABOVE:
        options += {True: ["under", "under"], False: ["near", "by"]}[second.kind in ABOVE]
        options += ["beside", "by", "by"] if second.kind in WATERS and first.kind not in WATERS else []
    if "in the background" in first.where and second.kind not in ABOVE:
        options += ["behind", "behind"]
    return _pick(rng, options)


def _chain(things: Sequence[Thing], names: Sequence[str], rng: Rng) -> str:
    """ "x", "x and y", "x by y and z", "x, y and z"."""
    if len(names) < 2:
        return "".join(names)
    if len(names) > 2 and rng.random() < 0.5:
        return f"{', '.join(names[:-1])} and {names[-1]}"
    rest = f"{', '.join(names[1:-1])} and {names[-1]}" if len(names) > 2 else names[1]
    return f"{names[0]} {_link(things[0], things[1], rng)} {rest}"


def _flowing(told: _Told, style: str, rng: Rng) -> str:
    """A phrase or sentence in which time, season and style each find a place of their own."""
    places: dict[str, list[str]] = {"front": [], "middle": [], "end": []}
    shown, adjectives, head = list(told.shown), [], ""
    host = next((thing for thing in shown if thing.kind not in ABOVE), None)
    for words in told.when:
        place = _pick(rng, ("adjective", "adjective", "front", "middle", "end", "end", "head"))
        heads = fitting(words.heads, told.kinds)
        if place == "head" and not head and heads:
            head = _pick(rng, heads)
            continue
        carried = _adjective(words, host, told, rng)
        if place in ("adjective", "head") and carried and (host or not shown):
            adjectives.append(carried)
        else:
            places[place if place in places else "end"].append(_phrase(words, told, rng))
    spoken = _core(told, head, adjectives, places["middle"], host, rng)
    if places["end"] and (style_first := rng.random() < 0.5):
        return _styled(f"{spoken} {' '.join(places['end'])}", places["front"], style, rng, style_first)
    text = _styled(spoken, places["front"], style, rng, bool(rng.random() < 0.5))
    return f"{text} {' '.join(places['end'])}"


def _core(
    told: _Told, head: str, adjectives: list[str], middle: list[str], host: Thing | None, rng: Rng
) -> str:
    """What is there: the things, the first with its adjectives, perhaps led by time or season."""
    adjective, shown, between = " ".join(adjectives), list(told.shown), " ".join(middle)
    if host in shown and rng.random() < 0.7:
        shown.sort(key=lambda thing: thing is not host)
    names = [_placed(thing, rng, _noun(thing, rng, adjective if thing is host else "")) for thing in shown]
    if not shown:
        if head:
            return f"{head} {between}" if not adjective else f"{_led(head, adjective)} {between}"
        return f"{_with_article(' '.join(f'{adjective} {_pick(rng, NAMELESS[:3])}'.split()))} {between}"
    if between and len(names) > 1:
        cut = int(rng.integers(1, len(names)))
        start, rest = _chain(shown[:cut], names[:cut], rng), _chain(shown[cut:], names[cut:], rng)
        body = f"{start} {between} {_pick(rng, ('with', 'and', 'with'))} {rest}"
    else:
        body = f"{_chain(shown, names, rng)} {between}"
    if not head:
        return body
    options = [" with", " and", ",", ":"]
    options += (
        [] if shown[0].kind in ABOVE else [" over", " over", " by" if shown[0].kind in WATERS else " over"]
    )
    return f"{head}{_pick(rng, options)} {body}"


def _led(head: str, adjective: str) -> str:
    """A head with an adjective: "a sunset" and "winter" give "a winter sunset"."""
    bare = f"{adjective} {_bare(head)}"
    return _with_article(bare) if head.startswith(("a ", "an ")) else bare


def _styled(body: str, front: list[str], style: str, rng: Rng, late: bool) -> str:
    """The style before or behind the body, `front` before or within it; a poster mostly needs no word."""
    manner, before = STYLES[style], ", ".join(front)
    if style == "poster" and rng.random() < 0.65:
        return f"{before}, {body}" if before else body
    if late:
        text = f"{before}, {body}" if before else body
        return (
            f"{text}, {_pick(rng, manner.names)}"
            if rng.random() < 0.5
            else f"{text} {_pick(rng, manner.tails)}"
        )
    if rng.random() < 0.3:
        return ", ".join(part for part in (_pick(rng, manner.names), before, body) if part)
    lead = f"{_pick(rng, manner.leads)} {body}"
    return f"{before}, {lead}" if before else lead


def _listed(told: _Told, style: str, rng: Rng) -> str:
    """Words between commas, in any order, with and without articles."""
    article = bool(rng.random() < 0.4)
    parts = [_noun(thing, rng, article=article) for thing in told.shown]
    for words in told.when:
        ways = fitting((*words.heads, *words.phrases, *words.adjectives), told.kinds)
        parts.append(_bare(_pick(rng, ways)))
    manner = STYLES[style]
    if style != "poster" or rng.random() < 0.3 or not parts:
        parts.append(_pick(rng, (*manner.names, *manner.names, *manner.tails)))
    parts = [parts[index] for index in rng.permutation(len(parts))]
    return (", " if rng.random() < 0.8 else " ").join(parts)


def _short(told: _Told, style: str, rng: Rng) -> str:
    """A few words without articles: "winter forest", "red house", "lake sunset", "sunset lake watercolor"."""
    host = next((thing for thing in told.shown if thing.kind not in ABOVE), None)
    words, behind = [], []
    for when in told.when:
        carried = _adjective(when, host, told, rng)
        if rng.random() < 0.6 and carried:
            words.append(carried)
        else:
            behind.append(_bare(_pick(rng, fitting((*when.heads, *when.phrases), told.kinds))))
    noun = _noun(host, rng, article=False) if host else _pick(rng, NAMELESS)
    others = [_noun(thing, rng, article=False) for thing in told.shown if thing is not host]
    joined = [f"{_pick(rng, ('and', 'with', ''))} {other}" for other in others]
    parts = [*words, noun, *behind, *joined] if rng.random() < 0.5 else [*behind, *words, noun, *joined]
    text = " ".join(parts)
    if style == "poster" and rng.random() < 0.8:
        return text
    name = _pick(rng, STYLES[style].names)
    return f"{name} {text}" if rng.random() < 0.5 else f"{text} {name}"


_FORMS = (_flowing, _flowing, _flowing, _flowing, _listed, _short)
