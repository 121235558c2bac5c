"""`--echo`: what the base says of a noised picture serves in several steps, and costs one call."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor

from mcm_core.base import Base
from mcm_core.drawing.conditions import SKETCH
from mcm_core.training import batches as what
from mcm_core.training import modulator as command
from mcm_core.training.batches import LAG, Batches, Plan, batch_indices, origin, pair_at
from mcm_core.training.conditioned import Conditioned, losses
from mcm_core.training.job import Job, plan_of
from mcm_core.training.needs import needs
from mcm_core.training.options import parse
from mcm_core.training.reading import learned_reader
from mcm_core.training.stopping import Stop
from tests import tiny
from tests.pairs import build_pairs

WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_pairs(tmp_path_factory.mktemp("pairs"), 12)


@pytest.fixture
def short_lag(monkeypatch: pytest.MonkeyPatch) -> int:
    """So that a few steps show it."""
    monkeypatch.setattr(what, "LAG", 2)
    return 2


def arguments(base: Path, data: Path, out: Path, *more: str) -> list[str]:
    quick = ["--preset", "nano", "--batch-size", "4", "--echo", "2", "--held-out", "0", "--sample-every", "0"]
    return ["--base", str(base), "--data", str(data), "--out", str(out), *quick, "--precision", "fp32", *more]


@pytest.fixture
def job(sd_folder: Path, data: Path, tmp_path: Path) -> Job:
    return command.begin(parse(arguments(sd_folder, data, tmp_path / "out")))


def plan(count: int = 10, batch_size: int = 4, **changes: Any) -> Plan:
    return replace(Plan(tuple(range(count)), batch_size, (), (64, 64)), **changes)


def asked(base: Base, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures the base is asked about, call by call."""
    counts: list[int] = []
    predict = base.predict

    def noted(sample: Tensor, *rest: Any) -> Tensor:
        counts.append(len(sample))
        return predict(sample, *rest)

    monkeypatch.setattr(base, "predict", noted)
    return counts


# -- what a step sees --------------------------------------------------------------------------------------


@given(st.integers(1, 5), st.integers(1, 3), st.integers(1, 3), st.integers(0, 100))
def test_a_look_serves_in_so_many_steps_one_lag_apart(
    echo: int, many: int, processes: int, step: int
) -> None:
    one = plan(batch_size=echo * many, processes=processes, echo=echo)
    places = range(one.pairs_per_step)
    new = [origin(one, step, place) for place in places[::echo]]
    assert len(set(new)) == many * processes
    for age in range(echo):
        assert [origin(one, step + age * LAG, place) for place in places[age::echo]] == new


@given(st.integers(1, 4), st.integers(1, 30), st.integers(0, 3))
def test_an_epoch_of_looks_sees_each_pair_once(echo: int, count: int, epoch: int) -> None:
    one = plan(count, batch_size=echo, echo=echo)
    seen = [pair_at(one, step, 0) for step in range(epoch * count, (epoch + 1) * count)]
    assert sorted(seen) == list(range(count))


@given(st.integers(1, 3), st.integers(0, 200))
def test_processes_and_parts_of_a_step_share_what_one_batch_sees(echo: int, step: int) -> None:
    whole = plan(batch_size=4 * echo, echo=echo)
    ranks = [plan(batch_size=2 * echo, echo=echo, rank=rank, processes=2) for rank in range(2)]
    parts = plan(batch_size=echo, echo=echo, accumulate=4)
    expected = batch_indices(whole, step)
    assert [index for one in ranks for index in batch_indices(one, step)] == expected
    assert [index for part in range(4) for index in batch_indices(parts, 4 * step + part)] == expected


def test_a_look_is_the_same_each_time_and_its_drawing_is_not(job: Job, short_lag: int) -> None:
    batches = Batches(job.pairs, replace(plan_of(job), batch_size=12))
    first, later = batches[5], batches[5 + short_lag]
    assert first.noise_seeds[::2] == later.noise_seeds[1::2]
    assert first.texts[::2] == later.texts[1::2]
    assert torch.equal(first.pictures[::2], later.pictures[1::2])
    assert torch.equal(first.moments[::2], later.moments[1::2])
    assert not torch.equal(first.maps[SKETCH][::2], later.maps[SKETCH][1::2])
    assert not torch.equal(first.presence[SKETCH][::2], later.presence[SKETCH][1::2])
    assert not set(first.noise_seeds[::2]) & set(later.noise_seeds[::2])


def test_shapes_share_no_looks(job: Job) -> None:
    """Their steps are counted apart, and noise of one shape is no noise of another."""
    sizes = ((64, 64),) * 6 + ((32, 128),) * 6
    batches = Batches(job.pairs, replace(plan_of(job), indices=tuple(range(12)), sizes=sizes))
    one, other = (batches._look(part, 7, 0) for part in batches.by_size)
    assert one.noise_seed != other.noise_seed


# -- what the base is asked --------------------------------------------------------------------------------


def test_the_base_is_asked_once_about_each_look(
    job: Job, short_lag: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen = command.make_frozen(job)
    batches = Batches(job.pairs, replace(plan_of(job), batch_size=6, echo=3))
    counts = asked(job.base, monkeypatch)
    for step in range(3 * short_lag):
        frozen.noised(batches[step])
    at_first, then = [2, 2, 2] * short_lag, [2] * (2 * short_lag)
    assert counts == at_first + then


@pytest.mark.parametrize("echo", [1, 2, 3])
def test_an_answer_is_what_the_base_says(job: Job, short_lag: int, echo: int) -> None:
    frozen = command.make_frozen(job)
    batches = Batches(job.pairs, replace(plan_of(job), batch_size=6, echo=echo))
    for step in range(3 * short_lag):
        batch = batches[step]
        now, sample, _, _ = frozen.noising(batch)
        (expected,) = frozen.eps(sample, now, batch.texts)
        torch.testing.assert_close(frozen.noised(batch).eps, expected, rtol=1e-4, atol=1e-5)


def test_what_is_kept_does_not_grow(job: Job, short_lag: int) -> None:
    frozen = command.make_frozen(job)
    batches = Batches(job.pairs, replace(plan_of(job), batch_size=6, echo=3))
    for step in range(5 * short_lag):
        frozen.noised(batches[step])
        assert len(frozen._answers) <= 2 * short_lag


def test_a_reader_leaves_nothing_behind(
    sd_folder: Path, data: Path, tmp_path: Path, short_lag: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = command.begin(parse(arguments(sd_folder, data, tmp_path, "--reading", "1", "--reader-steps", "6")))
    frozen, counts = command.make_frozen(job), asked(job.base, monkeypatch)
    assert learned_reader(job, frozen, Stop()) is not None
    assert counts == [2, 2] * short_lag + [2] * (6 - short_lag)
    assert not frozen._answers


def test_losses_are_those_of_the_same_pairs_without_it(job: Job, short_lag: int) -> None:
    batch = Batches(job.pairs, plan_of(job))[9]
    module = Conditioned(tiny.build_modulator(job.base))
    told, expected = (
        losses(module, command.make_frozen(job), one, "fp32") for one in (batch, replace(batch, echo=1))
    )
    for name, value in expected.items():
        torch.testing.assert_close(told[name], value)


# -- the command -------------------------------------------------------------------------------------------


def weights(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / WEIGHTS)


@pytest.mark.parametrize(
    "more",
    [[], ["--reading", "0.1", "--reader-steps", "3"], ["--held-out", "1", "--sample-every", "2"]],
    ids=["alone", "with reading", "with held-out losses between"],
)
def test_a_stopped_run_goes_on_bit_for_bit(
    sd_folder: Path,
    data: Path,
    tmp_path: Path,
    short_lag: int,
    more: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mcm_core.base.frozen.STEPS", 2)  # of the pictures that it shows
    monkeypatch.setattr("mcm_core.training.watching.HELD_OUT_SAMPLES", 8)
    through, stopped = tmp_path / "through", tmp_path / "stopped"
    more = [*more, "--steps", "6", "--checkpoint-every", "3"]
    assert command.main(arguments(sd_folder, data, through, *more)) == 0
    shutil.copytree(through, stopped)
    (stopped / WEIGHTS).unlink()
    shutil.rmtree(stopped / "checkpoints" / "step-00000006")
    assert command.main(arguments(sd_folder, data, stopped, *more)) == 0
    ends = [weights(out) for out in (through, stopped)]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_shapes_and_parts_of_a_step_learn_with_it(sd_folder: Path, data: Path, tmp_path: Path) -> None:
    more = ["--steps", "2", "--aspect-buckets", "--accumulate", "2"]
    assert command.main(arguments(sd_folder, data, tmp_path, *more)) == 0


def test_it_is_written_down_and_must_stay(
    sd_folder: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(arguments(sd_folder, data, tmp_path, "--steps", "1")) == 0
    assert "the base asked about one in 2" in capsys.readouterr().out
    assert command.main(arguments(sd_folder, data, tmp_path, "--steps", "2", "--echo", "1")) == 2
    assert "holds a run with echo = 2, not 1" in capsys.readouterr().err


def test_a_batch_is_a_multiple_of_it(
    sd_folder: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(arguments(sd_folder, data, tmp_path, "--echo", "3")) == 2
    assert "--batch-size must be a multiple of --echo 3" in capsys.readouterr().err


def test_it_takes_less_time_and_little_memory(job: Job) -> None:
    modulator = command.make_modulator(job, None)
    once, often = (needs(job.base, modulator, (64, 64), "fp32", echo=echo) for echo in (1, 4))
    assert once.flops - often.flops == pytest.approx(0.75 * once.base_flops)
    assert often.base_flops == once.base_flops
    answers = 4 * 4 * (64 // job.base.downscale) ** 2  # bytes of one
    assert often.picture - once.picture == 24 * answers
