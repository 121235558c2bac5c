"""What a training tells on its way: how far its samples follow, held-out losses, and where these go."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mcm_core.__main__ import main
from mcm_core.base import Base
from mcm_core.drawing.conditions import LABELS, SKETCH
from mcm_core.pipeline import MCMPipeline
from mcm_core.training.data import Pair
from mcm_core.training.following import Sample, drawn_with, labels_followed, painted, strokes_followed
from mcm_core.training.options import parse
from mcm_core.training.watching import samples_are_due
from tests import tiny
from tests.pairs import CLASSES, build_pairs

SIDE = 64
ONE_STEP = [
    "--preset", "nano", "--batch-size", "2", "--held-out", "1", "--samples", "2", "--precision", "fp32",
    "--log-every", "1", "--cpu",
]  # fmt: skip


def disc(colour: int) -> np.ndarray:
    """(H, W, 3): a bright disc on grey."""
    picture = np.full((SIDE, SIDE, 3), 90, np.uint8)
    return cv2.circle(picture, (SIDE // 2, SIDE // 2), 20, (colour, colour, colour), -1)


def of_a_disc() -> Sample:
    """The drawing is followed exactly; the base alone paints nothing."""
    outline = cv2.circle(np.zeros((SIDE, SIDE), np.uint8), (SIDE // 2, SIDE // 2), 20, 255, 1)
    maps = {LABELS: 1 + (disc(250)[..., 0] > 200).astype(np.uint8), SKETCH: outline}
    return Sample(Pair(disc(250), ("a disc",), maps), np.full((SIDE, SIDE, 3), 90, np.uint8), disc(250))


def test_a_training_goes_on_where_no_sheet_can_be_made(
    tmp_path: Path, sd_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def too_large(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("mcm_core.training.watching.painted", too_large)
    data = build_pairs(tmp_path / "pairs", 6)
    argv = ["--base", str(sd_folder), "--data", str(data), "--out", str(tmp_path / "out"), *ONE_STEP]
    assert main(["train", *argv, "--steps", "2", "--sample-every", "1"]) == 0
    assert capsys.readouterr().out.count("no sheet of samples: not enough memory") == 2


def test_a_caption_may_hold_what_a_prompt_may_not(sd_folder: Path) -> None:
    base = Base.from_pretrained(sd_folder)
    base.default_steps = 1
    pair = replace(of_a_disc().pair, captions=("a disc (16:9), as in (John 3:16)",), maps={})
    (sample,) = painted(MCMPipeline(base), [pair], seed=0)
    assert sample.drawn.shape == (SIDE, SIDE, 3)


# -- scores ------------------------------------------------------------------------------------------------


def test_strokes_that_are_outlines_are_followed() -> None:
    score = strokes_followed([of_a_disc()])
    assert (score.drawn, score.alone, score.ceiling) == (1, 0, 1)


def test_classes_that_are_read_again_are_followed() -> None:
    def read(pictures: np.ndarray) -> np.ndarray:
        return 1 + (pictures[..., 0] > 200).astype(np.uint8)

    score = labels_followed([of_a_disc()], read, classes=2)
    background = 1 - (of_a_disc().pair.maps[LABELS] == 2).mean()
    assert (score.drawn, score.ceiling) == (1, 1)
    assert score.alone == pytest.approx(background / 2), "one class of two, and of that the share it has"


def test_samples_without_a_drawing_are_not_judged() -> None:
    empty = replace(of_a_disc().pair, maps={SKETCH: np.zeros((SIDE, SIDE), np.uint8)})
    samples = [of_a_disc(), replace(of_a_disc(), pair=empty)]
    assert drawn_with(samples, SKETCH) == samples[:1]
    assert drawn_with(samples, LABELS) == samples[:1]


# -- when --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("every", "steps"),
    [
        (1000, [100, 1000, 2000, 2500]),
        (800, [100, 800, 1600, 2400, 2500]),
        (60, [*range(60, 2500, 60), 2500]),
    ],
)
def test_the_first_sheet_comes_early(every: int, steps: list[int]) -> None:
    options = parse(
        ["--base", "b", "--data", "d", "--out", "o", "--steps", "2500", "--sample-every", str(every)]
    )
    assert [step for step in range(1, 2501) if samples_are_due(step, options)] == steps


def test_there_need_be_none() -> None:
    options = parse(["--base", "b", "--data", "d", "--out", "o", "--sample-every", "0"])
    assert not any(samples_are_due(step, options) for step in (1, 100, options.steps))


# -- where -------------------------------------------------------------------------------------------------


def command(base: Path, folder: Path, *more: str) -> list[str]:
    data = build_pairs(folder / "pairs", 10)
    return ["train", "--base", str(base), "--data", str(data), "--out", str(folder / "out"), *ONE_STEP, *more]


def test_scores_are_told_and_tracked(
    sd_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setattr("mcm_core.base.frozen.STEPS", 2)
    names = tuple(label["name"] for label in CLASSES)
    segmenter = tiny.build_segformer(tmp_path / "segformer", names, names[0])
    more = ["--steps", "2", "--segmenter", str(segmenter), "--report-to", "tensorboard"]
    assert main(command(sd_folder, tmp_path, *more)) == 0
    said = capsys.readouterr().out
    assert "step 2  strokes are followed to 0." in said
    assert "step 2  labels are followed to 0." in said
    events = EventAccumulator(str(tmp_path / "out" / "logs" / "mcm"))
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == [1, 2]
    assert {"base_alone", "held-out_loss", "held-out_strokes_followed", "held-out_labels_followed"} <= set(
        events.Tags()["scalars"]
    )


def test_a_tracker_that_is_not_installed_is_told_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcm_core.training.watching.find_spec", lambda name: None)
    assert main(command(Path("not-opened"), tmp_path, "--report-to", "wandb")) == 2
    assert "pip install wandb" in capsys.readouterr().err


def test_who_is_not_logged_in_is_told_before_the_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(Path("not-opened"), tmp_path, "--push-to-hub", "somebody/modulator")) == 2
    assert "hf auth login" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
