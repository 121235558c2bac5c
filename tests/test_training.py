"""`python -m mcm_core train`: it learns, goes on exactly, leaves the base alone, fails with clear words."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from mcm_core.base import Base
from mcm_core.modulator import Modulator
from mcm_core.training import modulator as command
from mcm_core.training.batches import EXACT, Batches, Plan
from mcm_core.training.checkpoints import checkpoint_step, latest_checkpoint
from mcm_core.training.conditioned import Conditioned, losses
from mcm_core.training.fit import Progress, Schedule, Training, take_step
from mcm_core.training.frozen import Frozen
from mcm_core.training.job import prepare
from mcm_core.training.optimiser import Optimiser
from mcm_core.training.options import parse
from mcm_core.training.stopping import Stop
from tests import tiny
from tests.pairs import COLORS, build_pairs, draw

QUICK = [
    "--preset",
    "nano",
    "--batch-size",
    "2",
    "--sample-every",
    "0",
    "--held-out",
    "0",
    "--precision",
    "fp32",
]
WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="session")
def pairs_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_pairs(tmp_path_factory.mktemp("pairs"), 12)


def arguments(base: Path, data: Path, out: Path, *more: str) -> list[str]:
    return ["--base", str(base), "--data", str(data), "--out", str(out), *QUICK, *more]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / WEIGHTS)


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def state(checkpoint: Path | None) -> dict[str, Any]:
    assert checkpoint is not None
    return torch.load(checkpoint / "state.pt", weights_only=True)


# -- learning ----------------------------------------------------------------------------------------------


def test_it_learns_to_follow_the_drawing(tmp_path: Path) -> None:
    """The loss falls far below the base's, and is lower with a pair's own drawing than with another's.

    The base's weights are random. Only one that predicts v is then as wrong as it might be of a picture: an
    untrained prediction of the noise is wrong without bounds.
    """
    data = build_pairs(tmp_path / "pairs", 40)
    base = tiny.build_ddpm(tmp_path / "base", "v_prediction")
    argv = arguments(base, data, tmp_path / "out", "--steps", "160", "--lr", "3e-3", "--warmup", "10")
    argv += ["--batch-size", "8", "--held-out", "4", "--ema", "0.95", "--drop-all", "0", "--flip", "0"]
    assert command.main(argv) == 0
    result = json.loads((tmp_path / "out" / "training.json").read_text())["result"]
    assert result["loss"] < 0.3 * result["plain_loss"]

    options = parse(argv)
    job = prepare(options, command.make_accelerator(options))
    batch = Batches(job.pairs, Plan(job.trained, 32, job.layout.modalities, job.layout.size, rates=EXACT))[0]
    swapped = replace(batch, maps={name: one.roll(1, dims=0) for name, one in batch.maps.items()})
    module = Conditioned(Modulator.from_pretrained(tmp_path / "out"))
    frozen = Frozen(job.base, "uniform", "uniform", (0.0, 1.0))
    with torch.no_grad():
        own, others = (losses(module, frozen, seen, "fp32")["loss"] for seen in (batch, swapped))
    assert own < 0.95 * others


def test_warm_up_rises_and_the_cosine_ends_at_zero() -> None:
    schedule = Schedule(steps=1000, warmup=100, cooldown=1.0)
    scales = [schedule.scale(Progress(step)) for step in range(1001)]
    assert scales[:101] == sorted(scales[:101])
    assert scales[100:] == sorted(scales[100:], reverse=True)
    assert 0 < scales[0] < 0.02
    assert scales[100] == 1
    assert scales[1000] == pytest.approx(0, abs=1e-12)


def test_the_base_stays_as_it_was_and_never_gets_a_gradient(
    tmp_path: Path, sd_folder: Path, pairs_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Base] = []
    original = Base.from_pretrained.__func__  # type: ignore[attr-defined]

    def remember(cls: type[Base], *args: Any, **options: Any) -> Base:
        opened.append(original(cls, *args, **options))
        return opened[-1]

    monkeypatch.setattr(Base, "from_pretrained", classmethod(remember))
    assert command.main(arguments(sd_folder, pairs_folder, tmp_path, "--steps", "3")) == 0
    trained_with, fresh = opened[0], original(Base, sd_folder)
    for used, untouched in zip(trained_with.networks(), fresh.networks(), strict=True):
        assert same(dict(used.state_dict()), dict(untouched.state_dict()))
        assert all(one.grad is None and not one.requires_grad for one in used.parameters())


# -- any base, any modality --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sdxl", "ldm", "ddpm"])
def test_other_bases_train_with_the_same_command(
    tmp_path: Path, pairs_folder: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    base = request.getfixturevalue(f"{kind}_folder")
    assert command.main(arguments(base, pairs_folder, tmp_path, "--steps", "2")) == 0
    modulator = Modulator.from_pretrained(tmp_path)
    assert Base.from_pretrained(base).check(modulator) == ()
    assert all(torch.isfinite(one).all() for one in modulator.parameters())


def test_other_modalities_and_no_text(tmp_path: Path, sd_folder: Path) -> None:
    data = build_pairs(tmp_path / "pairs", 4, text=None, depth="images/0.png")
    argv = arguments(sd_folder, data, tmp_path / "out", "--steps", "2", "--modalities", "sketch", "depth:3")
    assert command.main(argv) == 2, "the base takes text, and there is none"
    assert command.main([*argv, "--text-dropout", "1"]) == 0
    trained = Modulator.from_pretrained(tmp_path / "out").modalities
    assert [(one.name, one.kind, one.channels) for one in trained] == [
        ("sketch", "image", 1),
        ("depth", "image", 3),
    ]


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_without_the_cache_the_same_is_learned(
    tmp_path: Path, sd_folder: Path, pairs_folder: Path, precision: str
) -> None:
    """The cache rounds latents to half precision, and nothing else."""
    first = []
    for way in ("--cache-latents", "--no-cache-latents"):
        out = tmp_path / way
        argv = arguments(sd_folder, pairs_folder, out, "--steps", "2", "--precision", precision, way)
        assert command.main(argv) == 0
        first.append(state(latest_checkpoint(out / "checkpoints"))["progress"]["losses"]["loss"])
    assert first[0] == pytest.approx(first[1], rel=3e-3 if precision == "fp32" else 2e-2)
    assert not (tmp_path / "--no-cache-latents" / "cache").exists()


def test_training_can_start_from_a_modulator(tmp_path: Path, sd_folder: Path, pairs_folder: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    more = ["--steps", "2", "--lr", "1e-2", "--prompt-boost", "1.5"]
    assert command.main(arguments(sd_folder, pairs_folder, first, *more)) == 0
    argv = arguments(sd_folder, pairs_folder, second, "--steps", "1", "--lr", "1e-12", "--init", str(first))
    assert command.main(argv) == 0
    assert Modulator.from_pretrained(second).config.prompt_boost == 1.5
    for name, value in weights(first).items():
        torch.testing.assert_close(weights(second)[name], value, rtol=0, atol=1e-6)


# -- going on ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("optimiser", "workers"), [("adamw", "0"), ("adamw", "1"), ("muon", "0")])
def test_a_stopped_run_goes_on_bit_for_bit(
    tmp_path: Path,
    sd_folder: Path,
    pairs_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    optimiser: str,
    workers: str,
) -> None:
    more = ["--steps", "6", "--workers", workers, "--optimiser", optimiser, "--lr", "1e-3"]
    through, stopped = tmp_path / "through", tmp_path / "stopped"
    assert command.main(arguments(sd_folder, pairs_folder, through, *more)) == 0
    with monkeypatch.context() as patch:
        calls = iter(range(100))
        patch.setattr(Stop, "signal", signal.SIGTERM)
        patch.setattr(Stop, "asked", lambda self: next(calls) == 2)
        assert command.main(arguments(sd_folder, pairs_folder, stopped, *more)) == 128 + signal.SIGTERM
    halfway = latest_checkpoint(stopped / "checkpoints")
    assert halfway is not None
    assert checkpoint_step(halfway) == 3
    assert not (stopped / WEIGHTS).exists()
    assert command.main(arguments(sd_folder, pairs_folder, stopped, *more)) == 0
    assert same(weights(through), weights(stopped))
    ends = [state(latest_checkpoint(out / "checkpoints")) for out in (through, stopped)]
    assert same(ends[0]["network"], ends[1]["network"])
    assert ends[0]["progress"]["losses"]["loss"] == ends[1]["progress"]["losses"]["loss"]


PLAIN = ("--optimiser", "adamw", "--weighting", "uniform")
"""Float errors stay what they are: Muon and large weights at strong noise magnify them."""


TOGETHER = """
import json, shutil, sys
from pathlib import Path
from accelerate import PartialState
from mcm_core.training.modulator import main

through, stopped, whole = map(json.loads, sys.argv[1:])
assert main(through) == 0
if PartialState().is_main_process:
    before, after = (Path(argv[argv.index("--out") + 1]) for argv in (through, stopped))
    shutil.copytree(before, after)
    (after / "diffusion_pytorch_model.safetensors").unlink()
    shutil.rmtree(after / "checkpoints" / "step-00000004")
PartialState().wait_for_everyone()
assert main(stopped) == 0
assert main(whole) == 0
"""
"""Trainings by the same two processes, the second from a checkpoint of the first."""
THROUGH = ("--steps", "4", "--checkpoint-every", "2", "--cpu", "--echo", "2")
THROUGH += ("--reading", "0.1", "--reader-steps", "2")
WHOLE = (*PLAIN, "--steps", "3", "--cpu", "--lr", "1e-4", "--warmup", "0", "--echo", "2", "--batch-size")


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory: pytest.TempPathFactory, sd_folder: Path, pairs_folder: Path) -> Path:
    """The folder of three trainings under torchrun, `through`, `stopped` and `whole`, and `said`."""
    folder = tmp_path_factory.mktemp("two-processes")
    trainings = {"through": THROUGH, "stopped": THROUGH, "whole": (*WHOLE, "2", "--accumulate", "2")}
    (folder / "start.py").write_text(TOGETHER)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    argv = [
        json.dumps(arguments(sd_folder, pairs_folder, folder / name, *more))
        for name, more in trainings.items()
    ]
    done = subprocess.run(
        [*torchrun, str(folder / "start.py"), *argv], env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (folder / "said").write_text(done.stdout)
    return folder


def test_two_processes_train_and_go_on_bit_for_bit(
    tmp_path: Path, sd_folder: Path, pairs_folder: Path, two_processes: Path
) -> None:
    through, stopped = two_processes / "through", two_processes / "stopped"
    assert "Going on from step 2." in (two_processes / "said").read_text()
    assert same(weights(through), weights(stopped))
    ends = [state(latest_checkpoint(out / "checkpoints"))["network"] for out in (through, stopped)]
    assert same(*ends)
    assert json.loads((stopped / "training.json").read_text())["result"]["processes"] == 2
    assert command.main(arguments(sd_folder, pairs_folder, tmp_path, *THROUGH)) == 0
    assert not same(weights(through), weights(tmp_path))


def test_two_processes_learn_what_one_does_with_their_whole_batch(
    tmp_path: Path, sd_folder: Path, pairs_folder: Path, two_processes: Path
) -> None:
    """Within float error, each in two parts: noise, noise levels and what is dropped follow a pair's place in
    the step."""
    assert command.main(arguments(sd_folder, pairs_folder, tmp_path, *WHOLE, "8")) == 0
    two = weights(two_processes / "whole")
    assert max((two[name] - value).abs().max() for name, value in weights(tmp_path).items()) < 1e-6


def test_accumulated_batches_learn_what_a_large_one_does(
    tmp_path: Path, sd_folder: Path, pairs_folder: Path
) -> None:
    more = [*PLAIN, "--steps", "3", "--lr", "1e-4", "--warmup", "0", "--batch-size"]
    large, parts = tmp_path / "large", tmp_path / "parts"
    assert command.main(arguments(sd_folder, pairs_folder, large, *more, "6")) == 0
    assert command.main(arguments(sd_folder, pairs_folder, parts, *more, "2", "--accumulate", "3")) == 0
    assert max((weights(parts)[name] - value).abs().max() for name, value in weights(large).items()) < 1e-6


def test_of_accumulated_batches_one_at_a_time_is_in_memory() -> None:
    seen = list[str]()

    def losses(part: str) -> dict[str, torch.Tensor]:
        seen.append(f"{part} forward")
        loss = network.weight.sum() * 1
        loss.register_hook(lambda gradient: seen.append(f"{part} backward"))
        return {"loss": loss}

    network = torch.nn.Linear(2, 2)
    training = Training(network, Optimiser(network, 1e-3, matrices=False), Schedule(1))
    take_step(training, ["first", "second"], losses)
    assert seen == ["first forward", "first backward", "second forward", "second backward"]


def test_a_run_goes_on_with_as_many_pairs_a_step_however_they_are_dealt_out(
    tmp_path: Path, sd_folder: Path, pairs_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*more: str) -> int:
        return command.main(arguments(sd_folder, pairs_folder, tmp_path, *PLAIN, *more))

    assert run("--steps", "1", "--batch-size", "4") == 0
    assert run("--steps", "2", "--batch-size", "2") == 2
    assert "holds a run of 4 pairs a step, not 2" in capsys.readouterr().err
    assert run("--steps", "2", "--batch-size", "2", "--accumulate", "2") == 0
    assert "Going on from step 1." in capsys.readouterr().out
    assert run("--steps", "3", "--batch-size", "4", "--seed", "9") == 2
    assert "holds a run with seed = 0, not 9" in capsys.readouterr().err


def test_sigterm_leaves_a_checkpoint_and_a_message(
    tmp_path: Path, sd_folder: Path, pairs_folder: Path
) -> None:
    argv = arguments(sd_folder, pairs_folder, tmp_path, "--steps", "1000000", "--log-every", "1")
    code = "import sys; from mcm_core.training.modulator import main; sys.exit(main(sys.argv[1:]))"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *argv], env=environment(), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("step 3/"):
            process.send_signal(signal.SIGTERM)
            break
    rest = process.stdout.read()
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    newest = latest_checkpoint(tmp_path / "checkpoints")
    assert newest is not None
    assert checkpoint_step(newest) >= 3
    assert f"Stopped at step {checkpoint_step(newest)}. The same command goes on from there." in rest


def environment() -> dict[str, str]:
    root = str(Path(__file__).parent.parent)
    return os.environ | {"PYTHONPATH": root, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


# -- failing -----------------------------------------------------------------------------------------------


def spoil_losses(monkeypatch: pytest.MonkeyPatch, bad: set[int]) -> None:
    calls = iter(range(1000))
    original = command.losses

    def spoiled(*args: Any) -> dict[str, torch.Tensor]:
        told = dict(original(*args))
        return told | {"loss": told["loss"] * float("nan")} if next(calls) in bad else told

    monkeypatch.setattr(command, "losses", spoiled)


def test_a_step_that_is_not_finite_is_left_out(
    tmp_path: Path, sd_folder: Path, pairs_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil_losses(monkeypatch, {1, 3})
    assert command.main(arguments(sd_folder, pairs_folder, tmp_path, "--steps", "5")) == 0
    assert all(torch.isfinite(one).all() for one in weights(tmp_path).values())
    end = state(latest_checkpoint(tmp_path / "checkpoints"))
    assert (end["progress"]["skipped"], end["progress"]["step"]) == (2, 5)


def test_many_such_steps_end_the_run_and_keep_the_last_checkpoint(
    tmp_path: Path,
    sd_folder: Path,
    pairs_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spoil_losses(monkeypatch, set(range(2, 1000)))
    argv = arguments(
        sd_folder, pairs_folder, tmp_path, "--steps", "100", "--checkpoint-every", "2", "--keep", "1"
    )
    assert command.main(argv) == 1
    assert "not finite 10 steps in a row" in capsys.readouterr().err
    newest = latest_checkpoint(tmp_path / "checkpoints")
    end = state(newest)
    assert all(torch.isfinite(one).all() for one in end["network"].values())
    assert end["progress"]["step"] - end["progress"]["skipped"] == 2


def test_a_full_disk_is_told_and_keeps_the_last_checkpoint(
    tmp_path: Path,
    sd_folder: Path,
    pairs_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    original = Training.save

    def full(training: Training[Any], folder: Path) -> None:
        original(training, folder)
        if training.progress.step > 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(Training, "save", full)
    argv = arguments(sd_folder, pairs_folder, tmp_path, "--steps", "9", "--checkpoint-every", "2")
    assert command.main(argv) == 1
    assert "No space left on device" in capsys.readouterr().err.splitlines()[-1]
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000002"]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--lr", "1e-4"], "lr = 0.002, not 0.0001"),
        (["--weighting", "uniform"], "weighting = v, not uniform"),
        (["--seed", "1"], "seed = 0, not 1"),
    ],
)
def test_other_options_do_not_go_on_with_a_run(
    tmp_path: Path,
    sd_folder: Path,
    pairs_folder: Path,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    told: str,
) -> None:
    assert command.main(arguments(sd_folder, pairs_folder, tmp_path, "--steps", "1")) == 0
    before = weights(tmp_path)
    assert command.main(arguments(sd_folder, pairs_folder, tmp_path, "--steps", "2", *more)) == 2
    assert told in capsys.readouterr().err
    assert same(before, weights(tmp_path))


def test_a_run_goes_on_that_is_older_than_an_option(
    tmp_path: Path, sd_folder: Path, pairs_folder: Path
) -> None:
    assert command.main(arguments(sd_folder, pairs_folder, tmp_path, "--steps", "1")) == 0
    record = json.loads((tmp_path / "training.json").read_text())
    del record["options"]["aspect_buckets"], record["options"]["window"]
    (tmp_path / "training.json").write_text(json.dumps(record))
    assert command.main(arguments(sd_folder, pairs_folder, tmp_path, "--steps", "2")) == 0


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--lr", "nan"], "--lr must be more than 0"),
        (["--steps", "0"], "--steps must be at least 1"),
        (["--window", "0.5", "0.5"], "--window must be two rising numbers"),
        (["--drop-all", "1.5"], "--drop-all must be a share"),
        (["--checkpoint-every", "often"], "--checkpoint-every must be"),
        (["--modalities", "labels:3"], "--modalities must be"),
        (["--columns", "labels"], "--columns must be"),
        (["--size", "60", "60"], "--size must be multiples of"),
        (["--classes", "nowhere.json"], "nowhere.json is not there"),
        (["--data", "nowhere/at/all"], "say --modalities"),
        (["--base", "nowhere/at/all"], "nowhere/at/all"),
    ],
)
def test_bad_options_are_refused_in_one_line(
    tmp_path: Path,
    sd_folder: Path,
    pairs_folder: Path,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    told: str,
) -> None:
    out = tmp_path / "out"
    assert command.main([*arguments(sd_folder, pairs_folder, out), *more]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert told in error
    assert not out.exists()


def test_a_drawing_that_no_pair_has_is_refused(
    tmp_path: Path, sd_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = build_pairs(tmp_path / "pairs", 3, sketch=None)
    argv = arguments(sd_folder, data, tmp_path / "out", "--modalities", "labels", "sketch")
    assert command.main(argv) == 2
    assert "No pair has anything drawn for sketch" in capsys.readouterr().err


def test_what_was_understood_is_shown_before_the_first_step(tmp_path: Path, sd_folder: Path) -> None:
    data = build_pairs(tmp_path / "pairs", 3)
    assert command.main(arguments(sd_folder, data, tmp_path / "out", "--steps", "1")) == 0
    sheet = np.asarray(Image.open(tmp_path / "out" / "understood.png"))
    picture, labels, _ = draw(0, 64)
    assert np.array_equal(sheet[:64, :64], picture)
    assert np.array_equal(sheet[:64, 68:132], COLORS[labels])


def test_bad_data_is_told_before_the_first_step(
    tmp_path: Path, sd_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = build_pairs(tmp_path / "pairs", 3)
    (data / "sketches" / "2.png").unlink()
    assert command.main(arguments(sd_folder, data, tmp_path / "out")) == 2
    assert "the sketch map is missing: metadata.jsonl line 3" in capsys.readouterr().err
    assert not (tmp_path / "out" / "training.json").exists()


# -- results -----------------------------------------------------------------------------------------------


def test_a_dry_run_checks_and_writes_nothing(
    tmp_path: Path, sd_folder: Path, pairs_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(arguments(sd_folder, pairs_folder, tmp_path / "out", "--dry-run")) == 0
    told = capsys.readouterr().out
    assert "12 pairs to train on, 0 held out" in told
    assert "12 with labels, 12 with sketch, 12 with a caption" in told
    assert "maps show" not in told
    assert not (tmp_path / "out").exists()


def test_classes_that_no_map_shows_are_named_before_the_first_step(
    tmp_path: Path, sd_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = build_pairs(tmp_path / "pairs", 3)
    classes = json.loads((data / "classes.json").read_text())
    (data / "classes.json").write_text(json.dumps([*classes, {"name": "tower", "color": "#ff8a3c"}]))
    assert command.main(arguments(sd_folder, data, tmp_path / "out", "--dry-run")) == 0
    assert "few of 3 maps show tower (none)" in capsys.readouterr().out


def test_the_result_is_the_average_with_card_and_record(
    tmp_path: Path, sd_folder: Path, pairs_folder: Path
) -> None:
    more = ["--steps", "2", "--held-out", "1", "--half", "--window", "0.2", "1", "--prompt-boost", "2"]
    assert command.main(arguments(sd_folder, pairs_folder, tmp_path, *more)) == 0
    newest = latest_checkpoint(tmp_path / "checkpoints")
    assert newest is not None
    halved = {name: one.half() for name, one in weights(newest / "modulator").items()}
    assert same(weights(tmp_path), halved)
    modulator = Modulator.from_pretrained(tmp_path)
    assert (modulator.config.training_window, modulator.config.prompt_boost) == ([0, 800], 2.0)
    assert [one.name for one in modulator.classes] == ["sky", "hill", "water"]
    record = json.loads((tmp_path / "training.json").read_text())
    card = (tmp_path / "README.md").read_text()
    assert record["options"]["steps"] == 2
    assert record["base"]["fingerprint"] == modulator.config.base["fingerprint"]
    assert f"{record['result']['loss']:.5f}" in card
    assert str(tmp_path) not in card + json.dumps(record)


def test_a_sample_sheet_shows_pairs_beside_what_is_made_of_them(
    tmp_path: Path, sd_folder: Path, pairs_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcm_core.base.frozen.STEPS", 2)
    monkeypatch.setattr("mcm_core.training.watching.HELD_OUT_SAMPLES", 4)
    argv = arguments(sd_folder, pairs_folder, tmp_path, "--steps", "2", "--samples", "1", "--held-out", "1")
    assert command.main([*argv, "--sample-every", "2"]) == 0
    sheet = np.asarray(Image.open(tmp_path / "samples" / "step-00000002.png"))
    assert sheet.shape == (64, 5 * 64 + 4 * 4, 3)
    picture, drawn, sketch, plain, modulated = (
        sheet[:, start : start + 64] for start in range(0, 5 * 68, 68)
    )
    shown = [index for index in range(12) if np.array_equal(draw(index, 64)[0], picture)]
    assert len(shown) == 1
    assert np.array_equal(drawn, picture)  # flat pictures in the classes' colours look like their maps
    assert np.array_equal(sketch[..., 0], draw(shown[0], 64)[2])
    assert plain.std() > 0
    assert modulated.shape == plain.shape


def test_the_hub_gets_the_result_and_nothing_else(
    tmp_path: Path, sd_folder: Path, pairs_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(huggingface_hub, "whoami", lambda: {"name": "someone"})
    monkeypatch.setattr(
        huggingface_hub, "create_repo", lambda repo, **more: calls.append({"repo": repo} | more)
    )
    monkeypatch.setattr(huggingface_hub, "upload_folder", lambda **more: calls.append(more))
    argv = arguments(
        sd_folder, pairs_folder, tmp_path, "--steps", "1", "--push-to-hub", "someone/pond", "--private"
    )
    assert command.main(argv) == 0
    created, uploaded = calls
    assert (created["repo"], created["private"]) == ("someone/pond", True)
    files = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()]
    sent = huggingface_hub.utils.filter_repo_objects(files, allow_patterns=uploaded["allow_patterns"])
    assert sorted(sent) == ["README.md", "config.json", WEIGHTS, "training.json"]
