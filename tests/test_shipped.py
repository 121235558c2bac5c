"""The models that come with the repository: whole, small, stock, and a drawing is followed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from torch.utils.flop_counter import FlopCounterMode

from mcm_core import Base, MCMPipeline, Modulator
from mcm_core.__main__ import main
from mcm_core.drawing.conditions import LABELS, Conditions
from mcm_core.evaluation import segmenter
from mcm_core.evaluation.cases import GUIDANCE
from mcm_core.evaluation.overlap import confusions, iou
from mcm_core.evaluation.scenes import scenes
from mcm_core.landscapes.easel import CLASSES
from mcm_core.models import BASE, MODULATOR, shipped
from mcm_core.request import Request
from tests import tiny

PROMPT = "a lake and mountains at sunset"


@pytest.fixture(scope="module")
def base() -> Base:
    return Base.from_pretrained(shipped(BASE))


@pytest.fixture(scope="module")
def modulator() -> Modulator:
    return Modulator.from_pretrained(shipped(MODULATOR))


def sizes(folder: Path) -> list[int]:
    return [file.stat().st_size for file in folder.rglob("*") if file.is_file()]


def test_no_file_needs_large_file_storage_and_the_base_is_small() -> None:
    assert max(sizes(shipped(BASE).parent)) < 10_000_000
    assert sum(sizes(shipped(BASE))) <= 45e6


def test_a_picture_stays_within_its_budget(base: Base) -> None:
    latents, embeddings = torch.randn(1, 4, 32, 32), base.encode_prompt([PROMPT])
    for work, limit in (
        (lambda: base.predict(latents, 500, embeddings), 2.6e9),
        (lambda: base.decode(latents), 23e9),
    ):
        with FlopCounterMode(display=False) as counter:
            work()
        assert counter.get_total_flops() <= limit


def test_diffusers_itself_opens_the_base_and_makes_the_same_picture(base: Base) -> None:
    stock = StableDiffusionPipeline.from_pretrained(shipped(BASE), torch_dtype=torch.float32)
    tiny.in_one_layout(stock).set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(7)
    theirs = stock(PROMPT, num_inference_steps=3, guidance_scale=GUIDANCE, generator=generator).images[0]
    ours = MCMPipeline(base)(Request(prompt=PROMPT, steps=3, seeds=(7,)))
    np.testing.assert_array_equal(np.asarray(theirs), ours.images[0])


def test_the_base_is_used_with_the_guidance_that_its_card_recommends(base: Base) -> None:
    assert base.default_guidance_scale == GUIDANCE


@pytest.mark.parametrize(
    ("name", "made"), [("mini", "picture"), ("mini-modulator", "pipeline"), ("mini-live", "pipeline")]
)
def test_what_a_card_says_in_python_runs_as_it_stands(
    name: str, made: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shipped(name)
    monkeypatch.chdir(folder.parents[2])
    (code,) = re.findall(
        r"```python\n(.*?)```", (folder / "README.md").read_text(encoding="utf-8"), re.DOTALL
    )
    told: dict[str, object] = {}
    exec(code, told)
    assert told[made] is not None


def test_the_modulator_was_made_for_exactly_this_base(base: Base, modulator: Modulator) -> None:
    assert base.check(modulator) == ()
    assert modulator.classes == CLASSES[: len(modulator.classes)]


def test_a_painted_map_is_followed(base: Base, modulator: Modulator) -> None:
    drawn = scenes(4, "poster", base.default_size, classes=len(modulator.classes))
    pipeline = MCMPipeline(base, modulator)
    requests = [
        Request(
            prompt=one.prompt,
            conditions=Conditions({LABELS: one.labels}),
            steps=10,
            seeds=(3,),
            compare=True,
            previews=False,
        )
        for one in drawn
    ]
    results = [pipeline(request) for request in requests]
    judge = segmenter.load(shipped("mini-segmenter"))
    maps = np.stack([one.labels for one in drawn])

    def agreement(pictures: list[np.ndarray]) -> float:
        return iou(confusions(maps, judge(np.stack(pictures)), len(modulator.classes)).sum(0)).mean

    plain = agreement([one.plain_images[0] for one in results if one.plain_images is not None])
    assert agreement([one.images[0] for one in results]) > 3 * plain


def test_the_command_line_paints_with_them_and_repeats_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, again = tmp_path / "first.png", tmp_path / "again.png"
    asked = ["generate", "--prompt", PROMPT, "--seed", "7", "--steps", "2", "--json", "--out", str(first)]
    assert main(asked) == 0
    assert json.loads(capsys.readouterr().out)
    assert main(["generate", "--from", str(first), "--out", str(again)]) == 0
    assert again.read_bytes() == first.read_bytes()
