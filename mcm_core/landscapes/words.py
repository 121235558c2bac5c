"""The words of the captions: how times, seasons, styles and things are called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """How a time or a season is said: as a phrase, as an adjective, as the head of a sentence."""

    phrases: tuple[str, ...]
    adjectives: tuple[str, ...]
    heads: tuple[str, ...]


@dataclass(frozen=True)
class Nouns:
    """What a kind of thing is called, alone and as several; `counted` is false for what has no number."""

    single: tuple[str, ...]
    several: tuple[str, ...] = ()
    counted: bool = True


@dataclass(frozen=True)
class Manner:
    """How a style is said: before what is shown, after it, and by name."""

    leads: tuple[str, ...]
    tails: tuple[str, ...]
    names: tuple[str, ...]


TIMES: Mapping[str, Words] = {
    "dawn": Words(
        ("at dawn", "at sunrise", "in the early morning", "at first light", "at daybreak", "in the morning"),
        ("dawn", "sunrise", "early morning", "daybreak", "morning"),
        ("dawn", "sunrise", "early morning", "first light", "daybreak", "a pink dawn"),
    ),
    "day": Words(
        (
            "at noon", "on a sunny day", "by day", "under a clear blue sky", "in daylight",
            "under a blue sky", "in the afternoon",
            "in bright sunshine", "on a clear day", "at midday", "during the day", "in the sunshine",
        ),
        ("sunny", "sunlit", "bright", "daytime", "midday"),
        ("a sunny day", "noon", "a clear day", "midday", "blue sky", "sunshine", "a bright day", "daylight"),
    ),
    "sunset": Words(
        (
            "at sunset", "in the evening glow", "under an orange sky", "at golden hour", "in the evening",
            "under a red sky", "at sundown", "in golden light", "during sunset", "in the evening sun",
        ),
        ("sunset", "golden", "evening", "orange", "sundown"),
        ("sunset", "a red sunset", "golden hour", "an orange evening", "evening", "sundown", "a sunset sky"),
    ),
    "dusk": Words(
        (
            "at dusk", "at twilight", "under a purple sky", "after sunset", "at nightfall",
            "in the blue hour",
            "in the twilight", "under a violet sky", "in the gloaming",
        ),
        ("dusk", "twilight", "purple", "violet"),
        ("dusk", "twilight", "nightfall", "a purple twilight", "blue hour", "a purple sky"),
    ),
    "night": Words(
        (
            "at night", "by night", "in the moonlight", "under a starry sky", "under the stars",
            "at midnight",
            "in the dark", "under the moon", "during the night",
        ),
        ("night", "moonlit", "starry", "dark", "midnight", "night time"),
        ("night", "a starry night", "moonlight", "midnight", "a dark night", "a moonlit night"),
    ),
    "overcast": Words(
        (
            "on a cloudy day", "under a grey sky", "on an overcast day", "in dull weather",
            "under a gray sky", "in grey weather",
            "under a cloudy sky", "in cloudy weather", "on a gloomy day", "under an overcast sky",
        ),
        ("cloudy", "overcast", "grey", "gray", "gloomy"),
        ("a cloudy day", "an overcast day", "grey weather", "a grey sky", "a gloomy day", "overcast weather"),
    ),
    "misty": Words(
        (
            "in the mist", "in fog", "on a misty morning", "on a hazy day", "in the haze", "on a foggy day",
            "in the fog", "in mist", "in the morning mist", "in thick fog", "shrouded in mist",
        ),
        ("misty", "foggy", "hazy"),
        ("mist", "fog", "a misty morning", "a foggy day", "haze", "a hazy day", "morning mist"),
    ),
}  # fmt: skip

SEASONS: Mapping[str, Words] = {
    "spring": Words(
        ("in spring", "in springtime", "in april", "in may", "in the spring", "on a spring day"),
        ("spring", "springtime"),
        ("spring", "a spring day", "springtime", "early spring"),
    ),
    "summer": Words(
        ("in summer", "in summertime", "in july", "in august", "in the summer", "on a summer day"),
        ("summer", "summery", "summertime"),
        ("summer", "a summer day", "summertime", "high summer"),
    ),
    "autumn": Words(
        ("in autumn", "in fall", "in october", "in the fall", "in the autumn", "in autumn colors"),
        ("autumn", "fall", "autumnal"),
        ("autumn", "fall", "an autumn day", "a fall day", "october"),
    ),
    "winter": Words(
        (
            "in winter",
            "in the snow",
            "in wintertime",
            "in january",
            "in december",
            "in the winter",
            "on a winter day",
        ),
        ("winter", "snowy", "wintry", "snow covered", "frosty"),
        ("winter", "snow", "a winter day", "a snowy day", "wintertime"),
    ),
    "desert": Words(
        ("in the desert", "in a dry land", "in a desert", "in a desert landscape", "in the hot desert"),
        ("desert", "dry", "arid"),
        ("desert", "a desert", "the desert", "dry land"),
    ),
}

THINGS: Mapping[str, Nouns] = {
    "sky": Nouns(("the sky", "the wide sky"), counted=False),
    "sun": Nouns(("sun",), ("suns",)),
    "moon": Nouns(("moon", "full moon"), ("moons",)),
    "stars": Nouns(("stars", "many stars"), counted=False),
    "clouds": Nouns(("clouds", "some clouds", "a few clouds"), counted=False),
    "mountains": Nouns(("mountains", "a mountain range", "peaks", "mountain peaks"), counted=False),
    "mountain": Nouns(("mountain", "peak"), ("mountains",)),
    "hills": Nouns(("hills", "rolling hills", "gentle hills"), counted=False),
    "snowy hills": Nouns(("snowy hills", "hills", "white hills"), counted=False),
    "forest": Nouns(("a forest", "woods", "a wood", "the woods", "a woodland", "the forest"), counted=False),
    "trees": Nouns(("trees", "some trees", "a line of trees", "distant trees"), counted=False),
    "lake": Nouns(("a lake", "a calm lake", "a pond", "the lake", "a quiet lake"), counted=False),
    "water": Nouns(("the sea", "water", "the ocean", "the water", "a calm sea", "a bay"), counted=False),
    "river": Nouns(
        ("a river", "a winding river", "a stream", "the river", "a creek", "a brook"), counted=False
    ),
    "boat": Nouns(
        ("boat", "sailing boat", "sailboat", "ship", "yacht"),
        ("boats", "sailboats", "sailing boats", "ships"),
    ),
    "rowing boat": Nouns(("rowing boat", "boat", "rowboat"), ("boats", "rowing boats", "rowboats")),
    "house": Nouns(
        ("house", "house", "cottage", "cabin", "hut", "home", "barn", "farmhouse"),
        ("houses", "cottages", "cabins", "huts", "barns"),
    ),
    "meadow": Nouns(
        ("a meadow", "a field", "grass", "grassland", "a prairie", "fields", "a pasture"), counted=False
    ),
    "beach": Nouns(
        ("a beach", "a sandy beach", "sand", "the beach", "a shore", "a sandy shore"), counted=False
    ),
    "sand": Nouns(("sand", "sandy ground"), counted=False),
    "snow": Nouns(("snow", "fresh snow", "deep snow", "white snow"), counted=False),
    "tree": Nouns(("tree",), ("trees",)),
    "palm": Nouns(("palm tree", "palm", "tree", "tropical palm"), ("palm trees", "palms", "trees")),
    "pine": Nouns(("pine", "pine tree", "fir tree", "tree"), ("pines", "pine trees", "fir trees", "trees")),
    "poplar": Nouns(("poplar", "tall tree", "tree"), ("poplars", "trees")),
    "cactus": Nouns(("cactus",), ("cactuses", "cacti")),
    "road": Nouns(("road", "lane", "street", "path"), ("roads", "paths")),
    "path": Nouns(("path", "footpath", "lane", "trail"), ("paths",)),
    "bridge": Nouns(("bridge",), ("bridges",)),
    "lighthouse": Nouns(("lighthouse", "lighthouse", "tower"), ("lighthouses", "towers")),
    "tower": Nouns(("tower", "striped tower"), ("towers",)),
    "windmill": Nouns(("windmill", "mill"), ("windmills",)),
    "castle": Nouns(("castle tower", "tower", "castle"), ("towers", "castle towers")),
    "balloon": Nouns(("hot air balloon", "balloon", "striped balloon"), ("hot air balloons", "balloons")),
    "poppies": Nouns(
        ("poppies", "red poppies", "a field of poppies", "flowers", "red flowers"), counted=False
    ),
    "lavender": Nouns(("lavender", "a lavender field", "purple flowers", "flowers"), counted=False),
    "tulips": Nouns(("tulips", "a field of tulips", "colorful flowers", "flowers"), counted=False),
    "sunflowers": Nouns(("sunflowers", "a field of sunflowers", "yellow flowers", "flowers"), counted=False),
    "daisies": Nouns(("daisies", "white flowers", "a field of daisies", "flowers"), counted=False),
}

STYLES: Mapping[str, Manner] = {
    "poster": Manner(
        ("a poster of", "a travel poster of", "a flat illustration of", "an illustration of", "a picture of"),
        ("as a poster", "as a travel poster", "as a flat illustration"),
        ("poster", "travel poster", "flat illustration"),
    ),
    "watercolor": Manner(
        ("a watercolor of", "a watercolor painting of", "a watercolour of", "an aquarelle of"),
        ("in watercolor", "as a watercolor", "painted in watercolor", "in the style of a watercolor"),
        ("watercolor", "watercolour", "watercolor painting", "aquarelle"),
    ),
    "oil painting": Manner(
        ("an oil painting of", "an oil on canvas of", "oil painting of"),
        ("in oil", "as an oil painting", "painted in oil", "in the style of an oil painting"),
        ("oil painting", "oil on canvas", "oil paint"),
    ),
    "pencil drawing": Manner(
        ("a pencil drawing of", "a pencil sketch of", "pencil drawing of"),
        ("in pencil", "as a pencil drawing", "drawn in pencil", "in the style of a pencil sketch"),
        ("pencil drawing", "pencil sketch", "pencil"),
    ),
    "crayon drawing": Manner(
        ("a crayon drawing of", "a child's crayon drawing of", "crayon drawing of"),
        ("in crayon", "as a crayon drawing", "drawn in crayon", "in the style of a crayon drawing"),
        ("crayon drawing", "wax crayons", "crayon"),
    ),
    "pixel art": Manner(
        ("pixel art of", "a pixel art picture of", "8 bit pixel art of"),
        ("as pixel art", "in pixel art", "in the style of pixel art", "made of pixels"),
        ("pixel art", "8 bit", "pixels"),
    ),
}

COUNTS: Mapping[int, str] = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six"}
TRAITS: Mapping[str, tuple[str, ...]] = {
    "big": ("big", "large", "huge"),
    "little": ("little", "small", "tiny"),
    "colourful": ("colourful", "colorful", "rainbow"),
    "bare": ("bare", "leafless"),
    "blossoming": ("blossoming", "flowering", "pink"),
    "winding": ("winding", "curved"),
    "straight": ("straight",),
    "pine": ("pine", "fir", "conifer"),
    "wooden": ("wooden",),
    "stone": ("stone",),
    **{
        colour: (colour,)
        for colour in (
            "white", "red", "yellow", "blue", "green", "pink", "purple", "red and white", "blue and white",
            "black and white",
        )
    },
}  # fmt: skip
"""What is true of a thing, and the words for it."""

NAMELESS = ("landscape", "scene", "view", "scenery")
