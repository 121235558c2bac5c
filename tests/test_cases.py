"""What is asked for: prompts in all orders, drawings by hand, held-out scenes, and cases of these."""

from __future__ import annotations

import math
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mcm_core.base import Base
from mcm_core.drawing.conditions import LABELS, SKETCH, Conditions, InputError
from mcm_core.drawing.sketches import sketch_picture
from mcm_core.evaluation import cases, freehand, orders, run, scenes, scores, segmenter
from mcm_core.evaluation.cases import CASES, Case
from mcm_core.evaluation.look import looks
from mcm_core.evaluation.scenes import HELD_OUT, Drawn, HeldOut
from mcm_core.landscapes import captions
from mcm_core.landscapes.easel import CLASSES
from mcm_core.landscapes.facts import Thing
from mcm_core.landscapes.scene import Scene
from mcm_core.mini.text import CONTEXT
from mcm_core.modulator import Modulator, ModulatorOutput
from tests import tiny
from tests.judging import BLOB, CLASS_ROWS, SIZE, STROKES, WORDS, drawn_by_hand, new_segmenter


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
