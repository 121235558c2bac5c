"""Evaluation: each metric against numbers known by hand, and the table end to end on a small random base."""

from __future__ import annotations

import json
import math
import re
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from torchmetrics.functional.classification import multiclass_jaccard_index

from mcm_core.base import Base
from mcm_core.drawing.conditions import LABELS, SKETCH, Conditions, InputError
from mcm_core.drawing.palette import palette_picture
from mcm_core.drawing.sketches import sketch_picture
from mcm_core.evaluation import cases, freehand, orders, run, scenes, scores, segmenter, table
from mcm_core.evaluation.cases import CASES, Case
from mcm_core.evaluation.diversity import mean_distance
from mcm_core.evaluation.frechet import frechet_distance, gaussian_distance
from mcm_core.evaluation.look import looks, saturation, sharpness
from mcm_core.evaluation.overlap import confusions, iou
from mcm_core.evaluation.scenes import HELD_OUT, Drawn, HeldOut
from mcm_core.evaluation.segmenter import Network, Segmenter
from mcm_core.evaluation.strokes import agreement, matches, outlines
from mcm_core.landscapes import captions
from mcm_core.landscapes.easel import CLASSES
from mcm_core.landscapes.facts import Thing
from mcm_core.landscapes.render import example, render_folder
from mcm_core.landscapes.scene import Scene
from mcm_core.mini import damage, segmenter_training
from mcm_core.mini.text import CONTEXT
from mcm_core.modulator import Modulator, ModulatorOutput
from mcm_core.pipeline import MCMPipeline
from tests import tiny

CLASS_ROWS = [{"name": each.name, "color": each.color} for each in CLASSES]
WORDS = {name: list(words) for name, words in captions.ATTRIBUTES.items()}
SIZE = (64, 64)
BLOB = np.zeros(SIZE, np.uint8)
BLOB[30:50, 10:40] = 10
STROKES = np.zeros(SIZE, np.uint8)
cv2.rectangle(STROKES, (12, 20), (50, 52), 255, 2)


def drawn_by_hand(folder: Path) -> Path:
    """Two drawings as `assets/freehand` holds them: water alone, and a house with its outline."""
    folder.mkdir()
    rows = [
        {"text": "sunset lake", "labels": "1-labels.png", "time": "sunset"},
        {"text": "my house", "labels": "2-labels.png", "sketch": "2-sketch.png"},
    ]
    house = np.where(BLOB, 11, 0).astype(np.uint8)
    pictures = (
        ("1-labels", palette_picture(BLOB, CLASSES)),
        ("2-labels", palette_picture(house, CLASSES)),
        ("2-sketch", sketch_picture(STROKES)),
    )
    for name, picture in pictures:
        Image.fromarray(picture).save(folder / f"{name}.png")
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def new_network(seed: int = 0) -> Network:
    torch.manual_seed(seed)
    return Network(CLASS_ROWS, WORDS)


def new_segmenter(seed: int = 0) -> Segmenter:
    return Segmenter(new_network(seed))


@pytest.fixture(scope="module")
def held_out() -> list[HeldOut]:
    return scenes.scenes(3, "poster", SIZE)


class TestOverlap:
    def test_perfect_is_one(self) -> None:
        ids = np.array([[[1, 1], [2, 3]]], np.uint8)
        assert iou(confusions(ids, ids, 3).sum(0)).mean == 1

    def test_by_hand(self) -> None:
        drawn = np.array([[[1, 1, 1, 2]]], np.uint8)
        found = np.array([[[1, 1, 2, 2]]], np.uint8)
        overlap = iou(confusions(drawn, found, 2)[0])
        assert overlap.by_class.tolist() == pytest.approx([2 / 3, 1 / 2])
        assert overlap.mean == pytest.approx(7 / 12)

    def test_what_is_unpainted_does_not_count(self) -> None:
        drawn = np.array([[[0, 0, 1, 2]]], np.uint8)
        found = np.array([[[2, 1, 1, 2]]], np.uint8)
        assert iou(confusions(drawn, found, 2)[0]).mean == 1

    def test_a_class_that_was_not_drawn_has_no_score_but_costs_the_drawn_one(self) -> None:
        drawn, found = np.array([[[1, 1]]], np.uint8), np.array([[[1, 3]]], np.uint8)
        overlap = iou(confusions(drawn, found, 3)[0])
        assert overlap.mean == 0.5
        assert np.isnan(overlap.by_class).tolist() == [False, True, True]

    def test_nothing_drawn_has_no_score(self) -> None:
        ids = np.ones((1, 2, 2), np.uint8)
        assert math.isnan(iou(confusions(ids * 0, ids, 3)[0]).mean)

    @settings(max_examples=20, deadline=None)
    @given(arrays.arrays(np.uint8, (2, 6, 6), elements=st.integers(1, 4)), st.randoms(use_true_random=False))
    def test_agrees_with_torchmetrics_over_many_pictures(self, drawn: np.ndarray, random: object) -> None:
        drawn[0, 0, :4] = [1, 2, 3, 4]
        found = np.roll(drawn, random.randint(0, 5), axis=2)  # type: ignore[attr-defined]
        by_class = iou(confusions(drawn, found, 4).sum(0)).by_class
        wanted = multiclass_jaccard_index(
            torch.from_numpy(found).long() - 1, torch.from_numpy(drawn).long() - 1, 4, average=None
        )
        assert by_class == pytest.approx(wanted.numpy(), abs=1e-6)


class TestStrokes:
    def vertical(self, column: int) -> np.ndarray:
        lines = np.zeros((32, 32), np.uint8)
        lines[:, column] = 255
        return lines

    @pytest.mark.parametrize(("shift", "f1"), [(0, 1), (3, 1), (-3, 1), (4, 0)])
    def test_a_shifted_line_counts_up_to_the_tolerance(self, shift: int, f1: float) -> None:
        assert agreement(matches(self.vertical(12), self.vertical(12 + shift), 3)).f1 == f1

    def test_the_tolerance_is_euclidean(self) -> None:
        drawn, found = np.zeros((16, 16), bool), np.zeros((16, 16), bool)
        drawn[4, 4], found[7, 7] = True, True  # 4.24 pixels away, 3 along each side
        assert agreement(matches(drawn, found, 3)).f1 == 0
        assert agreement(matches(drawn, found, 4.3)).f1 == 1

    def test_a_line_too_many_costs_precision_alone(self) -> None:
        both = agreement(matches(self.vertical(5), self.vertical(5) | self.vertical(25)))
        assert (both.precision, both.recall, both.f1) == pytest.approx((0.5, 1, 2 / 3))

    def test_a_line_too_few_costs_recall_alone(self) -> None:
        both = agreement(matches(self.vertical(5) | self.vertical(25), self.vertical(5)))
        assert (both.precision, both.recall) == (1, 0.5)

    def test_nothing_found_and_nothing_drawn(self) -> None:
        nothing = np.zeros((8, 8), np.uint8)
        assert agreement(matches(self.vertical(5)[:8, :8], nothing)).recall == 0
        assert math.isnan(agreement(matches(nothing, nothing)).f1)

    def test_counts_add_up_over_pictures(self) -> None:
        one, other = matches(self.vertical(5), self.vertical(5)), matches(self.vertical(5), self.vertical(20))
        assert agreement(one + other).f1 == 0.5

    def test_outlines_lie_on_the_border(self) -> None:
        picture = np.full((32, 32, 3), 40, np.uint8)
        picture[:, 16:] = 120
        rows, columns = np.nonzero(outlines(picture))
        assert set(columns) <= {15, 16}
        assert len(set(rows)) >= 30

    def test_a_border_of_hue_alone_is_one(self) -> None:
        """Of equal grey: 0.299 R + 0.587 G + 0.114 B is 100 on both sides."""
        picture = np.full((32, 32, 3), 100, np.uint8)
        picture[:, 16:] = (180, 60, 97)
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        assert np.ptp(grey.astype(int)) <= 1
        assert outlines(picture)[4:-4, 14:18].any(axis=1).all()

    def test_a_gradient_and_a_flat_picture_have_no_outlines(self) -> None:
        ramp = np.repeat(np.arange(0, 128, 2, dtype=np.uint8)[None, :, None], 64, axis=0)
        assert not outlines(np.repeat(ramp, 3, axis=2)).any()

    def test_real_renders_are_far_above_other_scenes(self) -> None:
        renders = [example(HELD_OUT + index, freehand=0.0) for index in range(3)]
        own = sum(matches(each.sketch, outlines(each.picture)) for each in renders)
        shifted = zip(renders, renders[1:] + renders[:1], strict=True)
        others = sum(matches(one.sketch, outlines(other.picture)) for one, other in shifted)
        assert agreement(own).f1 > 0.65 > 0.4 > agreement(others).f1


class TestFrechet:
    def gaussian(self, mean: list[float], deviations: list[float], count: int = 64) -> np.ndarray:
        """Points of exactly this mean and these independent deviations (with n - 1)."""
        raw = np.random.default_rng(0).normal(size=(count, len(mean)))
        raw -= raw.mean(0)
        white = raw @ np.linalg.inv(np.linalg.cholesky(np.cov(raw, rowvar=False))).T
        return white * deviations + mean

    def test_a_set_and_itself(self) -> None:
        points = np.random.default_rng(1).normal(size=(40, 8))
        assert frechet_distance(points, points) == pytest.approx(0, abs=1e-9)

    def test_closed_form_of_independent_gaussians(self) -> None:
        left = self.gaussian([0, 1, 2], [1.0, 2.0, 0.5])
        right = self.gaussian([3, 1, 0], [4.0, 1.0, 0.5])
        wanted = (3**2 + 0 + 2**2) + (1 - 4) ** 2 + (2 - 1) ** 2 + 0
        assert frechet_distance(left, right) == pytest.approx(wanted, rel=1e-9)

    def test_closed_form_of_one_dimension(self) -> None:
        one = np.ones((1, 1))
        assert gaussian_distance(np.zeros(1), 4 * one, np.array([5.0]), 9 * one) == pytest.approx(25 + 1)

    def test_rotated_gaussians_against_the_matrix_square_root(self) -> None:
        """tr (C1 C2)^1/2 is the sum of the roots of the eigenvalues of the product."""
        random = np.random.default_rng(2)
        left, right = (random.normal(size=(50, 5)) @ random.normal(size=(5, 5)) for _ in range(2))
        c1, c2 = np.cov(left, rowvar=False), np.cov(right, rowvar=False)
        overlap = np.sqrt(np.linalg.eigvals(c1 @ c2).real).sum()
        apart = np.square(left.mean(0) - right.mean(0)).sum()
        wanted = apart + np.trace(c1) + np.trace(c2) - 2 * overlap
        assert frechet_distance(left, right) == pytest.approx(wanted, rel=1e-8)

    @settings(max_examples=20)
    @given(arrays.arrays(np.float64, 4, elements=st.floats(-5, 5)))
    def test_moving_all_points_costs_the_square_of_the_way(self, way: np.ndarray) -> None:
        points = np.random.default_rng(3).normal(size=(30, 4))
        assert frechet_distance(points, points + way) == pytest.approx(np.square(way).sum(), abs=1e-8)

    def test_fewer_points_than_features(self) -> None:
        points = np.random.default_rng(4).normal(size=(5, 12))
        assert frechet_distance(points, points[::-1]) == pytest.approx(0, abs=1e-6)


class TestDiversity:
    def test_by_hand(self) -> None:
        features = np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0]])
        assert mean_distance(features) == pytest.approx((5 + 0 + 5) / 3)

    def test_the_mean_over_drawings(self) -> None:
        features = np.array([[[0.0], [1.0]], [[0.0], [5.0]]])
        assert mean_distance(features) == 3

    def test_one_picture_has_none(self) -> None:
        assert math.isnan(mean_distance(np.zeros((3, 1, 4))))


class TestLook:
    def test_greys_have_no_saturation_and_a_pure_colour_has_all(self) -> None:
        grey, red = np.full((8, 8, 3), 90, np.uint8), np.zeros((8, 8, 3), np.uint8)
        red[..., 0] = 200
        assert (saturation(grey), saturation(red)) == (0, 1)

    def test_saturation_by_hand(self) -> None:
        """HSV: 1 - min / max."""
        assert saturation(np.full((4, 4, 3), (200, 100, 150), np.uint8)) == pytest.approx(0.5, abs=0.005)

    def test_a_flat_picture_has_no_sharpness_and_a_step_counts_by_its_square(self) -> None:
        picture = np.zeros((8, 8, 3), np.uint8)
        assert sharpness(picture) == 0
        picture[:, 4:] = 51  # a fifth of white, in one of seven steps across
        assert sharpness(picture) == pytest.approx(0.2**2 / 7)

    def test_a_blurred_picture_is_less_sharp(self, held_out: list[HeldOut]) -> None:
        for scene in held_out:
            assert sharpness(cv2.GaussianBlur(scene.picture, (0, 0), 1.0)) < 0.8 * sharpness(scene.picture)

    def test_of_many_pictures(self, held_out: list[HeldOut]) -> None:
        pictures = np.stack([scene.picture for scene in held_out])
        wanted = [(saturation(one), sharpness(one)) for one in pictures]
        assert looks(pictures).tolist() == pytest.approx(np.array(wanted))


class TestOrders:
    ASKED = {"time": "sunset", "season": "autumn", "style": "watercolor"}  # noqa: RUF012
    THINGS = tuple(map(Thing, ("sky", "lake", "house", "mountains")))

    def test_twelve_prompts_have_every_order_in_both_lengths(self) -> None:
        found = {orders.kind(number)[:2] for number in range(12)}
        assert found == {(order, length) for order in orders.ORDERS for length in orders.LENGTHS}

    def test_256_prompts_are_spread_over_orders_lengths_and_styles(self) -> None:
        kinds = [orders.kind(number) for number in range(256)]
        for position, most_apart in ((0, 2), (1, 4), (2, 2)):
            counts = [
                [kind[position] for kind in kinds].count(value) for value in {k[position] for k in kinds}
            ]
            assert max(counts) - min(counts) <= most_apart
        assert len(set(kinds)) == 72

    @pytest.mark.parametrize("length", orders.LENGTHS)
    @pytest.mark.parametrize("order", orders.ORDERS)
    def test_a_prompt_is_of_the_order_and_the_length(self, order: tuple[str, ...], length: str) -> None:
        text = orders.prompt(self.ASKED, self.THINGS, order, length, np.random.default_rng(0))
        assert orders.said_in(text, self.ASKED) == order
        assert (len(re.findall(r"\w+", text)) <= 8) == (length == "short")

    def test_what_is_unsaid_or_said_twice_has_no_order(self) -> None:
        assert orders.said_in("an autumn lake at sunset", self.ASKED) is None
        assert orders.said_in("sunset, an autumn lake at sunset, watercolor", self.ASKED) is None
        told = orders.said_in("watercolour of a lake in the evening glow, in october", self.ASKED)
        assert told == ("style", "time", "season")

    def test_the_scene_says_what_it_shows(self) -> None:
        scene = scenes.in_order(scenes.WORDS + 1, SIZE)
        order, _, style = orders.kind(1)
        assert scene.asked["style"] == style
        assert orders.said_in(scene.prompt, scene.asked) == order


class TestFreehand:
    """Two drawings in a folder: a map alone, and a map with a sketch."""

    @pytest.fixture
    @staticmethod
    def folder(tmp_path: Path) -> Path:
        return drawn_by_hand(tmp_path / "hand")

    def rows(self, folder: Path) -> list[Drawn]:
        return freehand.read(folder, SIZE)

    def test_what_was_drawn_and_said(self, folder: Path) -> None:
        blob, both = self.rows(folder)
        assert np.array_equal(blob.labels, BLOB)
        assert not blob.sketch.any()
        assert (blob.prompt, blob.asked, blob.noise) == ("sunset lake", {"time": "sunset"}, 0)
        assert np.array_equal(both.sketch > 0, STROKES > 0)
        assert both.asked == {}

    def test_another_size(self, folder: Path) -> None:
        assert freehand.read(folder, (128, 128))[0].labels.shape == (128, 128)

    def test_a_judge_of_fewer_classes_is_not_shown_others(self, folder: Path) -> None:
        assert [drawing.prompt for drawing in freehand.read(folder, SIZE, classes=10)] == ["sunset lake"]

    @pytest.mark.parametrize(
        ("row", "said"),
        [
            ("{", "no JSON"),
            ('["a"]', "must read"),
            ('{"labels": "1-labels.png"}', "must read"),
            ('{"text": " ", "labels": "1-labels.png"}', "must read"),
            ('{"text": "a lake"}', "neither a label map nor a sketch"),
            ('{"text": "a lake", "labels": "9-labels.png"}', "no file 9-labels.png"),
            ('{"text": "a lake", "labels": "../1-labels.png"}', "in this folder"),
            ('{"text": "a lake", "sketch": "white.png"}', "white.png is empty"),
            ('{"text": "a lake", "labels": "1-labels.png", "time": "noon"}', "time must be one of dawn"),
            ('{"text": "a lake", "labels": "1-labels.png", "style": ["oil"]}', "style must be one of poster"),
            ('{"text": "a lake", "labels": "metadata.jsonl"}', "could not be read"),
        ],
    )
    def test_a_bad_row_is_told_in_one_line_with_its_place(self, folder: Path, row: str, said: str) -> None:
        cv2.imwrite(str(folder / "white.png"), np.full(SIZE, 255, np.uint8))
        with (folder / "metadata.jsonl").open("a") as file:
            file.write(row + "\n")
        with pytest.raises(InputError, match=rf"metadata\.jsonl line 3: .*{re.escape(said)}") as refused:
            self.rows(folder)
        assert "\n" not in str(refused.value)

    def test_a_folder_without_drawings_is_refused(self, folder: Path) -> None:
        (folder / "metadata.jsonl").write_text("\n")
        with pytest.raises(InputError, match="no drawings"):
            self.rows(folder)
        with pytest.raises(InputError, match="no metadata"):
            self.rows(folder / "nothing")

    def test_only_what_is_painted_sketched_and_asked_for_counts(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A judge that sees grass wherever nothing is painted, and sunset everywhere."""
        drawn, model, sunset = self.rows(folder), new_segmenter(), WORDS["time"].index("sunset")
        reading = segmenter.Reading(
            labels=np.stack([np.where(each.labels, each.labels, 8) for each in drawn]).astype(np.uint8),
            features=np.zeros((2, 4), np.float32),
            attributes={name: np.full(2, sunset if name == "time" else 0) for name in WORDS},
        )
        monkeypatch.setattr(model, "read", lambda _pictures: reading)
        pictures = np.repeat(sketch_picture(STROKES)[None], 2, axis=0)
        measured = scores.measure(pictures, [each.labels for each in drawn], drawn, model, pictures[:0, None])
        assert measured.strokes[0].tolist() == [0, 0, 0, 0]
        reference = scores.Reference(np.empty((0, 4)), looks(pictures))
        row = scores.row("x", "freehand", measured, reference, model)
        assert row.miou == 1
        assert row.stroke_f1 > 0.95
        assert row.attributes["time"] == row.attribute_accuracy == 1
        assert math.isnan(row.attributes["season"])
        assert math.isnan(row.frechet)

    def test_the_shipped_set(self) -> None:
        """Maps, sketches and both; every class; prompts of 1 to 15 words, most of which ask for something."""
        drawn = freehand.read(freehand.shipped(), (256, 256))
        kinds = [(bool(each.labels.any()), bool(each.sketch.any())) for each in drawn]
        assert len(drawn) >= 40
        assert min(kinds.count(kind) for kind in ((True, False), (False, True), (True, True))) >= 6
        assert {int(id_) for each in drawn for id_ in np.unique(each.labels)} == {*range(len(CLASSES) + 1)}
        assert all(len(each.prompt.split()) <= 15 for each in drawn)
        assert sum(bool(each.asked) for each in drawn) > len(drawn) / 2
        partial = [each for each in drawn if each.labels.any() and (each.labels > 0).mean() < 0.5]
        assert len(partial) >= 8
        files = list(freehand.shipped().iterdir())
        assert sum(file.stat().st_size for file in files) < 400_000


class TestScenes:
    def test_a_seed_gives_the_same_scene_again(self, held_out: list[HeldOut]) -> None:
        again = scenes.held_out(HELD_OUT, "poster", SIZE)
        assert np.array_equal(again.picture, held_out[0].picture)
        assert np.array_equal(again.sketch, held_out[0].sketch)
        assert np.array_equal(again.partial, held_out[0].partial)
        assert again.prompt == held_out[0].prompt

    def test_a_style_changes_the_picture_and_its_word_alone(self, held_out: list[HeldOut]) -> None:
        plain, painted = held_out[0], scenes.held_out(HELD_OUT, "watercolor", SIZE)
        assert np.array_equal(plain.labels, painted.labels)
        assert np.array_equal(plain.sketch, painted.sketch)
        assert not np.array_equal(plain.picture, painted.picture)
        assert any(name in painted.prompt for name in captions.STYLES["watercolor"].names)
        assert painted.asked == {**plain.asked, "style": "watercolor"}

    def test_prompts_leave_nothing_unsaid(self, held_out: list[HeldOut]) -> None:
        for scene in held_out:
            for asked, told in (("time", captions.TIMES), ("season", captions.SEASONS)):
                words = told[scene.asked[asked]]
                ways = (*words.phrases, *words.adjectives, *words.heads)
                assert any(re.sub("^(a|an|the) ", "", way) in scene.prompt for way in ways)

    @pytest.mark.parametrize("style", captions.STYLES)
    def test_prompts_fit_the_77_tokens_of_the_base(self, style: str) -> None:
        """75 of words and signs, with everything there is in the scene."""
        blank = np.zeros((1, 1), np.uint8)
        things = tuple(Thing(kind) for kind in captions.THINGS)
        for seed in range(50):
            random = np.random.default_rng(seed)
            time, season = (random.choice(list(told)) for told in (captions.TIMES, captions.SEASONS))
            scene = Scene(blank, blank, blank, str(time), str(season), things)
            assert len(re.findall(r"\w+|[^\w\s]+", scenes.prompt(scene, style, random))) <= CONTEXT - 2

    def test_a_model_of_fewer_classes_meets_no_others(self) -> None:
        drawn = scenes.scenes(4, "poster", SIZE, classes=12)
        assert len(drawn) == 4
        assert max(scene.labels.max() for scene in drawn) <= 12

    def test_a_partial_map_is_neither_whole_nor_empty_nor_other(self, held_out: list[HeldOut]) -> None:
        for scene in held_out:
            painted = scene.partial > 0
            assert 0 < painted.mean() < 1
            assert np.array_equal(scene.partial[painted], scene.labels[painted])


class TestCases:
    def modulator(self, sd_folder: Path) -> Modulator:
        return tiny.build_modulator(Base.from_pretrained(sd_folder), classes=CLASS_ROWS)

    def said(self, modulator: Modulator) -> ModulatorOutput:
        noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
        features = modulator.encode({}, size=(8, 8), batch=1)
        with torch.no_grad():
            return modulator(noise, noise, 5, 0.9, features)

    def test_shift_only_and_scale_only(self, sd_folder: Path) -> None:
        modulator = self.modulator(sd_folder)
        whole = self.said(modulator)
        with cases.only("nu", modulator):
            shift = self.said(modulator)
        with cases.only("gamma", modulator):
            scale = self.said(modulator)
        assert torch.equal(shift.gamma, torch.ones_like(whole.gamma))
        assert torch.equal(shift.nu, whole.nu)
        assert torch.equal(scale.gamma, whole.gamma)
        assert not scale.nu.any()

    def test_nothing_is_left_of_it(self, sd_folder: Path) -> None:
        modulator = self.modulator(sd_folder)
        before = self.said(modulator)
        with pytest.raises(KeyError), cases.only("nu", modulator):
            raise KeyError
        after = self.said(modulator)
        assert torch.equal(before.gamma, after.gamma)
        assert torch.equal(before.nu, after.nu)
        assert not modulator._forward_hooks

    def test_a_request_gives_only_the_inputs_of_its_case(self, held_out: list[HeldOut]) -> None:
        case = Case("x", "control", inputs=(cases.PARTIAL,), strength=0.5, end=0.8, guidance_scale=5)
        asked = cases.request(case, held_out[0], seed=3, steps=7, scheduler=None, accepts_text=True)
        assert asked.conditions == Conditions({LABELS: held_out[0].partial})
        assert (asked.strength, asked.end, asked.guidance_scale, asked.seeds) == ({LABELS: 0.5}, 0.8, 5, (3,))

    def test_the_base_alone_is_given_no_drawing(self, held_out: list[HeldOut]) -> None:
        case = next(case for case in CASES if case.name == cases.BASE)
        assert cases.request(case, held_out[0], 0, 2, None, True).conditions == Conditions()

    def test_names_are_unique_in_their_group(self) -> None:
        named = [(case.group, case.name) for case in CASES]
        assert len(named) == len(set(named))

    def test_cases_that_need_a_missing_modality_are_left_out(self, sd_folder: Path) -> None:
        maps_only = tiny.build_modulator(
            Base.from_pretrained(sd_folder),
            classes=CLASS_ROWS,
            modalities=[{"name": LABELS, "kind": "labels", "channels": 1}],
        )
        left = cases.possible(CASES, maps_only)
        assert {case.inputs for case in left} == {(), (LABELS,), (cases.PARTIAL,)}
        assert all(SKETCH not in case.modalities() for case in left)

    def test_unknown_names_are_refused(self) -> None:
        with pytest.raises(InputError, match="no case or group 'contrl'"):
            run.chosen(["contrl"])

    def test_groups_and_names_choose(self) -> None:
        assert {case.group for case in run.chosen(["styles"])} == {"styles"}
        assert [case.name for case in run.chosen(["strength 0.5"])] == ["strength 0.5"]

    def test_guidance_is_the_runs_where_the_case_says_nothing(self) -> None:
        scales = {case.name: case.guidance_scale for case in run.guided(run.chosen(None), 2.5)}
        assert (scales[cases.BOTH], scales["guidance 5"]) == (2.5, 5)


class TestSegmenter:
    def test_size_on_disk_and_in_parameters(self, tmp_path: Path) -> None:
        network = new_network()
        assert 300_000 <= network.num_parameters() <= 650_000
        segmenter_training.save(network, tmp_path)
        assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 2_000_000
        names = {"SHA256SUMS", "config.json", "diffusion_pytorch_model.safetensors"}
        assert {file.name for file in tmp_path.iterdir()} == names

    def test_what_is_loaded_reads_as_what_was_saved(self, tmp_path: Path, held_out: list[HeldOut]) -> None:
        network = new_network()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.copy_(parameter.half())
        saved, pictures = Segmenter(network), np.stack([scene.picture for scene in held_out])
        before = saved.read(pictures)
        segmenter_training.save(network, tmp_path)
        loaded = segmenter.load(tmp_path)
        after = loaded.read(pictures)
        assert np.array_equal(before.labels, after.labels)
        assert before.features == pytest.approx(after.features, abs=1e-4)
        assert loaded.classes == CLASSES
        assert loaded.fingerprint != new_segmenter(1).fingerprint

    @pytest.mark.parametrize("size", [(64, 64), (72, 96), (50, 37)])
    def test_any_size(self, size: tuple[int, int]) -> None:
        pictures = np.random.default_rng(0).integers(0, 256, (2, *size, 3), np.uint8)
        labels = new_segmenter()(pictures)
        assert labels.shape == (2, *size)
        assert labels.dtype == np.uint8
        assert labels.min() >= 1
        assert labels.max() <= len(CLASSES)

    def test_a_picture_reads_the_same_in_any_company(self, held_out: list[HeldOut]) -> None:
        model = new_segmenter()
        pictures = np.stack([scene.picture for scene in held_out])
        alone = model.read(pictures[1:2])
        assert np.array_equal(model(pictures)[1:2], alone.labels)
        assert model.read(pictures).features[1:2] == pytest.approx(alone.features, abs=1e-4)

    def test_a_folder_of_something_else_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="segmenter"):
            segmenter.load(tmp_path)

    def test_damaged_weights_are_refused(self, tmp_path: Path) -> None:
        segmenter_training.save(new_network(), tmp_path)
        file = next(tmp_path.glob("*.safetensors"))
        file.write_bytes(file.read_bytes()[:5000])
        with pytest.raises(InputError, match="damaged"):
            segmenter.load(tmp_path)


class TestSegmenterTraining:
    def renders(self, count: int) -> segmenter_training.Renders:
        drawn = [scenes.held_out(index, "poster", SIZE) for index in range(count)]
        attributes = {
            name: torch.tensor([words.index(each.asked[name]) for each in drawn])
            for name, words in WORDS.items()
        }
        pictures, labels = (
            torch.from_numpy(np.stack(each))
            for each in zip(*((d.picture, d.labels) for d in drawn), strict=True)
        )
        return segmenter_training.Renders(pictures, labels, attributes)

    def test_it_learns(self, tmp_path: Path) -> None:
        renders = self.renders(4)
        trained = segmenter_training.train(renders, tmp_path, steps=40, batch=4, lr=5e-3)
        before = segmenter_training.figures(new_segmenter(), renders)
        after = segmenter_training.figures(Segmenter(trained), renders)
        assert after["mIoU"] > max(0.15, 3 * before["mIoU"])
        assert after["time"] > 0.6

    def test_rare_classes_count_more_and_pixels_count_one(self) -> None:
        labels = torch.tensor([[1] * 90 + [2] * 10])
        weights = segmenter_training.class_weights(labels, 2)
        assert weights[1] > weights[0]
        assert (0.9 * weights[0] + 0.1 * weights[1]).item() == pytest.approx(1)

    def test_mirrored_pairs_stay_pairs(self) -> None:
        renders = self.renders(2)
        turned = segmenter_training.mirrored(renders)
        assert torch.equal(turned.pictures[0, :, 0], renders.pictures[0, :, -1])
        assert torch.equal(turned.labels[0, :, 0], renders.labels[0, :, -1])

    def test_the_command(self, tmp_path: Path) -> None:
        data, out = tmp_path / "data", tmp_path / "out"
        render_folder(4, data, 0, ("poster", "pixel art"), 1.0, 1)
        options = ["--data", str(data), "--out", str(out), "--steps", "2", "--batch-size", "2"]
        assert segmenter_training.main(options) == 0
        assert segmenter.load(out).classes == CLASSES
        told = json.loads((out / "figures.json").read_text())
        assert 0 <= told["mIoU"] <= 1

    def test_a_folder_without_renders_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="render"):
            segmenter_training.main(["--data", str(tmp_path), "--out", str(tmp_path)])


class TestDamage:
    def test_the_same_seed_does_the_same(self) -> None:
        pictures = torch.rand(4, 3, 32, 32) * 2 - 1
        one, other = (damage.damaged(pictures, torch.Generator().manual_seed(5)) for _ in range(2))
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])
        assert one[0].abs().max() <= 1

    def test_softness_tells_how_much_detail_is_gone(self) -> None:
        checks = (torch.arange(64)[:, None] + torch.arange(64)) % 2 * 1.0 - 0.5
        pictures = checks.expand(64, 3, 64, 64)
        soft, softness = damage.damaged(pictures, torch.Generator().manual_seed(1))
        detail = soft.diff(dim=-1).abs().mean((1, 2, 3))
        assert 0.3 < (softness > 0).float().mean() < 0.9
        assert torch.corrcoef(torch.stack([detail, softness]))[0, 1] < -0.8


def one_row(name: str, **changes: object) -> scores.Row:
    row = scores.Row(
        name=name,
        group="control",
        count=4,
        miou=0.5,
        iou={"sky": 0.5, "boat": float("nan")},
        stroke_f1=0.5,
        stroke_precision=0.5,
        stroke_recall=0.5,
        frechet=2.0,
        diversity=float("nan"),
        saturation=0.9,
        sharpness=1.25,
        attributes={"time": 0.8, "season": 0.6},
    )
    return replace(row, **changes)  # type: ignore[arg-type]


class TestTable:
    ROWS = (
        one_row(cases.REAL, miou=0.8, stroke_f1=0.8),
        one_row(cases.BASE, miou=0.2, frechet=4.0, attributes={"time": 0.9, "season": 0.7}),
        one_row(cases.MAP, miou=0.7),
        one_row(cases.SKETCHED, stroke_f1=0.4),
        one_row(cases.BOTH, frechet=5.0, attributes={"time": 0.85, "season": 0.69}),
    )

    def test_goals_by_hand(self) -> None:
        told = {goal.name: (goal.value, goal.reached) for goal in table.goals(self.ROWS)}
        assert told["mIoU with the map, share of the ceiling"] == (pytest.approx(0.875), True)
        assert told["mIoU with the map, multiple of the floor"] == (pytest.approx(3.5), True)
        assert told["stroke F1 with the sketch, share of the ceiling"] == (pytest.approx(0.5), False)
        assert told["Frechet distance, multiple of the base's"] == (pytest.approx(1.25), True)
        assert told["words, points below the base alone"] == (pytest.approx(3), True)

    def test_goals_need_their_rows(self) -> None:
        assert table.goals(self.ROWS[:1]) == []

    def test_json_has_null_for_what_was_not_measured(self, tmp_path: Path) -> None:
        table.write(tmp_path, self.ROWS, {"steps": 20})
        content = json.loads((tmp_path / "table.json").read_text(), parse_constant=pytest.fail)
        assert content["rows"][0]["diversity"] is None
        assert content["rows"][0]["iou"] == {"sky": 0.5, "boat": None}
        assert content["settings"] == {"steps": 20}

    def test_markdown_has_a_line_a_row(self, tmp_path: Path) -> None:
        table.write(tmp_path, self.ROWS, {})
        text = (tmp_path / "table.md").read_text()
        cells = "4 | 0.700 | 0.500 | 0.500 / 0.500 | 2.00 | - | 0.90 | 1.25 | 0.700 | 0.800 | 0.600"
        assert f"| {cases.MAP} | {cells} |" in text
        assert "| stroke F1 with the sketch, share of the ceiling | 0.50 | at least 0.7 | NO |" in text


class TestScores:
    def test_a_perfect_reader_scores_one(
        self, held_out: list[HeldOut], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        model = new_segmenter()
        reading = segmenter.Reading(
            labels=np.stack([scene.labels for scene in held_out]),
            features=np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32),
            attributes={
                name: np.array([words.index(scene.asked[name]) for scene in held_out])
                for name, words in WORDS.items()
            },
        )
        monkeypatch.setattr(model, "read", lambda _pictures: reading)
        pictures = np.stack([scene.picture for scene in held_out])
        maps = [scene.labels for scene in held_out]
        measured = scores.measure(pictures, maps, held_out, model, pictures[:0, None])
        reference = scores.Reference(reading.features, 2 * looks(pictures))
        row = scores.row("x", "control", measured, reference, model)
        assert row.miou == 1
        assert row.attribute_accuracy == 1
        assert row.frechet == pytest.approx(0, abs=1e-6)
        assert math.isnan(row.diversity)
        assert (row.saturation, row.sharpness) == pytest.approx((0.5, 0.5))

    def test_kept_scores_come_back_and_damaged_ones_do_not(self, tmp_path: Path) -> None:
        random = np.random.default_rng(0)
        made = scores.Scores(*(random.integers(0, 9, (2, 3)) for _ in range(6)))
        scores.save(made, tmp_path / "a.npz")
        kept = scores.load(tmp_path / "a.npz")
        assert kept is not None
        assert np.array_equal(kept.strokes, made.strokes)
        (tmp_path / "a.npz").write_bytes(b"PK")
        assert scores.load(tmp_path / "a.npz") is None
        assert scores.load(tmp_path / "none.npz") is None


class TestRun:
    """The command on a small random base: 64 x 64 pictures, two steps, two scenes."""

    @pytest.fixture(scope="class")
    @classmethod
    def models(cls, sd_v_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
        folder = tmp_path_factory.mktemp("models")
        modulator = tiny.build_modulator(Base.from_pretrained(sd_v_folder), classes=CLASS_ROWS)
        modulator.save_pretrained(folder / "modulator")
        for seed in (0, 1):
            segmenter_training.save(new_network(seed), folder / f"segmenter-{seed}")
        return {
            "--base": str(sd_v_folder),
            "--modulator": str(folder / "modulator"),
            "--segmenter": str(folder / "segmenter-0"),
        }

    @pytest.fixture
    def calls(self, monkeypatch: pytest.MonkeyPatch) -> list[object]:
        """Every request that the pipeline gets."""
        asked: list[object] = []
        run_one = MCMPipeline.__call__

        def counted(pipeline: MCMPipeline, request: object) -> object:
            asked.append(request)
            return run_one(pipeline, request)  # type: ignore[arg-type]

        monkeypatch.setattr(MCMPipeline, "__call__", counted)
        return asked

    def evaluate(self, models: dict[str, str], out: Path, *options: str) -> dict[str, object]:
        named = [part for pair in models.items() for part in pair]
        assert (
            run.main([*named, "--out", str(out), "--count", "2", "--steps", "2", "--device", "cpu", *options])
            == 0
        )
        content: dict[str, object] = json.loads((out / "table.json").read_text())
        return content

    def test_table_sheets_and_resumption(
        self, models: dict[str, str], tmp_path: Path, calls: list[object]
    ) -> None:
        out, chosen = (
            tmp_path / "out",
            ("--cases", "control", "shift only (gamma = 1)", "guidance 3", "guidance 5"),
        )
        first = self.evaluate(models, out, *chosen)
        names = [row["name"] for row in first["rows"]]  # type: ignore[attr-defined]
        assert names == [case.name for case in run.chosen(chosen[1:])]
        assert len(first["goals"]) == 5  # type: ignore[arg-type]
        assert (out / "control-1.jpg").is_file()
        # four cases of two drawings from four noises each; three of two pictures; guidance 3 is the run's own
        assert len(calls) == 4 * 2 * 4 + 3 * 2
        calls.clear()
        assert self.evaluate(models, out, *chosen) == first
        assert calls == []

    def test_what_is_lost_is_made_again_and_nothing_else(
        self, models: dict[str, str], tmp_path: Path, calls: list[object]
    ) -> None:
        first = self.evaluate(models, tmp_path, "--cases", "partial map")
        pictures = sorted((tmp_path / "pictures").rglob("*.png"))
        assert len(pictures) == len(calls) == 2
        pictures[0].unlink()
        pictures[1].write_bytes(b"half a file")
        for file in (tmp_path / "scores").glob("*.npz"):
            file.unlink()
        calls.clear()
        assert self.evaluate(models, tmp_path, "--cases", "partial map") == first
        assert len(calls) == 2

    def test_other_settings_are_another_case_and_another_judge_is_not(
        self, models: dict[str, str], tmp_path: Path, calls: list[object]
    ) -> None:
        chosen = ("--cases", "partial map")
        first = self.evaluate(models, tmp_path, *chosen)
        calls.clear()
        other_judge = {**models, "--segmenter": str(Path(models["--segmenter"]).with_name("segmenter-1"))}
        assert self.evaluate(other_judge, tmp_path, *chosen)["rows"] != first["rows"]
        assert calls == []
        self.evaluate(models, tmp_path, *chosen, "--steps", "3")
        assert len(calls) == 2

    def test_a_boost_that_was_edited_is_painted_anew(
        self, models: dict[str, str], tmp_path: Path, calls: list[object]
    ) -> None:
        self.evaluate(models, tmp_path, "--cases", "partial map")
        edited = shutil.copytree(models["--modulator"], tmp_path / "edited")
        config = json.loads((edited / "config.json").read_text())
        (edited / "config.json").write_text(json.dumps(config | {"prompt_boost": 1.3}))
        calls.clear()
        for times in (1, 0):
            self.evaluate({**models, "--modulator": str(edited)}, tmp_path, "--cases", "partial map")
            assert len(calls) == 2 * times
            calls.clear()

    def test_styles_have_a_sheet_and_a_row_for_all(
        self, models: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kept = [case for case in CASES if case.style in ("poster", "pixel art", "watercolor")]
        monkeypatch.setattr(run, "CASES", tuple(kept))
        told = self.evaluate(models, tmp_path, "--cases", "styles", cases.BOTH)
        names = [row["name"] for row in told["rows"]]  # type: ignore[attr-defined]
        assert f"all styles: {cases.BOTH}" in names
        assert f"pixel art: {cases.BASE}" in names
        page = cv2.imread(str(tmp_path / "styles.jpg"))
        assert page.shape[1] == 5 * SIZE[1] + 4 * 4  # map, sketch, poster, watercolor, pixel art

    def test_drawings_by_hand_have_rows_and_a_sheet(
        self, models: dict[str, str], tmp_path: Path, calls: list[object]
    ) -> None:
        hand = drawn_by_hand(tmp_path / "hand")
        told = self.evaluate(models, tmp_path, "--cases", "freehand", "--drawings", str(hand))
        rows = {row["name"]: row for row in told["rows"]}  # type: ignore[attr-defined]
        assert [*rows] == [cases.BASE, cases.FREEHAND_SET]  # there is no modulator of few steps
        assert all(row["count"] == 2 and row["frechet"] is None for row in rows.values())
        assert [len(request.conditions.maps) for request in calls] == [0, 0, 1, 2]  # type: ignore[attr-defined]
        page = cv2.imread(str(tmp_path / "freehand-1.jpg"))
        assert page.shape == (SIZE[0], 2 * (4 * SIZE[1] + 3 * 4) + 4 * 4, 3)

    def test_a_drawing_that_changed_is_painted_anew_and_no_other(
        self, models: dict[str, str], tmp_path: Path, calls: list[object]
    ) -> None:
        hand = drawn_by_hand(tmp_path / "hand")
        chosen = ("--cases", cases.FREEHAND_SET, "--drawings", str(hand))
        self.evaluate(models, tmp_path, *chosen)
        (hand / "2-sketch.png").write_bytes((hand / "1-labels.png").read_bytes())
        calls.clear()
        self.evaluate(models, tmp_path, *chosen)
        assert [request.prompt for request in calls] == ["my house"]  # type: ignore[attr-defined]

    def test_few_steps_stand_beside_many(
        self, models: dict[str, str], tmp_path: Path, calls: list[object]
    ) -> None:
        base = Base.from_pretrained(models["--base"])
        live = {"steps": [1, 2], "guidance_scale": 3.0, "grid": 10}
        tiny.build_modulator(base, classes=CLASS_ROWS, live=live).save_pretrained(tmp_path / "live")
        told = self.evaluate(models, tmp_path, "--cases", "live", "--live", str(tmp_path / "live"))
        names = [row["name"] for row in told["rows"]]  # type: ignore[attr-defined]
        assert names == [case.name for case in cases.LIVE]
        assert [(request.steps, request.guidance_scale) for request in calls] == [  # type: ignore[attr-defined]
            *[(2, 3.0)] * 2,
            *[(1, 1.0)] * 2,
            *[(2, 1.0)] * 2,
        ]
        assert (tmp_path / "live-1.jpg").is_file()

    def test_a_modulator_of_many_steps_is_not_live(self, models: dict[str, str], tmp_path: Path) -> None:
        with pytest.raises(InputError, match="--live must be a modulator of few steps"):
            self.evaluate(models, tmp_path, "--live", models["--modulator"])

    def test_prompts_in_all_orders(self, models: dict[str, str], tmp_path: Path, calls: list[object]) -> None:
        told = self.evaluate(models, tmp_path, "--cases", "words")
        assert [(row["count"], row["frechet"]) for row in told["rows"]] == [(4, None)] * 3  # type: ignore[attr-defined]
        assert len({request.prompt for request in calls}) == 4  # type: ignore[attr-defined]

    def test_a_modulator_of_other_classes_is_refused(self, models: dict[str, str], tmp_path: Path) -> None:
        other = tiny.build_modulator(Base.from_pretrained(models["--base"]))
        other.save_pretrained(tmp_path / "other")
        with pytest.raises(InputError, match="other classes"):
            self.evaluate({**models, "--modulator": str(tmp_path / "other")}, tmp_path)

    def test_listing_needs_no_models(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run.main(["--out", str(tmp_path), "--list"]) == 0
        assert f"control    {cases.BASE}" in capsys.readouterr().out
