"""A modulator that was distilled to few steps: how it is sampled, and what it cannot be asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from demo.runs import Run, Runs
from mcm_core import Base, Conditions, InputError, MCMPipeline, Modulator, Request
from mcm_core.__main__ import main
from mcm_core.control import prepare, undrawn
from mcm_core.drawing.conditions import to_tensors
from mcm_core.evaluation import cases
from mcm_core.models import open_drafts
from mcm_core.record import read_png, write_png
from mcm_core.training.consistency import grid_timesteps
from mcm_core.trajectory import Setting, Trajectory, advance, start
from tests import tiny

LIVE = {"steps": [1, 2, 4], "guidance_scale": 3.0, "grid": 32}
PROMPT, SEED = "a lake", 7
BOTH = ("sd_folder", "sd_v_folder")


@pytest.fixture(scope="module")
def live(base: Base) -> Modulator:
    return tiny.build_modulator(base, live=LIVE)


@pytest.fixture(scope="module")
def pipeline(base: Base, live: Modulator) -> MCMPipeline:
    return MCMPipeline(base, live)


def ask(**values: Any) -> Request:
    return Request(**({"prompt": PROMPT, "seeds": (SEED,), "conditions": tiny.drawing()} | values))


# -- how it is sampled -------------------------------------------------------------------------------------


@torch.no_grad()
def by_hand(base: Base, modulator: Modulator, steps: int, conditions: Conditions) -> list[Tensor]:
    """The estimate of the clean latents at each step, written out."""
    generator = torch.Generator().manual_seed(SEED)
    x = torch.randn(1, 4, 8, 8, generator=generator)
    text = base.encode_prompt([PROMPT])
    features = modulator.encode(to_tensors(conditions, (64, 64), torch.device("cpu")), size=(8, 8))
    timesteps = grid_timesteps(1000, 32).flip(0)[:: 32 // steps].tolist()
    estimates = []
    for timestep in timesteps:
        if estimates:
            a, s = base.moment(timestep).alpha, base.moment(timestep).sigma
            x = a * estimates[-1] + s * torch.randn(1, 4, 8, 8, generator=generator)
        a, s = base.moment(timestep).alpha, base.moment(timestep).sigma
        output = base.predict(x, timestep, text)
        eps = output if base.prediction_type == "epsilon" else a * output + s * x
        change = modulator(x, eps, timestep, a, features)
        estimates.append((x - s * (change.gamma * eps + change.nu)) / a)
    return estimates


def travel(base: Base, modulator: Modulator, request: Request) -> tuple[list[Tensor], Trajectory]:
    """The same by the package, and where it ended."""
    resolved, size = request.resolved(base, modulator), (8, 8)
    control = prepare(modulator, resolved.conditions, resolved.strength, size, resolved.start, resolved.end)
    text = base.encode_prompt([PROMPT])
    trajectory = start(Setting(base, resolved, text, control, undrawn(modulator, size)), SEED)
    estimates = []
    for index in range(len(trajectory)):
        advance(trajectory, index)
        estimates.append(trajectory.x0)
    return estimates, trajectory


@pytest.mark.parametrize("folder", BOTH)
@pytest.mark.parametrize("steps", [1, 2, 4])
def test_each_step_guesses_the_picture_and_puts_new_noise_on_it(
    request: pytest.FixtureRequest, folder: str, steps: int
) -> None:
    """And the last guess is the picture: the scheduler blends nothing into it."""
    base = Base.from_pretrained(request.getfixturevalue(folder))
    modulator = tiny.build_modulator(base, live=LIVE)
    expected = by_hand(base, modulator, steps, tiny.drawing())
    estimates, trajectory = travel(base, modulator, ask(steps=steps))
    assert len(estimates) == len(expected) == steps
    for estimate, right in zip(estimates, expected, strict=True):
        torch.testing.assert_close(estimate, right, rtol=2e-3, atol=2e-3)
    torch.testing.assert_close(trajectory.latents, trajectory.x0, rtol=1e-5, atol=1e-5)
    result = MCMPipeline(base, modulator)(ask(steps=steps))
    decoded = (base.decode(trajectory.latents)[0] * 127.5 + 127.5).clamp(0, 255).permute(1, 2, 0).numpy()
    assert np.abs(result.images[0] - decoded).max() < 0.51


def test_without_a_drawing_it_acts_all_the_same(base: Base, live: Modulator) -> None:
    """As it learned to: few steps of the base alone make no picture."""
    expected = by_hand(base, live, 4, Conditions())
    for request in (ask(conditions=Conditions()), ask(strength={"labels": 0, "sketch": 0}), ask(start=1)):
        torch.testing.assert_close(travel(base, live, request)[0][-1], expected[-1], rtol=2e-3, atol=2e-3)


def test_a_strength_is_how_far_the_drawing_counts(base: Base, live: Modulator) -> None:
    """From nothing drawn to all of it, as guidance is part of the correction."""
    pictures = [
        travel(base, live, ask(steps=1, strength=dict.fromkeys(("labels", "sketch"), strength)))[0][0]
        for strength in (0.0, 0.001, 1.0)
    ]
    from_nothing = [(picture - pictures[0]).abs().mean() for picture in pictures]
    assert 0 < from_nothing[1] < 0.02 * from_nothing[2]


def test_a_comparison_is_with_nothing_drawn(pipeline: MCMPipeline) -> None:
    compared = pipeline(ask(compare=True))
    off = pipeline(ask(strength={"labels": 0, "sketch": 0}))
    assert compared.plain_images is not None
    assert np.array_equal(compared.plain_images, off.images)
    assert not np.array_equal(compared.plain_images, compared.images)


# -- what it is asked for ----------------------------------------------------------------------------------


def test_its_defaults(base: Base, live: Modulator) -> None:
    resolved = Request().resolved(base, live)
    assert (resolved.steps, resolved.guidance_scale, resolved.scheduler) == (4, 1.0, "lcm")
    assert not resolved.guided
    assert resolved.resolved(base, live) == resolved


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"steps": 3}, "steps must be 1 or 2 or 4"),
        ({"steps": True}, "steps must be 1 or 2 or 4"),
        ({"steps": "4"}, "steps must be 1 or 2 or 4"),
        ({"guidance_scale": 3.0}, "Guidance of 3 is part of this modulator"),
        ({"guidance_scale": "3"}, "guidance_scale must be a number"),
        ({"scheduler": "ddim"}, "a scheduler of its own"),
    ],
)
def test_what_it_cannot_do_is_told(base: Base, live: Modulator, asked: dict, told: str) -> None:
    with pytest.raises(InputError, match=told):
        Request(**asked).resolved(base, live)


def test_its_scheduler_is_of_no_other_modulator(base: Base, modulator: Modulator) -> None:
    with pytest.raises(InputError, match="'lcm' is for bases made for few steps"):
        Request(scheduler="lcm").resolved(base, modulator)


def test_a_record_makes_the_same_picture(pipeline: MCMPipeline) -> None:
    result = pipeline(ask(steps=2))
    again = read_png(write_png(result.images[0], result.request))
    assert np.array_equal(pipeline(again).images, result.images)


def test_the_command_line(
    tmp_path: Path,
    sd_folder: Path,
    pipeline: MCMPipeline,
    live: Modulator,
    capsys: pytest.CaptureFixture[str],
) -> None:
    live.save_pretrained(tmp_path / "live")
    models = ["--base", str(sd_folder), "--modulator", str(tmp_path / "live")]
    out, again = tmp_path / "out.png", tmp_path / "again.png"
    assert main(["generate", "--prompt", PROMPT, "--seed", "7", "--out", str(out), *models]) == 0
    assert read_png(out).steps == 4
    assert main(["generate", "--from", str(out), "--out", str(again), *models]) == 0
    assert again.read_bytes() == out.read_bytes()
    assert main(["generate", "--steps", "20", "--out", str(out), *models]) == 2
    assert "steps must be 1 or 2 or 4" in capsys.readouterr().err


def test_it_is_measured_without_guidance(live: Modulator, modulator: Modulator) -> None:
    guided = [replace(cases.CONTROL[0], guidance_scale=scale) for scale in (1.0, 3.0)]
    assert cases.possible(guided, live) == guided[:1]
    assert cases.possible(guided, modulator) == guided


# -- following the brush -----------------------------------------------------------------------------------


def test_drafts_are_decoded_as_previews_are(base: Base, live: Modulator) -> None:
    request = ask(steps=2)
    step = [*MCMPipeline(base, live, drafts=True).stream(request)][-1]
    assert step.result is not None
    np.testing.assert_array_equal(step.result.images, step.preview)
    assert step.result.images.shape != MCMPipeline(base, live)(request).images.shape


def test_only_a_modulator_of_few_steps_paints_drafts(
    base: Base, live: Modulator, modulator: Modulator, tmp_path: Path
) -> None:
    for name, saved in (("live", live), ("slow", modulator)):
        saved.save_pretrained(tmp_path / name)
    assert open_drafts(base, str(tmp_path / "live"))[1].steps == (1, 2, 4)
    with pytest.raises(InputError, match="mcm_core distil"):
        open_drafts(base, str(tmp_path / "slow"))


def test_a_move_that_comes_after_its_stroke_is_late() -> None:
    runs = Runs()
    runs.begin("somebody", Run(live=True, revision=3))
    assert runs.is_late("somebody", Run(live=True, revision=2))
    assert not runs.is_late("somebody", Run(live=True, revision=3))
    assert not runs.is_late("somebody else", Run(live=True, revision=2))
    runs.forget("somebody")
    assert not runs.is_late("somebody", Run(live=True, revision=2))


def test_a_picture_is_stale_when_drawing_or_words_have_changed_since() -> None:
    """Whatever the order in which changes are heard of: the newest counts."""
    runs, shown = Runs(), Request(prompt=PROMPT, conditions=tiny.drawing())
    assert runs.stale("somebody", shown) == ""
    runs.hear("somebody", replace(shown, steps=3, seeds=(9,)), revision=4)
    assert runs.stale("somebody", shown) == ""
    runs.hear("somebody", replace(shown, conditions=Conditions()), revision=6)
    runs.hear("somebody", shown, revision=5)
    assert runs.stale("somebody", shown) == "drawing"
    runs.hear("somebody", replace(shown, negative_prompt="fog"), revision=7)
    assert runs.stale("somebody", shown) == "words"
    assert runs.stale("somebody", None) == runs.stale("somebody else", shown) == ""
    assert runs.is_late("somebody", Run(live=True, revision=6))
    runs.forget("somebody")
    assert runs.stale("somebody", shown) == ""
