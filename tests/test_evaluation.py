"""Evaluation: the table, and the command end to end on a small random base."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from mcm_core.base import Base
from mcm_core.drawing.conditions import InputError
from mcm_core.evaluation import cases, run, scores, segmenter, table
from mcm_core.evaluation.cases import CASES
from mcm_core.evaluation.look import looks
from mcm_core.evaluation.scenes import HeldOut
from mcm_core.mini import segmenter_training
from mcm_core.pipeline import MCMPipeline
from tests import tiny
from tests.judging import CLASS_ROWS, SIZE, WORDS, drawn_by_hand, new_network, new_segmenter


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
