"""The embedded world: scenes, label maps, sketches, captions and the folder they are written to."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcm_core.landscapes import captions, palette, render
from mcm_core.landscapes.easel import CLASSES, IDS, Easel
from mcm_core.landscapes.scene import render as render_scene
from mcm_core.landscapes.shapes import box
from mcm_core.landscapes.sketch import sketch
from mcm_core.landscapes.styles import STYLES, stylise


@given(st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_any_seed_gives_a_whole_scene(seed: int) -> None:
    scene = render_scene(seed)
    assert scene.picture.shape == (256, 256, 3)
    assert scene.picture.dtype == scene.labels.dtype == np.uint8
    assert scene.labels.min() >= 1  # a rendered map has no unpainted pixel
    assert scene.labels.max() <= len(CLASSES)
    assert scene.picture.std() > 5


def test_a_seed_is_the_same_scene_each_time() -> None:
    first, again = render.example(7, tuple(STYLES)), render.example(7, tuple(STYLES))
    assert np.array_equal(first.picture, again.picture)
    assert np.array_equal(first.labels, again.labels)
    assert np.array_equal(first.sketch, again.sketch)
    assert first.text == again.text
    assert not np.array_equal(first.labels, render.example(8).labels)


def test_picture_and_map_share_their_edges() -> None:
    easel = Easel()
    easel.fill(box(-0.1, 0.5, 1.1, 1.1), np.array([1, 0, 0], np.float32), "water")
    picture, labels, _ = easel.finish()
    assert (labels[:128] == IDS["sky"]).all()
    assert (labels[128:] == IDS["water"]).all()
    assert (picture[:127, :, 0] == 0).all()
    assert (picture[129:, :, 0] == 255).all()


def test_all_classes_times_and_seasons_occur() -> None:
    scenes = [render_scene(seed) for seed in range(150)]
    assert set(np.concatenate([np.unique(each.labels) for each in scenes])) == set(IDS.values())
    assert {each.time for each in scenes} == set(palette.LIGHTS) == set(captions.TIMES)
    assert {each.season for each in scenes} == set(palette.SEASONS) == set(captions.SEASONS)
    assert {thing for each in scenes for thing in each.things} == set(captions.THINGS)


def test_the_exact_sketch_is_where_parts_meet() -> None:
    parts = np.zeros((32, 32), np.int32)
    parts[:, 16:] = 1
    drawn = sketch(parts, np.random.default_rng(0), freehand=0)
    columns = np.flatnonzero(drawn.any(0))
    assert set(np.unique(drawn)) == {0, 255}
    assert columns.min() >= 14
    assert columns.max() <= 17


def test_freehand_sketches_stay_near_the_outlines() -> None:
    scene = render_scene(3)
    exact = sketch(scene.parts, np.random.default_rng(0), freehand=0)
    distance = cv2.distanceTransform(255 - exact, cv2.DIST_L2, 5)
    for seed in range(10):
        drawn = sketch(scene.parts, np.random.default_rng(seed))
        assert drawn.any()
        assert np.quantile(distance[drawn > 0], 0.95) < 8


@pytest.mark.parametrize("style", STYLES)
def test_styles_keep_the_layout(style: str) -> None:
    scene = render_scene(13)
    painted = stylise(scene.picture, style, np.random.default_rng(0))
    assert painted.shape == scene.picture.shape
    assert painted.dtype == np.uint8
    assert np.array_equal(painted, scene.picture) == (style == "poster")
    grey = cv2.GaussianBlur(painted.mean(-1), (0, 0), 2)
    slope = np.hypot(cv2.Sobel(grey, cv2.CV_64F, 1, 0), cv2.Sobel(grey, cv2.CV_64F, 0, 1))
    outline = cv2.dilate(sketch(scene.parts, np.random.default_rng(0), freehand=0), np.ones((5, 5))) > 0
    assert slope[outline].mean() > 2 * slope[~outline].mean()


def test_captions_name_only_what_is_there() -> None:
    words = {thing: captions.THINGS[thing] for thing in captions.THINGS if thing not in ("boat", "lake")}
    for seed in range(100):
        text = captions.caption("poster", "night", "winter", ("boat", "lake"), np.random.default_rng(seed))
        assert not any(
            phrase in text.split(" in the snow")[0].split(", ") for each in words.values() for phrase in each
        )


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
    assert [each["name"] for each in json.loads((tmp_path / "classes.json").read_text())] == list(IDS)


@pytest.mark.parametrize("arguments", [["--count", "0"], ["--count", "2", "--styles", "cubism"]])
def test_wrong_arguments_end_with_a_usage_error(arguments: list[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        render.main([*arguments, "--out", str(tmp_path)])
    assert caught.value.code == 2
