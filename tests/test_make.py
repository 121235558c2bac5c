"""`mcm make`: from a base and a list of classes to modulators, a report and a Space."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mcm_core import Base, InputError, MCMPipeline, Modulator
from mcm_core.__main__ import main
from mcm_core.drawing.conditions import LABELS
from mcm_core.evaluation.strokes import agreement, matches, outlines
from mcm_core.space import write
from mcm_core.training.batches import split
from mcm_core.training.data import Pair
from mcm_core.training.following import labels_followed, painted
from mcm_core.training.options import parse
from tests import tiny

CLASSES = [{"name": "sky", "color": "#8ec1ef"}, {"name": "tree", "color": "#2e6b3a"}]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder after one run of the command, small as it can be."""
    folder = tmp_path_factory.mktemp("make")
    tiny.build_stable_diffusion(folder / "base")
    tiny.build_segformer(folder / "segformer", ("sky", "tree"), "tree")
    (folder / "classes.json").write_text(json.dumps(CLASSES))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mcm_core.base.frozen.STEPS", 2)  # of every picture that it dreams or shows
        patch.setattr("mcm_core.training.watching.HELD_OUT_SAMPLES", 4)
        assert main(command(folder)) == 0
        yield folder


def rows(folder: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]


def command(folder: Path, *more: str) -> list[str]:
    given = {
        "base": folder / "base",
        "segmenter": folder / "segformer",
        "classes": folder / "classes.json",
        "out": folder / "out",
        "space": folder / "space",
        "space-base": "somebody/their-model",
        "count": 20,
        "held-out": 2,
        "steps": 2,
        "live-steps": 2,
        "batch-size": 2,
        "preset": "nano",
    }
    flat = [text for name, value in given.items() for text in (f"--{name}", str(value))]
    return ["make", *flat, "--cpu", *more]


def test_both_modulators_open_with_the_base(made: Path) -> None:
    base = Base.from_pretrained(made / "base")
    slow, live = (Modulator.from_pretrained(made / "out" / name) for name in ("modulator", "live"))
    for modulator in (slow, live):
        assert MCMPipeline(base, modulator).notes == ()
        assert [label.name for label in modulator.classes] == ["sky", "tree"]
    assert (slow.live, live.live and live.live.steps) == (None, (1, 2, 4))


def test_the_report_says_how_far_they_follow(made: Path) -> None:
    told = json.loads((made / "out/report.json").read_text())
    assert told.keys() == {"modulator", "live"}
    for scores in told.values():  # this segmenter finds trees everywhere, in whatever was painted
        assert scores["labels"] == {"ceiling": 1, "drawn": 1, "alone": 1, "count": 2}
        assert scores["strokes"].keys() == {"ceiling", "drawn", "alone", "count"}
    assert (made / "out/report.png").is_file()


@pytest.mark.parametrize("of", ["dreams", "photos"])
def test_without_classes_it_makes_a_tool_for_sketches_alone(
    of: str, tmp_path: Path, sd_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcm_core.base.frozen.STEPS", 2)
    (tmp_path / "prompts.txt").write_text("{a lake|a house} at night")
    for number in range(10):
        noise = np.random.default_rng(number).integers(0, 256, (4, 4, 3), np.uint8)
        Image.fromarray(noise).resize((64, 64), 0).save(tmp_path / f"{number}.png")
    sources = {
        "dreams": ["--prompts", str(tmp_path / "prompts.txt"), "--count", "10"],
        "photos": ["--images", str(tmp_path), "--caption", "a lake"],
    }
    quick = ["--held-out", "1", "--steps", "1", "--live-steps", "0", "--batch-size", "2", "--preset", "nano"]
    out = ["--base", str(sd_folder), "--out", str(tmp_path / "out"), "--cpu"]
    assert main(["make", *sources[of], *quick, *out]) == 0
    modulator = Modulator.from_pretrained(tmp_path / "out/modulator")
    assert [one.name for one in modulator.modalities] == ["sketch"]
    told = json.loads((tmp_path / "out/report.json").read_text())
    row = rows(tmp_path / "out/pairs")[split(10, 1, 0)[1][0]]
    picture = np.asarray(Image.open(tmp_path / "out/pairs" / row["file_name"]))
    sketch = 255 - np.asarray(Image.open(tmp_path / "out/pairs" / row["sketch"]))
    ceiling = agreement(matches(sketch, outlines(picture))).f1
    assert told["modulator"].keys() == {"strokes"}
    assert told["modulator"]["strokes"]["ceiling"] == pytest.approx(ceiling)
    assert told["modulator"]["strokes"]["count"] == 1


def test_repeating_it_does_nothing_twice(made: Path, capfd: pytest.CaptureFixture[str]) -> None:
    weights = made / "out/modulator/diffusion_pytorch_model.safetensors"
    before = weights.stat().st_mtime_ns
    assert main(command(made)) == 0
    assert weights.stat().st_mtime_ns == before
    assert "step 1/" not in capfd.readouterr().out


def test_a_modulator_that_was_trained_on_gets_a_new_one_of_few_steps(
    made: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    shutil.copytree(made / "out", out)
    assert main(command(made, "--out", str(out), "--steps", "3")) == 0
    told = capfd.readouterr().out
    assert "Going on from step 2." in told
    assert "the one of few steps is made anew" in told
    live = Modulator.from_pretrained(out / "live").state_dict()
    before = Modulator.from_pretrained(made / "out/live").state_dict()
    assert not all(torch.equal(value, before[name]) for name, value in live.items())


@pytest.mark.parametrize("given", [[], ["--caption", ""], ["--captioner", "a/captioner"]])
def test_photos_of_which_nothing_is_said_are_refused_before_any_work(
    given: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "one.png")
    Image.new("RGB", (64, 64)).save(tmp_path / "two.png")
    (tmp_path / "two.txt").write_text("a picture")
    asked = [
        "make",
        "--base",
        "b",
        "--classes",
        "landscape",
        "--segmenter",
        "s",
        "--out",
        str(tmp_path / "out"),
    ]
    assert main([*asked, "--images", str(tmp_path), *given]) == 2
    assert ("1 of the photos have no caption, as one.txt" in capfd.readouterr().err) is (not given)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--echo", "3"], "--batch-size must be a multiple of --echo 3"),
        (["--reading", "-1"], "--reading must be at least 0"),
        (["--steps", "0"], "--steps must be at least 1"),
        (["--live-steps", "-1"], "--live-steps must be at least 0"),
        (["--batch-size", "0"], "--batch-size must be at least 1"),
        (["--count", "9"], "--count must be at least 10"),
        (["--prompts", "none.txt"], "There is no file of prompts 'none.txt'"),
    ],
)
def test_what_no_training_takes_is_refused_before_any_work(
    given: list[str], said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    asked = ["make", "--base", "b", "--classes", "landscape", "--segmenter", "s"]
    assert main([*asked, "--out", str(tmp_path / "out"), *given]) == 2
    assert said in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--classes", "landscape"], "Label maps need --classes and --segmenter"),
        (["--segmenter", "s", "--prompts", "landscape"], "Label maps need --classes and --segmenter"),
        (["--segmenter", "s", "--images", "."], "Label maps need --classes and --segmenter"),
        ([], "say what is dreamed of: --prompts FILE"),
    ],
)
def test_what_is_to_be_drawn_must_be_said(
    given: list[str], said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["make", "--base", "b", "--out", str(tmp_path / "out"), *given]) == 2
    assert said in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_preset_that_is_none_is_refused_before_any_work(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    asked = ["make", "--base", "b", "--classes", "landscape", "--segmenter", "s"]
    with pytest.raises(SystemExit):
        main([*asked, "--out", str(tmp_path / "out"), "--preset", "huge"])
    assert "invalid choice: 'huge'" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_training_is_told_what_it_was_told(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = []

    def train(argv: Sequence[str]) -> int:
        told.append(parse(argv))
        return 1

    monkeypatch.setattr("mcm_core.training.modulator.main", train)
    assert main(command(made, "--steps", "9", "--reading", "0.002", "--echo", "2")) == 1
    assert [(one.steps, one.reading, one.echo, one.preset) for one in told] == [(9, 0.002, 2, "nano")]


def test_a_space_without_a_base_on_the_hub_is_refused_before_any_work(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    asked = ["make", "--base", str(tmp_path), "--classes", "landscape", "--segmenter", "s"]
    assert main([*asked, "--out", str(tmp_path / "out"), "--space", str(tmp_path / "space")]) == 2
    assert "say --space-base" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_space_is_complete(made: Path) -> None:
    """Its app starts from its own folder with nothing but the named requirements."""
    space = made / "space"
    card = (space / "README.md").read_text()
    assert re.match(r"---\ntitle: their-model\n", card)
    assert "app_file: app.py" in card
    needed = (space / "requirements.txt").read_text()
    assert "diffusers" in needed
    assert "pytest" not in needed
    code = "import runpy, sys; import mcm_core.__main__ as m; m.main = print; runpy.run_path('app.py')"
    told = subprocess.run([sys.executable, "-c", code], cwd=space, capture_output=True, text=True, check=True)
    assert "'--base', 'somebody/their-model', '--modulator', 'modulator', '--live-modulator'" in told.stdout
    for name in ("modulator", "live-modulator"):
        Modulator.from_pretrained(space / name)
    for folder in ("mcm_core/pairs/classes", "demo/canvas"):
        assert any((space / folder).iterdir())
    assert not (space / "mcm_core/assets/models").exists()


def test_a_base_that_no_space_can_fetch_is_refused(made: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--space-base"):
        write(tmp_path / "space", str(made / "base"), {})


def test_what_the_labeller_is_unsure_of_follows_nothing(made: Path) -> None:
    """Half of what it sees is the class that was drawn, of the other half it knows nothing."""
    base = Base.from_pretrained(made / "base")
    pipeline = MCMPipeline(base, Modulator.from_pretrained(made / "out/modulator"))
    labels = np.full((64, 64), 2, np.uint8)

    def half(pictures: np.ndarray) -> np.ndarray:
        found = np.full(pictures.shape[:3], 2, np.uint8)
        found[:, 32:] = 0
        return found

    pair = Pair(np.zeros((64, 64, 3), np.uint8), ("a tree",), {LABELS: labels})
    told = labels_followed(painted(pipeline, [pair], seed=0), half, classes=2)
    assert (told.ceiling, told.drawn, told.alone) == (0.5, 0.5, 0.5)
