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

from mcm_core.landscapes import captions, materials, palette, render, shapes
from mcm_core.landscapes.easel import CLASSES, IDS, Easel
from mcm_core.landscapes.painter import Painter, Thing
from mcm_core.landscapes.scene import Scene
from mcm_core.landscapes.scene import render as render_scene
from mcm_core.landscapes.shapes import box
from mcm_core.landscapes.sketch import sketch
from mcm_core.landscapes.styles import STYLES, stylise

SOME = range(240)


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


@pytest.mark.parametrize("kind", IDS)
def test_any_class_fills_any_outline_exactly(kind: str) -> None:
    """Its look stays inside the outline, and the map knows nothing of windows, waves and stripes."""
    bare, easel = Easel(), Easel()
    outline = shapes.moved(shapes.heart(), 0.5, 0.5, 0.3)
    bare.fill(outline, np.zeros(3, np.float32), "sky" if kind != "sky" else "water")
    painter = Painter(np.random.default_rng(0), easel, palette.LIGHTS["day"], palette.SEASONS["summer"], 0.5)
    easel.labels[:] = IDS["water" if kind == "sky" else "sky"]
    materials.paint(painter, outline, kind)
    assert np.array_equal(easel.labels == IDS[kind], bare.parts > 0)


def test_all_classes_times_seasons_and_things_occur() -> None:
    for wild in (False, True):
        labels = [scene.labels for scene in some_scenes() if scene.wild == wild]
        assert {int(label) for drawn in labels for label in np.unique(drawn)} == set(IDS.values()), wild
    assert {scene.time for scene in some_scenes()} == set(palette.LIGHTS) == set(captions.TIMES)
    assert {scene.season for scene in some_scenes()} == set(palette.SEASONS) == set(captions.SEASONS)
    kinds = {thing.kind for scene in some_scenes() for thing in scene.things}
    assert kinds == set(captions.THINGS)


def test_a_third_of_the_scenes_is_wild() -> None:
    assert 0.28 < np.mean([scene.wild for scene in some_scenes()]) < 0.42


def test_what_is_said_can_be_seen() -> None:
    for scene in some_scenes():
        for thing in scene.things:
            label = captions.CLASS_OF[thing.kind]
            assert label is None or (scene.labels == IDS[label]).any(), thing


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


class TestCaptions:
    LAKE = (Thing("lake"), Thing("boat", 2), Thing("house", 1, ("big", "wooden")))

    def said(self, seed: int, time: str = "sunset", season: str = "autumn", style: str = "poster") -> str:
        return captions.caption(style, time, season, self.LAKE, np.random.default_rng(seed))

    def test_they_name_only_what_is_there(self) -> None:
        true = {"lake", "boat", "house"}
        absent = {
            word
            for kind, nouns in captions.THINGS.items()
            if kind not in true
            for text in (*nouns.single, *nouns.several)
            for word in re.findall(r"[a-z]+", text)
        }
        present = {
            word
            for kind in true
            for text in (*captions.THINGS[kind].single, *captions.THINGS[kind].several)
            for word in re.findall(r"[a-z]+", text)
        }
        allowed = present | {"a", "an", "the", "of", "some", "field", "red", "green", "sky"}
        for seed in range(300):
            assert not set(re.findall(r"[a-z]+", self.said(seed))) & (absent - allowed), self.said(seed)

    @pytest.mark.parametrize("time", captions.TIMES)
    def test_no_other_time_is_named(self, time: str) -> None:
        """Words that two times share ("morning", "evening") tell neither from the other."""
        named = Counter(word for words in captions.TIMES.values() for word in _words(words))
        others = {word for word, times in named.items() if times == 1} - _words(captions.TIMES[time])
        for seed in range(200):
            assert not set(re.findall(r"[a-z]+", self.said(seed, time=time))) & others

    @pytest.mark.parametrize("time", captions.TIMES)
    @pytest.mark.parametrize("place", ["early", "late"])
    def test_every_time_is_named_early_and_late(self, time: str, place: str) -> None:
        names = _words(captions.TIMES[time]) - SMALL
        halves = []
        for seed in range(300):
            words = re.findall(r"[a-z]+", self.said(seed, time=time))
            half = words[: len(words) // 2] if place == "early" else words[len(words) // 2 :]
            halves.append(bool(names & set(half)))
        assert np.mean(halves) > 0.15

    def test_from_two_words_to_many(self) -> None:
        lengths = Counter(len(self.said(seed).split()) for seed in range(400))
        assert lengths[2] + lengths[3] > 20
        assert max(lengths) <= 35
        assert len(lengths) > 12

    def test_the_vocabulary_holds_every_word(self) -> None:
        words = captions.vocabulary()
        for seed in SOME:
            text = render.example(seed, tuple(STYLES)).text
            assert set(re.findall(r"[a-z0-9']+", text)) <= words, text

    @pytest.mark.parametrize("style", STYLES)
    def test_prompts_tell_time_season_and_style(self, style: str) -> None:
        for seed in range(100):
            text, said, time, season = captions.prompts(seed, (style,))
            assert said == style
            for told in (captions.TIMES[time], captions.SEASONS[season]):
                ways = (*told.phrases, *told.adjectives, *told.heads)
                assert any(re.sub("^(a|an) ", "", way) in text for way in ways), text
            if style != "poster":
                leads, tails = captions.STYLES[style]
                assert any(name.strip(",") in text for name in (*leads, *tails))


SMALL = {"a", "an", "the", "in", "at", "on", "under", "by", "day", "sky"}


def _words(words: captions.Words) -> set[str]:
    texts = (*words.phrases, *words.adjectives, *words.heads)
    return {word for text in texts for word in re.findall(r"[a-z]+", text)} - SMALL


def test_the_command_writes_a_folder_that_the_trainer_reads(tmp_path: Path) -> None:
    from mcm_core.drawing.conditions import Modality
    from mcm_core.training.data import Layout, checked_pairs, open_classes, open_rows

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
        assert pair.text == expected.text
    assert [entry["name"] for entry in json.loads((tmp_path / "classes.json").read_text())] == list(IDS)


@pytest.mark.parametrize("arguments", [["--count", "0"], ["--count", "2", "--styles", "cubism"]])
def test_wrong_arguments_end_with_a_usage_error(arguments: list[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        render.main([*arguments, "--out", str(tmp_path)])
    assert caught.value.code == 2
