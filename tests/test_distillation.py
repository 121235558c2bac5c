"""`python -m mcm_core distil`: what the student aims at, what it learns, what stays, what is refused."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path

import diffusers
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from mcm_core.base import Base
from mcm_core.drawing.conditions import InputError
from mcm_core.live import Live
from mcm_core.modulator import Modulator
from mcm_core.training import distil as command
from mcm_core.training.batches import Batch, Batches, Plan
from mcm_core.training.checkpoints import latest_checkpoint
from mcm_core.training.conditioned import Conditioned
from mcm_core.training.consistency import Distillation, ddim, grid_timesteps, pseudo_huber
from mcm_core.training.frozen import Frozen
from mcm_core.training.job import Job
from mcm_core.training.modulator import begin, fit_job, make_frozen, start
from mcm_core.training.stopping import Stop
from tests import tiny
from tests.pairs import build_pairs

QUICK = [
    "--batch-size",
    "4",
    "--sample-every",
    "0",
    "--held-out",
    "0",
    "--precision",
    "fp32",
    "--warmup",
    "2",
]
WEIGHTS = "diffusion_pytorch_model.safetensors"
GUIDANCE = 3.0


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_pairs(tmp_path_factory.mktemp("pairs"), 12)


@pytest.fixture(scope="module")
def teacher_folder(tmp_path_factory: pytest.TempPathFactory, sd_v_folder: Path) -> Path:
    folder = tmp_path_factory.mktemp("teacher")
    tiny.build_modulator(Base.from_pretrained(sd_v_folder)).save_pretrained(folder)
    return folder


@pytest.fixture
def argv(sd_v_folder: Path, data: Path, teacher_folder: Path, tmp_path: Path) -> list[str]:
    paths = {"base": sd_v_folder, "data": data, "modulator": teacher_folder, "out": tmp_path / "out"}
    return [*(part for name, path in paths.items() for part in (f"--{name}", str(path))), *QUICK]


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def flat(modulator: Modulator) -> Tensor:
    return torch.cat([one.detach().flatten() for one in modulator.parameters()])


# -- what it aims at ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("points", [32, 50])
def test_the_grid_is_that_of_the_sampler(points: int) -> None:
    scheduler = diffusers.LCMScheduler(original_inference_steps=points)
    grid = set(grid_timesteps(1000, points).tolist())
    scheduler.set_timesteps(points)
    assert set(scheduler.timesteps.tolist()) == grid
    for steps in (1, 2, 4, 8):
        scheduler.set_timesteps(steps)
        assert set(scheduler.timesteps.tolist()) <= grid
        assert scheduler.timesteps[0] == max(grid)


def test_a_ddim_step_is_that_of_diffusers(sd_folder: Path) -> None:
    base = Base.from_pretrained(sd_folder)
    scheduler = base.make_scheduler("ddim")
    scheduler.set_timesteps(10)
    sample, eps = torch.randn(2, 1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    now, then = base.moment(901), base.moment(801)
    expected = scheduler.step(eps, 901, sample, return_dict=False)[0]
    torch.testing.assert_close(ddim(eps, sample, now, then), expected, rtol=1e-4, atol=1e-5)


def test_the_loss_is_square_near_the_goal_and_linear_far_from_it() -> None:
    goal = torch.zeros(3, 4, 8, 8)
    got = torch.tensor([0.0, 1e-5, 2.0]).view(3, 1, 1, 1).expand_as(goal)
    expected = [0.0, 1e-10 / (2 * 0.00054), 2 - 0.00054]
    torch.testing.assert_close(pseudo_huber(got.double(), goal), torch.tensor(expected), rtol=1e-2, atol=1e-8)


def setting(argv: list[str]) -> tuple[Job, Frozen, Distillation, Conditioned, Batch]:
    """A teacher, another modulator as the target, a third as the student, and a batch."""
    job = begin(command.parse(argv))
    teacher = command.open_teacher(str(job.options.init))
    target, student = (tiny.build_modulator(job.base, seed=seed) for seed in (1, 2))
    plan = Plan(job.trained, 4, job.layout.modalities, job.layout.size, rates=job.options.rates)
    batch = Batches(job.pairs, plan)[0]
    distillation = Distillation(teacher, target, GUIDANCE, 32)
    return job, make_frozen(job), distillation, Conditioned(student), batch


def answer(
    base: Base,
    modulator: Modulator,
    batch: Batch,
    x: Tensor,
    t: Tensor,
    guidance: float,
    boost: float = 1.0,
) -> Tensor:
    """x0 by hand of each row by itself, from a base that predicts v; the prompts of drawings boosted."""
    rows = []
    for row, text in enumerate(batch.texts):
        a, s = base.moment(float(t[row])).alpha, base.moment(float(t[row])).sigma
        sample = x[row : row + 1]
        eps = a * base.predict(sample, t[row], base.encode_prompt([text])) + s * sample
        textless = a * base.predict(sample, t[row], base.encode_prompt([""])) + s * sample
        maps = {name: drawn[row : row + 1] for name, drawn in batch.maps.items()}
        presence = {name: given[row : row + 1] for name, given in batch.presence.items()}
        features = modulator.encode(maps, presence, size=(8, 8), batch=1)
        change = modulator(sample, eps, t[row], a, features)
        further = (boost - 1) * (eps - textless) if any(presence.values()) else 0
        guided = textless + guidance * (change.gamma * eps + change.nu - textless + further)
        rows.append((sample - s * guided) / a)
    return torch.cat(rows)


@pytest.mark.parametrize(("place", "boost"), [(0, 1.0), (0, 2.0), (7, 1.0), (7, 2.0), (31, 1.0)])
@torch.no_grad()
def test_the_goal_is_the_target_a_step_of_the_teacher_further_on(
    argv: list[str], place: int, boost: float
) -> None:
    """And at the lowest timestep the teacher's own x0."""
    job, frozen, distillation, module, batch = setting(argv)
    distillation.teacher.register_to_config(prompt_boost=boost)
    presence = {name: given * torch.tensor([0, 1, 1, 1]) for name, given in batch.presence.items()}
    batch = replace(batch, moments=torch.full((4,), (place + 0.5) / 32), presence=presence)
    grid, base = grid_timesteps(1000, 32), job.base
    now, lower = base.moment(float(grid[place])), base.moment(float(grid[max(place - 1, 0)]))
    clean, noise = frozen.clean_and_noise(batch)
    x, t = now.alpha * clean + now.sigma * noise, grid[place].expand(4)
    goal = answer(base, distillation.teacher, batch, x, t, GUIDANCE, boost)
    if place > 0:
        eps = (x - now.alpha * goal) / now.sigma
        x_lower = lower.alpha * goal + lower.sigma * eps
        goal = answer(base, distillation.target, batch, x_lower, grid[place - 1].expand(4), 1.0)
    told = distillation(module, frozen, batch, "fp32")
    for name, modulator in (("loss", module.modulator), ("undistilled", distillation.teacher)):
        got = answer(base, modulator, batch, x, t, 1.0)
        torch.testing.assert_close(told[name], pseudo_huber(got, goal).mean(), rtol=1e-3, atol=1e-5)


# -- training ----------------------------------------------------------------------------------------------


def test_it_learns_and_the_base_and_the_teacher_stay_as_they_were(argv: list[str], sd_v_folder: Path) -> None:
    options = command.parse([*argv, "--steps", "60", "--lr", "3e-3"])
    job = begin(options)
    teacher = command.open_teacher(str(job.options.init))
    student = command.make_student(job, str(options.init), options.live(job.base))
    training = start(job, student, target_ema=0.95)
    frozen, objective = make_frozen(job), command.distillation(training, teacher)
    with Stop() as stop:
        fit_job(job, training, frozen, objective, stop)
    plan = Plan(job.trained, 12, job.layout.modalities, job.layout.size, seed=1)
    with torch.no_grad():
        told = objective(Conditioned(training.average), frozen, Batches(job.pairs, plan)[0], "fp32")
    assert told["loss"] < 0.8 * told["undistilled"]
    untouched = Base.from_pretrained(sd_v_folder)
    for used, fresh in zip(job.base.networks(), untouched.networks(), strict=True):
        assert same(dict(used.state_dict()), dict(fresh.state_dict()))
        assert all(one.grad is None and not one.requires_grad for one in used.parameters())
    assert same(teacher.state_dict(), command.open_teacher(str(job.options.init)).state_dict())


def test_the_command_says_how_the_result_is_sampled(argv: list[str], tmp_path: Path) -> None:
    more = ["--steps", "2", "--live-steps", "1", "3", "--guidance-scale", "2", "--held-out", "2"]
    assert command.main([*argv, *more]) == 0
    live = Modulator.from_pretrained(tmp_path / "out").config.live
    assert live == {"steps": [1, 3], "guidance_scale": 2.0, "grid": 32}
    result = json.loads((tmp_path / "out" / "training.json").read_text())["result"]
    assert result["step"] == 2
    assert result["loss"] > 0


def test_its_teacher_is_guided_as_the_base_is(argv: list[str], base: Base) -> None:
    assert command.parse(argv).live(base).guidance_scale == base.default_guidance_scale == 7.5


def test_a_run_goes_on_with_the_guidance_that_it_was_begun_with(
    argv: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also without saying it again: once the default was another."""
    assert command.main([*argv, "--steps", "1", "--guidance-scale", "3"]) == 0
    assert command.main([*argv, "--steps", "2"]) == 0
    assert "Going on from step 1." in capsys.readouterr().out
    assert Modulator.from_pretrained(tmp_path / "out").config.live["guidance_scale"] == 3
    record = json.loads((tmp_path / "out" / "training.json").read_text())
    assert record["options"]["guidance_scale"] == 3


def test_a_base_without_text_is_distilled_without_guidance(
    tmp_path: Path, data: Path, ldm_folder: Path
) -> None:
    tiny.build_modulator(Base.from_pretrained(ldm_folder)).save_pretrained(tmp_path / "teacher")
    argv = ["--base", str(ldm_folder), "--data", str(data), "--modulator", str(tmp_path / "teacher")]
    argv += ["--out", str(tmp_path / "out"), *QUICK, "--steps", "1"]
    assert command.main(argv) == 0
    assert Modulator.from_pretrained(tmp_path / "out").config.live["guidance_scale"] == 1
    assert command.main([*argv, "--guidance-scale", "3"]) == 2


def test_a_stopped_run_goes_on_bit_for_bit(
    argv: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    through, stopped = ([*argv, "--steps", "4", "--out", str(tmp_path / name)] for name in ("one", "two"))
    assert command.main(through) == 0
    with monkeypatch.context() as patch:
        calls = iter(range(100))
        patch.setattr(Stop, "signal", signal.SIGTERM)
        patch.setattr(Stop, "asked", lambda self: next(calls) == 1)
        assert command.main(stopped) == 128 + signal.SIGTERM
    assert command.main(stopped) == 0
    assert same(*(load_file(tmp_path / name / WEIGHTS) for name in ("one", "two")))
    ends = [latest_checkpoint(tmp_path / name / "checkpoints") for name in ("one", "two")]
    assert same(*(torch.load(end / "state.pt", weights_only=True)["target"] for end in ends if end))


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--grid", "0"], "--grid must be"),
        (["--live-steps", "64"], "--live-steps must be"),
        (["--grid", "2000", "--live-steps", "1"], "live.grid must be"),
        (["--target-ema", "1"], "--target-ema must be"),
        (["--guidance-scale", "-1"], "--guidance-scale must be"),
        (["--modulator", "nowhere/at/all"], "nowhere/at/all"),
    ],
)
def test_bad_options_are_refused_in_one_line(
    argv: list[str], capsys: pytest.CaptureFixture[str], more: list[str], told: str
) -> None:
    assert command.main([*argv, *more]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert told in error


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"live": {"steps": [4], "guidance_scale": 3.0, "grid": 32}}, "distilled already"),
        ({"training_window": [500, 1000]}, "only a part of the noise levels"),
    ],
)
def test_a_teacher_must_know_all_noise_levels_itself(
    argv: list[str], tmp_path: Path, base: Base, capsys: pytest.CaptureFixture[str], config: dict, told: str
) -> None:
    tiny.build_modulator(base, **config).save_pretrained(tmp_path / "other")
    assert command.main([*argv, "--modulator", str(tmp_path / "other"), "--dry-run"]) == 2
    assert told in capsys.readouterr().err


def test_a_student_of_its_own_goes_on_from_where_it_was(argv: list[str], tmp_path: Path, base: Base) -> None:
    """One that is smaller than the teacher, and was distilled before."""
    live = {"steps": [4], "guidance_scale": 3.0, "grid": 32}
    small = tiny.build_modulator(base, seed=5, block_out_channels=(8, 8), live=live)
    small.save_pretrained(tmp_path / "small")
    assert command.main([*argv, "--student", str(tmp_path / "small"), "--steps", "1"]) == 0
    made = Modulator.from_pretrained(tmp_path / "out")
    assert made.live == Live((1, 2, 4), base.default_guidance_scale, 32)
    change = flat(made) - flat(small)
    assert 0 < change.norm() < 0.1 * flat(small).norm()


def test_a_student_of_other_drawings_is_refused(
    argv: list[str], tmp_path: Path, base: Base, capsys: pytest.CaptureFixture[str]
) -> None:
    sketch = {"name": "sketch", "kind": "image", "channels": 1}
    tiny.build_modulator(base, modalities=[sketch], classes=[]).save_pretrained(tmp_path / "other")
    assert command.main([*argv, "--student", str(tmp_path / "other")]) == 2
    assert "other modalities" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()  # nothing was encoded before that was known


def test_a_base_that_starts_in_pure_noise_is_refused(
    argv: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tiny.build_stable_diffusion(tmp_path / "zero", "v_prediction", zero_snr=True)
    tiny.build_modulator(Base.from_pretrained(folder)).save_pretrained(tmp_path / "other")
    changed = ["--base", str(folder), "--modulator", str(tmp_path / "other"), "--dry-run"]
    assert command.main([*argv, *changed]) == 2
    assert "pure noise" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"steps": []}, "live.steps"),
        ({"steps": [64]}, "live.steps"),
        ({"steps": 4}, "live.steps"),
        ({"grid": 1001}, "live.grid"),
        ({"grid": None}, "live.grid"),
        ({"guidance_scale": "3"}, "live.guidance_scale"),
    ],
)
def test_a_damaged_config_is_refused(base: Base, change: dict, told: str) -> None:
    with pytest.raises(InputError, match=told):
        tiny.build_modulator(base, live={"steps": [4], "guidance_scale": 3.0, "grid": 32} | change)


def test_an_older_config_is_of_no_live_modulator(base: Base, tmp_path: Path) -> None:
    tiny.build_modulator(base).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["live"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert Modulator.from_pretrained(tmp_path).live is None
