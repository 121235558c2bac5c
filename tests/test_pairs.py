"""`mcm prepare` and `mcm dream`: pairs to train on, from photos and from the base itself."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from transformers import EomtConfig, SegformerForSemanticSegmentation

from mcm_core.__main__ import main
from mcm_core.base import Base
from mcm_core.drawing.conditions import InputError, LabelClass
from mcm_core.pairs import dream as dreaming
from mcm_core.pairs.captioning import spoken, written
from mcm_core.pairs.labelling import GIVEN, Merging, of_queries, open_labeller, read_merging
from mcm_core.pairs.lines import edge_lines, open_sketcher, pencil_lines
from mcm_core.pairs.prompts import lines_of, prompt_of, read_prompts
from mcm_core.pairs.store import Made, Store
from mcm_core.training import cache
from mcm_core.training.rows import Layout, default_modalities, open_rows
from tests import tiny

CPU = torch.device("cpu")
NAMES = ("sky", "tree", "dirt-merged", "car")
CLASSES = [
    {"name": "heaven", "color": "#8ec1ef", "from": ["sky"]},
    {"name": "wood", "color": "#2e6b3a", "from": ["tree", "palm"]},
    {"name": "ground", "color": "#a0794f", "from": ["dirt"]},
]


def photo(folder: Path, name: str, size: tuple[int, int] = (90, 70)) -> Path:
    """A bright sky over a dark ground with a disc."""
    width, height = size
    picture = np.full((height, width, 3), (180, 210, 240), np.uint8)
    picture[height // 2 :] = (70, 60, 40)
    cv2.circle(picture, (width // 2, height // 3), height // 6, (250, 240, 90), -1)
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)
    return path


def rows(folder: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("classes") / "classes.json"
    path.write_text(json.dumps(CLASSES))
    return path


@pytest.fixture(scope="module")
def segformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build_segformer(tmp_path_factory.mktemp("segformer"), NAMES, "tree")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build_stable_diffusion(tmp_path_factory.mktemp("base"))


class TestClasses:
    @pytest.mark.parametrize("name", sorted(file.stem for file in GIVEN.glob("*.json")))
    def test_the_given_lists_take_each_name_into_one_class(self, name: str) -> None:
        merging = read_merging(name)
        named = [other for names in merging.names for other in names]
        assert len(named) == len(set(named))
        assert len({label.color for label in merging.classes}) == len(merging.classes)

    def test_names_of_data_sets_are_the_same_name(self) -> None:
        merging = Merging((LabelClass("wood", "#000000"),), (frozenset({"tree"}),))
        assert merging.table(["Tree", "tree-merged", "tree, palm", "car"]).tolist() == [1, 1, 1, 0]

    def test_a_model_without_any_of_the_classes_is_refused(self) -> None:
        merging = Merging((LabelClass("wood", "#000000"),), (frozenset({"wood"}),))
        with pytest.raises(InputError, match="None of the segmenter's classes"):
            merging.table(["sky", "car"])

    def test_a_list_of_another_form_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "classes.json").write_text('{"sky": 1}')
        with pytest.raises(InputError, match="must read"):
            read_merging(str(tmp_path / "classes.json"))
        with pytest.raises(InputError, match="landscape"):
            read_merging("moonscape")


class TestLabelling:
    def test_a_semantic_model_s_classes_become_one_s_own(self, segformer: Path, classes: Path) -> None:
        label = open_labeller(str(segformer), read_merging(str(classes)), CPU)
        found = label(np.zeros((2, 48, 64, 3), np.uint8))
        assert found.labels.shape == (2, 48, 64)
        assert (found.labels == 2).all()
        sure = float(torch.tensor([0.0, 4.0, 0.0, 0.0]).softmax(0)[1])
        assert found.sureness == pytest.approx([sure, sure], abs=1e-4)

    def test_where_the_model_is_unsure_nothing_is_said(self, segformer: Path, tmp_path: Path) -> None:
        (tmp_path / "c.json").write_text(json.dumps([CLASSES[0], CLASSES[2]]))
        found = open_labeller(str(segformer), read_merging(str(tmp_path / "c.json")), CPU)(
            np.zeros((1, 64, 64, 3), np.uint8)
        )
        assert not found.labels.any()

    def test_a_universal_model_s_queries_are_weighed_by_their_masks(self) -> None:
        """Two queries: the first is surely class 0 and covers the left, the other class 2 and the right."""
        logits = torch.tensor([[[9.0, 0, 0, 0], [0, 0, 9.0, 0]]])  # the last is "no object"
        masks = torch.tensor([[[[9.0, -9.0]], [[-9.0, 9.0]]]])
        output = SimpleNamespace(class_queries_logits=logits, masks_queries_logits=masks)
        found = of_queries(output)
        torch.testing.assert_close(found.sum(1), torch.ones(1, 1, 2))
        assert found.argmax(1).tolist() == [[[0, 2]]]
        assert found.max() > 0.99

    def test_a_model_in_half_precision_is_read_in_it(
        self, segformer: Path, classes: Path, tmp_path: Path
    ) -> None:
        shutil.copytree(segformer, tmp_path / "half")
        SegformerForSemanticSegmentation.from_pretrained(segformer).half().save_pretrained(tmp_path / "half")
        label = open_labeller(str(tmp_path / "half"), read_merging(str(classes)), CPU)
        assert (label(np.zeros((1, 64, 64, 3), np.uint8)).labels == 2).all()

    def test_a_model_that_is_told_its_task_in_words_is_read(self, tmp_path: Path, classes: Path) -> None:
        tiny.build_oneformer(tmp_path, NAMES)
        label = open_labeller(str(tmp_path), read_merging(str(classes)), CPU)
        read = label(np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3), np.uint8))
        assert read.labels.shape == (2, 64, 64)
        assert np.isfinite(read.sureness).all()

    def test_a_kind_of_model_that_is_not_read_is_refused(self, tmp_path: Path, classes: Path) -> None:
        EomtConfig().save_pretrained(tmp_path)
        with pytest.raises(InputError, match="a eomt is not read here"):
            open_labeller(str(tmp_path), read_merging(str(classes)), CPU)

    def test_a_judge_of_this_package_serves_too(self, tmp_path: Path, classes: Path) -> None:
        from mcm_core.evaluation.segmenter import Network

        torch.manual_seed(0)
        known = [{"name": name, "color": "#000000"} for name in ("sky", "tree")]
        Network(known, {"time": ["day", "night"]}, widths=(4, 8), features=4).save_pretrained(tmp_path)
        found = open_labeller(str(tmp_path), read_merging(str(classes)), CPU)(
            np.zeros((1, 32, 32, 3), np.uint8)
        )
        assert set(np.unique(found.labels)) <= {0, 1, 2}

    def test_what_is_no_segmentation_model_is_said(self, tmp_path: Path, classes: Path) -> None:
        with pytest.raises(InputError, match="cannot be opened as a segmentation model"):
            open_labeller(str(tmp_path), read_merging(str(classes)), CPU)


class TestLines:
    @pytest.mark.parametrize("draw", [edge_lines, pencil_lines])
    def test_the_disc_s_border_is_drawn_and_the_flat_sky_is_not(self, tmp_path: Path, draw: object) -> None:
        picture = np.asarray(Image.open(photo(tmp_path, "a.png", (256, 192))))
        lines = draw(picture)  # type: ignore[operator]
        assert lines.shape == picture.shape[:2]
        assert set(np.unique(lines)) == {0, 255}
        near = cv2.dilate(lines, np.ones((7, 7), np.uint8))
        angles = np.linspace(0, 2 * np.pi, 100)
        ring = near[(64 + 32 * np.sin(angles)).astype(int), (128 + 32 * np.cos(angles)).astype(int)]
        assert (ring > 0).mean() > 0.9
        assert not lines[:20].any()

    def test_unknown_kinds_and_missing_libraries_are_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(InputError, match="edges, lines, both, hed"):
            open_sketcher("crayon")
        monkeypatch.setitem(sys.modules, "controlnet_aux", None)
        with pytest.raises(InputError, match="pip install controlnet-aux"):
            open_sketcher("hed")


class TestCaptions:
    def test_the_text_beside_a_photo_goes_before_the_fixed_one(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_text(" a lake\nat dawn ")
        paths = [tmp_path / "a.jpg", tmp_path / "b.jpg"]
        assert written("a photo")(paths, []) == ["a lake at dawn", "a photo"]
        assert written(None)(paths, []) == ["a lake at dawn", None]

    def test_what_is_no_captioner_is_said(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="cannot be opened as a captioner"):
            spoken(str(tmp_path), CPU)


class TestPrepare:
    def options(self, tmp_path: Path, *more: str) -> list[str]:
        return [
            "prepare",
            "--images",
            str(tmp_path / "photos"),
            "--out",
            str(tmp_path / "out"),
            "--size",
            "64",
            "64",
            *more,
        ]

    def test_photos_become_a_data_set_that_training_reads(
        self, tmp_path: Path, segformer: Path, classes: Path
    ) -> None:
        photo(tmp_path / "photos", "a.png", (200, 100))
        photo(tmp_path / "photos", "below/a.jpg", (100, 200))
        (tmp_path / "photos/a.txt").write_text("a lake")
        command = self.options(
            tmp_path, "--segmenter", str(segformer), "--classes", str(classes), "--caption", "a photo"
        )
        assert main(command) == 0
        made = rows(tmp_path / "out")
        assert [row["text"] for row in made] == ["a lake", "a photo"]
        assert len({row["file_name"] for row in made}) == 2
        layout = Layout(
            (64, 64), default_modalities(str(tmp_path / "out"), {}), read_merging(str(classes)).classes
        )
        from mcm_core.training.data import read_pair

        for row in open_rows(str(tmp_path / "out"), layout):
            pair = read_pair(row, layout)
            assert pair.picture.shape == (64, 64, 3)
            assert (pair.maps["labels"] == 2).all()
            assert 0 < (pair.maps["sketch"] == 255).mean() < 0.3
        assert (tmp_path / "out/understood.png").is_file()

    def test_bad_photos_are_listed_and_never_fatal(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        photo(tmp_path / "photos", "good.png")
        (tmp_path / "photos/bad.jpg").write_bytes(b"nothing")
        photo(tmp_path / "photos", "thin.png", (400, 12))
        white_on_nothing = np.full((80, 100, 4), 255, np.uint8)
        white_on_nothing[:, 50:, 3] = 0
        Image.fromarray(white_on_nothing).save(tmp_path / "photos/blank.png")
        assert main(self.options(tmp_path)) == 0
        told = capfd.readouterr()
        assert "left out blank.png: nothing can be seen in it" in told.err
        assert "left out bad.jpg" in told.err
        assert "left out thin.png" in told.err
        assert "1 pairs" in told.out
        assert len(rows(tmp_path / "out")) == 1

    def test_no_good_photo_is_an_error(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "photos").mkdir()
        assert main(self.options(tmp_path)) == 2
        (tmp_path / "photos/bad.jpg").write_bytes(b"nothing")
        assert main(self.options(tmp_path)) == 2
        assert "None of the photos could be used" in capfd.readouterr().err

    def test_one_s_own_maps_are_taken_by_name(
        self, tmp_path: Path, classes: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        photo(tmp_path / "photos", "a.png", (128, 64))
        photo(tmp_path / "photos", "b.png", (128, 64))
        (tmp_path / "maps").mkdir()
        drawn = np.ones((64, 128), np.uint8)
        drawn[32:] = 3
        Image.fromarray(drawn).save(tmp_path / "maps/a.png")
        command = self.options(tmp_path, "--labels", str(tmp_path / "maps"), "--classes", str(classes))
        assert main(command) == 0
        (row,) = rows(tmp_path / "out")
        kept = np.asarray(Image.open(tmp_path / "out" / row["labels"]))
        assert (kept[:32] == 1).all()
        assert (kept[32:] == 3).all()
        told = capfd.readouterr().out
        assert "Few of the maps (1) show wood (none): drawings of these will be followed less." in told

    def test_what_was_interrupted_goes_on(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for index in range(4):
            photo(tmp_path / "photos", f"{index}.png")
        add, added = Store.add, []

        def stop_at_the_third(store: Store, source: str, name: str, made: Made) -> None:
            if len(added) == 2:
                raise KeyboardInterrupt
            added.append(source)
            add(store, source, name, made)

        monkeypatch.setattr(Store, "add", stop_at_the_third)
        assert main(self.options(tmp_path, "--batch-size", "1")) == 130
        assert not (tmp_path / "out/metadata.jsonl").exists()
        with (tmp_path / "out/made/000.jsonl").open("a") as file:
            file.write('{"source": "3.p')
        monkeypatch.setattr(Store, "add", add)
        before = (tmp_path / "out/images/0.png.png").stat().st_mtime_ns
        assert main(self.options(tmp_path)) == 0
        assert (tmp_path / "out/images/0.png.png").stat().st_mtime_ns == before
        assert len(rows(tmp_path / "out")) == 4

    def test_other_options_need_another_folder(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        photo(tmp_path / "photos", "a.png")
        assert main(self.options(tmp_path)) == 0
        assert main(self.options(tmp_path, "--sketch", "edges")) == 2
        assert "another --out" in capfd.readouterr().err

    def test_maps_of_other_classes_need_another_folder(
        self, tmp_path: Path, segformer: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        photo(tmp_path / "photos", "a.png")
        (tmp_path / "own.json").write_text(json.dumps(CLASSES))
        asked = self.options(tmp_path, "--segmenter", str(segformer), "--classes", str(tmp_path / "own.json"))
        assert main(asked) == 0
        before = (tmp_path / "out/classes.json").read_bytes()
        (tmp_path / "own.json").write_text(json.dumps(CLASSES[::-1]))
        assert main(asked) == 2
        assert "in another order" in capfd.readouterr().err
        assert (tmp_path / "out/classes.json").read_bytes() == before

    def test_two_processes_share_the_photos(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for index in range(3):
            photo(tmp_path / "photos", f"{index}.png")
        monkeypatch.setenv("WORLD_SIZE", "2")
        for rank in ("0", "1"):  # as torchrun says it
            monkeypatch.setenv("RANK", rank)
            assert main(self.options(tmp_path)) == 0
        assert sorted(path.name for path in (tmp_path / "out/made").iterdir()) == ["000.jsonl", "001.jsonl"]
        assert len(rows(tmp_path / "out")) == 3


class TestPrompts:
    @pytest.mark.parametrize("given", ["landscape", "interior", "street"])
    def test_those_that_come_with_a_list_of_classes_name_each_of_them(self, given: str) -> None:
        merging = read_merging(given)
        lines = lines_of(None, given, merging.classes)
        prompts = [f" {re.sub('[^a-z]', ' ', prompt_of(lines, number))} " for number in range(2000)]
        for label, names in zip(merging.classes, merging.names, strict=True):
            words = [f" {name}{ending} " for name in names for ending in ("", "s", "es")]
            told = sum(any(word in prompt for word in words) for prompt in prompts)
            assert told >= 0.01 * len(prompts), label.name

    def test_without_any_the_names_of_ones_own_classes_are_the_prompts(self) -> None:
        names = ["sky", "red {brick|stone} wall", "sea"]
        lines = lines_of(None, "own.json", [LabelClass(name, "#000000") for name in names])
        prompts = [prompt_of(lines, number) for number in range(300)]
        for name in ("sky", "red brick stone wall", "sea"):
            assert 100 <= sum(name in prompt for prompt in prompts) <= 250
        assert lines_of(None, "own.json", [LabelClass("sky", "#000000")])[0].endswith("sky")

    @pytest.mark.parametrize("given", ["landscape", "interior", "street"])
    def test_a_prompt_is_the_same_in_every_run_and_has_no_braces(self, given: str) -> None:
        lines = read_prompts(given)
        prompts = [prompt_of(lines, number) for number in range(200)]
        assert prompts == [prompt_of(lines, number) for number in range(200)]
        assert not any(set("{}|") & set(prompt) or " ," in prompt for prompt in prompts)
        assert len(set(prompts)) > 150

    def test_choices_may_stand_inside_of_choices(self) -> None:
        lines = ("{a {big|small} house|a tree}",)
        assert {prompt_of(lines, number) for number in range(60)} == {
            "a big house",
            "a small house",
            "a tree",
        }

    def test_an_empty_file_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "p.txt").write_text("# nothing\n")
        with pytest.raises(InputError, match="holds no prompt"):
            read_prompts(str(tmp_path / "p.txt"))


class TestDream:
    def command(self, base: Path, segformer: Path, classes: Path, out: Path, *more: str) -> list[str]:
        named = {"base": base, "segmenter": segformer, "classes": classes, "out": out}
        options = [text for name, value in named.items() for text in (f"--{name}", str(value))]
        return ["dream", *options, "--count", "5", "--steps", "2", "--batch-size", "2", *more]

    def test_training_takes_the_latents_that_were_painted(
        self, base: Path, segformer: Path, classes: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        assert main(self.command(base, segformer, classes, tmp_path / "dreams")) == 0
        assert "(5) show ground (none), heaven (none)" in capfd.readouterr().out
        opened = Base.from_pretrained(base)
        layout = Layout(
            (64, 64), default_modalities(str(tmp_path / "dreams"), {}), read_merging(str(classes)).classes
        )
        read = open_rows(str(tmp_path / "dreams"), layout)
        assert len(read) == 5

        def never() -> Base:
            raise AssertionError("nothing is to be encoded")

        space = opened.fingerprint.partition("-")[0]
        pairs = cache.stored_pairs(tmp_path / "cache", read, layout, never, True, lambda *_: None, space)
        picture = np.asarray(Image.open(tmp_path / "dreams" / rows(tmp_path / "dreams")[3]["file_name"]))
        latents, _ = pairs.get(3, flip=False)
        repainted = dreaming.decoded(opened, torch.from_numpy(latents)[None])[0]
        assert np.abs(repainted.astype(int) - picture).max() <= 2  # half precision
        mirrored, _ = pairs.get(3, flip=True)
        signed = torch.from_numpy(picture[:, ::-1].copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
        torch.testing.assert_close(torch.from_numpy(mirrored), opened.encode(signed)[0], atol=2e-3, rtol=2e-3)

    def test_another_base_s_latents_are_not_taken(
        self, base: Path, segformer: Path, classes: Path, tmp_path: Path
    ) -> None:
        assert main(self.command(base, segformer, classes, tmp_path / "dreams")) == 0
        layout = Layout(
            (64, 64), default_modalities(str(tmp_path / "dreams"), {}), read_merging(str(classes)).classes
        )
        read = open_rows(str(tmp_path / "dreams"), layout)
        opened, encoded = Base.from_pretrained(base), []

        def encoder() -> Base:
            encoded.append(True)
            return opened

        cache.stored_pairs(tmp_path / "cache", read, layout, encoder, True, lambda *_: None, "another")
        assert encoded == [True]

    def test_pictures_painted_together_are_those_painted_alone(self, base: Path) -> None:
        one = dreaming.Dreaming(Base.from_pretrained(base), (64, 64), 3, 5.0)
        together = dreaming.paint(one, ["a lake", "a house"], [4, 5])
        alone = dreaming.paint(one, ["a house"], [5])
        torch.testing.assert_close(together[1:], alone, atol=1e-4, rtol=1e-4)

    def test_it_paints_what_the_pipeline_paints(self, base: Path) -> None:
        from mcm_core import MCMPipeline
        from mcm_core.request import Request

        opened = Base.from_pretrained(base)
        result = MCMPipeline(opened)(Request(prompt="a house", steps=3, guidance_scale=5.0, seeds=(5,)))
        latents = dreaming.paint(dreaming.Dreaming(opened, (64, 64), 3, 5.0), ["a house"], [5])
        assert np.array_equal(dreaming.decoded(opened, latents), result.images)

    def test_where_the_segmenter_is_unsure_the_picture_is_left_out(
        self, base: Path, segformer: Path, classes: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        command = self.command(base, segformer, classes, tmp_path / "dreams", "--least-sure", "0.99")
        assert main(command) == 2
        assert "unsure of every picture" in capfd.readouterr().err

    def test_without_classes_it_dreams_of_prompts_and_draws_sketches(
        self, base: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "prompts.txt").write_text("a lake")
        given = [
            "--base",
            str(base),
            "--prompts",
            str(tmp_path / "prompts.txt"),
            "--out",
            str(tmp_path / "out"),
        ]
        assert main(["dream", *given, "--count", "2", "--steps", "2"]) == 0
        assert [sorted(row) for row in rows(tmp_path / "out")] == [
            ["file_name", "latents", "latents_base", "sketch", "text"]
        ] * 2

    def test_a_base_without_text_cannot_dream(
        self, segformer: Path, classes: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        base = tiny.build_ldm(tmp_path / "ldm")
        assert main(self.command(base, segformer, classes, tmp_path / "dreams")) == 2
        assert "takes no text" in capfd.readouterr().err
