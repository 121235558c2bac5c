"""The embedded world: scenes, label maps, sketches, captions and the folder they are written to."""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcm_core.landscapes import captions, facts, materials, palette, render, shapes, sky
from mcm_core.landscapes.easel import CLASSES, IDS, Easel
from mcm_core.landscapes.facts import Thing
from mcm_core.landscapes.painter import Painter
from mcm_core.landscapes.scene import Scene
from mcm_core.landscapes.scene import render as render_scene
from mcm_core.landscapes.shapes import box
from mcm_core.landscapes.sketch import sketch
from mcm_core.landscapes.styles import STYLES, stylise
from mcm_core.landscapes.words import TRAITS, Words

SOME = range(400)


@cache
def some_scenes() -> list[Scene]:
    return [render_scene(seed) for seed in SOME]


@given(st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_any_seed_gives_a_whole_scene(seed: int) -> None:
    scene = render_scene(seed)
    assert scene.picture.shape == (256, 256, 3)
    assert scene.picture.dtype == scene.labels.dtype == np.uint8
    assert scene.labels.min() >= 1  # a rendered map has no unpainted pixel
    assert scene.labels.max() <= len(CLASSES)


def test_a_seed_is_the_same_scene_each_time() -> None:
    first, again = render.example(7, tuple(STYLES)), render.example(7, tuple(STYLES))
    assert np.array_equal(first.picture, again.picture)
    assert np.array_equal(first.labels, again.labels)
    assert np.array_equal(first.sketch, again.sketch)
    assert first.text == again.text
    assert not np.array_equal(first.labels, render.example(8).labels)


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_512_pixels_show_the_same_scene(seed: int) -> None:
    small, large = render_scene(seed), render_scene(seed, side=512)
    assert large.picture.shape == (512, 512, 3)
    halved = cv2.resize(large.picture, (256, 256), interpolation=cv2.INTER_AREA)
    assert np.abs(halved.astype(int) - small.picture).max() <= 1
    assert np.array_equal(large.labels[1::2, 1::2], small.labels)


def test_picture_and_map_share_their_edges() -> None:
    easel = Easel()
    easel.fill(box(-0.1, 0.5, 1.1, 1.1), np.array([1, 0, 0], np.float32), "water")
    picture, labels, _ = easel.finish()
    assert (labels[:128] == IDS["sky"]).all()
    assert (labels[128:] == IDS["water"]).all()
    assert (picture[:127, :, 0] == 0).all()
    assert (picture[129:, :, 0] == 255).all()


OUTLINES = {
    "heart": shapes.moved(shapes.heart(), 0.5, 0.5, 0.3),
    "cut by the edge": shapes.moved(shapes.star(), 0.02, 0.9, 0.4),
    "stroke": shapes.brush_stroke(np.random.default_rng(1), np.array([0.1, 0.2]), np.array([0.9, 0.6]), 0.12),
    "everything": box(-0.05, -0.05, 1.05, 1.05),
}


@pytest.mark.parametrize(("season", "light"), [("spring", "day"), ("winter", "night")])
@pytest.mark.parametrize("kind", IDS)
def test_any_class_fills_any_outline_exactly(kind: str, season: str, light: str) -> None:
    """Its look stays inside the outline, and the map knows nothing of windows, waves and stripes."""
    other = "water" if kind == "sky" else "sky"
    for outline in OUTLINES.values():
        bare, easel = Easel(), Easel()
        bare.fill(outline, np.zeros(3, np.float32), "water")
        painter = Painter(
            np.random.default_rng(0), easel, palette.LIGHTS[light], palette.SEASONS[season], 0.5
        )
        easel.labels[:] = IDS[other]
        materials.paint(painter, outline, kind)
        assert np.array_equal(easel.labels == IDS[kind], bare.parts > 0)
        far = cv2.dilate((bare.parts > 0).astype(np.uint8), np.ones((5, 5))) == 0
        if kind != "sun":  # which has a halo
            assert (easel.picture[far] == 0).all()


@pytest.mark.parametrize("kind", IDS)
def test_a_class_is_more_than_one_colour(kind: str) -> None:
    """Waves, crowns, facets, windows, stripes, or at least light and shade."""
    easel = Easel()
    painter = Painter(
        np.random.default_rng(0), easel, palette.LIGHTS["night"], palette.SEASONS["summer"], 0.5
    )
    materials.paint(painter, box(0.2, 0.2, 0.8, 0.8), kind)
    inside = easel.picture[104:408, 104:408]
    assert max(inside.std(0).max(), inside.std(1).max()) > 0.01


def test_the_colours_of_the_map_are_well_apart() -> None:
    codes = np.array([palette.rgb(kind.color) for kind in CLASSES]) * 255
    apart = np.linalg.norm(codes[:, None] - codes[None], axis=-1) + 1000 * np.eye(len(codes))
    assert apart[12:].min() > 45


def test_strokes_that_overlap_have_one_outline() -> None:
    first, second = box(-0.2, 0.2, 0.5, 0.5), box(0.3, 0.4, 0.8, 0.9)
    joined, apart = Easel(), Easel()
    joined.fill(shapes.union([first, second]), np.ones(3, np.float32), "water")
    for outline in (first, second):
        apart.fill(outline, np.ones(3, np.float32), "water")
    differing = (joined.labels != apart.labels).mean()
    assert differing < 0.01


def test_all_classes_times_seasons_and_things_occur() -> None:
    for wild in (False, True):
        labels = [scene.labels for scene in some_scenes() if scene.wild == wild]
        assert {int(label) for drawn in labels for label in np.unique(drawn)} == set(IDS.values()), wild
    assert {scene.time for scene in some_scenes()} == set(palette.LIGHTS) == set(captions.TIMES)
    assert {scene.season for scene in some_scenes()} == set(palette.SEASONS) == set(captions.SEASONS)
    kinds = {thing.kind for scene in some_scenes() for thing in scene.things}
    assert kinds == set(captions.THINGS) == set(facts.CLASS_OF)


def test_a_third_of_the_scenes_is_wild() -> None:
    assert 0.28 < np.mean([scene.wild for scene in some_scenes()]) < 0.42


def test_what_is_said_can_be_seen() -> None:
    for scene in some_scenes():
        for thing in scene.things:
            label = facts.CLASS_OF[thing.kind]
            assert label is None or (scene.labels == IDS[label]).any(), thing
            assert set(thing.traits) <= set(TRAITS)


def test_a_thing_that_is_painted_over_is_forgotten() -> None:
    for covered in (False, True):
        easel = Easel()
        painter = Painter(
            np.random.default_rng(0), easel, palette.LIGHTS["day"], palette.SEASONS["summer"], 0.5
        )
        for x in (0.2, 0.5, 0.8):
            sky.orb(painter, x, 0.3, 0.06)
        if covered:
            materials.paint(painter, box(-0.1, -0.1, 0.35, 1.1), "grass")
        suns = next(thing for thing in facts.things(painter.sightings, easel) if thing.kind == "sun")
        assert suns.count == (2 if covered else 3)


def test_scenes_without_land_do_not_tell_their_season() -> None:
    assert not facts.shows_season(np.full((8, 8), IDS["sky"], np.uint8), "autumn")
    assert not facts.shows_season(np.full((8, 8), IDS["sand"], np.uint8), "winter")
    assert facts.shows_season(np.full((8, 8), IDS["sand"], np.uint8), "desert")
    assert facts.shows_season(np.full((8, 8), IDS["snow"], np.uint8), "winter")
    shown = [scene.shows_season for scene in some_scenes()]
    assert 0.7 < np.mean(shown) < 1


def test_the_exact_sketch_is_where_parts_meet() -> None:
    parts = np.zeros((32, 32), np.int32)
    parts[:, 16:] = 1
    drawn = sketch(parts, np.random.default_rng(0), freehand=0)
    columns = np.flatnonzero(drawn.any(0))
    assert set(np.unique(drawn)) == {0, 255}
    assert columns.min() >= 14
    assert columns.max() <= 17


def test_freehand_sketches_stay_near_the_outlines() -> None:
    scene = next(scene for scene in some_scenes() if not scene.wild and len(np.unique(scene.parts)) > 20)
    exact = sketch(scene.parts, np.random.default_rng(0), freehand=0)
    distance = cv2.distanceTransform(255 - exact, cv2.DIST_L2, 5)
    for seed in range(10):
        drawn = sketch(scene.parts, np.random.default_rng(seed))
        assert drawn.any()
        assert np.quantile(distance[drawn > 0], 0.95) < 8


def test_a_mast_is_drawn_however_hastily() -> None:
    parts = np.zeros((256, 256), np.int32)
    parts[40:200, 128:130] = 1
    for seed in range(20):
        drawn = sketch(parts, np.random.default_rng(seed), freehand=0.01)
        assert drawn[60:180].any(1).mean() > 0.8


@pytest.mark.parametrize("seed", [4, 9])
def test_sketches_of_512_pixels_are_drawn_by_the_same_hand(seed: int) -> None:
    small, large = (render.example(seed, side=side).sketch for side in (256, 512))
    assert large.shape == (512, 512)
    assert set(np.unique(large)) == {0, 255}
    near = cv2.dilate(small, np.ones((9, 9))) > 0
    assert near[large[::2, ::2] > 0].mean() > 0.9
    assert 0.7 < large.mean() / small.mean() < 1.4


@pytest.mark.parametrize("side", [256, 512])
@pytest.mark.parametrize("style", STYLES)
def test_styles_keep_the_layout(style: str, side: int) -> None:
    scene = render_scene(4, side)
    painted = stylise(scene.picture, style, np.random.default_rng(0))
    assert painted.shape == scene.picture.shape
    assert painted.dtype == np.uint8
    assert np.array_equal(painted, scene.picture) == (style == "poster")
    grey = cv2.GaussianBlur(painted.mean(-1), (0, 0), side / 128)
    slope = np.hypot(cv2.Sobel(grey, cv2.CV_64F, 1, 0), cv2.Sobel(grey, cv2.CV_64F, 0, 1))
    outline = cv2.dilate(sketch(scene.parts, np.random.default_rng(0), freehand=0), np.ones((5, 5))) > 0
    assert slope[outline].mean() > 2 * slope[~outline].mean()


def words_of(*texts: str) -> set[str]:
    return {word for text in texts for word in re.findall(r"[a-z0-9']+", text)}


SMALL = words_of("a an the in at on under by of and with over near beside behind day sky some style made is")


def names(words: Words) -> set[str]:
    return words_of(*words.phrases, *words.adjectives, *words.heads) - SMALL


@pytest.mark.parametrize("style", STYLES)
def test_a_style_looks_the_same_at_512_pixels(style: str) -> None:
    small, large = (
        stylise(render_scene(4, side).picture, style, np.random.default_rng(0)) for side in (256, 512)
    )
    halved = cv2.resize(large, (256, 256), interpolation=cv2.INTER_AREA)
    assert np.abs(halved.astype(float) - small).mean() < 6


class TestCaptions:
    SEEN = (
        Thing("sky"),
        Thing("lake"),
        Thing("boat", 2, (), ("on the water",)),
        Thing("house", 1, ("big", "wooden")),
        Thing("snow"),
    )

    def said(
        self, seed: int, time: str = "sunset", season: str | None = "autumn", style: str = "poster"
    ) -> str:
        return captions.caption(style, time, season, self.SEEN, np.random.default_rng(seed))

    def test_they_name_only_what_is_there(self) -> None:
        """In an autumn evening with a lake, two boats, a house and snow, no word but of these."""
        true = {thing.kind for thing in self.SEEN}
        allowed = SMALL | names(captions.TIMES["sunset"]) | names(captions.SEASONS["autumn"])
        allowed |= words_of(*(text for kind in true for text in captions.THINGS[kind].single))
        allowed |= words_of(*(text for kind in true for text in captions.THINGS[kind].several))
        allowed |= words_of(*TRAITS["big"], *TRAITS["wooden"], "two landscape scene view scenery")
        manner = captions.STYLES["poster"]
        allowed |= words_of(*manner.leads, *manner.tails, *manner.names, "on the water")
        for seed in range(600):
            assert words_of(self.said(seed)) <= allowed, self.said(seed)

    @pytest.mark.parametrize(
        ("absent", "forbidden"),
        [("stars", "starry"), ("moon", "moonlit"), ("moon", "moonlight"), ("clouds", "clouds")],
    )
    def test_no_moon_nor_stars_where_there_are_none(self, absent: str, forbidden: str) -> None:
        for seed in range(300):
            assert forbidden not in words_of(self.said(seed, time="night")), absent

    def test_no_clear_sky_with_clouds(self) -> None:
        seen = (Thing("sky"), Thing("clouds"), Thing("meadow"))
        for seed in range(300):
            text = captions.caption("poster", "day", "summer", seen, np.random.default_rng(seed))
            assert "clear" not in text

    def test_nothing_of_snow_in_a_winter_without_it(self) -> None:
        for seed in range(300):
            text = captions.caption("poster", "day", "winter", (Thing("tree"),), np.random.default_rng(seed))
            assert "snow" not in text
            assert "sky" not in text

    @pytest.mark.parametrize("time", captions.TIMES)
    def test_no_other_time_is_named(self, time: str) -> None:
        """Words that two times share ("morning", "evening") tell neither from the other."""
        named = Counter(word for words in captions.TIMES.values() for word in names(words))
        others = {word for word, times in named.items() if times == 1} - names(captions.TIMES[time])
        for seed in range(200):
            assert not words_of(self.said(seed, time=time)) & others

    def test_a_season_that_does_not_show_is_not_said(self) -> None:
        seasons = {word for words in captions.SEASONS.values() for word in names(words)} - {
            "snow",
            "landscape",
        }
        for seed in range(200):
            assert not words_of(self.said(seed, season=None)) & (seasons - names(captions.TIMES["sunset"]))

    @pytest.mark.parametrize("third", ["early", "middle", "late"])
    @pytest.mark.parametrize(
        "fact", [*captions.TIMES, *captions.SEASONS, *captions.STYLES, "lake", "house", "boat"]
    )
    def test_every_fact_is_named_early_late_and_in_the_middle(self, fact: str, third: str) -> None:
        told = {"time": "sunset", "season": "autumn", "style": "watercolor"}
        tables = {"time": captions.TIMES, "season": captions.SEASONS, "style": captions.STYLES}
        for attribute, table in tables.items():
            told[attribute] = fact if fact in table else told[attribute]
        if fact in captions.STYLES:
            manner = captions.STYLES[fact]
            wanted = words_of(*manner.names) - SMALL
        elif fact in captions.THINGS:
            nouns = captions.THINGS[fact]
            wanted = words_of(*nouns.single, *nouns.several) - {"a", "calm"}
        else:
            wanted = names({**captions.TIMES, **captions.SEASONS}[fact])
        found = 0
        for seed in range(400):
            said = re.findall(r"[a-z0-9']+", self.said(seed, **told))
            count = len(said)
            parts = {
                "early": said[: count // 3 + 1], "middle": said[count // 3 : -(count // 3) or None],
                "late": said[-(count // 3) - 1 :],
            }  # fmt: skip
            found += bool(count > 3 and wanted & set(parts[third]))
        assert found > (8 if fact == "poster" else 20)

    def test_from_two_words_to_many(self) -> None:
        lengths = Counter(len(self.said(seed).split()) for seed in range(600))
        assert sum(lengths[count] for count in (1, 2, 3)) > 30
        assert 15 < max(lengths) <= 36
        assert len(lengths) > 12

    def test_all_things_at_once_still_fit(self) -> None:
        seen = tuple(Thing(kind) for kind in captions.THINGS)
        for seed in range(200):
            text = captions.caption("pixel art", "day", "spring", seen, np.random.default_rng(seed), said=1)
            assert len(re.findall(r"\w+|[^\w\s]", text)) <= captions.LONGEST

    def test_the_vocabulary_holds_every_word(self) -> None:
        known = captions.vocabulary()
        assert (
            words_of("sunrise evening twilight moonlight starry foggy cloudy sunny snowy golden fall sea")
            <= known
        )
        assert (
            words_of("ocean lake river stream pond field meadow woods pines cottage cabin hut ship") <= known
        )
        assert words_of("sailboat path lane lighthouse poppies") <= known
        for seed, scene in zip(SOME, some_scenes(), strict=True):
            rng, season = np.random.default_rng(seed), scene.season if scene.shows_season else None
            for style in STYLES:
                text = captions.caption(style, scene.time, season, scene.things, rng)
                assert text == text.strip(" ,")
                assert words_of(text) <= known, text

    def test_captions_of_scenes_name_nothing_that_is_not_in_sight(self) -> None:
        """A word that only some kinds of things have is said only where one of them is."""
        shared = SMALL | words_of(*captions.NAMELESS, "on the water")
        for words in (*captions.TIMES.values(), *captions.SEASONS.values()):
            shared |= names(words)
        for manner in captions.STYLES.values():
            shared |= words_of(*manner.leads, *manner.tails, *manner.names)
        owners: dict[str, set[str]] = {}
        for kind, nouns in captions.THINGS.items():
            for word in words_of(*nouns.single, *nouns.several) - shared:
                owners.setdefault(word, set()).add(kind)
        for adjective in words_of(*(text for texts in TRAITS.values() for text in texts)):
            owners.pop(adjective, None)
        for seed, scene in enumerate(some_scenes()):
            seen = {thing.kind for thing in scene.things}
            for said in (0.75, 1.0):
                rng, season = np.random.default_rng([seed, 3]), scene.season if scene.shows_season else None
                text = captions.caption("poster", scene.time, season, scene.things, rng, said)
                assert all(owners[word] & seen for word in words_of(text) & owners.keys()), text

    @pytest.mark.parametrize("time", ["dusk", "night"])
    def test_by_night_it_is_no_summer_day(self, time: str) -> None:
        for seed in range(400):
            assert "day" not in words_of(self.said(seed, time=time, season="summer"))

    def test_prompts_tell_time_season_style_and_things(self) -> None:
        told = list(captions.prompts(range(400)))
        for prompt in told:
            for words in (captions.TIMES[prompt.time], captions.SEASONS[prompt.season]):
                ways = (*words.phrases, *words.adjectives, *words.heads)
                assert any(re.sub("^(a|an|the) ", "", way) in prompt.text for way in ways), prompt
            for thing in prompt.things:
                assert any(
                    re.sub("^(a|an|the|some|many) ", "", name) in prompt.text
                    for name in captions.THINGS[thing.kind].single
                ), prompt
            if prompt.style != "poster":
                manner = captions.STYLES[prompt.style]
                assert any(name in prompt.text for name in (*manner.names, *manner.leads, *manner.tails))
        assert {prompt.style for prompt in told} == set(STYLES)
        assert [prompt.text for prompt in told] == [prompt.text for prompt in captions.prompts(range(400))]


def test_the_command_writes_a_folder_that_the_trainer_reads(tmp_path: Path) -> None:
    from mcm_core.drawing.conditions import Modality
    from mcm_core.training.data import checked_pairs
    from mcm_core.training.rows import Layout, open_classes, open_rows

    assert render.main(["--count", "3", "--out", str(tmp_path), "--seed", "5", "--processes", "1"]) == 0
    classes = open_classes(str(tmp_path))
    modalities = (Modality("labels", "labels"), Modality("sketch", "image"))
    layout = Layout((256, 256), modalities, classes)
    pairs = list(checked_pairs(open_rows(str(tmp_path), layout), layout, True))
    for seed, pair in zip((5, 6, 7), pairs, strict=True):
        expected = render.example(seed)
        assert np.array_equal(pair.picture, expected.picture)
        assert np.array_equal(pair.maps["labels"], expected.labels)
        assert np.array_equal(pair.maps["sketch"], expected.sketch)
        assert pair.captions == (expected.text,)
    assert [entry["name"] for entry in json.loads((tmp_path / "classes.json").read_text())] == list(IDS)


@pytest.mark.parametrize("arguments", [["--count", "0"], ["--count", "2", "--styles", "cubism"]])
def test_wrong_arguments_end_with_a_usage_error(arguments: list[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        render.main([*arguments, "--out", str(tmp_path)])
    assert caught.value.code == 2
